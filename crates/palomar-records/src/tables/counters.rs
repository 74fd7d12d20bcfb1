//! `counters`: what happened, by channel, day and kind.

use palomar_model::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::{count, sql};
use crate::error::Result;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A counter: what happened on a channel on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counter {
    /// The channel.
    pub channel: String,
    /// The day in UTC, counted from 1970-01-01.
    pub day: i64,
    /// What: `accepted`, `sent`, `delivered`, `read`, `failed`, `recovered` (from failed), `uncertain`, `cancelled`,
    /// `expired`, `received`.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// The day of a time, in UTC.
pub(crate) const fn day(at: Timestamp) -> i64 {
    at.micros().div_euclid(MICROS_PER_DAY)
}

/// The first moment of a day.
pub(crate) const fn day_start(day: i64) -> Timestamp {
    Timestamp::from_micros(day.saturating_mul(MICROS_PER_DAY))
}

/// Raises a counter.
pub(crate) fn add(connection: &Connection, channel: &str, day: i64, kind: &str, by: u64) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO counters (channel, day, kind, count) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (channel, day, kind) DO UPDATE SET count = counters.count + excluded.count",
    )?;
    statement.execute(params![channel, day, kind, sql(by)])?;
    Ok(())
}

/// All counters of the days from `from` on, in order.
pub(crate) fn since(connection: &Connection, from: i64) -> Result<Vec<Counter>> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, day, kind, count FROM counters WHERE day >= ?1 ORDER BY channel, day, kind",
    )?;
    let mut rows = statement.query([from])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Counter {
            channel: row.get(0)?,
            day: row.get(1)?,
            kind: row.get(2)?,
            count: count(row, 3)?,
        });
    }
    Ok(found)
}
