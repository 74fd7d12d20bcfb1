//! Forgets campaigns that ended long ago, but for the newest ones. Their messages stay: a report that comes late finds its message,
//! and analytics have what they counted.
//!
//! Always: nothing that may still move is forgotten, nor what is among the newest of its end, nor what is too young.

use super::CampaignConfig;
use crate::{App, AppError};

/// Campaigns that are forgotten in one go: each is a transaction of its own.
const MOST: usize = 20;
/// Recipients of forgotten campaigns that go in one transaction.
const SWEPT: u64 = 5_000;

impl App {
    /// Forgets what may be forgotten; how many campaigns it were.
    ///
    /// # Errors
    /// Where records can't be read or written.
    pub async fn clean_campaigns(&self) -> Result<usize, AppError> {
        let CampaignConfig { keep_finished, keep_stopped, keep_for, .. } = self.config.campaigns;
        let now = self.now();
        let mut forgotten = 0;
        for (state, newest) in [("finished", keep_finished), ("stopped", keep_stopped)] {
            loop {
                let old = self.records.old_campaigns(state, newest, now.before(keep_for), MOST).await?;
                let many = old.len();
                for campaign in old {
                    tracing::info!(campaign = campaign.id, "a campaign that ended long ago is forgotten");
                    match self.forget_campaign(campaign).await {
                        Ok(()) => forgotten += 1,
                        // Somebody else forgot it, or changed it.
                        Err(palomar_records::RecordsError::NotFound(_)) => return Ok(forgotten),
                        Err(error) => return Err(error.into()),
                    }
                }
                if many < MOST {
                    break;
                }
            }
        }
        self.records.forget_campaign_orphans(now).await?;
        Ok(forgotten)
    }

    /// Forgets some of those whom campaigns went to that are no more; whether there may be others.
    pub(super) async fn sweep_campaigns(&self) -> Result<bool, AppError> {
        Ok(self.records.sweep_campaigns(SWEPT).await?)
    }
}
