//! `message_changes`: what was done to messages after they were written. Of one kind and one author the newest stands, so
//! that order and copies do not matter.

use std::collections::HashMap;

use palomar_model::{Change, ChannelName, InboundContent, MessageChange, Tally, Timestamp};
use serde::Serialize;

use super::provider_ids::Named;
use super::{json, parsed, to_json};
use crate::error::Result;
use crate::message::MessageView;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const MESSAGE_CHANGES: Table = Table {
    name: "message_changes",
    columns: &[text("channel"), text("provider_id"), text("kind"), text("author"), text("value"), int("at")],
    key: 4,
};

/// What was done to a message after it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesView {
    /// The emojis put to it, each with who did it.
    pub reactions: Vec<ReactionView>,
    /// What it says since it was edited.
    pub edited: Option<EditView>,
    /// When it was deleted for everyone.
    pub deleted_at: Option<Timestamp>,
    /// How the poll in it stands, where it is one.
    pub votes: Vec<Tally>,
}

/// An emoji put to a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReactionView {
    /// The emoji.
    pub emoji: String,
    /// Who: a phone number or id, or `business`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What an edited message says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EditView {
    /// What.
    pub content: InboundContent,
    /// The same in words.
    pub text: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a change is told by: the message, the kind, the author.
pub(crate) type Slot = (Named, &'static str, String);

/// Where a change belongs.
pub(crate) fn slot(channel: &ChannelName, change: &MessageChange) -> Slot {
    // A message has one text and is deleted once, whoever it was.
    let author = match &change.change {
        Change::Edit { .. } | Change::Deletion | Change::Votes { .. } => String::new(),
        Change::Reaction { .. } | Change::Vote { .. } => change.by.key(),
    };
    (Named::of(channel, &change.of), change.change.kind(), key(&author))
}

/// Writes changes; one that is older than what is known changes nothing.
pub(crate) fn put<'a>(changes: impl Iterator<Item = (&'a Slot, &'a (Change, Timestamp))>) -> Result<Write> {
    let mut rows = Rows::of(MESSAGE_CHANGES.columns);
    for ((named, kind, author), (change, at)) in changes {
        let value = to_json(change, MESSAGE_CHANGES.name)?;
        let (channel, id) = (&named.channel, named.provider_id.as_str());
        rows.push(values![channel, id, *kind, author.as_str(), value, *at]);
    }
    let newest = "ON CONFLICT (channel, provider_id, kind, author) DO UPDATE SET value = excluded.value,
             at = excluded.at WHERE excluded.at >= message_changes.at";
    Ok(Write::insert(&MESSAGE_CHANGES, newest, rows))
}

/// Adds to messages what was done to them.
pub(crate) fn add_to(db: Db<'_>, messages: &mut [MessageView]) -> Result<()> {
    let named = |message: &MessageView| {
        let id = message.provider_message_id.as_deref()?;
        Some(Named { channel: message.channel.clone(), provider_id: key(id) })
    };
    let mut wanted = Rows::of(&MESSAGE_CHANGES.columns[..2]);
    let different: std::collections::BTreeSet<_> = messages.iter().filter_map(named).collect();
    different.iter().for_each(|named| wanted.push(values![&named.channel, named.provider_id.as_str()]));
    let text = "SELECT channel, provider_id, author, value, at FROM {wanted}
         JOIN message_changes USING (channel, provider_id) ORDER BY at, kind, author";
    let found = db.find(text, &wanted, |row| {
        let table = MESSAGE_CHANGES.name;
        let named = Named { channel: parsed(row, table, "channel")?, provider_id: row.get("provider_id")? };
        let change: Change = json(row, table, "value")?;
        Ok((named, row.get::<String>("author")?, change, row.time("at")?))
    })?;
    let mut by_message: HashMap<Named, ChangesView> = HashMap::new();
    for (named, author, change, at) in found {
        by_message.entry(named).or_default().note(change, author, at);
    }
    for message in messages {
        if let Some(changes) = named(message).and_then(|named| by_message.remove(&named)) {
            message.changes = changes;
        }
    }
    Ok(())
}

impl ChangesView {
    fn note(&mut self, change: Change, by: String, at: Timestamp) {
        match change {
            Change::Reaction { emoji: Some(emoji) } => self.reactions.push(ReactionView { emoji, by, at }),
            Change::Reaction { emoji: None } => {}
            Change::Edit { content } => {
                self.edited = Some(EditView { text: content.text(), content: *content, at });
            }
            Change::Deletion => self.deleted_at = Some(at),
            Change::Vote { options } => {
                for option in options {
                    match self.votes.iter_mut().find(|tally| tally.option == option) {
                        Some(tally) => tally.voters.push(by.clone()),
                        None => self.votes.push(Tally { option, voters: vec![by.clone()] }),
                    }
                }
            }
            Change::Votes { options } => self.votes = options,
        }
    }
}
