//! Conversations and contacts as they are shown, which of them are meant, and what people say of them.

use std::collections::BTreeSet;

use palomar_model::attribute::{AttributeMap, Tag};
use palomar_model::filter::Filter;
use palomar_model::{ChannelName, MessageId, Timestamp};
use serde::Serialize;

use crate::message::{Direction, MessageStatus};
use crate::tables::profiles::ContactConsent;
use crate::tables::suppressions::Suppression;

/// The name of a conversation: the channel and the contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationId {
    /// The channel.
    pub channel: ChannelName,
    /// The contact's id.
    pub contact: String,
}

/// A text that names no conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a conversation")]
pub struct NoConversationId;

impl std::str::FromStr for ConversationId {
    type Err = NoConversationId;

    /// Channel, dot, contact: no channel's name has a dot.
    fn from_str(text: &str) -> Result<ConversationId, NoConversationId> {
        let (channel, contact) = text.split_once('.').ok_or(NoConversationId)?;
        let channel = channel.parse().map_err(|_| NoConversationId)?;
        let well_formed = !contact.is_empty() && contact.len() <= 64;
        let contact = well_formed.then(|| contact.to_owned()).ok_or(NoConversationId)?;
        Ok(ConversationId { channel, contact })
    }
}

impl std::fmt::Display for ConversationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.channel, self.contact)
    }
}

impl Serialize for ConversationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that a person is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityView {
    /// `phone`, `bsuid`, `wa_id` (the provider's spelling of the account) or `lid`.
    pub r#type: String,
    /// The number or id.
    pub value: String,
    /// What it is found by.
    #[serde(skip)]
    pub match_key: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// Their id here.
    pub id: String,
    /// What the business calls them, else the name in their profile.
    pub name: Option<String>,
    /// All that they are known by.
    pub identities: Vec<IdentityView>,
    /// What is known of them.
    pub attributes: AttributeMap,
    /// Words that people sort them by.
    pub tags: BTreeSet<Tag>,
    /// Whether they agreed to be written to.
    pub consent: ContactConsent,
    /// When they became known.
    pub created_at: Timestamp,
    /// When they changed last.
    pub updated_at: Timestamp,
}

/// Which contacts are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// With these words in their name, numbers or ids.
    pub text: Option<String>,
    /// Of whom this is true.
    pub filter: Option<Filter>,
}

/// The newest message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastMessage {
    /// Its id.
    pub id: MessageId,
    /// Which way it went.
    pub direction: Direction,
    /// When.
    pub at: Timestamp,
    /// Its type.
    pub r#type: Option<String>,
    /// What a person would read of it first.
    pub text: Option<String>,
    /// Where it stands.
    pub status: Option<MessageStatus>,
}

/// The messages with one person on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    /// Its id.
    pub id: ConversationId,
    /// The channel.
    pub channel: ChannelName,
    /// The person.
    pub contact: ContactView,
    /// Inbound messages that nobody looked at yet.
    pub unread: u64,
    /// When they wrote last.
    pub last_inbound_at: Option<Timestamp>,
    /// Until when free text may be sent to them.
    pub window_until: Option<Timestamp>,
    /// The newest message.
    pub last_message: LastMessage,
    /// Who cares for it.
    pub assignee: Option<String>,
    /// Words that people sort by.
    pub labels: Vec<String>,
    /// Why nothing is sent to them, where that is so.
    pub suppressed: Option<Suppression>,
    /// When it began.
    pub created_at: Timestamp,
}

/// Which conversations are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// On one of these channels; all where empty.
    pub channels: Vec<ChannelName>,
    /// Only those with something unread.
    pub unread: bool,
    /// Somebody cares for it; nobody, where the text is empty.
    pub assignee: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// With this in the person's name, number or id, or in a message.
    pub text: Option<String>,
}

/// What people say of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationPatch {
    /// Who cares for it from now on; nobody, where it is none.
    pub assignee: Option<Option<String>>,
    /// Its labels from now on.
    pub labels: Option<Vec<String>>,
    /// That it was read.
    pub read: bool,
}
