//! Whether the records are what they should be (I12), and how large they are.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Serialize;

use crate::error::Result;
use crate::tables::counters::{self, day, day_start};
use crate::tables::{cursors, journal, messages};

/// What a check found. Sound where `problems` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordsCheck {
    /// What is wrong, each in a line.
    pub problems: Vec<String>,
    /// Counters that were compared with the journal.
    pub counters_compared: u64,
}

/// The records in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordsInfo {
    /// The schema they have.
    pub schema: i64,
    /// The version of SQLite.
    pub sqlite: &'static str,
    /// The size of the database in bytes, without what is not in it yet (its write-ahead log).
    pub bytes: u64,
    /// Messages by status.
    pub messages: BTreeMap<String, u64>,
    /// How far the rows reach in the event log.
    pub cursor: u64,
}

/// More lines of one kind say nothing more.
const MAX_PROBLEMS: usize = 100;

pub(crate) fn check(connection: &Connection) -> Result<RecordsCheck> {
    let mut found = RecordsCheck { problems: integrity(connection)?, counters_compared: 0 };
    // The day in which the journal begins may have lost its morning.
    let Some(oldest) = journal::oldest(connection)? else {
        return Ok(found);
    };
    let starts_at_first_fact = cursors_begin(connection)?;
    let from = if starts_at_first_fact { day(oldest) } else { day(oldest) + 1 };
    let recounted = recount(connection, from)?;
    let stored: BTreeMap<_, _> = counters::since(connection, from)?
        .into_iter()
        .map(|counter| ((counter.channel, counter.day, counter.kind), counter.count))
        .collect();
    let keys: std::collections::BTreeSet<_> = recounted.keys().chain(stored.keys()).collect();
    for key in keys {
        found.counters_compared += 1;
        let [by_journal, kept] = [&recounted, &stored].map(|counts| counts.get(key).copied().unwrap_or(0));
        if by_journal != kept && found.problems.len() < MAX_PROBLEMS {
            let (channel, day, kind) = key;
            found.problems.push(format!(
                "counter {kind} of {channel} on day {day} is {kept}, the journal has {by_journal}"
            ));
        }
    }
    Ok(found)
}

pub(crate) fn info(connection: &Connection, projection: &str) -> Result<RecordsInfo> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(RecordsInfo {
        schema: crate::store::schema(connection)?,
        sqlite: rusqlite::version(),
        bytes: u64::try_from(pages.saturating_mul(page_size)).unwrap_or(0),
        messages: messages::by_status(connection)?.into_iter().collect(),
        cursor: cursors::get(connection, projection)?,
    })
}

fn integrity(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Whether the journal still has the very first fact, so that its first day is whole.
fn cursors_begin(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT COALESCE(MIN(cursor), 0) <= 1 FROM journal", [], |row| row.get(0))?)
}

fn recount(connection: &Connection, from: i64) -> Result<BTreeMap<(String, i64, String), u64>> {
    let mut counts = BTreeMap::new();
    journal::counted(connection, day_start(from), |channel, at, kinds| {
        for kind in kinds.split(' ') {
            *counts.entry((channel.to_owned(), day(at), kind.to_owned())).or_insert(0) += 1;
        }
    })?;
    Ok(counts)
}
