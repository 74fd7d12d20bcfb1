//! What is counted and timed when something happened to a message. The projection and the recount ask the same questions
//! of different rows; what follows from the answers is decided here, once.

use std::time::Duration;

use palomar_model::Timestamp;
use palomar_model::analytics::{Metric, Stage};

/// What happened to an outbound message, and what it was before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened<'a> {
    /// The word for it in the journal.
    pub(crate) kind: &'a str,
    pub(crate) at: Timestamp,
    /// What counters it raised.
    pub(crate) counted: &'a [&'a str],
    /// When the message was due.
    pub(crate) due: Timestamp,
    /// Attempts, this one included.
    pub(crate) attempts: u32,
    /// Since when an attempt was in flight.
    pub(crate) in_flight: Option<Timestamp>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
}

impl Happened<'_> {
    fn raised(&self, kind: &str) -> bool {
        self.counted.contains(&kind)
    }

    /// What is counted once more. A word that counts something else is passed over.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = Metric> {
        let by_kind = match self.kind {
            "started" => Some(Metric::Attempts),
            "attempt_failed" => Some(Metric::AttemptsFailed),
            "duplicate" => Some(Metric::Duplicates),
            _ => None,
        };
        self.counted.iter().filter_map(|kind| kind.parse().ok()).chain(by_kind)
    }

    /// What took how long. A status that implies an earlier one says nothing of when that was.
    pub(crate) fn times(&self) -> impl Iterator<Item = (Stage, Duration)> {
        let since = |from: Option<Timestamp>| from.map(|from| self.at.since(from));
        let first_start = self.kind == "started" && self.attempts == 1;
        let outcome = matches!(self.kind, "sent" | "attempt_failed");
        let taken = matches!(self.kind, "sent" | "done") && self.raised("sent");
        let delivered = self.raised("delivered") && !self.raised("sent") && !self.raised("read");
        let read = self.raised("read") && !self.raised("delivered");
        [
            (Stage::QueueWait, first_start.then(|| self.at.since(self.due))),
            (Stage::ProviderLatency, since(self.in_flight).filter(|_| outcome)),
            (Stage::AcceptedToSent, taken.then(|| self.at.since(self.due))),
            (Stage::SentToDelivered, since(self.sent_at).filter(|_| delivered)),
            (Stage::DeliveredToRead, since(self.delivered_at).filter(|_| read)),
        ]
        .into_iter()
        .filter_map(|(stage, took)| Some((stage, took?)))
    }
}

/// Whether an attempt is in flight after this, where one was (`before`): since when.
pub(crate) fn in_flight(kind: &str, at: Timestamp, before: Option<Timestamp>) -> Option<Timestamp> {
    match kind {
        "started" => Some(at),
        "sent" | "attempt_failed" | "uncertain" | "requeued" | "retried" => None,
        _ => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_implies_another_is_no_measure_of_it() {
        let at = Timestamp::from_seconds(100);
        let before = |seconds: i64| Some(Timestamp::from_seconds(100 - seconds));
        for (kind, counted, expected) in [
            ("started", &[][..], &[(Stage::QueueWait, 40)][..]),
            ("sent", &["sent"], &[(Stage::ProviderLatency, 2), (Stage::AcceptedToSent, 40)]),
            (
                "sent",
                &["sent", "delivered", "read"],
                &[(Stage::ProviderLatency, 2), (Stage::AcceptedToSent, 40)],
            ),
            ("delivered", &["delivered"], &[(Stage::SentToDelivered, 20)]),
            ("delivered", &["sent", "delivered"], &[]),
            ("read", &["read"], &[(Stage::DeliveredToRead, 10)]),
            ("read", &["delivered", "read"], &[]),
            ("delivered", &[], &[]),
            ("attempt_failed", &[], &[(Stage::ProviderLatency, 2)]),
        ] {
            let happened = Happened {
                kind,
                at,
                counted,
                due: Timestamp::from_seconds(60),
                attempts: 1,
                in_flight: before(2),
                sent_at: before(20),
                delivered_at: before(10),
            };
            let told: Vec<_> = happened.times().map(|(stage, took)| (stage, took.as_secs())).collect();
            assert_eq!(told, expected, "{kind} {counted:?}");
        }
    }
}
