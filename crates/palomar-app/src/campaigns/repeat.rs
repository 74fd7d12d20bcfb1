//! Campaigns that repeat: at each occurrence a run is made, a campaign of its own with a derived id, and the campaign waits for
//! the next.
//!
//! Always: occurrences that passed while nothing ran become one run, that of the newest; whether that is too late is judged as of
//! any campaign.

use palomar_model::{CampaignOrder, CampaignState, FieldError, Recurrence, Timestamp};
use palomar_records::CampaignRecord;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::input::CampaignPatch;
use super::writing::kept;
use super::{lots, view};
use crate::{App, AppError};

/// Characters of a campaign's name that its runs take over.
const LONGEST_NAME: usize = 180;

/// Which occurrence of which campaign a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOf {
    /// The campaign that repeats.
    pub campaign: String,
    /// The occurrence.
    pub at: Timestamp,
}

impl Definition {
    /// When a campaign that is to begin not before a time begins: then, or at the first occurrence from then on.
    pub(super) fn begins(&self, not_before: Timestamp) -> Result<Timestamp, AppError> {
        let Some(repeat) = &self.repeat else { return Ok(not_before) };
        let just_before = Timestamp::from_micros(not_before.micros() - 1);
        repeat.next(just_before).ok_or_else(|| AppError::Invalid(vec![ended(repeat)]))
    }

    /// What a change orders about the beginning of a campaign, which repeated before or did not: whose repeating ends waits for
    /// nothing any more, and a time that somebody gave to one that never repeated stays.
    pub(super) fn schedule(
        &self,
        patch: &CampaignPatch,
        repeated: bool,
        now: Timestamp,
    ) -> Result<Option<CampaignOrder>, AppError> {
        match (patch.scheduled_at, &patch.plan.repeat) {
            (Some(Some(at)), _) if at <= now => {
                Err(AppError::invalid("/scheduledAt", "must be in the future"))
            }
            (Some(Some(at)), _) => Ok(Some(CampaignOrder::Schedule { at: self.begins(at)? })),
            (Some(None), _) => Ok(Some(CampaignOrder::Unschedule)),
            (None, Some(None)) => Ok(repeated.then_some(CampaignOrder::Unschedule)),
            (None, Some(Some(_))) => Ok(Some(CampaignOrder::Schedule { at: self.begins(now)? })),
            (None, None) => Ok(None),
        }
    }
}

fn ended(repeat: &Recurrence) -> FieldError {
    FieldError::new(
        "/repeat/until",
        format!("there is no occurrence any more, by the clocks of {}", repeat.zone()),
    )
}

impl App {
    /// Makes the run of a campaign that repeats and whose time has come, and lets it wait for the next.
    pub(super) async fn begin_run(
        &self,
        campaign: CampaignRecord,
        definition: &Definition,
        repeat: &Recurrence,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), AppError> {
        // What was missed is made up for once.
        let occurred = repeat.last(at, now).unwrap_or(at);
        let of = RunOf { campaign: campaign.id.clone(), at: occurred };
        let own = Definition { repeat: None, run_of: Some(of), ..definition.clone() };
        let run = CampaignRecord {
            id: run_id(campaign.number, occurred),
            name: run_name(&campaign.name, repeat, occurred),
            definition: kept(&own)?,
            state: CampaignState::Scheduled { at: occurred },
            live: true,
            ..CampaignRecord::draft(campaign.channel.clone(), now)
        };
        let next = repeat.next(now);
        let waits = CampaignRecord {
            state: next.map_or(CampaignState::Draft, |at| CampaignState::Scheduled { at }),
            live: next.is_some(),
            ..campaign
        };
        let told = view::told(&waits);
        // Whoever changed it meanwhile leaves it to the next look.
        if self.records.create_run(waits, run, told, now).await? {
            self.live.wake();
            self.keeper.wake.notify_one();
        }
        Ok(())
    }
}

/// The id of the run of an occurrence.
fn run_id(campaign: u64, at: Timestamp) -> String {
    let id = lots::message_id(campaign, lots::FIRST_STEP, &format!("run {}", at.micros()));
    format!("campaign_{}", id.0.simple())
}

/// What a run is called: its campaign's name and the day there.
fn run_name(name: &str, repeat: &Recurrence, at: Timestamp) -> String {
    let short: String = name.chars().take(LONGEST_NAME).collect();
    format!("{short} · {}", repeat.zone().date(at))
}
