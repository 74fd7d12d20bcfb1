//! `reports`: up to when reports were told that are told by themselves.
//!
//! Always: the time of a kind and way never goes back.

use palomar_model::Timestamp;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const REPORTS: Table =
    Table { name: "reports", columns: &[text("kind"), text("way"), int("told_until")], key: 2 };

/// Up to when a kind was told this way; nothing where it never was set up.
pub(crate) fn told_until(db: Db<'_>, kind: &str, way: &str) -> Result<Option<Timestamp>> {
    let text = "SELECT told_until FROM reports WHERE kind = $1 AND way = $2";
    db.row(text, &values![kind, way], |row| row.time("told_until"))
}

/// Notes that a kind was told this way up to then.
pub(crate) fn tell(db: Db<'_>, kind: &str, way: &str, until: Timestamp) -> Result<()> {
    let text = "INSERT INTO reports (kind, way, told_until) VALUES ($1, $2, $3)
         ON CONFLICT (kind, way) DO UPDATE SET told_until = excluded.told_until
         WHERE reports.told_until < excluded.told_until";
    db.execute(text, &values![kind, way, until])?;
    Ok(())
}
