//! What changes, as values: every change of what must survive a crash is one of these.
//!
//! A live machine and one that is rebuilt from disk change by the same function ([`super::Machine::enact`]), so that
//! memory equals disk by construction. Changes name jobs by their sequence number. They are stored (postcard, after a
//! version byte): a variant keeps its place and its fields for ever, new ones are added at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{Priority, Timestamp};
use serde::{Deserialize, Serialize};

use super::slab::Phase;
use super::throttle::Throttle;
use super::windows::Windows;
use crate::types::{JobId, Limits, OnUncertain, QueueName, Verdict};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// Jobs `from` to `from + count − 1` were accepted; each has a row of its own.
    Enqueued { from: u64, count: u32 },
    /// A scheduled job is due.
    Woke { seq: u64 },
    /// A lease without a start.
    Leased { seq: u64, token: u32 },
    /// An attempt began; its lease too, where the token is new.
    Started { seq: u64, token: u32 },
    /// An unstarted lease is over.
    Returned { seq: u64, strike: bool },
    /// Known not taken: queued again.
    Requeued { seq: u64, at: Timestamp, counts: bool, strike: bool },
    /// Done.
    Done { seq: u64 },
    /// A dead letter.
    Died { seq: u64, reason: Arc<str> },
    /// The outcome is not known.
    Doubted { seq: u64 },
    /// Evidence about an attempt that is still in a worker's hands: applied if its lease runs out.
    Vouched { seq: u64, verdict: Verdict },
    /// Queued again by policy or by a person; a person's starts the counting of attempts anew.
    Revived { seq: u64, by_person: bool },
    /// Cancelled.
    Cancelled { seq: u64 },
    /// Expired.
    Expired { seq: u64 },
    /// A final job is kept no longer.
    Forgotten { seq: u64 },
    /// Evidence proved a second send.
    DuplicateSend { seq: u64 },
    /// A queue was created or changed.
    Configured { queue: u32, name: QueueName, limits: Limits },
    /// A queue is no more.
    Removed { queue: u32 },
    /// Paused.
    Paused { queue: u32, reason: Arc<str> },
    /// Resumed.
    Resumed { queue: u32 },
    /// A group was paused.
    GroupPaused { queue: u32, group: Arc<str> },
    /// A group was resumed.
    GroupResumed { queue: u32, group: Arc<str> },
    /// The other side works.
    Succeeded { queue: u32 },
    /// The other side fails.
    Faulted { queue: u32 },
    /// The other side asks to slow down.
    Throttled { queue: u32, throttle: Throttle },
    /// The breaker opened.
    BreakerOpened { queue: u32, until: Timestamp },
    /// The breaker let a probe through.
    Probing { queue: u32, seq: u64 },
    /// The breaker closed.
    BreakerClosed { queue: u32 },
    /// An application's event, of a job or of none.
    Event {
        seq: Option<u64>,
        #[serde(with = "serde_bytes_compat")]
        body: Bytes,
    },
    /// Evidence proved that this attempt was taken, which is not the newest one that started.
    Proved { seq: u64, attempt: u32 },
    /// Later jobs of the key wait no longer for an uncertain one, whose policy is applied at this time.
    StoodAside { seq: u64, until: Timestamp },
}

impl Change {
    /// The queue that this change names, for those that name one.
    pub(crate) fn queue(&self) -> Option<u32> {
        match self {
            Change::Configured { queue, .. }
            | Change::Removed { queue }
            | Change::Paused { queue, .. }
            | Change::Resumed { queue }
            | Change::GroupPaused { queue, .. }
            | Change::GroupResumed { queue, .. }
            | Change::Succeeded { queue }
            | Change::Faulted { queue }
            | Change::Throttled { queue, .. }
            | Change::BreakerOpened { queue, .. }
            | Change::Probing { queue, .. }
            | Change::BreakerClosed { queue } => Some(*queue),
            _ => None,
        }
    }

    /// How many facts of the event log this change is.
    pub(crate) fn facts(&self) -> u64 {
        match self {
            Change::Enqueued { count, .. } => u64::from(*count),
            Change::Leased { .. }
            | Change::Returned { .. }
            | Change::Vouched { .. }
            | Change::Proved { .. }
            | Change::StoodAside { .. }
            | Change::Forgotten { .. }
            | Change::Configured { .. }
            | Change::Removed { .. }
            | Change::GroupPaused { .. }
            | Change::GroupResumed { .. }
            | Change::Succeeded { .. }
            | Change::Faulted { .. }
            | Change::Throttled { .. }
            | Change::Probing { .. } => 0,
            _ => 1,
        }
    }
}

/// What a job is: written once, when it is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) id: JobId,
    pub(crate) queue: u32,
    pub(crate) priority: Priority,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) key: u64,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) on_uncertain: OnUncertain,
    pub(crate) spends_budget: bool,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) dedupe: Vec<(u128, u64, Duration)>,
}

impl Spec {
    /// When it is due, if that is later than when it was accepted.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.run_at.filter(|&at| at > self.enqueued_at)
    }

    /// Since when it waits, or until when: what a fresh job's slot says.
    pub(crate) fn since(&self) -> Timestamp {
        self.due().unwrap_or(self.enqueued_at)
    }
}

/// A job that was accepted, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRow {
    pub(crate) seq: u64,
    pub(crate) spec: Spec,
    pub(crate) payload: Bytes,
}

/// Where a job stands, as far as that differs from a fresh one's: stored when changes are folded into rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) phase: PhaseTag,
    pub(crate) when: Timestamp,
    pub(crate) token: u32,
    pub(crate) attempts: u16,
    pub(crate) strikes: u8,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) vouched: Option<Verdict>,
    /// The attempt that evidence is measured by: the newest that started, or the one that is known to be taken.
    pub(crate) started: u32,
    /// Whether its expiry still counts: a person's retry puts it out of force.
    pub(crate) expires: bool,
    /// Whether it is known to have gone out twice.
    pub(crate) duplicated: bool,
}

/// The stored form of a phase; the order never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PhaseTag {
    Scheduled,
    Queued,
    Backoff,
    Leased,
    Started,
    Doubted,
    Aside,
    Held,
    Dead,
    Done,
    Cancelled,
    Expired,
    /// Queued, and the first of its key's chain.
    First,
}

impl From<Phase> for PhaseTag {
    fn from(phase: Phase) -> PhaseTag {
        match phase {
            Phase::Scheduled => PhaseTag::Scheduled,
            Phase::Blocked => PhaseTag::Queued,
            Phase::Ready | Phase::Pacing | Phase::Parked => PhaseTag::First,
            Phase::Backoff => PhaseTag::Backoff,
            Phase::Leased => PhaseTag::Leased,
            Phase::Started => PhaseTag::Started,
            Phase::Doubted => PhaseTag::Doubted,
            Phase::Aside => PhaseTag::Aside,
            Phase::Held => PhaseTag::Held,
            Phase::Dead => PhaseTag::Dead,
            Phase::Done => PhaseTag::Done,
            Phase::Cancelled => PhaseTag::Cancelled,
            Phase::Expired => PhaseTag::Expired,
        }
    }
}

/// A queue beside its jobs, as it is stored when changes are folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    pub(crate) name: QueueName,
    pub(crate) limits: Limits,
    pub(crate) paused: Option<Arc<str>>,
    pub(crate) paused_groups: Vec<Arc<str>>,
    pub(crate) breaker: super::queue::Breaker,
    pub(crate) throttle: Throttle,
    pub(crate) windows: Windows,
    pub(crate) pairs: Vec<(u64, i64)>,
    pub(crate) tally: super::queue::Tally,
}

/// `Bytes` as bytes: postcard writes a length and the bytes, not a sequence of numbers.
mod serde_bytes_compat {
    use bytes::Bytes;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct AsBytes;
        impl Visitor<'_> for AsBytes {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(bytes))
            }
        }
        deserializer.deserialize_bytes(AsBytes)
    }
}
