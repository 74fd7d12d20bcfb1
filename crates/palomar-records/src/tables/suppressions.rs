//! `suppressions`: whom nothing is sent to, and why. Written by the projection where people asked for it, and by people
//! of the business.

use std::collections::{BTreeSet, HashMap};

use palomar_model::{ChannelName, MessageId, Recipient, Timestamp};
use serde::{Deserialize, Serialize};

use super::conversations::Pair;
use super::page::{Page, Place, page};
use super::parsed;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, key, values};

pub(crate) const SUPPRESSIONS: Table = Table {
    name: "suppressions",
    columns: &[
        text("match_key"),
        text("channel"),
        text("value"),
        text("reason"),
        text("detail"),
        text("message_id"),
        int("created_at"),
    ],
    key: 2,
};

/// Why nothing is sent to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// They asked for it; they may take it back.
    OptOut,
    /// The business wants nothing of them. Their word does not end it.
    Blocked,
    /// A person of the business said so, on their behalf or by law. Their word does not end it.
    Manual,
}

impl SuppressionReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SuppressionReason::OptOut => "opt_out",
            SuppressionReason::Blocked => "blocked",
            SuppressionReason::Manual => "manual",
        }
    }

    /// Why, in a few words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            SuppressionReason::OptOut => "they asked for no more messages",
            SuppressionReason::Blocked => "they are blocked",
            SuppressionReason::Manual => "they are on the suppression list",
        }
    }
}

impl std::str::FromStr for SuppressionReason {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SuppressionReason, &'static str> {
        [SuppressionReason::OptOut, SuppressionReason::Blocked, SuppressionReason::Manual]
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or("is none of opt_out, blocked and manual")
    }
}

/// Somebody to whom nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// Who: a phone number or a business-scoped user id.
    pub recipient: String,
    /// On which channel; on all where not said.
    pub channel: Option<ChannelName>,
    /// Why.
    pub reason: SuppressionReason,
    /// The word they wrote, or more on why.
    pub detail: Option<String>,
    /// The message that they wrote it in.
    pub message_id: Option<MessageId>,
    /// Since when.
    pub created_at: Timestamp,
    /// What the person is found by.
    #[serde(skip)]
    pub match_key: String,
}

impl Suppression {
    /// One of a recipient.
    #[must_use]
    pub fn of(
        to: &Recipient,
        channel: Option<ChannelName>,
        reason: SuppressionReason,
        created_at: Timestamp,
    ) -> Suppression {
        Suppression {
            recipient: to.expose().to_owned(),
            channel,
            reason,
            detail: None,
            message_id: None,
            created_at,
            match_key: key(&to.key()),
        }
    }
}

/// The value of the column `channel`.
fn on(channel: Option<&ChannelName>) -> &str {
    channel.map_or("", ChannelName::as_str)
}

/// Adds some. What the business said is not replaced by what the person says.
pub(crate) fn add<'a>(suppressions: impl Iterator<Item = &'a Suppression>) -> Write {
    let mut rows = Rows::of(SUPPRESSIONS.columns);
    for suppression in suppressions {
        rows.push(values![
            suppression.match_key.as_str(),
            on(suppression.channel.as_ref()),
            suppression.recipient.as_str(),
            suppression.reason.as_str(),
            suppression.detail.as_deref(),
            suppression.message_id,
            suppression.created_at,
        ]);
    }
    let kept =
        "ON CONFLICT (match_key, channel) DO UPDATE SET reason = excluded.reason, detail = excluded.detail,
             message_id = excluded.message_id, created_at = excluded.created_at
             WHERE suppressions.reason = 'opt_out' AND suppressions.reason <> excluded.reason";
    Write::insert(&SUPPRESSIONS, kept, rows)
}

/// Takes back what a person asked for, under whatever of their ids, on the channel and everywhere; what the business said
/// stays.
pub(crate) fn lift(db: Db<'_>, match_key: &str, channel: &ChannelName) -> Result<()> {
    let text = "DELETE FROM suppressions WHERE reason = 'opt_out' AND channel IN ('', $2) AND (match_key = $1
             OR match_key IN (SELECT other.match_key FROM contact_identities AS own
                 JOIN contact_identities AS other ON other.contact_id = own.contact_id
                 WHERE own.type IN ('phone', 'bsuid', 'wa_id', 'lid') AND own.match_key = $1))";
    db.execute(text, &values![match_key, channel])?;
    Ok(())
}

/// Takes one back, whatever its reason; whether there was one.
pub(crate) fn remove(db: Db<'_>, match_key: &str, channel: Option<&ChannelName>) -> Result<bool> {
    let text = "DELETE FROM suppressions WHERE match_key = $1 AND channel = $2";
    Ok(db.execute(text, &values![key(match_key), on(channel)])? > 0)
}

/// Those that hold for these recipients, by channel and [`Recipient::key`]; in the order of the question. Somebody who is
/// known by several ids is meant by each of them.
pub(crate) fn find(db: Db<'_>, whom: &[(ChannelName, String)]) -> Result<Vec<Option<Suppression>>> {
    let asked: Vec<(&str, String)> =
        whom.iter().map(|(channel, match_key)| (channel.as_str(), key(match_key))).collect();
    let mut wanted = Rows::of(const { &[text("on_channel"), text("asked_key")] });
    let different: BTreeSet<_> = asked.iter().collect();
    different.into_iter().for_each(|(channel, match_key)| wanted.push(values![*channel, match_key.as_str()]));
    let text = "SELECT wanted.on_channel AS on_channel, wanted.asked_key AS asked_key, suppressions.*
         FROM {wanted} JOIN suppressions
             ON suppressions.channel IN ('', wanted.on_channel) AND (suppressions.match_key = wanted.asked_key
                 OR suppressions.match_key IN (
                     SELECT other.match_key FROM contact_identities AS own
                     JOIN contact_identities AS other ON other.contact_id = own.contact_id
                     WHERE own.type IN ('phone', 'bsuid', 'wa_id') AND own.match_key = wanted.asked_key))
         ORDER BY suppressions.created_at";
    let found = db.find(text, &wanted, |row| {
        let of: (String, String) = (row.get("on_channel")?, row.get("asked_key")?);
        Ok((of, view(row)?))
    })?;
    let found: HashMap<_, _> = found.into_iter().collect();
    let of = |(channel, match_key): (&str, String)| found.get(&(channel.to_owned(), match_key)).cloned();
    Ok(asked.into_iter().map(of).collect())
}

/// Those of these conversations whose person is blocked there.
pub(crate) fn blocked<'a>(db: Db<'_>, pairs: impl Iterator<Item = &'a Pair>) -> Result<BTreeSet<Pair>> {
    let mut wanted = Rows::of(const { &[text("channel"), text("contact_id")] });
    pairs.for_each(|pair| wanted.push(values![&pair.channel, pair.contact.as_str()]));
    let text = "SELECT wanted.channel AS channel, wanted.contact_id AS contact_id
         FROM {wanted} JOIN contact_identities AS identities
             ON identities.contact_id = wanted.contact_id AND identities.type IN ('phone', 'bsuid', 'wa_id', 'lid')
         JOIN suppressions ON suppressions.match_key = identities.match_key
             AND suppressions.channel IN ('', wanted.channel) AND suppressions.reason = 'blocked'";
    let found = db.find(text, &wanted, |row| {
        Ok(Pair { channel: parsed(row, "contact_identities", "channel")?, contact: row.get("contact_id")? })
    })?;
    Ok(found.into_iter().collect())
}

/// Whether there is any at all.
pub(crate) fn any(db: Db<'_>) -> Result<bool> {
    Ok(db.row("SELECT match_key FROM suppressions LIMIT 1", &[], |_| Ok(()))?.is_some())
}

/// A page of them, the newest first.
pub(crate) fn list(db: Db<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<Suppression>> {
    let place = Place::decode(cursor)?;
    let text = "SELECT * FROM suppressions
         WHERE created_at <= $1 AND (created_at < $1 OR match_key || ' ' || channel < $2)
         ORDER BY created_at DESC, match_key || ' ' || channel DESC LIMIT $3";
    let found = db.rows(text, &values![place.at, place.id, limit as u64 + 1], view)?;
    let id = |one: &Suppression| format!("{} {}", one.match_key, on(one.channel.as_ref()));
    Ok(page(found, limit, |one| Place { at: one.created_at, id: id(one) }))
}

fn view(row: &Row<'_>) -> Result<Suppression> {
    let table = SUPPRESSIONS.name;
    let channel: String = row.get("channel")?;
    Ok(Suppression {
        recipient: row.get("value")?,
        channel: if channel.is_empty() { None } else { Some(parsed(row, table, "channel")?) },
        reason: parsed(row, table, "reason")?,
        detail: row.get("detail")?,
        message_id: super::optional(row, table, "message_id")?,
        created_at: row.time("created_at")?,
        match_key: row.get("match_key")?,
    })
}
