//! Looks after campaigns that move: begins those whose time has come, queues batches as there is room for their messages,
//! ends what is accounted for, pauses what fails too much, and makes the queues do what a campaign's word says.
//!
//! Always: whatever it does may be done twice, or by two nodes at once: state is changed by compare and set, batches by
//! their generation. It keeps nothing that is not in records, so that it can die at any step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use palomar_broker::{Control, JobFilter, JobState, Stats};
use palomar_model::{CampaignOrder, CampaignState, OnUncertain, Pause, PauseCause, Timestamp};
use palomar_records::{
    BatchState, CampaignBatch, CampaignChange, CampaignProgress, CampaignRecord, Follower, Judged,
};
use tokio::sync::{Notify, watch as channel};
use tokio::time::Instant;

use super::definition::Definition;
use super::judge::Judgement;
use super::orders::{definition_of, give};
use super::snapshot;
use super::view::{self, Tally};
use crate::{App, AppError};

/// How often campaigns are looked at that send.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// How often it is looked whether there are any.
const IDLE: Duration = Duration::from_secs(1);
/// A batch that has been queued for so long is looked up: its job may be no more.
const OVERDUE: Duration = Duration::from_secs(5);
/// How often front ends are told how far a campaign is.
const TELL: Duration = Duration::from_secs(2);
/// Messages of a campaign that was stopped are waited for that records do not have: they are in the spool of a node.
const ON_THEIR_WAY: Duration = Duration::from_secs(3600);
/// How often it is looked which campaigns may be forgotten.
const CLEAN: Duration = Duration::from_secs(600);
/// Batches that are looked at in one round.
const MOST_BATCHES: usize = 64;

/// What the keeper is woken by, and what it remembers to spare work.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Told when something has changed that it acts on.
    pub(crate) wake: Arc<Notify>,
    told: Mutex<HashMap<u64, (Instant, u64)>>,
}

/// Looks after campaigns as long as there is an application, wherever this node follows the log.
pub(crate) async fn watch(app: Weak<App>, right: channel::Receiver<Follower>) {
    let Some(wake) = app.upgrade().map(|app| Arc::clone(&app.keeper.wake)) else { return };
    let mut failing = false;
    let mut pause = IDLE;
    let (mut cleaned, mut sweeps): (Option<Instant>, bool) = (None, false);
    loop {
        // Whoever wakes it has changed something; else it is time to look.
        let _ = tokio::time::timeout(pause, wake.notified()).await;
        let Some(app) = app.upgrade() else { return };
        if *right.borrow() == Follower::Another {
            pause = IDLE;
            continue;
        }
        let looked = app.look_after_campaigns().await;
        match &looked {
            Ok(_) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "campaigns can't be looked after now, trying again");
            }
            Err(_) => {}
        }
        pause = if looked.unwrap_or(false) { LOOK } else { IDLE };
        let is_time = cleaned.is_none_or(|last| last.elapsed() >= CLEAN);
        if is_time || sweeps {
            let done = if is_time { app.clean_campaigns().await.map(|_| ()) } else { Ok(()) };
            let swept = match done {
                Ok(()) => app.sweep_campaigns().await,
                Err(error) => Err(error),
            };
            if is_time {
                cleaned = Some(Instant::now());
            }
            // Some at each look, so that campaigns that move wait for none of it.
            sweeps = *swept.as_ref().unwrap_or(&false);
            if let Err(error) = swept {
                tracing::warn!(%error, "old campaigns can't be forgotten now");
            }
        }
    }
}

impl App {
    /// Looks at every campaign that moves; whether one sends.
    async fn look_after_campaigns(&self) -> Result<bool, AppError> {
        let live = self.records.live_campaigns().await?;
        if live.is_empty() {
            return Ok(false);
        }
        let stats = self.broker.stats().await?;
        let mut sends = false;
        for progress in live {
            let id = progress.campaign.id.clone();
            sends |= matches!(progress.campaign.state, CampaignState::Sending { .. });
            if let Err(error) = self.look_after(progress, &stats).await {
                // One that can't be looked after holds no other.
                tracing::warn!(campaign = id, %error, "a campaign can't be looked after now");
            }
        }
        Ok(sends)
    }

    async fn look_after(&self, progress: CampaignProgress, stats: &Stats) -> Result<(), AppError> {
        let now = self.now();
        match progress.campaign.state {
            CampaignState::Scheduled { at } if at <= now => {
                let definition = definition_of(&progress.campaign)?;
                match &definition.repeat {
                    Some(repeat) => self.begin_run(progress.campaign, &definition, repeat, at, now).await,
                    None => self.begin_scheduled(progress, at, now).await,
                }
            }
            CampaignState::Sending { .. } => {
                self.agree(&progress.campaign, stats).await?;
                self.tell_progress(&progress, now).await?;
                let definition = definition_of(&progress.campaign)?;
                if !snapshot::is_taken(&progress, &definition) {
                    return self.take_snapshot(progress, &definition, now).await;
                }
                if is_accounted_for(&progress) && self.is_followed_up(&progress, &definition).await? {
                    return self.finish(progress.campaign, now).await;
                }
                match self.judge(&progress, &definition, now).await {
                    Ok(Some(why)) => return self.pause_by_itself(progress.campaign, why, now).await,
                    Ok(None) => {}
                    // Nothing waits for that but a pause.
                    Err(error) => {
                        tracing::warn!(campaign = progress.campaign.id, %error, "a campaign can't be judged now");
                    }
                }
                self.find_lost(&progress, now).await?;
                self.queue_batches(&progress, now).await?;
                self.follow_up(&progress, &definition, now).await
            }
            CampaignState::Paused { .. } => {
                self.agree(&progress.campaign, stats).await?;
                self.tell_progress(&progress, now).await?;
                let definition = definition_of(&progress.campaign)?;
                let all = snapshot::is_taken(&progress, &definition) && is_accounted_for(&progress);
                if all && self.is_followed_up(&progress, &definition).await? {
                    return self.finish(progress.campaign, now).await;
                }
                Ok(())
            }
            CampaignState::Stopped { .. } => self.settle_stopped(progress, stats, now).await,
            // Whoever finished it died before all was told.
            CampaignState::Finished { .. } => self.finish(progress.campaign, now).await,
            CampaignState::Scheduled { .. } | CampaignState::Draft => Ok(()),
        }
    }

    /// Its time has come; or has passed for so long that a person must say.
    async fn begin_scheduled(
        &self,
        progress: CampaignProgress,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), AppError> {
        let most = Duration::from_secs(definition_of(&progress.campaign)?.max_lateness_seconds);
        let late = now.since(at);
        let too_late = (late > most).then(|| {
            format!("it was to begin at {at}, {} min ago: resume it, or stop it", late.as_secs() / 60)
        });
        let begun = self.begin_campaign(progress.campaign.clone(), CampaignOrder::Due { too_late }).await;
        match begun {
            Ok(_) => Ok(()),
            // It can't be begun, and will not by itself: it waits, visibly, for a person.
            Err(AppError::Conflict { detail, .. }) => {
                let order = CampaignOrder::Due { too_late: Some(detail) };
                give(&self.records, progress.campaign, order, now).await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the queues do what a campaign's state says, where they don't.
    async fn agree(&self, campaign: &CampaignRecord, stats: &Stats) -> Result<(), AppError> {
        let held = |queue: &palomar_broker::QueueStats| {
            queue.paused_groups.iter().any(|group| **group == *campaign.id)
        };
        let queues = self.queues_of(campaign)?;
        let shall_be = !matches!(campaign.state, CampaignState::Sending { .. });
        let mut own = stats.queues.iter().filter(|queue| queues.contains(&queue.queue));
        if own.all(|queue| held(queue) == shall_be) {
            return Ok(());
        }
        // What the numbers say may be older than what was ordered since.
        let newest = self.records.campaign(&campaign.id).await?;
        match newest {
            Some(newest) if newest.version == campaign.version => self.carry_out(&newest).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Everybody is accounted for. It is looked after until its group is nothing special any more.
    async fn finish(&self, campaign: CampaignRecord, now: Timestamp) -> Result<(), AppError> {
        let (finished, moved) = give(&self.records, campaign, CampaignOrder::Finish, now).await?;
        if moved {
            tracing::info!(campaign = finished.id, "a campaign has finished");
            self.live.wake();
        }
        self.release(&finished).await?;
        let number = finished.number;
        let settled = CampaignRecord { live: false, ..finished };
        self.records.change_campaign(settled, CampaignChange::default(), now).await?;
        self.keeper.forget(number);
        Ok(())
    }

    /// Its group is nothing special any more.
    pub(super) async fn release(&self, campaign: &CampaignRecord) -> Result<(), AppError> {
        for queue in self.queues_of(campaign)? {
            let control = Control::ResumeGroup { queue, group: campaign.id.as_str().into() };
            // A channel that was deleted holds nothing.
            let _ = self.broker.control(control).await?;
        }
        Ok(())
    }

    /// Calls off all that waits of a campaign that was stopped, until nothing of it moves any more.
    async fn settle_stopped(
        &self,
        progress: CampaignProgress,
        stats: &Stats,
        now: Timestamp,
    ) -> Result<(), AppError> {
        self.agree(&progress.campaign, stats).await?;
        let group: Arc<str> = progress.campaign.id.as_str().into();
        let filter = JobFilter { group: Some(group), ..JobFilter::default() };
        let called_off = self.broker.control(Control::CancelAll(filter)).await??;
        self.caught_up(OVERDUE).await?;
        let Some(newest) = self.records.campaign_progress(&progress.campaign.id).await? else {
            return Ok(());
        };
        let moves = called_off.changed > 0 || called_off.in_flight > 0 || self.may_come_yet(&newest, now)?;
        if moves || newest.batches.queued > 0 && self.is_being_fed(&newest).await? {
            return Ok(());
        }
        // Whoever dies after this holds it again, and looks again.
        self.release(&newest.campaign).await?;
        let told = Some(view::told_progress(&newest));
        let number = newest.campaign.number;
        let settled = CampaignRecord { live: false, ..newest.campaign };
        let change = CampaignChange { told, ..CampaignChange::default() };
        if self.records.change_campaign(settled, change, now).await?.is_some() {
            self.keeper.forget(number);
            self.live.wake();
        }
        Ok(())
    }

    /// Whether something of a campaign that was stopped may still come to a start: it waits or is under way, will be tried
    /// again by itself, or is queued and not seen yet.
    fn may_come_yet(&self, progress: &CampaignProgress, now: Timestamp) -> Result<bool, AppError> {
        let (campaign, tally) = (&progress.campaign, Tally::of(progress));
        let own = definition_of(campaign)?.on_uncertain;
        let policy = own.or_else(|| Some(self.registry.first_of(&campaign.channel)?.on_uncertain));
        let is_retried = progress.counts.of_all_steps("uncertain") > 0 && policy == Some(OnUncertain::Retry);
        let on_their_way = progress.batches.accepted > progress.counts.all_messages()
            && campaign.ended_at.is_none_or(|ended| now.since(ended) < ON_THEIR_WAY);
        Ok(tally.under_way > 0 || tally.following > 0 || is_retried || on_their_way)
    }

    /// Whether a job of a batch is in somebody's hands.
    async fn is_being_fed(&self, progress: &CampaignProgress) -> Result<bool, AppError> {
        let number = progress.campaign.number;
        let queued = self.records.campaign_batches(number, BatchState::Queued, None, MOST_BATCHES).await?;
        for batch in queued {
            if self.job_of(number, &batch).await?.is_some_and(moves) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn job_of(&self, campaign: u64, batch: &CampaignBatch) -> Result<Option<JobState>, AppError> {
        let id = super::lots::batch_id(campaign, batch.number, batch.generation);
        Ok(self.broker.job(id).await?.map(|(job, _)| job.state))
    }

    /// Batches whose job somebody took away get another turn; one whose job ended as a dead letter without a word, because
    /// it could not be handled at all, waits for a person.
    async fn find_lost(&self, progress: &CampaignProgress, now: Timestamp) -> Result<(), AppError> {
        if progress.batches.queued == 0 {
            return Ok(());
        }
        let number = progress.campaign.number;
        let queued = self.records.campaign_batches(number, BatchState::Queued, None, MOST_BATCHES).await?;
        for batch in queued {
            let since = batch.queued_at.unwrap_or(now);
            if now.since(since) <= OVERDUE {
                continue;
            }
            match self.job_of(number, &batch).await? {
                Some(JobState::Dead) => {
                    let reason = "whoever made its messages broke down".to_owned();
                    let detail = format!("batch {} could not be queued: {reason}", batch.number + 1);
                    if self.records.batch_failed(number, batch, reason).await? {
                        let why = Pause { cause: PauseCause::Batch, detail };
                        return self.pause_by_itself(progress.campaign.clone(), why, now).await;
                    }
                }
                Some(state) if moves(state) => {}
                _ => _ = self.records.batch_lost(number, batch).await?,
            }
        }
        Ok(())
    }

    /// Why a campaign is to be paused, if it is: too many of its messages failed or were not wanted since the last look, or the
    /// provider would refuse what it sends, or people take it badly.
    async fn judge(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
        now: Timestamp,
    ) -> Result<Option<Pause>, AppError> {
        let campaign = &progress.campaign;
        if let Some(why) = self.unfit_template(&campaign.channel, definition).await? {
            return Ok(Some(why));
        }
        let (rule, then) = (&definition.auto_pause, campaign.judged);
        if !rule.is_due(then, ended(progress)) {
            return Ok(None);
        }
        let judged = self.judged(progress).await?;
        match rule.judge(then, judged) {
            Judgement::Well => {
                let judged = CampaignRecord { judged, ..campaign.clone() };
                self.records.change_campaign(judged, CampaignChange::default(), now).await?;
                Ok(None)
            }
            Judgement::Failing(detail) => Ok(Some(Pause { cause: PauseCause::FailureRate, detail })),
            Judgement::Unwelcome(detail) => Ok(Some(Pause { cause: PauseCause::BlockRate, detail })),
        }
    }

    /// The messages of a campaign that came to an end.
    async fn judged(&self, progress: &CampaignProgress) -> Result<Judged, AppError> {
        let campaign = &progress.campaign;
        let failed = progress.counts.of_all_steps("failed");
        let mut judged = Judged { ended: ended(progress), failed, unwelcome: 0 };
        if failed > 0
            && let Some(line) = self.registry.get(&campaign.channel)
        {
            let codes = line.channel.unwelcome_codes();
            judged.unwelcome = self.records.campaign_failed_with(campaign.number, codes).await?;
        }
        Ok(judged)
    }

    pub(super) async fn pause_by_itself(
        &self,
        campaign: CampaignRecord,
        why: Pause,
        now: Timestamp,
    ) -> Result<(), AppError> {
        tracing::warn!(campaign = campaign.id, reason = why.detail, "a campaign pauses by itself");
        let order = CampaignOrder::Pause(why);
        let (campaign, _) = give(&self.records, campaign, order, now).await?;
        self.carry_out(&campaign).await?;
        // Whoever resumes it begins a new count.
        let progress = self.records.campaign_progress(&campaign.id).await?;
        if let Some(progress) = progress {
            let judged = self.judged(&progress).await?;
            let judged = CampaignRecord { judged, ..progress.campaign };
            self.records.change_campaign(judged, CampaignChange::default(), now).await?;
        }
        self.live.wake();
        Ok(())
    }

    /// Tells front ends how far a campaign is, where that is news.
    async fn tell_progress(&self, progress: &CampaignProgress, now: Timestamp) -> Result<(), AppError> {
        if self.keeper.is_news(progress) {
            let told = view::told_progress(progress);
            self.records.tell_campaign(progress.campaign.clone(), told, now).await?;
            self.live.wake();
        }
        Ok(())
    }
}

impl Keeper {
    fn is_news(&self, progress: &CampaignProgress) -> bool {
        let (number, processed) = (progress.campaign.number, Tally::of(progress).processed());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match told.get(&number) {
            Some((at, known)) if *known == processed || now - *at < TELL => false,
            _ => {
                told.insert(number, (now, processed));
                true
            }
        }
    }

    fn forget(&self, number: u64) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

/// Whether a job is still to be done, or in somebody's hands.
const fn moves(state: JobState) -> bool {
    matches!(state, JobState::Scheduled | JobState::Queued | JobState::Started | JobState::Uncertain)
}

/// Messages of a campaign, of all its steps, that the provider took or that failed.
fn ended(progress: &CampaignProgress) -> u64 {
    ["sent", "delivered", "read", "failed"].iter().map(|word| progress.counts.of_all_steps(word)).sum()
}

/// Whether all recipients of a campaign are accounted for: messages at their end or uncertain, and left out.
fn is_accounted_for(progress: &CampaignProgress) -> bool {
    let (batches, tally) = (&progress.batches, Tally::of(progress));
    let all_fed = batches.waiting == 0 && batches.queued == 0 && batches.failed == 0;
    all_fed
        && tally.under_way == 0
        && tally.following == 0
        && tally.processed() == progress.campaign.recipients
}
