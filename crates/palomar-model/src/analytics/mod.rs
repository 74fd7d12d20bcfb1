//! What is counted and measured, and how that is kept small: pages of counts, histograms that add up, and the stretches
//! of time that people ask for.
//!
//! Always: what is kept is a function of what happened, in whatever order and batches it came; two pages or histograms
//! put together are what one would be that had seen everything.

mod buckets;
mod histogram;
mod metric;
mod page;
mod series;
mod varint;

pub use buckets::{Bucket, TooMany, UnknownBucket, edges, floor};
pub use histogram::{Histogram, RELATIVE_ERROR};
pub use metric::{FailureReason, Metric, Stage, UnknownMetric};
pub use page::{Page, Tier, TimesPage};
pub use series::{Dimension, Series, SeriesId, UnknownDimension};

/// Bytes that are no page and no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is damaged: it ends too early, or has a number that is too large")]
pub struct Damaged;
