//! Conversations and people as the document shows them.

use utoipa::ToSchema;
use uuid::Uuid;

use super::ContactConsent;

/// The messages with one person on one channel.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Conversation {
    /// The channel, a dot, the contact's id.
    id: String,
    channel: String,
    contact: Contact,
    /// Inbound messages that nobody looked at yet.
    unread: u64,
    last_inbound_at: Option<String>,
    /// Until when free text may be sent: 24 hours from their last message.
    window_until: Option<String>,
    last_message: LastMessage,
    /// Who cares for it.
    assignee: Option<String>,
    labels: Vec<String>,
    /// Why nothing is sent to them, where that is so.
    suppressed: Option<Suppression>,
    created_at: String,
}

/// The newest message of a conversation.
#[derive(ToSchema)]
pub(crate) struct LastMessage {
    id: Uuid,
    /// `outbound` or `inbound`.
    direction: String,
    at: String,
    r#type: Option<String>,
    /// What a person would read of it first.
    text: Option<String>,
    status: Option<String>,
}

/// A person.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Contact {
    id: String,
    /// What you call them, else the name in their profile.
    name: Option<String>,
    /// All that they are known by.
    identities: Vec<ContactIdentity>,
    /// Texts, numbers and flags by name.
    #[schema(value_type = Object)]
    attributes: (),
    tags: Vec<String>,
    consent: ContactConsent,
    created_at: String,
    updated_at: String,
}

/// One thing that a person is known by.
#[derive(ToSchema)]
pub(crate) struct ContactIdentity {
    /// `phone`, `bsuid`, `wa_id` (the provider's spelling of the account) or `lid`.
    r#type: String,
    value: String,
}

/// Somebody to whom nothing is sent.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Suppression {
    /// A phone number or a business-scoped user id.
    recipient: String,
    /// On which channel; null: on all.
    channel: Option<String>,
    /// `opt_out`, `blocked` or `manual`.
    reason: String,
    /// The word they wrote, or more on why.
    detail: Option<String>,
    /// The message that they wrote it in.
    message_id: Option<Uuid>,
    created_at: String,
}

/// An emoji put to a message.
#[derive(ToSchema)]
pub(crate) struct Reaction {
    emoji: String,
    /// A phone number or id, or `business`.
    by: String,
    at: String,
}

/// What an edited message says.
#[derive(ToSchema)]
pub(crate) struct Edited {
    #[schema(value_type = Object)]
    content: serde_json::Value,
    text: Option<String>,
    at: String,
}

/// An option of a poll, and who chose it.
#[derive(ToSchema)]
pub(crate) struct Votes {
    option: String,
    voters: Vec<String>,
}

/// What was queued to be read again.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Reparsed {
    /// Messages whose type was not known.
    messages: u64,
    /// Fields of webhooks that were not known.
    events: u64,
    /// Failed webhooks that were not replayed yet.
    failed_webhooks: u64,
    /// What came to channels that are gone or do not work: left as it is.
    skipped: u64,
    /// How many are to be looked at yet.
    left: u64,
    /// Where the next order goes on (`after`); null where all was looked at.
    next: Option<String>,
}

/// How many failed webhooks were queued again.
#[derive(ToSchema)]
pub(crate) struct Replayed {
    replayed: u64,
}
