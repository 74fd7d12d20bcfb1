//! Campaigns that go to the failed of another campaign.
//!
//! Always: of such a campaign there is one at a time. Another is made when the one before has ended, or is no more.

use palomar_model::{MessageId, MessageState};

use crate::campaigns::{CampaignRecord, CreatedCampaign, insert};
use crate::error::Result;
use crate::store::{Db, Flush, Patience, Rows, values};
use crate::tables::campaign_requests::{self, CampaignRequest};
use crate::tables::campaign_resends as resends;
use crate::tables::messages::MESSAGES;
use crate::tables::{campaigns, cursors, parsed};
use crate::{PROJECTION, Records};

pub use crate::tables::campaign_resends::Resent;

/// Where a message stands, and the newest failure in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageEnd {
    /// The message.
    pub id: MessageId,
    /// Where it stands.
    pub state: MessageState,
    /// Why it failed.
    pub reason: Option<String>,
    /// Whether there was an attempt of which nobody knows whether it was taken.
    pub doubted: bool,
}

/// What became of a request for a campaign that goes to the failed of another.
#[derive(Clone, Debug, PartialEq)]
pub enum CreatedResend {
    /// It was made, or had been.
    Made(CreatedCampaign),
    /// The campaign of this id goes to the same, and was wanted otherwise. Nothing is kept of the request.
    Unlike(String),
}

impl Records {
    /// Keeps a campaign that goes to the failed of another; the one that does already, where it has not ended and is what was
    /// wanted.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn create_resend(
        &self,
        source: u64,
        mut campaign: CampaignRecord,
        request: Option<CampaignRequest>,
        is_wanted: impl Fn(&CampaignRecord) -> bool + Send + 'static,
    ) -> Result<CreatedResend> {
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, campaign.created_at)?;
            if let Some(request) = &request
                && let Some(found) = campaign_requests::earlier(db, request)?
            {
                return Ok(CreatedResend::Made(CreatedCampaign::earlier(found)));
            }
            if let Some(newest) = resends::of(db, source)?.pop()
                && let Some(known) = campaigns::get(db, &newest.id)?
                && (known.live || !known.state.has_ended())
            {
                if !is_wanted(&known) {
                    return Ok(CreatedResend::Unlike(newest.id));
                }
                if let Some(request) = &request {
                    campaign_requests::add(db, request, &newest.id, campaign.created_at)?;
                }
                return Ok(CreatedResend::Made(CreatedCampaign::Before(newest.id)));
            }
            let made = insert(db, &mut campaign, &[], request.as_ref())?;
            if let CreatedCampaign::Now(made) = &made {
                let resent = Resent { number: made.number, id: made.id.clone() };
                resends::add(db, source, &resent)?;
            }
            Ok(CreatedResend::Made(made))
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// Which campaigns go to the failed of a campaign, the oldest first: also those that are no more.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn resends(&self, source: u64) -> Result<Vec<Resent>> {
        self.read(move |db| resends::of(db, source)).await
    }

    /// Where those of these outbound messages stand that are known.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn message_ends(&self, ids: Vec<MessageId>) -> Result<Vec<MessageEnd>> {
        let different: std::collections::BTreeSet<_> = ids.into_iter().collect();
        let mut wanted = Rows::of(&MESSAGES.columns[..1]);
        different.into_iter().for_each(|id| wanted.push(values![id]));
        let text = "SELECT id, status, reason, doubts FROM {wanted} JOIN messages USING (id)
             WHERE direction = 'outbound'";
        let work = move |db: Db<'_>| {
            db.find(text, &wanted, |row| {
                Ok(MessageEnd {
                    id: parsed(row, MESSAGES.name, "id")?,
                    state: parsed(row, MESSAGES.name, "status")?,
                    reason: row.get("reason")?,
                    doubted: row.get::<i64>("doubts")? != 0,
                })
            })
        };
        self.read(work).await
    }
}
