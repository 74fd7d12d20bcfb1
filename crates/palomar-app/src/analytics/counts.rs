//! Counts and times as they are shown.

use std::collections::BTreeMap;

use palomar_model::analytics::{Dimension, FailureReason, Histogram, Metric, Stage};
use palomar_records::{ConversionSum, Counts};
use serde::Serialize;

use super::{Filter, Range};
use crate::{App, AppError, Caller};

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
    /// What it led to.
    pub conversions: Vec<ConversionCount>,
}

#[expect(clippy::cast_precision_loss, reason = "shares and milliseconds are shown to a few digits")]
fn share(part: u64, of: u64) -> Option<f64> {
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

/// The ways of messages; those of conversations are shown with them.
const OF_MESSAGES: [Stage; 5] = [
    Stage::QueueWait,
    Stage::ProviderLatency,
    Stage::AcceptedToSent,
    Stage::SentToDelivered,
    Stage::DeliveredToRead,
];

impl App {
    /// How often what happened to messages.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_messages(
        &self,
        range: Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<MessagesView, AppError> {
        let grouped = self.count(&range, filter, caller).await?;
        let reasons = self.records.failure_reasons().await?;
        let mut total = Counts::default();
        grouped.values().for_each(|counts| total.merge(counts));
        let groups = filter.by.map(|_| {
            grouped
                .iter()
                .map(|(group, counts)| (group.clone(), MessageCounts::of(counts, &reasons)))
                .collect()
        });
        Ok(MessagesView { range, total: MessageCounts::of(&total, &reasons), groups })
    }

    /// How people are answered.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_conversations(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<ConversationCounts, AppError> {
        let counts = self.count_all(range, filter, caller).await?;
        let (asked, answered) =
            (counts.of(Metric::ConversationsAsked), counts.of(Metric::ConversationsAnswered));
        let mut active = 0;
        for channel in talking(filter, caller) {
            active += self.records.active_conversations((range.from, range.to), channel).await?;
        }
        let first = self.time_all(range, filter, caller, Stage::FirstResponse).await?;
        let each = self.time_all(range, filter, caller, Stage::Response).await?;
        Ok(ConversationCounts {
            active,
            new: counts.of(Metric::ConversationsNew),
            asked,
            answered,
            response_rate: share(answered, asked),
            first_response: Times::of(&first),
            response: Times::of(&each),
        })
    }

    /// How fast it went.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_performance(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Performance, AppError> {
        let counts = self.count_all(range, filter, caller).await?;
        let mut times = BTreeMap::new();
        for stage in OF_MESSAGES {
            let took = self.time_all(range, filter, caller, stage).await?;
            times.insert(stage.as_str(), Times::of(&took));
        }
        let end = range.to.min(self.clock.now());
        let minutes = (end.since(range.from).as_secs_f64() / 60.0).max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = |count: u64| (count as f64 / minutes * 1_000.0).round() / 1_000.0;
        let failed = counts.of(Metric::AttemptsFailed);
        Ok(Performance {
            sent_per_minute: rate(counts.of(Metric::Sent)),
            received_per_minute: rate(counts.of(Metric::Received)),
            attempt_failure_rate: share(failed, counts.of(Metric::Attempts)),
            times,
        })
    }

    /// The conversations with the most messages, on the days (UTC) that a range touches.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_top(
        &self,
        range: &Range,
        filter: &Filter,
        limit: usize,
        caller: &Caller,
    ) -> Result<Vec<TopConversation>, AppError> {
        let mut found = Vec::new();
        for channel in talking(filter, caller) {
            found.extend(self.records.top_conversations((range.from, range.to), channel, limit).await?);
        }
        found.sort_by(|one, other| {
            let all = |talk: &palomar_records::TopTalk| talk.received + talk.sent;
            (all(other), &one.channel, &one.contact).cmp(&(all(one), &other.channel, &other.contact))
        });
        found.truncate(limit);
        let shown = |talk: palomar_records::TopTalk| TopConversation {
            channel: talk.channel,
            contact_id: talk.contact,
            received: talk.received,
            sent: talk.sent,
        };
        Ok(found.into_iter().map(shown).collect())
    }

    /// What conversations led to, by kind and currency: values of different currencies are never added up.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_conversions(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<ConversionCount>, AppError> {
        let sums = self.conversions(range, filter, caller).await?;
        Ok(conversion_counts(sums.iter()))
    }

    async fn conversions(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<ConversionSum>, AppError> {
        let mut sums = self.records.conversion_sums((range.from, range.to)).await?;
        let seen = |channel: &Option<String>| match (&caller.channels, channel) {
            (None, _) => true,
            (Some(channels), Some(channel)) => channels.iter().any(|seen| seen.as_str() == channel),
            (Some(_), None) => false,
        };
        sums.retain(|sum| {
            seen(&sum.channel)
                && filter.only.iter().all(|(dimension, part)| match dimension {
                    Dimension::Channel => sum.channel.as_deref().unwrap_or_default() == part,
                    Dimension::Campaign => sum.campaign.as_deref().unwrap_or_default() == part,
                    _ => false,
                })
        });
        Ok(sums)
    }

    /// Campaigns in a range, those with the most messages sent first.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn analytics_campaigns(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<CampaignCounts>, AppError> {
        let by_campaign = Filter { by: Some(Dimension::Campaign), ..filter.clone() };
        let mut grouped = self.count(range, &by_campaign, caller).await?;
        let reasons = self.records.failure_reasons().await?;
        let sums = self.conversions(range, filter, caller).await?;
        for sum in &sums {
            if let Some(campaign) = &sum.campaign {
                grouped.entry(campaign.clone()).or_default();
            }
        }
        let mut campaigns: Vec<_> = grouped
            .into_iter()
            .filter(|(campaign, _)| !campaign.is_empty())
            .map(|(campaign, counts)| CampaignCounts {
                messages: MessageCounts::of(&counts, &reasons),
                conversions: conversion_counts(
                    sums.iter().filter(|sum| sum.campaign.as_deref() == Some(campaign.as_str())),
                ),
                campaign_id: campaign,
            })
            .collect();
        campaigns.sort_by(|one, other| {
            (other.messages.sent, &one.campaign_id).cmp(&(one.messages.sent, &other.campaign_id))
        });
        Ok(campaigns)
    }
}

/// The channels whose conversations are asked for, each; one that stands for all where all are.
fn talking(filter: &Filter, caller: &Caller) -> Vec<Option<String>> {
    let named = filter.channel().map(str::to_owned);
    match (&caller.channels, named) {
        (None, named) => vec![named],
        (Some(channels), Some(named)) => {
            channels.iter().any(|seen| seen.as_str() == named).then_some(Some(named)).into_iter().collect()
        }
        (Some(channels), None) => channels.iter().map(|channel| Some(channel.as_str().to_owned())).collect(),
    }
}

/// Sums by kind and currency.
fn conversion_counts<'a>(sums: impl Iterator<Item = &'a ConversionSum>) -> Vec<ConversionCount> {
    let mut counts: BTreeMap<(&str, Option<&str>), (u64, u64, i64)> = BTreeMap::new();
    for sum in sums {
        let (count, attributed, value) = counts.entry((&sum.kind, sum.currency.as_deref())).or_default();
        *count += sum.count;
        *attributed += sum.attributed;
        *value = value.saturating_add(sum.value);
    }
    let shown = |((kind, currency), (count, attributed, value)): ((&str, Option<&str>), (u64, u64, i64))| {
        #[expect(clippy::cast_precision_loss, reason = "an amount as it is shown")]
        let value = value as f64 / 1_000_000.0;
        ConversionCount {
            kind: kind.to_owned(),
            currency: currency.map(str::to_owned),
            count,
            attributed,
            value,
        }
    };
    counts.into_iter().map(shown).collect()
}
