//! Queues in Redis are looked at without a change.

use palomar_model::MessageId;

use super::Server;
use crate::broker::{Broker, BrokerError};
use crate::redis::{RedisBroker, RedisConfig, redis_info};
use crate::types::{NewJob, QueueName};

#[tokio::test]
async fn queues_are_told_in_numbers() {
    let server = Server::guarded(&["--appendfsync", "everysec"], "right").await;
    let config = RedisConfig { partitions: 4, ..server.config("told", 1) };
    let told = redis_info(&config).await.expect("told");
    assert!(told.partitions.is_empty() && told.engine.starts_with("Redis 7"), "{told:?}");
    assert!(!format!("{told:?}").contains("right"), "{told:?}");
    let keys: usize = server.ask(&["DBSIZE"]).await;
    assert_eq!(keys, 0, "nothing is made");

    let broker = RedisBroker::open(config.clone()).await.expect("opens");
    let job = |n: u128| {
        let queue = QueueName::new("outbound", &format!("line-{n}")).expect("a queue's name");
        NewJob::new(MessageId(uuid::Uuid::from_u128(n)), queue, "hola")
    };
    broker.enqueue((1..=20).map(job).collect()).await.expect("accepted");
    // Whoever looks need not know how many there are.
    let told = redis_info(&RedisConfig { partitions: 1, ..config }).await.expect("told");
    assert_eq!(told.partitions.len(), 4, "{told:?}");
    assert_eq!(told.partitions.iter().map(|partition| partition.jobs).sum::<u64>(), 20);
    assert_eq!(told.partitions.iter().map(|partition| partition.log_end).sum::<u64>(), 20);
    assert_eq!((&*told.prefix, told.servers), ("told", format!("127.0.0.1:{}", server.port)));
}

#[tokio::test]
async fn what_belongs_to_others_is_not_told_of() {
    let server = Server::start().await;
    let config = server.config("theirs", 1);
    let refused = async |expected: &str| match redis_info(&config).await {
        Err(BrokerError::Failed(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("it is to be refused: {other:?}"),
    };
    let _: () = server.ask(&["HSET", "{theirs:p0}", "layout", "1", "partitions", "1"]).await;
    refused("belong to something else").await;
    let _: () = server.ask(&["HSET", "{theirs:p0}", "layout", "99"]).await;
    refused("layout 99").await;
    let _: () = server.ask(&["SET", "{theirs:p0}", "something else"]).await;
    refused("WRONGTYPE").await;
}
