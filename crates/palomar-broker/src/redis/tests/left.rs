//! What a call leaves loaded for the next one is not used where something else was written in between.

use std::time::Duration;

use palomar_model::MessageId;

use super::Server;
use crate::broker::Broker;
use crate::redis::RedisBroker;
use crate::types::{LeaseRequest, NewJob, QueueName};

fn job(n: u128, payload: &'static str) -> NewJob {
    let queue = QueueName::new("outbound", "line").expect("a queue's name");
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue, payload)
}

/// Leases all that waits: numbers and payloads.
async fn taken(broker: &RedisBroker) -> Vec<(u128, String)> {
    let request = LeaseRequest {
        pool: "outbound".into(),
        max: 10,
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
