//! Events as the document shows them.

use utoipa::ToSchema;
use uuid::Uuid;

/// Something that happened.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Its place, the same on all nodes: what a client names to go on from there.
    #[schema(example = "1041-0")]
    id: String,
    #[schema(example = "message.received")]
    r#type: String,
    time: String,
    channel: Option<String>,
    /// The channel, a dot, the contact's id.
    conversation: Option<String>,
    message_id: Option<Uuid>,
    /// The trace of what was received or accepted (W3C Trace Context), for a `traceparent` of one's own.
    trace: Option<String>,
    /// What the type says; see docs/EVENTS.md.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}
