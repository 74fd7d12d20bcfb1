//! The broker's own numbers, shown as they stand at the scrape.

use std::collections::HashMap;
use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::{BreakerState, JobState, Limits, QueueName, QueueStats, Resolved, Stats, Window};
use palomar_model::{ChannelName, Provider, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::ledger::{Count, Ledger};
use super::samples::{CHANNEL, Crowd, Labels, Sample, Writer, label, number};
use crate::channels::channel_state;
use crate::queues::OUTBOUND;

/// A channel as far as metrics tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownChannel {
    pub(crate) name: ChannelName,
    pub(crate) provider: Provider,
    /// Whether its configuration works.
    pub(crate) works: bool,
}

/// How far records are behind the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    pub(crate) facts: u64,
    /// The age of the first fact that they have not read.
    pub(crate) age: Duration,
}

/// The numbers of a moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) stats: Stats,
    pub(super) lag: Lag,
    pub(super) channels: Vec<KnownChannel>,
    pub(super) now: Timestamp,
}

/// The newest snapshot.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    shown: Arc<Mutex<Shown>>,
    crowd: Crowd,
}

#[derive(Debug, Default)]
struct Shown {
    newest: Snapshot,
    /// When starts were counted to compare with, and how many each queue had then.
    base: Option<(Timestamp, HashMap<QueueName, u64>)>,
    /// Starts a second of each queue: between a snapshot and one a little earlier.
    starts_per_second: HashMap<QueueName, f64>,
    counters: Ledger,
}

/// Rates are told over no less than that, however often somebody scrapes.
const RATE_SPAN: Duration = Duration::from_secs(5);

impl Queues {
    pub(super) fn new(crowd: &Crowd) -> Queues {
        Queues { shown: Arc::default(), crowd: crowd.clone() }
    }

    /// What is counted from here on is this process's.
    pub(super) fn begin(&self, stats: Stats, channels: Vec<KnownChannel>) {
        let snapshot = Snapshot { stats, channels, ..Snapshot::default() };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.counters.begin(snapshot.counts());
    }

    pub(super) fn set(&self, snapshot: Snapshot) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let queues = &snapshot.stats.queues;
        let due = shown.base.as_ref().is_none_or(|(at, _)| snapshot.now.since(*at) >= RATE_SPAN);
        if due {
            if let Some((at, before)) = shown.base.take() {
                let span = snapshot.now.since(at).as_secs_f64();
                let rate = |queue: &QueueStats| {
                    let earlier = before.get(&queue.queue).copied().unwrap_or(0);
                    (queue.queue.clone(), number(queue.starts.saturating_sub(earlier)) / span)
                };
                shown.starts_per_second = queues.iter().map(rate).collect();
            }
            let starts = queues.iter().map(|queue| (queue.queue.clone(), queue.starts));
            shown.base = Some((snapshot.now, starts.collect()));
        }
        shown.counters.follow(snapshot.counts());
        shown.newest = snapshot;
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer::new(&mut encoder, &self.crowd);
        for (name, help, samples) in shown.newest.gauges(&shown.starts_per_second) {
            writer.gauge(name, help, samples)?;
        }
        for (name, help) in COUNTERS {
            writer.counter(name, help, shown.counters.samples(name))?;
        }
        let hits = number(shown.newest.stats.dedupe_hits);
        let labels = vec![label("kind", OUTBOUND), label("level", "request")];
        writer.counter("queue_dedupe_hits", "Requests that were repeated.", [(labels, hits)])
    }
}

const ENQUEUED: &str = "queue_enqueued";
const SETTLED: &str = "queue_settled";
const LEASES_EXPIRED: &str = "queue_leases_expired";
const STALE: &str = "queue_stale_settles";
const DUPLICATES: &str = "duplicate_sends";
const RESOLVED: &str = "uncertain_resolved";
const BREAKER_OPENS: &str = "breaker_opens";
const THROTTLED: &str = "throttled_seconds";

const COUNTERS: [(&str, &str); 8] = [
    (ENQUEUED, "Jobs that were accepted."),
    (SETTLED, "Jobs that came to an end; one that is retried as a dead letter comes to another."),
    (LEASES_EXPIRED, "Leases that ran out, by whether an attempt had started."),
    (STALE, "Operations of a worker whose lease had ended."),
    (DUPLICATES, "Messages that are known to have gone out twice."),
    (RESOLVED, "Uncertain messages that were resolved: by evidence, by a person, by their channel's policy."),
    (BREAKER_OPENS, "Times that a channel's breaker opened."),
    (
        THROTTLED,
        "Seconds for which messages waited because of a rate: a window's, or what the provider asked for.",
    ),
];

type Gauge = (&'static str, &'static str, Vec<Sample>);

impl Snapshot {
    fn gauges(&self, starts_per_second: &HashMap<QueueName, f64>) -> Vec<Gauge> {
        let projection = || vec![label("projection", palomar_records::PROJECTION)];
        let limited = |queue: &QueueStats| !queue.limits.windows.is_empty();
        vec![
            ("queue_jobs", "Jobs in queues, by state.", self.jobs()),
            (
                "queue_oldest_job_age_seconds",
                "For how long the oldest job waits that could go, in seconds; 0 where none does.",
                self.of_queues(|queue| {
                    queue.oldest_waiting.map_or(0.0, |at| self.now.since(at).as_secs_f64())
                }),
            ),
            (
                "queue_paused",
                "1 where the queue is paused.",
                self.of_queues(|queue| f64::from(u8::from(queue.paused.is_some()))),
            ),
            (
                "messages_uncertain",
                "Messages whose outcome is not known.",
                self.of_channels(|_, queue| Some(number(queue?.counts[JobState::Uncertain as usize]))),
            ),
            (
                "rate_allowed_per_second",
                "Attempts a second that the limits allow in the long run, as far as the provider lets them.",
                self.of_senders(|queue| limited(queue).then(|| allowed_rate(queue))),
            ),
            (
                "rate_used_per_second",
                "Attempts a second that were started, over the last seconds before a scrape.",
                self.of_senders(|queue| {
                    limited(queue).then(|| starts_per_second.get(&queue.queue).copied().unwrap_or(0.0))
                }),
            ),
            (
                "recipients_24h",
                "Distinct recipients that count against the portfolio's budget.",
                self.of_senders(|queue| queue.budget_used.map(number)),
            ),
            (
                "recipients_24h_limit",
                "Distinct recipients that the portfolio's budget allows.",
                self.of_senders(|queue| Some(f64::from(queue.limits.budget.as_ref()?.max))),
            ),
            (
                "breaker_state",
                "0 closed, 1 half open, 2 open.",
                self.of_channels(|_, queue| {
                    Some(match queue?.breaker {
                        BreakerState::Closed => 0.0,
                        BreakerState::HalfOpen => 1.0,
                        BreakerState::Open { .. } => 2.0,
                    })
                }),
            ),
            (
                "channel_up",
                "1 where the channel sends: it works, nothing paused it, its breaker is closed.",
                self.up(),
            ),
            ("channels", "Channels, by state: active, paused, broken.", self.channel_states()),
            (
                "projection_lag_events",
                "Facts that the projection has not read.",
                vec![(projection(), number(self.lag.facts))],
            ),
            (
                "projection_lag_seconds",
                "Age of the first fact that the projection has not read, in seconds; 0 where it has read all.",
                vec![(projection(), self.lag.age.as_secs_f64())],
            ),
        ]
    }

    /// What each queue has counted.
    fn counts(&self) -> Vec<(QueueName, Vec<Count>)> {
        let queues = self.stats.queues.iter();
        queues.map(|queue| (queue.queue.clone(), self.counts_of(queue))).collect()
    }

    fn counts_of(&self, queue: &QueueStats) -> Vec<Count> {
        let count = |name, labels, value| Count { name, labels, value };
        let kind = || label("kind", queue.queue.pool());
        let mut counts = vec![
            count(ENQUEUED, vec![kind()], number(queue.accepted)),
            count(STALE, vec![kind()], number(queue.stale)),
        ];
        for state in [JobState::Done, JobState::Dead, JobState::Cancelled, JobState::Expired] {
            let ended = queue.finished[state as usize] + queue.taken_back[state as usize];
            counts.push(count(SETTLED, vec![kind(), label("outcome", state.as_str())], number(ended)));
        }
        for (started, expired) in ["false", "true"].into_iter().zip(queue.expired_leases) {
            counts.push(count(LEASES_EXPIRED, vec![kind(), label("started", started)], number(expired)));
        }
        if queue.queue.pool() == OUTBOUND {
            self.count_sends(queue, &mut counts);
        }
        counts
    }

    fn count_sends(&self, queue: &QueueStats, counts: &mut Vec<Count>) {
        let mut add = |name, labels, value| counts.push(Count { name, labels, value });
        let mut known = self.channels.iter();
        let channel = known.find(|channel| channel.name.as_str() == queue.queue.name());
        let provider = || label("provider", channel.map_or("none", |channel| channel.provider.as_str()));
        add(DUPLICATES, vec![provider()], number(queue.duplicate_sends));
        add(BREAKER_OPENS, vec![provider()], number(queue.breaker_opens));
        for (how, resolved) in Resolved::ALL.into_iter().zip(queue.resolved) {
            add(RESOLVED, vec![label("how", how.as_str())], number(resolved));
        }
        let windows = queue.limits.windows.iter().map(|window| (Some(*window), Duration::ZERO));
        let may_be_held = windows.chain([(None, Duration::ZERO)]);
        for (cause, held) in may_be_held.chain(queue.rate_held.iter().copied()) {
            let window = label("window", window_word(cause, &queue.limits));
            add(THROTTLED, vec![provider(), window], held.as_secs_f64());
        }
    }

    fn of_queues(&self, value: impl Fn(&QueueStats) -> f64) -> Vec<Sample> {
        let labels =
            |queue: &QueueStats| vec![label("kind", queue.queue.pool()), label(CHANNEL, queue.queue.name())];
        self.stats.queues.iter().map(|queue| (labels(queue), value(queue))).collect()
    }

    fn jobs(&self) -> Vec<Sample> {
        let live =
            [JobState::Scheduled, JobState::Queued, JobState::Started, JobState::Uncertain, JobState::Dead];
        let of_state = |state: JobState| {
            let samples = self.of_queues(|queue| number(queue.counts[state as usize]));
            samples.into_iter().map(move |(mut labels, count)| {
                labels.insert(1, label("state", state.as_str()));
                (labels, count)
            })
        };
        live.into_iter().flat_map(of_state).collect()
    }

    /// The channels, each with its outbound queue.
    fn senders(&self) -> impl Iterator<Item = (&KnownChannel, Option<&QueueStats>)> {
        let outbound = self.stats.queues.iter().filter(|queue| queue.queue.pool() == OUTBOUND);
        let queues: HashMap<&str, &QueueStats> = outbound.map(|queue| (queue.queue.name(), queue)).collect();
        self.channels.iter().map(move |channel| (channel, queues.get(channel.name.as_str()).copied()))
    }

    fn of_channels(&self, value: impl Fn(&KnownChannel, Option<&QueueStats>) -> Option<f64>) -> Vec<Sample> {
        let labels = |channel: &KnownChannel| {
            vec![label("provider", channel.provider.as_str()), label(CHANNEL, channel.name.as_str())]
        };
        let senders = self.senders();
        senders.filter_map(|(channel, queue)| Some((labels(channel), value(channel, queue)?))).collect()
    }

    /// Samples that have no label but the channel.
    fn of_senders(&self, value: impl Fn(&QueueStats) -> Option<f64>) -> Vec<Sample> {
        let labels = |channel: &KnownChannel| vec![label(CHANNEL, channel.name.as_str())];
        self.senders().filter_map(|(channel, queue)| Some((labels(channel), value(queue?)?))).collect()
    }

    fn up(&self) -> Vec<Sample> {
        self.of_channels(|channel, queue| {
            let sends =
                queue.is_some_and(|queue| queue.paused.is_none() && queue.breaker == BreakerState::Closed);
            Some(f64::from(u8::from(channel.works && sends)))
        })
    }

    fn channel_states(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (channel, queue) in self.senders() {
            let state = channel_state(channel.works, queue.is_some_and(|queue| queue.paused.is_some()));
            for known in ["active", "paused", "broken"] {
                let labels: Labels =
                    vec![label("provider", channel.provider.as_str()), label("state", known)];
                samples.push((labels, f64::from(u8::from(known == state))));
            }
        }
        samples
    }
}

/// What the slowest window allows, at the share of it that throttling leaves.
fn allowed_rate(queue: &QueueStats) -> f64 {
    let windows = queue.limits.windows.iter();
    let rates = windows.map(|window| f64::from(window.max) / window.window.as_secs_f64());
    rates.fold(f64::INFINITY, f64::min) * f64::from(queue.rate_permille) / 1000.0
}

/// What holds a rate, as a label: the span of a window. One of less than a second only spreads the starts of a longer
/// one, and counts as that.
fn window_word(cause: Option<Window>, limits: &Limits) -> String {
    let Some(window) = cause else { return "provider".to_owned() };
    let whole = limits.windows.iter().map(|window| window.window).filter(|span| span.as_secs() >= 1);
    let span = if window.window.as_secs() >= 1 { None } else { whole.min() };
    format!("{}s", span.unwrap_or(window.window).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_named_by_their_span() {
        let window = |max, millis| Window { max, window: Duration::from_millis(millis) };
        let limits = Limits {
            windows: vec![window(80, 1000), window(600, 60_000), window(4, 45)],
            ..Limits::default()
        };
        let none = Limits::default();
        for (cause, limits, word) in [
            (None, &limits, "provider"),
            (Some(window(600, 60_000)), &limits, "60s"),
            (Some(window(80, 1000)), &limits, "1s"),
            (Some(window(4, 45)), &limits, "1s"),
            (Some(window(4, 45)), &none, "0.045s"),
        ] {
            assert_eq!(window_word(cause, limits), word);
        }
    }
}
