//! The worker runtime over the embedded broker: concurrency, panics, renewals, stops, late answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use palomar_model::{ManualClock, MessageId, Timestamp};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{Handled, OnPanic, Worker, WorkerConfig};
use crate::broker::Broker;
use crate::embedded::{EmbeddedBroker, EmbeddedConfig};
use crate::types::{JobFilter, JobState, LeasedJob, NewJob, Outcome, QueueName, QueueStats};

struct Fixture {
    _dir: TempDir,
    clock: Arc<ManualClock>,
    broker: Arc<EmbeddedBroker>,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)));
    let broker = EmbeddedBroker::open(EmbeddedConfig::in_dir(dir.path()), clock.clone()).expect("opens");
    Fixture { _dir: dir, clock, broker: Arc::new(broker) }
}

fn config(concurrency: usize) -> WorkerConfig {
    WorkerConfig::new("outbound", concurrency)
}

impl Fixture {
    async fn enqueue(&self, ids: std::ops::RangeInclusive<u128>) {
        let queue = QueueName::new("outbound", "line").expect("a queue's name");
        let job = |n| NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue.clone(), format!("payload {n}"));
        self.broker.enqueue(ids.map(job).collect()).await.expect("enqueue");
    }

    async fn stats(&self) -> QueueStats {
        self.broker.stats().await.expect("stats").queues.remove(0)
    }

    async fn count(&self, state: JobState) -> u64 {
        let stats = self.stats().await;
        stats.counts[state as usize].max(stats.finished[state as usize])
    }

    /// Waits until as many jobs are in a state.
    async fn until(&self, state: JobState, count: u64) {
        let reached = async {
            while self.count(state).await < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(60), reached).await;
        assert!(within.is_ok(), "{count} jobs {state:?}: {:?}", self.stats().await.counts);
    }
}

async fn done(_: LeasedJob) -> Handled {
    Handled::new(Outcome::Done)
}

const GRACE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_handlers_run_than_the_concurrency() {
    let fixture = fixture();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, high) = (Arc::clone(&running), Arc::clone(&most));
    let handler = move |_: LeasedJob| {
        let (now, high) = (Arc::clone(&now), Arc::clone(&high));
        async move {
            high.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, SeqCst);
            Handled::new(Outcome::Done)
        }
    };
    fixture.enqueue(1..=500).await;
    let worker = Worker::spawn(fixture.broker.clone(), config(7), handler);
    fixture.until(JobState::Done, 500).await;
    assert_eq!(worker.stop(GRACE).await, 0);
    assert!((2..=7).contains(&most.load(SeqCst)), "{} at once", most.load(SeqCst));
}

#[tokio::test]
async fn a_panic_takes_down_its_own_job_only() {
    for (on_panic, state) in [(OnPanic::Uncertain, JobState::Uncertain), (OnPanic::Retry, JobState::Dead)] {
        let fixture = fixture();
        fixture.enqueue(1..=20).await;
        let handler = |job: LeasedJob| async move {
            assert_ne!(job.payload, "payload 7", "this one panics");
            Handled::new(Outcome::Done)
        };
        let worker = Worker::spawn(fixture.broker.clone(), WorkerConfig { on_panic, ..config(3) }, handler);
        fixture.until(JobState::Done, 19).await;
        fixture.until(state, 1).await;
        assert_eq!(worker.stop(GRACE).await, 0);
        let filter = JobFilter { states: vec![state], ..JobFilter::default() };
        let job = fixture.broker.jobs(filter, 0, 10).await.expect("jobs").remove(0);
        assert_eq!((job.id.0.as_u128(), job.attempts), (7, if on_panic == OnPanic::Retry { 3 } else { 1 }));
    }
}

#[tokio::test]
async fn leases_of_long_handlers_are_renewed() {
    let fixture = fixture();
    fixture.enqueue(1..=1).await;
    let gate = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&gate);
    let handler = move |_: LeasedJob| {
        let wait = Arc::clone(&wait);
        async move {
            wait.acquire().await.expect("open").forget();
            Handled::new(Outcome::Done)
        }
    };
    // Renewals go by the runtime's clock, leases by the broker's, which passes a lease in ten steps.
    let lease = Duration::from_millis(30);
    let worker = Worker::spawn(fixture.broker.clone(), WorkerConfig { lease, ..config(1) }, handler);
    fixture.until(JobState::Started, 1).await;
    for _ in 0..30 {
        let id = MessageId(uuid::Uuid::from_u128(1));
        let ends = async || fixture.broker.job(id).await.expect("job").expect("known").0.when;
        let before = ends().await;
        fixture.clock.advance(lease / 10);
        let renewed = async {
            while ends().await == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed).await.expect("renewed");
    }
    assert_eq!(fixture.count(JobState::Started).await, 1, "three leases later");
    gate.add_permits(1);
    fixture.until(JobState::Done, 1).await;
    assert_eq!((worker.stop(GRACE).await, fixture.stats().await.expired_leases), (0, [0, 0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_leaves_nothing_uncertain_and_loses_nothing() {
    for round in 0..20_u64 {
        let fixture = fixture();
        fixture.enqueue(1..=300).await;
        let handler = |_: LeasedJob| async {
            tokio::task::yield_now().await;
            Handled::new(Outcome::Done)
        };
        let worker = Worker::spawn(fixture.broker.clone(), config(8), handler);
        // Somewhere in full flow, and with work coming in.
        fixture.until(JobState::Done, 10 * round).await;
        let (stopped, ()) = tokio::join!(worker.stop(GRACE), fixture.enqueue(301..=310));
        assert_eq!(stopped, 0);
        let stats = fixture.stats().await;
        let [queued, started, uncertain] = [JobState::Queued, JobState::Started, JobState::Uncertain]
            .map(|state| stats.counts[state as usize]);
        assert_eq!((started, uncertain, stats.leased), (0, 0, 0), "round {round}: {stats:?}");
        assert_eq!(queued + stats.finished[JobState::Done as usize], 310, "round {round}: none is lost");
        assert!(stats.starts >= stats.finished[JobState::Done as usize]);
    }
}

#[tokio::test]
async fn what_is_given_up_becomes_uncertain() {
    let fixture = fixture();
    fixture.enqueue(1..=3).await;
    let handler = |_: LeasedJob| std::future::pending::<Handled>();
    let worker = Worker::spawn(fixture.broker.clone(), config(2), handler);
    fixture.until(JobState::Started, 2).await;
    // The broker knows of a start a moment before its worker does.
    let taken = async {
        while worker.busy() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GRACE, taken).await.expect("both are handled");
    assert_eq!(worker.stop(Duration::ZERO).await, 2);
    assert_eq!(fixture.count(JobState::Started).await, 2, "until their leases end");
    fixture.clock.advance(Duration::from_secs(60));
    fixture.until(JobState::Uncertain, 2).await;
    assert_eq!(fixture.count(JobState::Queued).await, 1);
}

#[tokio::test]
async fn a_late_answer_is_told_as_evidence() {
    let fixture = fixture();
    fixture.enqueue(1..=2).await;
    let gate = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&gate);
    let handler = move |job: LeasedJob| {
        let wait = Arc::clone(&wait);
        async move {
            wait.acquire().await.expect("open").forget();
            let dead = Outcome::Dead { reason: "131026".into() };
            Handled::new(if job.payload == "payload 1" { Outcome::Done } else { dead })
        }
    };
    let worker = Worker::spawn(fixture.broker.clone(), config(2), handler);
    fixture.until(JobState::Started, 2).await;
    // The process was frozen, say: its leases are over before it answers.
    fixture.clock.advance(Duration::from_secs(61));
    fixture.until(JobState::Uncertain, 2).await;
    gate.add_permits(2);
    fixture.until(JobState::Done, 1).await;
    fixture.until(JobState::Dead, 1).await;
    assert_eq!(worker.stop(GRACE).await, 0);
    assert!(fixture.stats().await.stale >= 2);
}

#[tokio::test]
async fn a_worker_ends_with_its_broker() {
    let fixture = fixture();
    fixture.enqueue(1..=5).await;
    let worker = Worker::spawn(fixture.broker.clone(), config(2), done);
    fixture.until(JobState::Done, 5).await;
    fixture.broker.close().await.expect("closes");
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = async {
        worker.stop(GRACE).await;
        stopped.store(true, SeqCst);
    };
    tokio::time::timeout(GRACE, stop).await.expect("stops");
    assert!(stopped.load(SeqCst));
}
