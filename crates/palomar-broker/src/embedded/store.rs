//! `queue.db`: the machine's rows and log in SQLite.
//!
//! | table | key | what |
//! |---|---|---|
//! | `batch`, `standing` | number of a job | what was accepted, and where it stood at the last fold: see [`super::jobs`] |
//! | `log` | number of the first fact | the changes of one commit |
//! | `queue`, `budget` | number | as of the last fold |
//! | `request` | counting up | requests that are remembered |
//! | `meta` | name | schema, the fold, rows that wait for readers |
//!
//! Invariants: one commit writes all of a batch or nothing; rows and log are read by primary key only; the log from
//! the fold on, applied to the rows of the fold, is the machine. Nothing is answered before `commit` has returned.

use std::path::{Path, PathBuf};

use palomar_model::{Clock, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoints;
use super::codec::{self, Table};
use super::jobs::{self, Counted, Index, Jobs};
use crate::machine::{Changes, Folded};

/// The schema that this version reads and writes.
const SCHEMA: i64 = 2;
/// A commit writes whole pages, of which it fills few: small ones are written less. Smaller ones still would make
/// reading slow.
const PAGE: i64 = 2048;
/// Bytes of write-ahead log after which it is brought into the database file.
const CHECKPOINT_AT: i64 = 16 << 20;
/// Jobs that are no more, after which their rows are dropped.
const FOLD_AT_GONE: usize = 2_000;
const OLDEST_SQLITE: i32 = 3_051_003;

/// When what was committed reaches the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Each commit is flushed before its answers: survives power loss.
    #[default]
    EachCommit,
    /// Once a second: survives the end of the process, not of the machine. For comparisons.
    EachSecond,
}

/// Why the store can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory can't be used.
    #[error(
        "the data directory {dir} can't be used: {source}; check that it exists, belongs to you and is writable"
    )]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the data directory {0} is in use by another process; stop it, or give this one another directory"
    )]
    Locked(PathBuf),
    /// It was written by a newer version.
    #[error(
        "the data in {file} has schema {found}, this version knows {known}; start the newer version that wrote it"
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It was written before the first release.
    #[error(
        "the data in {file} has schema {found}, from before the first release; this version begins at {known}: \
         give it an empty data directory"
    )]
    Older {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Rows that must be whole are not.
    #[error("{0}; run `palomar store check`, and restore a backup if it can't be mended")]
    Damaged(String),
    /// SQLite failed.
    #[error("queue.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether the disk is full.
    pub(super) fn is_full(&self) -> bool {
        let StoreError::Sqlite(rusqlite::Error::SqliteFailure(error, _)) = self else { return false };
        // The index of the write-ahead log is a file of its own, which grows by other means than the rest.
        error.code == rusqlite::ErrorCode::DiskFull
            || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    }
}

/// How far rows go: from here on the log says what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fold {
    /// Jobs from this number on are not part of it.
    pub(super) next_seq: u64,
    /// Log rows from this fact on are not part of it.
    pub(super) log_from: u64,
    /// Jobs that are no more and whose rows wait for the log's readers: (facts up to here must be read, jobs).
    pub(super) waiting: Vec<(u64, Vec<u64>)>,
    /// The rows of jobs that there are, as far as the fold goes.
    pub(super) counted: Counted,
}

impl Default for Fold {
    fn default() -> Fold {
        Fold { next_seq: 1, log_from: 1, waiting: Vec::new(), counted: Counted::default() }
    }
}

/// The writing connection.
pub(super) struct Store {
    /// Ended before the connection is.
    checkpoints: Checkpoints,
    db: Connection,
    fold: Fold,
    jobs: Jobs,
    /// The number of the next fact.
    next_fact: u64,
    buffer: Vec<u8>,
    log_bytes: usize,
    changes: usize,
    next_request: i64,
}

fn meta_key(name: &str) -> u64 {
    name.bytes().fold(0, |key, byte| key.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Opens a connection to an existing `queue.db` for reading.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open_with_flags(
        dir.join("queue.db"),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}

/// The schema of a database; 0 where it is new.
pub(super) fn schema(db: &Connection, dir: &Path) -> Result<i64, StoreError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA {
        return Err(StoreError::Newer { file: dir.join("queue.db"), found, known: SCHEMA });
    }
    if (1..SCHEMA).contains(&found) {
        return Err(StoreError::Older { file: dir.join("queue.db"), found, known: SCHEMA });
    }
    Ok(found)
}

/// A value of the `meta` table.
fn meta<T: serde::de::DeserializeOwned>(db: &Connection, name: &str) -> Result<Option<T>, StoreError> {
    let row: Option<Vec<u8>> =
        db.query_row("SELECT body FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    row.map(|row| codec::value_of(&row, Table::Meta, meta_key(name)))
        .transpose()
        .map_err(|damaged| StoreError::Damaged(format!("meta {name}: {damaged}")))
}

/// The fold of a database, and the number of the fact after it.
pub(super) fn fold_of(db: &Connection) -> Result<(Fold, u64), StoreError> {
    let fold = meta::<Fold>(db, "fold")?.unwrap_or_default();
    Ok((fold, meta(db, "next_fact")?.unwrap_or(1)))
}

impl Store {
    /// Opens or creates the store of a directory that this process has locked.
    pub(super) fn open(dir: &Path, flush: Flush) -> Result<Store, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            let found = rusqlite::version();
            return Err(StoreError::Damaged(format!(
                "SQLite {found} is too old: it can corrupt a write-ahead log"
            )));
        }
        let file = dir.join("queue.db");
        let mut db = Connection::open(&file)?;
        let found = schema(&db, dir)?;
        db.pragma_update(None, "page_size", PAGE)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", if flush == Flush::EachCommit { "full" } else { "normal" })?;
        let checkpoints = Checkpoints::of(&mut db, &file, (CHECKPOINT_AT / PAGE) as i32)?;
        db.pragma_update(None, "journal_size_limit", 64 << 20)?;
        // Negative: in KiB. Work is at the edges of its trees; what lies between is in the memory of the system.
        db.pragma_update(None, "cache_size", -8_192)?;
        db.set_prepared_statement_cache_capacity(64);
        if found == 0 {
            db.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 {}
                 CREATE TABLE IF NOT EXISTS log (first INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS queue (ix INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS budget (ix INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS request (n INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
                 PRAGMA user_version = {SCHEMA};
                 COMMIT;",
                jobs::SCHEMA
            ))?;
        }
        let (fold, next_fact) = fold_of(&db)?;
        let last: Option<i64> = db.query_row("SELECT max(n) FROM request", [], |row| row.get(0))?;
        Ok(Store {
            checkpoints,
            db,
            fold,
            jobs: Jobs::default(),
            next_fact,
            buffer: Vec::with_capacity(64 << 10),
            log_bytes: 0,
            changes: 0,
            next_request: last.unwrap_or(0) + 1,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.db
    }

    pub(super) fn fold(&self) -> &Fold {
        &self.fold
    }

    /// The number of the last fact.
    pub(super) fn log_end(&self) -> u64 {
        self.next_fact - 1
    }

    /// The batches that were found.
    pub(super) fn holds(&mut self, index: Index, counted: Counted) {
        self.jobs = Jobs::new(index, counted);
    }

    /// The batch that holds a job.
    pub(super) fn batch_of(&self, seq: u64) -> Option<u64> {
        self.jobs.batch_of(seq)
    }

    /// Facts beyond this number were found in the log.
    pub(super) fn facts_go_on_at(&mut self, next: u64) {
        self.next_fact = self.next_fact.max(next);
    }

    fn set_meta<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let row = codec::row_of(value, Table::Meta, meta_key(name));
        self.db
            .prepare_cached("INSERT OR REPLACE INTO meta (name, body) VALUES (?1, ?2)")?
            .execute(params![name, row])?;
        Ok(())
    }

    /// Runs `work` in a transaction; all of it is on disk when this returns `Ok`.
    fn transaction(
        &mut self,
        work: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = work(self).and_then(|()| Ok(self.db.prepare_cached("COMMIT")?.execute([]).map(|_| ())?));
        if done.is_err() && !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        self.checkpoints.go_on(&self.db);
        done
    }

    /// Writes the changes of a batch; when they were written, and only the flush was left.
    pub(super) fn commit(
        &mut self,
        changes: &Changes,
        now: Timestamp,
        clock: &dyn Clock,
    ) -> Result<Timestamp, StoreError> {
        let mut written = now;
        let first = self.next_fact;
        let facts: u64 = changes.log.iter().map(crate::machine::Change::facts).sum();
        self.transaction(|store| {
            store.jobs.insert(&store.db, &changes.rows)?;
            codec::write_log(&mut store.buffer, first, now, &changes.log);
            let mut insert = store.db.prepare_cached("INSERT INTO log (first, body) VALUES (?1, ?2)")?;
            insert.execute(params![first as i64, store.buffer])?;
            written = clock.now();
            Ok(())
        })?;
        self.jobs.committed();
        self.log_bytes += self.buffer.len();
        self.changes += changes.log.len() + changes.rows.len();
        // Every row takes at least one number, so that numbers name rows.
        self.next_fact = first + facts.max(1);
        Ok(written)
    }

    /// Whether the log has grown enough to be folded into rows.
    ///
    /// Jobs that are gone count most: the pages of their batches are used again by the next ones while they are still
    /// in the write-ahead log, so that they hardly ever reach the database file.
    pub(super) fn should_fold(&self, gone: usize) -> bool {
        gone >= FOLD_AT_GONE || self.log_bytes > 8 << 20 || self.changes > 50_000
    }

    /// Whether anything has changed since the last fold.
    pub(super) fn can_fold(&self) -> bool {
        self.changes > 0
    }

    /// Room within the database file, which rows can take without making it grow.
    pub(super) fn spare_bytes(&self) -> Result<u64, StoreError> {
        let pages: i64 = self.db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let size: i64 = self.db.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok((pages * size) as u64)
    }

    /// Folds the log into rows, and drops what nobody needs: facts up to `read` are read by all.
    pub(super) fn write_fold(&mut self, folded: &Folded, read: u64) -> Result<(), StoreError> {
        let mut fold = Fold {
            next_seq: folded.next_seq,
            log_from: self.next_fact,
            waiting: self.fold.waiting.clone(),
            counted: Counted::default(),
        };
        if !folded.gone.is_empty() {
            fold.waiting.push((self.log_end(), folded.gone.clone()));
        }
        let ready = fold.waiting.iter().take_while(|(until, _)| *until <= read).count();
        let mut dropped: Vec<u64> = fold.waiting.drain(..ready).flat_map(|(_, jobs)| jobs).collect();
        dropped.sort_unstable();
        let mut folding = None;
        let next_request = self.next_request;
        self.transaction(|store| {
            let jobs = store.jobs.fold(&store.db, &folded.standings, &dropped)?;
            fold.counted = jobs.counted;
            folding = Some(jobs);
            store.write_folded(folded)?;
            store.set_meta("fold", &fold)?;
            store.set_meta("next_fact", &store.next_fact)?;
            let unread = fold.log_from.min(read + 1);
            // The row that holds the first unread fact begins at or before it.
            let keep: Option<i64> = store.db.query_row(
                "SELECT max(first) FROM log WHERE first <= ?1",
                [unread as i64],
                |row| row.get(0),
            )?;
            let below = if unread >= fold.log_from { fold.log_from as i64 } else { keep.unwrap_or(0) };
            store.db.prepare_cached("DELETE FROM log WHERE first < ?1")?.execute([below])?;
            Ok(())
        })
        .inspect_err(|_| self.next_request = next_request)?;
        if let Some(folding) = folding {
            self.jobs.folded(folding);
        }
        self.fold = fold;
        self.log_bytes = 0;
        self.changes = 0;
        Ok(())
    }

    fn write_folded(&mut self, folded: &Folded) -> Result<(), StoreError> {
        let mut write = self.db.prepare_cached("INSERT OR REPLACE INTO queue (ix, body) VALUES (?1, ?2)")?;
        for (ix, row) in &folded.queues {
            write.execute(params![ix, codec::row_of(row, Table::Queue, u64::from(*ix))])?;
        }
        for ix in &folded.gone_queues {
            self.db.prepare_cached("DELETE FROM queue WHERE ix = ?1")?.execute([ix])?;
        }
        let mut write = self.db.prepare_cached("INSERT OR REPLACE INTO budget (ix, body) VALUES (?1, ?2)")?;
        for (ix, row) in &folded.budgets {
            write.execute(params![ix, codec::row_of(row, Table::Budget, u64::from(*ix))])?;
        }
        let mut insert = self.db.prepare_cached("INSERT INTO request (n, body) VALUES (?1, ?2)")?;
        for request in &folded.requests {
            insert.execute(params![
                self.next_request,
                codec::row_of(request, Table::Request, self.next_request as u64)
            ])?;
            self.next_request += 1;
        }
        Ok(())
    }

    /// Drops remembered requests whose time is over.
    pub(super) fn drop_requests(&mut self, numbers: &[i64]) -> Result<(), StoreError> {
        self.transaction(|store| {
            let mut delete = store.db.prepare_cached("DELETE FROM request WHERE n = ?1")?;
            for n in numbers {
                delete.execute([n])?;
            }
            Ok(())
        })
    }

    /// Says whether the disk has room for more log than is usual.
    pub(super) fn log_may_grow(&mut self, free: u64) {
        self.checkpoints.may_grow(free > 8 * CHECKPOINT_AT as u64);
    }

    /// Gives the room of the write-ahead log back to the disk, where nobody reads in it just now.
    pub(super) fn give_back(&mut self) {
        self.checkpoints.settle();
        if let Err(error) = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            // The disk may be too full for it: nothing is lost, and it is tried again.
            tracing::debug!(%error, "the write-ahead log was not given back");
        }
    }

    /// Lays out so much of the write-ahead log on the disk: a commit that overwrites is flushed faster than one that
    /// makes the file longer. Left out where the disk has little room.
    pub(super) fn lay_out_log(&mut self, bytes: u64, free: u64) -> Result<(), StoreError> {
        if bytes == 0 || free < bytes.saturating_mul(16) {
            return Ok(());
        }
        // In parts: each is whole in memory once.
        const PART: i64 = 128 << 10;
        let parts = i64::try_from(bytes).unwrap_or(i64::MAX) / PART;
        self.transaction(|store| {
            let sql = "INSERT OR REPLACE INTO meta (name, body) VALUES ('room ' || ?1, zeroblob(?2))";
            let mut lays = store.db.prepare(sql)?;
            for part in 0..parts {
                lays.execute([part, PART])?;
            }
            Ok(())
        })?;
        self.transaction(|store| {
            Ok(store.db.execute("DELETE FROM meta WHERE name LIKE 'room %'", []).map(|_| ())?)
        })?;
        // The next commit begins at the log's start again.
        self.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        // What went by is of no more use in memory.
        self.db.execute_batch("PRAGMA shrink_memory")?;
        Ok(())
    }

    /// Brings the write-ahead log into the database file.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.checkpoints.settle();
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}
