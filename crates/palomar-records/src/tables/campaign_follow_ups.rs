//! `campaign_follow_ups` and `campaign_follow_looks`: what was decided of whom for a step after the first, and when a batch is
//! looked at again.
//!
//! Always: what was decided of somebody stays so.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::Timestamp;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, values};

pub(crate) const FOLLOW_UPS: Table = Table {
    name: "campaign_follow_ups",
    columns: &[int("campaign"), int("step"), int("lane"), int("place"), text("outcome"), int("queued")],
    key: 4,
};

pub(crate) const LOOKS: Table = Table {
    name: "campaign_follow_looks",
    columns: &[int("campaign"), int("step"), int("batch"), int("look_at"), int("undone")],
    key: 3,
};

/// The word for those who get a message.
pub const SEND: &str = "send";

/// What was decided of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `send`, or why they get nothing.
    pub outcome: String,
    /// Whether the message is queued, or there is none.
    pub queued: bool,
}

/// How far the steps after the first are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowTotals {
    /// Batches, each counted for each step, that are looked at.
    pub looks: u64,
    /// Of these, those in which somebody is undecided, or a message is to be queued.
    pub undone: u64,
}

/// Batches that were fed are looked at for a step, so long after that at first.
pub(crate) fn plan(db: Db<'_>, campaign: u64, step: u32, after: Duration) -> Result<()> {
    let text = "INSERT INTO campaign_follow_looks (campaign, step, batch, look_at, undone)
         SELECT campaign, CAST($2 AS BIGINT), number, COALESCE(fed_at, queued_at, 0) + CAST($3 AS BIGINT), 1
         FROM campaign_batches WHERE campaign = $1 AND state = 'fed'
         ON CONFLICT DO NOTHING";
    let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX >> 1);
    db.execute(text, &values![campaign, step, micros])?;
    Ok(())
}

/// Batches whose time has come, by step and number, the first first.
pub(crate) fn due(db: Db<'_>, campaign: u64, now: Timestamp, limit: usize) -> Result<Vec<(u32, u32)>> {
    let text = "SELECT step, batch FROM campaign_follow_looks
         WHERE campaign = $1 AND undone = 1 AND look_at <= $2 ORDER BY look_at, step, batch LIMIT $3";
    db.rows(text, &values![campaign, now, limit as u64], |row| Ok((row.small("step")?, row.small("batch")?)))
}

/// A batch is looked at again then, where something of it is left to do.
pub(crate) fn looked(
    db: Db<'_>,
    campaign: u64,
    step: u32,
    batch: u32,
    again: Option<Timestamp>,
) -> Result<()> {
    let text = "UPDATE campaign_follow_looks SET look_at = COALESCE($4, look_at), undone = $5
         WHERE campaign = $1 AND step = $2 AND batch = $3";
    db.execute(text, &values![campaign, step, batch, again, i64::from(again.is_some())])?;
    Ok(())
}

/// What was decided of a stretch of a lane, by place.
pub(crate) fn stretch(
    db: Db<'_>,
    campaign: u64,
    step: u32,
    lane: u32,
    (first, size): (u64, u64),
) -> Result<BTreeMap<u64, Decision>> {
    let text = "SELECT place, outcome, queued FROM campaign_follow_ups
         WHERE campaign = $1 AND step = $2 AND lane = $3 AND place >= $4 AND place < $5";
    let rows = db.rows(text, &values![campaign, step, lane, first, first.saturating_add(size)], |row| {
        let decision = Decision { outcome: row.get("outcome")?, queued: row.get::<i64>("queued")? != 0 };
        Ok((row.count("place")?, decision))
    })?;
    Ok(rows.into_iter().collect())
}

/// Keeps what is decided of those of a lane of whom nothing was.
pub(crate) fn decide(
    db: Db<'_>,
    campaign: u64,
    step: u32,
    lane: u32,
    outcomes: &[(u64, &'static str)],
) -> Result<()> {
    let mut rows = Rows::of(FOLLOW_UPS.columns);
    for (place, outcome) in outcomes {
        rows.push(values![campaign, step, lane, *place, *outcome, i64::from(*outcome != SEND)]);
    }
    db.write(vec![Write::insert(&FOLLOW_UPS, "ON CONFLICT DO NOTHING", rows)])
}

/// The messages of these of a lane are queued; those with a word get none after all.
pub(crate) fn queued(
    db: Db<'_>,
    campaign: u64,
    step: u32,
    lane: u32,
    outcomes: &[(u64, &'static str)],
) -> Result<()> {
    let mut rows = Rows::of(FOLLOW_UPS.columns);
    for (place, outcome) in outcomes {
        rows.push(values![campaign, step, lane, *place, *outcome, 1_i64]);
    }
    db.write(vec![Write::update(&FOLLOW_UPS, rows)])
}

/// How far a campaign's are.
pub(crate) fn totals(db: Db<'_>, campaign: u64) -> Result<FollowTotals> {
    let text = "SELECT COUNT(*) AS looks, CAST(COALESCE(SUM(undone), 0) AS BIGINT) AS undone
         FROM campaign_follow_looks WHERE campaign = $1";
    let found = db.row(text, &values![campaign], |row| {
        Ok(FollowTotals { looks: row.count("looks")?, undone: row.count("undone")? })
    })?;
    Ok(found.unwrap_or_default())
}

/// How many messages of each step were decided on.
pub(crate) fn to_send(db: Db<'_>, campaign: u64) -> Result<BTreeMap<u32, u64>> {
    let text = "SELECT step, COUNT(*) AS count FROM campaign_follow_ups
         WHERE campaign = $1 AND outcome = $2 GROUP BY step";
    let rows =
        db.rows(text, &values![campaign, SEND], |row| Ok((row.small("step")?, row.count("count")?)))?;
    Ok(rows.into_iter().collect())
}

/// How many were decided of how, by step and outcome.
pub(crate) fn decided(db: Db<'_>, campaign: u64) -> Result<BTreeMap<(u32, String), u64>> {
    let text = "SELECT step, outcome, COUNT(*) AS count FROM campaign_follow_ups
         WHERE campaign = $1 GROUP BY step, outcome";
    let rows = db.rows(text, &values![campaign], |row| {
        Ok(((row.small("step")?, row.get::<String>("outcome")?), row.count("count")?))
    })?;
    Ok(rows.into_iter().collect())
}

/// Forgets when a campaign's batches are looked at.
pub(crate) fn forget_looks(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_follow_looks WHERE campaign = $1", &values![campaign])?;
    Ok(())
}

/// Forgets what was decided of up to so many of a campaign; of how many.
pub(crate) fn forget_some(db: Db<'_>, campaign: u64, most: u64) -> Result<u64> {
    let text = "DELETE FROM campaign_follow_ups WHERE campaign = $1 AND (step, lane, place) IN
             (SELECT step, lane, place FROM campaign_follow_ups WHERE campaign = $1 ORDER BY step, lane, place LIMIT $2)";
    db.execute(text, &values![campaign, most])
}
