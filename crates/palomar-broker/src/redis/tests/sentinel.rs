//! Sentinels: the primary is found by its name, and followed when it is another one.

use std::sync::Arc;
use std::time::Duration;

use super::flow::Flow;
use super::server::Server;
use super::soon;
use crate::redis::{Confirm, RedisBroker, RedisConfig, RedisServers};

#[tokio::test]
async fn a_primary_that_dies_is_followed_to_the_replica_that_takes_its_place() {
    let mut primary = Server::with(&["--appendfsync", "everysec"]).await;
    let port = primary.port.to_string();
    let replicated = ["--appendfsync", "everysec", "--replicaof", "127.0.0.1", &port];
    let _replicas = [Server::with(&replicated).await, Server::with(&replicated).await];
    let sentinel = Server::sentinel(&format!(
        "sentinel monitor queues 127.0.0.1 {port} 1\nsentinel down-after-milliseconds queues 1000\n\
         sentinel failover-timeout queues 10000\n"
    ))
    .await;
    soon("the sentinel knows of the replicas", async {
        loop {
            let known: Vec<std::collections::HashMap<String, String>> =
                sentinel.ask(&["SENTINEL", "REPLICAS", "queues"]).await;
            let well = |replica: &std::collections::HashMap<String, String>| {
                replica.get("master-link-status").is_some_and(|status| status == "ok")
            };
            if known.len() == 2 && known.iter().all(well) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let servers = RedisServers::Sentinels { urls: vec![sentinel.url()], primary: "queues".into() };
    let config = RedisConfig { servers, confirm: Confirm::Replicated(1), ..primary.config("followed", 1) };
    let broker = Arc::new(RedisBroker::open(config).await.expect("opens"));
    let flow = Flow::start(Arc::clone(&broker), 3_000);
    flow.moves_on().await;
    primary.kill();
    flow.moves_on().await;
    flow.ends().await;
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_refused() {
    let sentinel = Server::sentinel("").await;
    let servers = RedisServers::Sentinels { urls: vec![sentinel.url()], primary: "queues".into() };
    let why = RedisBroker::open(RedisConfig { servers, ..sentinel.config("unknown", 1) }).await;
    let why = why.expect_err("nobody knows it").to_string();
    assert!(why.contains(&sentinel.port.to_string()), "{why}");
}
