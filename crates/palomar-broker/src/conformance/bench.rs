//! What the cases share: a broker, its clock, and short words for what is asked of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use palomar_model::{Clock, ManualClock, MessageId, Timestamp};

use crate::broker::Broker;
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, Evidence, EvidenceEffect, Explanation, Fact,
    JobFilter, JobId, JobState, JobView, Key, LeaseError, LeaseRef, LeaseRequest, LeasedJob, Limits,
    LogEntry, NewJob, Outcome, Partition, QueueName, QueueStats, Settle, Signal, Started, Verdict,
};

/// How long a case waits for an answer that must come: bounded, far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a lease lasts unless a case says otherwise.
pub(super) const LEASE: Duration = Duration::from_secs(60);

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The queue of the cases that need one.
pub(super) fn line() -> QueueName {
    named("line")
}

pub(super) fn named(name: &str) -> QueueName {
    QueueName::new("outbound", name).expect("a queue's name")
}

pub(super) fn id(n: u128) -> JobId {
    MessageId(uuid::Uuid::from_u128(n))
}

pub(super) fn payload(n: u128) -> Bytes {
    format!("payload {n}").into()
}

/// Job `n` of the cases' queue.
pub(super) fn job(n: u128) -> NewJob {
    NewJob::new(id(n), line(), payload(n))
}

/// Job `n` for `key`.
pub(super) fn keyed(n: u128, key: &str) -> NewJob {
    NewJob { key: Some(Key::of(key)), ..job(n) }
}

/// Job `n` of `group`.
pub(super) fn grouped(n: u128, group: &str) -> NewJob {
    NewJob { group: Some(group.into()), ..job(n) }
}

/// The numbers of leased jobs.
pub(super) fn numbers(leased: &[LeasedJob]) -> Vec<u128> {
    leased.iter().map(|job| job.lease.id.0.as_u128()).collect()
}

/// A lease request that does not wait.
pub(super) fn request(max: usize, start: bool) -> LeaseRequest {
    LeaseRequest { pool: "outbound".into(), max, lease: LEASE, start, wait: Duration::ZERO }
}

pub(super) fn settle(lease: LeaseRef, outcome: Outcome) -> Settle {
    Settle { lease, outcome, signal: Signal::None, events: Vec::new() }
}

/// Waits for what must come.
pub(super) async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: no answer within {PATIENCE:?}"),
    }
}

/// A broker under test.
pub(super) struct Bench {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) clock: Arc<ManualClock>,
}

impl Bench {
    pub(super) fn new(broker: Arc<dyn Broker>, clock: Arc<ManualClock>) -> Bench {
        Bench { broker, clock }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock on, and lets the broker see it.
    pub(super) async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.broker.stats().await.expect("stats");
    }

    pub(super) async fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<Enqueued> {
        self.broker.enqueue(jobs).await.expect("enqueue")
    }

    /// Queues jobs that must be accepted.
    pub(super) async fn accept(&self, jobs: impl IntoIterator<Item = NewJob>) {
        let answers = self.enqueue(jobs.into_iter().collect()).await;
        assert!(answers.iter().all(|answer| *answer == Enqueued::Accepted), "accepted: {answers:?}");
    }

    pub(super) async fn ask(&self, request: LeaseRequest) -> Vec<LeasedJob> {
        soon("a lease that need not wait", self.broker.lease(request)).await.expect("lease")
    }

    /// Leases without a start.
    pub(super) async fn lease(&self, max: usize) -> Vec<LeasedJob> {
        self.ask(request(max, false)).await
    }

    /// Leases one job without a start.
    pub(super) async fn lease_one(&self) -> LeasedJob {
        self.lease(1).await.pop().expect("a job to lease")
    }

    /// Leases and starts.
    pub(super) async fn take(&self, max: usize) -> Vec<LeasedJob> {
        self.ask(request(max, true)).await
    }

    /// Leases and starts one job.
    pub(super) async fn take_one(&self) -> LeasedJob {
        self.take(1).await.pop().expect("a job to start")
    }

    /// The numbers of the jobs that start now.
    pub(super) async fn started(&self) -> Vec<u128> {
        numbers(&self.take(1_000).await)
    }

    pub(super) async fn start(&self, lease: LeaseRef) -> Result<Started, LeaseError> {
        self.broker.start(vec![lease]).await.expect("start").pop().expect("one answer")
    }

    pub(super) async fn renew(&self, lease: LeaseRef) -> Result<(), LeaseError> {
        self.broker.renew(vec![lease], LEASE).await.expect("renew").pop().expect("one answer")
    }

    pub(super) async fn settle_with(&self, settle: Settle) -> Result<(), LeaseError> {
        self.broker.settle(vec![settle]).await.expect("settle").pop().expect("one answer")
    }

    pub(super) async fn settle(&self, job: &LeasedJob, outcome: Outcome) {
        assert_eq!(self.settle_with(settle(job.lease, outcome)).await, Ok(()), "settles");
    }

    pub(super) async fn signal(&self, job: &LeasedJob, outcome: Outcome, signal: Signal) {
        assert_eq!(
            self.settle_with(Settle { signal, ..settle(job.lease, outcome) }).await,
            Ok(()),
            "settles"
        );
    }

    /// Settles all as done.
    pub(super) async fn done(&self, jobs: &[LeasedJob]) {
        let settles = jobs.iter().map(|job| settle(job.lease, Outcome::Done)).collect();
        let answers = self.broker.settle(settles).await.expect("settle");
        assert!(answers.iter().all(Result::is_ok), "done: {answers:?}");
    }

    pub(super) async fn evidence(&self, job: u128, attempt: u32, verdict: Verdict) -> EvidenceEffect {
        let evidence = Evidence { id: id(job), attempt, verdict, events: Vec::new() };
        self.broker.evidence(vec![evidence]).await.expect("evidence").pop().expect("one answer")
    }

    pub(super) async fn try_control(&self, control: Control) -> Result<Controlled, ControlError> {
        self.broker.control(control).await.expect("control")
    }

    pub(super) async fn control(&self, control: Control) -> Controlled {
        self.try_control(control).await.expect("a control that is allowed")
    }

    pub(super) async fn configure(&self, limits: Limits) {
        self.control(Control::Configure { queue: line(), limits }).await;
    }

    pub(super) async fn view(&self, n: u128) -> JobView {
        self.broker.job(id(n)).await.expect("job").expect("a job that is known").0
    }

    pub(super) async fn state(&self, n: u128) -> JobState {
        self.view(n).await.state
    }

    pub(super) async fn explain(&self, n: u128) -> Explanation {
        self.broker.explain(id(n)).await.expect("explain").expect("a job that is known")
    }

    /// The numbers of the jobs that fit.
    pub(super) async fn jobs(&self, filter: JobFilter) -> Vec<u128> {
        let jobs = self.broker.jobs(filter, 0, 10_000).await.expect("jobs");
        jobs.iter().map(|job| job.id.0.as_u128()).collect()
    }

    /// The numbers of the cases' queue.
    pub(super) async fn stats(&self) -> QueueStats {
        let stats = self.broker.stats().await.expect("stats");
        stats.queues.into_iter().find(|queue| queue.queue == line()).expect("the queue is known")
    }

    /// The partition of the log that tells of the cases' queue.
    pub(super) fn home(&self) -> Partition {
        self.broker.partition_of(&line())
    }

    /// Facts after a cursor that are there now.
    pub(super) async fn facts(&self, after: Cursor, limit: usize) -> Vec<LogEntry> {
        self.facts_in(self.home(), after, limit).await
    }

    /// As [`Bench::facts`], of another partition.
    pub(super) async fn facts_in(&self, of: Partition, after: Cursor, limit: usize) -> Vec<LogEntry> {
        soon("facts", self.broker.events(of, after, limit, Duration::ZERO)).await.expect("events")
    }

    /// All facts of all partitions.
    pub(super) async fn all_facts(&self) -> Vec<LogEntry> {
        let mut all = Vec::new();
        for partition in 0..self.broker.partitions() {
            all.extend(self.facts_in(Partition(partition), Cursor(0), 100_000).await);
        }
        all
    }

    /// All facts of a job.
    pub(super) async fn life(&self, n: u128) -> Vec<Fact> {
        let all = self.all_facts().await;
        all.into_iter().filter(|entry| entry.job == Some(id(n))).map(|entry| entry.fact).collect()
    }

    /// Asserts that a future does not answer yet; it has been asked once.
    pub(super) fn waits<T>(future: &mut (impl Future<Output = T> + Unpin)) {
        assert!(pin!(future).now_or_never().is_none(), "it waits");
    }
}
