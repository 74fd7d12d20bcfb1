//! A provider's report on one of our messages, and its errors.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ErrorClass, ProviderMessageId, ReportedStatus, Tag, Timestamp};

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
    /// Whom it was for, as the provider names them; of a group message the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The member of the group whose report it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// With a failure: why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProviderError>,
    /// What it costs, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Value>,
    /// The provider's conversation, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Value>,
    /// The provider's own object, where it says something that has no place above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

impl StatusReport {
    /// A report that says no more than this.
    #[must_use]
    pub const fn new(provider_id: ProviderMessageId, status: Status, at: Timestamp) -> StatusReport {
        StatusReport {
            provider_id,
            status,
            at,
            tag: None,
            recipient: None,
            participant: None,
            errors: Vec::new(),
            pricing: None,
            conversation: None,
            raw: None,
        }
    }

    /// What makes two reports the same: the provider's id with the word; in a group also whose report it is.
    #[must_use]
    pub fn identity(&self) -> String {
        let (status, id) = (self.status.as_str(), &self.provider_id);
        match &self.participant {
            Some(participant) => format!("status:{status}:{id}:{participant}"),
            None => format!("status:{status}:{id}"),
        }
    }
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
    /// What it means, by the table of the provider's codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
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
