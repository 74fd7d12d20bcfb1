//! From when on analytics are whole: what is older has been forgotten, and what is told of that time later stands alone.
//! Kept with the cursors, as the number of the first whole page.

use palomar_model::Timestamp;

use crate::Partition;
use crate::error::Result;
use crate::store::{Db, values};
use crate::tables::cursors;

/// What it is kept as.
pub(crate) const MINUTES: &str = "analytics_minutes";

/// Minutes are whole from a page on; never from an earlier one than before.
pub(crate) fn minutes_from(db: Db<'_>, page: i64, now: Timestamp) -> Result<()> {
    let text = "INSERT INTO cursors (projection, partition, cursor, at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (projection, partition) DO UPDATE SET cursor = excluded.cursor, at = excluded.at
         WHERE cursors.cursor < excluded.cursor";
    db.execute(text, &values![MINUTES, Partition::WHOLE.0, page.max(0), now])?;
    Ok(())
}

/// The first page of minutes that is whole.
pub(crate) fn whole_minutes(db: Db<'_>) -> Result<i64> {
    let page = cursors::get(db, MINUTES, Partition::WHOLE)?;
    Ok(i64::try_from(page).unwrap_or(i64::MAX))
}
