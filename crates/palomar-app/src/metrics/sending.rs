//! What is counted of messages on their way out.

use std::time::Duration;

use palomar_channels::Sent;
use palomar_model::{
    ChannelName, ContentKind, DeadReason, ErrorClass, Outbound, Priority, Provider, ReportedStatus, Scope,
    SendFailure, Status,
};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::counts::Counts;
use super::samples::{CHANNEL, Crowd, Labels, label};
use super::{Histograms, waits};
use crate::channels::Line;

/// How long a provider may take.
fn answers() -> Histogram {
    Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0])
}

const CLASSES: [ErrorClass; 7] = [
    ErrorClass::Recipient,
    ErrorClass::Content,
    ErrorClass::Throttled { after: None, scope: Scope::Channel },
    ErrorClass::Transient,
    ErrorClass::Auth,
    ErrorClass::Account,
    ErrorClass::NeedsTemplate,
];

const DEAD_REASONS: [DeadReason; 4] =
    [DeadReason::Recipient, DeadReason::Content, DeadReason::NeedsTemplate, DeadReason::AttemptsExhausted];

/// The provider reported it, after it had taken the message.
const REPORTED: &str = "reported";
/// Its outcome was not known, and its channel drops such messages.
const UNCERTAIN: &str = "uncertain";
const OTHER: &str = "other";

#[derive(Clone)]
pub(super) struct Sending {
    attempts: Counts,
    sent: Counts,
    statuses: Counts,
    failed: Counts,
    request_duration: Histograms,
    queue_wait: Histograms,
    latency: Histograms,
}

fn provider(provider: Provider) -> (&'static str, String) {
    label("provider", provider.as_str())
}

impl Sending {
    pub(super) fn register(registry: &mut Registry, crowd: &Crowd) -> Sending {
        let request_duration: Histograms = Family::new_with_constructor(answers);
        let help = "From an attempt's start to the provider's answer, in seconds";
        registry.register("provider_request_duration_seconds", help, request_duration.clone());
        let queue_wait: Histograms = Family::new_with_constructor(waits);
        let help = "From when a job is due to its first attempt, in seconds";
        registry.register("queue_wait_seconds", help, queue_wait.clone());
        let latency: Histograms = Family::new_with_constructor(waits);
        let help =
            "Stages of a message's way, in seconds: accept_to_sent, sent_to_delivered, delivered_to_read";
        registry.register("message_latency_seconds", help, latency.clone());
        let mut counts = |name, help| Counts::register(registry, crowd, name, help);
        Sending {
            attempts: counts(
                "attempts",
                "Attempts to send, by what came of them and the class of the error.",
            ),
            sent: counts("messages_sent", "Messages that a provider took."),
            statuses: counts("message_statuses", "Reports of providers on messages, repeated ones too."),
            failed: counts(
                "messages_failed",
                "Messages that failed, by why: the last error, the provider's report, or what became of the doubt.",
            ),
            request_duration,
            queue_wait,
            latency,
        }
    }

    /// Begins the counts of a channel at 0.
    pub(super) fn expect(&self, of: Provider, channel: &ChannelName) {
        let line = || vec![provider(of), label(CHANNEL, channel.as_str())];
        let not_taken = CLASSES.map(|class| ("not_taken", class.as_str()));
        for (outcome, class) in [("sent", "none"), ("unknown", "unknown")].into_iter().chain(not_taken) {
            self.attempts.expect(with(line(), [("outcome", outcome), ("class", class)]));
        }
        for kind in ContentKind::ALL {
            self.sent.expect(with(line(), [("type", kind.as_str())]));
        }
        for status in ReportedStatus::ALL.map(ReportedStatus::as_str).into_iter().chain([OTHER]) {
            self.statuses.expect(with(line(), [("status", status)]));
        }
        for reason in DEAD_REASONS.map(DeadReason::as_str).into_iter().chain([REPORTED, UNCERTAIN, OTHER]) {
            self.failed.expect(vec![provider(of), label("reason", reason)]);
        }
    }

    pub(super) fn attempt(&self, line: &Line, message: &Outbound, result: &Result<Sent, SendFailure>) {
        let (outcome, class) = match result {
            Ok(_) => ("sent", "none"),
            Err(failure) if failure.known_not_taken() => ("not_taken", failure.class.as_str()),
            Err(failure) => ("unknown", failure.class.as_str()),
        };
        let labels = || vec![provider(line.provider), label(CHANNEL, line.name.as_str())];
        self.attempts.add(with(labels(), [("outcome", outcome), ("class", class)]));
        if result.is_ok() {
            self.sent.add(with(labels(), [("type", message.content.kind().as_str())]));
        }
    }

    /// A message failed: as a dead letter with this reason, or by the provider's report.
    pub(super) fn failed(&self, of: Provider, dead: Option<&str>) {
        self.failed.add(vec![provider(of), label("reason", failure_word(dead))]);
    }

    pub(super) fn status(&self, of: Provider, channel: &ChannelName, status: &Status) {
        let word = match status {
            Status::Known(status) => status.as_str(),
            Status::Other(_) => OTHER,
        };
        self.statuses.add(with(vec![provider(of), label(CHANNEL, channel.as_str())], [("status", word)]));
    }

    pub(super) fn answered(&self, of: Provider, took: Duration) {
        self.request_duration.get_or_create(&vec![provider(of)]).observe(took.as_secs_f64());
    }

    pub(super) fn waited(&self, kind: &'static str, priority: Priority, took: Duration) {
        let labels = vec![label("kind", kind), label("priority", priority.as_str())];
        self.queue_wait.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn latency(&self, of: Provider, stage: &'static str, took: Duration) {
        let labels = vec![provider(of), label("stage", stage)];
        self.latency.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

fn with<const N: usize>(mut labels: Labels, more: [(&'static str, &'static str); N]) -> Labels {
    labels.extend(more.map(|(name, value)| label(name, value)));
    labels
}

/// The word for why a message failed, of a small set: a dead letter's reason may hold a provider's own words.
fn failure_word(dead: Option<&str>) -> &'static str {
    let Some(reason) = dead else { return REPORTED };
    let word = reason.split(':').next().unwrap_or_default();
    let known = DEAD_REASONS.map(DeadReason::as_str).into_iter().chain([UNCERTAIN]);
    known.into_iter().find(|known| *known == word).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_messages_fail_is_a_word_of_a_small_set() {
        for (dead, word) in [
            (None, "reported"),
            (Some("recipient: not on WhatsApp (code 131026)"), "recipient"),
            (Some("attempts_exhausted: x"), "attempts_exhausted"),
            (Some("uncertain"), "uncertain"),
            (Some("Message undeliverable (code 131026)"), "other"),
            (Some("a person settled it as failed"), "other"),
            (Some(""), "other"),
        ] {
            assert_eq!(failure_word(dead), word, "{dead:?}");
        }
    }
}
