//! `counters`: what happened, by channel, day and kind.

use palomar_model::Timestamp;
use serde::Serialize;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Value, Write, values};

pub(crate) const COUNTERS: Table =
    Table { name: "counters", columns: &[text("channel"), int("day"), text("kind"), int("count")], key: 3 };

/// What a day has of the unit that times are kept in.
pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

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

/// Raises counters, each once: channel, day, kind, by how much.
pub(crate) fn add<'a>(raised: impl Iterator<Item = (&'a str, i64, &'a str, u64)>) -> Write {
    let mut rows = Rows::of(COUNTERS.columns);
    raised.for_each(|(channel, day, kind, by)| rows.push(values![channel, day, kind, by]));
    let sum = "ON CONFLICT (channel, day, kind) DO UPDATE SET count = counters.count + excluded.count";
    Write::insert(&COUNTERS, sum, rows)
}

/// All counters of the days from `from` on, in order.
pub(crate) fn since(db: Db<'_>, from: i64) -> Result<Vec<Counter>> {
    let text = "SELECT channel, day, kind, count FROM counters WHERE day >= $1 ORDER BY channel, day, kind";
    db.rows(text, &[Value::from(from)], |row| {
        Ok(Counter {
            channel: row.get("channel")?,
            day: row.get("day")?,
            kind: row.get("kind")?,
            count: row.count("count")?,
        })
    })
}
