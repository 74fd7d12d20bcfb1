//! Reading the event log: a thread of its own, with a reading connection.
//!
//! Only what is committed is seen. A fact names its job by sequence number on disk; id, queue and payload come from
//! the job's row, which stays until every reader of the log has passed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use palomar_model::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::batch::{self, Record};
use super::codec::{self, Damaged, Table};
use super::jobs::{LastBatch, Row};
use super::store;
use crate::broker::BrokerError;
use crate::machine::{Change, QueueRow};
use crate::types::{Cursor, Fact, JobId, LogEntry, QueueName};

/// Jobs whose names are remembered between reads.
const REMEMBERED: usize = 32_768;

/// A request to the reading thread.
pub(super) struct Read {
    pub(super) after: Cursor,
    pub(super) limit: usize,
    pub(super) answer: oneshot::Sender<Result<Vec<LogEntry>, BrokerError>>,
}

/// Starts the reading thread. It ends when the sender is dropped.
pub(super) fn spawn(dir: &Path) -> std::io::Result<mpsc::Sender<Read>> {
    let (sender, receiver) = mpsc::channel::<Read>();
    let dir = dir.to_owned();
    std::thread::Builder::new().name("palomar-facts".into()).spawn(move || {
        let mut reader = None;
        while let Ok(read) = receiver.recv() {
            let found = (|| {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    none => none.insert(Reader::open(&dir)?),
                };
                reader.facts(read.after, read.limit)
            })();
            // Whoever asked may be gone.
            let _ = read.answer.send(found.map_err(|error| BrokerError::Failed(error.to_string().into())));
        }
    })?;
    Ok(sender)
}

struct Reader {
    db: Connection,
    /// By number; none where nothing says any more what the queue was called.
    queues: HashMap<u32, Option<QueueName>>,
    jobs: HashMap<u64, (JobId, u32)>,
    last: LastBatch,
}

impl Reader {
    fn open(dir: &Path) -> Result<Reader, rusqlite::Error> {
        Ok(Reader {
            db: store::open_reader(dir)?,
            queues: HashMap::new(),
            jobs: HashMap::new(),
            last: LastBatch::default(),
        })
    }

    fn facts(&mut self, after: Cursor, limit: usize) -> Result<Vec<LogEntry>, rusqlite::Error> {
        // One snapshot for log and rows.
        self.db.execute_batch("BEGIN")?;
        let entries = self.facts_in_snapshot(after, limit);
        self.db.execute_batch("COMMIT")?;
        entries
    }

    fn facts_in_snapshot(&mut self, after: Cursor, limit: usize) -> Result<Vec<LogEntry>, rusqlite::Error> {
        let mut entries = Vec::new();
        let from: Option<i64> = self
            .db
            .prepare_cached("SELECT max(first) FROM log WHERE first <= ?1")?
            .query_row([after.0 as i64 + 1], |row| row.get(0))?;
        let mut next = from.unwrap_or(after.0 as i64 + 1);
        while entries.len() < limit {
            let row: Option<(i64, Vec<u8>)> = self
                .db
                .prepare_cached("SELECT first, body FROM log WHERE first >= ?1 ORDER BY first LIMIT 1")?
                .query_row([next], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((first, body)) = row else { break };
            next = first + 1;
            // A damaged row was named when the store was opened, and what it may have meant was taken care of.
            let Ok((at, changes)) = codec::read_log(&body, first as u64) else { continue };
            let mut number = first as u64;
            for change in &changes {
                let facts = change.facts();
                if number + facts > after.0 + 1 && entries.len() < limit {
                    self.expand(change, number, at, after, limit, &mut entries)?;
                } else {
                    self.learn(change);
                }
                number += facts;
            }
        }
        Ok(entries)
    }

    /// Remembers queues that a change creates.
    fn learn(&mut self, change: &Change) {
        if let Change::Configured { queue, name, .. } = change {
            self.queues.insert(*queue, Some(name.clone()));
        }
    }

    fn expand(
        &mut self,
        change: &Change,
        number: u64,
        at: Timestamp,
        after: Cursor,
        limit: usize,
        entries: &mut Vec<LogEntry>,
    ) -> Result<(), rusqlite::Error> {
        self.learn(change);
        if let Change::Enqueued { from, count } = change {
            for offset in 0..u64::from(*count) {
                let cursor = Cursor(number + offset);
                if cursor > after && entries.len() < limit {
                    let Some((job, queue, scheduled, payload)) = self.accepted(from + offset)? else {
                        continue;
                    };
                    let queue = self.queue(queue)?;
                    let fact = Fact::Enqueued { scheduled, payload };
                    entries.push(LogEntry { cursor, at, job: Some(job), queue, fact });
                }
            }
            return Ok(());
        }
        let Some((seq, queue, fact)) = fact_of(change) else { return Ok(()) };
        let cursor = Cursor(number);
        let (job, queue) = match (seq, queue) {
            (Some(seq), _) => match self.job(seq)? {
                Some((job, queue)) => (Some(job), self.queue(queue)?),
                None => (None, None),
            },
            (None, Some(queue)) => (None, self.queue(queue)?),
            (None, None) => (None, None),
        };
        entries.push(LogEntry { cursor, at, job, queue, fact });
        Ok(())
    }

    /// What `read` finds in the row of a job, if it is there and whole.
    fn row<T>(
        &mut self,
        seq: u64,
        read: impl FnOnce(&Record<'_>, &Row) -> Result<T, Damaged>,
    ) -> Result<Option<T>, rusqlite::Error> {
        let first: Option<i64> = self
            .db
            .prepare_cached("SELECT max(first) FROM batch WHERE first <= ?1")?
            .query_row([seq as i64], |row| row.get(0))?;
        let Some(first) = first.map(|first| first as u64) else { return Ok(None) };
        let Some(batch) = self.last.row(&self.db, first)? else { return Ok(None) };
        let record = batch::find(first, &batch.heads, seq).ok().flatten();
        Ok(record.and_then(|record| read(&record, batch).ok()))
    }

    fn accepted(&mut self, seq: u64) -> Result<Option<(JobId, u32, bool, Bytes)>, rusqlite::Error> {
        let whole = |record: &Record<'_>, row: &Row| Ok((record.spec()?, row.payload(record)?));
        let Some((spec, payload)) = self.row(seq, whole)? else { return Ok(None) };
        self.remember(seq, spec.id, spec.queue);
        let scheduled = spec.run_at.is_some_and(|at| at > spec.enqueued_at);
        Ok(Some((spec.id, spec.queue, scheduled, payload)))
    }

    fn remember(&mut self, seq: u64, id: JobId, queue: u32) {
        if self.jobs.len() >= REMEMBERED {
            self.jobs.clear();
        }
        self.jobs.insert(seq, (id, queue));
    }

    fn job(&mut self, seq: u64) -> Result<Option<(JobId, u32)>, rusqlite::Error> {
        if let Some(known) = self.jobs.get(&seq) {
            return Ok(Some(*known));
        }
        let Some(spec) = self.row(seq, |record, _| record.spec())? else { return Ok(None) };
        self.remember(seq, spec.id, spec.queue);
        Ok(Some((spec.id, spec.queue)))
    }

    fn queue(&mut self, ix: u32) -> Result<Option<QueueName>, rusqlite::Error> {
        if let Some(name) = self.queues.get(&ix) {
            return Ok(name.clone());
        }
        let row: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT body FROM queue WHERE ix = ?1")?
            .query_row([ix], |row| row.get(0))
            .optional()?;
        let name = match row.map(|row| codec::value_of::<QueueRow>(&row, Table::Queue, u64::from(ix))) {
            Some(Ok(row)) => Some(row.name),
            // Created since the last fold, in a part of the log that was not read here.
            _ => self.queue_from_log(ix)?,
        };
        self.queues.insert(ix, name.clone());
        Ok(name)
    }

    fn queue_from_log(&self, ix: u32) -> Result<Option<QueueName>, rusqlite::Error> {
        let mut statement = self.db.prepare_cached("SELECT first, body FROM log ORDER BY first")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let first: i64 = row.get(0)?;
            let Ok((_, changes)) = codec::read_log(row.get_ref(1)?.as_blob()?, first as u64) else {
                continue;
            };
            for change in changes {
                if let Change::Configured { queue, name, .. } = change
                    && queue == ix
                {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }
}

/// The fact that a change of one job or queue is, and which.
pub(crate) fn fact_of(change: &Change) -> Option<(Option<u64>, Option<u32>, Fact)> {
    let of_job = |seq: &u64, fact| Some((Some(*seq), None, fact));
    let of_queue = |queue: &u32, fact| Some((None, Some(*queue), fact));
    match change {
        Change::Woke { seq } => of_job(seq, Fact::Due),
        Change::Started { seq, token } => of_job(seq, Fact::Started { attempt: *token }),
        Change::Requeued { seq, at, .. } => of_job(seq, Fact::Requeued { at: *at }),
        Change::Done { seq } => of_job(seq, Fact::Done),
        Change::Died { seq, reason } => of_job(seq, Fact::Dead { reason: reason.clone() }),
        Change::Doubted { seq } => of_job(seq, Fact::Uncertain),
        Change::Revived { seq, .. } => of_job(seq, Fact::Retried),
        Change::Cancelled { seq } => of_job(seq, Fact::Cancelled),
        Change::Expired { seq } => of_job(seq, Fact::Expired),
        Change::DuplicateSend { seq } => of_job(seq, Fact::DuplicateSend),
        Change::Paused { queue, reason } => of_queue(queue, Fact::Paused { reason: reason.clone() }),
        Change::Resumed { queue } => of_queue(queue, Fact::Resumed),
        Change::BreakerOpened { queue, until } => of_queue(queue, Fact::BreakerOpened { until: *until }),
        Change::BreakerClosed { queue } => of_queue(queue, Fact::BreakerClosed),
        Change::Event { seq: Some(seq), body } => of_job(seq, Fact::Event(body.clone())),
        Change::Event { seq: None, body } => Some((None, None, Fact::Event(body.clone()))),
        _ => None,
    }
}
