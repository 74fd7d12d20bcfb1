//! Campaigns as they are shown. Functions of values: every field follows from what records and queues say.

use std::collections::BTreeMap;

use palomar_model::{CampaignState, ChannelName, Pause, Timestamp};
use palomar_records::{CampaignProgress, CampaignRecord};
use serde::Serialize;
use serde_json::{Value, json};

use crate::queues::JobCounts;

/// A campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The channel that sends it.
    pub channel: ChannelName,
    /// `draft`, `scheduled`, `sending`, `paused`, `finished` or `stopped`.
    pub status: &'static str,
    /// Of a paused one, what paused it: `person`, `late`, `failure_rate`, `block_rate`, `batch`, `template`,
    /// `quality` or `audience`.
    pub pause_cause: Option<&'static str>,
    /// Of a paused one, why, in words.
    pub pause_reason: Option<String>,
    /// When it begins by itself.
    pub scheduled_at: Option<Timestamp>,
    /// The text, where it says one to all.
    pub message: Option<String>,
    /// What it sends, when, how fast.
    pub plan: Value,
    /// Whom it goes to, left out or not.
    pub contacts: u64,
    /// Contacts that were given a second time, and passed over.
    pub duplicates: u64,
    /// How far it is.
    pub progress: QueueProgress,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueProgress {
    /// Accounted for: messages at their end or uncertain, and recipients left out.
    pub processed: u64,
    /// All recipients.
    pub total: u64,
    /// Messages that the provider took.
    pub success: u64,
    /// Messages that failed.
    pub failed: u64,
    /// `processed` of `total`, in whole percent, rounded down.
    pub percentage: u64,
}

/// A campaign in the queues.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The campaign.
    pub campaign_id: String,
    /// Where it stands.
    pub status: &'static str,
    /// Its batches.
    pub total_jobs: u64,
    /// Batches that are being queued, or have messages that wait or are under way.
    pub active_jobs: u64,
    /// Batches whose turn has not come.
    pub waiting_jobs: u64,
    /// Batches all of whose messages are at their end.
    pub completed_jobs: u64,
    /// Batches that could not be queued.
    pub failed_jobs: u64,
    /// Its recipients.
    pub progress: QueueProgress,
    /// More of it.
    pub metrics: CampaignMetrics,
}

/// A campaign in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignMetrics {
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// In milliseconds, since it began, or from its beginning to its end.
    pub processing_time: u64,
    /// Of the messages that came to an end, how many the provider took, in percent.
    pub success_rate: f64,
    /// Messages that came to an end a second, since it began.
    pub messages_per_second: f64,
    /// When everybody will be accounted for, by the limits of its channel, its hours and its pace.
    pub estimated_end: Option<Timestamp>,
    /// Messages by where they stand.
    pub messages: BTreeMap<String, u64>,
    /// Recipients who get nothing, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Recipients of whom there is no message: their turn has not come, or the campaign was stopped before.
    pub not_queued: u64,
    /// Why it is paused.
    pub pause_reason: Option<String>,
}

/// All campaigns in the queues.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueMetrics {
    /// Batches.
    pub campaign_queue: JobCounts,
    /// Messages, those of campaigns and others.
    pub processing_queue: JobCounts,
    /// The whole.
    pub system: SystemMetrics,
}

/// The whole in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemMetrics {
    /// Campaigns that have ended.
    pub campaigns_processed: u64,
    /// Messages of campaigns that providers took.
    pub messages_sent: u64,
    /// Messages of campaigns that failed.
    pub messages_failed: u64,
    /// In milliseconds, how long a batch takes from its turn to the last of its messages being queued.
    pub average_processing_time: u64,
    /// Attempts that are under way, on all nodes.
    pub active_workers: u64,
    /// `closed`; `halfOpen` or `open` where that of a channel is.
    pub circuit_breaker_status: &'static str,
}

/// The first messages and the recipients of a campaign, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) success: u64,
    pub(super) failed: u64,
    pub(super) uncertain: u64,
    pub(super) called_off: u64,
    pub(super) under_way: u64,
    /// Messages of later steps that are under way.
    pub(super) following: u64,
    pub(super) left_out: u64,
}

impl Tally {
    pub(super) fn of(progress: &CampaignProgress) -> Tally {
        let counts = &progress.counts;
        let with = |words: &[&str]| -> u64 { words.iter().map(|word| counts.with(word)).sum() };
        let under_way = with(&["scheduled", "queued", "sending"]);
        Tally {
            success: with(&["sent", "delivered", "read"]),
            failed: with(&["failed"]),
            uncertain: with(&["uncertain"]),
            called_off: with(&["cancelled", "expired"]),
            under_way,
            following: counts.moving() - under_way,
            left_out: progress.counts.all_left_out(),
        }
    }

    /// Messages that came to an end, or of which nobody knows.
    pub(super) const fn ended(&self) -> u64 {
        self.success + self.failed + self.uncertain + self.called_off
    }

    /// Recipients who are accounted for.
    pub(super) const fn processed(&self) -> u64 {
        self.ended() + self.left_out
    }
}

impl QueueProgress {
    fn of(progress: &CampaignProgress) -> QueueProgress {
        let (tally, total) = (Tally::of(progress), progress.campaign.recipients);
        let processed = tally.processed();
        QueueProgress {
            processed,
            total,
            success: tally.success,
            failed: tally.failed,
            percentage: (processed * 100).checked_div(total).unwrap_or(0),
        }
    }
}

impl CampaignView {
    pub(super) fn of(progress: &CampaignProgress, _now: Timestamp) -> CampaignView {
        let campaign = &progress.campaign;
        let variants = &campaign.definition["variants"];
        let only = variants.as_array().filter(|all| all.len() == 1).map(|all| &all[0]);
        let (pause_cause, pause_reason) = pause(campaign);
        CampaignView {
            id: campaign.id.clone(),
            name: campaign.name.clone(),
            channel: campaign.channel.clone(),
            status: campaign.state.as_str(),
            pause_cause,
            pause_reason,
            scheduled_at: match campaign.state {
                CampaignState::Scheduled { at } => Some(at),
                _ => None,
            },
            message: only.and_then(|only| only["content"]["text"].as_str()).map(str::to_owned),
            plan: campaign.definition.clone(),
            contacts: campaign.recipients,
            duplicates: campaign.duplicates,
            progress: QueueProgress::of(progress),
            created_at: campaign.created_at,
            updated_at: campaign.updated_at,
            started_at: campaign.started_at,
            ended_at: campaign.ended_at,
        }
    }
}

fn pause(campaign: &CampaignRecord) -> (Option<&'static str>, Option<String>) {
    match &campaign.state {
        CampaignState::Paused { why: Pause { cause, detail }, .. } => {
            (Some(cause.as_str()), Some(detail.clone()))
        }
        _ => (None, None),
    }
}

impl QueueStatus {
    pub(super) fn of(
        progress: &CampaignProgress,
        estimated_end: Option<Timestamp>,
        now: Timestamp,
    ) -> QueueStatus {
        let (campaign, batches) = (&progress.campaign, &progress.batches);
        // Which batch a message is of is not kept: as many batches as their messages would fill are under way.
        let tally = Tally::of(progress);
        let open = batches.accepted.saturating_sub(tally.ended());
        let size = batches.accepted.checked_div(batches.fed).unwrap_or(0).max(1);
        let under_way = open.div_ceil(size).min(batches.fed);
        QueueStatus {
            campaign_id: campaign.id.clone(),
            status: campaign.state.as_str(),
            total_jobs: batches.all(),
            active_jobs: batches.queued + under_way,
            waiting_jobs: batches.waiting,
            completed_jobs: batches.fed - under_way,
            failed_jobs: batches.failed,
            progress: QueueProgress::of(progress),
            metrics: CampaignMetrics::of(progress, estimated_end, now),
        }
    }
}

impl CampaignMetrics {
    fn of(progress: &CampaignProgress, estimated_end: Option<Timestamp>, now: Timestamp) -> CampaignMetrics {
        let (campaign, tally) = (&progress.campaign, Tally::of(progress));
        let took = campaign.started_at.map(|begun| campaign.ended_at.unwrap_or(now).since(begun));
        let took = took.unwrap_or_default();
        let mut messages = BTreeMap::new();
        for (status, count) in progress.counts.of_step(0) {
            *messages.entry(status.to_owned()).or_default() += count;
        }
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let rate = share(tally.success, tally.success + tally.failed) * 100.0;
        let speed = if took.is_zero() { 0.0 } else { tally.ended() as f64 / took.as_secs_f64() };
        CampaignMetrics {
            start_time: campaign.started_at,
            end_time: campaign.ended_at,
            processing_time: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            success_rate: rounded(rate),
            messages_per_second: rounded(speed),
            estimated_end,
            messages,
            left_out: progress.counts.left_out.clone(),
            not_queued: campaign.recipients.saturating_sub(tally.processed() + tally.under_way),
            pause_reason: pause(campaign).1,
        }
    }
}

/// Two places behind the point are enough for people.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// What front ends are told of a campaign that came to another state.
pub(super) fn told(campaign: &CampaignRecord) -> Value {
    let (cause, reason) = pause(campaign);
    json!({
        "campaignId": campaign.id, "name": campaign.name, "status": campaign.state.as_str(),
        "pauseCause": cause, "pauseReason": reason,
    })
}

/// What they are told of how far it is.
pub(super) fn told_progress(progress: &CampaignProgress) -> Value {
    let mut told = told(&progress.campaign);
    told["progress"] = json!(QueueProgress::of(progress));
    told
}
