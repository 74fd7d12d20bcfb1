//! `analytics_tracked`: what messages of others are told to have done. Each counts once, by its id; the rows are also what
//! they are counted again from.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use palomar_model::Timestamp;
use palomar_model::analytics::{Metric, SeriesId, Stage};

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, values};
use crate::tables::parsed;
use crate::tally::Tally;

pub(crate) const TRACKED: Table = Table {
    name: "analytics_tracked",
    columns: &[
        text("id"),
        int("at"),
        text("kind"),
        int("series"),
        int("reason"),
        int("stage"),
        int("took"),
        int("noted"),
    ],
    key: 1,
};

/// An event as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) at: Timestamp,
    pub(crate) metric: Metric,
    pub(crate) series: SeriesId,
    /// The code of a failure's reason.
    pub(crate) reason: Option<u64>,
    /// What took how long.
    pub(crate) took: Option<(Stage, Duration)>,
}

/// Those of these ids that are known.
pub(crate) fn known<'a>(db: Db<'_>, ids: impl Iterator<Item = &'a str>) -> Result<HashSet<String>> {
    let mut wanted = Rows::of(const { &[text("id")] });
    ids.for_each(|id| wanted.push(values![id]));
    let found =
        db.find("SELECT id FROM {wanted} JOIN analytics_tracked USING (id)", &wanted, |row| row.get("id"))?;
    Ok(found.into_iter().collect())
}

/// Keeps events, each under its id.
pub(crate) fn add(events: &BTreeMap<&str, Tracked>, noted: Timestamp) -> Write {
    let mut rows = Rows::of(TRACKED.columns);
    for (id, event) in events {
        let number =
            |number: Option<u64>| number.map_or(crate::store::Value::Int(None), crate::store::Value::from);
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        rows.push(values![
            *id,
            event.at,
            event.metric.as_str(),
            event.series.0,
            number(event.reason),
            number(event.took.map(|(stage, _)| stage.code().into())),
            number(event.took.map(|(_, took)| micros(took))),
            noted,
        ]);
    }
    Write::insert(&TRACKED, "", rows)
}

/// Counts all of them again.
pub(crate) fn recount(db: Db<'_>, tally: &mut Tally) -> Result<()> {
    let text = "SELECT t.at AS at, t.kind AS kind, t.series AS series, t.reason AS reason, t.stage AS stage,
             t.took AS took, s.channel AS channel, s.campaign AS campaign
         FROM analytics_tracked AS t JOIN analytics_series AS s ON s.id = t.series";
    db.rows(text, &[], |row| {
        let (series, at) = (SeriesId(row.get("series")?), row.time("at")?);
        tally.stored(series, &row.get::<String>("channel")?, &row.get::<String>("campaign")?);
        tally.count(series, at, parsed(row, TRACKED.name, "kind")?);
        if let Some(reason) = row.get::<Option<i64>>("reason")? {
            tally.failed_as(series, at, u64::try_from(reason).unwrap_or(0));
        }
        let stage = row.get::<Option<i64>>("stage")?;
        let stage = Stage::ALL.into_iter().find(|known| Some(i64::from(known.code())) == stage);
        if let Some((stage, took)) = stage.zip(row.get::<Option<i64>>("took")?) {
            tally.time(series, at, stage, Duration::from_micros(took.unsigned_abs()));
        }
        Ok(())
    })?;
    Ok(())
}

/// Forgets up to `limit` events that were told before, the oldest first; how many it were.
pub(crate) fn forget_before(db: Db<'_>, before: Timestamp, limit: usize) -> Result<u64> {
    let text = "DELETE FROM analytics_tracked WHERE id IN (
             SELECT id FROM analytics_tracked WHERE noted < $1 ORDER BY noted LIMIT $2)";
    db.execute(text, &values![before, limit as u64])
}
