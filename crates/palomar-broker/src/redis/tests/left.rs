//! What a call leaves loaded for the next one is not used where something else was written in between.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::MessageId;

use super::Server;
use crate::broker::Broker;
use crate::redis::call::Call;
use crate::redis::library::Library;
use crate::redis::{RedisBroker, request};
use crate::types::{LeaseRequest, Limits, NewJob, QueueName};

fn job(n: u128, payload: &'static str) -> NewJob {
    let queue = QueueName::new("outbound", "line").expect("a queue's name");
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue, payload)
}

/// Leases all that waits: numbers and payloads.
async fn taken(broker: &RedisBroker) -> Vec<(u128, String)> {
    taken_up_to(10, broker).await
}

async fn taken_up_to(max: usize, broker: &RedisBroker) -> Vec<(u128, String)> {
    let request = LeaseRequest {
        pool: "outbound".into(),
        max,
        lease: Duration::from_secs(60),
        start: true,
        wait: Duration::ZERO,
    };
    let leased = broker.lease(request).await.expect("leases");
    leased
        .into_iter()
        .map(|job| (job.lease.id.0.as_u128(), String::from_utf8_lossy(&job.payload).into_owned()))
        .collect()
}

#[tokio::test]
async fn keys_that_were_removed_are_not_remembered() {
    let server = Server::start().await;
    let config = server.config("left", 1);
    let broker = RedisBroker::open(config.clone()).await.expect("opens");
    broker.enqueue(vec![job(1, "before"), job(2, "before")]).await.expect("accepted");
    let _: () = server.ask(&["FLUSHALL"]).await;
    // The same numbers are given to other jobs, one of them with an id that was there before.
    let broker = RedisBroker::open(config).await.expect("opens again");
    broker.enqueue(vec![job(9, "after"), job(2, "after")]).await.expect("accepted");
    assert_eq!(taken(&broker).await, [(9, "after".to_owned()), (2, "after".to_owned())]);
}

#[tokio::test]
async fn an_older_state_that_comes_back_is_read_anew() {
    let server = Server::start().await;
    let broker = RedisBroker::open(server.config("older", 1)).await.expect("opens");
    broker.enqueue(vec![job(1, "one"), job(2, "two")]).await.expect("accepted");
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    for key in &keys {
        let _: u8 = server.ask(&["COPY", key, key, "DB", "1"]).await;
    }
    assert_eq!(taken(&broker).await.len(), 2);
    // As on a replica that had not seen the lease, and is the primary now.
    let _: () = server.ask(&["FLUSHDB"]).await;
    let _: () = server.ask(&["SWAPDB", "0", "1"]).await;
    assert_eq!(taken(&broker).await, [(1, "one".to_owned()), (2, "two".to_owned())]);
}

/// Another library on the same server, as that of another version: it does a lease, which counts nothing, at a time that
/// stands still.
#[tokio::test]
async fn what_another_library_wrote_in_the_same_moment_is_read_anew() {
    let server = Server::start().await;
    let clock = Arc::new(crate::conformance::clock());
    let config = server.config("others", 1);
    let broker = RedisBroker::open_with_clock(config, Arc::clone(&clock) as _).await.expect("opens");
    broker.enqueue(vec![job(1, "one"), job(2, "two"), job(3, "three")]).await.expect("accepted");
    // Something is due by now, and the other lease will not be due before it.
    assert_eq!(taken_up_to(1, &broker).await, [(1, "one".to_owned())]);
    let library = Library::new();
    let text = library.text.replace(&library.call, "palomar_other");
    let _: String = server.ask(&["FUNCTION", "LOAD", &text]).await;
    let other = Library { call: "palomar_other".into(), spare: "palomar_other_spare".into(), ..library };
    let terms = &broker.partitions[0].terms;
    let call = Call { terms, caller: 99_u64.to_be_bytes(), number: 1, is_remembered: true };
    let lease = request::lease("outbound", 1, Duration::from_secs(60), false, false);
    let command = call.command(&other, &request::limits_packed(&Limits::default()), &[], &[lease]);
    let answer: Vec<Vec<u8>> = server.send(&command).await;
    assert_eq!(answer.len(), 3, "a head, one answer, one record");
    assert_eq!(taken(&broker).await, [(3, "three".to_owned())]);
}
