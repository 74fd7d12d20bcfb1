//! Whether the records are what they should be (I8, I12), and how large they are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;
use crate::recount;
use crate::store::{Db, migrate};
use crate::tables::counters::{self, day};
use crate::tables::{campaign_counts, cursors, journal, messages};

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
    /// The size of the database in bytes, without what is not in it yet (its write-ahead log).
    pub bytes: u64,
    /// Messages by status.
    pub messages: BTreeMap<String, u64>,
    /// How far the rows reach in each partition of the event log.
    pub cursors: BTreeMap<u32, u64>,
}

/// More lines of one kind say nothing more.
const MAX_PROBLEMS: usize = 100;

pub(crate) fn check(db: Db<'_>) -> Result<RecordsCheck> {
    let mut found = RecordsCheck { problems: integrity(db)?, counters_compared: 0 };
    found.problems.extend(campaign_counts::check(db)?.into_iter().take(MAX_PROBLEMS));
    let Some((first, oldest)) = journal::oldest(db)? else {
        return Ok(found);
    };
    // The day in which the journal begins may have lost its morning, unless its very first entry is still there.
    let from = if first <= 1 { day(oldest) } else { day(oldest) + 1 };
    let mut recounted: BTreeMap<_, u64> = BTreeMap::new();
    for part in journal::counted(db, from)? {
        *recounted.entry((part.channel, part.day, part.kind)).or_default() += part.count;
    }
    let stored: BTreeMap<_, _> = counters::since(db, from)?
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
    if found.problems.len() < MAX_PROBLEMS {
        let recounted = recount::check(db, from, MAX_PROBLEMS - found.problems.len())?;
        found.problems.extend(recounted.problems);
        found.counters_compared += recounted.compared;
    }
    Ok(found)
}

pub(crate) fn info(db: Db<'_>, projection: &str) -> Result<RecordsInfo> {
    let cursors = cursors::all(db, projection)?;
    Ok(RecordsInfo {
        schema: migrate::look(db)?.found,
        bytes: bytes(db)?,
        messages: messages::by_status(db)?.into_iter().collect(),
        cursors: cursors.into_iter().map(|(partition, cursor)| (partition.0, cursor)).collect(),
    })
}

fn bytes(db: Db<'_>) -> Result<u64> {
    let text = match db {
        Db::Sqlite(_) => "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
        Db::Postgres(_) => "SELECT pg_database_size(current_database()) AS bytes",
    };
    Ok(db.row(text, &[], |row| row.count("bytes"))?.unwrap_or(0))
}

/// What the engine itself finds wrong with its files. PostgreSQL keeps checksums of its own.
fn integrity(db: Db<'_>) -> Result<Vec<String>> {
    match db {
        Db::Sqlite(_) => {
            let text =
                "SELECT integrity_check AS line FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
            db.rows(text, &[], |row| row.get("line"))
        }
        Db::Postgres(_) => Ok(Vec::new()),
    }
}
