//! `followers`: which node follows the event log for a projection. The right to it ends by itself, by the database's
//! own clock, so that a node that dies holds it for a moment only.

use std::time::Duration;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const FOLLOWERS: Table =
    Table { name: "followers", columns: &[text("projection"), text("node"), int("until")], key: 1 };

/// Who follows the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// The node that asked.
    This,
    /// Another one.
    Another,
}

/// Takes the right to follow for so long where nobody else has it, or keeps it.
pub(crate) fn take(db: Db<'_>, projection: &str, node: &str, hold: Duration) -> Result<Follower> {
    let now = db.now()?;
    let text = "INSERT INTO followers (projection, node, until) VALUES ($1, $2, $3)
         ON CONFLICT (projection) DO UPDATE SET node = excluded.node, until = excluded.until
         WHERE followers.node = excluded.node OR followers.until <= $4";
    let taken = db.execute(text, &values![projection, node, now.after(hold), now])?;
    Ok(if taken == 1 { Follower::This } else { Follower::Another })
}

/// Lets go of it, where this node has it.
pub(crate) fn let_go(db: Db<'_>, projection: &str, node: &str) -> Result<()> {
    db.execute("DELETE FROM followers WHERE projection = $1 AND node = $2", &values![projection, node])?;
    Ok(())
}
