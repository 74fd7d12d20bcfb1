//! Counts and times as they are shown.

use std::collections::BTreeMap;

use palomar_model::analytics::{FailureReason, Histogram, Metric};
use palomar_records::Counts;
use serde::Serialize;

use super::Range;
use crate::rates::Amount;

/// How often what happened to messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// Accepted.
    pub accepted: u64,
    /// Taken by the provider.
    pub sent: u64,
    /// On the device.
    pub delivered: u64,
    /// Read.
    pub read: u64,
    /// Failed.
    pub failed: u64,
    /// Failed, and went on after all.
    pub recovered: u64,
    /// What became of them was not known.
    pub uncertain: u64,
    /// Called off.
    pub cancelled: u64,
    /// No longer worth sending.
    pub expired: u64,
    /// Written by people.
    pub received: u64,
    /// Written by the business, elsewhere.
    pub echoed: u64,
    /// Attempts that started.
    pub attempts: u64,
    /// Attempts that failed.
    pub attempts_failed: u64,
    /// Known to have gone out twice.
    pub duplicates: u64,
    /// Delivered, of those sent in the same time.
    pub delivery_rate: Option<f64>,
    /// Read, of those delivered in the same time.
    pub read_rate: Option<f64>,
    /// Why messages failed, the most frequent first.
    pub failures: Vec<Failure>,
}

/// Why messages failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Why no further attempt was made, or `reported` by the provider.
    pub class: String,
    /// The provider's code.
    pub code: Option<String>,
    /// How many.
    pub count: u64,
}

/// Counts of a range, and of its groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagesView {
    /// From when to when.
    #[serde(flatten)]
    pub range: Range,
    /// All together.
    #[serde(flatten)]
    pub total: MessageCounts,
    /// By what they were told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeMap<String, MessageCounts>>,
}

/// How long something took, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// How often it was measured.
    pub count: u64,
    /// The mean.
    pub mean_ms: Option<f64>,
    /// The least.
    pub min_ms: Option<f64>,
    /// Half of them took no longer; within 1.6 %, as the others.
    pub p50_ms: Option<f64>,
    /// 90 % took no longer.
    pub p90_ms: Option<f64>,
    /// 95 % took no longer.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer.
    pub p99_ms: Option<f64>,
    /// The most.
    pub max_ms: Option<f64>,
}

/// How people are answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationCounts {
    /// Conversations that had messages.
    pub active: u64,
    /// Conversations that began.
    pub new: u64,
    /// How often somebody wrote and waited for an answer.
    pub asked: u64,
    /// How often somebody who waited was answered.
    pub answered: u64,
    /// Answered, of those asked in the same time.
    pub response_rate: Option<f64>,
    /// Until the first answer.
    pub first_response: Times,
    /// Until an answer, each time.
    pub response: Times,
}

/// How fast it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// Messages sent a minute, over the whole time.
    pub sent_per_minute: f64,
    /// Messages received a minute, over the whole time.
    pub received_per_minute: f64,
    /// Attempts that failed, of those that started.
    pub attempt_failure_rate: Option<f64>,
    /// How long the ways took, by stage.
    pub times: BTreeMap<&'static str, Times>,
}

/// A conversation with how many messages it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopConversation {
    /// Its channel.
    pub channel: String,
    /// The contact.
    pub contact_id: String,
    /// Messages of theirs.
    pub received: u64,
    /// Messages to them.
    pub sent: u64,
}

/// Conversions of a kind and currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversionCount {
    /// The kind.
    pub kind: String,
    /// The currency; none of those without a value.
    pub currency: Option<String>,
    /// How many.
    pub count: u64,
    /// How many of them are attributed to a message or a campaign.
    pub attributed: u64,
    /// What they are worth together.
    pub value: f64,
}

/// A campaign in a range.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignCounts {
    /// Its id.
    pub campaign_id: String,
    /// Its messages.
    #[serde(flatten)]
    pub messages: MessageCounts,
    /// What the messages cost that were delivered in the range.
    pub cost: Vec<Amount>,
    /// Messages that were delivered in the range and that no rate is for.
    pub unpriced: u64,
    /// What it led to; left out where the question narrows by what conversions are not told apart by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversions: Option<Vec<ConversionCount>>,
    /// What came back of what it cost, less that: 0.5 is half as much again; none where that can't be said.
    pub roi: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "shares and milliseconds are shown to a few digits")]
pub(super) fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| (part as f64 / of as f64 * 10_000.0).round() / 10_000.0)
}

impl MessageCounts {
    pub(super) fn of(counts: &Counts, reasons: &BTreeMap<u64, FailureReason>) -> MessageCounts {
        let count = |metric| counts.of(metric);
        let mut failures: Vec<_> = counts
            .reasons()
            .map(|(code, count)| {
                let reason = reasons.get(&code).cloned();
                let FailureReason { class, code } =
                    reason.unwrap_or_else(|| FailureReason::new("unknown", None));
                Failure { class, code: (!code.is_empty()).then_some(code), count }
            })
            .collect();
        failures.sort_by(|one, other| {
            (other.count, &one.class, &one.code).cmp(&(one.count, &other.class, &other.code))
        });
        MessageCounts {
            accepted: count(Metric::Accepted),
            sent: count(Metric::Sent),
            delivered: count(Metric::Delivered),
            read: count(Metric::Read),
            failed: count(Metric::Failed),
            recovered: count(Metric::Recovered),
            uncertain: count(Metric::Uncertain),
            cancelled: count(Metric::Cancelled),
            expired: count(Metric::Expired),
            received: count(Metric::Received),
            echoed: count(Metric::Echoed),
            attempts: count(Metric::Attempts),
            attempts_failed: count(Metric::AttemptsFailed),
            duplicates: count(Metric::Duplicates),
            delivery_rate: share(count(Metric::Delivered), count(Metric::Sent)),
            read_rate: share(count(Metric::Read), count(Metric::Delivered)),
            failures,
        }
    }
}

/// Milliseconds with three digits behind the point.
#[expect(clippy::cast_precision_loss, reason = "microseconds of centuries fit")]
pub(super) fn ms(took: std::time::Duration) -> f64 {
    took.as_micros() as f64 / 1_000.0
}

impl Times {
    pub(super) fn of(histogram: &Histogram) -> Times {
        let quantile = |of_thousand| histogram.quantile(of_thousand).map(ms);
        let range = histogram.range();
        Times {
            count: histogram.count(),
            mean_ms: histogram.mean().map(ms),
            min_ms: range.map(|(least, _)| ms(least)),
            p50_ms: quantile(500),
            p90_ms: quantile(900),
            p95_ms: quantile(950),
            p99_ms: quantile(990),
            max_ms: range.map(|(_, most)| ms(most)),
        }
    }
}
