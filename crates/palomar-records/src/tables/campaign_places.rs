//! `campaign_places`: how far the audiences of a campaign that has begun were read.

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const PLACES: Table = Table {
    name: "campaign_places",
    columns: &[int("campaign"), int("source"), text("last"), int("seen")],
    key: 1,
};

/// How far the audiences of a campaign were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudiencePlace {
    /// Which of them is being read.
    pub source: u64,
    /// After whom it goes on; none at its beginning.
    pub after: Option<String>,
    /// Contacts that were read, of all.
    pub read: u64,
}

/// How far they were read; the beginning where they were not.
pub(crate) fn get(db: Db<'_>, campaign: u64) -> Result<AudiencePlace> {
    let text = "SELECT source, last, seen FROM campaign_places WHERE campaign = $1";
    let found = db.row(text, &values![campaign], |row| {
        Ok(AudiencePlace { source: row.count("source")?, after: row.get("last")?, read: row.count("seen")? })
    })?;
    Ok(found.unwrap_or_default())
}

/// Keeps how far they were read.
pub(crate) fn put(db: Db<'_>, campaign: u64, place: &AudiencePlace) -> Result<()> {
    let text = "INSERT INTO campaign_places (campaign, source, last, seen) VALUES ($1, $2, $3, $4)
         ON CONFLICT (campaign) DO UPDATE SET source = excluded.source, last = excluded.last, seen = excluded.seen";
    db.execute(text, &values![campaign, place.source, place.after.as_deref(), place.read])?;
    Ok(())
}

/// Forgets a campaign's.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_places WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
