//! Queues batches of a campaign: as many as there is room for their messages, of those whose recipients may be written to.

use palomar_model::{Daily, Pause, PauseCause, Timestamp};
use palomar_records::{BatchState, CampaignBatch, CampaignProgress, CampaignRecord, DailyCap};

use super::definition::Definition;
use super::orders::definition_of;
use super::pace::{HORIZON, Room, look_ahead};
use super::view::Tally;
use super::{feeder, messages, zones};
use crate::{App, AppError};

/// Batches of a lane that are looked at in one round.
const MOST_BATCHES: usize = 64;
/// Batches that are queued for each that is fed at a time: whoever has fed one finds the next, and need not wait until it was
/// looked at again what there is room for.
const QUEUED_A_PLACE: u64 = 4;

impl App {
    /// Queues as many batches as there is room for.
    pub(super) async fn queue_batches(
        &self,
        progress: &CampaignProgress,
        now: Timestamp,
    ) -> Result<(), AppError> {
        let (campaign, batches) = (&progress.campaign, &progress.batches);
        if batches.waiting == 0 {
            return Ok(());
        }
        if self.registry.first_of(&campaign.channel).is_none() {
            self.setup.take_in().await?;
        }
        let Some(line) = self.registry.first_of(&campaign.channel) else {
            let detail = format!("the channel {} does not exist, or does not work", campaign.channel);
            let why = Pause { cause: PauseCause::Batch, detail };
            return self.pause_by_itself(campaign.clone(), why, now).await;
        };
        let config = &self.config.campaigns;
        let definition = definition_of(campaign)?;
        let tally = Tally::of(progress);
        let outstanding = batches.planned.saturating_sub(tally.ended() + batches.left_out);
        // A day begins with what is left over of the one before, whether there is room for more or not.
        let day = match definition.daily_cap {
            Some(cap) => Some((cap, self.day_of(campaign, &definition, now).await?)),
            None => None,
        };
        let mut room = Room {
            look_ahead: look_ahead(&line.limits, config.batch_size, config.look_ahead),
            outstanding,
            most_batches: u64::from(config.concurrent_batches.max(1)) * QUEUED_A_PLACE,
            batches: batches.queued,
        };
        if room.outstanding >= room.look_ahead || room.batches >= room.most_batches {
            return Ok(());
        }
        let mut chosen = Vec::new();
        let mut place = batches.planned;
        let mut left = day.map(|(cap, daily)| u64::from(cap).saturating_sub(daily.taken));
        for batch in self.awake(campaign, &definition, now).await? {
            let due = messages::pace(campaign, &definition, campaign.recipients, now).due(place);
            let is_early = due.is_some_and(|due| due > now.after(HORIZON));
            let size = batch.size;
            if is_early || left.is_some_and(|left| left < size) || !room.take(size) {
                break;
            }
            left = left.map(|left| left - size);
            chosen.push((batch, place));
            place += size;
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let cap = day.map(|(cap, daily)| DailyCap { today: daily.day, cap });
        let queued = self.records.batches_queued(campaign.number, chosen, cap, now).await?;
        let jobs: Result<Vec<_>, _> = queued.iter().map(|batch| feeder::job_for(campaign, batch)).collect();
        // Where this fails, the batches are found lost, and get another turn.
        self.broker.enqueue(jobs?).await?;
        Ok(())
    }

    /// Begins today of a campaign whose days have a cap, where it did not begin yet. To be done before anything of it is let
    /// go that day.
    pub(super) async fn begin_day(&self, campaign: &CampaignRecord) -> Result<(), AppError> {
        let definition = definition_of(campaign)?;
        if definition.daily_cap.is_some() {
            self.day_of(campaign, &definition, self.now()).await?;
        }
        Ok(())
    }

    /// What of today was given out to a campaign whose days have a cap.
    async fn day_of(
        &self,
        campaign: &CampaignRecord,
        definition: &Definition,
        now: Timestamp,
    ) -> Result<Daily, AppError> {
        let today = definition.zone.day(now);
        let daily = self.records.campaign_day(campaign.number).await?;
        if daily.day >= today {
            return Ok(daily);
        }
        let midnight = definition.zone.midnight(now);
        Ok(self.records.begin_campaign_day(campaign, today, midnight, now).await?)
    }

    /// Batches whose turn could come, of those whose recipients may be written to now or soon.
    async fn awake(
        &self,
        campaign: &CampaignRecord,
        definition: &Definition,
        now: Timestamp,
    ) -> Result<Vec<CampaignBatch>, AppError> {
        let number = campaign.number;
        let waiting = BatchState::Waiting;
        if definition.hours.is_none() {
            return Ok(self.records.campaign_batches(number, waiting, None, MOST_BATCHES).await?);
        }
        let mut awake = Vec::new();
        for lane in self.records.campaign_lanes(number).await? {
            if zones::opens(definition, &lane, now) <= now.after(HORIZON) {
                awake.extend(
                    self.records.campaign_batches(number, waiting, Some(lane.lane), MOST_BATCHES).await?,
                );
            }
        }
        Ok(awake)
    }
}
