//! `analytics_series`: what counts are of.

use palomar_model::analytics::{Series, SeriesId};
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, values};

pub(crate) const SERIES: Table = Table {
    name: "analytics_series",
    columns: &[
        int("id"),
        int("depth"),
        text("channel"),
        text("campaign"),
        text("template"),
        text("type"),
        text("country"),
        text("priority"),
        int("kept"),
    ],
    key: 1,
};

/// The first 63 bits of a hash of words.
pub(super) fn sum<'a>(words: impl Iterator<Item = &'a str>) -> u64 {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word);
        hash.update([0]);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first) >> 1
}

/// What a series is stored under.
pub(crate) fn id(series: &Series) -> SeriesId {
    let depth = series.depth().to_string();
    let words = std::iter::once(depth.as_str()).chain(series.parts().iter().map(String::as_str));
    SeriesId(i64::try_from(sum(words)).unwrap_or(i64::MAX))
}

/// Writes down what series are of; whether they are kept for good, once messages are in them.
pub(crate) fn add<'a>(series: impl Iterator<Item = (&'a SeriesId, &'a Series)>, kept: bool) -> Write {
    let mut rows = Rows::of(SERIES.columns);
    for (id, series) in series {
        let [channel, campaign, template, kind, country, priority] = series.parts();
        rows.push(values![
            id.0,
            series.depth() as u64,
            channel.as_str(),
            campaign.as_str(),
            template.as_str(),
            kind.as_str(),
            country.as_str(),
            priority.as_str(),
            u64::from(kept),
        ]);
    }
    let kept = "ON CONFLICT (id) DO UPDATE SET kept = excluded.kept
         WHERE analytics_series.kept = 0 AND excluded.kept = 1";
    Write::insert(&SERIES, kept, rows)
}

/// All series of a depth.
pub(crate) fn of_depth(db: Db<'_>, depth: usize) -> Result<Vec<(SeriesId, Series)>> {
    db.rows("SELECT * FROM analytics_series WHERE depth = $1", &values![depth as u64], series)
}

/// All series.
pub(crate) fn all(db: Db<'_>) -> Result<Vec<(SeriesId, Series)>> {
    db.rows("SELECT * FROM analytics_series", &[], series)
}

/// Forgets series that no page and no message speaks of, among the first `limit` after one that need not be kept; how many,
/// and the last that was looked at, where there may be more.
pub(crate) fn forget_empty(db: Db<'_>, after: SeriesId, limit: usize) -> Result<(u64, Option<SeriesId>)> {
    let looked = "SELECT id FROM analytics_series WHERE kept = 0 AND id > $1 ORDER BY id LIMIT $2";
    let looked = db.rows(looked, &values![after.0, limit as u64], |row| row.get::<i64>("id"))?;
    let Some(last) = looked.last().copied() else { return Ok((0, None)) };
    let text = "DELETE FROM analytics_series WHERE kept = 0 AND id > $1 AND id <= $2
         AND NOT EXISTS (SELECT 1 FROM analytics_counts AS c WHERE c.tier IN (0, 1) AND c.series = analytics_series.id)
         AND NOT EXISTS (SELECT 1 FROM analytics_times AS t WHERE t.tier IN (2, 3) AND t.series = analytics_series.id)";
    let forgotten = db.execute(text, &values![after.0, last])?;
    Ok((forgotten, (looked.len() == limit).then_some(SeriesId(last))))
}

fn series(row: &Row<'_>) -> Result<(SeriesId, Series)> {
    let parts = [
        row.get("channel")?,
        row.get("campaign")?,
        row.get("template")?,
        row.get("type")?,
        row.get("country")?,
        row.get("priority")?,
    ];
    Ok((SeriesId(row.get("id")?), Series::stored(parts, row.small("depth")? as usize)))
}
