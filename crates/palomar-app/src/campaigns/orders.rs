//! What people order campaigns to do: start, pause, resume, stop; and forget.
//!
//! Always: an order is first written down, then carried out in the queue. When it is answered, it holds: no attempt of a
//! paused or stopped campaign starts. Who dies in between leaves the rest to the keeper.

use std::sync::Arc;

use palomar_broker::{Control, ControlError, Controlled, QueueName};
use palomar_model::{
    CampaignOrder, CampaignState, ChannelName, Ordered, Pause, PauseCause, Timestamp, portion,
};
use palomar_records::{
    CampaignChange, CampaignFilter, CampaignProgress, CampaignRecord, Page, Records, RecordsError,
};
use serde::Serialize;

use super::batches_queue;
use super::definition::Definition;
use super::view::{self, CampaignView};
use crate::audience::TemplateStanding;
use crate::messages::MAX_PAGE;
use crate::queues::outbound_queue;
use crate::{App, AppError, Caller};

/// So often an order is tried again where somebody else changed the campaign meanwhile.
const TRIES: usize = 8;

/// What is answered to an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignAnswer {
    /// Always `true`: what is not done is answered with a problem.
    pub success: bool,
    /// What holds now, in words.
    pub message: String,
    /// Attempts that had started and are under way.
    pub in_flight: u64,
    /// The campaign.
    pub campaign: CampaignView,
}

/// What is answered to a start.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartAnswer {
    /// What holds now, in words.
    pub message: String,
    /// What the run is called: the campaign's id and the millisecond in which it began.
    pub job_id: String,
    /// Those whom it goes to: all that are not left out already.
    pub estimated_contacts: u64,
    /// In milliseconds, how long it takes by the limits of its channel, its hours and its pace.
    pub estimated_time: u64,
    /// The campaign.
    pub campaign: CampaignView,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// It is written down.
    Now,
    /// That was so already.
    Before,
    /// Somebody else changed the campaign meanwhile: nothing is written down, and it is at hand as it is now.
    NotYet,
}

/// Writes down what an order makes of a campaign; whether that is new. Where somebody else changed it meanwhile, the order
/// is given to what it is then.
pub(super) async fn give(
    records: &Records,
    mut campaign: CampaignRecord,
    order: CampaignOrder,
    now: Timestamp,
) -> Result<(CampaignRecord, bool), AppError> {
    for _ in 0..TRIES {
        match give_once(records, &mut campaign, &order, now, None).await? {
            Given::Now => return Ok((campaign, true)),
            Given::Before => return Ok((campaign, false)),
            Given::NotYet => {}
        }
    }
    Err(being_changed())
}

/// Writes down what an order makes of a campaign that is as it is at hand. Where it begins and everybody is known, its
/// batches are of `batch_size`, or as small as its own day asks for.
async fn give_once(
    records: &Records,
    campaign: &mut CampaignRecord,
    order: &CampaignOrder,
    now: Timestamp,
    batch_size: Option<u32>,
) -> Result<Given, AppError> {
    let moved = match campaign.state.after(order.clone(), now) {
        Ok(Ordered::Already) => return Ok(Given::Before),
        Ok(Ordered::Moved(state)) => state,
        Err(error) => return Err(AppError::wrong_state(error.to_string())),
    };
    // One that was too late is paused before it ever began.
    let begins = campaign.started_at.is_none() && matches!(moved, CampaignState::Sending { .. });
    // Whom an audience means is read first.
    let is_complete = begins && definition_of(campaign)?.knows_all();
    let mut next = campaign.clone();
    // What has ended is looked after until its group is nothing special any more.
    next.live = !matches!(moved, CampaignState::Draft);
    if begins {
        next.started_at = Some(now);
    } else if let (CampaignState::Paused { since, .. }, CampaignState::Sending { .. }) =
        (&campaign.state, &moved)
    {
        next.held += now.since(*since);
    }
    if moved.has_ended() {
        next.ended_at = Some(now);
    }
    next.state = moved;
    let change = CampaignChange {
        batches_of: match batch_size.filter(|_| is_complete) {
            Some(most) => Some(size_for(&definition_of(campaign)?, most)),
            None => None,
        },
        renew_batches: matches!(order, CampaignOrder::Resume),
        told: Some(view::told(&next)),
    };
    if let Some(changed) = records.change_campaign(next, change, now).await? {
        *campaign = changed;
        return Ok(Given::Now);
    }
    *campaign = records.campaign(&campaign.id).await?.ok_or(gone())?;
    Ok(Given::NotYet)
}

/// Recipients of a batch, of `most`: so many that batches use up the cap of a day, where there is one.
fn size_for(definition: &Definition, most: u32) -> u32 {
    definition.daily_cap.map_or(most, |cap| portion(most, cap))
}

impl App {
    /// Starts a campaign. One that runs already is answered as it runs.
    ///
    /// # Errors
    /// A campaign that can't be started from where it stands, or that nobody would get.
    pub async fn start_campaign(&self, id: &str, caller: &Caller) -> Result<StartAnswer, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        let (campaign, moved) = self.begin_campaign(campaign, CampaignOrder::Start).await?;
        let message =
            if moved { "Campaign queued for sending" } else { "The campaign is being sent already" };
        let progress = self.records.campaign_progress(&campaign.id).await?.ok_or(gone())?;
        let left = self.still_to_come(&progress, &definition_of(&campaign)?).await?;
        let estimated = self.foresee(&progress, left).await?;
        let started = campaign.started_at.unwrap_or(campaign.created_at);
        Ok(StartAnswer {
            message: message.to_owned(),
            job_id: format!("{}_{}", campaign.id, started.millis()),
            estimated_contacts: left,
            estimated_time: u64::try_from(estimated.as_millis()).unwrap_or(u64::MAX),
            campaign: self.campaign_view(campaign).await?,
        })
    }

    /// Begins a campaign: its recipients stand fast from now on.
    pub(super) async fn begin_campaign(
        &self,
        mut campaign: CampaignRecord,
        order: CampaignOrder,
    ) -> Result<(CampaignRecord, bool), AppError> {
        let moved = self.give_checked(&mut campaign, &order).await?;
        self.live.wake();
        self.keeper.wake.notify_one();
        Ok((campaign, moved))
    }

    /// Writes down what an order makes of a campaign; whether that is new. What a campaign must be to begin or to go on is
    /// looked at in the version that is changed.
    async fn give_checked(
        &self,
        campaign: &mut CampaignRecord,
        order: &CampaignOrder,
    ) -> Result<bool, AppError> {
        let (now, most) = (self.now(), self.config.campaigns.batch_size);
        for _ in 0..TRIES {
            if let Ok(Ordered::Moved(CampaignState::Sending { .. })) =
                campaign.state.after(order.clone(), now)
            {
                self.check_sending(campaign).await?;
            }
            match give_once(&self.records, campaign, order, now, Some(most)).await? {
                Given::Now => return Ok(true),
                Given::Before => return Ok(false),
                Given::NotYet => {}
            }
        }
        Err(being_changed())
    }

    /// Refuses to begin what can't, and to go on with what the provider would refuse.
    async fn check_sending(&self, campaign: &CampaignRecord) -> Result<(), AppError> {
        if campaign.started_at.is_none() {
            return self.check_beginning(campaign).await;
        }
        match self.unfit_template(&campaign.channel, &definition_of(campaign)?).await? {
            Some(why) => Err(AppError::wrong_state(why.detail)),
            None => Ok(()),
        }
    }

    /// Refuses to begin what nobody would get, or what can't be sent.
    async fn check_beginning(&self, campaign: &CampaignRecord) -> Result<(), AppError> {
        let definition = definition_of(campaign)?;
        if definition.repeat.is_some() {
            return Err(AppError::wrong_state(
                "the campaign repeats, and each run is a campaign of its own: take `repeat` away to start this one",
            ));
        }
        if definition.knows_all() {
            let counts = self.records.campaign_progress(&campaign.id).await?.ok_or(gone())?.counts;
            if campaign.recipients == 0 {
                return Err(AppError::wrong_state("the campaign has no contacts: nobody would get it"));
            }
            if counts.all_left_out() >= campaign.recipients {
                return Err(AppError::wrong_state(
                    "all contacts of the campaign are left out: nobody would get it",
                ));
            }
        } else if campaign.recipients == 0 && !self.means_anybody(&definition).await? {
            return Err(AppError::wrong_state(if definition.resend.is_some() {
                "nobody is left who failed: nobody would get it"
            } else {
                "nobody is in the campaign's audience now: nobody would get it"
            }));
        }
        if self.registry.first_of(&campaign.channel).is_none() {
            self.setup.take_in().await?;
        }
        if self.registry.first_of(&campaign.channel).is_none() {
            let detail = format!("the channel {} does not exist, or does not work", campaign.channel);
            return Err(AppError::wrong_state(detail));
        }
        match self.unfit_template(&campaign.channel, &definition).await? {
            Some(why) => Err(AppError::wrong_state(why.detail)),
            None => Ok(()),
        }
    }

    /// Why a campaign may not send its templates: the provider would refuse one, or people take one worse than it may be, as far
    /// as the provider told.
    pub(super) async fn unfit_template(
        &self,
        channel: &ChannelName,
        definition: &Definition,
    ) -> Result<Option<Pause>, AppError> {
        for (name, language) in definition.templates() {
            match self.template_standing(channel, &name, &language).await? {
                TemplateStanding::Refused { status, reason } => {
                    let why = reason.filter(|reason| !reason.is_empty() && reason != "NONE");
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    let detail =
                        format!("the template {name} ({language}) is {status}{why}: it would be refused");
                    return Ok(Some(Pause { cause: PauseCause::Template, detail }));
                }
                TemplateStanding::Usable { quality: Some(quality) }
                    if definition.auto_pause.quality.is_reached(&quality) =>
                {
                    let detail = format!(
                        "the quality of the template {name} ({language}) is {quality}: people take it badly, and the provider may \
                         pause it; `autoPause.quality` says what it may be"
                    );
                    return Ok(Some(Pause { cause: PauseCause::Quality, detail }));
                }
                TemplateStanding::Usable { .. } | TemplateStanding::Unknown => {}
            }
        }
        Ok(None)
    }

    /// Recipients of a batch: so many that batches use up the cap of a day, where there is one.
    pub(super) fn batch_size(&self, campaign: &CampaignRecord) -> Result<u32, AppError> {
        Ok(size_for(&definition_of(campaign)?, self.config.campaigns.batch_size))
    }

    /// Pauses a campaign: when this has answered, none of its messages starts.
    ///
    /// # Errors
    /// A campaign that does not run.
    pub async fn pause_campaign(&self, id: &str, caller: &Caller) -> Result<CampaignAnswer, AppError> {
        let detail = format!("paused by {}", caller.name);
        let order = CampaignOrder::Pause(Pause { cause: PauseCause::Person, detail });
        self.order_campaign(id, order, "Campaign paused", caller).await
    }

    /// Lets a paused campaign go on.
    ///
    /// # Errors
    /// A campaign that is not paused.
    pub async fn resume_campaign(&self, id: &str, caller: &Caller) -> Result<CampaignAnswer, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        if let CampaignState::Paused { why: Pause { cause: PauseCause::Late, .. }, .. } = campaign.state {
            tracing::info!(campaign = id, "a campaign whose time had passed begins by a person's word");
        }
        self.order_campaign(id, CampaignOrder::Resume, "Campaign resumed", caller).await
    }

    /// Ends a campaign: when this has answered, none of its messages starts; those that wait are called off.
    ///
    /// # Errors
    /// A campaign that has not begun, or has ended.
    pub async fn stop_campaign(&self, id: &str, caller: &Caller) -> Result<CampaignAnswer, AppError> {
        self.order_campaign(id, CampaignOrder::Stop, "Campaign stopped", caller).await
    }

    async fn order_campaign(
        &self,
        id: &str,
        order: CampaignOrder,
        words: &str,
        caller: &Caller,
    ) -> Result<CampaignAnswer, AppError> {
        let mut campaign = self.campaign_of(id, caller).await?;
        self.give_checked(&mut campaign, &order).await?;
        let done = self.carry_out(&campaign).await?;
        self.live.wake();
        self.keeper.wake.notify_one();
        Ok(CampaignAnswer {
            success: true,
            message: words.to_owned(),
            in_flight: done.in_flight,
            campaign: self.campaign_view(campaign).await?,
        })
    }

    /// The queues that carry a campaign: of its channel, or of all of its pool, and that of batches.
    pub(super) fn queues_of(&self, campaign: &CampaignRecord) -> Result<Vec<QueueName>, AppError> {
        let members = self.registry.members(&campaign.channel);
        let own: Result<Vec<_>, _> = members.iter().map(outbound_queue).collect();
        let mut queues = own?;
        queues.push(batches_queue()?);
        Ok(queues)
    }

    /// Makes the queues do what a campaign's state says: its group is held, or not.
    pub(super) async fn carry_out(&self, campaign: &CampaignRecord) -> Result<Controlled, AppError> {
        let group: Arc<str> = campaign.id.as_str().into();
        let held = !matches!(campaign.state, CampaignState::Sending { .. });
        if !held {
            // What goes from now on goes on the cap of today.
            self.begin_day(campaign).await?;
        }
        let mut done = Controlled::default();
        let batches = batches_queue()?;
        for queue in self.queues_of(campaign)? {
            let feeds = queue == batches;
            let group = Arc::clone(&group);
            let control = if held {
                Control::PauseGroup { queue, group }
            } else {
                Control::ResumeGroup { queue, group }
            };
            match self.broker.control(control).await? {
                // Feeding a batch is no attempt at anybody.
                Ok(controlled) if !feeds => {
                    done.changed += controlled.changed;
                    done.in_flight += controlled.in_flight;
                }
                Ok(_) | Err(ControlError::NoQueue(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Forgets a campaign that does not run. Its messages stay.
    ///
    /// # Errors
    /// A campaign that runs.
    pub async fn delete_campaign(&self, id: &str, caller: &Caller) -> Result<(), AppError> {
        for _ in 0..TRIES {
            let campaign = self.campaign_of(id, caller).await?;
            let moves =
                matches!(campaign.state, CampaignState::Sending { .. } | CampaignState::Paused { .. });
            if moves || (matches!(campaign.state, CampaignState::Stopped { .. }) && campaign.live) {
                return Err(AppError::wrong_state(format!(
                    "the campaign is {}: stop it, and delete it when nothing of it moves any more",
                    campaign.state.as_str()
                )));
            }
            if campaign.state.has_ended() && campaign.live {
                self.release(&campaign).await?;
            }
            match self.forget_campaign(campaign).await {
                // Somebody changed it meanwhile: it is looked at again.
                Err(RecordsError::NotFound(_)) => {}
                other => return Ok(other?),
            }
        }
        Err(changed_meanwhile())
    }

    /// A page of campaigns, the newest first; of the caller's channels only.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn campaigns(
        &self,
        mut filter: CampaignFilter,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<CampaignView>, AppError> {
        if !caller.narrow(&mut filter.channels) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let page = self.records.campaigns(filter, cursor, limit.clamp(1, MAX_PAGE)).await?;
        let now = self.now();
        Ok(page.map(|progress| CampaignView::of(&progress, now)))
    }

    /// One campaign.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn campaign(&self, id: &str, caller: &Caller) -> Result<CampaignView, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        self.campaign_view(campaign).await
    }

    pub(super) async fn campaign_view(&self, campaign: CampaignRecord) -> Result<CampaignView, AppError> {
        let progress = self.records.campaign_progress(&campaign.id).await?.ok_or(gone())?;
        Ok(CampaignView::of(&progress, self.now()))
    }

    /// Forgets a campaign that nothing moves of; what is needed to say what its messages cost stays.
    pub(super) async fn forget_campaign(&self, campaign: CampaignRecord) -> Result<(), RecordsError> {
        // One that can't be read any more has none, and is forgotten too.
        let fallback = definition_of(&campaign).ok().and_then(|definition| definition.fallback_name());
        self.records.delete_campaign(campaign, fallback).await
    }

    /// The template that goes, or went, in place of a campaign's text, where there is one.
    pub(crate) async fn fallback_of(&self, id: &str) -> Result<Option<String>, AppError> {
        match self.records.campaign(id).await? {
            Some(found) => Ok(definition_of(&found)?.fallback_name()),
            None => Ok(self.records.forgotten_fallback(id).await?),
        }
    }

    pub(super) async fn campaign_of(&self, id: &str, caller: &Caller) -> Result<CampaignRecord, AppError> {
        let found = self.records.campaign(id).await?;
        found.filter(|campaign| caller.may_use(&campaign.channel)).ok_or(gone())
    }
}

/// Recipients of whom it is not known yet what becomes of them, or who are under way.
pub(super) fn remaining(progress: &CampaignProgress) -> u64 {
    let ended = super::view::Tally::of(progress);
    progress.campaign.recipients.saturating_sub(ended.processed())
}

/// What a campaign sends, when, how fast.
pub(super) fn definition_of(campaign: &CampaignRecord) -> Result<Definition, AppError> {
    serde_json::from_value(campaign.definition.clone())
        .map_err(|error| AppError::Unavailable(format!("what the campaign sends can't be read: {error}")))
}

pub(super) const fn gone() -> AppError {
    AppError::NotFound("campaign")
}

fn being_changed() -> AppError {
    AppError::Unavailable("the campaign is being changed by others; try again".to_owned())
}

pub(super) fn changed_meanwhile() -> AppError {
    AppError::wrong_state("the campaign was changed by somebody else meanwhile: look at it, and try again")
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
