//! Jobs to be queued: their ids, queues and keys, and what became of queueing them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{MessageId, Priority, Timestamp};
use serde::{Deserialize, Serialize};

/// The id of a job. The job that sends a message has the message's id.
pub type JobId = MessageId;

/// The name of a queue: `pool/name`, for example `outbound/main-line`. Workers lease from a pool, that is from all of
/// its queues at once; limits, pauses, order and the breaker belong to one queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(Arc<str>);

/// A text that names no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a queue's name: expected pool/name, each 1 to 63 lower-case letters, digits, '-' or '_'")]
pub struct InvalidQueueName;

impl QueueName {
    /// The queue `name` of `pool`.
    pub fn new(pool: &str, name: &str) -> Result<QueueName, InvalidQueueName> {
        let fits = |part: &str| {
            (1..=63).contains(&part.len())
                && part
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_')
        };
        if fits(pool) && fits(name) {
            Ok(QueueName(format!("{pool}/{name}").into()))
        } else {
            Err(InvalidQueueName)
        }
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.0.split_once('/').map_or("", |(pool, _)| pool)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<QueueName, InvalidQueueName> {
        let (pool, name) = text.split_once('/').ok_or(InvalidQueueName)?;
        QueueName::new(pool, name)
    }
}

impl TryFrom<String> for QueueName {
    type Error = InvalidQueueName;

    fn try_from(text: String) -> Result<QueueName, InvalidQueueName> {
        text.parse()
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a job is for, as far as order is concerned: jobs of one queue with equal keys leave one at a time, in order.
///
/// A 64-bit hash of the text (FNV-1a, stable for ever because it is stored). Two texts that fall together are merely
/// kept in order with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(u64);

impl Key {
    /// The key of a text.
    #[must_use]
    pub fn of(text: &str) -> Key {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Zero stands for "no key" in the index.
        Key(hash.max(1))
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// What to do with a job whose outcome stays unknown (GUARANTEES §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// It stays uncertain until evidence or a person resolves it.
    #[default]
    Hold,
    /// It is tried again: at least once.
    Retry,
    /// It is given up: at most once.
    Drop,
}

/// The identity of a request, so that repeating it is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// What the request is known by: a hash of key, path, caller, row.
    pub id: u128,
    /// What it said: a hash of its body. The same id with another body is refused.
    pub fingerprint: u64,
    /// How long it is remembered.
    pub ttl: Duration,
}

/// A job to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id, unique for as long as the broker knows the job.
    pub id: JobId,
    /// Where it waits.
    pub queue: QueueName,
    /// How urgent it is.
    pub priority: Priority,
    /// Jobs of a group share a fair turn, and are paused or cancelled together (a campaign).
    pub group: Option<Arc<str>>,
    /// Jobs of a key leave in order, one at a time.
    pub key: Option<Key>,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Not after: a job that has not started by then is `Expired`.
    pub expires_at: Option<Timestamp>,
    /// What to do when its outcome stays unknown.
    pub on_uncertain: OnUncertain,
    /// Whether its start counts against the queue's budget of distinct keys.
    pub spends_budget: bool,
    /// What the request that brings it is known by: one that came before makes this a repetition. The first that did
    /// decides, and all are remembered of a job that is accepted.
    pub dedupe: Vec<Dedupe>,
    /// What the handler gets.
    pub payload: Bytes,
}

impl NewJob {
    /// A job of normal priority, due now.
    #[must_use]
    pub fn new(id: JobId, queue: QueueName, payload: impl Into<Bytes>) -> NewJob {
        NewJob {
            id,
            queue,
            priority: Priority::Normal,
            group: None,
            key: None,
            run_at: None,
            expires_at: None,
            on_uncertain: OnUncertain::Hold,
            spends_budget: true,
            dedupe: Vec::new(),
            payload: payload.into(),
        }
    }
}

/// What became of a job that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is queued, durably.
    Accepted,
    /// The same request, or a job of the same id, was accepted before: nothing changed.
    Duplicate {
        /// The job that the first request queued.
        of: JobId,
    },
    /// The same dedupe id came before with another fingerprint: nothing changed.
    Conflict {
        /// The job that the first request queued.
        of: JobId,
    },
}

/// Where a job stands. Final states of jobs that the broker has forgotten are found in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Due later.
    Scheduled,
    /// Due; waits for its turn, between attempts too. A lease that has not started is still queued.
    Queued,
    /// An attempt has started.
    Started,
    /// An attempt started and its outcome is not known.
    Uncertain,
    /// No further attempt by itself: a dead letter.
    Dead,
    /// Done (kept for a while to be looked at).
    Done,
    /// Cancelled.
    Cancelled,
    /// Its time ran out before it started.
    Expired,
}

impl JobState {
    /// All states.
    pub const ALL: [JobState; 8] = [
        JobState::Scheduled,
        JobState::Queued,
        JobState::Started,
        JobState::Uncertain,
        JobState::Dead,
        JobState::Done,
        JobState::Cancelled,
        JobState::Expired,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Scheduled => "scheduled",
            JobState::Queued => "queued",
            JobState::Started => "started",
            JobState::Uncertain => "uncertain",
            JobState::Dead => "dead",
            JobState::Done => "done",
            JobState::Cancelled => "cancelled",
            JobState::Expired => "expired",
        }
    }
}
