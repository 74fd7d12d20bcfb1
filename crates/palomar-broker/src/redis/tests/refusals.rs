//! Servers that can't keep what is promised are refused, each with one line that says why.

use super::Server;
use crate::broker::BrokerError;
use crate::redis::{Confirm, RedisBroker, RedisConfig, RedisServers};

/// Why a broker does not open.
async fn refusal(config: RedisConfig) -> String {
    match RedisBroker::open(config).await {
        Err(BrokerError::Failed(why) | BrokerError::Lost(why)) => {
            assert!(!why.contains('\n'), "one line: {why}");
            why.to_string()
        }
        other => panic!("it is to be refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_loses_data_is_refused() {
    let server = Server::start().await;
    let config = server.config("refused", 1);
    for (setting, bad, good, expected) in [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "maxmemory-policy allkeys-lru"),
        ("appendonly", "no", "yes", "append-only file"),
    ] {
        let _: () = server.ask(&["CONFIG", "SET", setting, bad]).await;
        let why = refusal(config.clone()).await;
        assert!(why.contains(expected) && why.contains(&server.port.to_string()), "{why}");
        RedisBroker::open(RedisConfig { allow_data_loss: true, ..config.clone() })
            .await
            .expect("it is allowed");
        let _: () = server.ask(&["CONFIG", "SET", setting, good]).await;
    }
    let synced = RedisConfig { confirm: Confirm::Synced, ..config.clone() };
    assert!(refusal(synced.clone()).await.contains("appendfsync always"));
    let _: () = server.ask(&["CONFIG", "SET", "appendfsync", "always"]).await;
    RedisBroker::open(synced).await.expect("it flushes always");
    let replicated = RedisConfig { confirm: Confirm::Replicated(1), ..config };
    assert!(refusal(replicated).await.contains("0 replicas"));
}

#[tokio::test]
async fn a_replica_is_refused() {
    let server = Server::start().await;
    // Of a primary that is not there: it is a replica all the same.
    let _: () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(refusal(server.config("replica", 1)).await.contains("read-only replica"));
}

#[tokio::test]
async fn queues_of_another_making_are_refused() {
    let server = Server::start().await;
    let config = server.config("ours", 1);
    RedisBroker::open(config.clone()).await.expect("opens").close().await;
    RedisBroker::open(config.clone()).await.expect("opens again");
    let _: () = server.ask(&["HSET", "{ours:p0}", "partitions", "4"]).await;
    assert!(refusal(config.clone()).await.contains("4 partitions"));
    let _: () = server.ask(&["HSET", "{ours:p0}", "layout", "99"]).await;
    assert!(refusal(config).await.contains("layout 99"));
    let _: () = server.ask(&["SET", "{theirs:p0}", "something else"]).await;
    assert!(refusal(server.config("theirs", 1)).await.contains("WRONGTYPE"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let mut server = Server::start().await;
    server.kill();
    let url = format!("redis://someone:secret@127.0.0.1:{}", server.port);
    let config = RedisConfig { patience: std::time::Duration::from_millis(50), ..RedisConfig::new(url, 1) };
    let why = refusal(config.clone()).await;
    assert!(why.contains(&format!("127.0.0.1:{}", server.port)) && !why.contains("secret"), "{why}");
    server.start_again().await;
    let _: () = server.ask(&["CONFIG", "SET", "requirepass", "another"]).await;
    let why = refusal(config).await;
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_without_its_password() {
    let server = Server::guarded(&["--appendfsync", "everysec"], "right").await;
    let at = format!("127.0.0.1:{}", server.port);
    let one = |url: String| RedisConfig {
        servers: RedisServers::One(url),
        patience: std::time::Duration::from_millis(200),
        ..server.config("address", 1)
    };
    RedisBroker::open(one(server.url())).await.expect("the right password");
    for (url, expected) in [
        (format!("redis://:wrong@{at}"), "password"),
        (format!("redis://nobody:wrong@{at}"), "password"),
        (format!("redis://{at}"), "password"),
        (format!("redis://:right@{at}/99"), "database"),
        (format!("postgres://:right@{at}"), "not the address of a Redis"),
    ] {
        let why = refusal(one(url.clone())).await;
        assert!(why.contains(expected) && why.contains(&at), "{url}: {why}");
        assert!(!why.contains("wrong") && !why.contains("right"), "{why}");
    }
    let servers = RedisServers::Cluster(vec![server.url()]);
    let why = refusal(RedisConfig { servers, ..one(server.url()) }).await;
    assert!(why.contains("cluster") && why.contains(&at) && !why.contains("right"), "{why}");
}
