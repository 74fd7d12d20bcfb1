//! What became of a campaign: in the queues, over all, and of each recipient.

use std::collections::BTreeMap;

use palomar_broker::JobState;
use palomar_model::{MessageId, Recipient, Timestamp};
use palomar_records::{CampaignProgress, CampaignRecipient, CampaignRecord, ConversionSum, Page};
use serde::Serialize;

use super::definition::Definition;
use super::follow_up::FollowWhen;
use super::orders::{definition_of, gone};
use super::view::{CampaignView, QueueMetrics, QueueStatus, SystemMetrics, Tally, rounded};
use super::{CAMPAIGNS, lots};
use crate::analytics::{ConversionCount, conversion_counts, revenue};
use crate::messages::MAX_PAGE;
use crate::queues::{OUTBOUND, breaker_word, counts};
use crate::rates::{Bill, Cost};
use crate::{App, AppError, Caller};

/// What became of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignReport {
    /// The campaign.
    pub campaign: CampaignView,
    /// All recipients.
    pub recipients: u64,
    /// Those who get nothing, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Recipients of whom there is no message: their turn has not come, or the campaign was stopped before.
    pub not_queued: u64,
    /// Messages by where they stand.
    pub messages: BTreeMap<String, u64>,
    /// Messages that the provider took.
    pub sent: u64,
    /// Of these, on the device.
    pub delivered: u64,
    /// Of these, read.
    pub read: u64,
    /// Messages that failed, by the provider's code; without one under `none`.
    pub failures: BTreeMap<String, u64>,
    /// What the messages cost that were delivered.
    pub cost: Cost,
    /// What it led to.
    pub conversions: Vec<ConversionCount>,
    /// What came back of what it cost, less that: 0.5 is half as much again; none where that can't be said.
    pub roi: Option<f64>,
    /// Each variant.
    pub variants: Vec<VariantReport>,
    /// Each step after the first.
    pub follow_ups: Vec<FollowUpReport>,
}

/// What became of a step after the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUpReport {
    /// To whom.
    pub when: FollowWhen,
    /// How long after the message before, in seconds.
    pub after_seconds: u64,
    /// What was decided of those who got the message before: `send`, or why they get nothing.
    pub decided: BTreeMap<String, u64>,
    /// Its messages by where they stand.
    pub messages: BTreeMap<String, u64>,
}

/// What became of a variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantReport {
    /// Its name.
    pub name: String,
    /// Its messages.
    pub messages: u64,
    /// That the provider took.
    pub sent: u64,
    /// Of these, on the device.
    pub delivered: u64,
    /// Of these, read.
    pub read: u64,
    /// That failed.
    pub failed: u64,
    /// Of those that were sent, how many were read, in percent.
    pub read_rate: f64,
    /// Where that lies, with 95 % certainty (Wilson's interval), in percent.
    pub read_rate_between: [f64; 2],
}

/// What became of a recipient.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecipientResult {
    /// Who: a number or an id.
    pub recipient: String,
    /// The message's status; `left_out`, or `not_queued` where there is no message.
    pub status: String,
    /// Why they get nothing, or why it failed.
    pub reason: Option<String>,
    /// The provider's code, where it failed.
    pub code: Option<String>,
    /// The message.
    pub message_id: Option<MessageId>,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// When it was on the device.
    pub delivered_at: Option<Timestamp>,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
}

impl App {
    /// A campaign in the queues.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn campaign_status(&self, id: &str, caller: &Caller) -> Result<QueueStatus, AppError> {
        self.campaign_of(id, caller).await?;
        let progress = self.records.campaign_progress(id).await?.ok_or(gone())?;
        let end = self.foresee_end(&progress).await?;
        Ok(QueueStatus::of(&progress, end, self.now()))
    }

    /// All campaigns in the queues.
    ///
    /// # Errors
    /// Where a store does not answer.
    pub async fn campaign_metrics(&self) -> Result<QueueMetrics, AppError> {
        let stats = self.broker.stats().await?;
        let of_pool =
            |pool: &'static str| stats.queues.iter().filter(move |queue| queue.queue.pool() == pool);
        let totals = self.records.campaign_totals().await?;
        let worst =
            of_pool(OUTBOUND).map(|queue| breaker_word(queue.breaker)).max_by_key(|word| match *word {
                "open" => 2,
                "closed" => 0,
                _ => 1,
            });
        let active = of_pool(OUTBOUND).map(|queue| queue.counts[JobState::Started as usize]).sum();
        Ok(QueueMetrics {
            campaign_queue: counts(of_pool(CAMPAIGNS)),
            processing_queue: counts(of_pool(OUTBOUND)),
            system: SystemMetrics {
                campaigns_processed: totals.ended,
                messages_sent: totals.sent,
                messages_failed: totals.failed,
                average_processing_time: u64::try_from(totals.batch_took.as_millis()).unwrap_or(u64::MAX),
                active_workers: active,
                circuit_breaker_status: worst.unwrap_or("closed"),
            },
        })
    }

    /// What became of a campaign.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn campaign_report(&self, id: &str, caller: &Caller) -> Result<CampaignReport, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        let progress = self.records.campaign_progress(id).await?.ok_or(gone())?;
        let failures = self.records.campaign_failures(campaign.number).await?;
        let definition = definition_of(&campaign)?;
        let (bill, sums) =
            (self.bill_of(&campaign, &definition).await?, self.conversions_of(&campaign).await?);
        let tally = Tally::of(&progress);
        let counts = &progress.counts;
        let variants = definition.variants.iter().zip(0..).map(|(variant, n)| {
            let own = || {
                counts.messages.iter().filter(|((step, own, _), _)| (*step, *own) == (lots::FIRST_STEP, n))
            };
            let of = |words: &[&str]| -> u64 {
                own()
                    .filter(|((.., status), _)| words.contains(&status.as_str()))
                    .map(|(_, count)| count)
                    .sum()
            };
            let all = own().map(|(_, count)| count).sum();
            let (sent, read) = (of(&["sent", "delivered", "read"]), of(&["read"]));
            VariantReport {
                name: variant.name.clone(),
                messages: all,
                sent,
                delivered: of(&["delivered", "read"]),
                read,
                failed: of(&["failed"]),
                read_rate: if sent == 0 { 0.0 } else { rounded(read as f64 / sent as f64 * 100.0) },
                read_rate_between: wilson(read, sent).map(|share| rounded(share * 100.0)),
            }
        });
        let variants = variants.collect();
        let mut messages = BTreeMap::new();
        for (status, count) in counts.of_step(lots::FIRST_STEP) {
            *messages.entry(status.to_owned()).or_default() += count;
        }
        let follow_ups = self.follow_up_reports(&progress, &definition).await?;
        Ok(CampaignReport {
            recipients: campaign.recipients,
            left_out: counts.left_out.clone(),
            not_queued: campaign.recipients.saturating_sub(tally.processed() + tally.under_way),
            sent: tally.success,
            delivered: counts.with("delivered") + counts.with("read"),
            read: counts.with("read"),
            failures: failures.into_iter().collect(),
            cost: bill.cost(),
            conversions: conversion_counts(sums.iter()),
            roi: bill.roi(&revenue(sums.iter())),
            variants,
            follow_ups,
            messages,
            campaign: CampaignView::of(&progress, self.now()),
        })
    }

    async fn follow_up_reports(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
    ) -> Result<Vec<FollowUpReport>, AppError> {
        if definition.follow_ups.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.records.follow_ups_decided(progress.campaign.number).await?;
        let reports = definition.follow_ups.iter().zip(lots::FIRST_STEP + 1..).map(|(follow, step)| {
            let decided = all.iter().filter(|((of, _), _)| *of == step);
            let mut messages = BTreeMap::new();
            for (status, count) in progress.counts.of_step(step) {
                *messages.entry(status.to_owned()).or_default() += count;
            }
            FollowUpReport {
                when: follow.when,
                after_seconds: follow.after_seconds,
                decided: decided.map(|((_, outcome), count)| (outcome.clone(), *count)).collect(),
                messages,
            }
        });
        Ok(reports.collect())
    }

    /// What the messages of a campaign cost that were delivered.
    async fn bill_of(&self, campaign: &CampaignRecord, definition: &Definition) -> Result<Bill, AppError> {
        let pricing = self.pricing().await?;
        let from = campaign.started_at.unwrap_or(campaign.created_at);
        // What a provider told of late counts as of when it was told: from the beginning on, for ever.
        let edges = pricing.card.edges(from, Timestamp::MAX);
        let delivered = self.records.campaign_delivered(&campaign.id, campaign.number, edges.clone()).await?;
        let bills = pricing.bill(&delivered, &edges, |_| definition.fallback_name());
        Ok(bills.into_values().next().unwrap_or_default())
    }

    /// What a campaign led to since it began.
    async fn conversions_of(&self, campaign: &CampaignRecord) -> Result<Vec<ConversionSum>, AppError> {
        let Some(from) = campaign.started_at else { return Ok(Vec::new()) };
        let mut sums = self.records.conversion_sums((from, Timestamp::MAX)).await?;
        sums.retain(|sum| sum.campaign.as_deref() == Some(campaign.id.as_str()));
        Ok(sums)
    }

    /// A page of a campaign's recipients, and what became of each.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Invalid`] for a cursor of another list.
    pub async fn campaign_results(
        &self,
        id: &str,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<RecipientResult>, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        let after = cursor.map(read_cursor).transpose()?;
        let limit = limit.clamp(1, MAX_PAGE);
        let mut recipients = self.records.campaign_recipients(campaign.number, after, limit + 1).await?;
        let more = recipients.len() > limit;
        recipients.truncate(limit);
        let next_cursor = recipients.last().filter(|_| more).map(write_cursor);
        let ids = recipients.iter().map(|one| message_of(campaign.number, one)).collect();
        let mut messages: BTreeMap<_, _> = self
            .records
            .messages_by_id(ids)
            .await?
            .into_iter()
            .map(|message| (message.id, message))
            .collect();
        let items = recipients.into_iter().map(|recipient| {
            let message = messages.remove(&message_of(campaign.number, &recipient));
            result(recipient, message)
        });
        Ok(Page { items: items.collect(), next_cursor })
    }
}

pub(super) fn message_of(campaign: u64, recipient: &CampaignRecipient) -> MessageId {
    message_of_step(campaign, lots::FIRST_STEP, recipient)
}

/// The id of the message that a recipient gets at a step.
pub(super) fn message_of_step(campaign: u64, step: u32, recipient: &CampaignRecipient) -> MessageId {
    let key = Recipient::parse(&recipient.recipient, None).map(|to| to.key()).unwrap_or_default();
    lots::message_id(campaign, step, &key)
}

fn result(recipient: CampaignRecipient, message: Option<crate::MessageView>) -> RecipientResult {
    let nothing = RecipientResult {
        recipient: recipient.recipient,
        status: if recipient.left_out.is_some() { "left_out" } else { "not_queued" }.to_owned(),
        reason: recipient.left_out,
        code: None,
        message_id: None,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
    };
    match message {
        Some(message) => RecipientResult {
            status: message.status.as_str().to_owned(),
            reason: message.reason,
            code: message.code,
            message_id: Some(message.id),
            sent_at: message.sent_at,
            delivered_at: message.delivered_at,
            read_at: message.read_at,
            failed_at: message.failed_at,
            ..nothing
        },
        None => nothing,
    }
}

pub(super) fn read_cursor(text: &str) -> Result<(u32, u64), AppError> {
    let parts =
        text.split_once('.').and_then(|(lane, place)| Some((lane.parse().ok()?, place.parse().ok()?)));
    parts.ok_or_else(|| AppError::invalid("/cursor", "is none of this list"))
}

/// The place after a recipient.
pub(super) fn write_cursor(last: &CampaignRecipient) -> String {
    format!("{}.{}", last.lane, last.place)
}

/// Where a share lies, with 95 % certainty.
fn wilson(part: u64, whole: u64) -> [f64; 2] {
    const Z: f64 = 1.959_964;
    if whole == 0 {
        return [0.0, 1.0];
    }
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((centre - spread) / scale).clamp(0.0, 1.0), ((centre + spread) / scale).clamp(0.0, 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_where_the_tables_say() {
        for (part, whole, expected) in
            [(0, 0, [0.0, 1.0]), (0, 10, [0.0, 0.2775]), (50, 100, [0.4038, 0.5962]), (10, 10, [0.7225, 1.0])]
        {
            let found = wilson(part, whole);
            let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-3);
            assert!(close, "{found:?} instead of {expected:?}");
        }
        assert!(
            read_cursor("1.x").is_err()
                && read_cursor("").is_err()
                && matches!(read_cursor("0.7"), Ok((0, 7)))
        );
    }
}
