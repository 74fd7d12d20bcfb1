//! `analytics_counts`: how often what happened, a page of slots a row.

use std::collections::BTreeMap;

use palomar_model::analytics::{Page, SeriesId, Tier};

use super::damaged;
use crate::error::Result;
use crate::store::table::{bytes, int};
use crate::store::{Db, Rows, Table, Write, values};

pub(crate) const COUNTS: Table = Table {
    name: "analytics_counts",
    columns: &[int("tier"), int("series"), int("page"), bytes("counts")],
    key: 3,
};

/// The tiers that counts are kept in.
pub(crate) const TIERS: [Tier; 2] = [Tier::Minute, Tier::Quarter];

/// Which page.
pub(crate) type Key = (Tier, SeriesId, i64);

/// Adds what is stored to pages, and writes them.
pub(crate) fn add(db: Db<'_>, mut pages: BTreeMap<Key, Page>) -> Result<Write> {
    let mut wanted = Rows::of(const { COUNTS.columns.split_at(3).0 });
    pages.keys().for_each(|(tier, series, page)| wanted.push(values![tier.code(), series.0, *page]));
    let text =
        "SELECT tier, series, page, counts FROM {wanted} JOIN analytics_counts USING (tier, series, page)";
    for (tier, series, number, stored) in db.find(text, &wanted, |row| {
        let stored: Vec<u8> = row.get("counts")?;
        let stored = Page::decode(&stored).map_err(damaged(COUNTS.name))?;
        Ok((row.get::<i64>("tier")?, SeriesId(row.get("series")?), row.get::<i64>("page")?, stored))
    })? {
        let tier = TIERS.into_iter().find(|known| known.code() == tier);
        if let Some(page) = tier.and_then(|tier| pages.get_mut(&(tier, series, number))) {
            let new = std::mem::replace(page, stored);
            page.merge(&new);
        }
    }
    let mut rows = Rows::of(COUNTS.columns);
    for ((tier, series, number), page) in &pages {
        rows.push(values![tier.code(), series.0, *number, page.encode()]);
    }
    Ok(Write::insert(
        &COUNTS,
        "ON CONFLICT (tier, series, page) DO UPDATE SET counts = excluded.counts",
        rows,
    ))
}

/// The pages of so many series are in memory together, where the engine answers with all rows at once.
pub(super) const SERIES_AT_ONCE: usize = 64;

/// Passes the pages of series from one number to another on: series, number, bytes.
pub(crate) fn each(
    db: Db<'_>,
    tier: Tier,
    series: impl Iterator<Item = SeriesId>,
    (first, last): (i64, i64),
    mut to: impl FnMut(SeriesId, i64, &[u8]) -> Result<()>,
) -> Result<()> {
    let text = format!(
        "SELECT c.series AS series, c.page AS page, c.counts AS counts FROM {{wanted}} JOIN analytics_counts AS c
             ON c.tier = {} AND c.series = wanted.series AND c.page >= wanted.first AND c.page <= wanted.last",
        tier.code()
    );
    let series: Vec<_> = series.collect();
    for some in series.chunks(SERIES_AT_ONCE) {
        let mut wanted = Rows::of(const { &[int("series"), int("first"), int("last")] });
        some.iter().for_each(|series| wanted.push(values![series.0, first, last]));
        db.find(&text, &wanted, |row| {
            let counts: Vec<u8> = row.get("counts")?;
            to(SeriesId(row.get("series")?), row.get("page")?, &counts)
        })?;
    }
    Ok(())
}

/// Forgets up to `limit` pages of a tier that are before a number, the oldest first; how many it were.
pub(crate) fn forget_before(db: Db<'_>, tier: Tier, page: i64, limit: usize) -> Result<u64> {
    let text = "DELETE FROM analytics_counts WHERE (tier, series, page) IN (
             SELECT tier, series, page FROM analytics_counts WHERE tier = $1 AND page < $2 ORDER BY page LIMIT $3)";
    db.execute(text, &values![tier.code(), page, limit as u64])
}

/// A reader of pages, for whoever wants to know whether one can be read.
pub(crate) fn read(bytes: &[u8], to: impl FnMut(u16, u64, u64)) -> Result<()> {
    Page::each(bytes, to).map_err(damaged(COUNTS.name))
}
