//! How a campaign comes on: how far its audiences were read, and what of a day's cap was given out.
//!
//! Always: a page of an audience is added once, with the place after it. A day is given out by one at a time, in the
//! projection's turn; what somebody else queued uses up nothing.

use palomar_model::{Daily, Timestamp};

use crate::campaigns::add;
use crate::error::Result;
use crate::store::{Db, Flush, Patience};
use crate::tables::{campaign_batches, campaign_days, campaign_places, cursors, messages};
use crate::{CampaignBatch, CampaignRecord, NewRecipient, PROJECTION, Records};

pub use crate::tables::campaign_places::AudiencePlace;

/// So many a day, on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyCap {
    /// The day that it is there, as days since 1970.
    pub today: i64,
    /// So many at most.
    pub cap: u32,
}

impl Records {
    /// How far the audiences of a campaign were read, that is not divided into batches yet.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_place(&self, campaign: u64) -> Result<AudiencePlace> {
        self.read(move |db| campaign_places::get(db, campaign)).await
    }

    /// Adds those to a campaign whom its audiences mean between two places; nobody where somebody else has read on from the
    /// first. Whether they were added.
    ///
    /// # Errors
    /// [`crate::RecordsError::NotFound`] where it has batches, or has ended.
    pub async fn add_from_audience(
        &self,
        campaign: CampaignRecord,
        recipients: Vec<NewRecipient>,
        (from, to): (AudiencePlace, AudiencePlace),
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            if campaign_places::get(db, campaign.number)? != from {
                return Ok(false);
            }
            campaign_places::put(db, campaign.number, &to)?;
            add(db, &campaign, &recipients, now)?;
            Ok(true)
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// What of the cap of a day was given out to a campaign.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_day(&self, campaign: u64) -> Result<Daily> {
        self.read(move |db| campaign_days::get(db, campaign)).await
    }

    /// A new day of a campaign begins, at this midnight: what of it was given out. That is all that was queued before and
    /// did not go before midnight, whether it went since or waits.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn begin_campaign_day(
        &self,
        campaign: &CampaignRecord,
        today: i64,
        midnight: Timestamp,
        now: Timestamp,
    ) -> Result<Daily> {
        let (id, number) = (campaign.id.clone(), campaign.number);
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            let known = campaign_days::get(db, number)?;
            if known.day >= today {
                return Ok(known);
            }
            let batches = campaign_batches::totals(db, number)?;
            let went = messages::went_before(db, &id, number, midnight)?;
            let daily = known.on(today, batches.planned.saturating_sub(batches.left_out + went));
            campaign_days::put(db, number, daily)?;
            Ok(daily)
        };
        self.write(work).await
    }

    /// The turn of batches has come; those whose turn had not come before, and that fit into the day where it has a cap.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn batches_queued(
        &self,
        campaign: u64,
        batches: Vec<(CampaignBatch, u64)>,
        cap: Option<DailyCap>,
        now: Timestamp,
    ) -> Result<Vec<CampaignBatch>> {
        let work = move |db: Db<'_>| {
            if cap.is_some() {
                cursors::take_turn(db, PROJECTION, now)?;
            }
            let mut queued = Vec::with_capacity(batches.len());
            for (batch, place) in batches {
                let day = match cap {
                    None => None,
                    Some(DailyCap { today, cap }) => {
                        let day = campaign_days::get(db, campaign)?.take(batch.size, today, cap);
                        if day.is_none() {
                            break;
                        }
                        day
                    }
                };
                if !campaign_batches::queued(db, campaign, &batch, place, now)? {
                    continue;
                }
                if let Some(day) = day {
                    campaign_days::put(db, campaign, day)?;
                }
                queued.push(batch);
            }
            Ok(queued)
        };
        self.write(work).await
    }
}
