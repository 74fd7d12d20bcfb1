//! How SQL is run: one thread writes, a few read, and nobody waits on a disk in an async task.
//!
//! A write is answered only after the commit that holds it. Writes that wait at the same time share one commit, each
//! in a savepoint of its own: one that fails undoes nothing of the others.

mod migrate;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{RecordsError, Result};
use reader::Readers;
use writer::Writer;

pub(crate) use migrate::schema;

/// Earlier versions can damage a database in WAL mode.
const OLDEST_SQLITE: i32 = 3_051_003;
const STATEMENTS: usize = 256;

/// The database file with its connections.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Readers>,
}

impl Store {
    /// Opens the file, creates it where there is none, and brings its schema up to date.
    pub(crate) fn open(path: &Path, now: palomar_model::Timestamp) -> Result<Store> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(RecordsError::OldSqlite(rusqlite::version()));
        }
        let mut connection = Connection::open(path)?;
        prepare(&connection)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )?;
        migrate::run(&mut connection, path, now)?;
        let readers = Arc::new(Readers::new(path.to_owned()));
        let writer = Writer::spawn(connection).map_err(|error| RecordsError::io(path, error))?;
        Ok(Store { path: path.to_owned(), writer, readers })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a transaction; answers after its commit.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Runs `work` on a connection that can't write, in one snapshot.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let _place = readers.place().await?;
        let pool = Arc::clone(&readers);
        tokio::task::spawn_blocking(move || pool.run(work)).await.map_err(|_| RecordsError::Closed)?
    }
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(5))?;
    // Negative: in KiB.
    connection.execute_batch("PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;")?;
    Ok(())
}

fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}
