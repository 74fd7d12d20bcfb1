//! The embedded broker of a process that is to die at a point: tells what has become durable, and kills the process
//! where its fate says so.
//!
//! Always: when the process dies, no lease and no settle is under way. So what it told is what is durable, exactly.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use palomar_broker::{
    Broker, BrokerError, Control, ControlError, Controlled, Cursor, EmbeddedBroker, Enqueued, EventBody,
    Evidence, EvidenceEffect, Explanation, JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest,
    LeasedJob, LogEntry, NewJob, Partition, Settle, Started, Stats,
};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::{Notify, RwLock};

use crate::process::{numbers, tell};

/// A moment between a message's start and the record of what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The start is durable, the provider was not called.
    BeforeCall,
    /// The provider took the message, the handler has not returned.
    AfterCall,
    /// The handler has said that it is done, the broker was not told.
    BeforeSettle,
    /// The broker has settled it, the worker does not know.
    AfterSettle,
}

impl Point {
    pub(super) const ALL: [Point; 4] =
        [Point::BeforeCall, Point::AfterCall, Point::BeforeSettle, Point::AfterSettle];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Point::BeforeCall => "before-call",
            Point::AfterCall => "after-call",
            Point::BeforeSettle => "before-settle",
            Point::AfterSettle => "after-settle-before-ack",
        }
    }
}

/// Where this process dies, if it does.
pub(super) struct Fate {
    at: Option<Point>,
    /// So many times the point is reached, the last of them included.
    left: AtomicU64,
    /// Read while something is becoming durable, written by who kills.
    under_way: RwLock<()>,
}

impl Fate {
    /// No death for `None`, else at the n-th time that the point is reached.
    pub(super) fn new(at: Option<(Point, u64)>) -> Fate {
        let (at, left) = at.map_or((None, 0), |(point, nth)| (Some(point), nth));
        Fate { at, left: AtomicU64::new(left), under_way: RwLock::new(()) }
    }

    /// A job or several come to a point. Where it is the one, this does not return.
    pub(super) async fn reach(&self, point: Point, jobs: impl fmt::Display) {
        if self.at != Some(point) || self.left.fetch_sub(1, SeqCst) != 1 {
            return;
        }
        let _nothing_under_way = self.under_way.write().await;
        tell(&format!("died {jobs}"));
        kill_process(getpid(), Signal::KILL).expect("a process may end itself");
        std::future::pending::<()>().await;
    }
}

/// Numbers of jobs, as they are told.
pub(super) fn list(numbers: impl IntoIterator<Item = u128>) -> String {
    numbers.into_iter().map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

/// The broker that the worker under test has.
pub(super) struct Watched {
    pub(super) inner: EmbeddedBroker,
    fate: Arc<Fate>,
    settled: Notify,
}

impl Watched {
    pub(super) fn new(inner: EmbeddedBroker, fate: Arc<Fate>) -> Watched {
        Watched { inner, fate, settled: Notify::new() }
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, BrokerError>>;

impl Broker for Watched {
    /// A job that is not there at once comes with the next settle: all are queued before the worker begins. The
    /// request does not wait in the broker, where it would be under way for as long.
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Vec<LeasedJob>> {
        Box::pin(async move {
            loop {
                let under_way = self.fate.under_way.read().await;
                let request = LeaseRequest { wait: Duration::ZERO, ..request.clone() };
                let taken = self.inner.lease(request).await?;
                tell(&format!("started {}", list(numbers(&taken))));
                drop(under_way);
                if !taken.is_empty() {
                    return Ok(taken);
                }
                self.settled.notified().await;
            }
        })
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        Box::pin(async move {
            let jobs = list(settles.iter().map(|settle| settle.lease.id.0.as_u128()));
            self.fate.reach(Point::BeforeSettle, &jobs).await;
            let under_way = self.fate.under_way.read().await;
            let answers = self.inner.settle(settles).await?;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            tell(&format!("settled {jobs}"));
            drop(under_way);
            self.settled.notify_one();
            self.fate.reach(Point::AfterSettle, &jobs).await;
            Ok(answers)
        })
    }

    fn enqueue(&self, jobs: Vec<NewJob>) -> Answer<'_, Vec<Enqueued>> {
        self.inner.enqueue(jobs)
    }

    fn start(&self, leases: Vec<LeaseRef>) -> Answer<'_, Vec<Result<Started, LeaseError>>> {
        self.inner.start(leases)
    }

    fn renew(&self, leases: Vec<LeaseRef>, lease: Duration) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        self.inner.renew(leases, lease)
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> Answer<'_, Vec<EvidenceEffect>> {
        self.inner.evidence(evidence)
    }

    fn log(&self, events: Vec<EventBody>) -> Answer<'_, Cursor> {
        self.inner.log(events)
    }

    fn control(&self, control: Control) -> Answer<'_, Result<Controlled, ControlError>> {
        self.inner.control(control)
    }

    fn job(&self, id: JobId) -> Answer<'_, Option<(JobView, Bytes)>> {
        self.inner.job(id)
    }

    fn jobs(&self, filter: JobFilter, after: u64, limit: usize) -> Answer<'_, Vec<JobView>> {
        self.inner.jobs(filter, after, limit)
    }

    fn explain(&self, id: JobId) -> Answer<'_, Option<Explanation>> {
        self.inner.explain(id)
    }

    fn stats(&self) -> Answer<'_, Stats> {
        self.inner.stats()
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> Answer<'_, Vec<LogEntry>> {
        self.inner.events(partition, after, limit, wait)
    }

    fn acknowledge(&self, reader: &str, partition: Partition, through: Cursor) -> Answer<'_, ()> {
        self.inner.acknowledge(reader, partition, through)
    }
}
