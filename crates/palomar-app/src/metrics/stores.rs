//! The broker's own numbers, shown as they stand at the scrape.

use std::collections::HashMap;
use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::{BreakerState, JobState, QueueName, QueueStats, Stats};
use palomar_model::{ChannelName, Provider, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Labels, label};
use crate::queues::OUTBOUND;

/// With more channels than that, their names are left out of the labels and their numbers added up.
const MOST_CHANNELS: usize = 200;

/// The numbers of a moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) stats: Stats,
    /// How far records follow the log.
    pub(super) projected: u64,
    pub(super) providers: Vec<(ChannelName, Provider)>,
    pub(super) now: Timestamp,
    /// Starts a second of each queue, in their order: between this snapshot and one a little earlier.
    pub(super) starts_per_second: Vec<f64>,
}

/// The newest snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Stores(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    newest: Snapshot,
    /// When starts were counted to compare with, and how many each queue had then.
    base: Option<(Timestamp, HashMap<QueueName, u64>)>,
}

/// Rates are told over no less than that, however often somebody scrapes.
const RATE_SPAN: Duration = Duration::from_secs(5);

impl Stores {
    pub(super) fn set(&self, mut snapshot: Snapshot) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let queues = &snapshot.stats.queues;
        let starts = || queues.iter().map(|queue| (queue.queue.clone(), queue.starts)).collect();
        match &shown.base {
            Some((at, before)) if snapshot.now.since(*at) >= RATE_SPAN => {
                let span = snapshot.now.since(*at).as_secs_f64();
                let rate = |queue: &QueueStats| {
                    let earlier = before.get(&queue.queue).copied().unwrap_or(0);
                    number(queue.starts.saturating_sub(earlier)) / span
                };
                snapshot.starts_per_second = queues.iter().map(rate).collect();
                shown.base = Some((snapshot.now, starts()));
            }
            // Too soon for new ones.
            Some(_) => snapshot.starts_per_second = std::mem::take(&mut shown.newest.starts_per_second),
            None => shown.base = Some((snapshot.now, starts())),
        }
        shown.newest = snapshot;
    }
}

/// One sample: its labels and its value.
type Sample = (Labels, f64);

impl Collector for Stores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = &shown.newest;
        for (name, help, samples) in snapshot.gauges() {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in merged(samples) {
                ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        for (name, help, samples) in snapshot.counters() {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in merged(samples) {
                ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Adds up what has the same labels.
fn merged(samples: Vec<Sample>) -> Vec<Sample> {
    let mut sums: std::collections::BTreeMap<Labels, f64> = std::collections::BTreeMap::new();
    for (labels, value) in samples {
        *sums.entry(labels).or_default() += value;
    }
    sums.into_iter().collect()
}

#[expect(clippy::cast_precision_loss, reason = "a scrape is not for counting beyond 2^53")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

impl Snapshot {
    fn gauges(&self) -> Vec<(&'static str, &'static str, Vec<Sample>)> {
        let lag = number(self.stats.log_end.0.saturating_sub(self.projected));
        let lag = vec![(vec![label("projection", palomar_records::PROJECTION)], lag)];
        vec![
            ("queue_jobs", "Jobs in queues, by state", self.jobs()),
            ("queue_oldest_job_age_seconds", "Age of the oldest job that waits", self.oldest()),
            (
                "queue_paused",
                "1 where the queue is paused",
                self.of_queues(|queue| f64::from(u8::from(queue.paused.is_some()))),
            ),
            (
                "messages_uncertain",
                "Messages whose outcome is not known",
                self.of_providers(|queue| number(queue.counts[JobState::Uncertain as usize])),
            ),
            ("rate_allowed_per_second", "Attempts that the limits allow", self.rates()),
            ("rate_used_per_second", "Attempts that were started", self.used_rates()),
            (
                "recipients_24h",
                "Distinct recipients that count against the portfolio's budget",
                self.budgets(|queue| queue.budget_used),
            ),
            (
                "recipients_24h_limit",
                "Distinct recipients that the portfolio's budget allows",
                self.budgets(|queue| Some(u64::from(queue.limits.budget.as_ref()?.max))),
            ),
            (
                "breaker_state",
                "0 closed, 1 open, 2 half open",
                self.of_providers(|queue| match queue.breaker {
                    BreakerState::Closed => 0.0,
                    BreakerState::Open { .. } => 1.0,
                    BreakerState::HalfOpen => 2.0,
                }),
            ),
            (
                "channel_up",
                "1 where the channel sends",
                self.of_providers(|queue| {
                    f64::from(u8::from(queue.paused.is_none() && queue.breaker == BreakerState::Closed))
                }),
            ),
            ("projection_lag_events", "Facts that the projection has not read", lag),
        ]
    }

    fn counters(&self) -> Vec<(&'static str, &'static str, Vec<Sample>)> {
        let hits =
            vec![(vec![label("kind", OUTBOUND), label("level", "request")], number(self.stats.dedupe_hits))];
        vec![
            ("queue_enqueued", "Jobs that were accepted", self.of_kinds(|queue| number(queue.accepted))),
            ("queue_settled", "Jobs that came to an end", self.settled()),
            ("queue_leases_expired", "Leases that ran out", self.expired_leases()),
            (
                "queue_stale_settles",
                "Operations with a stale token",
                self.of_kinds(|queue| number(queue.stale)),
            ),
            ("queue_dedupe_hits", "Requests that were repeated", hits),
            (
                "duplicate_sends",
                "Messages that are known to have gone out twice",
                self.of_providers(|queue| number(queue.duplicate_sends)),
            ),
        ]
    }

    fn kind(queue: &QueueStats) -> Labels {
        vec![label("kind", queue.queue.pool())]
    }

    fn with_channel(&self, mut labels: Labels, queue: &QueueStats) -> Labels {
        if self.providers.len() <= MOST_CHANNELS {
            labels.push(label("channel", queue.queue.name()));
        }
        labels
    }

    fn of_kinds(&self, value: impl Fn(&QueueStats) -> f64) -> Vec<Sample> {
        self.stats.queues.iter().map(|queue| (Snapshot::kind(queue), value(queue))).collect()
    }

    fn of_queues(&self, value: impl Fn(&QueueStats) -> f64) -> Vec<Sample> {
        let queues = self.stats.queues.iter();
        queues.map(|queue| (self.with_channel(Snapshot::kind(queue), queue), value(queue))).collect()
    }

    /// Samples of the channels' outbound queues, by provider.
    fn of_providers(&self, value: impl Fn(&QueueStats) -> f64) -> Vec<Sample> {
        let outbound = self.stats.queues.iter().filter(|queue| queue.queue.pool() == OUTBOUND);
        outbound
            .map(|queue| {
                let mut known = self.providers.iter();
                let provider = known.find(|(name, _)| name.as_str() == queue.queue.name());
                let word = provider.map_or("none", |(_, provider)| provider.as_str());
                (self.with_channel(vec![label("provider", word)], queue), value(queue))
            })
            .collect()
    }

    fn jobs(&self) -> Vec<Sample> {
        let live =
            [JobState::Scheduled, JobState::Queued, JobState::Started, JobState::Uncertain, JobState::Dead];
        let queues = self.stats.queues.iter();
        let of_queue = |queue: &QueueStats| {
            live.map(|state| {
                let mut labels = Snapshot::kind(queue);
                labels.push(label("state", state.as_str()));
                (self.with_channel(labels, queue), number(queue.counts[state as usize]))
            })
        };
        queues.flat_map(of_queue).collect()
    }

    fn oldest(&self) -> Vec<Sample> {
        self.of_queues(|queue| queue.oldest_waiting.map_or(0.0, |at| self.now.since(at).as_secs_f64()))
    }

    fn rates(&self) -> Vec<Sample> {
        let limited = self.stats.queues.iter().filter(|queue| !queue.limits.windows.is_empty());
        limited
            .map(|queue| {
                let windows = queue.limits.windows.iter();
                let least = windows
                    .map(|window| f64::from(window.max) / window.window.as_secs_f64())
                    .fold(f64::INFINITY, f64::min);
                (self.with_channel(Vec::new(), queue), least * f64::from(queue.rate_permille) / 1000.0)
            })
            .collect()
    }

    fn used_rates(&self) -> Vec<Sample> {
        let queues = self.stats.queues.iter().zip(&self.starts_per_second);
        queues
            .filter(|(queue, _)| !queue.limits.windows.is_empty())
            .map(|(queue, rate)| (self.with_channel(Vec::new(), queue), *rate))
            .collect()
    }

    fn budgets(&self, value: impl Fn(&QueueStats) -> Option<u64>) -> Vec<Sample> {
        let queues = self.stats.queues.iter();
        queues
            .filter_map(|queue| Some((self.with_channel(Vec::new(), queue), number(value(queue)?))))
            .collect()
    }

    fn settled(&self) -> Vec<Sample> {
        let ends = [JobState::Done, JobState::Dead, JobState::Cancelled, JobState::Expired];
        let queues = self.stats.queues.iter();
        let of_queue = |queue: &QueueStats| {
            ends.map(|state| {
                let mut labels = Snapshot::kind(queue);
                labels.push(label("outcome", state.as_str()));
                (labels, number(queue.finished[state as usize]))
            })
        };
        queues.flat_map(of_queue).collect()
    }

    fn expired_leases(&self) -> Vec<Sample> {
        let queues = self.stats.queues.iter();
        let of_queue = |queue: &QueueStats| {
            [("false", 0), ("true", 1)].map(|(started, place)| {
                let mut labels = Snapshot::kind(queue);
                labels.push(label("started", started));
                (labels, number(queue.expired_leases[place]))
            })
        };
        queues.flat_map(of_queue).collect()
    }
}
