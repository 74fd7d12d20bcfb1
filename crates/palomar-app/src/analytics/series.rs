//! Time series: one metric, a value a stretch.

use palomar_model::Timestamp;
use palomar_model::analytics::{Bucket, Histogram, Metric, Stage, Tier};
use palomar_records::Drawn;
use serde::Serialize;

use super::views::ms;
use super::{Asked, Filter, OF_CONVERSATIONS, Range};
use crate::{App, AppError, Caller};

/// More points are not answered at once.
const MOST_POINTS: usize = 10_000;
/// More groups are not drawn; the largest are.
const MOST_GROUPS: usize = 50;

/// A series of one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeSeries {
    /// From when to when.
    #[serde(flatten)]
    pub range: Range,
    /// The metric.
    pub metric: String,
    /// Of a time: which of a hundred took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentile: Option<u32>,
    /// How long each stretch is.
    pub bucket: String,
    /// The finest that this range and metric have.
    pub finest: String,
    /// One series, or one for each group.
    pub series: Vec<SeriesView>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesView {
    /// The group; empty where nothing is told apart.
    pub group: String,
    /// Its points: one for each stretch, also where nothing happened.
    pub points: Vec<Point>,
}

/// A stretch with its value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When the stretch begins.
    pub at: Timestamp,
    /// How often, or how many milliseconds; none where nothing was measured.
    pub value: Option<f64>,
    /// Of a time: how often it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What a series is of.
#[derive(Clone, Copy)]
enum Of {
    Counts(Metric),
    Times(Stage),
}

impl Of {
    /// Conversations are counted by channel.
    const fn is_of_conversations(self) -> bool {
        matches!(
            self,
            Of::Counts(Metric::ConversationsNew | Metric::ConversationsAsked | Metric::ConversationsAnswered)
                | Of::Times(Stage::FirstResponse | Stage::Response)
        )
    }
}

fn of(metric: &str) -> Result<Of, AppError> {
    let counted = metric.parse().map(Of::Counts);
    counted.or_else(|_| metric.parse().map(Of::Times)).map_err(|_| {
        let counted = Metric::ALL.iter().map(|metric| metric.as_str());
        let known: Vec<_> = counted.chain(Stage::ALL.iter().map(|stage| stage.as_str())).collect();
        AppError::invalid("/metric", format!("is not known: there are {}", known.join(", ")))
    })
}

impl App {
    /// A time series. The finest stretch is a minute for what is recent, and a quarter of an hour before that and of times.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for an unknown metric, and stretches finer than what is kept: it says the finest.
    pub async fn analytics_series(
        &self,
        metric: &str,
        bucket: Option<Bucket>,
        percentile: Option<u32>,
        asked: Asked,
        filter: &Filter,
        caller: &Caller,
    ) -> Result<TimeSeries, AppError> {
        let what = of(metric)?;
        if what.is_of_conversations() {
            filter.must_be_within(&OF_CONVERSATIONS, "conversations")?;
        }
        let now = self.clock.now();
        let range = asked.clone().range(now)?;
        let finest = self.finest(what, &range, now);
        let bucket = bucket.unwrap_or_else(|| usual(&range, finest));
        if bucket < finest {
            return Err(AppError::invalid(
                "/bucket",
                format!("is finer than what is kept for this: the finest is {finest}"),
            ));
        }
        let range = if bucket == Bucket::Minute { asked.cut(now, bucket)? } else { range };
        let edges = range.edges(bucket, MOST_POINTS)?;
        let cut = cut(&edges, &range);
        let (series, percentile) = match what {
            Of::Counts(metric) => (self.counted(metric, bucket, &edges, &cut, filter, caller).await?, None),
            Of::Times(stage) => {
                let percentile = percentile.unwrap_or(95);
                if !(1..=100).contains(&percentile) {
                    return Err(AppError::invalid("/percentile", "must be from 1 to 100"));
                }
                let timed = self.timed(stage, percentile, &edges, &cut, filter, caller).await?;
                (timed, Some(percentile))
            }
        };
        Ok(TimeSeries {
            range,
            metric: metric.to_owned(),
            percentile,
            bucket: bucket.to_string(),
            finest: finest.to_string(),
            series,
        })
    }

    fn finest(&self, what: Of, range: &Range, now: Timestamp) -> Bucket {
        let minutes = range.from >= now.before(self.config.analytics.minutes);
        match what {
            Of::Counts(_) if minutes => Bucket::Minute,
            Of::Counts(_) | Of::Times(_) => Bucket::Quarter,
        }
    }

    async fn counted(
        &self,
        metric: Metric,
        bucket: Bucket,
        edges: &[Timestamp],
        cut: &[Timestamp],
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<SeriesView>, AppError> {
        let tier = if bucket == Bucket::Minute { Tier::Minute } else { Tier::Quarter };
        let what = (metric, tier);
        let drawn = self.records.drawn_counts(filter.query(caller), what, cut.to_vec(), MOST_GROUPS).await?;
        #[expect(clippy::cast_precision_loss, reason = "a count as it is drawn")]
        let point = |at: Timestamp, count: u64| Point { at, value: Some(count as f64), count: None };
        Ok(views(drawn, edges, filter, point))
    }

    async fn timed(
        &self,
        stage: Stage,
        percentile: u32,
        edges: &[Timestamp],
        cut: &[Timestamp],
        filter: &Filter,
        caller: &Caller,
    ) -> Result<Vec<SeriesView>, AppError> {
        let told = move |times: &Histogram| (times.quantile(percentile * 10).map(ms), times.count());
        let query = filter.query(caller);
        let drawn = self.records.drawn_times(query, stage, cut.to_vec(), MOST_GROUPS, told).await?;
        let point = |at: Timestamp, (value, count)| Point { at, value, count: Some(count) };
        Ok(views(drawn, edges, filter, point))
    }
}

/// Groups as they are shown; where nothing is told apart and nothing happened, one that says so.
fn views<T: Clone + Default>(
    mut drawn: Drawn<T>,
    edges: &[Timestamp],
    filter: &Filter,
    point: impl Fn(Timestamp, T) -> Point,
) -> Vec<SeriesView> {
    if drawn.is_empty() && filter.by.is_none() {
        drawn.push((String::new(), vec![T::default(); edges.len().saturating_sub(1)]));
    }
    let view = |(group, values): (String, Vec<T>)| SeriesView {
        group,
        points: edges.iter().zip(values).map(|(at, value)| point(*at, value)).collect(),
    };
    drawn.into_iter().map(view).collect()
}

/// The stretches as they are counted: the first and the last only as far as they are in the range.
fn cut(edges: &[Timestamp], range: &Range) -> Vec<Timestamp> {
    edges.iter().map(|edge| (*edge).max(range.from).min(range.to)).collect()
}

/// The stretch that makes a picture of a range.
fn usual(range: &Range, finest: Bucket) -> Bucket {
    let hours = range.to.since(range.from).as_secs() / 3600;
    let usual = match hours {
        0..=3 => Bucket::Minute,
        4..=12 => Bucket::Quarter,
        13..=72 => Bucket::Hour,
        _ => Bucket::Day,
    };
    usual.max(finest)
}
