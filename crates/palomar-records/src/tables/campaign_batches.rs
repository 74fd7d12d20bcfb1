//! `campaign_batches`: the stretches of a campaign's recipients that become messages together.
//!
//! Always: a batch is `fed` once. Whoever says so names the generation that it was queued in; of two who queue the same
//! one, one says it, and the other changes nothing.

use std::time::Duration;

use palomar_model::Timestamp;

use super::campaign_recipients::CampaignLane;
use super::parsed;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, values};

pub(crate) const BATCHES: Table = Table {
    name: "campaign_batches",
    columns: &[
        int("campaign"),
        int("number"),
        int("lane"),
        int("first"),
        int("size"),
        text("state"),
        int("generation"),
        int("place"),
        int("queued_at"),
        int("fed_at"),
        int("accepted"),
        int("left_out"),
        text("reason"),
    ],
    key: 2,
};

const TABLE: &str = BATCHES.name;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchState {
    /// Its turn has not come.
    Waiting,
    /// A job is to make messages of it.
    Queued,
    /// All its messages are queued.
    Fed,
    /// Its job gave up.
    Failed,
}

impl BatchState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchState::Waiting => "waiting",
            BatchState::Queued => "queued",
            BatchState::Fed => "fed",
            BatchState::Failed => "failed",
        }
    }
}

impl std::str::FromStr for BatchState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<BatchState, &'static str> {
        [BatchState::Waiting, BatchState::Queued, BatchState::Fed, BatchState::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or("is none of waiting, queued, fed and failed")
    }
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignBatch {
    /// Its number in the campaign, from 0.
    pub number: u32,
    /// Where its recipients stand.
    pub lane: u32,
    /// The first of them.
    pub first: u64,
    /// How many they are.
    pub size: u64,
    /// Where it stands.
    pub state: BatchState,
    /// How often it had to be queued anew.
    pub generation: u32,
    /// Recipients of batches that were queued before it.
    pub place: u64,
    /// When it was queued.
    pub queued_at: Option<Timestamp>,
    /// Messages that it became.
    pub accepted: u64,
}

/// How a campaign's batches stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchTotals {
    /// Whose turn has not come.
    pub waiting: u64,
    /// That are being fed.
    pub queued: u64,
    /// That are fed.
    pub fed: u64,
    /// That failed.
    pub failed: u64,
    /// Recipients of those that are queued or fed.
    pub planned: u64,
    /// Messages that batches became.
    pub accepted: u64,
    /// Recipients of fed batches that get nothing.
    pub left_out: u64,
}

impl BatchTotals {
    /// All batches.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.waiting + self.queued + self.fed + self.failed
    }
}

/// Divides the lanes of a campaign into batches.
pub(crate) fn plan(campaign: u64, lanes: &[CampaignLane], size: u32) -> Write {
    let mut rows = Rows::of(BATCHES.columns);
    let mut number = 0_u32;
    let size = u64::from(size.max(1));
    for lane in lanes {
        let mut first = 0;
        while first < lane.recipients {
            let own = size.min(lane.recipients - first);
            let (none, nothing) = (None::<Timestamp>, None::<&str>);
            rows.push(values![
                campaign, number, lane.lane, first, own, "waiting", 0_u32, 0_u64, none, none, 0_u64, 0_u64,
                nothing,
            ]);
            first += own;
            number += 1;
        }
    }
    Write::insert(&BATCHES, "", rows)
}

/// How they stand.
pub(crate) fn totals(db: Db<'_>, campaign: u64) -> Result<BatchTotals> {
    let text = "SELECT state, COUNT(*) AS batches, CAST(SUM(size) AS BIGINT) AS recipients,
             CAST(SUM(accepted) AS BIGINT) AS accepted, CAST(SUM(left_out) AS BIGINT) AS left_out
         FROM campaign_batches WHERE campaign = $1 GROUP BY state";
    let mut totals = BatchTotals::default();
    let rows = db.rows(text, &values![campaign], |row| {
        Ok((
            parsed::<BatchState>(row, TABLE, "state")?,
            row.count("batches")?,
            row.count("recipients")?,
            row.count("accepted")?,
            row.count("left_out")?,
        ))
    })?;
    for (state, batches, recipients, accepted, left_out) in rows {
        match state {
            BatchState::Waiting => totals.waiting = batches,
            BatchState::Queued => totals.queued = batches,
            BatchState::Fed => totals.fed = batches,
            BatchState::Failed => totals.failed = batches,
        }
        if matches!(state, BatchState::Queued | BatchState::Fed) {
            totals.planned += recipients;
        }
        totals.accepted += accepted;
        totals.left_out += left_out;
    }
    Ok(totals)
}

/// One batch.
pub(crate) fn get(db: Db<'_>, campaign: u64, number: u32) -> Result<Option<CampaignBatch>> {
    let text = "SELECT * FROM campaign_batches WHERE campaign = $1 AND number = $2";
    db.row(text, &values![campaign, number], batch)
}

/// The first batches in a state, up to so many.
pub(crate) fn first(
    db: Db<'_>,
    campaign: u64,
    state: BatchState,
    lane: Option<u32>,
    limit: usize,
) -> Result<Vec<CampaignBatch>> {
    let text = "SELECT * FROM campaign_batches WHERE campaign = $1 AND state = $2 AND ($3 < 0 OR lane = $3)
         ORDER BY number LIMIT $4";
    let lane = lane.map_or(-1, i64::from);
    db.rows(text, &values![campaign, state.as_str(), lane, limit as u64], batch)
}

fn batch(row: &Row<'_>) -> Result<CampaignBatch> {
    Ok(CampaignBatch {
        number: row.small("number")?,
        lane: row.small("lane")?,
        first: row.count("first")?,
        size: row.count("size")?,
        state: parsed(row, TABLE, "state")?,
        generation: row.small("generation")?,
        place: row.count("place")?,
        queued_at: row.optional_time("queued_at")?,
        accepted: row.count("accepted")?,
    })
}

/// A batch's turn has come; whether it had not before.
pub(crate) fn queued(
    db: Db<'_>,
    campaign: u64,
    batch: &CampaignBatch,
    place: u64,
    now: Timestamp,
) -> Result<bool> {
    let text = "UPDATE campaign_batches SET state = 'queued', place = $4, queued_at = $5
         WHERE campaign = $1 AND number = $2 AND generation = $3 AND state = 'waiting'";
    Ok(db.execute(text, &values![campaign, batch.number, batch.generation, place, now])? == 1)
}

/// A batch became so many messages; whether that is new.
pub(crate) fn fed(
    db: Db<'_>,
    campaign: u64,
    batch: &CampaignBatch,
    (accepted, left_out): (u64, u64),
    now: Timestamp,
) -> Result<bool> {
    let text = "UPDATE campaign_batches SET state = 'fed', accepted = $4, left_out = $5, fed_at = $6
         WHERE campaign = $1 AND number = $2 AND generation = $3 AND state = 'queued'";
    Ok(db.execute(text, &values![campaign, batch.number, batch.generation, accepted, left_out, now])? == 1)
}

/// A batch's job gave up; whether that is new.
pub(crate) fn failed(db: Db<'_>, campaign: u64, batch: &CampaignBatch, reason: &str) -> Result<bool> {
    let text = "UPDATE campaign_batches SET state = 'failed', reason = $4
         WHERE campaign = $1 AND number = $2 AND generation = $3 AND state = 'queued'";
    Ok(db.execute(text, &values![campaign, batch.number, batch.generation, reason])? == 1)
}

/// A batch whose job is no more waits for another turn.
pub(crate) fn lost(db: Db<'_>, campaign: u64, batch: &CampaignBatch) -> Result<bool> {
    let text = "UPDATE campaign_batches SET state = 'waiting', generation = generation + 1
         WHERE campaign = $1 AND number = $2 AND generation = $3 AND state = 'queued'";
    Ok(db.execute(text, &values![campaign, batch.number, batch.generation])? == 1)
}

/// Batches that failed wait for another turn.
pub(crate) fn renew(db: Db<'_>, campaign: u64) -> Result<()> {
    let text = "UPDATE campaign_batches SET state = 'waiting', generation = generation + 1, reason = NULL
         WHERE campaign = $1 AND state = 'failed'";
    db.execute(text, &values![campaign])?;
    Ok(())
}

/// How long a batch of any campaign takes from its turn on, on average.
pub(crate) fn took(db: Db<'_>) -> Result<Duration> {
    let text = "SELECT COUNT(*) AS batches, CAST(COALESCE(SUM(fed_at - queued_at), 0) AS BIGINT) AS took
         FROM campaign_batches WHERE state = 'fed'";
    let found = db.row(text, &[], |row| Ok((row.count("batches")?, row.count("took")?)))?.unwrap_or_default();
    Ok(Duration::from_micros(found.1.checked_div(found.0).unwrap_or(0)))
}

/// Forgets a campaign's.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_batches WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
