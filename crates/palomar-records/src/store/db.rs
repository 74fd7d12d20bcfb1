//! A transaction on either engine, and the few ways to run SQL in it. The text is the same for both: `$1`, `$2`, …
//! stand for values.
//!
//! What concerns many rows is one statement a row on SQLite, where a statement costs a microsecond, and one statement
//! for all on PostgreSQL, where it costs a round trip.

use palomar_model::Timestamp;

use super::postgres::Session;
use super::sqlite;
use super::table::{self, Rows, Write};
use super::{Row, Value};
use crate::error::Result;

/// Where a query speaks of the rows that are wanted: `SELECT … FROM {wanted} JOIN … ON x = wanted.x`.
const WANTED: &str = "{wanted}";

/// A transaction.
#[derive(Clone, Copy)]
pub(crate) enum Db<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c Session),
}

impl Db<'_> {
    /// Runs statements that take no values.
    pub(crate) fn batch(&self, text: &str) -> Result<()> {
        match self {
            Db::Sqlite(connection) => Ok(connection.execute_batch(text)?),
            Db::Postgres(session) => session.batch(text),
        }
    }

    /// The present by the database's own clock: the same for all nodes that share a server.
    pub(crate) fn now(&self) -> Result<Timestamp> {
        let text = match self {
            Db::Sqlite(_) => "SELECT CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) AS now",
            Db::Postgres(_) => {
                "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now"
            }
        };
        Ok(self.row(text, &[], |row| row.time("now"))?.unwrap_or(Timestamp::EPOCH))
    }

    /// Whether there is a table of this name.
    pub(crate) fn has_table(&self, name: &str) -> Result<bool> {
        let text = match self {
            Db::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1",
            Db::Postgres(_) => "SELECT to_regclass($1)::text AS name WHERE to_regclass($1) IS NOT NULL",
        };
        Ok(self.row(text, &[Value::from(name)], |_| Ok(()))?.is_some())
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) fn execute(&self, text: &str, values: &[Value]) -> Result<u64> {
        match self {
            Db::Sqlite(connection) => sqlite::execute(connection, text, values),
            Db::Postgres(session) => session.execute(text, values),
        }
    }

    /// Runs a query; each row is read by `each`.
    pub(crate) fn rows<T>(
        &self,
        text: &str,
        values: &[Value],
        mut each: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match self {
            Db::Sqlite(connection) => sqlite::rows(connection, text, values, each),
            Db::Postgres(session) => {
                session.rows(text, values)?.iter().map(|row| each(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Runs a query that answers with one row at most.
    pub(crate) fn row<T>(
        &self,
        text: &str,
        values: &[Value],
        each: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(text, values, each)?.into_iter().next())
    }

    /// Runs a query for many: `{wanted}` in it is a table of them, which is called `wanted`. They must differ from each
    /// other.
    pub(crate) fn find<T>(
        &self,
        text: &str,
        wanted: &Rows,
        mut each: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Db::Sqlite(connection) => {
                let text = text.replace(WANTED, &table::one_row(wanted.columns, "wanted"));
                sqlite::find(connection, &text, wanted, each)
            }
            Db::Postgres(session) => {
                let text = text.replace(WANTED, &table::unnest(wanted.columns, "wanted"));
                session.find(&text, wanted)?.iter().map(|row| each(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Writes many rows of many tables, in this order. No two rows of one statement may have the same key.
    pub(crate) fn write(&self, mut writes: Vec<Write>) -> Result<()> {
        writes.retain(|write| !write.rows.is_empty());
        match self {
            Db::Sqlite(connection) => writes.iter().try_for_each(|write| sqlite::write(connection, write)),
            Db::Postgres(session) => session.write(&writes),
        }
    }
}
