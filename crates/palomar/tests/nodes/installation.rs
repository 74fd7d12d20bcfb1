//! Several nodes on one Redis and one PostgreSQL, lines on simulated providers, and what the records say of them.

use std::collections::{BTreeMap, HashSet};

use palomar_model::Timestamp;
use palomar_sim::cloud_api::{Config, RunningSim};
use serde_json::Value;

use crate::callers::{never_taken, try_again};
use crate::harness::{Server, Settings, simulator, until};
use crate::postgres;

/// A channel, and the provider that it sends through.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) sim: RunningSim,
}

/// Nodes that share their stores.
pub(crate) struct Installation {
    pub(crate) nodes: Vec<Server>,
    database: String,
}

/// Where Redis is, for a node.
pub(crate) fn redis(urls: &[String]) -> Settings {
    vec![("PALOMAR__BROKER__REDIS", urls.join(","))]
}

impl Installation {
    /// So many nodes, on a new database of the server that tests share.
    pub(crate) async fn start(count: usize, settings: Settings) -> Installation {
        let database = postgres::database(postgres::shared_port()).await;
        Installation::at(count, database, settings).await
    }

    /// So many nodes on a database.
    pub(crate) async fn at(count: usize, database: String, settings: Settings) -> Installation {
        let common =
            [("PALOMAR__RECORDS__URL", database.clone()), ("PALOMAR__DEMO__ENABLED", "false".into())];
        let mut nodes = vec![Server::with(common.into_iter().chain(settings).collect()).await];
        for _ in 1..count {
            nodes.push(nodes[0].beside().await);
        }
        Installation { nodes, database }
    }

    /// Makes a line; its provider reports to the nodes in turn.
    pub(crate) async fn line(&self, name: &'static str, config: Config, limits: Value) -> Line {
        let sim = simulator(config).await;
        self.nodes[0].channel(name, &sim, limits).await;
        Line { name, sim }
    }

    /// From now on a provider reports to this node.
    pub(crate) fn reports_to(&self, line: &Line, node: usize) {
        let url = format!("http://{}/webhooks/{}", self.nodes[node].address, line.name);
        line.sim.set_webhook_url(Some(&url));
    }

    async fn rows(&self, sql: &str) -> Vec<tokio_postgres::Row> {
        postgres::connect(&self.database).await.query(sql, &[]).await.expect("rows")
    }

    /// How many messages have each status.
    pub(crate) async fn statuses(&self) -> BTreeMap<String, i64> {
        let rows = self.rows("SELECT status, count(*) FROM messages GROUP BY status").await;
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The journals of a few messages that are not read yet.
    async fn open(&self) -> Vec<String> {
        let sql = "SELECT message_id, at, kind, detail FROM journal WHERE message_id IN \
            (SELECT id FROM messages WHERE status <> 'read' ORDER BY id LIMIT 5) ORDER BY message_id, at";
        let line = |row: &tokio_postgres::Row| {
            let (id, at): (String, i64) = (row.get(0), row.get(1));
            let (kind, data): (String, String) = (row.get(2), row.get(3));
            format!("{id} {} {kind} {data}", Timestamp::from_micros(at))
        };
        self.rows(sql).await.iter().map(line).collect()
    }

    /// When facts of a kind happened, in order; of one channel, or of all.
    pub(crate) async fn times(&self, kind: &str, channel: Option<&str>) -> Vec<Timestamp> {
        let of = channel.map_or_else(String::new, |channel| format!(" AND channel = '{channel}'"));
        let sql = format!("SELECT at FROM journal WHERE kind = '{kind}'{of} ORDER BY at, seq");
        self.rows(&sql).await.iter().map(|row| Timestamp::from_micros(row.get(0))).collect()
    }

    /// Waits until all messages that were accepted are read, with a person's help for those of which nobody else can
    /// know that they were never sent; how many those were. None was sent twice, and records are whole.
    pub(crate) async fn ends(&self, accepted: &HashSet<String>, lines: &[Line]) -> usize {
        let mut unsent = 0;
        for line in lines {
            let unknown = never_taken(&self.nodes[0], line.name, &line.sim).await;
            try_again(&self.nodes[0], &unknown).await;
            unsent += unknown.len();
        }
        until("all messages are read", || async {
            let statuses = self.statuses().await;
            let read = statuses.get("read").is_some_and(|read| *read as usize == accepted.len());
            if read && statuses.len() == 1 {
                return Ok(());
            }
            let told: Vec<_> = lines.iter().map(|line| line.sim.stats().webhooks).collect();
            let open = self.open().await;
            let stats = self.nodes[0].get("/api/queue-monitor/stats").await;
            Err(format!("{statuses:?}; {told:?}; {}; {open:#?}", stats["queues"]))
        })
        .await;
        let mut taken = HashSet::new();
        for Line { name, sim } in lines {
            let duplicates = sim.duplicates();
            assert!(duplicates.is_empty(), "{name} sent twice: {duplicates:?}");
            let tags = sim.ledger(0, sim.accepted()).into_iter().filter_map(|entry| entry.tag);
            taken.extend(tags.filter_map(|tag| tag.split(':').nth(1).map(str::to_owned)));
        }
        assert_eq!(taken.difference(accepted).count(), 0, "what was sent had been accepted");
        assert_eq!(accepted.difference(&taken).count(), 0, "what was accepted was sent");
        self.records_add_up().await;
        unsent
    }

    /// `palomar store check --records`: what is counted is what a recount counts.
    pub(crate) async fn records_add_up(&self) {
        let checked = self.nodes[0].output(&["store", "check", "--records"]).await;
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The most times within any span of so many seconds.
pub(crate) fn most_within(seconds: u64, times: &[Timestamp]) -> usize {
    let (mut from, mut most) = (0, 0);
    for (to, time) in times.iter().enumerate() {
        while time.since(times[from]).as_secs() >= seconds {
            from += 1;
        }
        most = most.max(to - from + 1);
    }
    most
}
