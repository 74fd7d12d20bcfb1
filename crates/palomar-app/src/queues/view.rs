//! Queues as they are shown.

use palomar_broker::{BreakerState, Controlled, JobState, Limits, QueueName, QueueStats};
use palomar_model::Timestamp;
use serde::Serialize;

use crate::nodes::NodeView;
use crate::spool::SpoolView;

/// All queues in numbers, in the shape that monitors of such queues know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueMonitor {
    /// What channels report.
    pub webhook: JobCounts,
    /// Messages on their way out.
    pub message: JobCounts,
    /// Repeated requests.
    pub deduplication: Deduplication,
    /// Every queue.
    pub queues: Vec<QueueView>,
    /// The processes that share the queues; none for a caller who is bound to channels.
    pub nodes: Vec<NodeView>,
    /// What waits on the disk of the node that answers, where its queues are elsewhere; none for a caller who is bound to
    /// channels.
    pub spool: Option<SpoolView>,
    /// When these numbers were read, where the queues can't be reached now.
    pub as_of: Option<Timestamp>,
}

/// Jobs of several queues, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCounts {
    /// Due; they wait for their turn.
    pub waiting: u64,
    /// In the hands of workers.
    pub active: u64,
    /// Ever done.
    pub completed: u64,
    /// Dead letters and uncertain ones.
    pub failed: u64,
    /// Due later.
    pub delayed: u64,
}

/// Requests that are remembered, so that repeating them changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deduplication {
    /// How many are remembered.
    pub cached_messages: u64,
    /// How many were repeated.
    pub hits: u64,
}

/// Jobs that wait, by priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the priorities by their names")]
pub struct ByPriority {
    pub critical: u64,
    pub high: u64,
    pub normal: u64,
    pub low: u64,
}

/// What a queue allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveLimits {
    /// Sliding windows; all hold.
    pub windows: Vec<WindowView>,
    /// Pace per recipient.
    pub pair: Option<PairView>,
    /// New recipients of its portfolio.
    pub budget: Option<BudgetView>,
    /// Attempts in flight at once.
    pub concurrency: u32,
    /// What one attempt may take, in seconds.
    pub deadline_seconds: f64,
}

/// At most `max` in any span of so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the line above says both")]
pub struct WindowView {
    pub max: u32,
    pub per_seconds: f64,
}

/// One to a recipient every so many seconds, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the line above says both")]
pub struct PairView {
    pub interval_seconds: f64,
    pub burst: u32,
}

/// At most `max` distinct recipients in any span of so many hours, shared by the channels of a portfolio.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the line above says all")]
pub struct BudgetView {
    pub portfolio: String,
    pub max: u32,
    pub per_hours: f64,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Groups (campaigns) that are paused.
    pub paused_groups: Vec<String>,
    /// Its circuit breaker: `closed`, `open` or `halfOpen`.
    pub breaker: &'static str,
    /// When an open breaker lets the next attempt through.
    pub breaker_until: Option<Timestamp>,
    /// Share of its rate that is in force after throttling, in thousandths.
    pub rate_permille: u32,
    /// Due; they wait for their turn.
    pub waiting: u64,
    /// Due later.
    pub scheduled: u64,
    /// Of those waiting: leased, not started.
    pub leased: u64,
    /// Started.
    pub active: u64,
    /// Outcome not known.
    pub uncertain: u64,
    /// Dead letters.
    pub dead: u64,
    /// Done, and kept to be looked at.
    pub done: u64,
    /// Cancelled, and kept.
    pub cancelled: u64,
    /// Expired, and kept.
    pub expired: u64,
    /// Of those waiting: whose turn may come, by priority. The rest wait behind another or between attempts.
    pub by_priority: ByPriority,
    /// Ever accepted.
    pub accepted: u64,
    /// Attempts ever started.
    pub starts: u64,
    /// Ever done.
    pub completed: u64,
    /// Messages that went out twice.
    pub duplicate_sends: u64,
    /// When the oldest waiting one was queued.
    pub oldest_waiting_at: Option<Timestamp>,
    /// When the next start is possible, where it has work and must wait.
    pub next_start_at: Option<Timestamp>,
    /// Distinct recipients that count against its portfolio's budget now.
    pub budget_used: Option<u64>,
    /// What it allows.
    pub limits: EffectiveLimits,
}

/// What an order changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlView {
    /// The queues that it was for.
    pub queues: Vec<String>,
    /// Jobs that it changed.
    pub changed: u64,
    /// Attempts that are in flight there.
    pub in_flight: u64,
}

impl ControlView {
    pub(crate) fn of_queue(queue: &QueueName, done: Controlled) -> ControlView {
        ControlView { queues: vec![queue.to_string()], changed: done.changed, in_flight: done.in_flight }
    }

    pub(super) fn add(&mut self, queue: &QueueName, done: Controlled) {
        self.queues.push(queue.to_string());
        self.changed += done.changed;
        self.in_flight += done.in_flight;
    }
}

impl From<&Limits> for EffectiveLimits {
    fn from(limits: &Limits) -> EffectiveLimits {
        let windows = limits.windows.iter();
        EffectiveLimits {
            windows: windows
                .map(|window| WindowView { max: window.max, per_seconds: window.window.as_secs_f64() })
                .collect(),
            pair: limits
                .pair
                .map(|pair| PairView { interval_seconds: pair.interval.as_secs_f64(), burst: pair.burst }),
            budget: limits.budget.as_ref().map(|budget| BudgetView {
                portfolio: budget.name.to_string(),
                max: budget.max,
                per_hours: budget.window.as_secs_f64() / 3600.0,
            }),
            concurrency: limits.concurrency,
            deadline_seconds: limits.deadline.as_secs_f64(),
        }
    }
}

impl From<&QueueStats> for QueueView {
    fn from(queue: &QueueStats) -> QueueView {
        let count = |state: JobState| queue.counts[state as usize];
        let [critical, high, normal, low] = queue.waiting;
        let breaker_until = match queue.breaker {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        };
        QueueView {
            queue: queue.queue.to_string(),
            paused: queue.paused.as_deref().map(str::to_owned),
            paused_groups: queue.paused_groups.iter().map(ToString::to_string).collect(),
            breaker: breaker_word(queue.breaker),
            breaker_until,
            rate_permille: queue.rate_permille,
            waiting: count(JobState::Queued),
            scheduled: count(JobState::Scheduled),
            leased: queue.leased,
            active: count(JobState::Started),
            uncertain: count(JobState::Uncertain),
            dead: count(JobState::Dead),
            done: count(JobState::Done),
            cancelled: count(JobState::Cancelled),
            expired: count(JobState::Expired),
            by_priority: ByPriority { critical, high, normal, low },
            accepted: queue.accepted,
            starts: queue.starts,
            completed: queue.finished[JobState::Done as usize],
            duplicate_sends: queue.duplicate_sends,
            oldest_waiting_at: queue.oldest_waiting,
            next_start_at: queue.next_start,
            budget_used: queue.budget_used,
            limits: EffectiveLimits::from(&queue.limits),
        }
    }
}

pub(crate) const fn breaker_word(breaker: BreakerState) -> &'static str {
    match breaker {
        BreakerState::Closed => "closed",
        BreakerState::Open { .. } => "open",
        BreakerState::HalfOpen => "halfOpen",
    }
}

pub(crate) fn counts<'a>(queues: impl Iterator<Item = &'a QueueStats>) -> JobCounts {
    queues.fold(JobCounts::default(), |sum, queue| {
        let count = |state: JobState| queue.counts[state as usize];
        JobCounts {
            waiting: sum.waiting + count(JobState::Queued).saturating_sub(queue.leased),
            active: sum.active + count(JobState::Started) + queue.leased,
            completed: sum.completed + queue.finished[JobState::Done as usize],
            failed: sum.failed + count(JobState::Dead) + count(JobState::Uncertain),
            delayed: sum.delayed + count(JobState::Scheduled),
        }
    })
}
