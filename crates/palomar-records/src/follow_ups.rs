//! The steps of campaigns after the first: what was decided of whom, once, and what that is decided by.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use palomar_model::{ChannelName, MessageId, MessageState, Timestamp};

use crate::error::Result;
use crate::store::{Db, Rows, values};
use crate::tables::messages::MESSAGES;
use crate::tables::{campaign_counts, campaign_follow_ups as follow_ups, conversations, parsed};
use crate::{CampaignBatch, Records};

pub use crate::tables::campaign_follow_ups::{Decision, FollowTotals, SEND};

/// Where a message that went, or did not, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Where it stands.
    pub state: MessageState,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it came to where it stands.
    pub updated_at: Timestamp,
}

impl Records {
    /// Batches of a campaign that were fed are looked at for these steps; those that are not looked at yet, so long after they
    /// were fed at first, however late that is said.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn plan_follow_ups(&self, campaign: u64, steps: Vec<(u32, Duration)>) -> Result<()> {
        let work = move |db: Db<'_>| {
            steps.iter().try_for_each(|(step, after)| follow_ups::plan(db, campaign, *step, *after))
        };
        self.write(work).await
    }

    /// Batches, by step and number, that are to be looked at.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn follow_ups_due(
        &self,
        campaign: u64,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(u32, u32)>> {
        self.read(move |db| follow_ups::due(db, campaign, now, limit)).await
    }

    /// A batch was looked at for a step; when again, where something of it is left to do.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn follow_up_looked(
        &self,
        campaign: u64,
        (step, batch): (u32, u32),
        again: Option<Timestamp>,
    ) -> Result<()> {
        self.write(move |db| follow_ups::looked(db, campaign, step, batch, again)).await
    }

    /// What was decided for a step of the recipients of a batch, by their places.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn follow_ups(
        &self,
        campaign: u64,
        step: u32,
        batch: &CampaignBatch,
    ) -> Result<BTreeMap<u64, Decision>> {
        let (lane, stretch) = (batch.lane, (batch.first, batch.size));
        self.read(move |db| follow_ups::stretch(db, campaign, step, lane, stretch)).await
    }

    /// Decides of recipients of a lane, by their places, for a step; of whom something was decided, that stays so.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn decide_follow_ups(
        &self,
        campaign: u64,
        (step, lane): (u32, u32),
        outcomes: Vec<(u64, &'static str)>,
    ) -> Result<()> {
        self.write(move |db| follow_ups::decide(db, campaign, step, lane, &outcomes)).await
    }

    /// The messages of these are queued; whoever has another word than [`SEND`] gets none after all.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn follow_ups_queued(
        &self,
        campaign: u64,
        (step, lane): (u32, u32),
        outcomes: Vec<(u64, &'static str)>,
    ) -> Result<()> {
        self.write(move |db| follow_ups::queued(db, campaign, step, lane, &outcomes)).await
    }

    /// How far the steps of a campaign after the first are.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn follow_up_totals(&self, campaign: u64) -> Result<FollowTotals> {
        self.read(move |db| follow_ups::totals(db, campaign)).await
    }

    /// Whether so many batches, each counted for each step, have nothing left to do, and all messages that were decided on are
    /// known and at their end or uncertain: all of it as of one moment.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn follow_ups_are_over(&self, campaign: u64, looks: u64) -> Result<bool> {
        let work = move |db: Db<'_>| {
            let totals = follow_ups::totals(db, campaign)?;
            if totals.undone > 0 || totals.looks != looks {
                return Ok(false);
            }
            let counts = campaign_counts::of(db, campaign)?;
            if counts.moving() > 0 {
                return Ok(false);
            }
            let decided = follow_ups::to_send(db, campaign)?;
            Ok(decided.into_iter().all(|(step, sends)| counts.all_of_step(step) >= sends))
        };
        self.read(work).await
    }

    /// How many were decided of how, by step and outcome.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn follow_ups_decided(&self, campaign: u64) -> Result<BTreeMap<(u32, String), u64>> {
        self.read(move |db| follow_ups::decided(db, campaign)).await
    }

    /// Where those of these outbound messages stand that are known.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn sendings(&self, ids: Vec<MessageId>) -> Result<HashMap<MessageId, Sending>> {
        let different: std::collections::BTreeSet<_> = ids.into_iter().collect();
        let mut wanted = Rows::of(&MESSAGES.columns[..1]);
        different.into_iter().for_each(|id| wanted.push(values![id]));
        let text = "SELECT id, status, sent_at, read_at, updated_at FROM {wanted} JOIN messages USING (id)
             WHERE direction = 'outbound'";
        let work = move |db: Db<'_>| {
            db.find(text, &wanted, |row| {
                let sending = Sending {
                    state: parsed(row, MESSAGES.name, "status")?,
                    sent_at: row.optional_time("sent_at")?,
                    read_at: row.optional_time("read_at")?,
                    updated_at: row.time("updated_at")?,
                };
                Ok((parsed(row, MESSAGES.name, "id")?, sending))
            })
        };
        Ok(self.read(work).await?.into_iter().collect())
    }

    /// When each of these wrote last on a channel.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn last_wrote(&self, whom: Vec<(ChannelName, String)>) -> Result<Vec<Option<Timestamp>>> {
        self.read(move |db| conversations::last_wrote(db, &whom)).await
    }
}
