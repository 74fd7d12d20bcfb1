//! Brings a database's schema up to what this version knows: forward only, one transaction a step.
//!
//! A step is a file of `migrations/sqlite/`, numbered, with a header that says why. One that was released is never
//! changed again.

use std::path::Path;

use palomar_model::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::{RecordsError, Result};

/// All steps, in order: the first has number 1.
const STEPS: &[(&str, &str)] = &[
    ("0001_messages", include_str!("../../migrations/sqlite/0001_messages.sql")),
    ("0002_retries", include_str!("../../migrations/sqlite/0002_retries.sql")),
];

/// The newest schema.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(crate) const KNOWN_SCHEMA: i64 = STEPS.len() as i64;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_steps (
    step BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// The schema that a database has; 0 for none.
pub(crate) fn schema(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT COALESCE(MAX(step), 0) FROM schema_steps", [], |row| row.get(0))?)
}

/// Applies the steps that are missing.
pub(super) fn run(connection: &mut Connection, path: &Path, now: Timestamp) -> Result<()> {
    connection.execute_batch(TABLE)?;
    let found = schema(connection)?;
    if found > KNOWN_SCHEMA {
        return Err(RecordsError::NewerSchema { path: path.to_owned(), found, known: KNOWN_SCHEMA });
    }
    for (number, (name, sql)) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction
            .execute("INSERT INTO schema_steps VALUES (?1, ?2, ?3)", params![number, name, now.micros()])?;
        transaction.commit()?;
        tracing::info!(step = name, "records: schema brought up to date");
    }
    Ok(())
}
