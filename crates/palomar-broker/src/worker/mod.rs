//! The worker runtime: leases jobs of a pool, runs a handler on each, settles what became of them.
//!
//! ```text
//! lease ──> handler (one task a job) ──> settle, in batches ──> a free place, and the next lease
//! ```
//!
//! Leasing, starting and settling are batched: while one request is under way, what gathers goes with the next. No
//! polling: a lease waits in the broker until there is work.
//!
//! What always holds:
//! - at most `concurrency` handlers run at once;
//! - a job is handled under a lease that is renewed while the handler runs;
//! - a handler that panics takes down its own job only;
//! - a settle that came too late (`Stale`) is told as evidence where it knows that the job was taken;
//! - a graceful stop leases no more, lets handlers finish within the grace period, and settles them.

mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerError};
use crate::types::{EventBody, LeaseRef, LeaseRequest, LeasedJob, Outcome, Signal};
use settle::Settling;

/// What a handler says became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// What became of it.
    pub outcome: Outcome,
    /// What it says about the queue.
    pub signal: Signal,
    /// What to log in the same step.
    pub events: Vec<EventBody>,
}

impl Handled {
    /// An outcome that says nothing else.
    #[must_use]
    pub fn new(outcome: Outcome) -> Handled {
        Handled { outcome, signal: Signal::None, events: Vec::new() }
    }
}

/// What to think of a job whose handler panicked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPanic {
    /// It may have acted on the outside: the outcome is not known. For handlers that send.
    #[default]
    Uncertain,
    /// Its effects may be repeated: tried again, and a dead letter after three panics in a row.
    Retry,
}

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The pool that it leases from.
    pub pool: Arc<str>,
    /// Handlers at once.
    pub concurrency: usize,
    /// How long a lease lasts; renewed at a third of it.
    pub lease: Duration,
    /// What a panic means.
    pub on_panic: OnPanic,
}

impl WorkerConfig {
    /// A worker of a pool, with a lease of 60 s.
    #[must_use]
    pub fn new(pool: impl Into<Arc<str>>, concurrency: usize) -> WorkerConfig {
        WorkerConfig {
            pool: pool.into(),
            concurrency,
            lease: Duration::from_secs(60),
            on_panic: OnPanic::Uncertain,
        }
    }
}

/// Something that handles jobs.
pub trait Handler: Send + Sync + 'static {
    /// Handles one started job and says what became of it.
    fn handle(&self, job: LeasedJob) -> impl Future<Output = Handled> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(LeasedJob) -> R + Send + Sync + 'static,
    R: Future<Output = Handled> + Send,
{
    fn handle(&self, job: LeasedJob) -> impl Future<Output = Handled> + Send {
        self(job)
    }
}

/// A worker that runs.
#[derive(Debug)]
pub struct Worker {
    stop_leasing: CancellationToken,
    give_up: CancellationToken,
    leasing: tokio::task::JoinHandle<()>,
    handlers: TaskTracker,
    settling: tokio::task::JoinHandle<()>,
    renewing: tokio::task::JoinHandle<()>,
    running: Running,
}

/// Leases whose handlers run.
#[derive(Clone, Debug, Default)]
struct Running(Arc<Mutex<HashMap<LeaseRef, ()>>>);

impl Running {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<LeaseRef, ()>) -> T) -> T {
        // A poisoned lock would mean a panic in a map operation: the map is whole all the same.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Worker {
    /// Starts a worker on the current runtime.
    pub fn spawn<H: Handler>(broker: Arc<dyn Broker>, config: WorkerConfig, handler: H) -> Worker {
        let stop_leasing = CancellationToken::new();
        let give_up = CancellationToken::new();
        let handlers = TaskTracker::new();
        let running = Running::default();
        let (settled, to_settle) = mpsc::unbounded_channel();
        let settling = tokio::spawn(settle::run(Arc::clone(&broker), to_settle));
        let renewing =
            tokio::spawn(renew(Arc::clone(&broker), config.lease, running.clone(), give_up.clone()));
        let leasing = tokio::spawn(lease(Leasing {
            broker,
            config,
            handler: Arc::new(handler),
            stop: stop_leasing.clone(),
            give_up: give_up.clone(),
            handlers: handlers.clone(),
            running: running.clone(),
            settled,
        }));
        Worker { stop_leasing, give_up, leasing, handlers, settling, renewing, running }
    }

    /// Handlers that run now.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.running.with(|running| running.len())
    }

    /// Stops: no more leases, running handlers may finish within `grace`. Answers how many had to be given up; their
    /// jobs become uncertain when their leases end.
    pub async fn stop(self, grace: Duration) -> usize {
        self.stop_leasing.cancel();
        // A lease that is under way may still bring jobs: they are handled.
        let _ = self.leasing.await;
        self.handlers.close();
        if tokio::time::timeout(grace, self.handlers.wait()).await.is_err() {
            tracing::warn!(running = self.running.with(|running| running.len()), "the grace period is over");
        }
        let given_up = self.running.with(|running| running.len());
        self.give_up.cancel();
        self.handlers.wait().await;
        let _ = self.settling.await;
        let _ = self.renewing.await;
        given_up
    }
}

struct Leasing<H> {
    broker: Arc<dyn Broker>,
    config: WorkerConfig,
    handler: Arc<H>,
    stop: CancellationToken,
    give_up: CancellationToken,
    handlers: TaskTracker,
    running: Running,
    settled: mpsc::UnboundedSender<Settling>,
}

/// How long one lease request waits for work in the broker.
const LEASE_WAIT: Duration = Duration::from_secs(20);

async fn lease<H: Handler>(at: Leasing<H>) {
    let places = Arc::new(Semaphore::new(at.config.concurrency));
    let mut backoff = Duration::from_millis(10);
    loop {
        let Some(mut free) = free_places(&places, &at.stop).await else { return };
        let request = LeaseRequest {
            pool: Arc::clone(&at.config.pool),
            max: free.num_permits(),
            lease: at.config.lease,
            start: true,
            wait: LEASE_WAIT,
        };
        // Dropping the request gives back what it would have brought: the broker sees that nobody waits for it.
        let leased = tokio::select! {
            leased = at.broker.lease(request) => leased,
            () = at.stop.cancelled() => return,
        };
        match leased {
            Ok(jobs) => {
                backoff = Duration::from_millis(10);
                for job in jobs {
                    let Some(place) = free.split(1) else { break };
                    at.running.with(|running| running.insert(job.lease, ()));
                    at.handlers.spawn(run_one(&at, job, place));
                }
            }
            Err(BrokerError::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, "leasing failed, trying again");
                drop(free);
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    () = at.stop.cancelled() => return,
                }
                backoff = (backoff * 2).min(Duration::from_secs(5));
            }
        }
    }
}

/// Turns that are left to handlers before a lease, and before a settle, goes.
const TURNS_FOR_OTHERS: usize = 4;

/// All places that are free, at least one; none when the worker stops.
async fn free_places(places: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    let mut free = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        first = Arc::clone(places).acquire_owned() => first.ok()?,
    };
    // Handlers that are about to end get their turn first: one lease for all of their places.
    for _ in 0..TURNS_FOR_OTHERS {
        let before = free.num_permits();
        tokio::task::yield_now().await;
        while let Ok(more) = Arc::clone(places).try_acquire_owned() {
            free.merge(more);
        }
        if free.num_permits() == before {
            break;
        }
    }
    Some(free)
}

fn run_one<H: Handler>(
    at: &Leasing<H>,
    job: LeasedJob,
    place: OwnedSemaphorePermit,
) -> impl Future<Output = ()> + use<H> {
    let handler = Arc::clone(&at.handler);
    let give_up = at.give_up.clone();
    let settled = at.settled.clone();
    let running = at.running.clone();
    let on_panic = at.config.on_panic;
    async move {
        let (lease, attempt) = (job.lease, job.attempt);
        let handled = tokio::select! {
            handled = AssertUnwindSafe(handler.handle(job)).catch_unwind() => handled,
            () = give_up.cancelled() => {
                running.with(|running| running.remove(&lease));
                return;
            }
        };
        let handled = handled.unwrap_or_else(|panic| {
            tracing::error!(job = %lease.id, panic = panic_text(&*panic), "a handler panicked");
            Handled::new(match on_panic {
                OnPanic::Uncertain => Outcome::Uncertain,
                OnPanic::Retry => Outcome::Panicked,
            })
        });
        running.with(|running| running.remove(&lease));
        // The settling task ends after the last handler.
        let _ = settled.send(Settling { lease, attempt, handled });
        // The place is free now: the next lease travels with this settle.
        drop(place);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind")
}

/// Renews the leases of running handlers, three times a lease.
async fn renew(broker: Arc<dyn Broker>, lease: Duration, running: Running, give_up: CancellationToken) {
    let mut seen: Vec<LeaseRef> = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(lease / 3) => {}
            () = give_up.cancelled() => return,
        }
        // Those that ran a third of a lease ago and still run.
        let still: Vec<LeaseRef> = running.with(|running| {
            let old = seen.iter().copied().filter(|lease| running.contains_key(lease)).collect();
            seen = running.keys().copied().collect();
            old
        });
        if still.is_empty() {
            continue;
        }
        if let Err(error) = broker.renew(still, lease).await {
            tracing::warn!(%error, "leases were not renewed");
        }
    }
}
