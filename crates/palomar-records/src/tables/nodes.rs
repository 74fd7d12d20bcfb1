//! `nodes`: the processes that share the records, each with its last sign of life. All times are the database's own, so
//! that they can be compared whatever the nodes' clocks say.

use std::time::Duration;

use palomar_model::Timestamp;

use super::{json, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Table, Value, values};

pub(crate) const NODES: Table = Table {
    name: TABLE,
    columns: &[
        text("id"),
        text("name"),
        text("role"),
        text("version"),
        text("queues"),
        int("started_at"),
        int("beat_at"),
    ],
    key: 1,
};
const TABLE: &str = "nodes";

/// One that gave no sign of life for so long is forgotten; until then it can be seen that it is gone.
const FORGET: Duration = Duration::from_secs(3600);

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// What it is called: another one after each start.
    pub id: String,
    /// What its machine is called.
    pub name: String,
    /// What it does, in a word.
    pub role: String,
    /// What it runs.
    pub version: String,
    /// The pools of queues that it works.
    pub queues: Vec<String>,
}

/// A node as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// What it says of itself.
    pub node: NodeRecord,
    /// When it gave its first sign of life.
    pub started_at: Timestamp,
    /// And its last.
    pub beat_at: Timestamp,
    /// How long that was ago when this was read.
    pub age: Duration,
}

/// Gives a sign of life of a node.
pub(crate) fn beat(db: Db<'_>, node: &NodeRecord) -> Result<()> {
    let now = db.now()?;
    let text = "INSERT INTO nodes (id, name, role, version, queues, started_at, beat_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at";
    let queues = to_json(&node.queues, TABLE)?;
    let NodeRecord { id, name, role, version, .. } = node;
    db.execute(text, &values![id.as_str(), name.as_str(), role.as_str(), version.as_str(), queues, now])?;
    db.execute("DELETE FROM nodes WHERE beat_at < $1", &values![now.before(FORGET)])?;
    Ok(())
}

/// Forgets a node that ends.
pub(crate) fn leave(db: Db<'_>, id: &str) -> Result<()> {
    db.execute("DELETE FROM nodes WHERE id = $1", &[Value::from(id)])?;
    Ok(())
}

/// All nodes, in the order in which they started.
pub(crate) fn list(db: Db<'_>) -> Result<Vec<KnownNode>> {
    let now = db.now()?;
    db.rows("SELECT * FROM nodes ORDER BY started_at, id", &[], |row| read(row, now))
}

fn read(row: &Row<'_>, now: Timestamp) -> Result<KnownNode> {
    let node = NodeRecord {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.get("role")?,
        version: row.get("version")?,
        queues: json(row, TABLE, "queues")?,
    };
    let beat_at = row.time("beat_at")?;
    Ok(KnownNode { node, started_at: row.time("started_at")?, beat_at, age: now.since(beat_at) })
}
