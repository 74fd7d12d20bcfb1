//! What each measurement begins with: the peers' message, a worker that does nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use palomar_broker::worker::{Handled, Worker, WorkerConfig};
use palomar_broker::{Broker, BrokerError, Control, Key, LeasedJob, Limits, NewJob, Outcome, QueueName};
use palomar_model::{Clock, IdGenerator, Priority};
use tokio::sync::Notify;

use super::Options;
use super::store::Engine;

/// Bytes of payloads that are held in memory, as the server does where nothing else is configured.
pub(super) const PAYLOAD_MEMORY: usize = 64 << 20;
/// Jobs in one call, where many are added at once: as many as the peers add.
const BULK: usize = 500;
/// How long a worker may take to settle what it has.
const GRACE: Duration = Duration::from_secs(10);

/// What all measurements of a run share.
pub(super) struct Bench {
    pub(super) options: Options,
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    ids: IdGenerator,
    seed: u64,
    made: AtomicUsize,
}

impl Bench {
    pub(super) fn new(options: Options, engine: Engine, clock: Arc<dyn Clock>, seed: u64) -> Bench {
        Bench { options, engine, clock, ids: IdGenerator::new(seed), seed, made: AtomicUsize::new(0) }
    }

    /// The number of the next store.
    pub(super) fn next_store(&self) -> usize {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// What the broker of a store is known by.
    pub(super) fn process(&self, store: usize) -> u64 {
        self.seed.wrapping_add((store as u64) << 8)
    }

    /// The peers' message: 256 bytes of JSON.
    pub(super) fn job(&self, queue: &QueueName, i: usize) -> NewJob {
        let phone = 34_600_000_000_u64 + (i % 1_000_000) as u64;
        let priority = ["critical", "high", "normal", "low"][i % 4];
        let payload = format!(
            "{{\"instanceName\":\"main-line\",\"recipientPhone\":\"{phone}\",\"messageType\":\"text\",\"content\":{{\"text\":\
             \"Hola! Gracias por contactar con Example. Tu cita es el lunes a las 10:30.\"}},\"metadata\":{{\"priority\":\
             \"{priority}\",\"campaignId\":\"campaign_123\",\"userId\":\"user_42\"}}}}"
        );
        let mut job = NewJob::new(self.ids.message_id(self.clock.now()), queue.clone(), Bytes::from(payload));
        job.key = Some(Key::of(&phone.to_string()));
        job
    }
}

/// A queue of the pool that the workers lease from.
pub(super) fn queue(name: &str) -> QueueName {
    // The names are our own, and fit.
    QueueName::new("bench", name).unwrap_or_else(|_| unreachable!("{name} names a queue"))
}

/// Lets a queue have so many jobs in hand at once, with no other limit.
pub(super) async fn wide_open(
    broker: &dyn Broker,
    queue: &QueueName,
    concurrency: u32,
) -> anyhow::Result<()> {
    let limits = Limits { concurrency, ..Limits::default() };
    broker.control(Control::Configure { queue: queue.clone(), limits }).await??;
    Ok(())
}

/// `width` callers add `n` jobs, one a call.
pub(super) async fn add_jobs(
    broker: &dyn Broker,
    width: usize,
    n: usize,
    job: impl Fn(usize) -> NewJob,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let callers = (0..width.min(n)).map(|_| async {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return Ok::<(), BrokerError>(());
            }
            broker.enqueue(vec![job(i)]).await?;
        }
    });
    futures_util::future::try_join_all(callers).await?;
    Ok(())
}

/// One caller adds `n` jobs to the queue `wa`, many a call.
pub(super) async fn fill(
    bench: &Bench,
    broker: &dyn Broker,
    n: usize,
    change: impl Fn(&mut NewJob, usize),
) -> anyhow::Result<()> {
    for from in (0..n).step_by(BULK) {
        let jobs = (from..n.min(from + BULK)).map(|i| {
            let mut job = bench.job(&queue("wa"), i);
            change(&mut job, i);
            job
        });
        broker.enqueue(jobs.collect()).await?;
    }
    Ok(())
}

/// Gives jobs one of the four priorities in turn.
pub(super) fn four_priorities(job: &mut NewJob, i: usize) {
    job.priority = Priority::ALL[i % Priority::ALL.len()];
}

/// Puts a number in front of a job's payload, for the handler to read.
pub(super) fn stamp(job: &mut NewJob, number: u64) {
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend_from_slice(&job.payload);
    job.payload = payload.into();
}

/// The number in front of a payload.
pub(super) fn stamped(job: &LeasedJob) -> u64 {
    job.payload.first_chunk().map_or(0, |number| u64::from_le_bytes(*number))
}

/// Counts jobs that are done, and tells when all are.
pub(super) struct Counter {
    left: AtomicUsize,
    done: Notify,
}

impl Counter {
    pub(super) fn new(n: usize) -> Arc<Counter> {
        Arc::new(Counter { left: AtomicUsize::new(n), done: Notify::new() })
    }

    fn hit(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
    }

    /// Waits until all are done.
    pub(super) async fn all(&self) {
        self.done.notified().await;
    }
}

/// What handlers saw, gathered from all of them.
pub(super) struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Seen<T> {
    pub(super) fn new() -> Seen<T> {
        Seen(Arc::default())
    }

    pub(super) fn push(&self, value: T) {
        // A list is whole also where a thread panicked that held it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    pub(super) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Seen<T> {
        Seen(Arc::clone(&self.0))
    }
}

/// A worker whose handler only says what became of the job. A job counts as the handler says that it is done; its
/// settle is durable when the worker has stopped.
pub(super) fn worker(
    broker: &Arc<dyn Broker>,
    concurrency: usize,
    counter: &Arc<Counter>,
    outcome: impl Fn(&LeasedJob) -> Outcome + Send + Sync + 'static,
) -> Worker {
    let counter = Arc::clone(counter);
    Worker::spawn(Arc::clone(broker), WorkerConfig::new("bench", concurrency), move |job: LeasedJob| {
        let outcome = outcome(&job);
        if outcome == Outcome::Done {
            counter.hit();
        }
        std::future::ready(Handled::new(outcome))
    })
}

/// Stops a worker: all that it handled is settled, durably.
pub(super) async fn stop(worker: Worker) {
    worker.stop(GRACE).await;
}
