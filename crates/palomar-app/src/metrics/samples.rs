//! Samples as they are written: what has the same labels is added up, whole numbers are written as such.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The labels of a sample, in the order in which they are written.
pub(super) type Labels = Vec<(&'static str, String)>;

/// One sample: its labels and its value.
pub(super) type Sample = (Labels, f64);

pub(super) const CHANNEL: &str = "channel";

/// With more channels than that, their names are left out of the labels and their numbers added up.
const MOST_CHANNELS: usize = 200;

pub(super) fn label(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

#[expect(clippy::cast_precision_loss, reason = "a scrape is not for counting beyond 2^53")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

/// Whether channels are told apart: one answer for all metrics of a scrape.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<AtomicBool>);

impl Crowd {
    pub(super) fn set(&self, channels: usize) {
        self.0.store(channels > MOST_CHANNELS, Ordering::Relaxed);
    }

    fn is_large(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Writes metrics.
pub(super) struct Writer<'e, 'd> {
    encoder: &'e mut DescriptorEncoder<'d>,
    crowd: Crowd,
}

impl<'e, 'd> Writer<'e, 'd> {
    pub(super) fn new(encoder: &'e mut DescriptorEncoder<'d>, crowd: &Crowd) -> Writer<'e, 'd> {
        Writer { encoder, crowd: crowd.clone() }
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        self.write(name, help, MetricType::Gauge, samples)
    }

    /// A counter, named without its `_total`.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        self.write(name, help, MetricType::Counter, samples)
    }

    fn write(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        let samples = merged(samples, self.crowd.is_large());
        // Without labels there is one sample, and it is written without braces.
        if let Some(value) = samples.get(&Vec::new()) {
            return write_value(*value, kind, metric);
        }
        samples
            .iter()
            .try_for_each(|(labels, value)| write_value(*value, kind, metric.encode_family(labels)?))
    }
}

fn write_value(value: f64, kind: MetricType, metric: MetricEncoder<'_>) -> Result<(), Error> {
    match (kind, whole(value)) {
        (MetricType::Counter, Some(value)) => ConstCounter::new(value.unsigned_abs()).encode(metric),
        (MetricType::Counter, None) => ConstCounter::new(value).encode(metric),
        (_, Some(value)) => ConstGauge::new(value).encode(metric),
        (_, None) => ConstGauge::new(value).encode(metric),
    }
}

/// Adds up what has the same labels.
fn merged(samples: impl IntoIterator<Item = Sample>, without_channels: bool) -> BTreeMap<Labels, f64> {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for (mut labels, value) in samples {
        labels.retain(|(name, _)| !without_channels || *name != CHANNEL);
        *sums.entry(labels).or_default() += value;
    }
    sums
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_told_apart_while_they_are_few() {
        let samples = || {
            [("a", 1.0), ("b", 2.0)]
                .map(|(name, value)| (vec![label("kind", "x"), label(CHANNEL, name)], value))
        };
        for (channels, expected) in [(200, vec![1.0, 2.0]), (201, vec![3.0])] {
            let crowd = Crowd::default();
            crowd.set(channels);
            let sums: Vec<f64> = merged(samples(), crowd.is_large()).into_values().collect();
            assert_eq!(sums, expected, "{channels}");
        }
    }

    #[test]
    fn whole_numbers() {
        for (value, expected) in [(3.0, Some(3)), (0.5, None), (f64::INFINITY, None), (1e16, None)] {
            assert_eq!(whole(value), expected);
        }
    }
}
