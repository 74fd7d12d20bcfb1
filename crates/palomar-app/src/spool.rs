//! The spool as the application sees it: what waits on this node's disk while the queues can't be reached, and what
//! becomes of a message that they refuse when it is handed over.
//!
//! While the queues are away, nobody can ask them whether a request came before. It is accepted, and they tell when they
//! are back: the first request counts, and the message of the later one, which was told to be accepted, fails with a
//! reason, as a dead letter.

use std::sync::Mutex;
use std::sync::PoisonError;

use palomar_broker::{BrokerError, Enqueued, NewJob, SpoolMeters, Stats};
use palomar_model::{Outbound, Timestamp};
use serde::Serialize;

use crate::{App, AppError, identity, payload};

/// Asks the spool.
pub type SpoolSource = Box<dyn Fn() -> SpoolMeters + Send + Sync>;

/// The spool, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpoolView {
    /// What waits there: messages and webhooks.
    pub items: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes at most.
    pub limit_bytes: u64,
    /// Since when the oldest waits.
    pub oldest_at: Option<Timestamp>,
    /// Why the queues can't be reached, where they can't.
    pub queues_away: Option<String>,
    /// Why what waits can't be handed over, where the queues can be reached and that failed nevertheless.
    pub stuck: Option<String>,
}

/// The newest numbers of the queues, and when they were read: what is shown while the queues are away.
#[derive(Default)]
pub(crate) struct LastStats(Mutex<Option<(Timestamp, Stats)>>);

impl LastStats {
    pub(crate) fn set(&self, at: Timestamp, stats: &Stats) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, stats.clone()));
    }

    fn get(&self) -> Option<(Timestamp, Stats)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl App {
    /// Says where the numbers of the spool come from; the first source counts.
    pub fn observe_spool(&self, source: SpoolSource) {
        if self.spool.set(source).is_err() {
            tracing::debug!("the spool is observed already");
        }
    }

    /// The spool, where there is one.
    pub(crate) fn spool(&self) -> Option<SpoolMeters> {
        self.spool.get().map(|source| source())
    }

    /// Whether the queues are away, and what comes waits in the spool.
    pub(crate) fn queues_are_away(&self) -> bool {
        self.spool().is_some_and(|spool| spool.away.is_some())
    }

    /// Whether an error of the queues means that what comes now waits in the spool. It is so from the first answer that
    /// is missed: the spool itself finds out a moment later.
    pub(crate) fn is_spooling(&self, error: &BrokerError) -> bool {
        matches!(error, BrokerError::Lost(_)) && self.spool.get().is_some()
    }

    /// The queues in numbers. While they are away: the newest that were seen, and when.
    pub(crate) async fn newest_stats(&self) -> Result<(Stats, Option<Timestamp>), AppError> {
        match self.broker.stats().await {
            Ok(stats) => {
                if self.spool.get().is_some() {
                    self.last_stats.set(self.now(), &stats);
                }
                Ok((stats, None))
            }
            Err(error) => match self.last_stats.get().filter(|_| self.is_spooling(&error)) {
                Some((at, stats)) => Ok((stats, Some(at))),
                None => Err(error.into()),
            },
        }
    }
}

impl From<SpoolMeters> for SpoolView {
    fn from(spool: SpoolMeters) -> SpoolView {
        SpoolView {
            items: spool.items,
            bytes: spool.bytes,
            limit_bytes: spool.limit,
            oldest_at: spool.oldest,
            queues_away: spool.away.as_deref().map(str::to_owned),
            stuck: spool.stuck.as_deref().map(str::to_owned),
        }
    }
}

/// What stands for a message that the queues refused when it was handed over: a job that fails at its first attempt,
/// before anything is sent, and says why. None for what is no message.
#[must_use]
pub fn refused_later(job: &NewJob, answer: Enqueued) -> Option<NewJob> {
    let message = Outbound::decode(&job.payload).ok()?;
    let (message, reason) = match answer {
        Enqueued::Accepted => return None,
        Enqueued::Duplicate { of } => {
            (message, format!("not sent: the same request had come before, as message {of}"))
        }
        Enqueued::Conflict { of } if of == job.id => {
            let id = identity::of_refused(&message).ok()?;
            (Outbound { id, ..message }, format!("not sent: another message has its id, {of}"))
        }
        Enqueued::Conflict { of } => {
            let why = format!("not sent: its request had come before with another body, as message {of}");
            (message, why)
        }
    };
    let payload = payload::encode_refused(&message, &reason).ok()?;
    let times = NewJob { run_at: None, expires_at: None, ..job.clone() };
    Some(NewJob {
        id: message.id,
        payload: payload.into(),
        dedupe: Vec::new(),
        spends_budget: false,
        ..times
    })
}

#[cfg(test)]
mod tests {
    use palomar_broker::QueueName;
    use palomar_model::{IdGenerator, Recipient};

    use super::*;
    use crate::NewMessage;

    #[test]
    fn what_is_refused_later_fails_with_its_reason_and_is_not_another_message() {
        let to = Recipient::parse("+34600111222", None).expect("a number");
        let new = NewMessage::text("demo".parse().expect("a name"), to, "Hola");
        let [id, other] = [1, 2].map(|n| IdGenerator::new(n).message_id(Timestamp::EPOCH));
        let message = new.into_outbound(id, "demo".parse().expect("a name"), Timestamp::EPOCH);
        let queue = QueueName::new("outbound", "demo").expect("a name");
        let job = NewJob::new(id, queue, payload::encode(&message, 0, None).expect("json"));
        for (answer, keeps_id, expected) in [
            (Enqueued::Duplicate { of: other }, true, "the same request had come before"),
            (Enqueued::Conflict { of: other }, true, "with another body"),
            (Enqueued::Conflict { of: id }, false, "another message has its id"),
        ] {
            let instead = refused_later(&job, answer).expect("a job");
            let reason = payload::refusal(&instead.payload).expect("a reason");
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(instead.id == id, keeps_id);
            let read = Outbound::decode(&instead.payload).expect("a message");
            assert!(read == Outbound { id: instead.id, ..message.clone() });
            // A crash repeats it.
            assert_eq!(refused_later(&job, answer), Some(instead));
        }
        assert_eq!(payload::refusal(&job.payload), None);
        let webhook = NewJob { payload: "{}".into(), ..job };
        assert_eq!(refused_later(&webhook, Enqueued::Duplicate { of: other }), None);
    }
}
