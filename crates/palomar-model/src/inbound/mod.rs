//! What providers tell us: messages that people wrote, what they changed of earlier ones, reports on messages that we
//! sent.
//!
//! These are the values that webhooks become, the same for every provider. They hold personal data; `Debug` shows ids
//! only. Everything that was added to them later has a default, so that what was stored by an earlier version is read.
//!
//! A message always keeps the provider's own object as `raw`. What this version does not understand is
//! [`InboundContent::Unknown`]: a later one reads `raw` again.

mod change;
mod content;
mod kept;
mod media;
mod parts;
mod report;
mod sender;
mod vcard;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ProviderMessageId, Timestamp};

pub use change::{Author, Change, MessageChange, Tally};
pub use content::InboundContent;
pub use kept::{MediaNews, MediaProgress};
pub use media::InboundMedia;
pub use parts::{
    CallPermission, Choice, FlowReply, InboundLocation, InboundPoll, InboundWords, Order, OrderItem, Product,
    Referral, SharedContact, SharedContacts, SystemKind, SystemMessage, Unsupported,
};
pub use report::{ProviderError, Status, StatusReport};
pub use sender::Sender;

/// A message that somebody wrote to us.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundMessage {
    /// The provider's id of it: its identity. Where the provider gives none, [`ProviderMessageId::none`]: whoever reads the
    /// webhook makes one up.
    pub provider_id: ProviderMessageId,
    /// Who wrote it.
    pub from: Sender,
    /// When, by the provider's clock; the time of receipt where that is unreadable.
    pub at: Timestamp,
    /// Its type in the provider's word: `text`, `image`, `button`, …
    pub kind: String,
    /// The words of it, where it has some: [`InboundContent::text`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it says.
    #[serde(default)]
    pub content: InboundContent,
    /// Further files, at a provider that sends several with one message; the first is the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_media: Vec<InboundMedia>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<ProviderMessageId>,
    /// Who wrote the message it answers, as the provider names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_from: Option<String>,
    /// Whether it was passed on from another chat.
    #[serde(default, skip_serializing_if = "Forwarded::is_no")]
    pub forwarded: Forwarded,
    /// The advertisement or post that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Box<Referral>>,
    /// The product that it asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Box<Product>>,
    /// Who is mentioned in it, as the provider names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// The group it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// What the provider says is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProviderError>,
    /// The provider's own object.
    pub raw: Value,
}

/// Whether a message was passed on from another chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarded {
    /// Written for this chat.
    #[default]
    No,
    /// Passed on.
    Once,
    /// Passed on many times.
    Often,
}

/// A message that the business wrote elsewhere: in its phone's app, or through another program.
///
/// One that went out through us has the provider's id of a message of ours, and is that message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// Whom it is for.
    pub to: Sender,
    /// The message; from ourselves.
    pub message: InboundMessage,
}

impl InboundMessage {
    /// A message with its words, and nothing around it.
    #[must_use]
    pub fn new(
        provider_id: ProviderMessageId,
        from: Sender,
        at: Timestamp,
        kind: impl Into<String>,
        content: InboundContent,
        raw: Value,
    ) -> InboundMessage {
        InboundMessage {
            provider_id,
            from,
            at,
            kind: kind.into(),
            text: content.text(),
            content,
            more_media: Vec::new(),
            context_id: None,
            context_from: None,
            forwarded: Forwarded::No,
            referral: None,
            product: None,
            mentions: Vec::new(),
            group_id: None,
            errors: Vec::new(),
            raw,
        }
    }
}

impl Forwarded {
    /// Whether it was written for this chat.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    const fn is_no(&self) -> bool {
        matches!(self, Forwarded::No)
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("provider_id", &self.provider_id)
            .field("from", &self.from)
            .field("kind", &self.kind)
            .field("content", &self.content)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echo").field("to", &self.to).field("message", &self.message).finish()
    }
}

#[cfg(test)]
mod tests;
