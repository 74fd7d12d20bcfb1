//! The contract of a broker: a few operations, each on a batch. `conformance` says in tests what they mean.

use futures_util::future::BoxFuture;

use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LeasedJob, LogEntry, NewJob, Partition,
    QueueName, Settle, Started, Stats,
};
use std::time::Duration;

/// Why a broker could not do what it was asked. Nothing of the request has happened, or it is not known whether it has
/// (`Lost`): repeating it is safe, by ids and tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The disk is full (or nearly): nothing more is accepted; what was accepted goes on.
    #[error("out of disk space: nothing more is accepted until there is room; what was accepted goes on")]
    Full,
    /// The shared store can't be reached, and what may wait for it on this node's disk does: nothing more is accepted.
    #[error(
        "the queues can't be reached, and the spool is full: nothing more is accepted until they are back"
    )]
    SpoolFull,
    /// A batch or a payload is larger than the broker takes.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// The store failed; this process accepts nothing more.
    #[error("the store failed, this process accepts nothing more: {0}")]
    Failed(std::sync::Arc<str>),
    /// The store can't be reached now; whether the request has happened is not known.
    #[error("the store can't be reached now: {0}")]
    Lost(std::sync::Arc<str>),
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, BrokerError>>;

/// Keeps queues of jobs, durably: every answer is given after what it says is on disk.
pub trait Broker: Send + Sync + 'static {
    /// Queues jobs; one answer per job, in order. All of a batch are durable together.
    fn enqueue(&self, jobs: Vec<NewJob>) -> Answer<'_, Vec<Enqueued>>;

    /// Leases jobs of a pool, and starts them where the request says so. Waits for work, for at most `request.wait`.
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Vec<LeasedJob>>;

    /// Marks durably that an attempt begins. No byte goes to a provider before this has answered.
    fn start(&self, leases: Vec<LeaseRef>) -> Answer<'_, Vec<Result<Started, LeaseError>>>;

    /// Prolongs leases: they end `lease` from now.
    fn renew(&self, leases: Vec<LeaseRef>, lease: Duration) -> Answer<'_, Vec<Result<(), LeaseError>>>;

    /// Ends leases. Outcome and events of each are logged in one step.
    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Result<(), LeaseError>>>;

    /// What was learned of attempts whose lease is over.
    fn evidence(&self, evidence: Vec<Evidence>) -> Answer<'_, Vec<EvidenceEffect>>;

    /// Logs events that belong to no job, in the first partition of the log.
    fn log(&self, events: Vec<EventBody>) -> Answer<'_, Cursor>;

    /// Changes what is queued or how it flows.
    fn control(&self, control: Control) -> Answer<'_, Result<Controlled, ControlError>>;

    /// One job with its payload, while the broker knows it.
    fn job(&self, id: JobId) -> Answer<'_, Option<(JobView, bytes::Bytes)>>;

    /// Jobs in the order of arrival, after `after` (a [`JobView::seq`]).
    fn jobs(&self, filter: JobFilter, after: u64, limit: usize) -> Answer<'_, Vec<JobView>>;

    /// What holds a job and when it will go.
    fn explain(&self, id: JobId) -> Answer<'_, Option<Explanation>>;

    /// All in numbers.
    fn stats(&self) -> Answer<'_, Stats>;

    /// Into how many partitions the event log is divided: from 0 on, for good. A queue's facts are all in one of them.
    fn partitions(&self) -> u32 {
        1
    }

    /// The partition that has a queue's facts.
    fn partition_of(&self, _queue: &QueueName) -> Partition {
        Partition::WHOLE
    }

    /// Facts of a partition after `after`, in order; waits for one, for at most `wait`. A partition that is not there has
    /// none.
    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> Answer<'_, Vec<LogEntry>>;

    /// A reader of the log has made all of a partition up to `through` its own: it may be trimmed.
    fn acknowledge(&self, reader: &str, partition: Partition, through: Cursor) -> Answer<'_, ()>;
}
