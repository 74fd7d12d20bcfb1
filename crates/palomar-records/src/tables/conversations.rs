//! `conversations`: the messages with one person on one channel.

use std::time::Duration;

use palomar_model::{ChannelName, MessageId, Timestamp};

use super::parsed;
use crate::error::Result;
use crate::message::Direction;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: &[
        text("channel"),
        text("contact_id"),
        int("created_at"),
        int("last_inbound_at"),
        int("window_until"),
        text("last_message_id"),
        int("last_message_at"),
        text("last_direction"),
    ],
    key: 2,
};

/// Free text may be sent for so long after a person wrote.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// With whom, where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) channel: ChannelName,
    pub(crate) contact: String,
}

/// A message that a conversation gets.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) pair: Pair,
    pub(crate) message: MessageId,
    pub(crate) direction: Direction,
    pub(crate) at: Timestamp,
}

/// A conversation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    created_at: Timestamp,
    last_inbound_at: Option<Timestamp>,
    window_until: Option<Timestamp>,
    last_message: MessageId,
    last_message_at: Timestamp,
    last_direction: Direction,
}

impl Conversation {
    /// One that begins with a message.
    pub(crate) fn begun(turn: &Turn) -> Conversation {
        let inbound = (turn.direction == Direction::Inbound).then_some(turn.at);
        Conversation {
            created_at: turn.at,
            last_inbound_at: inbound,
            window_until: inbound.map(|at| at.after(WINDOW)),
            last_message: turn.message,
            last_message_at: turn.at,
            last_direction: turn.direction,
        }
    }

    /// Notes a message. One that is older than the newest changes nothing but, if inbound, the window.
    pub(crate) fn note(&mut self, turn: &Turn) {
        let new = Conversation::begun(turn);
        self.last_inbound_at = self.last_inbound_at.max(new.last_inbound_at);
        self.window_until = self.window_until.max(new.window_until);
        if new.last_message_at >= self.last_message_at {
            self.last_message = new.last_message;
            self.last_message_at = new.last_message_at;
            self.last_direction = new.last_direction;
        }
    }
}

/// Those of these conversations that have begun.
pub(crate) fn find<'a>(
    db: Db<'_>,
    pairs: impl Iterator<Item = &'a Pair>,
) -> Result<Vec<(Pair, Conversation)>> {
    let mut wanted = Rows::of(&CONVERSATIONS.columns[..2]);
    pairs.for_each(|pair| wanted.push(values![&pair.channel, pair.contact.as_str()]));
    let text = "SELECT channel, contact_id, created_at, last_inbound_at, window_until, last_message_id,
             last_message_at, last_direction
         FROM {wanted} JOIN conversations USING (channel, contact_id)";
    db.find(text, &wanted, |row| {
        let table = CONVERSATIONS.name;
        let pair = Pair { channel: parsed(row, table, "channel")?, contact: row.get("contact_id")? };
        let conversation = Conversation {
            created_at: row.time("created_at")?,
            last_inbound_at: row.optional_time("last_inbound_at")?,
            window_until: row.optional_time("window_until")?,
            last_message: parsed(row, table, "last_message_id")?,
            last_message_at: row.time("last_message_at")?,
            last_direction: parsed(row, table, "last_direction")?,
        };
        Ok((pair, conversation))
    })
}

/// Writes conversations as they stand.
pub(crate) fn put<'a>(conversations: impl Iterator<Item = (&'a Pair, &'a Conversation)>) -> Write {
    let mut rows = Rows::of(CONVERSATIONS.columns);
    conversations.for_each(|(pair, conversation)| {
        rows.push(values![
            &pair.channel,
            pair.contact.as_str(),
            conversation.created_at,
            conversation.last_inbound_at,
            conversation.window_until,
            conversation.last_message,
            conversation.last_message_at,
            conversation.last_direction.as_str(),
        ]);
    });
    let newer = "ON CONFLICT (channel, contact_id) DO UPDATE SET last_inbound_at = excluded.last_inbound_at,
             window_until = excluded.window_until, last_message_id = excluded.last_message_id,
             last_message_at = excluded.last_message_at, last_direction = excluded.last_direction";
    Write::insert(&CONVERSATIONS, newer, rows)
}

/// Until when free text may be sent to whoever has these match keys, on these channels; in the order of the question.
pub(crate) fn windows_until(db: Db<'_>, whom: &[(ChannelName, String)]) -> Result<Vec<Option<Timestamp>>> {
    let asked: Vec<(&str, String)> =
        whom.iter().map(|(channel, match_key)| (channel.as_str(), key(match_key))).collect();
    let mut wanted = Rows::of(const { &[text("channel"), text("match_key")] });
    let different: std::collections::BTreeSet<_> = asked.iter().collect();
    different.into_iter().for_each(|(channel, match_key)| wanted.push(values![*channel, match_key.as_str()]));
    let text =
        "SELECT wanted.channel AS channel, wanted.match_key AS match_key, MAX(window_until) AS window_until
         FROM {wanted}
         JOIN contact_identities AS identities
             ON identities.type IN ('phone', 'bsuid', 'wa_id') AND identities.match_key = wanted.match_key
         JOIN conversations
             ON conversations.channel = wanted.channel AND conversations.contact_id = identities.contact_id
         GROUP BY wanted.channel, wanted.match_key";
    let found = db.find(text, &wanted, |row| {
        let of: (String, String) = (row.get("channel")?, row.get("match_key")?);
        Ok((of, row.optional_time("window_until")?))
    })?;
    let found: std::collections::HashMap<_, _> = found.into_iter().collect();
    let until =
        |(channel, match_key): (&str, String)| found.get(&(channel.to_owned(), match_key)).copied().flatten();
    Ok(asked.into_iter().map(until).collect())
}
