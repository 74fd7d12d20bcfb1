//! Writing campaigns: made, changed, given contacts. Of one that has begun little may be changed.

use palomar_model::{CampaignOrder, CampaignState, ChannelName, Ordered, Timestamp};
use palomar_records::{
    AddedRecipients, CampaignChange, CampaignRecord, CreatedCampaign, NewRecipient, RecordsError,
};
use serde::Serialize;
use serde_json::Value;

use super::contacts::{self, AudienceInput};
use super::definition::Definition;
use super::input::{CampaignPatch, MOST_CONTACTS, NewCampaign, is_name};
use super::orders::{changed_meanwhile, definition_of};
use super::view::{self, CampaignView};
use crate::{App, AppError, Caller, IdempotencyKey, identity};

/// Audiences that one campaign has.
const MOST_AUDIENCES: usize = 20;

/// So often a change is tried again where somebody else changed the campaign meanwhile.
const TRIES: usize = 8;

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
    /// Contacts whom the audience that was added means now; they are read when the campaign begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<u64>,
}

/// A campaign that a request made.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeCampaign {
    /// As it is now.
    pub campaign: CampaignView,
    /// Whether the same request had made it before.
    pub replayed: bool,
}

impl App {
    /// Makes a campaign; where the same request came before, answers what that made, as it is now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn create_campaign(
        &self,
        new: NewCampaign,
        request: Option<(&IdempotencyKey, u64)>,
        caller: &Caller,
    ) -> Result<MadeCampaign, AppError> {
        let now = self.now();
        let request = request.map(|(key, body)| identity::of_campaign(caller, key, body, now));
        // What was allowed when it came first need not be any more.
        if let Some(request) = request.clone()
            && let Some(earlier) = self.records.created_before(request).await?
        {
            return self.made(earlier).await;
        }
        let channel = self.campaign_channel(new.channel.as_ref(), caller)?;
        let mut definition = Definition::default();
        definition.change(new.plan).map_err(AppError::Invalid)?;
        if !is_name(&new.name) {
            return Err(AppError::invalid("/name", "must have 1 to 200 characters"));
        }
        let state = match new.scheduled_at {
            Some(at) if at <= now => return Err(AppError::invalid("/scheduledAt", "must be in the future")),
            Some(at) => CampaignState::Scheduled { at: definition.begins(at)? },
            None if definition.repeat.is_some() => CampaignState::Scheduled { at: definition.begins(now)? },
            None => CampaignState::Draft,
        };
        for audience in new.audience.into_iter().chain(new.segment.map(AudienceInput::Segment)) {
            self.add_audience_to(&mut definition, audience, caller).await?;
        }
        let recipients = self.read_contacts(new.contacts, &definition, caller).await?;
        let nobody = recipients.is_empty() && definition.audiences.is_empty();
        if nobody && matches!(state, CampaignState::Scheduled { .. }) {
            return Err(AppError::invalid("/contacts", "there are none: nobody would get it"));
        }
        let campaign = CampaignRecord {
            id: format!("campaign_{}", self.ids.uuid(now).simple()),
            name: new.name.trim().to_owned(),
            definition: kept(&definition)?,
            live: matches!(state, CampaignState::Scheduled { .. }),
            state,
            ..CampaignRecord::draft(channel, now)
        };
        let made = self.records.create_campaign(campaign, recipients, request).await?;
        self.made(made).await
    }

    pub(super) async fn made(&self, created: CreatedCampaign) -> Result<MadeCampaign, AppError> {
        match created {
            CreatedCampaign::Now(made) => {
                self.keeper.wake.notify_one();
                Ok(MadeCampaign { campaign: self.campaign_view(*made).await?, replayed: false })
            }
            CreatedCampaign::Before(id) => {
                let made = self.records.campaign(&id).await?;
                let made = made.ok_or_else(|| AppError::wrong_state("the campaign it made was deleted"))?;
                Ok(MadeCampaign { campaign: self.campaign_view(made).await?, replayed: true })
            }
            CreatedCampaign::Other => Err(AppError::OtherBody),
        }
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
        let definition = definition_of(&campaign)?;
        keeps_to_failed(&definition)?;
        let recipients = self.read_contacts(contacts, &definition, caller).await?;
        let added = self.records.add_recipients(campaign, recipients, self.now()).await.map_err(is_begun)?;
        let AddedRecipients { added, left_out, duplicates } = added;
        Ok(ContactsAdded { added, left_out, duplicates, audience: None })
    }

    /// Adds contacts by what is known of them to a campaign that has not begun. Who they are is read when it begins.
    ///
    /// # Errors
    /// What is wrong with the audience; a campaign that has begun; a caller who may not see everybody.
    pub async fn add_audience(
        &self,
        id: &str,
        audience: AudienceInput,
        caller: &Caller,
    ) -> Result<ContactsAdded, AppError> {
        let mut campaign = self.campaign_of(id, caller).await?;
        if !campaign.state.is_open() {
            return Err(begun());
        }
        let mut definition = definition_of(&campaign)?;
        keeps_to_failed(&definition)?;
        let meant = self.add_audience_to(&mut definition, audience, caller).await?;
        campaign.definition = kept(&definition)?;
        let changed = self.records.change_campaign(campaign, CampaignChange::default(), self.now()).await?;
        changed.ok_or_else(changed_meanwhile)?;
        Ok(ContactsAdded { added: 0, left_out: 0, duplicates: 0, audience: Some(meant) })
    }

    /// Adds an audience to what a campaign does; how many it means now.
    async fn add_audience_to(
        &self,
        definition: &mut Definition,
        audience: AudienceInput,
        caller: &Caller,
    ) -> Result<u64, AppError> {
        contacts::may_see_all(caller)?;
        let meant = audience.count(&self.records, self.now()).await?;
        if !definition.audiences.contains(&audience) {
            if definition.audiences.len() >= MOST_AUDIENCES {
                return Err(AppError::invalid(
                    "/audience",
                    format!("a campaign has {MOST_AUDIENCES} at most"),
                ));
            }
            definition.audiences.push(audience);
        }
        Ok(meant)
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
        for _ in 0..TRIES {
            if let Some(changed) = self.update_once(id, patch.clone(), caller).await? {
                self.live.wake();
                self.keeper.wake.notify_one();
                return self.campaign_view(changed).await;
            }
        }
        Err(changed_meanwhile())
    }

    /// The same, of a campaign that nobody else changes meanwhile: the keeper does, while it runs.
    async fn update_once(
        &self,
        id: &str,
        patch: CampaignPatch,
        caller: &Caller,
    ) -> Result<Option<CampaignRecord>, AppError> {
        let now = self.now();
        let mut campaign = self.campaign_of(id, caller).await?;
        let mut definition = definition_of(&campaign)?;
        let (had_lanes, repeated) = (definition.has_lanes(), definition.repeat.is_some());
        let running_only = patch.plan.fits_while_running() && patch.contacts.is_none();
        if campaign.state.has_ended() || (!campaign.state.is_open() && !running_only) {
            return Err(begun());
        }
        definition_changed(&mut definition, &patch)?;
        if patch.contacts.is_some() {
            keeps_to_failed(&definition)?;
            definition.audiences.clear();
        }
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
        let order = definition.schedule(&patch, repeated, now)?;
        campaign.definition = kept(&definition)?;
        // All of it is written at once, or nothing.
        let told = match order {
            Some(order) => scheduled(&mut campaign, order, now)?.then(|| view::told(&campaign)),
            None => None,
        };
        if let Some(contacts) = patch.contacts {
            let recipients = self.read_contacts(contacts, &definition, caller).await?;
            let replaced = self.records.replace_recipients(campaign, recipients, told, now).await;
            return replaced.map(Some).map_err(is_begun);
        }
        let change = CampaignChange { told, ..CampaignChange::default() };
        Ok(self.records.change_campaign(campaign, change, now).await?)
    }

    pub(super) async fn read_contacts(
        &self,
        given: Vec<Value>,
        definition: &Definition,
        caller: &Caller,
    ) -> Result<Vec<NewRecipient>, AppError> {
        if given.len() > MOST_CONTACTS {
            return Err(AppError::TooLarge(
                "one request may bring 100,000 contacts; add the others afterwards",
            ));
        }
        contacts::read(given, definition, self.default_region(), &self.records, caller, self.now()).await
    }

    fn campaign_channel(
        &self,
        named: Option<&ChannelName>,
        caller: &Caller,
    ) -> Result<ChannelName, AppError> {
        let found = match named {
            Some(name) => self
                .registry
                .first_of(name)
                .map(|_| name.clone())
                .ok_or("there is no such channel, or it does not work"),
            None => self
                .registry
                .only()
                .map(|line| line.name.clone())
                .ok_or("is missing, and there is not exactly one channel"),
        };
        found
            .and_then(|name| {
                // A pool sends through any of its channels.
                let lines = self.registry.members(&name);
                if caller.may_use(&name) && lines.iter().all(|line| caller.may_use(line)) {
                    Ok(name)
                } else {
                    Err("this key may not use it")
                }
            })
            .map_err(|detail| AppError::invalid("/channel", detail))
    }
}

/// Makes of a campaign what an order about its beginning makes of it; whether that is new.
fn scheduled(campaign: &mut CampaignRecord, order: CampaignOrder, now: Timestamp) -> Result<bool, AppError> {
    match campaign.state.after(order, now) {
        Ok(Ordered::Moved(state)) => {
            campaign.live = !matches!(state, CampaignState::Draft);
            campaign.state = state;
            Ok(true)
        }
        Ok(Ordered::Already) => Ok(false),
        Err(error) => Err(AppError::wrong_state(error.to_string())),
    }
}

fn definition_changed(definition: &mut Definition, patch: &CampaignPatch) -> Result<(), AppError> {
    definition.change(patch.plan.clone()).map_err(AppError::Invalid)
}

/// What is kept of a definition.
pub(super) fn kept(definition: &Definition) -> Result<Value, AppError> {
    serde_json::to_value(definition).map_err(|error| AppError::invalid("", error.to_string()))
}

/// Refuses contacts for a campaign that goes to the failed of another.
fn keeps_to_failed(definition: &Definition) -> Result<(), AppError> {
    match &definition.resend {
        Some(resend) => Err(AppError::wrong_state(format!(
            "the campaign goes to the failed of {} alone",
            resend.campaign
        ))),
        None => Ok(()),
    }
}

fn begun() -> AppError {
    AppError::wrong_state("the campaign has begun: only its name and autoPause may be changed")
}

fn is_begun(error: RecordsError) -> AppError {
    match error {
        RecordsError::NotFound(_) => begun(),
        other => other.into(),
    }
}
