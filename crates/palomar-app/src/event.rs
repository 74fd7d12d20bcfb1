//! What this application logs in the broker's event log: facts that the broker cannot know, as JSON with a version.

use palomar_broker::EventBody;
use palomar_model::{
    ChannelEvent, ChannelName, InboundMessage, MediaNews, MessageId, ProviderMessageId, SendFailure, Sender,
    TraceId, Wish,
};
use serde::{Deserialize, Serialize};

/// The version of what [`AppEvent::encode`] writes.
const VERSION: u8 = 1;

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AppEvent {
    /// The provider took a message.
    Sent {
        /// The channel.
        channel: ChannelName,
        /// The provider's id of it.
        provider_id: ProviderMessageId,
        /// The provider's own spelling of the recipient's account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alias: Option<String>,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The channel.
        channel: ChannelName,
        /// The number that its tag carried.
        attempt: u32,
        /// How.
        failure: SendFailure,
    },
    /// A channel reported something: a message, a status, an error.
    Received {
        /// The channel it is for.
        channel: ChannelName,
        /// Our id for an inbound message: the same however often it is delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// What.
        event: ChannelEvent,
        /// The trace of the webhook that brought it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
        /// What it takes effect by, once, where it has no identity of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<String>,
    },
    /// A message whose type was not known when it came, and is now.
    Reread {
        /// The channel.
        channel: ChannelName,
        /// Our id for it.
        id: MessageId,
        /// What it is.
        message: Box<InboundMessage>,
    },
    /// Somebody wants to get no more messages, or to get them again.
    Consent {
        /// The channel on which they said so.
        channel: ChannelName,
        /// Who.
        who: Sender,
        /// What they want.
        wish: Wish,
        /// The word they wrote, or what of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// The message that they wrote it in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
        /// What makes two of these the same.
        identity: String,
    },
    /// News of media that came with a message.
    Media {
        /// The channel.
        channel: ChannelName,
        /// What.
        news: MediaNews,
    },
    /// A webhook could not be processed, or not all of it.
    WebhookFailed {
        /// The channel.
        channel: ChannelName,
        /// The id of its job.
        id: MessageId,
        /// The id of the request that brought it.
        request_id: String,
        /// The job's payload, to be queued again.
        payload: String,
        /// Why.
        error: String,
        /// More on that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// An event that can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableEvent {
    #[error("an event has version {0}, this program reads up to {VERSION}")]
    Version(u64),
    #[error("an event cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Stored<'a> {
    v: u8,
    #[serde(flatten)]
    event: &'a AppEvent,
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl AppEvent {
    /// The bytes under which it is logged.
    pub(crate) fn encode(&self) -> Result<EventBody, serde_json::Error> {
        serde_json::to_vec(&Stored { v: VERSION, event: self }).map(EventBody::from)
    }

    /// Reads what [`AppEvent::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<AppEvent, UnreadableEvent> {
        let Versioned { v } = serde_json::from_slice(bytes)?;
        if v > u64::from(VERSION) {
            return Err(UnreadableEvent::Version(v));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Encodes events. One that has no JSON form (there is none such) is left out and said so, rather than the outcome lost.
pub(crate) fn encode_all(events: &[AppEvent]) -> Vec<EventBody> {
    let encoded = events.iter().filter_map(|event| {
        event.encode().inspect_err(|error| tracing::error!(%error, "an event has no JSON form")).ok()
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use palomar_model::ErrorClass;

    use super::*;

    #[test]
    fn events_come_back_and_newer_ones_are_refused() {
        let channel: ChannelName = "demo".parse().expect("a name");
        let events = [
            AppEvent::Sent {
                channel: channel.clone(),
                provider_id: ProviderMessageId("x".into()),
                alias: None,
            },
            AppEvent::AttemptFailed {
                channel: channel.clone(),
                attempt: 2,
                failure: SendFailure::new(ErrorClass::Transient, "busy").with_code("4"),
            },
            AppEvent::Received {
                channel,
                id: None,
                event: ChannelEvent::Other { field: "f".to_owned(), raw: serde_json::json!({"a": 1}) },
                trace: "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok(),
                once: None,
            },
        ];
        for event in events {
            let bytes = event.encode().expect("json");
            assert_eq!(AppEvent::decode(&bytes).expect("read"), event);
        }
        assert!(matches!(AppEvent::decode(br#"{"v":2,"kind":"later"}"#), Err(UnreadableEvent::Version(2))));
        assert!(matches!(AppEvent::decode(br#"{"v":1,"kind":"later"}"#), Err(UnreadableEvent::Malformed(_))));
    }
}
