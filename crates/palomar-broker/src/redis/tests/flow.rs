//! Jobs that flow through a broker while something breaks: all are accepted, each reaches a worker once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use palomar_model::MessageId;
use tokio::task::JoinHandle;

use super::soon;
use crate::broker::{Broker, BrokerError};
use crate::redis::RedisBroker;
use crate::types::{JobState, LeaseRequest, LeasedJob, NewJob, Outcome, QueueName, Settle, Signal};

/// Queues that are spread over the partitions.
const QUEUES: u128 = 12;
/// Jobs that are accepted at once.
const BATCH: usize = 5;
const WORKERS: usize = 4;

/// A flow under way.
pub(super) struct Flow {
    broker: Arc<RedisBroker>,
    jobs: u128,
    accepted: Arc<AtomicU64>,
    feeders: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    seen: Seen,
}

fn job(n: u128) -> NewJob {
    let queue = QueueName::new("outbound", &format!("line-{}", n % QUEUES)).expect("a queue's name");
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue, format!("payload {n}"))
}

/// Repeats what could not be asked now, as callers do.
async fn repeated<'a, T>(mut ask: impl FnMut() -> BoxFuture<'a, Result<T, BrokerError>>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(BrokerError::Lost(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

type Seen = Arc<Mutex<HashSet<u128>>>;

fn lock(seen: &Seen) -> MutexGuard<'_, HashSet<u128>> {
    seen.lock().expect("no panic while it was held")
}

async fn feed(broker: Arc<RedisBroker>, jobs: Vec<NewJob>, accepted: Arc<AtomicU64>) {
    for batch in jobs.chunks(BATCH) {
        // Ids make it safe to repeat.
        repeated(|| broker.enqueue(batch.to_vec())).await;
        accepted.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
}

/// Works until as many jobs have been seen.
async fn work(broker: Arc<RedisBroker>, seen: Seen, jobs: u128) {
    let request = LeaseRequest {
        pool: "outbound".into(),
        max: 25,
        lease: Duration::from_secs(3600),
        start: true,
        wait: Duration::from_millis(100),
    };
    while (lock(&seen).len() as u128) < jobs {
        let leased = repeated(|| broker.lease(request.clone())).await;
        for job in &leased {
            assert!(lock(&seen).insert(job.lease.id.0.as_u128()), "{} was started twice", job.lease.id);
        }
        let settle = |job: &LeasedJob| Settle {
            lease: job.lease,
            outcome: Outcome::Done,
            signal: Signal::None,
            events: vec!["sent".into()],
        };
        let settles: Vec<Settle> = leased.iter().map(settle).collect();
        repeated(|| broker.settle(settles.clone())).await;
    }
}

impl Flow {
    /// Begins to feed jobs and to work on them.
    pub(super) fn start(broker: Arc<RedisBroker>, jobs: u128) -> Flow {
        let accepted = Arc::new(AtomicU64::new(0));
        let feeder = |queue| {
            let ours: Vec<NewJob> = (1..=jobs).filter(|n| n % QUEUES == queue).map(job).collect();
            tokio::spawn(feed(Arc::clone(&broker), ours, Arc::clone(&accepted)))
        };
        let feeders = (0..QUEUES).map(feeder).collect();
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let worker = |_| tokio::spawn(work(Arc::clone(&broker), Arc::clone(&seen), jobs));
        let workers = (0..WORKERS).map(worker).collect();
        Flow { jobs, accepted, feeders, workers, broker, seen }
    }

    /// Waits until some more jobs were accepted, or all.
    pub(super) async fn moves_on(&self) {
        let before = self.accepted.load(Ordering::Relaxed);
        let enough = (before + 100).min(self.jobs as u64);
        soon("the flow goes on", async {
            while self.accepted.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// Waits for the end: each job was accepted once, started once and done once.
    pub(super) async fn ends(self) {
        for feeder in self.feeders {
            soon("all is accepted", feeder).await.expect("it feeds");
        }
        for worker in self.workers {
            soon("all is done", worker).await.expect("it works");
        }
        assert_eq!(lock(&self.seen).len() as u128, self.jobs);
        let queues = self.broker.stats().await.expect("stats").queues;
        let sum = |of: &dyn Fn(&crate::types::QueueStats) -> u64| queues.iter().map(of).sum::<u64>();
        let jobs = self.jobs as u64;
        assert_eq!(sum(&|queue| queue.accepted), jobs);
        assert_eq!(sum(&|queue| queue.finished[JobState::Done as usize]), jobs);
        // What was started for a lease that had its answer from elsewhere by then was given back.
        assert!(sum(&|queue| queue.starts) >= jobs);
        assert_eq!(queues.len() as u128, QUEUES, "each queue is in one partition");
    }
}
