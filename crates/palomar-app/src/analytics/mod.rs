//! What is read from analytics, and what is told to them.
//!
//! Always: an answer says from when to when it is (no finer than what is kept), and counts what happened in that time, by
//! our clock: of a message that was sent on Monday and read on Tuesday, each is counted on its day.

mod counts;
mod range;
mod report;
mod series;
mod told;
mod views;

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::FieldError;
use palomar_model::analytics::{Dimension, Histogram, Stage, Tier};
use palomar_records::{AnalyticsQuery, Counts, Grouped};

use crate::{App, AppError, Caller};

pub(crate) use counts::{conversion_counts, revenue};
pub use range::{Asked, Range};
pub use report::Report;
pub use series::{Point, SeriesView, TimeSeries};
pub use told::{ConversionKept, EventInput, EventTold, NewConversion};
pub use views::{
    ConversationCounts, ConversionCount, MessageCounts, MessagesView, Performance, Times, TopConversation,
};

/// How long analytics are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalyticsConfig {
    /// Minutes.
    pub minutes: Duration,
    /// Quarters of an hour, which hours and days are made of.
    pub quarters: Duration,
    /// So long after a message a conversion is put down to it.
    pub conversion_window: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for AnalyticsConfig {
    fn default() -> AnalyticsConfig {
        AnalyticsConfig { minutes: DAY * 2, quarters: DAY * 400, conversion_window: DAY * 7 }
    }
}

/// What conversations are told apart by.
const OF_CONVERSATIONS: [Dimension; 1] = [Dimension::Channel];
/// What conversions are told apart by.
const OF_CONVERSIONS: [Dimension; 2] = [Dimension::Channel, Dimension::Campaign];

/// What is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what has these parts.
    pub only: Vec<(Dimension, String)>,
    /// Told apart by this.
    pub by: Option<Dimension>,
}

impl Filter {
    /// The question to records: a key that is bound to channels sees those only.
    pub(super) fn query(&self, caller: &Caller) -> AnalyticsQuery {
        let channels = caller
            .channels
            .as_ref()
            .map(|channels| channels.iter().map(|channel| channel.as_str().to_owned()).collect());
        AnalyticsQuery { only: self.only.clone(), channels, by: self.by }
    }

    /// Whether these are all that it narrows by.
    pub(super) fn within(&self, known: &[Dimension]) -> bool {
        self.only.iter().map(|(dimension, _)| dimension).chain(&self.by).all(|part| known.contains(part))
    }

    /// Refuses what narrows by more than these: there is no answer to it.
    pub(super) fn must_be_within(&self, known: &[Dimension], what: &str) -> Result<(), AppError> {
        let words: Vec<_> = known.iter().map(|dimension| dimension.as_str()).collect();
        let detail = format!("{what} are counted by {} only: ask without it", words.join(" and "));
        let only = self.only.iter().map(|(dimension, _)| (dimension, format!("/{dimension}")));
        let by = self.by.iter().map(|dimension| (dimension, "/groupBy".to_owned()));
        let wrong: Vec<_> = only
            .chain(by)
            .filter(|(dimension, _)| !known.contains(dimension))
            .map(|(_, pointer)| FieldError::new(pointer, detail.as_str()))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(AppError::Invalid(wrong)) }
    }

    /// The one channel that is meant.
    pub(super) fn channel(&self) -> Option<&str> {
        let named =
            |(dimension, part): &'_ (Dimension, String)| *dimension == Dimension::Channel && !part.is_empty();
        self.only.iter().find(|part| named(part)).map(|(_, channel)| channel.as_str())
    }
}

impl App {
    /// Counts over a whole range, told apart as the filter says.
    pub(super) async fn count(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<BTreeMap<String, Counts>, AppError> {
        let edges = vec![range.from, range.to];
        let grouped = self.records.analytics_counts(filter.query(caller), Tier::Quarter, edges).await?;
        Ok(first_of(grouped))
    }

    /// The same without groups.
    pub(super) async fn count_all(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Counts, AppError> {
        let filter = Filter { by: None, ..filter.clone() };
        Ok(self.count(range, &filter, caller).await?.into_values().next().unwrap_or_default())
    }

    /// How long something took over a whole range.
    pub(super) async fn time_all(
        &self,
        range: &Range,
        filter: &Filter,
        caller: &Caller,
        stage: Stage,
    ) -> Result<Histogram, AppError> {
        let query = AnalyticsQuery { by: None, ..filter.query(caller) };
        let edges = vec![range.from, range.to];
        let grouped = self.records.analytics_times(query, stage, edges).await?;
        Ok(first_of(grouped).into_values().next().unwrap_or_default())
    }

    /// Forgets what is older than this, or than its retention; how many rows it were. What the journal can still tell is
    /// kept, so that it can be counted again.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for what the journal still has; a conflict while another node forgets.
    pub async fn analytics_cleanup(&self, older_than: Option<Duration>) -> Result<u64, AppError> {
        let AnalyticsConfig { minutes, quarters, .. } = self.config.analytics;
        let age = older_than.unwrap_or(quarters);
        let least = self.config.journal_retention + DAY;
        if age < least {
            let days = least.as_secs().div_ceil(DAY.as_secs());
            return Err(AppError::invalid("/olderThan", format!("must be at least {days} days")));
        }
        let now = self.clock.now();
        let forgotten = self.records.analytics_forget(&self.node, minutes.min(age), age, now).await?;
        forgotten.ok_or_else(|| AppError::Conflict {
            code: "already_cleaning",
            detail: "another node forgets what is old at this moment: ask again in a minute".to_owned(),
        })
    }
}

fn first_of<T>(grouped: Grouped<T>) -> BTreeMap<String, T> {
    let first = |(group, values): (String, Vec<T>)| Some((group, values.into_iter().next()?));
    grouped.into_iter().filter_map(first).collect()
}
