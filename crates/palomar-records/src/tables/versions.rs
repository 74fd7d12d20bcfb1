//! `versions`: how often what people set up has changed. A node that remembers the number sees, by one small read, that
//! another node changed something. Also the last number that was given to a campaign.

use super::{api_keys, channels};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const VERSIONS: Table =
    Table { name: "versions", columns: &[text("what"), int("version")], key: 1 };

/// The versions of what people set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of the channels.
    pub channels: u64,
    /// Of the keys.
    pub keys: u64,
}

/// Says, in the transaction that changes a table, that it has changed. Whoever does so at the same time waits: a version
/// is seen after what it stands for.
pub(crate) fn raise(db: Db<'_>, table: &Table) -> Result<()> {
    let text = "INSERT INTO versions (what, version) VALUES ($1, 1)
         ON CONFLICT (what) DO UPDATE SET version = versions.version + 1";
    db.execute(text, &values![table.name])?;
    Ok(())
}

/// The next number for a row of a table, greater than all that were given, and than `at_least`.
pub(crate) fn next(db: Db<'_>, table: &Table, at_least: u64) -> Result<u64> {
    let last = db.row("SELECT version FROM versions WHERE what = $1", &values![table.name], |row| {
        row.count("version")
    })?;
    let next = at_least.max(last.unwrap_or(0) + 1);
    let text = "INSERT INTO versions (what, version) VALUES ($1, $2)
         ON CONFLICT (what) DO UPDATE SET version = excluded.version";
    db.execute(text, &values![table.name, next])?;
    Ok(next)
}

/// The versions as they are.
pub(crate) fn get(db: Db<'_>) -> Result<Versions> {
    let rows = db.rows("SELECT what, version FROM versions", &[], |row| {
        Ok((row.get::<String>("what")?, row.count("version")?))
    })?;
    let of =
        |table: &Table| rows.iter().find(|(what, _)| what == table.name).map_or(0, |(_, version)| *version);
    Ok(Versions { channels: of(&channels::CHANNELS), keys: of(&api_keys::API_KEYS) })
}
