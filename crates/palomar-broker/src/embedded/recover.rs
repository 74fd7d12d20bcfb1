//! From `queue.db` to a machine: at start-up, and for `store check`.
//!
//! A damaged row is named and set aside; the rest is served. What a lost row may have meant is taken at its worst: a
//! job whose standing is lost is uncertain, and where a part of the log is lost every queue starts paused, because it
//! may have said that something was sent.

use std::time::Duration;

use palomar_model::Timestamp;
use rusqlite::Connection;

use super::batch;
use super::codec::{self, Damaged, Table};
use super::jobs::{Batch, Census, Counted, Index, read_standing};
use super::store::{Fold, StoreError};
use crate::machine::{
    BudgetRow, Change, Machine, MachineConfig, NewRow, QueueRow, RequestRow, Restorer, Standing,
};
use crate::types::Budget;

/// What was found on disk.
pub(super) struct Recovered {
    pub(super) machine: Machine,
    pub(super) damaged: Vec<Damaged>,
    /// The batches of jobs.
    pub(super) index: Index,
    pub(super) counted: Counted,
    /// Remembered requests whose time is over.
    pub(super) stale_requests: Vec<i64>,
    /// The number of the next fact, as far as the log tells.
    pub(super) next_fact: u64,
}

/// Reads all there is.
pub(super) fn recover(
    db: &Connection,
    fold: &Fold,
    config: MachineConfig,
    now: Timestamp,
) -> Result<Recovered, StoreError> {
    let mut damaged = Vec::new();
    let mut restorer = Restorer::new(config, fold.next_seq);
    read_budgets(db, &mut restorer, &mut damaged)?;
    read_queues(db, &mut restorer, &mut damaged)?;
    let stale_requests = read_requests(db, &mut restorer, &mut damaged, now)?;
    let jobs = read_jobs(db, fold, &mut restorer, &mut damaged)?;
    restorer.jobs_are_in();
    let before = damaged.len();
    let (next_fact, accepted) = read_log(db, fold, &mut restorer, &mut damaged)?;
    if damaged.len() > before || jobs.standings_are_lost {
        let reason =
            "rows that tell what was sent are damaged: some jobs may have been sent; check, then resume";
        restorer.pause_all(reason);
    }
    name_missing_jobs(&accepted, &mut damaged);
    let Jobs { index, counted, .. } = jobs;
    Ok(Recovered { machine: restorer.finish(now), damaged, index, counted, stale_requests, next_fact })
}

/// Calls `each` with (number, row) of a table in the order of its numbers.
fn each_row(
    db: &Connection,
    sql: &str,
    from: i64,
    mut each: impl FnMut(u64, &rusqlite::Row<'_>) -> Result<(), rusqlite::Error>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([from])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        each(number as u64, row)?;
    }
    Ok(())
}

fn read_budgets(
    db: &Connection,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<(), StoreError> {
    let mut next = 0;
    each_row(db, "SELECT ix, body FROM budget WHERE ix >= ?1 ORDER BY ix", 0, |ix, row| {
        match codec::value_of::<BudgetRow>(row.get_ref(1)?.as_blob()?, Table::Budget, ix) {
            Ok(budget) => {
                // A budget is known by its number: the place of one that is lost stays taken.
                while next < ix {
                    restorer.budget(next as u32, lost_budget(next));
                    next += 1;
                }
                restorer.budget(ix as u32, budget);
                next = ix + 1;
            }
            Err(error) => damaged.push(error),
        }
        Ok(())
    })
}

fn lost_budget(ix: u64) -> BudgetRow {
    let name = format!("damaged-{ix}").into();
    BudgetRow { config: Budget { name, max: u32::MAX, window: Duration::from_secs(1) }, starts: Vec::new() }
}

fn read_queues(
    db: &Connection,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<(), StoreError> {
    each_row(db, "SELECT ix, body FROM queue WHERE ix >= ?1 ORDER BY ix", 0, |ix, row| {
        match codec::value_of::<QueueRow>(row.get_ref(1)?.as_blob()?, Table::Queue, ix) {
            Ok(queue) => restorer.queue(ix as u32, queue),
            // Jobs that are in it bring it back, paused. Its number is not taken from here: no checksum covers it.
            Err(error) => damaged.push(error),
        }
        Ok(())
    })
}

fn read_requests(
    db: &Connection,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let mut stale = Vec::new();
    each_row(db, "SELECT n, body FROM request WHERE n >= ?1 ORDER BY n", 0, |n, row| {
        match codec::value_of::<RequestRow>(row.get_ref(1)?.as_blob()?, Table::Request, n) {
            Ok(request) if request.until > now => restorer.request(request),
            Ok(_) => stale.push(n as i64),
            Err(error) => damaged.push(error),
        }
        Ok(())
    })?;
    Ok(stale)
}

/// What was found of jobs.
#[derive(Default)]
struct Jobs {
    index: Index,
    counted: Counted,
    /// Rows are missing that say where jobs stood.
    standings_are_lost: bool,
}

fn read_jobs(
    db: &Connection,
    fold: &Fold,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<Jobs, StoreError> {
    let mut found = Jobs::default();
    let mut waiting: Vec<u64> = fold.waiting.iter().flat_map(|(_, jobs)| jobs.iter().copied()).collect();
    waiting.sort_unstable();
    let mut statement = db.prepare("SELECT seq, body FROM standing ORDER BY seq")?;
    let mut standings = Standings::new(statement.query([])?)?;
    let mut folded = Counted::default();
    let mut last = 0;
    each_row(db, "SELECT first, heads FROM batch WHERE first >= ?1 ORDER BY first", 0, |first, row| {
        found.counted.batches.add(first);
        if first < fold.next_seq {
            folded.batches.add(first);
        }
        // A damaged page can show a row twice; it would be sent twice.
        if first <= last {
            damaged.push(Damaged { table: Table::Batch, key: first, why: "it is out of its place" });
            return Ok(());
        }
        let (records, broken) = batch::read(first, row.get_ref(1)?.as_blob().unwrap_or_default());
        damaged.extend(broken);
        let mut batch = Batch { first, wanted: 0, stored: records.len() as u32 };
        for record in records {
            let standing = standings.of(record.seq, damaged)?;
            last = record.seq;
            if matches!(standing, Stands::Gone) {
                continue;
            }
            batch.wanted += 1;
            if waiting.binary_search(&record.seq).is_ok() {
                continue;
            }
            match record.spec() {
                Ok(spec) => {
                    let job = NewRow { seq: record.seq, spec, payload: bytes::Bytes::new() };
                    match standing {
                        Stands::Fresh => restorer.job(job, None),
                        Stands::At(standing) => restorer.job(job, Some(*standing)),
                        Stands::Lost => restorer.job_in_doubt(job),
                        Stands::Gone => {}
                    }
                }
                Err(error) => damaged.push(error),
            }
        }
        // One without a job that could be read stays for whoever looks into it.
        batch.wanted = batch.wanted.max(u32::from(batch.stored == 0));
        last = last.max(first);
        found.index.push(batch);
        Ok(())
    })?;
    found.counted.standings = standings.finish()?;
    folded.standings = found.counted.standings;
    if folded.batches != fold.counted.batches {
        damaged.push(Damaged { table: Table::Batch, key: 0, why: "rows are missing" });
    }
    if folded.standings != fold.counted.standings {
        damaged.push(Damaged { table: Table::Standing, key: 0, why: "rows are missing" });
        found.standings_are_lost = true;
    }
    Ok(found)
}

/// Where a job stands.
enum Stands {
    /// As it was accepted.
    Fresh,
    At(Box<Standing>),
    /// It is no more.
    Gone,
    /// Its row is damaged.
    Lost,
}

/// The standings, read beside the jobs.
struct Standings<'a> {
    rows: rusqlite::Rows<'a>,
    next: Option<(u64, Vec<u8>)>,
    counted: Census,
}

impl<'a> Standings<'a> {
    fn new(rows: rusqlite::Rows<'a>) -> Result<Standings<'a>, rusqlite::Error> {
        let mut standings = Standings { rows, next: None, counted: Census::default() };
        standings.advance()?;
        Ok(standings)
    }

    fn advance(&mut self) -> Result<(), rusqlite::Error> {
        self.next = match self.rows.next()? {
            None => None,
            Some(row) => {
                let seq = row.get::<_, i64>(0)? as u64;
                self.counted.add(seq);
                Some((seq, row.get(1)?))
            }
        };
        Ok(())
    }

    /// Where a job stands; asked in the order of their numbers.
    fn of(&mut self, seq: u64, damaged: &mut Vec<Damaged>) -> Result<Stands, rusqlite::Error> {
        while self.next.as_ref().is_some_and(|(next, _)| *next < seq) {
            self.advance()?;
        }
        let Some((_, row)) = self.next.as_ref().filter(|(next, _)| *next == seq) else {
            return Ok(Stands::Fresh);
        };
        Ok(match read_standing(row, seq) {
            Ok(Some(standing)) => Stands::At(Box::new(standing)),
            Ok(None) => Stands::Gone,
            Err(error) => {
                damaged.push(error);
                Stands::Lost
            }
        })
    }

    /// The census of all rows.
    fn finish(mut self) -> Result<Census, rusqlite::Error> {
        while self.next.is_some() {
            self.advance()?;
        }
        Ok(self.counted)
    }
}

fn read_log(
    db: &Connection,
    fold: &Fold,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<(u64, Vec<Missing>), StoreError> {
    let of_log = |key, why| Damaged { table: Table::Log, key, why };
    let (mut next_fact, mut least) = (fold.log_from, fold.log_from);
    // How many facts a damaged row held is not known: after it any row may be the next one.
    let mut certain = true;
    let mut accepted = Vec::new();
    let sql = "SELECT first, body FROM log WHERE first >= ?1 ORDER BY first";
    each_row(db, sql, fold.log_from as i64, |first, row| {
        match codec::read_log(row.get_ref(1)?.as_blob()?, first) {
            Ok(_) if first < least => damaged.push(of_log(first, "it is out of its place")),
            Ok((at, changes)) => {
                if certain && first > least {
                    damaged.push(of_log(least, "it is missing"));
                }
                for change in &changes {
                    let missing = restorer.change(at, change);
                    if let (Change::Enqueued { from, count }, true) = (change, missing > 0) {
                        accepted.push(Missing { from: *from, count: *count });
                    }
                }
                let facts: u64 = changes.iter().map(Change::facts).sum();
                least = first + facts.max(1);
                next_fact = next_fact.max(least);
                certain = true;
            }
            Err(error) => {
                next_fact = next_fact.max(first.saturating_add(1));
                certain = false;
                damaged.push(error);
            }
        }
        Ok(())
    })?;
    Ok((next_fact.min(i64::MAX as u64 / 2), accepted))
}

/// A commit of jobs, some of which no row holds.
struct Missing {
    from: u64,
    count: u32,
}

/// Names jobs that were accepted and that no row holds, where none of its rows was named as damaged.
fn name_missing_jobs(accepted: &[Missing], damaged: &mut Vec<Damaged>) {
    for Missing { from, count } in accepted {
        let range = *from..from + u64::from(*count);
        let of_jobs =
            |row: &Damaged| matches!(row.table, Table::Batch | Table::Job) && range.contains(&row.key);
        if !damaged.iter().any(of_jobs) {
            damaged.push(Damaged { table: Table::Batch, key: *from, why: "it is missing" });
        }
    }
}
