//! Send jobs.

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A send job to be created: `messages`, or one by `to` and `message`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"channel": "desk", "delayMs": 2000, "messages": [{"to": "+34600111222", "message": "Mensaje 1"}, {"to": "+34600333444", "message": "Mensaje 2"}]}))]
pub(crate) struct NewSendJob {
    /// The session, or any other channel, or a pool of sessions. Also as `browserContextId`, `instanceName`.
    channel: String,
    /// In order, at most 10,000: each `{to, message}`, or a request as for a message.
    #[schema(value_type = Option<Vec<Object>>)]
    messages: Option<Vec<Value>>,
    to: Option<String>,
    message: Option<String>,
    /// From the end of one message to the next, in milliseconds. Also as `delay`, `delayBetweenMessages`.
    #[schema(required = false)]
    delay_ms: u64,
    /// For all messages that have none of their own; `priority` in it is theirs.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A send job.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SendJob {
    /// Its messages name it as their `campaignId`.
    id: String,
    channel: String,
    /// `single` or `bulk`.
    kind: String,
    /// `pending`, `running`, `completed`, `failed`, `paused` or `cancelled`.
    status: String,
    delay_ms: u64,
    progress: SendJobProgress,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    updated_at: String,
}

/// How far a send job is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SendJobProgress {
    total: u64,
    /// Those that are accounted for.
    processed: u64,
    percentage: f64,
    waiting: u64,
    sending: u64,
    sent: u64,
    delivered: u64,
    read: u64,
    failed: u64,
    /// Of the failed ones, those that nobody may be sent.
    refused: u64,
    uncertain: u64,
    cancelled: u64,
}

/// A send job after an order.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SendJobOrdered {
    /// Attempts that had started and are under way.
    in_flight: u64,
    id: String,
    channel: String,
    kind: String,
    status: String,
    delay_ms: u64,
    progress: SendJobProgress,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    updated_at: String,
}

/// Send jobs in numbers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SendJobStats {
    /// Jobs of one message.
    message_queue: SendJobQueue,
    /// Jobs of many.
    bulk_message_queue: SendJobQueue,
}

/// Send jobs of one kind.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SendJobQueue {
    waiting: u64,
    active: u64,
    completed: u64,
    failed: u64,
    paused: u64,
    cancelled: u64,
    /// May run at once, over all sessions.
    concurrency: u64,
}

/// Send jobs that were forgotten.
#[derive(ToSchema)]
pub(crate) struct SendJobsCleaned {
    removed: u64,
}
