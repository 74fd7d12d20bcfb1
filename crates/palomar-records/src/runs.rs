//! Runs of campaigns that repeat: each is a campaign of its own, with the same contacts.
//!
//! Always: that a run is made and that its campaign waits for the next occurrence is one transaction; of one occurrence there is
//! one run, whoever makes it.

use palomar_model::Timestamp;
use serde_json::Value as Json;

use crate::campaigns::{CAMPAIGN_UPDATED, CampaignRecord, tell};
use crate::error::Result;
use crate::store::{Db, Flush, Patience};
use crate::tables::{campaign_counts, campaign_recipients, campaigns, cursors};
use crate::{PROJECTION, Records};

impl Records {
    /// Changes a campaign that is as its version says, and makes a run of it, under the run's own id, with its contacts; whether it
    /// was so. A run that was made before stays as it is.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn create_run(
        &self,
        mut campaign: CampaignRecord,
        mut run: CampaignRecord,
        told: Json,
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            campaign.updated_at = now;
            if !campaigns::update(db, &mut campaign)? {
                return Ok(false);
            }
            tell(db, (CAMPAIGN_UPDATED, &campaign.channel), told, last, now)?;
            if campaigns::get(db, &run.id)?.is_none() {
                (run.recipients, run.duplicates) = (campaign.recipients, campaign.duplicates);
                campaigns::insert(db, &mut run)?;
                campaign_recipients::copy(db, campaign.number, run.number)?;
                campaign_counts::copy_left_out(db, campaign.number, run.number)?;
            }
            Ok(true)
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }
}
