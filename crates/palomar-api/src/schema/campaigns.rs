//! Campaigns as the document shows them.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::analytics::ConversionCount;
use super::rates::Cost;

/// A campaign to be made. It says one of `message`, `template`, `content` and `variants`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "Black Friday", "message": "Hola {{name|amigo}}: 50 % hoy.",
    "contacts": [{"phone": "+34600111222", "name": "Lucía"}], "scheduledAt": "2030-11-29T10:00:00Z"}))]
pub(crate) struct NewCampaign {
    name: String,
    /// The only one there is, where it is left out.
    channel: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    plan: CampaignPlan,
    /// Numbers, ids of contacts, or objects with `phone` (or `id`) and what is known of them.
    #[schema(value_type = Option<Vec<Object>>)]
    contacts: Option<Vec<Value>>,
    /// Contacts by what is known of them, read when it begins.
    audience: Option<CampaignAudience>,
    /// The same as an `audience` that is a segment: its id or its name.
    segment: Option<String>,
    /// When it begins by itself.
    scheduled_at: Option<String>,
}

/// A change of a campaign: the members of a new one but `channel`. What is left out stays; contacts are replaced. Of one that
/// has begun, only `name` and `autoPause` may be changed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignPatch {
    name: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    plan: CampaignPlan,
    #[schema(value_type = Option<Vec<Object>>)]
    contacts: Option<Vec<Value>>,
    /// Null: it does not begin by itself.
    scheduled_at: Option<String>,
}

/// What a campaign sends, when, how fast.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignPlan {
    /// A text, with places for what is known of a contact: `{{name}}`, `{{name|amigo}}`.
    message: Option<String>,
    /// A template, in place of a text; its parameters may have places too.
    #[schema(value_type = Option<Object>)]
    template: Option<Value>,
    /// The type of `content`.
    r#type: Option<String>,
    /// Any content, in place of a text.
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
    /// Several contents, each for its share of the contacts.
    variants: Option<Vec<CampaignVariant>>,
    /// A template that is sent in place of free text where only a template may be.
    #[schema(value_type = Option<Object>)]
    fallback: Option<Value>,
    /// The share of contacts that gets nothing, to be compared with: from 0 up to, but not, 1.
    hold_out: Option<f64>,
    /// `critical`, `high`, `normal` or `low` (the default).
    priority: Option<String>,
    /// The hours in which people may be written to; outside of them messages wait.
    hours: Option<CampaignHours>,
    /// Whose hours: `recipient` (the default: by the contact's `timeZone`, else by the number), or a time zone.
    time_zone: Option<String>,
    /// So many messages a day at most.
    daily_cap: Option<u32>,
    /// Evenly over so many seconds.
    spread_seconds: Option<u64>,
    /// How long after `scheduledAt` it may still begin by itself; 21600 by default.
    max_lateness_seconds: Option<u64>,
    auto_pause: Option<CampaignAutoPause>,
    /// What is sent to whoever did not read or answer, a step after another; five at most. Each looks at the message before it, and
    /// whoever got none of that gets no more.
    follow_ups: Option<Vec<CampaignFollowUp>>,
    /// When it begins again and again: at each occurrence a run is made, a campaign of its own with the same contacts, audiences as
    /// they are then. Of occurrences that were missed one run is made. Null: not any more.
    repeat: Option<CampaignRepeat>,
    /// Free text to people who did not write in the last 24 hours: `leaveOut` (the default where the provider refuses it:
    /// `cloud_api`, `twilio`) or `send` (the provider decides).
    outside_window: Option<String>,
    /// `hold`, `retry` or `drop`; the channel's setting by default.
    on_uncertain: Option<String>,
    /// Handed back with every event.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// What a share of the contacts is told.
#[derive(ToSchema)]
pub(crate) struct CampaignVariant {
    name: String,
    /// In proportion to the others'; 1 by default.
    weight: Option<u32>,
    message: Option<String>,
    #[schema(value_type = Option<Object>)]
    template: Option<Value>,
    r#type: Option<String>,
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
}

/// Hours of the day, on some days of the week.
#[derive(ToSchema)]
pub(crate) struct CampaignHours {
    /// Such as `09:00`.
    from: String,
    /// Such as `20:00`.
    until: String,
    /// `mon` to `sun`; all where there are none.
    days: Option<Vec<String>>,
}

/// A message to those who did not read, or answer, the one before. It says one of `message`, `template` and `content`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"afterSeconds": 172_800, "when": "notRead", "message": "¿Lo viste, {{name|amigo}}?"}))]
pub(crate) struct CampaignFollowUp {
    /// So many seconds after the message before was sent: 90 days at most.
    after_seconds: u64,
    /// `notRead` or `noAnswer`.
    when: String,
    message: Option<String>,
    #[schema(value_type = Option<Object>)]
    template: Option<Value>,
    r#type: Option<String>,
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
}

/// When something happens again and again: `cron`, or `at` on `days`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"days": ["mon", "thu"], "at": "09:00", "timeZone": "Europe/Madrid"}))]
pub(crate) struct CampaignRepeat {
    /// Minute, hour, day of the month, month, day of the week: `0 9 * * MON-FRI`; not more than once an hour.
    cron: Option<String>,
    /// `mon` to `sun`; all where there are none.
    days: Option<Vec<String>>,
    /// Such as `09:00`.
    at: Option<String>,
    /// By whose clocks; the campaign's own zone where left out, or UTC.
    time_zone: Option<String>,
    /// Not after this.
    until: Option<String>,
}

/// When a campaign pauses by itself.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignAutoPause {
    /// The share of messages that may fail, from 0 to 1; 0.5 by default, 1 never pauses.
    failure_rate: Option<f64>,
    /// The share of messages that may fail because people blocked, stopped or get enough of such messages, from 0 to 1; 0.2 by
    /// default, 1 never pauses.
    block_rate: Option<f64>,
    /// Of so many that came to an end, one after another; 100 by default.
    sample: Option<u64>,
    /// The quality of a template at which it pauses, and does not begin or go on: `red` (the default), `yellow` or `never`.
    quality: Option<String>,
}

/// A campaign.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Campaign {
    id: String,
    name: String,
    channel: String,
    /// `draft`, `scheduled`, `sending`, `paused`, `finished` or `stopped`.
    status: String,
    /// What paused it: `person`, `late`, `failure_rate`, `block_rate`, `batch`, `template`, `quality` or `audience`.
    pause_cause: Option<String>,
    pause_reason: Option<String>,
    scheduled_at: Option<String>,
    /// The text, where it says one to all.
    message: Option<String>,
    /// What it sends, when, how fast.
    #[schema(value_type = Object)]
    plan: Value,
    /// Whom it goes to, left out or not.
    contacts: u64,
    /// Contacts that were given a second time, and passed over.
    duplicates: u64,
    progress: CampaignProgress,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
}

/// How far a campaign is.
#[derive(ToSchema)]
pub(crate) struct CampaignProgress {
    /// Accounted for: messages at their end or uncertain, and contacts left out.
    processed: u64,
    total: u64,
    /// Messages that the provider took.
    success: u64,
    failed: u64,
    /// In whole percent, rounded down.
    percentage: u64,
}

/// Contacts by what is known of them: one of these.
#[derive(ToSchema)]
#[schema(example = json!({"filter": "tag = \"vip\""}))]
pub(crate) struct CampaignAudience {
    /// Those whom a filter means.
    filter: Option<String>,
    /// Those of a segment, by its id or its name.
    segment: Option<String>,
    /// `true`: all.
    all: Option<bool>,
}

/// How the failed of a campaign are to be sent to.
#[derive(ToSchema)]
pub(crate) struct CampaignResend {
    /// What the new campaign is called; as the first, with a mark, where it is left out.
    name: Option<String>,
    /// Those too of whom it is not known whether they got it: they may get it twice. Not by default.
    uncertain: Option<bool>,
}

/// What became of contacts that were added.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ContactsAdded {
    added: u64,
    /// Of these, how many can't be reached.
    left_out: u64,
    duplicates: u64,
    /// Where an audience was added: how many it means now.
    audience: Option<u64>,
}

/// A campaign that was started.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignStarted {
    message: String,
    /// The campaign's id and the millisecond in which it began.
    job_id: String,
    /// Contacts who are not accounted for yet.
    estimated_contacts: u64,
    /// In milliseconds, by the limits of its channel, its hours and its pace.
    estimated_time: u64,
    campaign: Campaign,
}

/// An order that was carried out.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignOrdered {
    success: bool,
    message: String,
    /// Attempts that had started and are under way.
    in_flight: u64,
    campaign: Campaign,
}

/// A campaign in the queues.
#[derive(ToSchema)]
pub(crate) struct CampaignStatusAnswer {
    success: bool,
    status: CampaignStatus,
}

/// A campaign in the queues. A job is a batch of contacts.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignStatus {
    campaign_id: String,
    status: String,
    total_jobs: u64,
    /// Being queued, or with messages that wait or are under way.
    active_jobs: u64,
    waiting_jobs: u64,
    completed_jobs: u64,
    /// They could not be queued: the campaign is paused, and says why.
    failed_jobs: u64,
    progress: CampaignProgress,
    metrics: CampaignMetrics,
}

/// A campaign in numbers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignMetrics {
    start_time: Option<String>,
    end_time: Option<String>,
    /// In milliseconds.
    processing_time: u64,
    /// Of the messages that were sent or failed, in percent.
    success_rate: f64,
    messages_per_second: f64,
    /// When everybody will be accounted for, by the limits of its channel, its hours and its pace.
    estimated_end: Option<String>,
    /// Messages by where they stand.
    messages: BTreeMap<String, u64>,
    /// Contacts who get nothing, by reason.
    left_out: BTreeMap<String, u64>,
    /// Contacts of whom there is no message: their turn has not come, or the campaign was stopped before.
    not_queued: u64,
    pause_reason: Option<String>,
}

/// All campaigns in the queues.
#[derive(ToSchema)]
pub(crate) struct CampaignQueueMetricsAnswer {
    success: bool,
    metrics: CampaignQueueMetrics,
}

/// All campaigns in the queues.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignQueueMetrics {
    /// Batches.
    campaign_queue: CampaignJobCounts,
    /// Messages, those of campaigns and others.
    processing_queue: CampaignJobCounts,
    system: CampaignSystemMetrics,
}

/// Jobs by state.
#[derive(ToSchema)]
pub(crate) struct CampaignJobCounts {
    waiting: u64,
    active: u64,
    completed: u64,
    failed: u64,
    delayed: u64,
}

/// The whole in numbers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignSystemMetrics {
    /// Campaigns that have ended.
    campaigns_processed: u64,
    messages_sent: u64,
    messages_failed: u64,
    /// In milliseconds, from a batch's turn to the last of its messages being queued.
    average_processing_time: u64,
    /// Attempts that are under way, on all nodes.
    active_workers: u64,
    /// `closed`; `halfOpen` or `open` where that of a channel is.
    circuit_breaker_status: String,
}

/// What somebody would get.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignPreview {
    recipient: String,
    variant: Option<String>,
    r#type: Option<String>,
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
    scheduled_at: Option<String>,
    /// Why they get nothing.
    left_out: Option<String>,
}

/// What some contacts would get.
#[derive(ToSchema)]
pub(crate) struct CampaignPreviews {
    items: Vec<CampaignPreview>,
}

/// Whom a trial goes to.
#[derive(ToSchema)]
#[schema(example = json!({"to": ["+34600111222"]}))]
pub(crate) struct CampaignTest {
    /// 20 at most.
    to: Vec<String>,
    /// What the text may say of them; what is known of the campaign's first contact, where left out.
    #[schema(value_type = Option<Object>)]
    fields: Option<Value>,
    /// The name of the variant; the first where left out.
    variant: Option<String>,
}

/// What became of a trial, a number after another.
#[derive(ToSchema)]
pub(crate) struct CampaignTested {
    items: Vec<CampaignTestedOne>,
}

/// What became of one number.
#[derive(ToSchema)]
pub(crate) struct CampaignTestedOne {
    to: String,
    id: Option<Uuid>,
    status: Option<String>,
    error: Option<String>,
}

/// What a campaign would do.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignDryRun {
    contacts: u64,
    duplicates: u64,
    would_send: u64,
    /// By reason.
    left_out: BTreeMap<String, u64>,
    /// Of those who would get a message, how many get free text and did not write in the last 24 hours, where the
    /// provider asks for that.
    outside_window: u64,
    by_variant: BTreeMap<String, u64>,
    /// In milliseconds.
    estimated_time: u64,
    /// If everybody who would get a message gets it.
    cost: Cost,
    estimated_end: Option<String>,
    /// Why it can't begin as things stand, where that is known: a template that the provider would refuse.
    refused: Option<String>,
    /// The first of its contacts, as many as were asked for.
    recipients: Vec<CampaignDryRunRecipient>,
}

/// Somebody in a campaign that would begin.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignDryRunRecipient {
    recipient: String,
    variant: Option<String>,
    scheduled_at: Option<String>,
    left_out: Option<String>,
}

/// What became of a campaign.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignReport {
    campaign: Campaign,
    recipients: u64,
    left_out: BTreeMap<String, u64>,
    not_queued: u64,
    /// By where they stand.
    messages: BTreeMap<String, u64>,
    sent: u64,
    delivered: u64,
    read: u64,
    /// By the provider's code; without one under `none`.
    failures: BTreeMap<String, u64>,
    /// Of the messages that were delivered. Free text counts as the fallback, where there is one.
    cost: Cost,
    /// What it led to since it began.
    conversions: Vec<ConversionCount>,
    /// Revenue less cost for each unit of cost; null where nothing was spent, not all of it is priced, or it was spent and
    /// earned in several currencies.
    roi: Option<f64>,
    variants: Vec<CampaignVariantReport>,
    follow_ups: Vec<CampaignFollowUpReport>,
}

/// What became of a step after the first.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignFollowUpReport {
    /// `notRead` or `noAnswer`.
    when: String,
    after_seconds: u64,
    /// Of those who got the message before: `send`, `read`, `answered`, `not_sent`, or why they are left out.
    decided: BTreeMap<String, u64>,
    /// Its messages by where they stand.
    messages: BTreeMap<String, u64>,
}

/// What became of a variant.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignVariantReport {
    name: String,
    messages: u64,
    sent: u64,
    delivered: u64,
    read: u64,
    failed: u64,
    /// In percent.
    read_rate: f64,
    /// Where that lies, with 95 % certainty.
    read_rate_between: Vec<f64>,
}

/// What became of a contact.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CampaignRecipient {
    recipient: String,
    /// The message's status; `left_out`, or `not_queued` where there is no message.
    status: String,
    reason: Option<String>,
    code: Option<String>,
    message_id: Option<Uuid>,
    sent_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    failed_at: Option<String>,
}
