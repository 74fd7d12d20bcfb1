//! A Redis Cluster of three primaries: the contract over several partitions, slots that move, a primary that dies.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{ManualClock, MessageId};

use super::conformance::walk_seeds;
use super::flow::Flow;
use super::server::Server;
use super::servers::{Cluster, agreed};
use super::soon;
use crate::broker::Broker;
use crate::conformance;
use crate::redis::{Confirm, RedisBroker, RedisConfig, RedisServers};
use crate::types::{LeaseRequest, NewJob, QueueName};

impl Cluster {
    fn config(&self, name: &str, process: u64, partitions: u16) -> RedisConfig {
        // One that leads to the others is enough.
        let servers = RedisServers::Cluster(vec![self.nodes[0].url()]);
        RedisConfig { servers, partitions, ..self.nodes[0].config(name, process) }
    }

    /// The node that has a partition of this prefix, by its place.
    async fn place_of(&self, key: &str) -> (u16, usize) {
        let slot: u16 = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await;
        for (n, node) in self.nodes.iter().enumerate() {
            let own: String = node.ask(&["CLUSTER", "NODES"]).await;
            let line = own.lines().find(|line| line.contains("myself")).expect("its own line");
            let has = line.split(' ').skip(8).any(|range| match range.split_once('-') {
                _ if range.starts_with('[') => false,
                Some((from, to)) => (from.parse().unwrap_or(0)..=to.parse().unwrap_or(0)).contains(&slot),
                None => range.parse() == Ok(slot),
            });
            if has {
                return (slot, n);
            }
        }
        panic!("slot {slot} is nobody's");
    }

    /// Moves a key's slot to another node, key by key, as `redis-cli --cluster reshard` does. Between the keys others
    /// have their turn.
    async fn move_slot(&self, key: &str) {
        let (slot, from) = self.place_of(key).await;
        let to = (from + 1) % 3;
        let slot = slot.to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let ids: [String; 2] =
            [source.ask(&["CLUSTER", "MYID"]).await, target.ask(&["CLUSTER", "MYID"]).await];
        let _: () = target.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]).await;
        let _: () = source.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]).await;
        let port = target.port.to_string();
        loop {
            let keys: Vec<String> = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]).await;
            let Some(key) = keys.first() else { break };
            let _: () = source.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for node in [target, source, &self.nodes[(from + 2) % 3]] {
            let _: () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]).await;
        }
    }
}

#[tokio::test]
async fn keeps_the_contract_over_several_partitions() {
    let cluster = Cluster::start(&["--appendfsync", "everysec"]).await;
    let cases = std::sync::atomic::AtomicU64::new(0);
    conformance::exercise(async |clock: Arc<ManualClock>| {
        let n = cases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let config =
            RedisConfig { readers: vec!["case".into()], ..cluster.config(&format!("case-{n}"), n, 3) };
        let broker = RedisBroker::open_with_clock(config, clock).await.expect("opens");
        Arc::new(broker) as Arc<dyn Broker>
    })
    .await;
}

/// Each partition is a machine of its own.
#[tokio::test]
async fn each_partition_answers_as_the_reference_does() {
    let cluster = Cluster::start(&["--appendfsync", "everysec"]).await;
    let clock = Arc::new(conformance::clock());
    let config = RedisConfig { readers: vec!["walk".into()], ..cluster.config("walk", 1, 6) };
    let broker = RedisBroker::open_with_clock(config, Arc::clone(&clock) as _).await.expect("opens");
    let mut places = std::collections::HashSet::new();
    for (n, seed) in (0..).zip(walk_seeds([11, 12, 13, 14, 15])) {
        places.insert(cluster.place_of(&format!("{{walk:p{n}}}")).await.1);
        let partition: Arc<dyn Broker> = Arc::clone(&broker.partitions[n]) as _;
        conformance::side_by_side(&partition, &clock, seed, 2_500).await;
    }
    assert_eq!(places.len(), 3, "every primary had its share");
}

#[tokio::test]
async fn slots_move_under_load_and_nothing_is_lost_or_done_twice() {
    let cluster = Cluster::start(&["--appendfsync", "everysec"]).await;
    let broker = Arc::new(RedisBroker::open(cluster.config("moved", 1, 3)).await.expect("opens"));
    let flow = Flow::start(Arc::clone(&broker), 3_000);
    for n in 0..3 {
        flow.moves_on().await;
        cluster.move_slot(&format!("{{moved:p{n}}}")).await;
    }
    flow.ends().await;
}

#[tokio::test]
async fn a_primary_that_is_killed_holds_up_its_own_partitions_only() {
    let mut cluster =
        Cluster::start(&["--appendfsync", "always", "--cluster-require-full-coverage", "no"]).await;
    let config = RedisConfig { confirm: Confirm::Synced, ..cluster.config("killed", 1, 6) };
    let broker = Arc::new(RedisBroker::open(config).await.expect("opens"));
    let flow = Flow::start(Arc::clone(&broker), 3_000);
    for n in 0..3 {
        flow.moves_on().await;
        cluster.nodes[n].kill();
        // The others go on.
        flow.moves_on().await;
        cluster.nodes[n].start_again().await;
    }
    flow.ends().await;
}

const REPLICATED: [&str; 6] =
    ["--appendfsync", "everysec", "--repl-diskless-sync-delay", "0", "--cluster-require-full-coverage", "no"];

/// Waits until a replica has taken its primary's place.
async fn takes_over(replica: &Server) {
    agreed("the replica takes over", async || {
        let role: String = replica.ask(&["INFO", "replication"]).await;
        role.contains("role:master")
    })
    .await;
}

#[tokio::test]
async fn a_primary_that_dies_is_followed_to_its_replica() {
    let mut cluster = Cluster::with_replicas(&REPLICATED).await;
    let config = RedisConfig { confirm: Confirm::Replicated(1), ..cluster.config("followed", 1, 6) };
    let broker = Arc::new(RedisBroker::open(config).await.expect("opens"));
    let flow = Flow::start(Arc::clone(&broker), 3_000);
    for (old, new) in [(0, 3), (1, 4), (2, 5)] {
        flow.moves_on().await;
        cluster.nodes[old].kill();
        takes_over(&cluster.nodes[new]).await;
        // Until it has a replica again, nothing of its partitions is confirmed.
        cluster.nodes[old].start_again().await;
    }
    flow.ends().await;
}

/// What is said is heard although the one node that was configured is gone.
#[tokio::test]
async fn words_are_heard_from_whichever_node_is_left() {
    let mut cluster = Cluster::with_replicas(&REPLICATED).await;
    let one = RedisBroker::open(cluster.config("heard", 1, 1)).await.expect("opens");
    let other = RedisBroker::open(cluster.config("heard", 2, 1)).await.expect("opens");
    cluster.nodes[0].kill();
    takes_over(&cluster.nodes[3]).await;
    soon("each job wakes the other process", async {
        for n in 1..=20 {
            let request = LeaseRequest {
                pool: "outbound".into(),
                max: 5,
                lease: Duration::from_secs(60),
                start: true,
                wait: Duration::from_secs(3600),
            };
            let job = NewJob::new(
                MessageId(uuid::Uuid::from_u128(n)),
                QueueName::new("outbound", "line").expect("a queue's name"),
                "payload",
            );
            // The one waits by then, or will find it; deaf, it would look by itself every ten seconds.
            let (leased, accepted) = tokio::join!(one.lease(request), async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                other.enqueue(vec![job]).await
            });
            assert_eq!((leased.expect("lease").len(), accepted.is_ok()), (1, true));
        }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_with_slots_that_nobody_has_is_refused() {
    let cluster = Cluster::start(&["--appendfsync", "everysec"]).await;
    let (slot, place) = cluster.place_of("{gap:p0}").await;
    let _: () = cluster.nodes[place].ask(&["CLUSTER", "DELSLOTS", &slot.to_string()]).await;
    let config = RedisConfig { patience: Duration::from_secs(1), ..cluster.config("gap", 1, 1) };
    let why = RedisBroker::open(config).await.expect_err("a gap").to_string();
    assert!(why.contains(&cluster.nodes[0].port.to_string()) && !why.contains('\n'), "{why}");
}
