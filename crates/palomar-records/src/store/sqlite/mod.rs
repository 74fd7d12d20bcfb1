//! SQLite: one thread writes, a few read, and nobody waits on a disk in an async task.
//!
//! A write is answered only after the commit that holds it. Writes that wait at the same time share one commit, each
//! in a savepoint of its own: one that fails undoes nothing of the others.

mod reader;
mod writer;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, ToSql, TransactionBehavior};

use super::table::{List, Rows, Write};
use super::{Db, Flush, Patience, Row, Value, migrate};
use crate::error::{RecordsError, Result};
use reader::Readers;
use writer::Writer;

/// Earlier versions can damage a database in WAL mode.
const OLDEST: i32 = 3_051_003;
const STATEMENTS: usize = 256;

/// The database file with its connections.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
}

impl Sqlite {
    /// Opens the file, creates it where there is none, and brings its schema up to date.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<Sqlite> {
        if rusqlite::version_number() < OLDEST {
            return Err(RecordsError::OldSqlite(rusqlite::version()));
        }
        let mut connection = Connection::open(path)?;
        prepare(&connection)?;
        connection.execute_batch(
            // Seldom brought home: a page that many commits touch is then written once, and who waits for a flush of the
            // queue on the same disk waits for less.
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;",
        )?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        migrate::run(Db::Sqlite(&transaction), &path.display().to_string(), now)?;
        transaction.commit()?;
        let readers = Arc::new(Readers::new(path.to_owned()));
        let writer = Writer::spawn(connection).map_err(|error| RecordsError::io(path, error))?;
        Ok(Sqlite { writer, readers })
    }

    /// Runs `work` in a transaction; answers after its commit.
    pub(crate) async fn write<T, F>(&self, flush: Flush, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.run(flush, work).await
    }

    /// Runs `work` on a connection that can't write, in one snapshot.
    pub(crate) async fn read<T, F>(&self, patience: Patience, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let place = readers.place(patience).await?;
        // The place is given back when the work is done, whether anybody still waits for it or not.
        let work = move || {
            let answer = readers.run(patience, work);
            drop(place);
            answer
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| RecordsError::Closed)?
    }
}

/// Reads a file that is there, all of one moment, without changing anything.
pub(crate) fn look<T>(path: &Path, work: impl FnOnce(Db<'_>) -> Result<T>) -> Result<T> {
    let connection = open_read_only(path)?;
    let transaction = connection.unchecked_transaction()?;
    work(Db::Sqlite(&transaction))
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(5))?;
    // Negative: in KiB. For each connection: what all have read is in the memory of the system, once.
    connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;")?;
    Ok(())
}

fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Value::Int(value) => value.map_or(ValueRef::Null, ValueRef::Integer),
            Value::Text(value) => {
                value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
            }
            Value::Bytes(value) => value.as_ref().map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// A text as SQLite reads it: `?1` for `$1`. A `$` before anything but a digit stays (`'$.a'` is a path in JSON).
fn numbered(text: &str) -> Cow<'_, str> {
    let mut translated = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices('$') {
        if text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit) {
            translated.push_str(&text[copied..at]);
            translated.push('?');
            copied = at + 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    translated.push_str(&text[copied..]);
    Cow::Owned(translated)
}

/// Runs one statement; how many rows it changed.
pub(super) fn execute(connection: &Connection, text: &str, values: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(&numbered(text))?;
    Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
}

/// Runs one query.
pub(super) fn rows<T>(
    connection: &Connection,
    text: &str,
    values: &[Value],
    mut each: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(&numbered(text))?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(each(&Row::Sqlite(row))?);
    }
    Ok(found)
}

/// Runs a query for each of the rows that are wanted.
pub(super) fn find<T>(
    connection: &Connection,
    text: &str,
    wanted: &Rows,
    mut each: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(&numbered(text))?;
    let mut found = Vec::new();
    for place in 0..wanted.len {
        bind(&mut statement, wanted, place)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push(each(&Row::Sqlite(row))?);
        }
    }
    Ok(found)
}

/// Writes each of the rows.
pub(super) fn write(connection: &Connection, write: &Write) -> Result<()> {
    let mut statement = connection.prepare_cached(&numbered(&write.for_one()))?;
    for place in 0..write.rows.len {
        bind(&mut statement, &write.rows, place)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, rows: &Rows, place: usize) -> rusqlite::Result<()> {
    for (list, number) in rows.lists.iter().zip(1..) {
        match list {
            List::Int(list) => statement.raw_bind_parameter(number, list[place])?,
            List::Text(list) => statement.raw_bind_parameter(number, list[place].as_deref())?,
            List::Bytes(list) => statement.raw_bind_parameter(number, list[place].as_deref())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_values_are_translated() {
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
        assert_eq!(numbered("a = $1 AND b = $12 OR '$.c' <> '$'"), "a = ?1 AND b = ?12 OR '$.c' <> '$'");
    }
}
