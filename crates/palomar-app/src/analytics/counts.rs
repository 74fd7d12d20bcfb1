//! What is asked of counts and times over a whole range.

use std::collections::BTreeMap;

use palomar_model::analytics::{Dimension, Metric, Stage};
use palomar_records::{ConversionSum, Counts};

use super::views::{
    CampaignCounts, ConversationCounts, ConversionCount, MessageCounts, MessagesView, Performance, Times,
    TopConversation, share,
};
use super::{Filter, OF_CONVERSATIONS, OF_CONVERSIONS, Range};
use crate::rates::{Bill, Cost};
use crate::{App, AppError, Caller};

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
    /// [`AppError::Invalid`] for a filter by more than the channel.
    pub async fn analytics_conversations(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<ConversationCounts, AppError> {
        filter.must_be_within(&OF_CONVERSATIONS, "conversations")?;
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
    /// [`AppError::Invalid`] for a filter by more than the channel.
    pub async fn analytics_top(
        &self,
        range: &Range,
        filter: &Filter,
        limit: usize,
        caller: &Caller,
    ) -> Result<Vec<TopConversation>, AppError> {
        filter.must_be_within(&OF_CONVERSATIONS, "conversations")?;
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
    /// [`AppError::Invalid`] for a filter by more than channel and campaign.
    pub async fn analytics_conversions(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<ConversionCount>, AppError> {
        filter.must_be_within(&OF_CONVERSIONS, "conversions")?;
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
        // What narrows by more says nothing of conversions: they are left out.
        let tells = filter.within(&OF_CONVERSIONS);
        let sums = if tells { self.conversions(range, filter, caller).await? } else { Vec::new() };
        for sum in &sums {
            if let Some(campaign) = &sum.campaign {
                grouped.entry(campaign.clone()).or_default();
            }
        }
        let bills = self.bills(range, filter, caller).await?;
        let none = Bill::default();
        let mut campaigns: Vec<_> = grouped
            .into_iter()
            .filter(|(campaign, _)| !campaign.is_empty())
            .map(|(campaign, counts)| {
                let own = || sums.iter().filter(|sum| sum.campaign.as_deref() == Some(campaign.as_str()));
                let bill = bills.get(&campaign).unwrap_or(&none);
                let Cost { total, unpriced, .. } = bill.cost();
                CampaignCounts {
                    messages: MessageCounts::of(&counts, &reasons),
                    cost: total,
                    unpriced,
                    conversions: tells.then(|| conversion_counts(own())),
                    roi: if tells { bill.roi(&revenue(own())) } else { None },
                    campaign_id: campaign,
                }
            })
            .collect();
        campaigns.sort_by(|one, other| {
            (other.messages.sent, &one.campaign_id).cmp(&(one.messages.sent, &other.campaign_id))
        });
        Ok(campaigns)
    }

    /// What the messages of each campaign cost that were delivered in a range.
    async fn bills(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<BTreeMap<String, Bill>, AppError> {
        let pricing = self.pricing().await?;
        let edges = pricing.card.edges(range.from, range.to);
        let delivered = self.records.analytics_delivered(filter.query(caller), edges.clone()).await?;
        let mut fallbacks = BTreeMap::new();
        for (series, _) in &delivered {
            let campaign = series.part(Dimension::Campaign);
            if !fallbacks.contains_key(campaign) {
                fallbacks.insert(campaign.to_owned(), self.fallback_of(campaign).await?);
            }
        }
        Ok(pricing.bill(&delivered, &edges, |campaign| fallbacks.get(campaign).cloned().flatten()))
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

/// What conversions are worth, by currency, in millionths.
pub(crate) fn revenue<'a>(sums: impl Iterator<Item = &'a ConversionSum>) -> BTreeMap<String, i128> {
    let mut revenue: BTreeMap<String, i128> = BTreeMap::new();
    for (currency, value) in sums.filter_map(|sum| Some((sum.currency.clone()?, sum.value))) {
        let all = revenue.entry(currency).or_default();
        *all = all.saturating_add(value);
    }
    revenue
}

/// Sums by kind and currency.
pub(crate) fn conversion_counts<'a>(sums: impl Iterator<Item = &'a ConversionSum>) -> Vec<ConversionCount> {
    let mut counts: BTreeMap<(&str, Option<&str>), (u64, u64, i128)> = BTreeMap::new();
    for sum in sums {
        let (count, attributed, value) = counts.entry((&sum.kind, sum.currency.as_deref())).or_default();
        *count += sum.count;
        *attributed += sum.attributed;
        *value += sum.value;
    }
    let shown = |((kind, currency), (count, attributed, value)): ((&str, Option<&str>), (u64, u64, i128))| {
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
