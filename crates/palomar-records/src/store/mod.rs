//! How SQL is run: the same text on SQLite and on PostgreSQL, in transactions that are written as plain functions of a
//! [`Db`] and know nothing of threads, pools and tasks.
//!
//! What always holds: a write is answered only after the commit that holds it; a read sees one moment; nobody waits on
//! a disk or a server in an async task.

mod db;
pub(crate) mod migrate;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod table;
mod value;

pub(crate) use db::Db;
pub(crate) use table::{Rows, Table, Write};
pub(crate) use value::{Row, Value, clean, key, values};

use crate::error::Result;
use postgres::Postgres;
use sqlite::Sqlite;

/// How much time a read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Somebody waits for the answer.
    Request,
    /// Everything is read: a check, an export.
    Whole,
}

/// When what was committed reaches the disk. The order is kept: what is on the disk has everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the answer.
    Now,
    /// With the next commit that is flushed. A crash of the machine, not of the process, may take it back: for what can be
    /// written again. Only where that is the machine of all who read it, in SQLite.
    Later,
}

/// The database.
#[derive(Debug)]
pub(crate) enum Store {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Store {
    /// Runs `work` in a transaction; answers after its commit.
    pub(crate) async fn write<T, F>(&self, patience: Patience, flush: Flush, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        match self {
            Store::Sqlite(sqlite) => sqlite.write(flush, work).await,
            // What one node has read there must not be taken back from it by a crash of the server.
            Store::Postgres(postgres) => postgres.write(patience, work).await,
        }
    }

    /// Runs `work` where it can't write, in one snapshot.
    pub(crate) async fn read<T, F>(&self, patience: Patience, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        match self {
            Store::Sqlite(sqlite) => sqlite.read(patience, work).await,
            Store::Postgres(postgres) => postgres.read(patience, work).await,
        }
    }
}
