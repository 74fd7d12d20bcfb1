//! The report: everything about a range on one page, and the range before it to compare with.

use palomar_model::Timestamp;
use palomar_model::analytics::{Bucket, Metric, Tier};
use serde::Serialize;

use super::views::CampaignCounts;
use super::{Asked, ConversationCounts, ConversionCount, Filter, MessageCounts, Performance, Range};
use super::{OF_CONVERSATIONS, OF_CONVERSIONS};
use crate::{App, AppError, Caller};

/// Everything about a range.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// From when to when.
    #[serde(flatten)]
    pub range: Range,
    /// Messages.
    pub messages: MessageCounts,
    /// How people were answered; left out where the report is of less than channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversations: Option<ConversationCounts>,
    /// What it led to; left out where the report is of less than channels and campaigns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversions: Option<Vec<ConversionCount>>,
    /// Campaigns.
    pub campaigns: Vec<CampaignCounts>,
    /// How fast it went.
    pub performance: Performance,
    /// How long each stretch of `series` is.
    pub bucket: String,
    /// The range in stretches.
    pub series: Vec<ReportDay>,
    /// The range before it, of the same length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Previous>>,
}

/// The range before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    /// From when to when.
    #[serde(flatten)]
    pub range: Range,
    /// Messages.
    pub messages: MessageCounts,
    /// How people were answered; left out where the report is of less than channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversations: Option<ConversationCounts>,
    /// What it led to; left out where the report is of less than channels and campaigns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversions: Option<Vec<ConversionCount>>,
}

/// A stretch of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportDay {
    /// When it begins.
    pub at: Timestamp,
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Read.
    pub read: u64,
    /// Failed.
    pub failed: u64,
    /// Received.
    pub received: u64,
}

impl App {
    /// The report of a range.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for what is no range.
    pub async fn analytics_report(
        &self,
        asked: Asked,
        filter: &Filter,
        compare: bool,
        caller: &Caller,
    ) -> Result<Report, AppError> {
        self.report_of(asked.range(self.clock.now())?, filter, compare, caller).await
    }

    /// The report of a range that is one.
    pub(crate) async fn report_of(
        &self,
        range: Range,
        filter: &Filter,
        compare: bool,
        caller: &Caller,
    ) -> Result<Report, AppError> {
        let filter = &Filter { by: None, ..filter.clone() };
        let previous =
            if compare { Some(Box::new(self.previous(&range, filter, caller).await?)) } else { None };
        let (bucket, series) = self.days(&range, filter, caller).await?;
        Ok(Report {
            messages: self.analytics_messages(range.clone(), filter, caller).await?.total,
            conversations: self.conversations_told(&range, filter, caller).await?,
            conversions: self.conversions_told(&range, filter, caller).await?,
            campaigns: self.analytics_campaigns(&range, filter, caller).await?,
            performance: self.analytics_performance(&range, filter, caller).await?,
            bucket: bucket.to_string(),
            series,
            previous,
            range,
        })
    }

    async fn conversations_told(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Option<ConversationCounts>, AppError> {
        if !filter.within(&OF_CONVERSATIONS) {
            return Ok(None);
        }
        self.analytics_conversations(range, filter, caller).await.map(Some)
    }

    async fn conversions_told(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Option<Vec<ConversionCount>>, AppError> {
        if !filter.within(&OF_CONVERSIONS) {
            return Ok(None);
        }
        self.analytics_conversions(range, filter, caller).await.map(Some)
    }

    async fn previous(&self, range: &Range, filter: &Filter, caller: &Caller) -> Result<Previous, AppError> {
        let range = range.before();
        Ok(Previous {
            messages: self.analytics_messages(range.clone(), filter, caller).await?.total,
            conversations: self.conversations_told(&range, filter, caller).await?,
            conversions: self.conversions_told(&range, filter, caller).await?,
            range,
        })
    }

    /// The range in hours where it is short, else in days.
    async fn days(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<(Bucket, Vec<ReportDay>), AppError> {
        let short = range.to.since(range.from).as_secs() <= 49 * 3600;
        let bucket = if short { Bucket::Hour } else { Bucket::Day };
        let edges = range.edges(bucket, 2_000)?;
        let cut: Vec<_> = edges.iter().map(|edge| (*edge).max(range.from).min(range.to)).collect();
        let counted = self.records.analytics_counts(filter.query(caller), Tier::Quarter, cut).await?;
        let counted = counted.into_values().next().unwrap_or_else(|| vec![Default::default(); edges.len()]);
        let day = |(at, counts): (&Timestamp, palomar_records::Counts)| ReportDay {
            at: *at,
            sent: counts.of(Metric::Sent),
            delivered: counts.of(Metric::Delivered),
            read: counts.of(Metric::Read),
            failed: counts.of(Metric::Failed),
            received: counts.of(Metric::Received),
        };
        let days = edges.iter().take(edges.len().saturating_sub(1)).zip(counted).map(day).collect();
        Ok((bucket, days))
    }
}
