//! What a channel reports by itself: the outcome of parsing a webhook, or of listening.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ChannelNews, Echo, InboundMessage, MessageChange, PersonNews, Preference, ProviderError, StatusReport,
    TemplateNews,
};

/// One thing that a channel reports.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChannelEvent {
    /// Somebody wrote.
    Message(Box<InboundMessage>),
    /// The business wrote, elsewhere.
    Echo(Box<Echo>),
    /// An earlier message was reacted to, edited, deleted or voted on.
    Change(Box<MessageChange>),
    /// News of one of our messages.
    Status(Box<StatusReport>),
    /// News of the channel or its account.
    Channel {
        /// What.
        what: Box<ChannelNews>,
        /// The provider's own object.
        raw: Value,
    },
    /// News of a template.
    Template {
        /// What.
        what: Box<TemplateNews>,
        /// The provider's own object.
        raw: Value,
    },
    /// Somebody told the provider what they want to get.
    Preference(Box<Preference>),
    /// News of a person's names and ids.
    Person(Box<PersonNews>),
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
    /// The provider's id of our account, where it gives one: what is said of it is said of all of its lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What happened.
    pub event: ChannelEvent,
}

impl Received {
    /// An event for a line.
    #[must_use]
    pub fn on(line: Option<&str>, event: ChannelEvent) -> Received {
        Received { line: line.map(str::to_owned), account: None, event }
    }
}

impl ChannelEvent {
    /// The word for its kind, as in metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            ChannelEvent::Message(_) => "message",
            ChannelEvent::Echo(_) => "echo",
            ChannelEvent::Change(_) => "change",
            ChannelEvent::Status(_) => "status",
            ChannelEvent::Channel { .. } => "channel",
            ChannelEvent::Template { .. } => "template",
            ChannelEvent::Preference(_) => "preference",
            ChannelEvent::Person(_) => "person",
            ChannelEvent::ChannelError { .. } => "channel_error",
            ChannelEvent::Other { .. } => "other",
        }
    }

    /// What makes two deliveries of it the same event. `None` where the provider gives no identity.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        match self {
            ChannelEvent::Message(message) => Some(message.provider_id.to_string()),
            ChannelEvent::Echo(echo) => Some(echo.message.provider_id.to_string()),
            ChannelEvent::Change(change) => change.identity(),
            ChannelEvent::Status(report) => Some(report.identity()),
            ChannelEvent::Channel { .. }
            | ChannelEvent::Template { .. }
            | ChannelEvent::Preference(_)
            | ChannelEvent::Person(_)
            | ChannelEvent::ChannelError { .. }
            | ChannelEvent::Other { .. } => None,
        }
    }
}

impl fmt::Debug for ChannelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelEvent::Message(message) => message.fmt(f),
            ChannelEvent::Echo(echo) => echo.fmt(f),
            ChannelEvent::Change(change) => change.fmt(f),
            ChannelEvent::Status(report) => report.fmt(f),
            ChannelEvent::Channel { what, .. } => what.fmt(f),
            ChannelEvent::Template { what, .. } => what.fmt(f),
            ChannelEvent::Preference(preference) => preference.fmt(f),
            ChannelEvent::Person(person) => person.fmt(f),
            ChannelEvent::ChannelError { error } => f.debug_tuple("ChannelError").field(error).finish(),
            ChannelEvent::Other { field, .. } => f.debug_tuple("Other").field(field).finish(),
        }
    }
}
