//! Leases, starts and what became of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{Priority, Timestamp};
use serde::{Deserialize, Serialize};

use super::{JobId, QueueName};

/// A worker's right to a job: the job and the fencing token of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// The job.
    pub id: JobId,
    /// One higher at every lease of the job.
    pub token: u32,
}

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The pool to lease from.
    pub pool: Arc<str>,
    /// At most so many jobs.
    pub max: usize,
    /// For so long.
    pub lease: Duration,
    /// Whether each leased job is started in the same step, for a call of at most [`crate::Limits::deadline`].
    pub start: bool,
    /// How long the broker may wait for work before it answers with none.
    pub wait: Duration,
}

/// A job that was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    /// Job and token.
    pub lease: LeaseRef,
    /// Its queue.
    pub queue: QueueName,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// Its priority.
    pub priority: Priority,
    /// The attempt's number, which its tag carries: the fencing token. Rises with every lease, never repeats.
    pub attempt: u32,
    /// Attempts that count, this one included: what a retry policy compares with its maximum.
    pub tries: u32,
    /// Whether the attempt has started.
    pub started: bool,
    /// When the job was queued.
    pub enqueued_at: Timestamp,
    /// When the lease ends.
    pub until: Timestamp,
    /// What the handler gets.
    pub payload: Bytes,
}

/// The durable mark that an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The attempt's number: see [`LeasedJob::attempt`].
    pub attempt: u32,
}

/// Why a lease's operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The token is not the newest, or the job is not leased under it any more.
    #[error("stale: the lease has ended or the job was leased again")]
    Stale,
    /// The lease would end before the call's deadline and the margin.
    #[error("the lease ends too soon for the call's deadline; renew it first")]
    TooLate,
    /// The job was cancelled, or its queue or group paused, between the lease and the start: it was taken back.
    #[error("taken back: the job was paused or cancelled before it started")]
    TakenBack,
}

/// An application's event: opaque to the broker, logged in the same step as what it belongs to.
pub type EventBody = Bytes;

/// What became of an attempt (or of an unstarted lease, for [`Outcome::Release`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
    /// Known not taken: again at this time.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Whether the attempt counts towards the handler's maximum (throttling does not).
        counts: bool,
    },
    /// No further attempt: a dead letter.
    Dead {
        /// Why, for people.
        reason: Arc<str>,
    },
    /// Not known.
    Uncertain,
    /// The lease is given back unstarted; no attempt is counted.
    Release,
    /// The handler panicked before it called anything outside; three in a row make a dead letter `poison`.
    Panicked,
}

/// What an attempt says about the queue it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Nothing.
    #[default]
    None,
    /// The other side works: closes the breaker.
    Success,
    /// The other side fails: counts towards the breaker.
    Failure,
    /// The other side asks to slow down, the whole queue.
    Throttled {
        /// For so long; the queue's own wait where it did not say.
        after: Option<Duration>,
    },
    /// The other side does not let us in: the queue is paused with this reason.
    Pause {
        /// Why, for people.
        reason: Arc<str>,
    },
}

/// A lease's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Job and token.
    pub lease: LeaseRef,
    /// What became of it.
    pub outcome: Outcome,
    /// What it says about the queue.
    pub signal: Signal,
    /// What to log in the same step.
    pub events: Vec<EventBody>,
}

/// A later proof of what became of an attempt. Never refused (GUARANTEES §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The job.
    pub id: JobId,
    /// The attempt that it is about: see [`LeasedJob::attempt`].
    pub attempt: u32,
    /// What it proves.
    pub verdict: Verdict,
    /// What to log in the same step.
    pub events: Vec<EventBody>,
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The other side took it.
    Taken,
    /// The other side did not take it, or reported its failure: a dead letter with this reason.
    Failed {
        /// Why, for people.
        reason: Arc<str>,
    },
}

/// What evidence changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceEffect {
    /// The job was uncertain or queued and is settled by it.
    Resolved,
    /// A newer attempt had started: the job went out twice, and is counted so.
    DuplicateSend,
    /// The job is settled already, or still in the hands of that attempt's worker, or not known here.
    Nothing,
}
