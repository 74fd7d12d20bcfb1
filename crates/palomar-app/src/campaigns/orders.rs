//! What people do with campaigns: make, change, start, pause, resume, stop, delete.
//!
//! Always: an order is first written down, then carried out in the queue. When it is answered, it holds: no attempt of a
//! paused or stopped campaign starts. Who dies in between leaves the rest to the keeper.

use std::sync::Arc;

use palomar_broker::{Control, ControlError, Controlled};
use palomar_model::{CampaignOrder, CampaignState, ChannelName, Ordered, Pause, PauseCause, Timestamp};
use palomar_records::{
    AddedRecipients, CampaignChange, CampaignFilter, CampaignProgress, CampaignRecord, Page, Records,
};
use serde::Serialize;
use serde_json::Value;

use super::contacts::AudienceInput;
use super::definition::{CampaignPatch, Definition, MOST_CONTACTS, NewCampaign, is_name};
use super::view::{self, CampaignView};
use super::{batches_queue, contacts};
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

/// What became of contacts that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactsAdded {
    /// New ones.
    pub added: u64,
    /// Of these, how many can't be reached.
    pub left_out: u64,
    /// Those that it had.
    pub duplicates: u64,
}

/// Writes down what an order makes of a campaign; whether that is new. Where somebody else changed it meanwhile, the order
/// is given to what it is then.
pub(super) async fn give(
    records: &Records,
    mut campaign: CampaignRecord,
    order: CampaignOrder,
    now: Timestamp,
) -> Result<(CampaignRecord, bool), AppError> {
    give_with(records, &mut campaign, order, now, None).await.map(|moved| (campaign, moved))
}

async fn give_with(
    records: &Records,
    campaign: &mut CampaignRecord,
    order: CampaignOrder,
    now: Timestamp,
    batches_of: Option<u32>,
) -> Result<bool, AppError> {
    for _ in 0..TRIES {
        let moved = match campaign.state.after(order.clone(), now) {
            Ok(Ordered::Already) => return Ok(false),
            Ok(Ordered::Moved(state)) => state,
            Err(error) => return Err(AppError::wrong_state(error.to_string())),
        };
        // One that was too late is paused before it ever began.
        let begins = campaign.started_at.is_none() && matches!(moved, CampaignState::Sending { .. });
        let mut next = campaign.clone();
        next.live = !matches!(moved, CampaignState::Draft | CampaignState::Finished { .. });
        if begins {
            next.started_at = Some(now);
        }
        if moved.has_ended() {
            next.ended_at = Some(now);
        }
        next.state = moved;
        let change = CampaignChange {
            batches_of: batches_of.filter(|_| begins),
            renew_batches: matches!(order, CampaignOrder::Resume),
            told: Some(view::told(&next)),
        };
        if let Some(changed) = records.change_campaign(next, change, now).await? {
            *campaign = changed;
            return Ok(true);
        }
        let Some(newer) = records.campaign(&campaign.id).await? else {
            return Err(AppError::NotFound("campaign"));
        };
        *campaign = newer;
    }
    Err(AppError::Unavailable("the campaign is being changed by others; try again".to_owned()))
}

impl App {
    /// Makes a campaign.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn create_campaign(&self, new: NewCampaign, caller: &Caller) -> Result<CampaignView, AppError> {
        let now = self.now();
        let channel = self.campaign_channel(new.channel.as_ref(), caller)?;
        let mut definition = Definition::default();
        definition.change(new.plan).map_err(AppError::Invalid)?;
        if !is_name(&new.name) {
            return Err(AppError::invalid("/name", "must have 1 to 200 characters"));
        }
        let state = match new.scheduled_at {
            Some(at) if at <= now => return Err(AppError::invalid("/scheduledAt", "must be in the future")),
            Some(at) => CampaignState::Scheduled { at },
            None => CampaignState::Draft,
        };
        let recipients = self.read_contacts(new.contacts, &definition).await?;
        if recipients.is_empty() && matches!(state, CampaignState::Scheduled { .. }) {
            return Err(AppError::invalid("/contacts", "there are none: nobody would get it"));
        }
        let campaign = CampaignRecord {
            id: format!("campaign_{}", self.ids.uuid(now).simple()),
            number: 0,
            name: new.name.trim().to_owned(),
            channel,
            definition: kept(&definition)?,
            live: matches!(state, CampaignState::Scheduled { .. }),
            state,
            recipients: 0,
            duplicates: 0,
            judged: (0, 0),
            version: 0,
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
        };
        let made = self.records.create_campaign(campaign, recipients).await?;
        self.keeper.wake.notify_one();
        self.campaign_view(made).await
    }

    /// Adds contacts to a campaign that has not begun.
    ///
    /// # Errors
    /// What is wrong with them; a campaign that has begun.
    pub async fn add_contacts(
        &self,
        id: &str,
        contacts: Vec<Value>,
        caller: &Caller,
    ) -> Result<ContactsAdded, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        if !campaign.state.is_open() {
            return Err(begun());
        }
        let recipients = self.read_contacts(contacts, &definition_of(&campaign)?).await?;
        let added = self.records.add_recipients(campaign, recipients, self.now()).await.map_err(is_begun)?;
        let AddedRecipients { added, left_out, duplicates } = added;
        Ok(ContactsAdded { added, left_out, duplicates })
    }

    /// Adds contacts whom a filter or a segment means now to a campaign that has not begun.
    ///
    /// # Errors
    /// What is wrong with the filter; a campaign that has begun.
    pub async fn add_audience(
        &self,
        id: &str,
        audience: &AudienceInput,
        caller: &Caller,
    ) -> Result<ContactsAdded, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        if !campaign.state.is_open() {
            return Err(begun());
        }
        let definition = definition_of(&campaign)?;
        let whom = audience.whom(&self.records).await?;
        let mut sum = ContactsAdded { added: 0, left_out: 0, duplicates: 0 };
        let mut after = None;
        loop {
            let page = self.records.audience(whom.clone(), after, contacts::PAGE, self.now()).await?;
            let found = page.contacts.into_iter();
            let recipients = found.map(|contact| contacts::of_audience(contact, &definition)).collect();
            let added = self
                .records
                .add_recipients(campaign.clone(), recipients, self.now())
                .await
                .map_err(is_begun)?;
            sum.added += added.added;
            sum.left_out += added.left_out;
            sum.duplicates += added.duplicates;
            after = page.next;
            if after.is_none() {
                return Ok(sum);
            }
        }
    }

    /// Changes a campaign. Of one that has begun only its name and when it pauses by itself.
    ///
    /// # Errors
    /// What is wrong with the change, or does not fit where the campaign stands.
    pub async fn update_campaign(
        &self,
        id: &str,
        patch: CampaignPatch,
        caller: &Caller,
    ) -> Result<CampaignView, AppError> {
        let now = self.now();
        let mut campaign = self.campaign_of(id, caller).await?;
        let mut definition = definition_of(&campaign)?;
        let had_lanes = definition.has_lanes();
        let running_only = patch.plan.fits_while_running() && patch.contacts.is_none();
        if campaign.state.has_ended() || (!campaign.state.is_open() && !running_only) {
            return Err(begun());
        }
        definition_changed(&mut definition, &patch)?;
        if definition.has_lanes() != had_lanes && campaign.recipients > 0 && patch.contacts.is_none() {
            let detail = "whose hours count is decided when contacts are given: give them again with it";
            return Err(AppError::invalid("/contacts", detail));
        }
        if let Some(name) = &patch.name {
            if !is_name(name) {
                return Err(AppError::invalid("/name", "must have 1 to 200 characters"));
            }
            campaign.name = name.trim().to_owned();
        }
        let order = match patch.scheduled_at {
            Some(Some(at)) if at <= now => {
                return Err(AppError::invalid("/scheduledAt", "must be in the future"));
            }
            Some(Some(at)) => Some(CampaignOrder::Schedule { at }),
            Some(None) => Some(CampaignOrder::Unschedule),
            None => None,
        };
        campaign.definition = kept(&definition)?;
        if let Some(contacts) = patch.contacts {
            let recipients = self.read_contacts(contacts, &definition).await?;
            campaign = self.records.clear_recipients(campaign).await.map_err(is_begun)?;
            self.records.add_recipients(campaign.clone(), recipients, now).await.map_err(is_begun)?;
            campaign = self.campaign_of(id, caller).await?;
        } else {
            let changed = self.records.change_campaign(campaign, CampaignChange::default(), now).await?;
            campaign = changed.ok_or_else(changed_meanwhile)?;
        }
        if let Some(order) = order {
            (campaign, _) = give(&self.records, campaign, order, now).await?;
            self.keeper.wake.notify_one();
        }
        self.campaign_view(campaign).await
    }

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
        let left = remaining(&progress);
        let estimated = self.foresee(&progress).await?;
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
        if campaign.state.is_open() {
            let counts = self.records.campaign_progress(&campaign.id).await?.ok_or(gone())?.counts;
            if campaign.recipients == 0 {
                return Err(AppError::wrong_state("the campaign has no contacts: nobody would get it"));
            }
            if counts.all_left_out() >= campaign.recipients {
                return Err(AppError::wrong_state(
                    "all contacts of the campaign are left out: nobody would get it",
                ));
            }
            if self.registry.get(&campaign.channel).is_none() {
                self.setup.take_in().await?;
            }
            if self.registry.get(&campaign.channel).is_none() {
                let detail = format!("the channel {} does not exist, or does not work", campaign.channel);
                return Err(AppError::wrong_state(detail));
            }
        }
        let size = self.config.campaigns.batch_size;
        let moved = give_with(&self.records, &mut campaign, order, self.now(), Some(size)).await?;
        self.live.wake();
        self.keeper.wake.notify_one();
        Ok((campaign, moved))
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
        let size = self.config.campaigns.batch_size;
        give_with(&self.records, &mut campaign, order, self.now(), Some(size)).await?;
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

    /// Makes the queues do what a campaign's state says: its group is held, or not.
    pub(super) async fn carry_out(&self, campaign: &CampaignRecord) -> Result<Controlled, AppError> {
        let group: Arc<str> = campaign.id.as_str().into();
        let held = !matches!(campaign.state, CampaignState::Sending { .. });
        let mut done = Controlled::default();
        for (n, queue) in [outbound_queue(&campaign.channel)?, batches_queue()?].into_iter().enumerate() {
            let group = Arc::clone(&group);
            let control = if held {
                Control::PauseGroup { queue, group }
            } else {
                Control::ResumeGroup { queue, group }
            };
            match self.broker.control(control).await? {
                // Feeding a batch is no attempt at anybody.
                Ok(controlled) if n == 0 => done = controlled,
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
        let campaign = self.campaign_of(id, caller).await?;
        let moves = matches!(campaign.state, CampaignState::Sending { .. } | CampaignState::Paused { .. });
        if moves || (campaign.state.has_ended() && campaign.live) {
            return Err(AppError::wrong_state(format!(
                "the campaign is {}: stop it, and delete it when nothing of it moves any more",
                campaign.state.as_str()
            )));
        }
        self.records.delete_campaign(campaign).await.map_err(|error| match error {
            palomar_records::RecordsError::NotFound(_) => changed_meanwhile(),
            other => other.into(),
        })
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
        if let Some(own) = &caller.channels {
            if filter.channels.is_empty() {
                filter.channels = own.to_vec();
            }
            filter.channels.retain(|name| caller.may_use(name));
            if filter.channels.is_empty() {
                return Ok(Page { items: Vec::new(), next_cursor: None });
            }
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

    async fn campaign_view(&self, campaign: CampaignRecord) -> Result<CampaignView, AppError> {
        let progress = self.records.campaign_progress(&campaign.id).await?.ok_or(gone())?;
        Ok(CampaignView::of(&progress, self.now()))
    }

    pub(super) async fn campaign_of(&self, id: &str, caller: &Caller) -> Result<CampaignRecord, AppError> {
        let found = self.records.campaign(id).await?;
        found.filter(|campaign| caller.may_use(&campaign.channel)).ok_or(gone())
    }

    pub(super) async fn read_contacts(
        &self,
        given: Vec<Value>,
        definition: &Definition,
    ) -> Result<Vec<palomar_records::NewRecipient>, AppError> {
        if given.len() > MOST_CONTACTS {
            return Err(AppError::TooLarge(
                "one request may bring 100,000 contacts; add the others afterwards",
            ));
        }
        contacts::read(given, definition, self.default_region(), &self.records, self.now()).await
    }

    fn campaign_channel(
        &self,
        named: Option<&ChannelName>,
        caller: &Caller,
    ) -> Result<ChannelName, AppError> {
        let found = match named {
            Some(name) => self.registry.get(name).ok_or("there is no such channel, or it does not work"),
            None => self.registry.only().ok_or("is missing, and there is not exactly one channel"),
        };
        found
            .and_then(|line| {
                if caller.may_use(&line.name) {
                    Ok(line.name.clone())
                } else {
                    Err("this key may not use it")
                }
            })
            .map_err(|detail| AppError::invalid("/channel", detail))
    }
}

fn definition_changed(definition: &mut Definition, patch: &CampaignPatch) -> Result<(), AppError> {
    definition.change(patch.plan.clone()).map_err(AppError::Invalid)
}

/// Recipients of whom it is not known yet what becomes of them, or who are under way.
pub(super) fn remaining(progress: &CampaignProgress) -> u64 {
    let ended = super::view::Tally::of(progress);
    progress.campaign.recipients.saturating_sub(ended.processed())
}

/// What is kept of a definition.
fn kept(definition: &Definition) -> Result<Value, AppError> {
    serde_json::to_value(definition).map_err(|error| AppError::invalid("", error.to_string()))
}

/// What a campaign sends, when, how fast.
pub(super) fn definition_of(campaign: &CampaignRecord) -> Result<Definition, AppError> {
    serde_json::from_value(campaign.definition.clone())
        .map_err(|error| AppError::Unavailable(format!("what the campaign sends can't be read: {error}")))
}

pub(super) const fn gone() -> AppError {
    AppError::NotFound("campaign")
}

fn begun() -> AppError {
    AppError::wrong_state("the campaign has begun: only its name and autoPause may be changed")
}

fn changed_meanwhile() -> AppError {
    AppError::wrong_state("the campaign was changed by somebody else meanwhile: look at it, and try again")
}

fn is_begun(error: palomar_records::RecordsError) -> AppError {
    match error {
        palomar_records::RecordsError::NotFound(_) => begun(),
        other => other.into(),
    }
}
