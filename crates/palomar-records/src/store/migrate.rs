//! Brings a database's schema up to what this version knows: forward only, all that is missing in one transaction.
//!
//! A step is a file of `migrations/`, numbered, with a header that says why. One that was released is never changed
//! again. The text is SQLite's, of which PostgreSQL differs in three words.

use palomar_model::Timestamp;

use super::{Db, values};
use crate::error::{RecordsError, Result};

/// All steps, in order: the first has number 1.
const STEPS: &[(&str, &str)] = &[
    ("0001_messages", include_str!("../../migrations/0001_messages.sql")),
    ("0002_retries", include_str!("../../migrations/0002_retries.sql")),
    ("0003_partitions", include_str!("../../migrations/0003_partitions.sql")),
    ("0004_nodes", include_str!("../../migrations/0004_nodes.sql")),
    ("0005_conversations", include_str!("../../migrations/0005_conversations.sql")),
    ("0006_media", include_str!("../../migrations/0006_media.sql")),
    ("0007_audience", include_str!("../../migrations/0007_audience.sql")),
    ("0008_campaigns", include_str!("../../migrations/0008_campaigns.sql")),
    ("0009_campaign_pace", include_str!("../../migrations/0009_campaign_pace.sql")),
    ("0010_media_places", include_str!("../../migrations/0010_media_places.sql")),
    ("0011_sessions", include_str!("../../migrations/0011_sessions.sql")),
    ("0012_alerts", include_str!("../../migrations/0012_alerts.sql")),
    ("0013_analytics", include_str!("../../migrations/0013_analytics.sql")),
    ("0014_campaign_places", include_str!("../../migrations/0014_campaign_places.sql")),
    ("0015_campaigns", include_str!("../../migrations/0015_campaigns.sql")),
    ("0016_reports", include_str!("../../migrations/0016_reports.sql")),
    ("0017_analytics_kept", include_str!("../../migrations/0017_analytics_kept.sql")),
    ("0018_send_jobs", include_str!("../../migrations/0018_send_jobs.sql")),
];

/// The newest schema.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(crate) const KNOWN_SCHEMA: i64 = STEPS.len() as i64;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_steps (
    step BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// The schema of a database, and what this version would make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// What it has; 0 where it has none yet.
    pub found: i64,
    /// What this version knows.
    pub known: i64,
    /// The steps that it lacks, by name.
    pub missing: Vec<&'static str>,
}

/// The schema that a database has.
pub(crate) fn look(db: Db<'_>) -> Result<Schema> {
    let found = if db.has_table("schema_steps")? {
        let found = db.row("SELECT MAX(step) AS step FROM schema_steps", &[], |row| row.get("step"))?;
        found.flatten().unwrap_or(0)
    } else {
        0
    };
    let missing = (1..).zip(STEPS).filter(|(number, _)| *number > found).map(|(_, (name, _))| *name);
    Ok(Schema { found, known: KNOWN_SCHEMA, missing: missing.collect() })
}

/// Applies the steps that are missing, in the transaction at hand; what was found before. `place` is named where the
/// schema is newer than this version.
pub(crate) fn run(db: Db<'_>, place: &str, now: Timestamp) -> Result<Schema> {
    db.batch(&dialect(db, TABLE))?;
    let schema = look(db)?;
    let found = schema.found;
    if found > KNOWN_SCHEMA {
        return Err(RecordsError::NewerSchema { place: place.into(), found, known: KNOWN_SCHEMA });
    }
    for (number, (name, sql)) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
        db.batch(&dialect(db, sql))?;
        db.execute("INSERT INTO schema_steps VALUES ($1, $2, $3)", &values![number, *name, now])?;
        tracing::info!(step = name, "records: schema brought up to date");
    }
    Ok(schema)
}

/// A step as the engine reads it. Texts are compared by their bytes on both, whatever the database's language is.
fn dialect(db: Db<'_>, sql: &str) -> String {
    match db {
        Db::Sqlite(_) => sql.to_owned(),
        Db::Postgres(_) => {
            sql.replace(" WITHOUT ROWID", "").replace("TEXT", "TEXT COLLATE \"C\"").replace("BLOB", "BYTEA")
        }
    }
}
