//! From `queue.db` to a machine: at start-up, and for `store check`.
//!
//! A damaged row is named and set aside; the rest is served. What a lost row may have meant is taken at its worst: a
//! job whose standing is lost is uncertain, and where a part of the log is lost every queue starts paused, because it
//! may have said that something was sent.

use std::time::Duration;

use palomar_model::Timestamp;
use rusqlite::Connection;

use super::codec::{self, Damaged, Table};
use super::store::{Fold, StoreError};
use crate::machine::{
    BudgetRow, Machine, MachineConfig, NewRow, QueueRow, RequestRow, Restorer, Spec, Standing,
};
use crate::types::Budget;

/// What was found on disk.
pub(super) struct Recovered {
    pub(super) machine: Machine,
    pub(super) damaged: Vec<Damaged>,
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
    read_jobs(db, fold, &mut restorer, &mut damaged)?;
    restorer.jobs_are_in();
    let before = damaged.len();
    let next_fact = read_log(db, fold, &mut restorer, &mut damaged)?;
    if damaged.len() > before {
        restorer.pause_all("a part of the log was damaged: some jobs may have been sent; check, then resume");
    }
    Ok(Recovered { machine: restorer.finish(now), damaged, stale_requests, next_fact })
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

fn read_jobs(
    db: &Connection,
    fold: &Fold,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<(), StoreError> {
    let mut gone: Vec<u64> = fold.waiting.iter().flat_map(|(_, jobs)| jobs.iter().copied()).collect();
    gone.sort_unstable();
    let mut last = 0;
    each_row(db, "SELECT seq, spec, standing FROM job WHERE seq >= ?1 ORDER BY seq", 0, |seq, row| {
        if gone.binary_search(&seq).is_ok() {
            return Ok(());
        }
        // A damaged page can show a row twice; it would be sent twice.
        if seq <= last {
            damaged.push(Damaged { table: Table::Job, key: seq, why: "it is out of its place" });
            return Ok(());
        }
        let spec: Spec = match codec::read_spec(row.get_ref(1)?.as_blob()?, seq) {
            Ok(spec) => spec,
            Err(error) => {
                damaged.push(error);
                return Ok(());
            }
        };
        last = seq;
        let job = NewRow { seq, spec, payload: bytes::Bytes::new() };
        match row.get_ref(2)?.as_blob_or_null()? {
            None => restorer.job(job, None),
            Some(standing) => match codec::value_of::<Standing>(standing, Table::Standing, seq) {
                Ok(standing) => restorer.job(job, Some(standing)),
                Err(error) => {
                    restorer.job_in_doubt(job);
                    damaged.push(error);
                }
            },
        }
        Ok(())
    })
}

fn read_log(
    db: &Connection,
    fold: &Fold,
    restorer: &mut Restorer,
    damaged: &mut Vec<Damaged>,
) -> Result<u64, StoreError> {
    let of_log = |key, why| Damaged { table: Table::Log, key, why };
    let (mut next_fact, mut least) = (fold.log_from, fold.log_from);
    // How many facts a damaged row held is not known: after it any row may be the next one.
    let mut certain = true;
    let sql = "SELECT first, body FROM log WHERE first >= ?1 ORDER BY first";
    each_row(db, sql, fold.log_from as i64, |first, row| {
        match codec::read_log(row.get_ref(1)?.as_blob()?, first) {
            Ok(_) if first < least => damaged.push(of_log(first, "it is out of its place")),
            Ok((at, changes)) => {
                if certain && first > least {
                    damaged.push(of_log(least, "it is missing"));
                }
                for change in &changes {
                    restorer.change(at, change);
                }
                let facts: u64 = changes.iter().map(crate::machine::Change::facts).sum();
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
    Ok(next_fact.min(i64::MAX as u64 / 2))
}
