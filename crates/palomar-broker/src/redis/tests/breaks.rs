//! What breaks and comes back: the server, the connection, the library.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::MessageId;

use super::servers::agreed;
use super::{Server, soon};
use crate::broker::{Broker, BrokerError};
use crate::redis::{Confirm, RedisBroker, RedisConfig};
use crate::types::{
    Control, Cursor, JobFilter, JobState, LeaseRequest, LeasedJob, NewJob, Outcome, Partition, QueueName,
    QueueStats, Settle, Signal,
};

fn queue() -> QueueName {
    QueueName::new("outbound", "line").expect("a queue's name")
}

fn job(n: u128) -> NewJob {
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue(), format!("payload {n}"))
}

fn request(max: usize, wait: Duration) -> LeaseRequest {
    LeaseRequest { pool: "outbound".into(), max, lease: Duration::from_secs(60), start: true, wait }
}

async fn done(broker: &RedisBroker, jobs: &[LeasedJob]) {
    let settle = |job: &LeasedJob| Settle {
        lease: job.lease,
        outcome: Outcome::Done,
        signal: Signal::None,
        events: Vec::new(),
    };
    let answers = broker.settle(jobs.iter().map(settle).collect()).await.expect("settle");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

async fn stats(broker: &RedisBroker) -> QueueStats {
    broker.stats().await.expect("stats").queues.remove(0)
}

#[tokio::test]
async fn what_was_confirmed_survives_a_kill_of_the_server() {
    let mut server = Server::with(&["--appendfsync", "always"]).await;
    let broker = RedisBroker::open(server.config("killed", 1)).await.expect("opens");
    broker.enqueue((1..=20).map(job).collect()).await.expect("enqueue");
    let taken = broker.lease(request(5, Duration::ZERO)).await.expect("lease");
    done(&broker, &taken[..3]).await;
    let before = stats(&broker).await;
    for _ in 0..3 {
        server.kill();
        server.start_again().await;
        // The same broker goes on, with what the server has read from its file; the library comes with it.
        assert_eq!(stats(&broker).await, before);
    }
    done(&broker, &taken[3..]).await;
    let rest = broker.lease(request(100, Duration::ZERO)).await.expect("lease");
    done(&broker, &rest).await;
    assert_eq!((rest.len(), stats(&broker).await.finished[JobState::Done as usize]), (15, 20));
}

#[tokio::test]
async fn calls_wait_while_the_server_is_away_and_nothing_is_done_twice() {
    let mut server = Server::with(&["--appendfsync", "always"]).await;
    let broker = Arc::new(RedisBroker::open(server.config("away", 1)).await.expect("opens"));
    let feeding = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move {
            for n in 0..200_u128 {
                let jobs = (10 * n..10 * n + 10).map(job).collect();
                broker.enqueue(jobs).await.expect("it waits until the server is back");
            }
        }
    });
    let working = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move {
            let mut seen = HashSet::new();
            while seen.len() < 2_000 {
                let jobs = broker.lease(request(50, Duration::from_secs(20))).await.expect("lease");
                for job in &jobs {
                    assert!(seen.insert(job.lease.id), "leased once");
                }
                done(&broker, &jobs).await;
            }
        }
    });
    let accepted = async || {
        let stats = broker.stats().await.expect("stats");
        stats.queues.first().map_or(0, |queue| queue.accepted)
    };
    for _ in 0..5 {
        let before = accepted().await;
        let moved = async {
            while accepted().await < (before + 100).min(2_000) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon("the flow goes on", moved).await;
        server.kill();
        server.start_again().await;
    }
    soon("all is accepted", feeding).await.expect("no panic");
    soon("all is done", working).await.expect("no panic");
    let stats = stats(&broker).await;
    assert_eq!((stats.accepted, stats.starts), (2_000, 2_000), "{stats:?}");
    assert_eq!(stats.finished[JobState::Done as usize], 2_000);
}

#[tokio::test]
async fn a_library_that_is_gone_is_loaded_again() {
    let server = Server::start().await;
    let broker = RedisBroker::open(server.config("library", 1)).await.expect("opens");
    broker.enqueue(vec![job(1)]).await.expect("enqueue");
    let _: () = server.ask(&["FUNCTION", "FLUSH"]).await;
    assert_eq!(stats(&broker).await.accepted, 1);
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_in_time() {
    let mut server = Server::start().await;
    let config = RedisConfig { patience: Duration::from_millis(300), ..server.config("gone", 1) };
    let broker = RedisBroker::open(config).await.expect("opens");
    broker.enqueue(vec![job(1)]).await.expect("enqueue");
    server.kill();
    let answer = soon("an answer", broker.enqueue(vec![job(2)])).await;
    assert!(matches!(answer, Err(BrokerError::Lost(_))), "{answer:?}");
    let answer = soon("an answer", broker.lease(request(1, Duration::from_secs(20)))).await;
    assert!(matches!(answer, Err(BrokerError::Lost(_))), "{answer:?}");
    server.start_again().await;
    // Repeating is safe.
    soon("it is back", async {
        while broker.enqueue(vec![job(2)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(stats(&broker).await.accepted, 2);
}

#[tokio::test]
async fn queues_that_were_flushed_away_are_not_made_anew() {
    let server = Server::start().await;
    let broker = RedisBroker::open(server.config("flushed", 1)).await.expect("opens");
    broker.enqueue(vec![job(1)]).await.expect("enqueue");
    let _: () = server.ask(&["FLUSHALL"]).await;
    let answer = broker.enqueue(vec![job(2)]).await;
    assert!(matches!(&answer, Err(BrokerError::Failed(why)) if why.contains("no queues")), "{answer:?}");
}

#[tokio::test]
async fn without_memory_nothing_new_is_taken_and_the_rest_goes_on() {
    let server = Server::start().await;
    let broker = RedisBroker::open(server.config("full", 1)).await.expect("opens");
    broker.enqueue((1..=10).map(job).collect()).await.expect("enqueue");
    let taken = broker.lease(request(5, Duration::ZERO)).await.expect("lease");
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    // They travel together; one is refused.
    let settling = done(&broker, &taken);
    let (refused, ()) = tokio::join!(broker.enqueue(vec![job(11)]), settling);
    assert_eq!(refused, Err(BrokerError::Full));
    let rest = broker.lease(request(5, Duration::ZERO)).await.expect("lease");
    done(&broker, &rest).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    broker.enqueue(vec![job(11)]).await.expect("enqueue");
    let stats = stats(&broker).await;
    assert_eq!((stats.accepted, stats.finished[JobState::Done as usize]), (11, 10));
}

#[tokio::test]
async fn one_process_is_woken_by_another() {
    let server = Server::start().await;
    let one = RedisBroker::open(server.config("two", 1)).await.expect("opens");
    let other = RedisBroker::open(server.config("two", 2)).await.expect("opens");
    for n in 1..=20 {
        let end = one.stats().await.expect("stats").log_ends[0];
        let waiting = one.lease(request(5, Duration::from_secs(3600)));
        let facts = one.events(Partition::WHOLE, end, 10, Duration::from_secs(3600));
        // The others wait by then, or will find it.
        let all = async { tokio::join!(waiting, facts, other.enqueue(vec![job(n)])) };
        let (leased, facts, accepted) = soon("work and facts", all).await;
        assert_eq!(leased.expect("lease").len(), 1);
        assert!(!facts.expect("events").is_empty() && accepted.is_ok());
    }
}

#[tokio::test]
async fn due_jobs_are_leased_at_their_time() {
    let server = Server::start().await;
    let broker = RedisBroker::open(server.config("due", 1)).await.expect("opens");
    broker.enqueue(vec![job(1)]).await.expect("enqueue");
    let taken = broker.lease(request(1, Duration::ZERO)).await.expect("lease").remove(0);
    let wait = Duration::from_millis(200);
    let settle = Settle {
        lease: taken.lease,
        outcome: Outcome::Retry { at: taken.enqueued_at.after(wait), counts: true },
        signal: Signal::None,
        events: Vec::new(),
    };
    assert_eq!(broker.settle(vec![settle]).await, Ok(vec![Ok(())]));
    let again = soon("the next attempt", broker.lease(request(1, Duration::from_secs(3600)))).await;
    let again = again.expect("lease");
    assert_eq!((again.len(), again[0].tries), (1, 2));
    assert!(again[0].until >= taken.enqueued_at.after(wait + Duration::from_secs(60)), "not before its time");
}

/// What only the primary has may be lost with it: nobody is told of it before a replica has it, too.
#[tokio::test]
async fn facts_are_told_when_they_are_confirmed() {
    let server = Server::start().await;
    let port = server.port.to_string();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &port]).await;
    agreed("there is a replica", async || server.replicas().await == 1).await;
    let config = |process| RedisConfig {
        confirm: Confirm::Replicated(1),
        response_timeout: Duration::from_millis(400),
        patience: Duration::from_secs(1),
        ..server.config("facts", process)
    };
    let writer = RedisBroker::open(config(1)).await.expect("opens");
    let reader = RedisBroker::open(config(2)).await.expect("opens");
    writer.enqueue(vec![job(1)]).await.expect("enqueue");
    let facts = async |after| reader.events(Partition::WHOLE, Cursor(after), 10, Duration::ZERO).await;
    assert_eq!(facts(0).await.expect("events").len(), 1);
    replica.signal("-STOP");
    let refused = soon("an answer", writer.enqueue(vec![job(2)])).await;
    assert!(matches!(refused, Err(BrokerError::Lost(_))), "{refused:?}");
    let untold = soon("an answer", facts(1)).await;
    assert!(matches!(untold, Err(BrokerError::Lost(_))), "{untold:?}");
    replica.signal("-CONT");
    soon("it is confirmed", async {
        while facts(1).await.map_or(0, |facts| facts.len()) != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_process_was_answered_is_forgotten_after_days() {
    let server = Server::start().await;
    let clock = Arc::new(crate::conformance::clock());
    let callers = async || {
        let keys: Vec<Vec<u8>> = server.ask(&["HKEYS", "{crashed:p0}"]).await;
        keys.iter().filter(|key| key.len() == 8).count()
    };
    let open = async |process| {
        let config = server.config("crashed", process);
        RedisBroker::open_with_clock(config, Arc::clone(&clock) as _).await.expect("opens")
    };
    for process in 1..=3 {
        // It is dropped without being closed, as a process that is killed.
        open(process).await.enqueue(vec![job(u128::from(process))]).await.expect("enqueue");
    }
    let left = callers().await;
    assert!(left >= 3, "{left}");
    clock.advance(Duration::from_secs(48 * 3600));
    let last = open(4).await;
    last.enqueue(vec![job(4)]).await.expect("enqueue");
    assert!(callers().await > left, "they are kept as long as requests are remembered");
    clock.advance(Duration::from_secs(2 * 3600));
    last.enqueue(vec![job(5)]).await.expect("enqueue");
    assert!(callers().await <= 2, "its own");
}

/// A server that hangs keeps its connections open and says nothing.
#[tokio::test]
async fn every_call_to_a_server_that_hangs_is_answered_in_time() {
    let server = Server::start().await;
    let config = RedisConfig {
        patience: Duration::from_millis(600),
        response_timeout: Duration::from_millis(200),
        connection_timeout: Duration::from_millis(200),
        ..server.config("hangs", 1)
    };
    let broker = RedisBroker::open(config.clone()).await.expect("opens");
    broker.enqueue((1..=3).map(job).collect()).await.expect("enqueue");
    let taken = broker.lease(request(2, Duration::ZERO)).await.expect("lease");
    let leases: Vec<_> = taken.iter().map(|job| job.lease).collect();
    server.signal("-STOP");
    let resume = Control::Resume { queue: queue() };
    let lost = soon("all are answered", async {
        [
            broker.enqueue(vec![job(4)]).await.err(),
            broker.lease(request(1, Duration::from_secs(3600))).await.err(),
            broker.start(leases.clone()).await.err(),
            broker.renew(leases.clone(), Duration::from_secs(60)).await.err(),
            broker.settle(Vec::new()).await.err(),
            broker.evidence(Vec::new()).await.err(),
            broker.log(vec!["event".into()]).await.err(),
            broker.control(resume).await.err(),
            broker.job(leases[0].id).await.err(),
            broker.jobs(JobFilter::default(), 0, 10).await.err(),
            broker.explain(leases[0].id).await.err(),
            broker.stats().await.err(),
            broker.events(Partition::WHOLE, Cursor(0), 10, Duration::from_secs(3600)).await.err(),
            broker.acknowledge("reader", Partition::WHOLE, Cursor(0)).await.err(),
            RedisBroker::open(config).await.err(),
        ]
    })
    .await;
    assert!(lost.iter().all(|error| matches!(error, Some(BrokerError::Lost(_)))), "{lost:?}");
    server.signal("-CONT");
    soon("it is back", async {
        while broker.stats().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    done(&broker, &taken).await;
    broker.enqueue(vec![job(4)]).await.expect("enqueue");
    let stats = stats(&broker).await;
    assert_eq!((stats.accepted, stats.finished[JobState::Done as usize]), (4, 2));
}
