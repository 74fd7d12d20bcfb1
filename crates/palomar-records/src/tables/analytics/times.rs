//! `analytics_times`: how long things took, a page of histograms a row.

use std::collections::BTreeMap;

use palomar_model::analytics::{SeriesId, Stage, Tier, TimesPage};

use super::counts::SERIES_AT_ONCE;
use super::damaged;
use crate::error::Result;
use crate::store::table::{bytes, int};
use crate::store::{Db, Rows, Table, Write, values};

pub(crate) const TIMES: Table = Table {
    name: "analytics_times",
    columns: &[int("tier"), int("series"), int("stage"), int("page"), bytes("times")],
    key: 4,
};

/// The tiers that times are kept in.
pub(crate) const TIERS: [Tier; 2] = [Tier::Day, Tier::QuarterHourly];

/// Which page.
pub(crate) type Key = (Tier, SeriesId, Stage, i64);

/// Adds what is stored to pages, and writes them.
pub(crate) fn add(db: Db<'_>, mut pages: BTreeMap<Key, TimesPage>) -> Result<Write> {
    let mut wanted = Rows::of(const { TIMES.columns.split_at(4).0 });
    for (tier, series, stage, page) in pages.keys() {
        wanted.push(values![tier.code(), series.0, stage.code(), *page]);
    }
    let text = "SELECT tier, series, stage, page, times FROM {wanted}
         JOIN analytics_times USING (tier, series, stage, page)";
    for (key, stored) in db.find(text, &wanted, |row| {
        let stored: Vec<u8> = row.get("times")?;
        let stored = TimesPage::decode(&stored).map_err(damaged(TIMES.name))?;
        let key = (row.get::<i64>("tier")?, row.get::<i64>("series")?, row.small("stage")?, row.get("page")?);
        Ok((key, stored))
    })? {
        let (tier, series, stage, number) = key;
        let tier = TIERS.into_iter().find(|known| known.code() == tier);
        let stage = Stage::ALL.into_iter().find(|known| known.code() == stage);
        let Some((tier, stage)) = tier.zip(stage) else { continue };
        if let Some(page) = pages.get_mut(&(tier, SeriesId(series), stage, number)) {
            page.merge(&stored);
        }
    }
    let mut rows = Rows::of(TIMES.columns);
    for ((tier, series, stage, number), page) in &pages {
        rows.push(values![tier.code(), series.0, stage.code(), *number, page.encode()]);
    }
    let whole = "ON CONFLICT (tier, series, stage, page) DO UPDATE SET times = excluded.times";
    Ok(Write::insert(&TIMES, whole, rows))
}

/// Passes the pages of series and a stage from one number to another on.
pub(crate) fn each(
    db: Db<'_>,
    (tier, stage): (Tier, Stage),
    series: impl Iterator<Item = SeriesId>,
    (first, last): (i64, i64),
    mut to: impl FnMut(SeriesId, i64, TimesPage),
) -> Result<()> {
    if first > last {
        return Ok(());
    }
    let text = format!(
        "SELECT t.series AS series, t.page AS page, t.times AS times FROM {{wanted}} JOIN analytics_times AS t
             ON t.tier = {} AND t.series = wanted.series AND t.stage = {}
                AND t.page >= wanted.first AND t.page <= wanted.last",
        tier.code(),
        stage.code()
    );
    let series: Vec<_> = series.collect();
    for some in series.chunks(SERIES_AT_ONCE) {
        let mut wanted = Rows::of(const { &[int("series"), int("first"), int("last")] });
        some.iter().for_each(|series| wanted.push(values![series.0, first, last]));
        db.find(&text, &wanted, |row| {
            let times: Vec<u8> = row.get("times")?;
            let page = TimesPage::decode(&times).map_err(damaged(TIMES.name))?;
            to(SeriesId(row.get("series")?), row.get("page")?, page);
            Ok(())
        })?;
    }
    Ok(())
}

/// Forgets up to `limit` pages of a tier that are before a number, the oldest first; how many it were.
pub(crate) fn forget_before(db: Db<'_>, tier: Tier, page: i64, limit: usize) -> Result<u64> {
    let text = "DELETE FROM analytics_times WHERE (tier, series, stage, page) IN (
             SELECT tier, series, stage, page FROM analytics_times WHERE tier = $1 AND page < $2 ORDER BY page LIMIT $3)";
    db.execute(text, &values![tier.code(), page, limit as u64])
}
