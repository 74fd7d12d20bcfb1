//! Whom a campaign goes to when it begins: the contacts of its audiences are read, some thousands a look, and divided into
//! batches when all are there.
//!
//! Always: nothing is sent before everybody is known; who is in it already, or is meant by several audiences, is in it once.
//! How far they were read is kept with those who were: whoever reads on, after a crash or on another node, reads nobody twice.

use std::collections::{HashSet, VecDeque};

use palomar_model::{CampaignOrder, CampaignState, Pause, PauseCause, Timestamp};
use palomar_records::{
    AudiencePlace, CampaignChange, CampaignLane, CampaignProgress, CampaignRecipient, CampaignRecord,
};
use tokio::time::Instant;

use super::contacts;
use super::definition::Definition;
use super::keeper::LOOK;
use super::orders::{give, remaining};
use super::sources::Source;
use crate::{App, AppError};

/// Contacts that are added together.
const PAGE: usize = 2_000;
/// Contacts that are looked at to know whether there is anybody.
const ANYBODY: usize = 500;

/// Whether everybody is known to whom a campaign goes that has begun.
pub(super) fn is_taken(progress: &CampaignProgress, definition: &Definition) -> bool {
    definition.knows_all() || progress.batches.all() > 0
}

impl App {
    /// How many contacts a campaign's audiences mean now, or failed in the campaign that it is for.
    pub(super) async fn meant(&self, definition: &Definition) -> Result<u64, AppError> {
        let mut meant = 0;
        for wanted in definition.wanted() {
            // What was right when it was given may be no more: a segment that was deleted.
            meant += Source::count(self, wanted).await.map_err(as_conflict)?;
        }
        Ok(meant)
    }

    /// Whether they mean anybody now.
    pub(super) async fn means_anybody(&self, definition: &Definition) -> Result<bool, AppError> {
        for wanted in definition.wanted() {
            let source = Source::of(self, wanted).await.map_err(as_conflict)?;
            let mut after = None;
            loop {
                // A page of a filter that means hardly anybody may be empty, and not the last.
                let page = source.page(self, definition, after, ANYBODY, self.now()).await?;
                after = page.next;
                if !page.contacts.is_empty() {
                    return Ok(true);
                }
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Recipients of whom it is not known yet what becomes of them; those of audiences who are not read yet by their number.
    pub(super) async fn still_to_come(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
    ) -> Result<u64, AppError> {
        let known = remaining(progress);
        if is_taken(progress, definition) {
            return Ok(known);
        }
        let read = self.records.campaign_place(progress.campaign.number).await?.read;
        Ok(known + self.meant(definition).await?.saturating_sub(read))
    }

    /// All recipients of a campaign, those of audiences who are not read yet by their number.
    pub(super) async fn foreseen(
        &self,
        campaign: &CampaignRecord,
        definition: &Definition,
    ) -> Result<u64, AppError> {
        let Some(progress) = self.records.campaign_progress(&campaign.id).await? else { return Ok(0) };
        let to_come = self.still_to_come(&progress, definition).await?;
        Ok(to_come + progress.campaign.recipients.saturating_sub(remaining(&progress)))
    }

    /// Reads on whom a campaign's audiences mean. When all are there they are divided into batches.
    pub(super) async fn take_snapshot(
        &self,
        progress: CampaignProgress,
        definition: &Definition,
        now: Timestamp,
    ) -> Result<(), AppError> {
        let campaign = progress.campaign;
        let begun = Instant::now();
        let mut place = self.records.campaign_place(campaign.number).await?;
        while let Some(wanted) = definition.wanted().get(place.source as usize) {
            let source = match Source::of(self, *wanted).await {
                Ok(source) => source,
                Err(AppError::Invalid(errors)) => {
                    let why = errors.first().map_or_else(String::new, |error| error.detail.clone());
                    let why = Pause { cause: PauseCause::Audience, detail: why };
                    return self.pause_by_itself(campaign, why, now).await;
                }
                Err(error) => return Err(error),
            };
            let as_of = campaign.started_at.unwrap_or(now);
            let page = source.page(self, definition, place.after.clone(), PAGE, as_of).await?;
            let read = place.read + page.contacts.len() as u64;
            let recipients = page.contacts;
            let next = match page.next {
                Some(after) => AudiencePlace { after: Some(after), read, ..place.clone() },
                None => AudiencePlace { source: place.source + 1, after: None, read },
            };
            let both = (place, next.clone());
            if !self.records.add_from_audience(campaign.clone(), recipients, both, now).await? {
                // Somebody else reads on.
                return Ok(());
            }
            place = next;
            if begun.elapsed() > LOOK {
                // The others have their turn.
                self.keeper.wake.notify_one();
                return Ok(());
            }
        }
        let Some(newest) = self.records.campaign_progress(&campaign.id).await? else { return Ok(()) };
        if newest.batches.all() > 0 || !matches!(newest.campaign.state, CampaignState::Sending { .. }) {
            return Ok(());
        }
        if newest.campaign.recipients == 0 {
            return give(&self.records, newest.campaign, CampaignOrder::Finish, now).await.map(|_| ());
        }
        let batches_of = Some(self.batch_size(&newest.campaign)?);
        let change = CampaignChange { batches_of, ..CampaignChange::default() };
        // Whoever changed it meanwhile leaves it to the next look.
        self.records.change_campaign(newest.campaign, change, now).await?;
        self.keeper.wake.notify_one();
        Ok(())
    }
}

/// Recipients as a start would find them, a page after another: those who are in the campaign, then those whom its
/// audiences mean beside them.
pub(super) struct Foreseen<'a> {
    app: &'a App,
    number: u64,
    place: Option<(u32, u64)>,
    sources: VecDeque<Source>,
    after: Option<String>,
    /// What was met in sources, where there are several: the hashes of their keys.
    met: Option<HashSet<u64>>,
    in_table: bool,
}

/// A page of them, each with the zones that they may be in.
pub(super) struct ForeseenPage {
    pub(super) recipients: Vec<(CampaignRecipient, String)>,
    /// Contacts of audiences who were there already.
    pub(super) duplicates: u64,
}

impl Foreseen<'_> {
    pub(super) async fn of<'a>(
        app: &'a App,
        number: u64,
        definition: &Definition,
    ) -> Result<Foreseen<'a>, AppError> {
        let mut sources = VecDeque::new();
        for wanted in definition.wanted() {
            sources.push_back(Source::of(app, wanted).await.map_err(as_conflict)?);
        }
        let met = (sources.len() > 1).then(HashSet::new);
        Ok(Foreseen { app, number, place: None, sources, after: None, met, in_table: true })
    }

    /// The next of them; none at the end.
    pub(super) async fn next(
        &mut self,
        definition: &Definition,
        lanes: &[CampaignLane],
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<ForeseenPage>, AppError> {
        if self.in_table {
            let page = self.app.records.campaign_recipients(self.number, self.place, limit).await?;
            if let Some(last) = page.last() {
                self.place = Some((last.lane, last.place));
                let zones = |lane: u32| lanes.iter().find(|known| known.lane == lane);
                let recipients = page.into_iter().map(|one| {
                    let zones = zones(one.lane).map(|lane| lane.zones.clone()).unwrap_or_default();
                    (one, zones)
                });
                return Ok(Some(ForeseenPage { recipients: recipients.collect(), duplicates: 0 }));
            }
            self.in_table = false;
        }
        let Some(source) = self.sources.front() else { return Ok(None) };
        let page = source.page(self.app, definition, self.after.take(), limit, now).await?;
        self.after = page.next;
        if self.after.is_none() {
            self.sources.pop_front();
        }
        let all = page.contacts.len();
        let mut fresh = self.app.records.not_in_campaign(self.number, page.contacts).await?;
        if let Some(met) = &mut self.met {
            fresh.retain(|one| met.insert(crate::fingerprint(one.match_key.as_bytes())));
        }
        let duplicates = (all - fresh.len()) as u64;
        let recipients = fresh.into_iter().map(|new| (new.zones.clone(), new));
        let recipients = recipients.map(|(zones, new)| (contacts::as_recipient(new), zones)).collect();
        Ok(Some(ForeseenPage { recipients, duplicates }))
    }
}

fn as_conflict(error: AppError) -> AppError {
    match error {
        AppError::Invalid(errors) => {
            AppError::wrong_state(errors.first().map_or_else(String::new, ToString::to_string))
        }
        other => other,
    }
}
