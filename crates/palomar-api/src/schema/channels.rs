//! Channels, keys, failed webhooks.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::EffectiveLimits;

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
    /// New recipients of a portfolio, over all channels that name it.
    budget: Option<LimitBudget>,
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

/// No more than `max` distinct recipients in any span of `perHours` (24 by default) over all channels of the portfolio.
/// Messages to whoever wrote in the last 24 hours cost nothing.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LimitBudget {
    portfolio: String,
    max: u32,
    #[schema(required = false)]
    per_hours: f64,
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
