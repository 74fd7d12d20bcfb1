//! The event log as its readers see it.

use std::sync::Arc;

use bytes::Bytes;
use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EventBody, JobId, QueueName};

/// A part of the event log that is read by itself, with cursors of its own. A log that is not divided is its part 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl Partition {
    /// All of a log that is not divided.
    pub const WHOLE: Partition = Partition(0);
}

/// A place in a partition of the event log. Facts are numbered from 1; a cursor names the last one that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

/// One fact of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number.
    pub cursor: Cursor,
    /// When it happened.
    pub at: Timestamp,
    /// The job that it is about.
    pub job: Option<JobId>,
    /// The queue that it is about.
    pub queue: Option<QueueName>,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A job was accepted.
    Enqueued {
        /// Due later.
        scheduled: bool,
        /// What its handler gets.
        payload: Bytes,
    },
    /// A scheduled job became due.
    Due,
    /// An attempt started.
    Started {
        /// Its number.
        attempt: u32,
    },
    /// An attempt is known not to have been taken: queued again.
    Requeued {
        /// Not before.
        at: Timestamp,
    },
    /// Done.
    Done,
    /// A dead letter.
    Dead {
        /// Why.
        reason: Arc<str>,
    },
    /// The outcome is not known.
    Uncertain,
    /// A person or policy queued it again.
    Retried,
    /// Cancelled.
    Cancelled,
    /// Expired.
    Expired,
    /// It went out twice.
    DuplicateSend,
    /// A queue was paused.
    Paused {
        /// Why.
        reason: Arc<str>,
    },
    /// A queue was resumed.
    Resumed,
    /// A breaker opened.
    BreakerOpened {
        /// Until.
        until: Timestamp,
    },
    /// A breaker closed.
    BreakerClosed,
    /// An application's event.
    Event(EventBody),
}
