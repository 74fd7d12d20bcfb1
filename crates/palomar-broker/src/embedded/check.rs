//! `palomar store check` and `palomar store info`: what a data directory holds, and whether it is whole.

use std::path::Path;

use palomar_model::Timestamp;
use rusqlite::Connection;

use super::batch;
use super::codec::{self, Table};
use super::store::{self, StoreError};
use super::{recover, space};
use crate::machine::MachineConfig;
use crate::types::{JobState, QueueName};

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The schema of the store.
    pub schema: i64,
    /// Jobs that rows hold, those included that are no more and whose room was not used again yet.
    pub job_rows: u64,
    /// Rows of the log.
    pub log_rows: u64,
    /// Rows that are damaged, out of place or missing, each named.
    pub damaged: Vec<String>,
    /// What SQLite says of its own structures; empty where they are whole.
    pub structure: Vec<String>,
    /// Invariant I1, queue by queue.
    pub queues: Vec<QueueCheck>,
}

/// The jobs of a queue: every accepted one is alive or final, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCheck {
    /// The queue.
    pub queue: QueueName,
    /// Ever accepted, as counted.
    pub accepted: u64,
    /// Alive, as found.
    pub live: u64,
    /// Ever final, as counted.
    pub finished: u64,
}

impl QueueCheck {
    /// Whether accepted = live + final.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.accepted == self.live + self.finished
    }
}

impl CheckReport {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.structure.is_empty() && self.queues.iter().all(QueueCheck::adds_up)
    }
}

/// What [`store_info`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreInfo {
    /// The schema of the store.
    pub schema: i64,
    /// Jobs that rows hold, those included that are no more and whose room was not used again yet.
    pub job_rows: u64,
    /// Rows of the log.
    pub log_rows: u64,
    /// The number of the last fact.
    pub log_end: u64,
    /// Size of the database file.
    pub database_bytes: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// Size of the reserve for a full disk.
    pub reserve_bytes: u64,
    /// Bytes that may still be written to the disk.
    pub free_bytes: u64,
}

/// Checks the store of a directory, changing nothing: no process may have it open.
///
/// Every row is read and its checksum verified, payloads included; SQLite checks its own structures; the log is whole
/// (each of its rows holds the outcome, the events and all else that one commit changed, under one checksum, so where
/// no row is missing or damaged they are all there, I6); and the index is rebuilt from it as at a start, to count that
/// in each queue accepted = live + final (I1).
pub fn check(dir: &Path) -> Result<CheckReport, StoreError> {
    let (db, schema) = open(dir)?;
    let _lock = space::lock(dir)?;
    let mut report = CheckReport { schema, ..CheckReport::default() };
    let mut statement = db.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => report.structure.push(row.get(0)?),
            Ok(None) => break,
            // So damaged that it can't be checked to its end.
            Err(error) => {
                report.structure.push(error.to_string());
                break;
            }
        }
    }
    report.structure.retain(|line| line != "ok");
    if let Err(error) = check_rows(&db, &mut report) {
        report.structure.push(error.to_string());
    }
    Ok(report)
}

fn check_rows(db: &Connection, report: &mut CheckReport) -> Result<(), StoreError> {
    let (fold, _) = store::fold_of(db)?;
    // Nothing is trimmed and nobody's time is over: what is on disk is counted as it stands.
    let config = MachineConfig { keep_finished: u32::MAX, keep_dead: u32::MAX };
    let recovered = recover::recover(db, &fold, config, Timestamp::EPOCH)?;
    report.damaged.extend(recovered.damaged.iter().map(ToString::to_string));
    let mut statement = db.prepare("SELECT first, heads, payloads FROM batch ORDER BY first")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, i64>(0)? as u64;
        let payloads = batch::unpack(row.get_ref(2)?.as_blob().unwrap_or_default());
        // What recovery read of them it has named; payloads it did not read.
        for record in batch::read(first, row.get_ref(1)?.as_blob().unwrap_or_default()).0 {
            report.job_rows += 1;
            let damaged = |why| codec::Damaged { table: Table::Payload, key: record.seq, why };
            note(report, payloads.as_ref().map_err(|why| damaged(*why)).and_then(|all| record.payload(all)));
        }
    }
    // Rows before the fold are kept for readers only.
    let mut statement = db.prepare("SELECT first, body FROM log ORDER BY first")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, i64>(0)? as u64;
        report.log_rows += 1;
        note(report, codec::read_log(row.get_ref(1)?.as_blob().unwrap_or_default(), first));
    }
    for queue in recovered.machine.stats().queues {
        let live = [JobState::Scheduled, JobState::Queued, JobState::Started, JobState::Uncertain];
        report.queues.push(QueueCheck {
            queue: queue.queue,
            accepted: queue.accepted,
            live: live.iter().map(|state| queue.counts[*state as usize]).sum(),
            finished: queue.finished.iter().sum(),
        });
    }
    Ok(())
}

/// Names a row that can't be read, once.
fn note<T>(report: &mut CheckReport, row: Result<T, codec::Damaged>) {
    if let Err(damaged) = row {
        debug_assert!(matches!(damaged.table, Table::Job | Table::Payload | Table::Log));
        let damaged = damaged.to_string();
        if !report.damaged.contains(&damaged) {
            report.damaged.push(damaged);
        }
    }
}

/// What a directory holds, in numbers. A process may have it open.
pub fn store_info(dir: &Path) -> Result<StoreInfo, StoreError> {
    let (db, schema) = open(dir)?;
    let count = |table: &str| -> Result<u64, StoreError> {
        let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(rows as u64)
    };
    let (_, next_fact) = store::fold_of(&db)?;
    let last: Option<(i64, Vec<u8>)> = db
        .prepare("SELECT first, body FROM log ORDER BY first DESC LIMIT 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .next()
        .transpose()?;
    let after_last = last.map_or(1, |(first, body)| {
        let facts = codec::read_log(&body, first as u64)
            .map_or(1, |(_, changes)| changes.iter().map(crate::machine::Change::facts).sum::<u64>().max(1));
        first as u64 + facts
    });
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    Ok(StoreInfo {
        schema,
        job_rows: stored_jobs(&db)?,
        log_rows: count("log")?,
        log_end: next_fact.max(after_last) - 1,
        database_bytes: size("queue.db"),
        wal_bytes: size("queue.db-wal"),
        reserve_bytes: size("queue.reserve"),
        free_bytes: space::free_bytes(dir),
    })
}

/// Jobs that batches hold.
fn stored_jobs(db: &Connection) -> Result<u64, StoreError> {
    let mut statement = db.prepare("SELECT first, heads FROM batch")?;
    let mut rows = statement.query([])?;
    let mut jobs = 0;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, i64>(0)? as u64;
        // Damage is for `check` to name.
        jobs += batch::read(first, row.get_ref(1)?.as_blob().unwrap_or_default()).0.len() as u64;
    }
    Ok(jobs)
}

/// Opens the store of a directory for reading; nothing is created.
fn open(dir: &Path) -> Result<(Connection, i64), StoreError> {
    let file = dir.join("queue.db");
    if let Err(source) = std::fs::metadata(&file) {
        return Err(StoreError::Directory { dir: dir.to_owned(), source });
    }
    let db = store::open_reader(dir)?;
    let schema = store::schema(&db, dir)?;
    Ok((db, schema))
}
