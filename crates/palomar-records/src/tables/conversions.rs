//! `conversions`: what conversations led to, each under its id, once.

use std::collections::BTreeMap;

use palomar_model::{MessageId, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use super::messages::Head;
use super::{optional, optional_json, parsed, to_json};
use crate::error::Result;
use crate::store::table::{Column, int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const CONVERSIONS: Table = Table {
    name: "conversions",
    columns: &[
        text("id"),
        int("at"),
        text("kind"),
        int("value"),
        text("currency"),
        text("channel"),
        text("match_key"),
        text("message_id"),
        text("campaign"),
        text("metadata"),
        int("noted"),
        text("awaited"),
    ],
    key: 1,
};

/// What a conversation led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `lead`, `appointment`, `sale`, or a word of the business.
    pub kind: String,
    /// What it is worth, in millionths of the currency.
    #[serde(skip)]
    pub value: Option<i64>,
    /// The currency (ISO 4217).
    pub currency: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The person.
    #[serde(skip)]
    pub match_key: Option<String>,
    /// The message that it is attributed to.
    pub message_id: Option<MessageId>,
    /// The message that it names, which isn't in the records yet: it is attributed to it as soon as it is.
    pub awaited_message_id: Option<MessageId>,
    /// The campaign that it is attributed to.
    pub campaign_id: Option<String>,
    /// The business's own data.
    pub metadata: Option<Json>,
}

/// Keeps one; whether it is new. One whose id is known, also to a node that writes it at this moment, changes nothing.
pub(crate) fn add(db: Db<'_>, conversion: &Conversion, noted: Timestamp) -> Result<bool> {
    let insert = Write::insert(&CONVERSIONS, "ON CONFLICT DO NOTHING", Rows::of(CONVERSIONS.columns));
    let metadata = conversion.metadata.as_ref().map(|metadata| to_json(metadata, CONVERSIONS.name));
    let values = values![
        conversion.id.as_str(),
        conversion.at,
        conversion.kind.as_str(),
        conversion.value.map_or(Value::Int(None), Value::from),
        conversion.currency.as_deref(),
        conversion.channel.as_deref(),
        conversion.match_key.as_deref(),
        conversion.message_id,
        conversion.campaign_id.as_deref(),
        metadata.transpose()?,
        noted,
        conversion.awaited_message_id,
    ];
    Ok(db.execute(&insert.for_one(), &values)? == 1)
}

/// One, by its id.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<Conversion>> {
    db.row("SELECT * FROM conversions WHERE id = $1", &values![id], view)
}

fn view(row: &Row<'_>) -> Result<Conversion> {
    Ok(Conversion {
        id: row.get("id")?,
        at: row.time("at")?,
        kind: row.get("kind")?,
        value: row.get("value")?,
        currency: row.get("currency")?,
        channel: row.get("channel")?,
        match_key: row.get("match_key")?,
        message_id: optional(row, CONVERSIONS.name, "message_id")?,
        awaited_message_id: optional(row, CONVERSIONS.name, "awaited")?,
        campaign_id: row.get("campaign")?,
        metadata: optional_json(row, CONVERSIONS.name, "metadata")?,
    })
}

/// Attributes conversions that wait for messages to them, now that they are known. One that says its channel waits for a
/// message of that channel only.
pub(crate) fn attribute<'m>(
    db: Db<'_>,
    messages: impl Iterator<Item = (&'m MessageId, &'m Head)>,
) -> Result<()> {
    let any = "SELECT id FROM conversions WHERE awaited IS NOT NULL LIMIT 1";
    if db.row(any, &[], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    let known: BTreeMap<MessageId, &Head> = messages.map(|(id, head)| (*id, head)).collect();
    let mut wanted = Rows::of(const { &[text("id"), text("channel")] });
    known.iter().for_each(|(id, head)| wanted.push(values![*id, &head.channel]));
    let waiting = "SELECT c.id AS id, c.awaited AS awaited, c.campaign AS campaign
         FROM {wanted} JOIN conversions AS c ON c.awaited = wanted.id
         WHERE c.channel IS NULL OR c.channel = wanted.channel";
    let found = db.find(waiting, &wanted, |row| {
        let message: MessageId = parsed(row, CONVERSIONS.name, "awaited")?;
        Ok((row.get::<String>("id")?, message, row.get::<Option<String>>("campaign")?))
    })?;
    let mut rows = Rows::of(ATTRIBUTED);
    for (id, message, campaign) in found {
        let Some(head) = known.get(&message) else { continue };
        let campaign = campaign.as_deref().or(head.campaign.as_deref());
        let nothing: Option<&str> = None;
        rows.push(values![id.as_str(), &head.channel, head.match_key.as_str(), message, campaign, nothing]);
    }
    db.write(vec![Write::update(&CONVERSIONS, rows)])
}

/// What becomes known with the message.
const ATTRIBUTED: &[Column] =
    &[text("id"), text("channel"), text("match_key"), text("message_id"), text("campaign"), text("awaited")];

/// Conversions of a kind, currency, channel and campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionSum {
    /// The kind.
    pub kind: String,
    /// The currency; none of those without a value.
    pub currency: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The campaign.
    pub campaign: Option<String>,
    /// How many.
    pub count: u64,
    /// How many of them are attributed to a message or a campaign.
    pub attributed: u64,
    /// What they are worth together, in millionths.
    pub value: i128,
}

/// Sums from one moment up to another: units and millionths apart, which no number of conversions brings to overflow. Values
/// of different currencies are never added up.
pub(crate) fn sums(db: Db<'_>, from: Timestamp, to: Timestamp) -> Result<Vec<ConversionSum>> {
    let text = "SELECT kind, currency, channel, campaign, COUNT(*) AS count,
             CAST(SUM(CASE WHEN message_id IS NULL AND campaign IS NULL THEN 0 ELSE 1 END) AS BIGINT) AS attributed,
             CAST(COALESCE(SUM(value / 1000000), 0) AS BIGINT) AS units,
             CAST(COALESCE(SUM(value % 1000000), 0) AS BIGINT) AS millionths
         FROM conversions WHERE at >= $1 AND at < $2
         GROUP BY kind, currency, channel, campaign ORDER BY kind, currency, channel, campaign";
    db.rows(text, &values![from, to], |row| {
        Ok(ConversionSum {
            kind: row.get("kind")?,
            currency: row.get("currency")?,
            channel: row.get("channel")?,
            campaign: row.get("campaign")?,
            count: row.count("count")?,
            attributed: row.count("attributed")?,
            value: i128::from(row.get::<i64>("units")?) * 1_000_000
                + i128::from(row.get::<i64>("millionths")?),
        })
    })
}
