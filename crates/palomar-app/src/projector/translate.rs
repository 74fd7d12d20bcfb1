//! What a fact of the event log is to records. A function of values.

use palomar_broker::{Fact, LogEntry, QueueName};
use palomar_model::{ChannelEvent, ChannelName, MessageId, Outbound, Timestamp, TraceId};
use palomar_records::{Consent, FailedWebhook, RecordFact, What};
use serde_json::json;

use crate::event::AppEvent;
use crate::payload;
use crate::queues::OUTBOUND;

/// The record's fact; none where records need not know.
pub(crate) fn record_fact(entry: LogEntry) -> Option<RecordFact> {
    let LogEntry { cursor, at, job, queue, fact } = entry;
    let outbound = queue.as_ref().is_some_and(|queue| queue.pool() == OUTBOUND);
    let told = |trace, once, channel, message, what| {
        Some(RecordFact { cursor: cursor.0, at, channel, message, trace, once, what })
    };
    let made = |channel, message, what| told(None, None, channel, message, what);
    match fact {
        Fact::Event(body) => {
            let Told { channel, message, trace, once, what } = event(&body, job);
            told(trace, once, channel, message, what)
        }
        Fact::Paused { .. } | Fact::Resumed | Fact::BreakerOpened { .. } | Fact::BreakerClosed => {
            made(queue.as_ref().and_then(channel_of), None, queue_news(&fact, queue.as_ref()))
        }
        // Jobs that are no messages are known by what they log.
        _ if !outbound => None,
        fact => {
            let trace = match &fact {
                Fact::Enqueued { payload, .. } => payload::given_trace(payload),
                _ => None,
            };
            let what = progress(fact)?;
            told(trace, None, queue.as_ref().and_then(channel_of), job, what)
        }
    }
}

fn channel_of(queue: &QueueName) -> Option<ChannelName> {
    queue.name().parse().ok()
}

/// What the queue says of a message.
fn progress(fact: Fact) -> Option<What> {
    Some(match fact {
        Fact::Enqueued { payload, .. } if payload::earlier_attempts(&payload) > 0 => {
            What::QueuedAnew { earlier_attempts: payload::earlier_attempts(&payload) }
        }
        Fact::Enqueued { scheduled, payload } => match Outbound::decode(&payload) {
            Ok(message) => What::Accepted { message: Box::new(message), scheduled },
            Err(error) => other("unreadable_message", json!({ "error": error.to_string() })),
        },
        Fact::Due => What::Due,
        Fact::Started { attempt } => What::Started { attempt },
        Fact::Requeued { at } => What::Requeued { at },
        Fact::Done => What::Done,
        Fact::Dead { reason } => What::Dead { reason: reason.to_string() },
        Fact::Uncertain => What::Uncertain,
        Fact::Retried => What::Retried,
        Fact::Cancelled => What::Cancelled,
        Fact::Expired => What::Expired,
        Fact::DuplicateSend => What::DuplicateSend,
        Fact::Paused { .. }
        | Fact::Resumed
        | Fact::BreakerOpened { .. }
        | Fact::BreakerClosed
        | Fact::Event(_) => {
            return None;
        }
    })
}

fn queue_news(fact: &Fact, queue: Option<&QueueName>) -> What {
    let (kind, reason, until): (_, Option<&str>, Option<Timestamp>) = match fact {
        Fact::Paused { reason } => ("queue_paused", Some(reason), None),
        Fact::BreakerOpened { until } => ("breaker_opened", None, Some(*until)),
        Fact::BreakerClosed => ("breaker_closed", None, None),
        _ => ("queue_resumed", None, None),
    };
    other(kind, json!({ "queue": queue.map(QueueName::as_str), "reason": reason, "until": until }))
}

/// What this application logged, and what it belongs to.
struct Told {
    channel: Option<ChannelName>,
    message: Option<MessageId>,
    trace: Option<TraceId>,
    once: Option<String>,
    what: What,
}

fn event(body: &[u8], job: Option<MessageId>) -> Told {
    let (channel, message, what) = match AppEvent::decode(body) {
        Ok(AppEvent::Received { channel, id, event, trace, once }) => {
            return Told { channel: Some(channel), message: None, trace, once, what: received(id, event) };
        }
        Ok(AppEvent::Reread { channel, id, message }) => (Some(channel), None, What::Reread { id, message }),
        Ok(AppEvent::Sent { channel, provider_id, alias }) => {
            (Some(channel), job, What::Sent { provider_id, alias })
        }
        Ok(AppEvent::AttemptFailed { channel, attempt, failure }) => {
            (Some(channel), job, What::AttemptFailed { attempt, failure })
        }
        Ok(AppEvent::Consent { channel, who, wish, detail, message, identity }) => {
            let consent = Consent { who, wish, detail, message, identity };
            (Some(channel), None, What::Consent(Box::new(consent)))
        }
        Ok(AppEvent::Media { channel, news }) => (Some(channel), None, What::Media(Box::new(news))),
        Ok(AppEvent::WebhookFailed { channel, id, request_id, payload, error, detail }) => {
            let webhook = FailedWebhook {
                id,
                request_id,
                payload,
                message_id: None,
                error_message: error,
                error_stack: detail,
            };
            (Some(channel), None, What::WebhookFailed(Box::new(webhook)))
        }
        Err(error) => (None, job, other("unreadable_event", json!({ "error": error.to_string() }))),
    };
    Told { channel, message, trace: None, once: None, what }
}

fn received(id: Option<MessageId>, event: ChannelEvent) -> What {
    match (event, id) {
        (ChannelEvent::Message(message), Some(id)) => What::Inbound { id, message },
        (ChannelEvent::Message(message), None) => {
            other("message_without_id", json!({ "providerMessageId": message.provider_id }))
        }
        (ChannelEvent::Status(report), _) => What::Reported(report),
        (ChannelEvent::Echo(echo), Some(id)) => What::Echoed { id, echo },
        (ChannelEvent::Person(news), Some(id)) => What::Person { id, news },
        (ChannelEvent::Change(change), _) => What::Changed(change),
        (ChannelEvent::Template { what: news, raw }, _) => {
            let detail = json!(ChannelEvent::Template { what: news.clone(), raw });
            What::Template { news, detail }
        }
        (
            event @ (ChannelEvent::Echo(_)
            | ChannelEvent::Person(_)
            | ChannelEvent::Channel { .. }
            | ChannelEvent::Preference(_)),
            _,
        ) => {
            let kind = event.kind();
            other(&format!("{kind}_news"), json!(event))
        }
        (ChannelEvent::ChannelError { error }, _) => other("channel_error", json!(error)),
        (ChannelEvent::Other { field, raw }, _) => {
            other("channel_event", json!({ "field": field, "raw": raw }))
        }
    }
}

fn other(kind: &str, detail: serde_json::Value) -> What {
    What::Other { kind: kind.to_owned(), detail }
}
