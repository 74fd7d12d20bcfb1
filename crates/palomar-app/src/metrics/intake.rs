//! What is counted of what comes in.

use std::time::Duration;

use palomar_channels::FetchProblem;
use palomar_model::Provider;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::counts::Counts;
use super::samples::{Crowd, label};
use super::{Histograms, waits};

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
    const ALL: [WebhookResult; 6] = [
        WebhookResult::Accepted,
        WebhookResult::Handshake,
        WebhookResult::BadSignature,
        WebhookResult::Refused,
        WebhookResult::TooLarge,
        WebhookResult::NotDurable,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
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

/// What became of an attempt to fetch media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchResult {
    Stored,
    Retried,
    Gone,
    TooLarge,
    WrongType,
    Blocked,
    Failed,
}

impl FetchResult {
    const ALL: [FetchResult; 7] = [
        FetchResult::Stored,
        FetchResult::Retried,
        FetchResult::Gone,
        FetchResult::TooLarge,
        FetchResult::WrongType,
        FetchResult::Blocked,
        FetchResult::Failed,
    ];

    /// What an end is called that this problem brought; none where the bytes were of another type than promised.
    pub(crate) const fn of(problem: Option<FetchProblem>) -> FetchResult {
        match problem {
            None => FetchResult::WrongType,
            Some(FetchProblem::Gone) => FetchResult::Gone,
            Some(FetchProblem::TooLarge) => FetchResult::TooLarge,
            Some(FetchProblem::Blocked) => FetchResult::Blocked,
            Some(
                FetchProblem::Nowhere
                | FetchProblem::Refused
                | FetchProblem::NotWritten
                | FetchProblem::Passing,
            ) => FetchResult::Failed,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            FetchResult::Stored => "stored",
            FetchResult::Retried => "retried",
            FetchResult::Gone => "gone",
            FetchResult::TooLarge => "too_large",
            FetchResult::WrongType => "wrong_type",
            FetchResult::Blocked => "blocked",
            FetchResult::Failed => "failed",
        }
    }
}

/// How long a webhook may wait for its answer: providers give up after seconds, and note much less.
fn acknowledgements() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
}

#[derive(Clone)]
pub(super) struct Intake {
    webhooks: Counts,
    webhook_ack: Histograms,
    webhook_lag: Histogram,
    inbound: Counts,
    fetches: Counts,
}

impl Intake {
    pub(super) fn register(registry: &mut Registry, crowd: &Crowd) -> Intake {
        let webhook_ack: Histograms = Family::new_with_constructor(acknowledgements);
        let help = "From a webhook's arrival to its answer, in seconds";
        registry.register("webhook_ack_duration_seconds", help, webhook_ack.clone());
        let webhook_lag = waits();
        let help =
            "From a webhook's arrival to its processing, in seconds; what the sandbox reports counts too";
        registry.register("webhook_lag_seconds", help, webhook_lag.clone());
        let mut counts = |name, help| Counts::register(registry, crowd, name, help);
        let fetches =
            counts("media_fetches", "Attempts to fetch media that came in, by what became of them.");
        for result in FetchResult::ALL {
            fetches.expect(vec![label("result", result.as_str())]);
        }
        Intake {
            fetches,
            webhooks: counts("webhooks_received", "Webhooks, by what became of them."),
            inbound: counts("inbound_messages", "Messages that people wrote, repeated deliveries too."),
            webhook_ack,
            webhook_lag,
        }
    }

    /// Begins the counts of a provider at 0.
    pub(super) fn expect(&self, of: Provider) {
        let provider = || label("provider", of.as_str());
        // The others bring what they have by themselves.
        if matches!(of, Provider::CloudApi | Provider::Twilio | Provider::Evolution) {
            for result in WebhookResult::ALL {
                self.webhooks.expect(vec![provider(), label("result", result.as_str())]);
            }
        }
        for known in KNOWN.into_iter().chain([OTHER]) {
            self.inbound.expect(vec![provider(), label("type", known)]);
        }
    }

    pub(super) fn webhook(&self, of: Provider, result: WebhookResult, took: Duration) {
        let provider = || label("provider", of.as_str());
        self.webhooks.add(vec![provider(), label("result", result.as_str())]);
        self.webhook_ack.get_or_create(&vec![provider()]).observe(took.as_secs_f64());
    }

    pub(super) fn fetched(&self, result: FetchResult) {
        self.fetches.add(vec![label("result", result.as_str())]);
    }

    pub(super) fn processed(&self, lag: Duration) {
        self.webhook_lag.observe(lag.as_secs_f64());
    }

    pub(super) fn message(&self, of: Provider, kind: &str) {
        self.inbound.add(vec![label("provider", of.as_str()), label("type", known_type(kind))]);
    }
}

const OTHER: &str = "other";

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

/// The provider's word for a type, where it is one that we know: a label must not grow with what others send.
fn known_type(word: &str) -> &str {
    if KNOWN.contains(&word) { word } else { OTHER }
}
