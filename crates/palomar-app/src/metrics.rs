//! What is counted for Prometheus. Labels are words of small sets and channels; never a person, a message or a text.
//!
//! | file | what |
//! |---|---|
//! | `sending`, `intake`, `realtime` | what is counted as it happens |
//! | `queues` | the broker's own numbers, as of the newest [`Stats`]; its counters through `ledger` |
//! | `sessions` | browser sessions, as of the newest reading |
//! | `stores`, `process` | stores, disk, workers and this process, as of the newest reading |
//! | `clock`, `logs` | jumps of the clock, lines of the log |
//! | `samples`, `counts` | how samples are added up and written |
//!
//! Every metric stands in `docs/METRICS.md`; a test compares the two. What the broker counts is not counted again. A
//! counter begins at 0 for all labels that are known: what was not there before it grew has no rate.

mod clock;
mod counts;
mod intake;
mod ledger;
mod logs;
mod process;
mod queues;
mod realtime;
mod samples;
mod sending;
mod sessions;
mod stores;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::Stats;
use palomar_channels::{Observer, Sent};
use palomar_model::{ChannelEvent, ChannelName, Outbound, Priority, Provider, SendFailure, Timestamp};
use palomar_records::RecordsError;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::channels::Line;
use clock::ClockWatch;
use intake::Intake;
use process::Process;
use queues::{Queues, Snapshot};
use realtime::Realtime;
use samples::{Crowd, Labels, label};
use sending::Sending;
use stores::Stores;

pub(crate) use intake::{FetchResult, WebhookResult};
pub use logs::LogLines;
pub(crate) use process::Usage;
pub(crate) use queues::{KnownChannel, Lag};
pub(crate) use sessions::SessionReading;
pub(crate) use stores::{Reading, Workers};

type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// From 10 ms to an hour.
fn waits() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
        3600.0,
    ])
}

/// All metrics. Clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    /// Ours, under our prefix; and those that every process has, under none.
    registries: Arc<Mutex<[Registry; 2]>>,
    sending: Sending,
    intake: Intake,
    realtime: Realtime,
    queues: Queues,
    stores: Stores,
    process: Process,
    clock: ClockWatch,
    log_lines: LogLines,
    crowd: Crowd,
    /// The channels whose counts were begun.
    begun: Arc<Mutex<Vec<KnownChannel>>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("palomar");
        let commit = option_env!("PALOMAR_COMMIT").unwrap_or("unknown");
        let build = vec![label("version", env!("CARGO_PKG_VERSION")), label("commit", commit)];
        registry.register("build", "What is running", Info::new(build));
        let log_lines = LogLines::register(&mut registry);
        let clock = ClockWatch::default();
        let help = "Jumps of the system's clock by 2 s or more, a suspended machine's too";
        registry.register("clock_jumps", help, clock.jumps.clone());
        let crowd = Crowd::default();
        let sending = Sending::register(&mut registry, &crowd);
        let intake = Intake::register(&mut registry, &crowd);
        let realtime = Realtime::register(&mut registry);
        let queues = Queues::new(&crowd);
        registry.register_collector(Box::new(queues.clone()));
        let stores = Stores::default();
        registry.register_collector(Box::new(stores.clone()));
        let mut common = Registry::default();
        let process = Process::default();
        common.register_collector(Box::new(process.clone()));
        let registries = Arc::new(Mutex::new([registry, common]));
        let begun = Arc::default();
        Metrics {
            registries,
            sending,
            intake,
            realtime,
            queues,
            stores,
            process,
            clock,
            log_lines,
            crowd,
            begun,
        }
    }
}

/// What a scrape shows of the moment.
pub(crate) struct Moment {
    /// None while the queues are away: their numbers stay as they were.
    pub(crate) queues: Option<(Stats, Lag)>,
    pub(crate) channels: Vec<KnownChannel>,
    pub(crate) reading: Reading,
    pub(crate) usage: Option<Usage>,
    pub(crate) now: Timestamp,
}

impl Metrics {
    /// Registers more, under the same prefix.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        let [registry, _] = &mut *self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        add(registry);
    }

    /// The counters of log lines, for who writes them.
    #[must_use]
    pub fn log_lines(&self) -> LogLines {
        self.log_lines.clone()
    }

    /// All of it as text, in the format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        registries.iter().try_for_each(|registry| encode_registry(&mut text, registry))?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// What the broker counts from here on is this process's.
    pub(crate) fn begin(&self, stats: Stats, channels: Vec<KnownChannel>) {
        self.queues.begin(stats, channels);
    }

    /// Takes the newest numbers.
    pub(crate) fn refresh(&self, moment: Moment) {
        let Moment { queues, channels, reading, usage, now } = moment;
        self.crowd.set(channels.len());
        self.begin_counts(&channels);
        self.look_at_clock(now);
        self.process.set(usage);
        self.stores.set(reading);
        if let Some((stats, lag)) = queues {
            self.queues.set(Snapshot { stats, lag, channels, now });
        }
    }

    fn begin_counts(&self, channels: &[KnownChannel]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if *begun != channels {
            for channel in channels {
                self.sending.expect(channel.provider, &channel.name);
                self.intake.expect(channel.provider);
            }
            *begun = channels.to_vec();
        }
    }

    /// Looks whether the clock jumped.
    pub(crate) fn look_at_clock(&self, now: Timestamp) {
        self.clock.look(now, Instant::now());
    }

    pub(crate) fn attempt(&self, line: &Line, message: &Outbound, result: &Result<Sent, SendFailure>) {
        self.sending.attempt(line, message, result);
    }

    /// A message failed: as a dead letter with this reason, or by the provider's report.
    pub(crate) fn failed(&self, provider: Provider, dead: Option<&str>) {
        self.sending.failed(provider, dead);
    }

    /// How long a job waited for its first attempt.
    pub(crate) fn waited(&self, kind: &'static str, priority: Priority, took: Duration) {
        self.sending.waited(kind, priority, took);
    }

    /// How long a stage of a message's way took.
    pub(crate) fn latency(&self, provider: Provider, stage: &'static str, took: Duration) {
        self.sending.latency(provider, stage, took);
    }

    pub(crate) fn webhook(&self, provider: Provider, result: WebhookResult, took: Duration) {
        self.intake.webhook(provider, result, took);
    }

    pub(crate) fn fetched(&self, result: FetchResult) {
        self.intake.fetched(result);
    }

    pub(crate) fn webhook_processed(&self, lag: Duration) {
        self.intake.processed(lag);
    }

    pub(crate) fn received(&self, provider: Provider, channel: &ChannelName, event: &ChannelEvent) {
        match event {
            ChannelEvent::Message(message) => self.intake.message(provider, &message.kind),
            ChannelEvent::Status(report) => self.sending.status(provider, channel, &report.status),
            ChannelEvent::Echo(_)
            | ChannelEvent::Change(_)
            | ChannelEvent::Channel { .. }
            | ChannelEvent::Template { .. }
            | ChannelEvent::Preference(_)
            | ChannelEvent::Person(_)
            | ChannelEvent::ChannelError { .. }
            | ChannelEvent::Other { .. } => {}
        }
    }

    /// What is counted of clients that follow events.
    pub(crate) const fn realtime(&self) -> &Realtime {
        &self.realtime
    }

    /// Records took in so many facts.
    pub(crate) fn recorded(&self, facts: usize, took: Duration) {
        self.stores.committed(facts, took);
    }

    /// Records could not take facts in.
    pub(crate) fn not_recorded(&self, error: &RecordsError) {
        self.stores.failed(error);
    }
}

impl Observer for Metrics {
    fn on_attempt(&self, provider: Provider, _: &'static str, took: Duration) {
        self.sending.answered(provider, took);
    }
}
