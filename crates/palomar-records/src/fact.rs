//! What records are told: facts, each with its place in the event log.

use palomar_model::{
    ChannelName, Echo, InboundMessage, MediaNews, MediaProgress, MessageChange, MessageId, Outbound,
    PersonNews, ProviderMessageId, SendFailure, Sender, StatusReport, TemplateNews, Timestamp, TraceId, Wish,
};
use serde_json::Value;

/// One fact. Facts come in the order of their cursors.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordFact {
    /// Its number in the event log.
    pub cursor: u64,
    /// When it happened, by our clock.
    pub at: Timestamp,
    /// The channel it is about.
    pub channel: Option<ChannelName>,
    /// The message it is about.
    pub message: Option<MessageId>,
    /// The trace that it belongs to, where that is named.
    pub trace: Option<TraceId>,
    /// What it takes effect by, once; where that is nothing of its own.
    pub once: Option<String>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A message was accepted.
    Accepted {
        /// The message.
        message: Box<Outbound>,
        /// Whether for later.
        scheduled: bool,
    },
    /// Its time came.
    Due,
    /// An attempt started.
    Started {
        /// Its number.
        attempt: u32,
    },
    /// The attempt is known not to have been taken: queued again, not before this time.
    Requeued {
        /// Not before.
        at: Timestamp,
    },
    /// The queue is done with it: taken by the provider.
    Done,
    /// The provider took it, and named it.
    Sent {
        /// By which name.
        provider_id: ProviderMessageId,
        /// The provider's own spelling of the recipient's account.
        alias: Option<String>,
    },
    /// An attempt failed; what follows from it is a fact of its own.
    AttemptFailed {
        /// Its number.
        attempt: u32,
        /// How.
        failure: SendFailure,
    },
    /// No further attempt.
    Dead {
        /// Why.
        reason: String,
    },
    /// The outcome of the attempt is not known.
    Uncertain,
    /// A further attempt was ordered.
    Retried,
    /// A person ordered a further attempt of a message that the queue had forgotten: it has a new job, whose attempts
    /// are counted from 1 again.
    QueuedAnew {
        /// Attempts of its earlier jobs.
        earlier_attempts: u32,
    },
    /// Called off.
    Cancelled,
    /// No longer worth sending.
    Expired,
    /// It is known to have gone out twice.
    DuplicateSend,
    /// The provider reports on a message of ours.
    Reported(Box<StatusReport>),
    /// Somebody wrote.
    Inbound {
        /// Our id for it.
        id: MessageId,
        /// What came.
        message: Box<InboundMessage>,
    },
    /// A message whose type was not known, read again by a version that knows it.
    Reread {
        /// Our id for it.
        id: MessageId,
        /// What it is.
        message: Box<InboundMessage>,
    },
    /// The business wrote, elsewhere.
    Echoed {
        /// Our id for it.
        id: MessageId,
        /// What.
        echo: Box<Echo>,
    },
    /// Something was done to an earlier message.
    Changed(Box<MessageChange>),
    /// News of a person's names and ids.
    Person {
        /// The id of the person, where they are not known.
        id: MessageId,
        /// What.
        news: Box<PersonNews>,
    },
    /// Somebody wants to get no more, or to get messages again.
    Consent(Box<Consent>),
    /// News of media that came with a message.
    Media(Box<MediaNews>),
    /// News of a template.
    Template {
        /// What.
        news: Box<TemplateNews>,
        /// All that the provider sent.
        detail: Value,
    },
    /// A webhook that could not be processed.
    WebhookFailed(Box<FailedWebhook>),
    /// Anything else, for the journal alone.
    Other {
        /// What.
        kind: String,
        /// More about it; of what a provider sends and we do not know, all of it.
        detail: Value,
    },
}

/// Somebody wants to get no more, or to get messages again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Who.
    pub who: Sender,
    /// What they want.
    pub wish: Wish,
    /// The word they wrote, or what of.
    pub detail: Option<String>,
    /// The message that they wrote it in.
    pub message: Option<MessageId>,
    /// What makes two of these the same: a second one changes nothing.
    pub identity: String,
}

/// A webhook that could not be processed, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedWebhook {
    /// Its id.
    pub id: MessageId,
    /// The id of the request that brought it.
    pub request_id: String,
    /// The job payload: what a replay queues again.
    pub payload: String,
    /// The message it is about, where that can be told.
    pub message_id: Option<String>,
    /// Why it could not be processed.
    pub error_message: String,
    /// More on that.
    pub error_stack: Option<String>,
}

impl What {
    /// The word for it, in journals and timelines. A report is called by what it says.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            What::Accepted { .. } => "accepted",
            What::Due => "due",
            What::Started { .. } => "started",
            What::Requeued { .. } => "requeued",
            What::Done => "done",
            What::Sent { .. } => "sent",
            What::AttemptFailed { .. } => "attempt_failed",
            What::Dead { .. } => "failed",
            What::Uncertain => "uncertain",
            What::Retried | What::QueuedAnew { .. } => "retried",
            What::Cancelled => "cancelled",
            What::Expired => "expired",
            What::DuplicateSend => "duplicate",
            What::Reported(report) => report.status.as_str(),
            What::Inbound { .. } => "received",
            What::Reread { .. } => "reread",
            What::Echoed { .. } => "echoed",
            What::Changed(change) => change.change.kind(),
            What::Person { .. } => "person",
            What::Consent(consent) => match &consent.wish {
                Wish::Stop => "opted_out",
                Wish::Resume => "opted_in",
                Wish::Other(_) => "preference",
            },
            What::Media(news) => match &news.progress {
                MediaProgress::Pending => "media_pending",
                MediaProgress::Stored { .. } => "media_stored",
                MediaProgress::Failed { .. } => "media_failed",
            },
            What::Template { .. } => "template_news",
            What::WebhookFailed(_) => "webhook_failed",
            What::Other { kind, .. } => kind,
        }
    }

    /// What the journal keeps of it. Who it was and what was written is in the message, not here.
    pub(crate) fn detail(&self) -> Value {
        use serde_json::json;
        match self {
            What::Accepted { message, .. } => json!({
                "priority": message.priority, "scheduledAt": message.scheduled_at, "expiresAt": message.expires_at,
            }),
            What::Started { attempt } => json!({ "attempt": attempt }),
            What::Requeued { at } => json!({ "at": at }),
            What::Sent { provider_id, .. } => json!({ "providerMessageId": provider_id }),
            What::AttemptFailed { attempt, failure } => json!({
                "attempt": attempt, "class": failure.class.as_str(), "code": failure.code, "title": failure.title,
            }),
            What::Dead { reason } => json!({ "reason": reason }),
            What::Reported(report) => json!({
                "providerMessageId": report.provider_id, "at": report.at, "status": report.status,
                "attempt": report.tag.map(|tag| tag.attempt), "errors": report.errors, "pricing": report.pricing,
                "conversation": report.conversation, "raw": report.raw,
            }),
            What::Inbound { message, .. } | What::Reread { message, .. } => {
                json!({ "providerMessageId": message.provider_id, "type": message.kind })
            }
            What::Echoed { echo, .. } => {
                json!({ "providerMessageId": echo.message.provider_id, "type": echo.message.kind })
            }
            What::Changed(change) => json!({ "of": change.of, "at": change.at }),
            What::Person { news, .. } => json!({ "at": news.at }),
            What::Consent(consent) => json!({ "detail": consent.detail, "message": consent.message }),
            What::Media(news) => match &news.progress {
                MediaProgress::Pending => json!({ "id": news.id }),
                MediaProgress::Stored { sha256, size, r#type, .. } => {
                    json!({ "id": news.id, "type": r#type, "size": size, "sha256": sha256 })
                }
                MediaProgress::Failed { error } => json!({ "id": news.id, "error": error }),
            },
            What::WebhookFailed(webhook) => json!({ "id": webhook.id, "error": webhook.error_message }),
            What::Template { detail, .. } | What::Other { detail, .. } => detail.clone(),
            What::QueuedAnew { earlier_attempts } => json!({ "earlierAttempts": earlier_attempts }),
            What::Due
            | What::Done
            | What::Uncertain
            | What::Retried
            | What::Cancelled
            | What::Expired
            | What::DuplicateSend => json!({}),
        }
    }
}
