//! What somebody did to an earlier message: a reaction, an edit, a deletion, a vote.
//!
//! A change is no message: it has no place in a conversation of its own and opens no window.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InboundContent, Sender};
use crate::{ProviderMessageId, Timestamp};

/// What somebody did to an earlier message. That message may be ours or theirs, and may come later than its change.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageChange {
    /// The provider's id of the change, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<ProviderMessageId>,
    /// The message that it is about, by the provider's id.
    pub of: ProviderMessageId,
    /// Who did it.
    pub by: Author,
    /// The person at the other end of the chat, where known: also of what the business did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Sender>,
    /// When, by the provider's clock; the time of receipt where that is unreadable.
    pub at: Timestamp,
    /// What.
    pub change: Change,
    /// The provider's own object.
    pub raw: Value,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// A person.
    Person(Sender),
    /// The business, elsewhere.
    Business,
    /// The provider does not say.
    Unknown,
}

/// What was done.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// An emoji was put to it; without one, the earlier one was taken back.
    Reaction {
        /// The emoji; never empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
    },
    /// It says something else now.
    Edit {
        /// What.
        content: Box<InboundContent>,
    },
    /// It was deleted for everyone.
    Deletion,
    /// An answer to a poll; no options where the provider does not tell, or all were taken back.
    Vote {
        /// The options chosen.
        options: Vec<String>,
    },
    /// How a poll stands.
    Votes {
        /// Its options.
        options: Vec<Tally>,
    },
}

/// An option of a poll, and who chose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The option.
    pub option: String,
    /// Who chose it, as the provider names them.
    pub voters: Vec<String>,
}

impl MessageChange {
    /// What makes two deliveries of it the same: its own id. `None` where the provider gives it none: then it is told
    /// by what it does, which done twice is done once.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        // A deletion may come under the id of the message that it deletes.
        self.provider_id.as_ref().map(|id| format!("{}:{id}", self.change.kind()))
    }
}

impl Author {
    /// The person, where it was one.
    #[must_use]
    pub const fn person(&self) -> Option<&Sender> {
        match self {
            Author::Person(sender) => Some(sender),
            Author::Business | Author::Unknown => None,
        }
    }

    /// What tells the reactions of several people to one message apart.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Author::Person(sender) => sender.key().unwrap_or_default(),
            Author::Business => "business".to_owned(),
            Author::Unknown => "unknown".to_owned(),
        }
    }
}

impl Change {
    /// The word for it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Change::Reaction { .. } => "reaction",
            Change::Edit { .. } => "edit",
            Change::Deletion => "deletion",
            Change::Vote { .. } => "vote",
            Change::Votes { .. } => "votes",
        }
    }
}

impl fmt::Debug for MessageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageChange")
            .field("of", &self.of)
            .field("by", &self.by)
            .field("at", &self.at)
            .field("change", &self.change)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
