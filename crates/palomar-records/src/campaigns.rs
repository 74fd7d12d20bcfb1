//! Campaigns: what people wrote, whom it goes to, and how far it is.
//!
//! Always: a campaign is changed by whoever has seen its newest version; that it came to another state is written down in
//! the journal in the same transaction. A batch is fed once. How its messages stand is counted by the projection, with
//! the messages themselves: counts can lag, they can't drift.

use palomar_model::{ChannelName, MessageId, Timestamp};
use serde_json::Value as Json;

use crate::error::{RecordsError, Result};
use crate::store::{Db, Flush, Patience, Rows, values};
use crate::tables::campaign_counts::{self, Counted};
use crate::tables::journal::{self, Entry};
use crate::tables::page::Page;
use crate::tables::{
    campaign_batches, campaign_days, campaign_fallbacks, campaign_follow_ups, campaign_places,
    campaign_recipients, campaign_requests, campaign_resends, campaigns, cursors, messages,
};
use crate::{MessageView, PROJECTION, Partition, Records};

pub use crate::tables::campaign_batches::{BatchState, BatchTotals, CampaignBatch};
pub use crate::tables::campaign_counts::CampaignCounts;
pub use crate::tables::campaign_recipients::{
    AddedRecipients, CampaignLane, CampaignRecipient, NewRecipient,
};
pub use crate::tables::campaign_requests::{CampaignRequest, Created};
pub use crate::tables::campaigns::{CampaignFilter, CampaignRecord, Judged};

/// The kind of an entry of the journal that says that a campaign came to another state, or how far it is.
pub const CAMPAIGN_UPDATED: &str = "campaign_updated";

/// A campaign, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignProgress {
    /// The campaign.
    pub campaign: CampaignRecord,
    /// Its batches.
    pub batches: BatchTotals,
    /// Its recipients.
    pub counts: CampaignCounts,
}

/// All campaigns in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignTotals {
    /// Campaigns that have ended.
    pub ended: u64,
    /// Messages that providers took.
    pub sent: u64,
    /// Messages that failed.
    pub failed: u64,
    /// How long a batch takes from its turn on, on average.
    pub batch_took: std::time::Duration,
}

/// What a batch became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FedBatch {
    /// Messages that are queued.
    pub accepted: u64,
    /// Recipients who get nothing, all of them.
    pub left_out: u64,
    /// Those of them who are known to get nothing since now: place and reason.
    pub newly_left_out: Vec<(u64, &'static str)>,
}

/// What is to be written beside a campaign that changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CampaignChange {
    /// Recipients are divided into batches of this size: the snapshot is complete.
    pub batches_of: Option<u32>,
    /// Batches that failed get another turn.
    pub renew_batches: bool,
    /// What the journal is told.
    pub told: Option<Json>,
}

/// What became of a request for a new campaign.
pub type CreatedCampaign = Created<CampaignRecord>;

impl Records {
    /// Keeps a new campaign with its first recipients; it gets its number. Where the request came before, what it made.
    ///
    /// # Errors
    /// [`RecordsError::Exists`] where there is one of that id.
    pub async fn create_campaign(
        &self,
        mut campaign: CampaignRecord,
        recipients: Vec<NewRecipient>,
        request: Option<CampaignRequest>,
    ) -> Result<CreatedCampaign> {
        let work = move |db: Db<'_>| {
            // Numbers are given out in one's turn, and of two equal requests one comes first.
            cursors::take_turn(db, PROJECTION, campaign.created_at)?;
            insert(db, &mut campaign, &recipients, request.as_ref())
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// What a request for a new campaign made when it came before, where it did.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn created_before(&self, request: CampaignRequest) -> Result<Option<CreatedCampaign>> {
        let found = self.read(move |db| campaign_requests::earlier(db, &request)).await?;
        Ok(found.map(CreatedCampaign::earlier))
    }

    /// Adds recipients to a campaign that has no batches yet.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where it has some, or has ended.
    pub async fn add_recipients(
        &self,
        campaign: CampaignRecord,
        recipients: Vec<NewRecipient>,
        now: Timestamp,
    ) -> Result<AddedRecipients> {
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            add(db, &campaign, &recipients, now)
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// Changes a campaign that has not begun, and gives it these recipients in place of all that it had. `told` is what the
    /// journal is told.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where it was changed meanwhile.
    pub async fn replace_recipients(
        &self,
        mut campaign: CampaignRecord,
        recipients: Vec<NewRecipient>,
        told: Option<Json>,
        now: Timestamp,
    ) -> Result<CampaignRecord> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            (campaign.recipients, campaign.duplicates) = (0, 0);
            if !campaign.state.is_open() || !campaigns::update(db, &mut campaign)? {
                return Err(RecordsError::NotFound("campaign"));
            }
            campaign_recipients::forget(db, campaign.number)?;
            campaign_counts::forget(db, campaign.number)?;
            add(db, &campaign, &recipients, now)?;
            if let Some(told) = told {
                tell(db, (CAMPAIGN_UPDATED, &campaign.channel), told, last, now)?;
            }
            campaigns::get(db, &campaign.id)?.ok_or(RecordsError::NotFound("campaign"))
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// Changes a campaign that is as its version says; none where it was changed meanwhile.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn change_campaign(
        &self,
        mut campaign: CampaignRecord,
        change: CampaignChange,
        now: Timestamp,
    ) -> Result<Option<CampaignRecord>> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            campaign.updated_at = now;
            if !campaigns::update(db, &mut campaign)? {
                return Ok(None);
            }
            if let Some(size) = change.batches_of {
                let lanes = campaign_recipients::lanes(db, campaign.number)?;
                db.write(vec![campaign_batches::plan(campaign.number, &lanes, size)])?;
                campaign_places::forget(db, campaign.number)?;
            }
            if change.renew_batches {
                campaign_batches::renew(db, campaign.number)?;
            }
            if let Some(told) = change.told {
                tell(db, (CAMPAIGN_UPDATED, &campaign.channel), told, last, now)?;
            }
            Ok(Some(campaign))
        };
        self.write(work).await
    }

    /// Writes into the journal how far a campaign is.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn tell_campaign(&self, campaign: CampaignRecord, told: Json, now: Timestamp) -> Result<()> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            tell(db, (CAMPAIGN_UPDATED, &campaign.channel), told, last, now)
        };
        self.store.write(Patience::Request, Flush::Later, work).await
    }

    /// Forgets a campaign. Its messages stay, and the template that went in place of its text, where there was one: what they
    /// cost follows from it. Whom it went to is left to [`Records::sweep_campaigns`]: they may be many.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where it was changed meanwhile.
    pub async fn delete_campaign(&self, campaign: CampaignRecord, fallback: Option<String>) -> Result<()> {
        let work = move |db: Db<'_>| {
            if !campaigns::delete(db, campaign.number, campaign.version)? {
                return Err(RecordsError::NotFound("campaign"));
            }
            campaign_batches::forget(db, campaign.number)?;
            campaign_counts::forget(db, campaign.number)?;
            campaign_days::forget(db, campaign.number)?;
            campaign_places::forget(db, campaign.number)?;
            campaign_follow_ups::forget_looks(db, campaign.number)?;
            match &fallback {
                _ if campaign.started_at.is_none() => campaign_resends::forget(db, campaign.number)?,
                Some(template) => campaign_fallbacks::keep(db, &campaign.id, template)?,
                None => {}
            }
            Ok(())
        };
        self.store.write(Patience::Whole, Flush::Now, work).await
    }

    /// Forgets up to so many recipients, and what was decided of them, of a campaign that is no more; whether there may be others.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn sweep_campaigns(&self, most: u64) -> Result<bool> {
        let work = move |db: Db<'_>| {
            let Some(gone) = campaign_recipients::of_none(db)? else { return Ok(false) };
            let mut swept = campaign_follow_ups::forget_some(db, gone, most)?;
            if swept < most {
                swept += campaign_recipients::forget_some(db, gone, most - swept)?;
            }
            if swept < most {
                // What it is found by goes last.
                campaign_recipients::forget(db, gone)?;
            }
            Ok(true)
        };
        self.write(work).await
    }

    /// The template that went in place of the text of a campaign that is no more.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn forgotten_fallback(&self, id: &str) -> Result<Option<String>> {
        let id = id.to_owned();
        self.read(move |db| campaign_fallbacks::get(db, &id)).await
    }

    /// Up to so many campaigns that have come to this end before a time, without the newest ones of that end.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn old_campaigns(
        &self,
        state: &'static str,
        newest: u32,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<CampaignRecord>> {
        self.read(move |db| campaigns::old(db, state, u64::from(newest), before, limit)).await
    }

    /// Forgets what late reports counted for campaigns that are no more.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn forget_campaign_orphans(&self, now: Timestamp) -> Result<u64> {
        let work = move |db: Db<'_>| {
            // Not beside the projection: what it counts is of campaigns that are there then.
            cursors::take_turn(db, PROJECTION, now)?;
            campaign_counts::forget_orphans(db)
        };
        self.write(work).await
    }

    /// One campaign.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign(&self, id: &str) -> Result<Option<CampaignRecord>> {
        let id = id.to_owned();
        self.read(move |db| campaigns::get(db, &id)).await
    }

    /// Whether the campaign of this number was stopped.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_was_stopped(&self, number: u64) -> Result<bool> {
        self.read(move |db| campaigns::was_stopped(db, number)).await
    }

    /// A page of campaigns, the newest first, each with how far it is.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn campaigns(
        &self,
        filter: CampaignFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<CampaignProgress>> {
        let cursor = cursor.map(str::to_owned);
        let work = move |db: Db<'_>| {
            let page = campaigns::list(db, &filter, cursor.as_deref(), limit)?;
            let items: Result<_> = page.items.into_iter().map(|campaign| progress(db, campaign)).collect();
            Ok(Page { items: items?, next_cursor: page.next_cursor })
        };
        self.read(work).await
    }

    /// How far a campaign is.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_progress(&self, id: &str) -> Result<Option<CampaignProgress>> {
        let id = id.to_owned();
        let work =
            move |db: Db<'_>| campaigns::get(db, &id)?.map(|campaign| progress(db, campaign)).transpose();
        self.read(work).await
    }

    /// How far those campaigns are of which something may still move by itself.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn live_campaigns(&self) -> Result<Vec<CampaignProgress>> {
        let work = move |db: Db<'_>| {
            campaigns::live(db)?.into_iter().map(|campaign| progress(db, campaign)).collect()
        };
        self.read(work).await
    }

    /// How many campaigns stand where, by the words for it.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaigns_by_state(&self) -> Result<Vec<(String, u64)>> {
        self.read(campaigns::by_state).await
    }

    /// The lanes of a campaign.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_lanes(&self, number: u64) -> Result<Vec<CampaignLane>> {
        self.read(move |db| campaign_recipients::lanes(db, number)).await
    }

    /// Recipients of a campaign after a place, in the order of lanes and places.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_recipients(
        &self,
        number: u64,
        after: Option<(u32, u64)>,
        limit: usize,
    ) -> Result<Vec<CampaignRecipient>> {
        self.read(move |db| campaign_recipients::after(db, number, after, limit)).await
    }

    /// Those of these recipients whom a campaign does not have, each once.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn not_in_campaign(
        &self,
        number: u64,
        recipients: Vec<NewRecipient>,
    ) -> Result<Vec<NewRecipient>> {
        self.read(move |db| campaign_recipients::strangers(db, number, recipients)).await
    }

    /// All campaigns in numbers.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_totals(&self) -> Result<CampaignTotals> {
        let work = move |db: Db<'_>| {
            let by_state = campaigns::by_state(db)?;
            let ended = by_state.iter().filter(|(state, _)| matches!(state.as_str(), "finished" | "stopped"));
            let (sent, failed) = campaign_counts::sent_and_failed(db)?;
            Ok(CampaignTotals {
                ended: ended.map(|(_, count)| count).sum(),
                sent,
                failed,
                batch_took: campaign_batches::took(db)?,
            })
        };
        self.read(work).await
    }

    /// Messages of a campaign that failed, by the provider's code; without one under `none`.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_failures(&self, number: u64) -> Result<Vec<(String, u64)>> {
        self.read(move |db| messages::failures(db, number)).await
    }

    /// How many messages of a campaign failed with one of the provider's codes.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_failed_with(&self, number: u64, codes: &'static [&'static str]) -> Result<u64> {
        self.read(move |db| messages::failed_with(db, number, codes)).await
    }

    /// Those of these messages that are known.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn messages_by_id(&self, ids: Vec<MessageId>) -> Result<Vec<MessageView>> {
        let different: std::collections::BTreeSet<_> = ids.into_iter().collect();
        let mut wanted = Rows::of(&messages::MESSAGES.columns[..1]);
        different.into_iter().for_each(|id| wanted.push(values![id]));
        self.read(move |db| messages::find(db, &wanted)).await
    }

    // --- batches ---

    /// The first batches of a lane that are in a state; of all lanes where none is named.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_batches(
        &self,
        number: u64,
        state: BatchState,
        lane: Option<u32>,
        limit: usize,
    ) -> Result<Vec<CampaignBatch>> {
        self.read(move |db| campaign_batches::first(db, number, state, lane, limit)).await
    }

    /// A batch with its campaign and its recipients.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_batch(
        &self,
        campaign: u64,
        number: u32,
    ) -> Result<Option<(CampaignRecord, CampaignBatch, CampaignLane, Vec<CampaignRecipient>)>> {
        let work = move |db: Db<'_>| {
            let Some(found) = campaigns::numbered(db, campaign)? else { return Ok(None) };
            let Some(batch) = campaign_batches::get(db, campaign, number)? else { return Ok(None) };
            let lanes = campaign_recipients::lanes(db, campaign)?;
            let Some(lane) = lanes.into_iter().find(|lane| lane.lane == batch.lane) else { return Ok(None) };
            let recipients = campaign_recipients::stretch(db, campaign, batch.lane, batch.first, batch.size)?;
            Ok(Some((found, batch, lane, recipients)))
        };
        self.read(work).await
    }

    /// A batch became messages; whether that is new.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn batch_fed(
        &self,
        campaign: u64,
        batch: CampaignBatch,
        fed: FedBatch,
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |db: Db<'_>| {
            if !campaign_batches::fed(db, campaign, &batch, (fed.accepted, fed.left_out), now)? {
                return Ok(false);
            }
            campaign_recipients::leave_out(db, campaign, batch.lane, &fed.newly_left_out)?;
            let mut reasons = std::collections::BTreeMap::new();
            for (_, reason) in &fed.newly_left_out {
                *reasons.entry(Counted::left_out(campaign, reason)).or_insert(0) += 1;
            }
            db.write(vec![campaign_counts::add(reasons.into_iter())])?;
            Ok(true)
        };
        self.write(work).await
    }

    /// A batch's job gave up; whether that is new.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn batch_failed(&self, campaign: u64, batch: CampaignBatch, reason: String) -> Result<bool> {
        self.write(move |db| campaign_batches::failed(db, campaign, &batch, &reason)).await
    }

    /// A batch's job is no more: it waits for another turn.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn batch_lost(&self, campaign: u64, batch: CampaignBatch) -> Result<bool> {
        self.write(move |db| campaign_batches::lost(db, campaign, &batch)).await
    }
}

/// Keeps a new campaign, in one's turn; what the same request made, where it came before.
pub(crate) fn insert(
    db: Db<'_>,
    campaign: &mut CampaignRecord,
    recipients: &[NewRecipient],
    request: Option<&CampaignRequest>,
) -> Result<CreatedCampaign> {
    if let Some(request) = request {
        if let Some(found) = campaign_requests::earlier(db, request)? {
            return Ok(CreatedCampaign::earlier(found));
        }
        campaign_requests::add(db, request, &campaign.id, campaign.created_at)?;
    }
    if campaigns::get(db, &campaign.id)?.is_some() {
        return Err(RecordsError::Exists("campaign"));
    }
    campaigns::insert(db, campaign)?;
    add(db, campaign, recipients, campaign.created_at)?;
    let made = campaigns::get(db, &campaign.id)?.ok_or(RecordsError::NotFound("campaign"))?;
    Ok(CreatedCampaign::Now(Box::new(made)))
}

pub(crate) fn add(
    db: Db<'_>,
    campaign: &CampaignRecord,
    recipients: &[NewRecipient],
    now: Timestamp,
) -> Result<AddedRecipients> {
    let (added, reasons) = campaign_recipients::add(db, campaign.number, recipients)?;
    let reasons =
        reasons.into_iter().map(|(reason, count)| (Counted::left_out(campaign.number, reason), count as i64));
    db.write(vec![campaign_counts::add(reasons)])?;
    if campaigns::grow(db, campaign.number, added.added, added.duplicates, now)? {
        Ok(added)
    } else {
        Err(RecordsError::NotFound("campaign"))
    }
}

fn progress(db: Db<'_>, campaign: CampaignRecord) -> Result<CampaignProgress> {
    let batches = campaign_batches::totals(db, campaign.number)?;
    let counts = campaign_counts::of(db, campaign.number)?;
    Ok(CampaignProgress { campaign, batches, counts })
}

/// Writes into the journal what happened to a thing of a channel. Such an entry is of no place in the event log.
pub(crate) fn tell(
    db: Db<'_>,
    (kind, channel): (&str, &ChannelName),
    detail: Json,
    last: u64,
    now: Timestamp,
) -> Result<()> {
    let entry = Entry {
        seq: last + 1,
        cursor: 0,
        at: now,
        kind: kind.to_owned(),
        channel: Some(channel.clone()),
        message: None,
        detail,
        counted: Vec::new(),
        measured: 0,
    };
    db.write(vec![journal::add(Partition::WHOLE, &[entry])?])?;
    cursors::end_at(db, PROJECTION, last + 1)
}
