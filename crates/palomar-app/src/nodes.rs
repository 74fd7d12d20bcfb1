//! The processes that share the stores: each gives a sign of life, and knows those of the others.
//!
//! What is told of them comes from memory, and grows old there: a database that is away keeps nobody from seeing how long
//! ago a node was heard of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_model::Timestamp;
use palomar_records::{KnownNode, NodeRecord, Records};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::campaigns::CAMPAIGNS;
use crate::hooks::HOOKS;
use crate::queues::{INBOUND, MEDIA, OUTBOUND};

/// How often a sign of life is given.
const BEAT: Duration = Duration::from_secs(5);

/// What a process does. Each serves the API, takes webhooks in, and follows the event log where it has the right to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Everything.
    #[default]
    All,
    /// It accepts, and starts nothing: for the people's side of a proxy.
    Api,
    /// It works the queues.
    Worker,
    /// It accepts, and starts nothing: for the providers' side of a proxy.
    Intake,
}

impl NodeRole {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeRole::All => "all",
            NodeRole::Api => "api",
            NodeRole::Worker => "worker",
            NodeRole::Intake => "intake",
        }
    }

    /// The pools of queues that it works.
    pub(crate) const fn pools(self) -> &'static [&'static str] {
        match self {
            NodeRole::All | NodeRole::Worker => &[OUTBOUND, INBOUND, MEDIA, CAMPAIGNS, HOOKS],
            NodeRole::Api | NodeRole::Intake => &[],
        }
    }
}

/// A node as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// What it is called: another one after each start.
    pub id: String,
    /// What its machine is called.
    pub name: String,
    /// What it does: `all`, `api`, `worker` or `intake`.
    pub role: String,
    /// What it runs.
    pub version: String,
    /// The pools of queues that it works.
    pub queues: Vec<String>,
    /// When it started, by the database's clock.
    pub started_at: Timestamp,
    /// Its last sign of life, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// How long that is ago.
    pub heartbeat_age_seconds: f64,
    /// Whether it is the one that answers.
    pub answers: bool,
}

/// The nodes as this one knows them.
pub(crate) struct Nodes {
    records: Records,
    own: NodeRecord,
    heard: Mutex<Heard>,
}

struct Heard {
    nodes: Vec<KnownNode>,
    at: Instant,
    /// When each pool was last known to be worked.
    worked: BTreeMap<&'static str, Instant>,
}

impl Nodes {
    pub(crate) fn new(records: Records, id: &str, name: &str, role: NodeRole) -> Nodes {
        let own = NodeRecord {
            id: id.to_owned(),
            name: name.to_owned(),
            role: role.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: role.pools().iter().map(|pool| (*pool).to_owned()).collect(),
        };
        let at = Instant::now();
        let worked = role.pools().iter().map(|pool| (*pool, at)).collect();
        Nodes { records, own, heard: Mutex::new(Heard { nodes: Vec::new(), at, worked }) }
    }

    /// Gives signs of life until it is told to stop; then says that this node is no more.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => self.beat().await,
                () = stop.cancelled() => break,
            }
        }
        if let Err(error) = self.records.node_left(&self.own.id).await {
            tracing::debug!(%error, "that this node ends was not written down");
        }
    }

    pub(crate) async fn beat(&self) {
        match self.records.node_beat(self.own.clone()).await {
            Ok(nodes) => self.hear(nodes),
            Err(error) => tracing::debug!(%error, "no sign of life could be given"),
        }
    }

    fn hear(&self, nodes: Vec<KnownNode>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.at = Instant::now();
        for pool in [OUTBOUND, INBOUND, MEDIA, CAMPAIGNS] {
            let of_pool = nodes.iter().filter(|known| known.node.queues.iter().any(|queue| queue == pool));
            if let Some(age) = of_pool.map(|known| known.age).min() {
                let worked = heard.at.checked_sub(age).unwrap_or(heard.at);
                heard.worked.insert(pool, worked);
            }
        }
        heard.nodes = nodes;
    }

    /// All nodes.
    pub(crate) fn view(&self) -> Vec<NodeView> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let since = heard.at.elapsed();
        let view = |known: &KnownNode| NodeView {
            answers: known.node.id == self.own.id,
            id: known.node.id.clone(),
            name: known.node.name.clone(),
            role: known.node.role.clone(),
            version: known.node.version.clone(),
            queues: known.node.queues.clone(),
            started_at: known.started_at,
            heartbeat_at: known.beat_at,
            heartbeat_age_seconds: (known.age + since).as_secs_f64(),
        };
        heard.nodes.iter().map(view).collect()
    }

    /// For each pool how long ago a node that works it gave a sign of life.
    pub(crate) fn heartbeat_ages(&self) -> Vec<(&'static str, Duration)> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.worked.iter().map(|(pool, at)| (*pool, at.elapsed())).collect()
    }
}
