//! What can be seen: jobs, what holds them, numbers.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{Priority, Timestamp};

use super::{Cursor, JobId, JobState, Limits, QueueName, Window};

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its place in the order of arrival.
    pub seq: u64,
    /// Its queue.
    pub queue: QueueName,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// Its priority.
    pub priority: Priority,
    /// Its state.
    pub state: JobState,
    /// Attempts that were started and counted.
    pub attempts: u32,
    /// The newest fencing token.
    pub token: u32,
    /// When it is due, when its lease ends, when its policy is applied: by state.
    pub when: Option<Timestamp>,
    /// When it was queued.
    pub enqueued_at: Timestamp,
    /// Why it is dead.
    pub reason: Option<Arc<str>>,
}

/// What holds a job, and when it will go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its state.
    pub state: JobState,
    /// What holds it; the first is what counts most.
    pub holds: Vec<Hold>,
    /// The earliest time at which it starts if nothing else changes; none where only a person or evidence can tell.
    pub expected_at: Option<Timestamp>,
    /// Jobs of its queue that go before it.
    pub ahead: u64,
}

/// One thing that holds a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Due later.
    Scheduled {
        /// When.
        at: Timestamp,
    },
    /// Waits before its next attempt.
    Backoff {
        /// When.
        at: Timestamp,
    },
    /// The queue is paused.
    Paused {
        /// Why.
        reason: Arc<str>,
    },
    /// Its group is paused.
    GroupPaused,
    /// The breaker is open.
    Breaker {
        /// When the next probe goes.
        until: Timestamp,
    },
    /// The other side asked to slow down.
    Throttled {
        /// Until.
        until: Timestamp,
    },
    /// A sliding window is used up.
    Window {
        /// Which.
        window: Window,
        /// When it has room.
        until: Timestamp,
    },
    /// All places are taken.
    Concurrency {
        /// How many there are.
        max: u32,
    },
    /// The pace per key.
    Pair {
        /// When the key may start again.
        until: Timestamp,
    },
    /// The budget of distinct keys is used up.
    Budget {
        /// Which.
        name: Arc<str>,
        /// When a place in it is free.
        until: Timestamp,
    },
    /// An earlier job of the same key is not final.
    Order {
        /// That job.
        behind: JobId,
    },
    /// Jobs that go before it.
    Turn {
        /// How many.
        ahead: u64,
    },
    /// A worker has it.
    Leased {
        /// Until.
        until: Timestamp,
    },
    /// Its outcome is not known.
    Uncertain {
        /// When its policy is applied; none where it waits for a person.
        until: Option<Timestamp>,
    },
}

/// A breaker as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all through.
    Closed,
    /// Lets none through.
    Open {
        /// Until.
        until: Timestamp,
    },
    /// One probe is under way.
    HalfOpen,
}

/// What ended a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Evidence of what became of the attempt.
    ByEvidence,
    /// A person.
    ByPerson,
    /// The job's policy, when no evidence had come in time.
    ByPolicy,
}

impl Resolved {
    /// All of them.
    pub const ALL: [Resolved; 3] = [Resolved::ByEvidence, Resolved::ByPerson, Resolved::ByPolicy];

    /// The word for it, as in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Resolved::ByEvidence => "evidence",
            Resolved::ByPerson => "person",
            Resolved::ByPolicy => "policy",
        }
    }
}

/// A queue in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name.
    pub queue: QueueName,
    /// What it allows.
    pub limits: Limits,
    /// Why it is paused, if it is.
    pub paused: Option<Arc<str>>,
    /// Groups that are paused.
    pub paused_groups: Vec<Arc<str>>,
    /// Breaker.
    pub breaker: BreakerState,
    /// Share of the configured rate in force after throttling, in thousandths.
    pub rate_permille: u32,
    /// Live jobs by state, then kept finished ones: in the order of [`JobState::ALL`].
    pub counts: [u64; 8],
    /// Queued and leased but not started.
    pub leased: u64,
    /// Queued by priority.
    pub waiting: [u64; 4],
    /// Ever accepted.
    pub accepted: u64,
    /// Ever started.
    pub starts: u64,
    /// Ever final, by [`JobState::ALL`] (done, cancelled, expired, dead; retried dead letters are taken back).
    pub finished: [u64; 8],
    /// Evidence proved that a message went out twice.
    pub duplicate_sends: u64,
    /// Operations with a stale token.
    pub stale: u64,
    /// Leases that ran out: not started, started.
    pub expired_leases: [u64; 2],
    /// Final jobs that were taken back since the process began, by [`JobState::ALL`]: together with `finished`, all that
    /// ever came to an end.
    pub taken_back: [u64; 8],
    /// Times that the breaker opened since the process began.
    pub breaker_opens: u64,
    /// Uncertain jobs that were resolved since the process began, by [`Resolved::ALL`].
    pub resolved: [u64; 3],
    /// How long limits on the rate have held work since the process began: by window, and by the other side's wish
    /// where there is none.
    pub rate_held: Vec<(Option<Window>, Duration)>,
    /// When the oldest waiting job was queued.
    pub oldest_waiting: Option<Timestamp>,
    /// Since when the first of those waits that are ready, by priority; jobs of paused groups are not among them. What was
    /// to go at a later time waits since then.
    pub oldest_ready: [Option<Timestamp>; 4],
    /// When the next start is possible, where the queue holds work and must wait.
    pub next_start: Option<Timestamp>,
    /// Distinct keys in the budget's window.
    pub budget_used: Option<u64>,
}

/// A broker in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Every queue.
    pub queues: Vec<QueueStats>,
    /// Dedupe ids that are remembered.
    pub dedupe_ids: u64,
    /// Requests that were answered from them.
    pub dedupe_hits: u64,
    /// The end of each partition of the event log.
    pub log_ends: Vec<Cursor>,
}
