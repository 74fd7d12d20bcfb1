//! What the store counts: commits, how many operations each covers, how long they and their flushes take, and what it
//! refused.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the commit-time buckets, in microseconds; the last bucket has no bound.
pub const COMMIT_BUCKETS_MICROS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Counters of the store.
#[derive(Debug, Default)]
pub(super) struct Meters {
    commits: AtomicU64,
    operations: AtomicU64,
    changes: AtomicU64,
    commit_micros: AtomicU64,
    buckets: [AtomicU64; 13],
    flush_micros: AtomicU64,
    flush_buckets: [AtomicU64; 13],
    refused: AtomicU64,
}

/// The counters at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMeters {
    /// Commits, each with one flush.
    pub commits: u64,
    /// Requests that they covered.
    pub operations: u64,
    /// Changes and rows that they wrote.
    pub changes: u64,
    /// Time spent in them.
    pub commit_time: Duration,
    /// Commits by time: see [`COMMIT_BUCKETS_MICROS`].
    pub buckets: [u64; 13],
    /// Time spent in their flushes alone: what was written, made to last.
    pub flush_time: Duration,
    /// Flushes by time, as commits.
    pub flush_buckets: [u64; 13],
    /// Requests to accept jobs that were refused for want of room.
    pub refused: u64,
}

impl Meters {
    pub(super) fn operation(&self) {
        self.operations.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// A commit that took so long, of which its flush took `flush`.
    pub(super) fn commit(&self, took: Duration, flush: Duration, changes: usize) {
        self.commits.fetch_add(1, Relaxed);
        self.changes.fetch_add(changes as u64, Relaxed);
        observe(&self.commit_micros, &self.buckets, took);
        observe(&self.flush_micros, &self.flush_buckets, flush);
    }

    pub(super) fn read(&self) -> StoreMeters {
        StoreMeters {
            commits: self.commits.load(Relaxed),
            operations: self.operations.load(Relaxed),
            changes: self.changes.load(Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Relaxed)),
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed)),
            flush_time: Duration::from_micros(self.flush_micros.load(Relaxed)),
            flush_buckets: std::array::from_fn(|bucket| self.flush_buckets[bucket].load(Relaxed)),
            refused: self.refused.load(Relaxed),
        }
    }
}

fn observe(sum: &AtomicU64, buckets: &[AtomicU64; 13], took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    sum.fetch_add(micros, Relaxed);
    let bucket = COMMIT_BUCKETS_MICROS.iter().position(|bound| micros <= *bound).unwrap_or(12);
    buckets[bucket].fetch_add(1, Relaxed);
}
