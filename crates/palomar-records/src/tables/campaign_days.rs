//! `campaign_days`: what of the cap of a day was given out.

use palomar_model::Daily;

use crate::error::Result;
use crate::store::table::int;
use crate::store::{Db, Table, values};

pub(crate) const DAYS: Table =
    Table { name: "campaign_days", columns: &[int("campaign"), int("day"), int("taken")], key: 1 };

/// What was given out; nothing where nothing ever was.
pub(crate) fn get(db: Db<'_>, campaign: u64) -> Result<Daily> {
    let text = "SELECT day, taken FROM campaign_days WHERE campaign = $1";
    let found = db.row(text, &values![campaign], |row| {
        Ok(Daily { day: row.get("day")?, taken: row.count("taken")? })
    })?;
    Ok(found.unwrap_or_default())
}

/// Keeps what was given out.
pub(crate) fn put(db: Db<'_>, campaign: u64, daily: Daily) -> Result<()> {
    let text = "INSERT INTO campaign_days (campaign, day, taken) VALUES ($1, $2, $3)
         ON CONFLICT (campaign) DO UPDATE SET day = excluded.day, taken = excluded.taken";
    db.execute(text, &values![campaign, daily.day, daily.taken])?;
    Ok(())
}

/// Forgets a campaign's.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_days WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
