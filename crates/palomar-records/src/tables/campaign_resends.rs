//! `campaign_resends`: which campaigns go to the failed of which.
//!
//! Always: a row stays when its campaign is deleted that had begun, so that whoever got a message of it is known.

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const RESENDS: Table =
    Table { name: "campaign_resends", columns: &[int("source"), int("number"), text("id")], key: 2 };

/// A campaign that goes to the failed of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub id: String,
}

/// Those that go to the failed of a campaign, the oldest first.
pub(crate) fn of(db: Db<'_>, source: u64) -> Result<Vec<Resent>> {
    let text = "SELECT number, id FROM campaign_resends WHERE source = $1 ORDER BY number";
    db.rows(text, &values![source], |row| Ok(Resent { number: row.count("number")?, id: row.get("id")? }))
}

/// Notes one more.
pub(crate) fn add(db: Db<'_>, source: u64, resent: &Resent) -> Result<()> {
    let text = "INSERT INTO campaign_resends (source, number, id) VALUES ($1, $2, $3)";
    db.execute(text, &values![source, resent.number, resent.id.as_str()])?;
    Ok(())
}

/// Forgets one that nobody got anything of.
pub(crate) fn forget(db: Db<'_>, number: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_resends WHERE number = $1", &values![number])?;
    Ok(())
}
