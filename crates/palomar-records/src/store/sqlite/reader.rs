//! Connections that read, opened when first needed and kept. Who reads everything leaves places to those who are waited for,
//! and a read that somebody waits for ends in time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::open_read_only;
use crate::error::{RecordsError, Result};
use crate::store::{Db, Patience};

/// So many queries run at once; more only get into each other's way.
const READERS: usize = 4;
/// So many of them may read everything.
const SCANS: usize = 2;
/// So long a read may take that somebody waits for.
const LONGEST: Duration = Duration::from_secs(5);
/// It is looked at the clock after so many steps of SQLite's machine: some microseconds.
const STEPS: i32 = 10_000;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// The right to read, until it is dropped.
#[derive(Debug)]
pub(super) struct ReadPlace {
    _place: OwnedSemaphorePermit,
    _scan: Option<OwnedSemaphorePermit>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        let places = |n| Arc::new(Semaphore::new(n));
        Readers { path, places: places(READERS), scans: places(SCANS), idle: Mutex::default() }
    }

    /// Waits for a turn.
    pub(super) async fn place(&self, patience: Patience) -> Result<ReadPlace> {
        let of = async |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore).acquire_owned().await.map_err(|_| RecordsError::Closed)
        };
        let scan = if patience == Patience::Whole { Some(of(&self.scans).await?) } else { None };
        Ok(ReadPlace { _place: of(&self.places).await?, _scan: scan })
    }

    /// Runs `work` in a read transaction, so that all of its statements see the same moment.
    pub(super) fn run<T>(&self, patience: Patience, work: impl FnOnce(Db<'_>) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_read_only(&self.path)?,
        };
        let end = (patience == Patience::Request).then(|| Instant::now() + LONGEST);
        connection.progress_handler(STEPS, end.map(|end| move || Instant::now() > end))?;
        let transaction = connection.unchecked_transaction()?;
        let answer = work(Db::Sqlite(&transaction));
        drop(transaction);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_everything_leaves_room_and_a_place_is_held_until_it_is_given_back() {
        let readers = Readers::new(PathBuf::new());
        let scans = [readers.place(Patience::Whole).await, readers.place(Patience::Whole).await];
        assert!(scans.iter().all(Result::is_ok));
        let third = tokio::time::timeout(Duration::ZERO, readers.place(Patience::Whole)).await;
        assert!(third.is_err(), "two read everything");
        let waited_for = [readers.place(Patience::Request).await, readers.place(Patience::Request).await];
        assert!(waited_for.iter().all(Result::is_ok));
        assert!(tokio::time::timeout(Duration::ZERO, readers.place(Patience::Request)).await.is_err());
        drop(scans);
        assert!(tokio::time::timeout(Duration::ZERO, readers.place(Patience::Whole)).await.is_ok());
    }

    #[test]
    fn a_read_that_is_waited_for_ends_in_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("some.db");
        Connection::open(&path).expect("a file").execute_batch("CREATE TABLE t (n INTEGER)").expect("made");
        let mut connection = open_read_only(&path).expect("opened");
        let endless =
            "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT MAX(n) FROM up";
        let over = Instant::now();
        connection.progress_handler(STEPS, Some(move || Instant::now() >= over)).expect("set");
        let answer =
            connection.query_row(endless, [], |row| row.get::<_, i64>(0)).map_err(RecordsError::from);
        assert!(matches!(answer, Err(RecordsError::TooLong)), "{answer:?}");
    }
}
