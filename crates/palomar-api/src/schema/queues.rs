//! Queues in numbers, what commands did to them, dead letters.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use uuid::Uuid;

use super::{LimitBudget, LimitPair, LimitWindow, Message};

/// The queues in numbers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct QueueStats {
    /// Inbound webhooks.
    webhook: QueueTotals,
    /// Outbound messages.
    message: QueueTotals,
    deduplication: Deduplication,
    queues: Vec<Queue>,
    /// The processes that share the queues; none for a key that is bound to channels.
    nodes: Vec<Node>,
    /// What waits on the disk of the node that answers; null where its queues are there too, and for a key that is bound to
    /// channels.
    spool: Option<Spool>,
    /// When these numbers were read, where the queues can't be reached now; else null.
    as_of: Option<String>,
}

/// Messages and webhooks that were accepted while the queues could not be reached.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Spool {
    items: u64,
    bytes: u64,
    limit_bytes: u64,
    oldest_at: Option<String>,
    /// Why the queues can't be reached; null where they can.
    queues_away: Option<String>,
    /// Why what waits can't be handed over, though the queues can be reached (Redis has no memory left, say); null where it is.
    stuck: Option<String>,
}

/// A process that shares the queues.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Node {
    /// What it is called: another one after each start.
    id: String,
    /// What its machine is called.
    name: String,
    /// `all`, `api`, `worker` or `intake`.
    role: String,
    version: String,
    /// The pools of queues that it works.
    queues: Vec<String>,
    /// By the database's clock, as the heartbeat.
    started_at: String,
    /// Its last sign of life.
    heartbeat_at: String,
    heartbeat_age_seconds: f64,
    /// Whether it is the one that answers.
    answers: bool,
}

/// Jobs of several queues, by state.
#[derive(ToSchema)]
pub(crate) struct QueueTotals {
    waiting: u64,
    active: u64,
    completed: u64,
    failed: u64,
    delayed: u64,
}

/// Identities that are remembered.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Deduplication {
    /// Identities that are remembered.
    cached_messages: u64,
    /// Requests that were answered from them.
    hits: u64,
}

/// A queue in numbers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Queue {
    /// `pool/name`; a channel's is `outbound/<channel>`.
    queue: String,
    /// Why it is paused; null where it is not.
    paused: Option<String>,
    paused_groups: Vec<String>,
    /// `closed`, `open` or `halfOpen`.
    breaker: String,
    breaker_until: Option<String>,
    /// Share of the configured rate in force after throttling, in thousandths.
    rate_permille: u32,
    /// Due, and not started.
    waiting: u64,
    scheduled: u64,
    /// Of those waiting: in a worker's hands.
    leased: u64,
    /// Started.
    active: u64,
    uncertain: u64,
    dead: u64,
    /// Done, and still kept.
    done: u64,
    cancelled: u64,
    expired: u64,
    by_priority: BTreeMap<String, u64>,
    /// Ever accepted.
    accepted: u64,
    /// Ever started.
    starts: u64,
    /// Ever done.
    completed: u64,
    duplicate_sends: u64,
    oldest_waiting_at: Option<String>,
    next_start_at: Option<String>,
    /// Distinct recipients that count against its portfolio's budget now.
    budget_used: Option<u64>,
    limits: EffectiveLimits,
}

/// Limits as they hold.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct EffectiveLimits {
    windows: Vec<LimitWindow>,
    pair: Option<LimitPair>,
    budget: Option<LimitBudget>,
    concurrency: u32,
    deadline_seconds: f64,
}

/// Queues that were paused.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Paused {
    queues: Vec<String>,
    paused: u64,
    /// Attempts that had started before; no further one starts.
    in_flight: u64,
}

/// Queues that were resumed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Resumed {
    queues: Vec<String>,
    resumed: u64,
    in_flight: u64,
}

/// Queues that were cleared.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Cleared {
    queues: Vec<String>,
    /// Jobs that were cancelled.
    cleared: u64,
    in_flight: u64,
}

/// Queues that were cleaned.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Cleaned {
    queues: Vec<String>,
    /// Jobs that were forgotten.
    cleaned: u64,
    in_flight: u64,
}

/// What a command did to a channel's queue.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Control {
    queues: Vec<String>,
    /// Jobs that were changed.
    changed: u64,
    /// Attempts in flight.
    in_flight: u64,
}

/// A job that waits for a person.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    id: Uuid,
    queue: String,
    channel: String,
    /// `dead` or `uncertain`.
    state: String,
    reason: Option<String>,
    attempts: u32,
    enqueued_at: String,
    priority: String,
    campaign_id: Option<String>,
    message: Option<Message>,
}
