//! What is counted for Prometheus. Labels are words of small sets and channels; never a person, a message or a text.
//!
//! What the broker counts is not counted again: `stores` shows the newest [`Stats`] as they are.

mod process;
mod stores;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::{EvidenceEffect, Stats};
use palomar_channels::{Observer, Sent};
use palomar_model::{ChannelEvent, ChannelName, Outbound, Priority, Provider, SendFailure, Timestamp};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::channels::Line;
use process::Process;
pub(crate) use process::{Reading, Workers};
use stores::{Snapshot, Stores};

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookResult {
    Accepted,
    Handshake,
    BadSignature,
    Refused,
    TooLarge,
    NotDurable,
}

impl WebhookResult {
    const fn as_str(self) -> &'static str {
        match self {
            WebhookResult::Accepted => "accepted",
            WebhookResult::Handshake => "handshake",
            WebhookResult::BadSignature => "bad_signature",
            WebhookResult::Refused => "refused",
            WebhookResult::TooLarge => "too_large",
            WebhookResult::NotDurable => "not_durable",
        }
    }
}

/// The registry and what is in it. Clones share both.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    families: Families,
    stores: Stores,
    process: Process,
}

#[derive(Clone)]
struct Families {
    attempts: Counters,
    sent: Counters,
    statuses: Counters,
    failed: Counters,
    request_duration: Histograms,
    webhooks: Counters,
    webhook_ack: Histograms,
    webhook_lag: Histogram,
    inbound: Counters,
    resolved: Counters,
    queue_wait: Histograms,
    latency: Histograms,
}

/// From 1 ms to half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// From 10 ms to an hour.
fn waits() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.5, 15))
}

impl Default for Metrics {
    fn default() -> Metrics {
        let families = Families {
            attempts: Family::default(),
            sent: Family::default(),
            statuses: Family::default(),
            failed: Family::default(),
            request_duration: Family::new_with_constructor(seconds),
            webhooks: Family::default(),
            webhook_ack: Family::new_with_constructor(seconds),
            webhook_lag: seconds(),
            inbound: Family::default(),
            resolved: Family::default(),
            queue_wait: Family::new_with_constructor(waits),
            latency: Family::new_with_constructor(waits),
        };
        let mut registry = Registry::with_prefix("palomar");
        families.register(&mut registry);
        let stores = Stores::default();
        registry.register_collector(Box::new(stores.clone()));
        let process = Process::default();
        registry.register_collector(Box::new(process.clone()));
        let commit = option_env!("PALOMAR_COMMIT").unwrap_or("unknown");
        let build = vec![label("version", env!("CARGO_PKG_VERSION")), label("commit", commit)];
        registry.register("build", "What is running", Info::new(build));
        Metrics { registry: Arc::new(Mutex::new(registry)), families, stores, process }
    }
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let own = self.clone();
        registry.register("attempts", "Attempts to send, by what came of them", own.attempts);
        registry.register("messages_sent", "Messages that a provider took", own.sent);
        registry.register("message_statuses", "Reports of providers on messages", own.statuses);
        registry.register(
            "messages_failed",
            "Attempts that failed for good, by the class of their error",
            own.failed,
        );
        let name = "provider_request_duration_seconds";
        registry.register(name, "From an attempt's start to the provider's answer", own.request_duration);
        registry.register("webhooks_received", "Webhooks, by what became of them", own.webhooks);
        registry.register("webhook_ack_duration_seconds", "From a webhook to its answer", own.webhook_ack);
        registry.register("webhook_lag_seconds", "From a webhook to its processing", own.webhook_lag);
        registry.register(
            "uncertain_resolved",
            "Uncertain messages that were resolved, by how",
            own.resolved,
        );
        registry.register("inbound_messages", "Messages that people wrote", own.inbound);
        registry.register(
            "queue_wait_seconds",
            "From when a job is due to its first attempt",
            own.queue_wait,
        );
        registry.register(
            "message_latency_seconds",
            "Stages of a message's way: accept_to_sent, sent_to_delivered, delivered_to_read",
            own.latency,
        );
    }
}

fn label(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

impl Metrics {
    /// Registers more, under the same prefix.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All of it as text, in the format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }

    /// Takes the newest numbers of the stores.
    pub(crate) fn refresh(
        &self,
        stats: Stats,
        projected: u64,
        providers: Vec<(ChannelName, Provider)>,
        reading: Reading,
        now: Timestamp,
    ) {
        self.process.set(reading);
        self.stores.set(Snapshot { stats, projected, providers, starts_per_second: Vec::new(), now });
    }

    pub(crate) fn attempt(&self, line: &Line, message: &Outbound, result: &Result<Sent, SendFailure>) {
        let (outcome, class) = match result {
            Ok(_) => ("sent", "none"),
            Err(failure) if failure.known_not_taken() => ("not_taken", failure.class.as_str()),
            Err(failure) => ("unknown", failure.class.as_str()),
        };
        let provider = || label("provider", line.provider.as_str());
        let channel = || label("channel", line.name.as_str());
        let labels = vec![provider(), channel(), label("outcome", outcome), label("class", class)];
        self.families.attempts.get_or_create(&labels).inc();
        match result {
            Ok(_) => {
                let labels = vec![provider(), channel(), label("type", message.content.kind().as_str())];
                self.families.sent.get_or_create(&labels).inc();
            }
            Err(failure) => {
                use palomar_model::ErrorClass::{Content, NeedsTemplate, Recipient};
                if matches!(failure.class, Recipient | Content | NeedsTemplate) {
                    self.families.failed.get_or_create(&vec![provider(), label("reason", class)]).inc();
                }
            }
        }
    }

    /// How long a job waited for its first attempt.
    pub(crate) fn waited(&self, kind: &'static str, priority: Priority, took: Duration) {
        let labels = vec![label("kind", kind), label("priority", priority.as_str())];
        self.families.queue_wait.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// How long a stage of a message's way took.
    pub(crate) fn latency(&self, provider: Provider, stage: &'static str, took: Duration) {
        let labels = vec![label("provider", provider.as_str()), label("stage", stage)];
        self.families.latency.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn webhook(&self, provider: Provider, result: WebhookResult, took: Duration) {
        let provider = || label("provider", provider.as_str());
        self.families.webhooks.get_or_create(&vec![provider(), label("result", result.as_str())]).inc();
        self.families.webhook_ack.get_or_create(&vec![provider()]).observe(took.as_secs_f64());
    }

    /// Counts what was resolved by a provider's report that carried our tag.
    pub(crate) fn evidence(&self, effects: &[EvidenceEffect]) {
        let resolved = effects.iter().filter(|effect| **effect == EvidenceEffect::Resolved).count();
        self.families.resolved.get_or_create(&vec![label("how", "status")]).inc_by(resolved as u64);
    }

    pub(crate) fn webhook_processed(&self, lag: Duration) {
        self.families.webhook_lag.observe(lag.as_secs_f64());
    }

    pub(crate) fn received(&self, provider: Provider, channel: &ChannelName, event: &ChannelEvent) {
        let provider = label("provider", provider.as_str());
        match event {
            ChannelEvent::Message(message) => {
                let labels = vec![provider, label("type", known_type(&message.kind))];
                self.families.inbound.get_or_create(&labels).inc();
            }
            ChannelEvent::Status(report) => {
                let status = match &report.status {
                    palomar_model::Status::Known(status) => status.as_str(),
                    palomar_model::Status::Other(_) => "other",
                };
                let labels = vec![provider, label("channel", channel.as_str()), label("status", status)];
                self.families.statuses.get_or_create(&labels).inc();
            }
            ChannelEvent::ChannelError { .. } | ChannelEvent::Other { .. } => {}
        }
    }
}

/// The provider's word for a type, where it is one that we know: a label must not grow with what others send.
fn known_type(word: &str) -> &str {
    const KNOWN: [&str; 13] = [
        "text",
        "image",
        "video",
        "audio",
        "document",
        "sticker",
        "location",
        "contacts",
        "interactive",
        "button",
        "reaction",
        "order",
        "system",
    ];
    if KNOWN.contains(&word) { word } else { "other" }
}

impl Observer for Metrics {
    fn on_attempt(&self, provider: Provider, _: &'static str, took: Duration) {
        let labels = vec![label("provider", provider.as_str())];
        self.families.request_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
