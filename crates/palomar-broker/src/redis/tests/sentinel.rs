//! Sentinels: the primary is found by its name, and followed when it is another one.

use std::sync::Arc;

use super::flow::Flow;
use super::server::Server;
use super::servers::Watched;
use crate::redis::{Confirm, RedisBroker, RedisConfig, RedisServers};

#[tokio::test]
async fn a_primary_that_dies_is_followed_to_the_replica_that_takes_its_place() {
    let mut watched = Watched::start(&["--appendfsync", "everysec"], 3).await;
    let servers =
        RedisServers::Sentinels { urls: vec![watched.sentinel.url()], primary: Watched::NAME.into() };
    let config =
        RedisConfig { servers, confirm: Confirm::Replicated(1), ..watched.servers[0].config("followed", 1) };
    let broker = Arc::new(RedisBroker::open(config).await.expect("opens"));
    let flow = Flow::start(Arc::clone(&broker), 3_000);
    flow.moves_on().await;
    watched.servers[0].kill();
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
