//! The spool before a real Redis that is killed, hangs and comes back.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palomar_model::{Clock, ManualClock, MessageId, Timestamp};

use super::{Server, soon};
use crate::broker::{Broker, BrokerError};
use crate::embedded::StoreError;
use crate::redis::{RedisBroker, RedisConfig};
use crate::spool::{CallId, Remote, SpoolConfig, SpoolError, Spooled};
use crate::types::{
    Dedupe, Enqueued, JobFilter, JobState, LeaseRequest, NewJob, Outcome, QueueName, Settle, Signal,
};

const LINES: u128 = 5;

fn queue(n: u128) -> QueueName {
    QueueName::new("outbound", &format!("line-{}", n % LINES)).expect("a queue's name")
}

fn job(n: u128) -> NewJob {
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue(n), format!("payload {n}"))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)))
}

/// What was refused when it was handed over.
type Told = Arc<Mutex<Vec<(NewJob, Enqueued)>>>;

fn spool(dir: &Path, told: &Told) -> SpoolConfig {
    let told = Arc::clone(told);
    let refused = move |job: &NewJob, answer| {
        told.lock().expect("no panic").push((job.clone(), answer));
        None
    };
    SpoolConfig { dir: dir.to_owned(), limit: 64 << 20, refused: Arc::new(refused) }
}

/// A process on a server, with a spool in `dir` that one before it has let go of.
async fn start(config: RedisConfig, dir: &Path) -> (Arc<RedisBroker>, Spooled) {
    let shared = Arc::new(RedisBroker::open(config).await.expect("opens"));
    loop {
        match Spooled::open(Arc::clone(&shared), spool(dir, &Told::default()), clock()).await {
            Ok(spooled) => return (shared, spooled),
            Err(SpoolError::Store(StoreError::Locked(_))) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn put(spooled: &Spooled, numbers: impl IntoIterator<Item = u128>) {
    for n in numbers {
        let answer = soon("an answer", spooled.enqueue(vec![job(n)])).await;
        assert_eq!(answer, Ok(vec![Enqueued::Accepted]), "{n}");
    }
}

async fn handed_over(spooled: &Spooled) {
    soon("it is handed over", async {
        while spooled.meters().items > 0 || spooled.meters().away.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// All jobs that Redis knows, queue by queue in order of arrival, are those up to `end`.
async fn are_all_there(broker: &RedisBroker, end: u128) {
    for line in 0..LINES {
        let filter = JobFilter { queue: Some(queue(line)), ..JobFilter::default() };
        let found = broker.jobs(filter, 0, 10_000).await.expect("jobs");
        let numbers: Vec<u128> = found.iter().map(|view| view.id.0.as_u128()).collect();
        let expected: Vec<u128> = (0..end).filter(|n| n % LINES == line).collect();
        assert_eq!(numbers, expected, "line {line}");
    }
    let accepted: u64 = broker.stats().await.expect("stats").queues.iter().map(|queue| queue.accepted).sum();
    assert_eq!(end, u128::from(accepted));
}

#[tokio::test]
async fn what_comes_while_redis_is_away_is_queued_when_it_is_back() {
    let (mut server, dir) =
        (Server::with(&["--appendfsync", "always"]).await, tempfile::tempdir().expect("a dir"));
    let config = RedisConfig { partitions: 2, ..server.config("spooled", 1) };
    let (shared, spooled) = start(config, dir.path()).await;
    let mut end = 0;
    for _ in 0..3 {
        put(&spooled, end..end + 50).await;
        server.kill();
        put(&spooled, end + 50..end + 250).await;
        let meters = spooled.meters();
        assert!(meters.items >= 200 && meters.bytes > 0 && meters.away.is_some(), "{meters:?}");
        let told = [spooled.stats().await.err(), spooled.explain(job(1).id).await.err()];
        assert!(told.iter().all(|error| matches!(error, Some(BrokerError::Lost(_)))), "{told:?}");
        server.start_again().await;
        end += 250;
        handed_over(&spooled).await;
        are_all_there(&shared, end).await;
    }
}

/// A call that Redis has received and not yet done, when its caller was answered by the spool.
#[tokio::test]
async fn what_redis_does_late_is_not_done_again() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().expect("a directory"));
    let (shared, spooled) = start(server.config("late", 1), dir.path()).await;
    for round in 0..3 {
        put(&spooled, 40 * round..40 * round + 10).await;
        server.signal("-STOP");
        put(&spooled, 40 * round + 10..40 * round + 40).await;
        assert!(spooled.meters().away.is_some());
        server.signal("-CONT");
        handed_over(&spooled).await;
        are_all_there(&shared, 40 * (round + 1)).await;
    }
}

#[tokio::test]
async fn a_node_that_dies_while_it_hands_over_goes_on_where_it_was() {
    let (mut server, dir) = (Server::start().await, tempfile::tempdir().expect("a directory"));
    let (shared, spooled) = start(server.config("dies", 1), dir.path()).await;
    server.kill();
    let mut asked = Vec::new();
    for part in 0..20_u128 {
        let jobs: Vec<NewJob> = (part * 250..part * 250 + 250).map(job).collect();
        asked.push(spooled.enqueue(jobs));
    }
    for answers in soon("all are answered", futures_util::future::join_all(asked)).await {
        assert!(answers.expect("enqueue").iter().all(|answer| *answer == Enqueued::Accepted));
    }
    drop((spooled, shared));
    server.start_again().await;
    for process in 2.. {
        let (shared, spooled) = start(server.config("dies", process), dir.path()).await;
        let before = spooled.meters().items;
        if before == 0 {
            handed_over(&spooled).await;
            are_all_there(&shared, 5_000).await;
            assert!(process > 3, "it died in the middle");
            return;
        }
        // It dies at some moment of the next call or two.
        while spooled.meters().items == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..process {
            tokio::task::yield_now().await;
        }
    }
}

/// A job that went through the spool is leased, done and forgotten, and comes no second time.
#[tokio::test]
async fn what_is_done_and_forgotten_is_not_queued_again() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().expect("a directory"));
    let mut config = server.config("done", 1);
    config.machine.keep_finished = 0;
    let (shared, spooled) = start(config, dir.path()).await;
    put(&spooled, 0..5).await;
    server.signal("-STOP");
    put(&spooled, 5..20).await;
    server.signal("-CONT");
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 20 {
        let wait = Duration::from_secs(20);
        let request = LeaseRequest { pool: "outbound".into(), max: 10, lease: wait * 3, start: true, wait };
        let Ok(jobs) = soon("a lease", spooled.lease(request)).await else { continue };
        let settle =
            |lease| Settle { lease, outcome: Outcome::Done, signal: Signal::None, events: Vec::new() };
        for job in &jobs {
            assert!(seen.insert(job.lease.id), "twice");
        }
        spooled.settle(jobs.iter().map(|job| settle(job.lease)).collect()).await.expect("settle");
    }
    handed_over(&spooled).await;
    let stats = shared.stats().await.expect("stats");
    assert_eq!(stats.queues.iter().map(|queue| queue.accepted).sum::<u64>(), 20);
    assert_eq!(stats.queues.iter().map(|queue| queue.finished[JobState::Done as usize]).sum::<u64>(), 20);
}

/// A node that died in doubt about a call that was done, and was off for a week.
#[tokio::test]
async fn what_became_of_a_call_is_known_however_late_it_is_asked() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)));
    let open = async |process| {
        let mut config = server.config("off", process);
        // What is done is forgotten: nothing else tells that it was there.
        config.machine.keep_finished = 0;
        RedisBroker::open_with_clock(config, Arc::clone(&clock) as _).await.expect("opens")
    };
    let within = Duration::from_secs(60);
    let node = open(1).await;
    let call = CallId { caller: node.caller(), number: 7 };
    let answers = vec![Enqueued::Accepted; 2];
    assert_eq!(node.hand_in(0, call, &[job(1), job(6)], within).await, Ok(answers.clone()));
    drop(node);
    let others = open(2).await;
    for n in 1..=3 {
        clock.advance(Duration::from_secs(56 * 3600));
        let answer = others.enqueue(vec![job(100 * n)]).await;
        assert_eq!(answer, Ok(vec![Enqueued::Accepted]));
    }
    let node = open(3).await;
    assert_eq!(node.outcome(0, call, 2, within).await, Ok(Some(answers.clone())));
    // And the call itself, where it was late on its way, is answered and not done again.
    assert_eq!(node.hand_in(0, call, &[job(1), job(6)], within).await, Ok(answers));
    let accepted: u64 = node.stats().await.expect("stats").queues.iter().map(|queue| queue.accepted).sum();
    assert_eq!(accepted, 5);
}

#[tokio::test]
async fn a_request_is_known_on_both_sides_of_the_outage() {
    let (mut server, dir) =
        (Server::with(&["--appendfsync", "always"]).await, tempfile::tempdir().expect("a dir"));
    let shared = Arc::new(RedisBroker::open(server.config("known", 1)).await.expect("opens"));
    let told = Told::default();
    let spooled = Spooled::open(Arc::clone(&shared), spool(dir.path(), &told), clock()).await.expect("opens");
    let ask = async |n: u128, request: u128, fingerprint: u64| {
        let dedupe = vec![Dedupe { id: request, fingerprint, ttl: Duration::from_secs(48 * 3600) }];
        let queue = queue(0);
        let answers = spooled.enqueue(vec![NewJob { dedupe, queue, ..job(n) }]).await;
        answers.expect("enqueue").remove(0)
    };
    let of = |n: u128| job(n).id;
    assert_eq!(ask(1, 7, 1).await, Enqueued::Accepted);
    server.kill();
    assert_eq!(ask(2, 8, 1).await, Enqueued::Accepted);
    assert_eq!(ask(3, 8, 1).await, Enqueued::Duplicate { of: of(2) });
    // Redis would know these.
    assert_eq!(ask(4, 7, 1).await, Enqueued::Accepted);
    assert_eq!(ask(5, 7, 2).await, Enqueued::Conflict { of: of(4) });
    server.start_again().await;
    handed_over(&spooled).await;
    assert_eq!(ask(6, 8, 1).await, Enqueued::Duplicate { of: of(2) });
    assert_eq!(ask(7, 8, 2).await, Enqueued::Conflict { of: of(2) });
    let told = told.lock().expect("no panic");
    let told: Vec<_> = told.iter().map(|(job, answer)| (job.id, *answer)).collect();
    assert_eq!(told, [(of(4), Enqueued::Duplicate { of: of(1) })]);
}

#[tokio::test]
async fn with_a_spool_before_it_the_broker_keeps_the_contract() {
    let server = Server::start().await;
    let dirs = tempfile::tempdir().expect("a directory");
    crate::conformance::exercise(async |clock: Arc<ManualClock>| {
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let config =
            RedisConfig { readers: vec!["walk".into()], ..server.config(&format!("spooled-{n}"), n) };
        let shared =
            Arc::new(RedisBroker::open_with_clock(config, Arc::clone(&clock) as _).await.expect("opens"));
        let spool = spool(&dirs.path().join(n.to_string()), &Told::default());
        Arc::new(Spooled::open(shared, spool, clock).await.expect("opens")) as Arc<dyn Broker>
    })
    .await;
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
