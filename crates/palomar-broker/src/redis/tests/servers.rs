//! Several Redis servers as one: a cluster, or a primary that a sentinel watches. The tests of the binary have them too.

use std::collections::HashMap;
use std::time::Duration;

use super::server::{Server, free_port};

const SLOTS: u16 = 16_384;
const PRIMARIES: usize = 3;
/// How long servers may take to agree: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until servers are as they must be.
pub(crate) async fn agreed(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let agreed = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, agreed).await.unwrap_or_else(|_| panic!("{what}: not in {PATIENCE:?}"));
}

/// A cluster of three primaries that share the slots.
pub(crate) struct Cluster {
    /// The primaries, and behind them a replica of each in the same order where there are replicas.
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    /// Primaries alone.
    pub(crate) async fn start(settings: &[&str]) -> Cluster {
        Cluster::of(settings, PRIMARIES).await
    }

    /// Each primary with a replica.
    pub(crate) async fn with_replicas(settings: &[&str]) -> Cluster {
        let cluster = Cluster::of(settings, 2 * PRIMARIES).await;
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.nodes[PRIMARIES..]) {
            let id: String = primary.ask(&["CLUSTER", "MYID"]).await;
            let _: () = replica.ask(&["CLUSTER", "REPLICATE", &id]).await;
        }
        for primary in &cluster.nodes[..PRIMARIES] {
            agreed("a primary has its replica", async || primary.replicas().await == 1).await;
        }
        cluster
    }

    async fn of(settings: &[&str], count: usize) -> Cluster {
        let mut nodes = Vec::new();
        for _ in 0..count {
            let bus = free_port().to_string();
            let mut all =
                vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            all.extend(settings);
            let node = Server::with(&all).await;
            nodes.push((node, bus));
        }
        let share = SLOTS / PRIMARIES as u16;
        for (n, (node, _)) in (0..).zip(&nodes[..PRIMARIES]) {
            let to = if usize::from(n) == PRIMARIES - 1 { SLOTS - 1 } else { (n + 1) * share - 1 };
            let from = (n * share).to_string();
            let _: () = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &from, &to.to_string()]).await;
        }
        for (n, (node, _)) in (1..).zip(&nodes) {
            let _: () = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &n.to_string()]).await;
        }
        for (other, bus) in &nodes[1..] {
            let port = other.port.to_string();
            let _: () = nodes[0].0.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
        }
        let cluster = Cluster { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.agrees().await;
        cluster
    }

    /// Waits until all nodes know of all slots.
    pub(crate) async fn agrees(&self) {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        for node in &self.nodes {
            agreed("the nodes find each other", async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok") && info.contains(&known)
            })
            .await;
        }
    }

    /// Addresses of all nodes, as a broker takes them.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }
}

/// A primary with replicas, and a sentinel that puts one of them in its place when it is gone.
pub(crate) struct Watched {
    /// The first is the primary at the beginning.
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinel: Server,
}

impl Watched {
    /// What the sentinel calls the primary.
    pub(crate) const NAME: &'static str = "queues";

    /// Starts so many servers, and waits until the sentinel knows them.
    pub(crate) async fn start(settings: &[&str], count: usize) -> Watched {
        let mut servers = vec![Server::with(settings).await];
        let port = servers[0].port.to_string();
        for _ in 1..count {
            servers.push(Server::with(&[settings, &["--replicaof", "127.0.0.1", &port]].concat()).await);
        }
        let name = Watched::NAME;
        let sentinel = Server::sentinel(&format!(
            "sentinel monitor {name} 127.0.0.1 {port} 1\nsentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 10000\n"
        ))
        .await;
        let watched = Watched { servers, sentinel };
        watched.is_whole().await;
        watched
    }

    /// Waits until the sentinel sees all servers at work.
    pub(crate) async fn is_whole(&self) {
        agreed("the sentinel knows of the replicas", async || {
            let known: Vec<HashMap<String, String>> =
                self.sentinel.ask(&["SENTINEL", "REPLICAS", Watched::NAME]).await;
            let is_well = |replica: &&HashMap<String, String>| {
                replica.get("master-link-status").is_some_and(|status| status == "ok")
                    && replica.get("flags").is_some_and(|flags| flags == "slave")
            };
            known.iter().filter(is_well).count() + 1 == self.servers.len()
        })
        .await;
    }

    /// Which of the servers the sentinel calls the primary.
    pub(crate) async fn primary(&self) -> usize {
        let address: Vec<String> =
            self.sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Watched::NAME]).await;
        let place = |server: &Server| address.last().is_some_and(|port| *port == server.port.to_string());
        self.servers.iter().position(place).expect("one of the servers")
    }

    /// Which of them takes the place of the primary `old`, once the sentinel has seen to it.
    pub(crate) async fn primary_after(&self, old: usize) -> usize {
        agreed("another primary", async || self.primary().await != old).await;
        self.primary().await
    }
}
