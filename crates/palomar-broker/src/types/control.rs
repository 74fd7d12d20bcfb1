//! What people and programs order, and what that changed.

use std::sync::Arc;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, JobState, Limits, QueueName};

/// A person's answer to an uncertain job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It was taken.
    Sent,
    /// It was not, and shall not be tried again.
    Failed,
    /// It shall be tried again.
    Retry,
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// This one.
    pub id: Option<JobId>,
    /// Of this queue.
    pub queue: Option<QueueName>,
    /// Of this pool.
    pub pool: Option<Arc<str>>,
    /// Of this group.
    pub group: Option<Arc<str>>,
    /// In one of these states; all where empty.
    pub states: Vec<JobState>,
    /// Dead letters whose reason contains this text.
    pub reason: Option<Arc<str>>,
    /// Queued before.
    pub before: Option<Timestamp>,
    /// Final since before.
    pub ended_before: Option<Timestamp>,
}

/// A change of what is queued or of how it flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Creates a queue or changes what it allows. Loses no place, needs no restart.
    Configure {
        /// The queue.
        queue: QueueName,
        /// What it allows from now on.
        limits: Limits,
    },
    /// No further attempt starts when this has answered.
    Pause {
        /// The queue.
        queue: QueueName,
        /// Why, for people.
        reason: Arc<str>,
    },
    /// Starts go on; the breaker is closed.
    Resume {
        /// The queue.
        queue: QueueName,
    },
    /// As `Resume`, where the queue is paused with exactly this reason now; else nothing changes. For whoever takes back
    /// its own pause, and nobody else's.
    Lift {
        /// The queue.
        queue: QueueName,
        /// The reason that it was paused with.
        reason: Arc<str>,
    },
    /// As `Pause`, for a group of a queue.
    PauseGroup {
        /// The queue.
        queue: QueueName,
        /// The group.
        group: Arc<str>,
    },
    /// As `Resume`, for a group of a queue.
    ResumeGroup {
        /// The queue.
        queue: QueueName,
        /// The group.
        group: Arc<str>,
    },
    /// Cancels one job that waits.
    Cancel {
        /// The job.
        id: JobId,
    },
    /// Cancels all that waits and fits (drain a queue, stop a group).
    CancelAll(JobFilter),
    /// Scheduled or waiting for a retry: due now.
    Promote {
        /// The job.
        id: JobId,
    },
    /// A dead letter, or an uncertain or cancelled job that is kept: queued again.
    RetryDead {
        /// The job.
        id: JobId,
    },
    /// All dead letters that fit: queued again.
    RetryAll(JobFilter),
    /// Dead letters that fit: forgotten.
    Purge(JobFilter),
    /// A person's answer to an uncertain job.
    Resolve {
        /// The job.
        id: JobId,
        /// The answer.
        resolution: Resolution,
    },
    /// Forgets finished jobs that fit, but for the newest `keep` of each queue and state.
    Clean {
        /// Which; only finished states are cleaned.
        filter: JobFilter,
        /// So many of each queue and state are left.
        keep: usize,
    },
    /// Forgets a queue that has no live jobs.
    Remove {
        /// The queue.
        queue: QueueName,
    },
}

/// What a control changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controlled {
    /// Jobs that were changed.
    pub changed: u64,
    /// Attempts of the queue or group that are in flight.
    pub in_flight: u64,
}

/// Why a control changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No such queue.
    #[error("there is no queue {0}")]
    NoQueue(QueueName),
    /// No such job.
    #[error("there is no job {0} here")]
    NoJob(JobId),
    /// The job is not in a state that allows it.
    #[error("the job is {0:?}, which does not allow this")]
    WrongState(JobState),
    /// The job waits before its queue, in the spool of the node that was asked.
    #[error("the job waits in this node's spool: it can be ordered about when its queue has it")]
    InSpool,
    /// The queue holds jobs.
    #[error("the queue still holds {0} jobs")]
    NotEmpty(u64),
    /// What it allows can't be kept: why.
    #[error("{0}")]
    Invalid(Arc<str>),
}
