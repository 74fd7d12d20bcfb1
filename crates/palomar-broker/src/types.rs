//! What a broker is told and what it answers: plain values, the same for every broker.

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
    /// The identity of the request that brings it.
    pub dedupe: Option<Dedupe>,
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
            dedupe: None,
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
    /// Whether each leased job is started in the same step, for a call of at most [`Limits::deadline`].
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

/// One sliding window: never more than `max` starts in any span of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// So many starts at most.
    pub max: u32,
    /// In any span of this length.
    pub window: Duration,
}

/// A pace per key: one start an `interval`, with a `burst` that is borrowed from the time to come (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// One start in so long, in the long run.
    pub interval: Duration,
    /// So many at once at most, 1 or more.
    pub burst: u32,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BreakerConfig {
    /// Opens after so many failures in a row; 0 never opens.
    pub failures: u32,
    /// Lets one probe through after so long.
    pub open_for: Duration,
}

/// A budget of distinct keys in any 24 h, shared by the queues that name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Budget {
    /// Its name (a portfolio).
    pub name: Arc<str>,
    /// So many distinct keys at most.
    pub max: u32,
    /// In any span of this length.
    pub window: Duration,
}

/// What a queue allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// All of them hold at once.
    pub windows: Vec<Window>,
    /// Share of each window that is left free for jitter on the way, in thousandths (15 = 1.5 %).
    pub margin_permille: u16,
    /// Pace per key.
    pub pair: Option<Pair>,
    /// Leases and starts at the same time.
    pub concurrency: u32,
    /// Budget of distinct keys.
    pub budget: Option<Budget>,
    /// Circuit breaker.
    pub breaker: BreakerConfig,
    /// How long one call may take; a start is refused where the lease ends sooner.
    pub deadline: Duration,
    /// What must be left of a lease beyond the deadline.
    pub lease_margin: Duration,
    /// How long later jobs of a key wait behind an uncertain one.
    pub order_wait: Duration,
    /// How long an uncertain job waits for evidence before its policy is applied.
    pub uncertain_wait: Duration,
    /// How long the queue stops when it is throttled without a time.
    pub throttle_wait: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            windows: Vec::new(),
            margin_permille: 15,
            pair: None,
            concurrency: 50,
            budget: None,
            breaker: BreakerConfig { failures: 10, open_for: Duration::from_secs(60) },
            deadline: Duration::from_secs(30),
            lease_margin: Duration::from_secs(5),
            order_wait: Duration::from_secs(60),
            uncertain_wait: Duration::from_secs(15 * 60),
            throttle_wait: Duration::from_secs(1),
        }
    }
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
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
    /// The queue holds jobs.
    #[error("the queue still holds {0} jobs")]
    NotEmpty(u64),
    /// What it allows can't be kept: why.
    #[error("{0}")]
    Invalid(Arc<str>),
}

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
    /// When the oldest waiting job was queued.
    pub oldest_waiting: Option<Timestamp>,
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
    /// The end of the event log.
    pub log_end: Cursor,
}

/// A place in the event log. Facts are numbered from 1; a cursor names the last one that was read.
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
