//! Analytics, as the document shows them.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

use super::rates::Amount;

/// From when to when is asked about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeParams {
    /// `day`, `week` (the default), `month`, `year` or a number of days such as `90d`; the day under way is the last.
    period: Option<String>,
    /// In place of a period: from this moment on.
    from: Option<String>,
    /// Up to this one; now where left out.
    to: Option<String>,
    /// The time zone of days, such as `Europe/Madrid`; UTC where left out.
    zone: Option<String>,
    /// Only this channel.
    channel: Option<String>,
    /// Only this campaign.
    campaign: Option<String>,
    /// Only this template.
    template: Option<String>,
    /// Only messages of this type.
    r#type: Option<String>,
    /// Only people of this country (ISO 3166).
    country: Option<String>,
    /// Only messages of this priority.
    priority: Option<String>,
}

/// From when to when: what was asked for, cut at quarters of an hour.
#[derive(ToSchema)]
pub(crate) struct AnalyticsRange {
    /// The period, `range` or `previous`.
    period: String,
    from: String,
    to: String,
    zone: String,
}

/// How often what happened to messages, by the time at which it happened.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MessageCounts {
    accepted: u64,
    /// Taken by the provider, for the first time.
    sent: u64,
    delivered: u64,
    read: u64,
    failed: u64,
    /// Failed, and went on after all.
    recovered: u64,
    uncertain: u64,
    cancelled: u64,
    expired: u64,
    received: u64,
    /// Written by the business, elsewhere.
    echoed: u64,
    attempts: u64,
    attempts_failed: u64,
    duplicates: u64,
    /// Delivered for each sent in the same time.
    delivery_rate: Option<f64>,
    /// Read for each delivered in the same time.
    read_rate: Option<f64>,
    failures: Vec<FailureCount>,
}

/// Why messages failed.
#[derive(ToSchema)]
pub(crate) struct FailureCount {
    /// Why no further attempt was made, or `reported` by the provider.
    class: String,
    /// The provider's code.
    code: Option<String>,
    count: u64,
}

/// Counts of a range, and of its groups.
#[derive(ToSchema)]
pub(crate) struct AnalyticsMessages {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    #[schema(inline)]
    #[serde(flatten)]
    total: MessageCounts,
    /// By what they were told apart.
    #[schema(required = false)]
    groups: BTreeMap<String, MessageCounts>,
}

/// How long something took. Percentiles are within 1.6 %.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Times {
    count: u64,
    mean_ms: Option<f64>,
    min_ms: Option<f64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

/// How people are answered.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ConversationCounts {
    /// Conversations that had messages.
    active: u64,
    /// Conversations that began.
    new: u64,
    /// How often somebody wrote and waited for an answer.
    asked: u64,
    /// How often somebody who waited was answered.
    answered: u64,
    response_rate: Option<f64>,
    first_response: Times,
    response: Times,
}

/// The same, with its range.
#[derive(ToSchema)]
pub(crate) struct AnalyticsConversations {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    #[schema(inline)]
    #[serde(flatten)]
    counts: ConversationCounts,
}

/// How fast it went.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Performance {
    sent_per_minute: f64,
    received_per_minute: f64,
    /// Attempts that failed for each that started.
    attempt_failure_rate: Option<f64>,
    /// By stage: `queue_wait`, `provider_latency`, `accepted_to_sent`, `sent_to_delivered`, `delivered_to_read`.
    times: BTreeMap<String, Times>,
}

/// The same, with its range.
#[derive(ToSchema)]
pub(crate) struct AnalyticsPerformance {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    #[schema(inline)]
    #[serde(flatten)]
    performance: Performance,
}

/// Conversions of a kind and currency.
#[derive(ToSchema)]
pub(crate) struct ConversionCount {
    kind: String,
    /// None of those without a value.
    currency: Option<String>,
    count: u64,
    /// How many of them are put down to a message or a campaign.
    attributed: u64,
    /// What they are worth together.
    value: f64,
}

/// A list with its range.
#[derive(ToSchema)]
pub(crate) struct AnalyticsList<T> {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    items: Vec<T>,
}

/// A campaign in a range.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AnalyticsCampaign {
    campaign_id: String,
    #[schema(inline)]
    #[serde(flatten)]
    messages: MessageCounts,
    /// Of the messages that were delivered in the range, a currency after another.
    cost: Vec<Amount>,
    /// Messages that no rate is for.
    unpriced: u64,
    /// Left out where the question narrows by more than channel and campaign.
    #[schema(required = false)]
    conversions: Vec<ConversionCount>,
    /// Revenue less cost for each unit of cost; null where that can't be said.
    roi: Option<f64>,
}

/// A conversation with how many messages it had.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TopConversation {
    channel: String,
    contact_id: String,
    received: u64,
    sent: u64,
}

/// A series of one metric.
#[derive(ToSchema)]
pub(crate) struct TimeSeries {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    metric: String,
    /// Of a time: which of a hundred took no longer.
    #[schema(required = false)]
    percentile: u32,
    bucket: String,
    /// The finest that this range and metric have.
    finest: String,
    series: Vec<TimeSeriesGroup>,
}

/// One series, or one of a group; the 50 largest groups are shown.
#[derive(ToSchema)]
pub(crate) struct TimeSeriesGroup {
    group: String,
    points: Vec<TimePoint>,
}

/// A stretch with its value.
#[derive(ToSchema)]
pub(crate) struct TimePoint {
    /// When it begins.
    at: String,
    /// How often, or how many milliseconds.
    value: Option<f64>,
    /// Of a time: how often it was measured.
    #[schema(required = false)]
    count: u64,
}

/// Everything about a range.
#[derive(ToSchema)]
pub(crate) struct AnalyticsReport {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    messages: MessageCounts,
    /// Left out where the report narrows by more than the channel.
    #[schema(required = false)]
    conversations: ConversationCounts,
    /// Left out where it narrows by more than channel and campaign.
    #[schema(required = false)]
    conversions: Vec<ConversionCount>,
    campaigns: Vec<AnalyticsCampaign>,
    performance: Performance,
    /// How long each stretch of `series` is: `hour` or `day`.
    bucket: String,
    series: Vec<ReportStretch>,
    #[schema(required = false)]
    previous: AnalyticsPrevious,
}

/// The range before, of the same length.
#[derive(ToSchema)]
pub(crate) struct AnalyticsPrevious {
    #[schema(inline)]
    #[serde(flatten)]
    range: AnalyticsRange,
    messages: MessageCounts,
    /// Left out where the report narrows by more than the channel.
    #[schema(required = false)]
    conversations: ConversationCounts,
    /// Left out where it narrows by more than channel and campaign.
    #[schema(required = false)]
    conversions: Vec<ConversionCount>,
}

/// A stretch of a report.
#[derive(ToSchema)]
pub(crate) struct ReportStretch {
    at: String,
    sent: u64,
    delivered: u64,
    read: u64,
    failed: u64,
    received: u64,
}

/// What a conversation led to.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewConversion {
    /// What makes it the same as another: it counts once. One is made where it is left out.
    #[schema(required = false)]
    id: Option<String>,
    /// `lead`, `appointment`, `sale`, or a word of your own.
    kind: String,
    #[schema(required = false)]
    value: Option<f64>,
    /// ISO 4217; needed beside a value.
    #[schema(required = false)]
    currency: Option<String>,
    /// When; now where left out.
    #[schema(required = false)]
    at: Option<String>,
    /// The message that led to it; else it is put down to the newest that was sent to the person within the window.
    #[schema(required = false)]
    message_id: Option<String>,
    /// The person: a phone number or a business-scoped user id.
    #[schema(required = false)]
    to: Option<String>,
    #[schema(required = false)]
    channel: Option<String>,
    #[schema(required = false)]
    campaign_id: Option<String>,
    #[schema(required = false, value_type = Option<Object>)]
    metadata: Option<()>,
}

/// A conversion as it is kept.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Conversion {
    id: String,
    at: String,
    kind: String,
    value: Option<f64>,
    currency: Option<String>,
    channel: Option<String>,
    /// The message that it is put down to.
    message_id: Option<String>,
    /// The message that it names and that is not known yet: it is put down to it as soon as it is.
    awaited_message_id: Option<String>,
    campaign_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    attributed: bool,
    /// It came before: nothing changed.
    repeated: bool,
}

/// Something that a message of others did.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TrackedEvent {
    /// What makes it the same as another: it counts once.
    id: String,
    /// `sent`, `delivered`, `read`, `failed` or `received`.
    kind: String,
    /// What it is counted under.
    channel: String,
    /// When; now where left out.
    #[schema(required = false)]
    at: Option<String>,
    /// The person, who tells the country.
    #[schema(required = false)]
    phone: Option<String>,
    #[schema(required = false)]
    r#type: Option<String>,
    #[schema(required = false)]
    campaign_id: Option<String>,
    #[schema(required = false)]
    template: Option<String>,
    /// Why it failed.
    #[schema(required = false)]
    code: Option<String>,
    /// How long the provider took.
    #[schema(required = false)]
    latency_ms: Option<u64>,
}

/// Events, up to 10,000.
#[derive(ToSchema)]
pub(crate) struct TrackedEvents {
    events: Vec<TrackedEvent>,
}

/// What became of events, in their order.
#[derive(ToSchema)]
pub(crate) struct Tracked {
    items: Vec<TrackedOne>,
}

/// What became of one.
#[derive(ToSchema)]
pub(crate) struct TrackedOne {
    id: String,
    /// `counted`, or `repeated`: it came before, and counted then.
    status: String,
}

/// What was forgotten.
#[derive(ToSchema)]
pub(crate) struct Forgotten {
    /// Rows.
    forgotten: u64,
}
