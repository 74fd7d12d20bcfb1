//! Alerts as the document shows them.

use utoipa::ToSchema;

/// Something that was found to be wrong.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Alert {
    id: String,
    /// `breaker_open`, `failure_rate_high`, `queue_wait_high`, `queue_saturated`, `channel_paused`, `messages_uncertain` or
    /// `channel_disconnected`.
    rule: String,
    /// The queue that it is about, such as `outbound/main`.
    subject: String,
    /// `warning` or `critical`.
    severity: String,
    /// `firing` or `resolved`.
    state: String,
    /// For people.
    detail: String,
    fired_at: String,
    resolved_at: Option<String>,
    /// When somebody said that they know of it.
    acknowledged_at: Option<String>,
    acknowledged_by: Option<String>,
}
