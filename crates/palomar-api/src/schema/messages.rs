//! Messages, and what is asked and said of them.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::conversations::{Edited, Reaction, Votes};

/// A message to be queued. Either form may be used; their names are not mixed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "channel": "demo", "to": "+34600111222", "type": "text", "content": {"text": "Hola"}, "priority": "normal"
}))]
pub(crate) struct NewMessage {
    /// Your own id: repeating the request is then safe for as long as the message is kept. The same id with another
    /// message is refused: 422 `idempotency_mismatch`, or 409 `id_taken` where it is another channel's.
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
    /// `queued` or `scheduled`; `expired` where a request with an `Idempotency-Key` came after its `expiresAt`.
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
    /// The emojis put to it.
    reactions: Vec<Reaction>,
    /// What it says since it was edited.
    edited: Option<Edited>,
    /// When it was deleted for everyone; what it said is kept.
    deleted_at: Option<String>,
    /// How the poll in it stands.
    votes: Vec<Votes>,
    /// The files that came with it, each fetched after the message.
    media: Vec<Media>,
}

/// A file that came with a message; `GET /api/media/{id}` has the bytes.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Media {
    id: Uuid,
    /// `pending`, `stored`, `failed` or `deleted` (its time is over).
    state: String,
    /// By its bytes, whatever its sender says.
    r#type: Option<String>,
    /// In bytes.
    size: Option<u64>,
    /// In hexadecimal.
    sha256: Option<String>,
    /// The sender's name for it.
    filename: Option<String>,
    /// Why it could not be fetched.
    error: Option<String>,
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
