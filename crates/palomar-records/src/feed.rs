//! The journal as others follow it: what happened, in the order of its numbers, each with the message and the
//! conversation that it is about as they stand when it is read.
//!
//! What always holds: whoever writes the journal holds the turn to the end of the transaction, and numbers its entries
//! from the turn's own row. So numbers become visible in their order, without holes, on either engine and whichever node
//! or partition they come from: who has read up to a number and reads on after it misses nothing.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::{ChannelName, MessageId, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use crate::error::Result;
use crate::inbox::ConversationId;
use crate::message::MessageView;
use crate::store::{Db, Rows, values};
use crate::tables::messages::MESSAGES;
use crate::tables::{cursors, journal, json, messages, parsed};
use crate::{PROJECTION, Records};

/// A stretch of the journal, and where it ends for now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feed {
    /// The entries, in the order of their numbers.
    pub entries: Vec<FeedEntry>,
    /// The number of the last entry that there is, whether it is among these or not.
    pub end: u64,
}

/// One entry of the journal, with what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedEntry {
    /// Its number.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What: the word of [`crate::What::kind`], or [`CONVERSATION_UPDATED`].
    pub kind: String,
    /// The channel.
    pub channel: Option<ChannelName>,
    /// The message.
    pub message_id: Option<MessageId>,
    /// More about it.
    pub detail: Json,
    /// What it changed for the first time: the kinds of counters that it raised.
    pub counted: Vec<String>,
    /// The message as it stands now.
    pub message: Option<MessageView>,
    /// The message's conversation as it stands now. A group's messages are in none.
    pub conversation: Option<ConversationNow>,
}

/// A conversation in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationNow {
    /// Its id.
    pub id: ConversationId,
    /// Inbound messages that nobody looked at yet.
    pub unread: u64,
    /// Until when free text may be sent.
    pub window_until: Option<Timestamp>,
    /// Who cares for it.
    pub assignee: Option<String>,
    /// Words that people sort by.
    pub labels: Vec<String>,
}

/// The kind of an entry that says what people said of a conversation; its detail is a [`ConversationNow`].
pub const CONVERSATION_UPDATED: &str = "conversation_updated";

impl Records {
    /// The journal after a number of it.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn feed(&self, after: u64, limit: usize) -> Result<Feed> {
        self.read(move |db| feed(db, after, limit)).await
    }

    /// The number of the journal's last entry.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn feed_end(&self) -> Result<u64> {
        self.read(|db| cursors::end(db, PROJECTION)).await
    }

    /// Whether other processes write these records too.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        matches!(*self.store, crate::store::Store::Postgres(_))
    }
}

fn feed(db: Db<'_>, after: u64, limit: usize) -> Result<Feed> {
    let end = cursors::end(db, PROJECTION)?;
    if end == after {
        return Ok(Feed { entries: Vec::new(), end });
    }
    let mut entries = journal::feed(db, after, limit)?;
    let ids: BTreeSet<_> = entries.iter().filter_map(|entry| entry.message_id).collect();
    let mut wanted = Rows::of(&MESSAGES.columns[..1]);
    ids.iter().for_each(|id| wanted.push(values![*id]));
    let messages: BTreeMap<_, _> =
        messages::find(db, &wanted)?.into_iter().map(|message| (message.id, message)).collect();
    let conversations = conversations(db, &wanted)?;
    for entry in &mut entries {
        if let Some(id) = entry.message_id {
            entry.message = messages.get(&id).cloned();
            entry.conversation = conversations.get(&id).map(|(_, conversation)| conversation.clone());
        }
    }
    Ok(Feed { entries, end })
}

/// The conversations of messages. Where spellings of one person lead to several, the most telling spelling's counts.
fn conversations(db: Db<'_>, wanted: &Rows) -> Result<BTreeMap<MessageId, (u64, ConversationNow)>> {
    let text = "SELECT m.id AS message, i.type AS known_by, c.channel AS channel, c.contact_id AS contact_id,
             c.unread AS unread, c.window_until AS window_until, c.assignee AS assignee, c.labels AS labels,
             CAST(CASE i.type WHEN 'phone' THEN 1 WHEN 'bsuid' THEN 2 WHEN 'wa_id' THEN 3 ELSE 4 END AS BIGINT) AS rank
         FROM {wanted} JOIN messages AS m USING (id)
         JOIN contact_identities AS i
             ON i.type IN ('phone', 'bsuid', 'wa_id', 'lid') AND i.match_key = m.match_key
         JOIN conversations AS c ON c.channel = m.channel AND c.contact_id = i.contact_id
         WHERE m.group_id IS NULL";
    let found = db.find(text, wanted, |row| {
        let table = "conversations";
        let id = ConversationId { channel: parsed(row, table, "channel")?, contact: row.get("contact_id")? };
        let conversation = ConversationNow {
            id,
            unread: row.count("unread")?,
            window_until: row.optional_time("window_until")?,
            assignee: row.get("assignee")?,
            labels: json(row, table, "labels")?,
        };
        Ok((parsed::<MessageId>(row, "messages", "message")?, row.count("rank")?, conversation))
    })?;
    let mut best: BTreeMap<MessageId, (u64, ConversationNow)> = BTreeMap::new();
    for (message, rank, conversation) in found {
        if best.get(&message).is_none_or(|(known, _)| rank < *known) {
            best.insert(message, (rank, conversation));
        }
    }
    Ok(best)
}

/// One conversation in short.
pub(crate) fn conversation_now(db: Db<'_>, id: &ConversationId) -> Result<Option<ConversationNow>> {
    let text = "SELECT unread, window_until, assignee, labels FROM conversations
         WHERE channel = $1 AND contact_id = $2";
    db.row(text, &values![&id.channel, id.contact.as_str()], |row| {
        Ok(ConversationNow {
            id: id.clone(),
            unread: row.count("unread")?,
            window_until: row.optional_time("window_until")?,
            assignee: row.get("assignee")?,
            labels: json(row, "conversations", "labels")?,
        })
    })
}
