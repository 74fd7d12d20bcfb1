//! What providers tell us: messages that people wrote, and reports on messages that we sent.
//!
//! These are the values that webhooks become. They hold personal data; `Debug` shows ids only.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Bsuid, Phone, ProviderMessageId, ReportedStatus, Tag, Timestamp};

/// A provider's report on one of our messages.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The provider's id of the message.
    pub provider_id: ProviderMessageId,
    /// What it says.
    pub status: Status,
    /// When it happened, by the provider's clock.
    pub at: Timestamp,
    /// The attempt it reports on, where the provider hands our tag back.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "tag_as_text")]
    pub tag: Option<Tag>,
    /// Whom it was for, as the provider names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// With a failure: why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProviderError>,
    /// What it costs, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Value>,
    /// The provider's conversation, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Value>,
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// Something that moves the message's state.
    Known(ReportedStatus),
    /// A word that we do not know: kept, changes nothing.
    Other(String),
}

impl Status {
    /// The provider's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Status::Known(status) => status.as_str(),
            Status::Other(word) => word,
        }
    }
}

impl From<&str> for Status {
    fn from(word: &str) -> Status {
        let known = ReportedStatus::ALL.into_iter().find(|status| status.as_str() == word);
        known.map_or_else(|| Status::Other(word.to_owned()), Status::Known)
    }
}

/// An error in a provider's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderError {
    /// Its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A few words.
    pub title: String,
    /// More words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A message that somebody wrote to us.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundMessage {
    /// The provider's id of it: its identity.
    pub provider_id: ProviderMessageId,
    /// Who wrote it.
    pub from: Sender,
    /// When, by the provider's clock; the time of receipt where that is unreadable.
    pub at: Timestamp,
    /// Its type in the provider's word: `text`, `image`, `button`, …
    pub kind: String,
    /// The words of it, where it has some: body, caption, title of the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<ProviderMessageId>,
    /// The group it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The provider's own object.
    pub raw: Value,
}

/// Who wrote a message: every identifier that came with it. None of them is invented from another.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The phone number, canonical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// The provider's own spelling of the account: an alias that can differ from the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
    /// The business-scoped id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bsuid: Option<Bsuid>,
    /// The business-scoped id at the parent business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bsuid: Option<Bsuid>,
    /// The name in their profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Sender {
    /// Whether anything in it says who it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.phone.is_some() || self.wa_id.is_some() || self.bsuid.is_some() || self.parent_bsuid.is_some()
    }

    /// What keeps messages of one person in order: the phone's match key, else the BSUID, else the provider's spelling.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let phone = self.phone.as_ref().map(Phone::match_key);
        let bsuid = || self.bsuid.as_ref().map(|bsuid| bsuid.expose().to_owned());
        phone.or_else(bsuid).or_else(|| self.wa_id.clone())
    }
}

impl fmt::Debug for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusReport")
            .field("provider_id", &self.provider_id)
            .field("status", &self.status)
            .field("at", &self.at)
            .field("tag", &self.tag)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("provider_id", &self.provider_id)
            .field("from", &self.from)
            .field("kind", &self.kind)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("phone", &self.phone)
            .field("bsuid", &self.bsuid)
            .finish_non_exhaustive()
    }
}

/// A tag in JSON is its text.
mod tag_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::Tag;

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(tag: &Option<Tag>, serializer: S) -> Result<S::Ok, S::Error> {
        match tag {
            Some(tag) => serializer.collect_str(tag),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tag>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse()).transpose().map_err(de::Error::custom)
    }
}
