//! `pool_contacts`: which line of a pool writes to whom, from its first message on.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, Timestamp};

use super::parsed;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const POOL_CONTACTS: Table = Table {
    name: "pool_contacts",
    columns: &[text("pool"), text("match_key"), text("channel"), int("since")],
    key: 2,
};

/// To how many each line of a pool writes.
pub(crate) fn counts(db: Db<'_>, pool: &ChannelName) -> Result<BTreeMap<ChannelName, u64>> {
    let text = "SELECT channel, COUNT(*) AS count FROM pool_contacts WHERE pool = $1 GROUP BY channel";
    let counts = db.rows(text, &values![pool], |row| {
        Ok((parsed::<ChannelName>(row, POOL_CONTACTS.name, "channel")?, row.count("count")?))
    })?;
    Ok(counts.into_iter().collect())
}

/// The line that writes to somebody: the one that did before, where it is one of `lines`; else the one of `ready` that
/// writes to the fewest, from now on.
pub(crate) fn line_for(
    db: Db<'_>,
    pool: &ChannelName,
    lines: &[ChannelName],
    ready: &[ChannelName],
    counts: &mut BTreeMap<ChannelName, u64>,
    key: &str,
    now: Timestamp,
) -> Result<Option<ChannelName>> {
    let known = kept(db, pool, key)?;
    if known.as_ref().is_some_and(|known| lines.contains(known)) {
        return Ok(known);
    }
    let has = |line: &&ChannelName| counts.get(*line).copied().unwrap_or(0);
    let Some(chosen) = ready.iter().min_by_key(has) else { return Ok(None) };
    *counts.entry(chosen.clone()).or_default() += 1;
    match known {
        None => {
            let text = "INSERT INTO pool_contacts (pool, match_key, channel, since) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (pool, match_key) DO NOTHING";
            db.execute(text, &values![pool, key, chosen, now])?
        }
        Some(gone) => {
            let text = "UPDATE pool_contacts SET channel = $1, since = $2
                 WHERE pool = $3 AND match_key = $4 AND channel = $5";
            db.execute(text, &values![chosen, now, pool, key, &gone])?
        }
    };
    // Whoever chose at the same time, and was first, chose for both.
    Ok(kept(db, pool, key)?.filter(|kept| lines.contains(kept)))
}

/// The line that is kept for somebody.
fn kept(db: Db<'_>, pool: &ChannelName, key: &str) -> Result<Option<ChannelName>> {
    let text = "SELECT channel FROM pool_contacts WHERE pool = $1 AND match_key = $2";
    db.row(text, &values![pool, key], |row| parsed::<ChannelName>(row, POOL_CONTACTS.name, "channel"))
}
