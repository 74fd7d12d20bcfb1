//! The shapes of requests and answers as the OpenAPI document shows them.
//!
//! What is read and written are the application's own types; these describe them to strangers and are never made.
//! A test compares every answer that the tests see with its description here.

#![expect(dead_code, reason = "descriptions")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, IntoResponses, ToSchema};
use uuid::Uuid;

use crate::problem::ProblemDocument;

/// The header that makes a request safe to repeat.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Makes the request safe to repeat: 1 to 255 visible ASCII characters, quoted or bare.
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// So many entries at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What every route may answer.
#[derive(IntoResponses)]
pub(crate) enum Errors {
    /// The request was refused; `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(ProblemDocument<'static>),
    /// The server could not do it; `Retry-After` says when to come back.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Failed(ProblemDocument<'static>),
}

/// One thing that is wrong with the input.
#[derive(ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer into what was sent; empty for the whole.
    pointer: String,
    /// What is wrong, for people.
    detail: String,
}

/// A page of a list.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Pass it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A message to be queued. Either form may be used; their names are not mixed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "channel": "demo", "to": "+34600111222", "type": "text", "content": {"text": "Hola"}, "priority": "normal"
}))]
pub(crate) struct NewMessage {
    /// Your own id: repeating the request is then safe for as long as the message is kept.
    id: Option<Uuid>,
    /// The channel that sends it; may be left out where there is only one.
    channel: Option<String>,
    /// The other form's `channel`.
    instance_name: Option<String>,
    /// A phone number with its country code, or a business-scoped user id.
    to: Option<String>,
    /// The other form's `to`.
    recipient_phone: Option<String>,
    /// `text`, `image`, `video`, `audio`, `document`, `sticker`, `location`, `contacts`, `interactive`, `template`,
    /// `reaction` or `poll`.
    r#type: Option<String>,
    /// The other form's `type`.
    message_type: Option<String>,
    /// What it says, by type. Text: `{text}`. Media: `{link | id, caption?, filename?, voice?}`. Location: `{latitude,
    /// longitude, name?, address?}`. Template: `{name, language, components?}`. Interactive: `{type, header?, body,
    /// footer?, action}`. Reaction: `{messageId, emoji}`. Poll: `{question, options, selectableCount}`. Contacts:
    /// `{contacts: [{name: {formattedName, …}, phones, …}]}`.
    #[schema(value_type = Object)]
    content: Value,
    /// `hold`, `retry` or `drop`: what becomes of it when its outcome stays unknown. The channel's setting by default.
    on_uncertain: Option<String>,
    /// The provider's id of the message that it answers.
    reply_to: Option<String>,
    /// A template that is sent instead where free text may not be: `{name, language, components?}`.
    #[schema(value_type = Option<Object>)]
    fallback: Option<Value>,
    /// `critical`, `high`, `normal` (the default) or `low`. The other form has it in `metadata.priority`.
    priority: Option<String>,
    /// Not before this time (RFC 3339).
    scheduled_at: Option<String>,
    /// Not after this time: a message that has not been started by then expires.
    expires_at: Option<String>,
    /// The campaign it belongs to.
    campaign_id: Option<String>,
    /// Yours; kept with the message.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// A message that was queued.
#[derive(ToSchema)]
pub(crate) struct Submitted {
    id: Uuid,
    /// `queued` or `scheduled`.
    status: String,
}

/// A message's new state.
#[derive(ToSchema)]
pub(crate) struct MessageState {
    id: Uuid,
    status: String,
}

/// A message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Message {
    id: Uuid,
    /// `outbound` or `inbound`.
    direction: String,
    channel: String,
    /// The other party: phone number or business-scoped user id.
    contact: String,
    /// The other party of an outbound message.
    to: Option<String>,
    /// The other party of an inbound message.
    from: Option<String>,
    r#type: String,
    #[schema(value_type = Object)]
    content: Value,
    /// Outbound: `scheduled`, `queued`, `sending`, `uncertain`, `sent`, `delivered`, `read`, `failed`, `cancelled`,
    /// `expired`. Inbound: `received`.
    status: String,
    priority: Option<String>,
    campaign_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    provider_message_id: Option<String>,
    /// Attempts that were started.
    attempts: u32,
    /// Why it failed, for people.
    reason: Option<String>,
    /// Why it failed, as the provider numbers it.
    code: Option<String>,
    created_at: String,
    updated_at: String,
    scheduled_at: Option<String>,
    expires_at: Option<String>,
    sent_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    failed_at: Option<String>,
    /// It came without an id, and looks like one that came just before.
    possible_duplicate: bool,
}

/// A message with its timeline.
#[derive(ToSchema)]
pub(crate) struct MessageDetail {
    #[schema(inline)]
    #[serde(flatten)]
    message: Message,
    timeline: Vec<TimelineEntry>,
}

/// Something that happened to a message.
#[derive(ToSchema)]
pub(crate) struct TimelineEntry {
    /// Its place in the journal.
    cursor: u64,
    at: String,
    /// What happened.
    kind: String,
    #[schema(value_type = Object)]
    detail: Value,
}

/// What holds a message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Explanation {
    id: Uuid,
    status: String,
    /// The most important first.
    holds: Vec<Hold>,
    /// The earliest time at which it starts if nothing else changes; null where only a person or evidence can tell.
    expected_at: Option<String>,
    /// Messages of its queue that go before it.
    ahead: u64,
}

/// One thing that holds a message.
#[derive(ToSchema)]
pub(crate) struct Hold {
    /// `scheduled`, `backoff`, `paused`, `groupPaused`, `breaker`, `throttled`, `window`, `concurrency`, `pair`,
    /// `budget`, `order`, `turn`, `leased` or `uncertain`.
    kind: String,
    detail: String,
    until: Option<String>,
}

/// The queues in numbers.
#[derive(ToSchema)]
pub(crate) struct QueueStats {
    /// Inbound webhooks.
    webhook: QueueTotals,
    /// Outbound messages.
    message: QueueTotals,
    deduplication: Deduplication,
    queues: Vec<Queue>,
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
    limits: EffectiveLimits,
}

/// Limits as they hold.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct EffectiveLimits {
    windows: Vec<LimitWindow>,
    pair: Option<LimitPair>,
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

/// A channel to be created.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "demo", "provider": "sandbox"}))]
pub(crate) struct NewChannel {
    /// 1 to 63 lower-case letters, digits, `-` or `_`.
    name: String,
    /// `cloud_api`, `twilio`, `evolution`, `web` or `sandbox`.
    provider: String,
    /// The provider's, without secrets.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// Write-only.
    credentials: Option<BTreeMap<String, String>>,
    limits: Option<ChannelLimits>,
    /// What to do with a message whose outcome stays unknown: `hold` (the default), `retry` or `drop`.
    on_uncertain: Option<String>,
}

/// A change of a channel.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ChannelPatch {
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// Those named are replaced.
    credentials: Option<BTreeMap<String, String>>,
    limits: Option<ChannelLimits>,
    on_uncertain: Option<String>,
}

/// What a channel allows.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ChannelLimits {
    /// A named set of limits (`evolution`, `twilio`, `cloud_api`, `unlimited`); what follows overrides it.
    profile: Option<String>,
    /// Sliding windows; all hold at once.
    windows: Option<Vec<LimitWindow>>,
    /// Sends at the same time.
    concurrency: Option<u32>,
    /// Pace to one recipient.
    pair: Option<LimitPair>,
    /// The breaker opens after so many failures in a row; 0 never.
    breaker_failures: Option<u32>,
    /// And lets a probe through after so long.
    breaker_seconds: Option<u64>,
    /// How long one call to the provider may take.
    deadline_seconds: Option<u64>,
    /// How long later messages to somebody wait behind an uncertain one.
    order_wait_seconds: Option<u64>,
    /// How long an uncertain message waits for evidence before `onUncertain` is applied.
    uncertain_wait_seconds: Option<u64>,
}

/// No more than `max` in any span of `perSeconds`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LimitWindow {
    max: u32,
    per_seconds: f64,
}

/// One in `intervalSeconds`, `burst` at once at most.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LimitPair {
    interval_seconds: f64,
    burst: u32,
}

/// A channel.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Channel {
    name: String,
    provider: String,
    #[schema(value_type = Object)]
    settings: Value,
    /// The names of those that are set.
    credentials: Vec<String>,
    /// As they were given.
    limits: ChannelLimits,
    /// As they hold; null where the channel is broken.
    effective_limits: Option<EffectiveLimits>,
    on_uncertain: String,
    /// Why it is paused; null where it is not.
    paused: Option<String>,
    breaker: String,
    /// `active`, `paused` or `broken`.
    state: String,
    problem: Option<String>,
    waiting: u64,
    created_at: String,
    updated_at: String,
}

/// What the provider said to a test.
#[derive(ToSchema)]
pub(crate) struct ChannelTest {
    ok: bool,
    detail: String,
}

/// A key to be created.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "shop", "role": "operator", "channels": ["demo"]}))]
pub(crate) struct NewKey {
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: String,
    /// The only channels it may see and use; all where it is left out.
    channels: Option<Vec<String>>,
    expires_at: Option<String>,
}

/// A key, without its secret.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ApiKey {
    id: String,
    name: String,
    role: String,
    channels: Option<Vec<String>>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
}

/// A new key.
#[derive(ToSchema)]
pub(crate) struct CreatedKey {
    #[schema(inline)]
    #[serde(flatten)]
    key: ApiKey,
    /// Shown this once.
    secret: String,
}

/// A webhook that could not be understood.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct FailedWebhook {
    id: String,
    request_id: Option<String>,
    channel: String,
    payload: String,
    message_id: Option<String>,
    error_message: Option<String>,
    error_stack: Option<String>,
    created_at: String,
    replayed_at: Option<String>,
}

/// The process lives.
#[derive(ToSchema)]
pub(crate) struct Alive {
    /// `pass`.
    status: String,
}

/// Whether the process can do its work.
#[derive(ToSchema)]
pub(crate) struct Readiness {
    /// `pass`, `warn` or `fail`.
    status: String,
    checks: BTreeMap<String, Check>,
    /// The level that answers are durable at (GUARANTEES §9).
    durability: String,
}

/// One thing that was looked at.
#[derive(ToSchema)]
pub(crate) struct Check {
    status: String,
    detail: String,
}
