//! Media of an inbound message: what is known of it before its bytes are fetched.

use serde::{Deserialize, Serialize};

use super::ProviderError;

/// A picture, film, sound, file or sticker. Where its bytes are is said by `id`, `url` or `inline_at`; each provider
/// has its own way to fetch them. A file name and a type come from the sender: neither is to be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InboundMedia {
    /// The provider's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the provider says it can be fetched; it may be for minutes only, and may need the channel's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where its bytes came in Base64 in the message's `raw`: a JSON pointer. They are kept once: where media are kept, they
    /// are taken out of there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_at: Option<String>,
    /// The type, as the sender says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The SHA-256 of its bytes, in Base64 or hexadecimal as the provider gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its length in bytes, as the provider says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The sender's name for it. Nothing is to be stored under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Words below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// How long it plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Sound that was recorded in the chat, or a film that is shown round as such.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// A sticker that moves, or a film that is played like one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
    /// To be seen once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
    /// Why the provider does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProviderError>,
}
