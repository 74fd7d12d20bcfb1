//! Browser sessions.

use serde_json::Value;
use utoipa::ToSchema;

use super::channels::ChannelLimits;

/// A browser session to be created.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "desk", "settings": {"delayMinMs": 5000, "delayMaxMs": 15000, "typing": true}}))]
pub(crate) struct NewSession {
    /// 1 to 63 lower-case letters, digits, `-` or `_`.
    name: String,
    /// `delayMinMs`, `delayMaxMs`: the pause between two messages; `typing`: whether writing takes a person's time;
    /// `hours` (`{from, until, days}`) and `timeZone`: when it sends at all; `pool`: the name under which it sends together with others.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    limits: Option<ChannelLimits>,
    /// Whether it is opened at once; it is where nothing is said.
    #[schema(required = false)]
    open: bool,
}

/// A browser session.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Session {
    name: String,
    browser_system_id: Option<String>,
    /// `open` or `closed`, also after a restart of the server.
    wanted: String,
    /// `available`, `busy`, `disconnected`, `error` or `closed`.
    status: String,
    /// Why, in a word: `ready`, `scan_qr`, `logged_out`, `crashed`, `page_changed`, …
    reason: String,
    detail: Option<String>,
    since: String,
    has_qr: bool,
    restarts: u32,
    memory_bytes: Option<u64>,
    cpu_ms: Option<u64>,
    pid: Option<i32>,
    page_version: String,
    counts: SessionCounts,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// What a session did since the server was started.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SessionCounts {
    sent: u64,
    failed: u64,
    received: u64,
    /// Messages that were unread, and that the page does not show: they are on the phone alone.
    missed: u64,
    /// What opening chats took together.
    opening_ms: u64,
    writing_ms: u64,
    /// From the button to the server's tick.
    ticking_ms: u64,
}

/// The code that links a phone.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SessionQr {
    qr: String,
    shown_at: String,
    expires_at: String,
}
