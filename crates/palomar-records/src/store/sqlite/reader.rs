//! Connections that read, opened when first needed and kept.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::open_read_only;
use crate::error::{RecordsError, Result};
use crate::store::Db;

/// So many queries run at once; more only get into each other's way.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, places: Semaphore::new(READERS), idle: Mutex::default() }
    }

    /// Waits for a turn.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(|_| RecordsError::Closed)
    }

    /// Runs `work` in a read transaction, so that all of its statements see the same moment.
    pub(super) fn run<T>(&self, work: impl FnOnce(Db<'_>) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_read_only(&self.path)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let answer = work(Db::Sqlite(&transaction));
        drop(transaction);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}
