//! The broker of a process that dies: in the midst of one call, before it is done or after it, and before anybody learns of it.
//!
//! What always holds: once it has died, nothing that this process asks is done any more, or answered.

use std::future::pending;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use palomar_broker::{
    Broker, BrokerError, Control, ControlError, Controlled, Cursor, EmbeddedBroker, Enqueued, EventBody,
    Evidence, EvidenceEffect, Explanation, JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest,
    LeasedJob, LogEntry, NewJob, Partition, Settle, Started, Stats,
};
use tokio::sync::watch;

type Answer<'a, T> = BoxFuture<'a, Result<T, BrokerError>>;

/// What a campaign has done in the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A batch is queued, to be fed.
    QueueBatch,
    /// Messages of a batch are queued.
    QueueMessages,
    /// Its group is paused or resumed, or what waits of it is called off.
    Control,
    /// Jobs are leased and started.
    Lease,
    /// What became of jobs is told.
    Settle,
    /// Records say how far they read the log.
    Acknowledge,
}

impl Step {
    pub(crate) const ALL: [Step; 6] =
        [Step::QueueBatch, Step::QueueMessages, Step::Control, Step::Lease, Step::Settle, Step::Acknowledge];
}

/// Where it dies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) at: Step,
    /// At the so-many-th such step, from 1.
    pub(crate) nth: u32,
    /// Before the step is done, or after it.
    pub(crate) before: bool,
}

enum Life {
    Lives(Option<Death>),
    Dead,
}

/// What becomes of a step.
enum Fate {
    Passes,
    DiesBefore,
    DiesAfter,
    Dead,
}

/// A broker that dies.
pub(crate) struct Mortal {
    whole: Arc<EmbeddedBroker>,
    life: Mutex<Life>,
    died: Sender<()>,
    /// Whether nobody reads on in the log.
    log_held: watch::Sender<bool>,
}

impl Mortal {
    /// Who is to be told when it dies.
    pub(crate) fn new(whole: Arc<EmbeddedBroker>, death: Option<Death>, died: Sender<()>) -> Mortal {
        Mortal { whole, life: Mutex::new(Life::Lives(death)), died, log_held: watch::Sender::new(false) }
    }

    /// From now on nobody reads on in the log, or everybody does again.
    pub(crate) fn hold_log(&self, held: bool) {
        self.log_held.send_replace(held);
    }

    fn fate(&self, step: Option<Step>) -> Fate {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let Life::Lives(death) = &mut *life else { return Fate::Dead };
        let Some(own) = death.as_mut().filter(|death| Some(death.at) == step) else { return Fate::Passes };
        own.nth -= 1;
        if own.nth > 0 {
            return Fate::Passes;
        }
        let before = own.before;
        *life = Life::Dead;
        if before { Fate::DiesBefore } else { Fate::DiesAfter }
    }

    fn mortally<'a, T: Send + 'a>(
        &'a self,
        step: Option<Step>,
        call: impl FnOnce(&'a EmbeddedBroker) -> Answer<'a, T> + Send + 'a,
    ) -> Answer<'a, T> {
        async move {
            match self.fate(step) {
                Fate::Passes => {
                    let answer = call(&self.whole).await;
                    match *self.life.lock().unwrap_or_else(PoisonError::into_inner) {
                        Life::Lives(_) => return answer,
                        // It died while this was under way.
                        Life::Dead => {}
                    }
                }
                Fate::DiesBefore => {
                    let _ = self.died.send(());
                }
                Fate::DiesAfter => {
                    let _ = call(&self.whole).await;
                    let _ = self.died.send(());
                }
                Fate::Dead => {}
            }
            pending().await
        }
        .boxed()
    }
}

impl Broker for Mortal {
    fn enqueue(&self, jobs: Vec<NewJob>) -> Answer<'_, Vec<Enqueued>> {
        let step = jobs.first().and_then(|job| match job.queue.pool() {
            "campaigns" => Some(Step::QueueBatch),
            "outbound" => Some(Step::QueueMessages),
            _ => None,
        });
        self.mortally(step, |whole| whole.enqueue(jobs))
    }

    fn lease(&self, request: LeaseRequest) -> Answer<'_, Vec<LeasedJob>> {
        self.mortally(Some(Step::Lease), |whole| whole.lease(request))
    }

    fn start(&self, leases: Vec<LeaseRef>) -> Answer<'_, Vec<Result<Started, LeaseError>>> {
        self.mortally(None, |whole| whole.start(leases))
    }

    fn renew(&self, leases: Vec<LeaseRef>, lease: Duration) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        self.mortally(None, move |whole| whole.renew(leases, lease))
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        self.mortally(Some(Step::Settle), |whole| whole.settle(settles))
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> Answer<'_, Vec<EvidenceEffect>> {
        self.mortally(None, |whole| whole.evidence(evidence))
    }

    fn log(&self, events: Vec<EventBody>) -> Answer<'_, Cursor> {
        self.mortally(None, |whole| whole.log(events))
    }

    fn control(&self, control: Control) -> Answer<'_, Result<Controlled, ControlError>> {
        let of_group = matches!(
            control,
            Control::PauseGroup { .. } | Control::ResumeGroup { .. } | Control::CancelAll(_)
        );
        self.mortally(of_group.then_some(Step::Control), |whole| whole.control(control))
    }

    fn job(&self, id: JobId) -> Answer<'_, Option<(JobView, bytes::Bytes)>> {
        self.mortally(None, move |whole| whole.job(id))
    }

    fn jobs(&self, filter: JobFilter, after: u64, limit: usize) -> Answer<'_, Vec<JobView>> {
        self.mortally(None, move |whole| whole.jobs(filter, after, limit))
    }

    fn explain(&self, id: JobId) -> Answer<'_, Option<Explanation>> {
        self.mortally(None, move |whole| whole.explain(id))
    }

    fn stats(&self) -> Answer<'_, Stats> {
        self.mortally(None, |whole| whole.stats())
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> Answer<'_, Vec<LogEntry>> {
        async move {
            loop {
                // Whoever waits for news holds up nobody: what comes while it is held is not told.
                let _ = self.log_held.subscribe().wait_for(|held| !held).await;
                let told =
                    self.mortally(None, move |whole| whole.events(partition, after, limit, wait)).await?;
                if !*self.log_held.borrow() {
                    return Ok(told);
                }
            }
        }
        .boxed()
    }

    fn acknowledge(&self, reader: &str, partition: Partition, through: Cursor) -> Answer<'_, ()> {
        let reader = reader.to_owned();
        let step = Some(Step::Acknowledge);
        async move {
            self.mortally(step, |whole| {
                async move { whole.acknowledge(&reader, partition, through).await }.boxed()
            })
            .await
        }
        .boxed()
    }
}
