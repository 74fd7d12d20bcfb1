//! Analytics as they are asked for: counts and times of a stretch, cut at any quarter of an hour, of any series.
//!
//! Always: a question is answered from the coarsest sums that tell what it asks apart, so that a year of all messages is
//! some hundred rows however many messages there were.

mod conversions;
mod drawn;
mod forget;
mod tellers;
mod track;

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use palomar_model::analytics::{
    Dimension, FailureReason, Histogram, Metric, Series, SeriesId, Stage, Tier, TimesPage,
};

use crate::Records;
use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::talks::{Stretch, TopTalk};
use crate::tables::analytics::{counts, reasons, series, talks, times};
use crate::tables::counters::MICROS_PER_DAY;

pub use conversions::Converted;
pub use drawn::Drawn;
pub(crate) use tellers::Tellers;
pub use track::TrackedEvent;

/// What is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalyticsQuery {
    /// Only what has these parts.
    pub only: Vec<(Dimension, String)>,
    /// Only these channels; all where none is named.
    pub channels: Option<Vec<String>>,
    /// Told apart by this.
    pub by: Option<Dimension>,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    metrics: [u64; Metric::ALL.len()],
    /// Failures by their reason's code.
    reasons: BTreeMap<u64, u64>,
}

impl Counts {
    /// How often this happened.
    #[must_use]
    pub fn of(&self, metric: Metric) -> u64 {
        self.metrics.get(metric as usize).copied().unwrap_or(0)
    }

    /// Why messages failed, by code.
    pub fn reasons(&self) -> impl Iterator<Item = (u64, u64)> {
        self.reasons.iter().map(|(code, count)| (*code, *count))
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Counts) {
        self.metrics.iter_mut().zip(other.metrics).for_each(|(sum, more)| *sum += more);
        other.reasons().for_each(|(code, count)| *self.reasons.entry(code).or_default() += count);
    }

    fn add(&mut self, metric: u64, count: u64) {
        if FailureReason::is_one(metric) {
            *self.reasons.entry(metric).or_default() += count;
        } else if let Some(sum) = usize::try_from(metric).ok().and_then(|code| self.metrics.get_mut(code)) {
            *sum += count;
        }
    }
}

/// Answers by what they are told apart by (empty where nothing), each with a value a stretch.
pub type Grouped<T> = BTreeMap<String, Vec<T>>;

impl AnalyticsQuery {
    /// The series that answer, each with the group that it is in.
    fn series(&self, db: Db<'_>) -> Result<BTreeMap<SeriesId, String>> {
        let by_channel = self.channels.as_ref().map(|_| Dimension::Channel);
        let named = self.only.iter().map(|(dimension, _)| *dimension).chain(self.by).chain(by_channel);
        let depth = Series::depth_for(named);
        if depth == 0 {
            return Ok(BTreeMap::from([(series::id(&Series::full([""; 6]).at(0)), String::new())]));
        }
        let found = series::of_depth(db, depth)?.into_iter().filter(|(_, series)| self.means(series));
        let group = |series: &Series| self.by.map_or("", |by| series.part(by)).to_owned();
        Ok(found.map(|(id, series)| (id, group(&series))).collect())
    }

    pub(crate) fn means(&self, series: &Series) -> bool {
        let parts = self.only.iter().all(|(dimension, part)| series.part(*dimension) == part);
        let channel = series.part(Dimension::Channel);
        parts && self.channels.as_ref().is_none_or(|channels| channels.iter().any(|one| one == channel))
    }
}

/// Finds the stretch that a moment is in; moments mostly come in order.
struct Cuts<'e> {
    edges: &'e [Timestamp],
    last: usize,
}

impl Cuts<'_> {
    fn of(&mut self, at: Timestamp) -> Option<usize> {
        let within = |place: usize| {
            let (from, to) = (self.edges.get(place)?, self.edges.get(place + 1)?);
            (*from <= at && at < *to).then_some(place)
        };
        if let Some(place) = within(self.last).or_else(|| within(self.last + 1)) {
            self.last = place;
            return Some(place);
        }
        let place = within(self.edges.partition_point(|edge| *edge <= at).checked_sub(1)?)?;
        self.last = place;
        Some(place)
    }
}

impl Records {
    /// How often what happened between each of these edges and the next. The edges must begin slots of the tier.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn analytics_counts(
        &self,
        query: AnalyticsQuery,
        tier: Tier,
        edges: Vec<Timestamp>,
    ) -> Result<Grouped<Counts>> {
        self.read(move |db| counted(db, &query, tier, &edges)).await
    }

    /// How long something took between each of these edges (quarters of an hour) and the next.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn analytics_times(
        &self,
        query: AnalyticsQuery,
        stage: Stage,
        edges: Vec<Timestamp>,
    ) -> Result<Grouped<Histogram>> {
        self.read(move |db| timed(db, &query, stage, &edges)).await
    }

    /// What the codes of reasons mean.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn failure_reasons(&self) -> Result<BTreeMap<u64, FailureReason>> {
        self.read(reasons::all).await
    }

    /// How many conversations had messages, from one quarter of an hour up to another.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn active_conversations(
        &self,
        (from, to): (Timestamp, Timestamp),
        channel: Option<String>,
    ) -> Result<u64> {
        self.read(move |db| talks::active(db, &Stretch::new(from, to), channel.as_deref())).await
    }

    /// The conversations with the most messages on the days (UTC) that a stretch touches.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn top_conversations(
        &self,
        (from, to): (Timestamp, Timestamp),
        channel: Option<String>,
        limit: usize,
    ) -> Result<Vec<TopTalk>> {
        self.read(move |db| talks::top(db, &Stretch::new(from, to), channel.as_deref(), limit)).await
    }
}

fn counted(db: Db<'_>, query: &AnalyticsQuery, tier: Tier, edges: &[Timestamp]) -> Result<Grouped<Counts>> {
    let mut grouped = Grouped::new();
    let (Some(from), Some(to)) = (edges.first().copied(), edges.last().copied()) else { return Ok(grouped) };
    let series = query.series(db)?;
    let mut cuts = Cuts { edges, last: 0 };
    counts::each(db, tier, series.keys().copied(), tier.pages(from, to), |id, number, bytes| {
        let Some(group) = series.get(&id) else { return Ok(()) };
        if !grouped.contains_key(group) {
            grouped.insert(group.clone(), vec![Counts::default(); edges.len() - 1]);
        }
        let Some(stretches) = grouped.get_mut(group) else { return Ok(()) };
        counts::read(bytes, |slot, metric, count| {
            if let Some(counts) = cuts.of(tier.start(number, slot)).and_then(|place| stretches.get_mut(place))
            {
                counts.add(metric, count);
            }
        })
    })?;
    Ok(grouped)
}

fn timed(
    db: Db<'_>,
    query: &AnalyticsQuery,
    stage: Stage,
    edges: &[Timestamp],
) -> Result<Grouped<Histogram>> {
    let mut grouped = Grouped::new();
    let series = query.series(db)?;
    let mut cuts = Cuts { edges, last: 0 };
    let mut add = |tier: Tier, id: SeriesId, number: i64, page: &TimesPage| {
        let Some(group) = series.get(&id) else { return };
        for (slot, histogram) in page.iter() {
            let Some(place) = cuts.of(tier.start(number, slot)) else { continue };
            let stretches: &mut Vec<Histogram> = grouped
                .entry(group.clone())
                .or_insert_with(|| vec![Histogram::default(); edges.len().saturating_sub(1)]);
            if let Some(sum) = stretches.get_mut(place) {
                sum.merge(histogram);
            }
        }
    };
    for (tier, first, last) in parts(edges) {
        times::each(db, (tier, stage), series.keys().copied(), (first, last), |id, number, page| {
            add(tier, id, number, &page);
        })?;
    }
    Ok(grouped)
}

/// The pages that a stretch of edges is made of: whole days (UTC) where no edge lies within them, else quarters of an hour.
fn parts(edges: &[Timestamp]) -> Vec<(Tier, i64, i64)> {
    let (Some(from), Some(to)) = (edges.first(), edges.last()) else { return Vec::new() };
    let fine = Tier::QuarterHourly;
    let whole = |at: &Timestamp| at.micros().rem_euclid(MICROS_PER_DAY) == 0;
    let inner = edges.get(1..edges.len().saturating_sub(1)).unwrap_or_default();
    if !inner.iter().all(whole) {
        let (first, last) = fine.pages(*from, *to);
        return vec![(fine, first, last)];
    }
    let first_day = -(-from.micros()).div_euclid(MICROS_PER_DAY);
    let end_day = to.micros().div_euclid(MICROS_PER_DAY);
    if first_day >= end_day {
        let (first, last) = fine.pages(*from, *to);
        return vec![(fine, first, last)];
    }
    let start = |day: i64| Tier::Day.start(day, 0);
    let (before, after) = (fine.pages(*from, start(first_day)), fine.pages(start(end_day), *to));
    vec![(fine, before.0, before.1), (Tier::Day, first_day, end_day - 1), (fine, after.0, after.1)]
}
