//! What the store counts: commits, how many operations each covers, how long they take.

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
}

impl Meters {
    pub(super) fn operation(&self) {
        self.operations.fetch_add(1, Relaxed);
    }

    pub(super) fn commit(&self, took: Duration, changes: usize) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Relaxed);
        self.changes.fetch_add(changes as u64, Relaxed);
        self.commit_micros.fetch_add(micros, Relaxed);
        let bucket = COMMIT_BUCKETS_MICROS.iter().position(|bound| micros <= *bound).unwrap_or(12);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> StoreMeters {
        StoreMeters {
            commits: self.commits.load(Relaxed),
            operations: self.operations.load(Relaxed),
            changes: self.changes.load(Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Relaxed)),
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed)),
        }
    }
}
