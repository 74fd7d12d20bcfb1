//! `cursors`: how far each projection's rows reach.

use palomar_model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{count, sql};
use crate::error::Result;

/// Where a projection stands; 0 before its first fact.
pub(crate) fn get(connection: &Connection, projection: &str) -> Result<u64> {
    let mut statement = connection.prepare_cached("SELECT cursor FROM cursors WHERE projection = ?1")?;
    let found = statement.query_row([projection], |row| Ok(count(row, 0))).optional()?;
    found.transpose().map(|cursor| cursor.unwrap_or(0))
}

/// Moves a projection's cursor.
pub(crate) fn set(connection: &Connection, projection: &str, cursor: u64, now: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO cursors (projection, cursor, at) VALUES (?1, ?2, ?3)
         ON CONFLICT (projection) DO UPDATE SET cursor = excluded.cursor, at = excluded.at",
    )?;
    statement.execute(params![projection, sql(cursor), now.micros()])?;
    Ok(())
}
