//! What a channel reports by itself: the outcome of parsing a webhook, or of listening.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{InboundMessage, ProviderError, ProviderMessageId, StatusReport};

/// One thing that a channel reports.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChannelEvent {
    /// Somebody wrote.
    Message(Box<InboundMessage>),
    /// News of one of our messages.
    Status(Box<StatusReport>),
    /// The channel itself has a problem: throttled, restricted, …
    ChannelError {
        /// What, in the provider's words.
        error: ProviderError,
    },
    /// Anything else, kept as it came.
    Other {
        /// The provider's word for it.
        field: String,
        /// What came.
        raw: Value,
    },
}

/// An event, and the line it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// The provider's id of our number (Cloud API: the phone number id), where the provider gives it. One callback may
    /// bring events for several lines: route by this, not by the address they came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// What happened.
    pub event: ChannelEvent,
}

impl ChannelEvent {
    /// The word for its kind, as in metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            ChannelEvent::Message(_) => "message",
            ChannelEvent::Status(_) => "status",
            ChannelEvent::ChannelError { .. } => "channel_error",
            ChannelEvent::Other { .. } => "other",
        }
    }

    /// What makes two deliveries of it the same event: the provider's id, with a status its word too. `None` where the
    /// provider gives no identity.
    #[must_use]
    pub fn identity(&self) -> Option<(&ProviderMessageId, Option<&str>)> {
        match self {
            ChannelEvent::Message(message) => Some((&message.provider_id, None)),
            ChannelEvent::Status(report) => Some((&report.provider_id, Some(report.status.as_str()))),
            ChannelEvent::ChannelError { .. } | ChannelEvent::Other { .. } => None,
        }
    }
}

impl fmt::Debug for ChannelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelEvent::Message(message) => message.fmt(f),
            ChannelEvent::Status(report) => report.fmt(f),
            ChannelEvent::ChannelError { error } => f.debug_tuple("ChannelError").field(error).finish(),
            ChannelEvent::Other { field, .. } => f.debug_tuple("Other").field(field).finish(),
        }
    }
}
