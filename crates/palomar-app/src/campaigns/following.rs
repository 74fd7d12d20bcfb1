//! Sends the steps of a campaign after its first message, a batch after another.
//!
//! Always: what is decided of somebody is kept before their message is made, once; a message that was decided on is queued once,
//! whoever dies in between: its id follows from campaign, step and recipient, and whoever queues it looks first at what is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use palomar_model::{Recipient, Timestamp};
use palomar_records::{
    CampaignBatch, CampaignLane, CampaignProgress, CampaignRecipient, CampaignRecord, Decision, SEND,
};

use super::definition::Definition;
use super::feeder::remembered;
use super::follow_up::{FollowUp, Verdict};
use super::messages::{Drafts, LeftOut, facts};
use super::pace::{HORIZON, Room, look_ahead};
use super::view::Tally;
use super::{lots, results, zones};
use crate::channels::Line;
use crate::{App, AppError, pools};

/// Batches that are looked at in one round.
const MOST_BATCHES: usize = 8;
/// Records get so long to have all that was logged.
const CATCH_UP: Duration = Duration::from_secs(5);

/// A batch is marked as fed within so long after the first of its messages can have gone.
const FED_WITHIN: Duration = Duration::from_secs(60);

/// How long after it was fed a batch is looked at first, for each step: when somebody may be due.
fn first_looks(definition: &Definition) -> Vec<(u32, Duration)> {
    let mut after = Duration::ZERO;
    let looks = definition.follow_ups.iter().zip(lots::FIRST_STEP + 1..).map(|(follow, step)| {
        after += follow.after();
        (step, after.saturating_sub(FED_WITHIN))
    });
    looks.collect()
}

/// A batch that is looked at for a step.
struct Followed<'a> {
    campaign: &'a CampaignRecord,
    definition: &'a Definition,
    step: u32,
    follow: &'a FollowUp,
    line: Arc<Line>,
    /// Where a pool sends: who of it writes to whom.
    lines: HashMap<String, Arc<Line>>,
    batch: CampaignBatch,
    lane: CampaignLane,
    recipients: Vec<CampaignRecipient>,
}

impl Followed<'_> {
    const fn lane(&self) -> (u32, u32) {
        (self.step, self.lane.lane)
    }

    fn drafts(&self, now: Timestamp) -> Result<Drafts<'_>, AppError> {
        let drafts = Drafts::new(self.campaign, self.definition, &self.line, &self.lane.zones, (0, 0), now);
        drafts.and_then(|drafts| drafts.of_step(self.step, self.follow)).map_err(AppError::Unavailable)
    }
}

impl App {
    /// Whether nobody of a campaign all of whose batches were fed is undecided for any of its steps, and each message that was
    /// decided on has come to its end: what was queued is not counted yet where records lag.
    pub(super) async fn is_followed_up(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
    ) -> Result<bool, AppError> {
        if definition.follow_ups.is_empty() {
            return Ok(true);
        }
        let looks = progress.batches.all() * definition.follow_ups.len() as u64;
        Ok(self.records.follow_ups_are_over(progress.campaign.number, looks).await?)
    }

    /// Decides of those whose time has come, and queues their messages.
    pub(super) async fn follow_up(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
        now: Timestamp,
    ) -> Result<(), AppError> {
        let steps = u32::try_from(definition.follow_ups.len()).unwrap_or(0);
        let Some(line) = self.registry.first_of(&progress.campaign.channel).filter(|_| steps > 0) else {
            return Ok(());
        };
        let number = progress.campaign.number;
        let totals = self.records.follow_up_totals(number).await?;
        if totals.looks < progress.batches.fed * u64::from(steps) {
            self.records.plan_follow_ups(number, first_looks(definition)).await?;
        }
        let due = self.records.follow_ups_due(number, now, MOST_BATCHES).await?;
        if due.is_empty() {
            return Ok(());
        }
        // What is decided stays so: whoever read or answered by now is known to have. And all that was queued is counted.
        self.caught_up(CATCH_UP).await?;
        let Some(newest) = self.records.campaign_progress(&progress.campaign.id).await? else {
            return Ok(());
        };
        let mut room = self.room_for_follow_ups(&newest, &line);
        for (step, batch) in due {
            let Some(follow) = definition.follow_ups.get(step as usize - 1) else { continue };
            let found = self.records.campaign_batch(number, batch).await?;
            let Some((campaign, batch, lane, recipients)) = found else { continue };
            let opens = zones::opens(definition, &lane, now);
            if opens > now.after(HORIZON) {
                // Who reads or answers until then needs no message, and nobody else waits for their place.
                self.records.follow_up_looked(number, (step, batch.number), Some(opens)).await?;
                continue;
            }
            if !room.take(batch.size) {
                break;
            }
            let lines =
                pools::lines_for(&self.registry, &self.records, &campaign.channel, &recipients, now).await?;
            let followed = Followed {
                campaign: &campaign,
                definition,
                step,
                follow,
                line: Arc::clone(&line),
                lines,
                batch,
                lane,
                recipients,
            };
            let again = self.follow_batch(&followed, now).await?;
            self.records.follow_up_looked(number, (step, followed.batch.number), again).await?;
        }
        Ok(())
    }

    /// What there is room for beside the messages of steps that wait or are under way. First messages have room of their own.
    fn room_for_follow_ups(&self, progress: &CampaignProgress, line: &Line) -> Room {
        let config = &self.config.campaigns;
        Room {
            look_ahead: look_ahead(&line.limits, config.batch_size, config.look_ahead),
            outstanding: Tally::of(progress).following,
            most_batches: MOST_BATCHES as u64,
            batches: 0,
        }
    }

    /// Looks at a batch; when again, where something of it is left to do.
    async fn follow_batch(&self, of: &Followed<'_>, now: Timestamp) -> Result<Option<Timestamp>, AppError> {
        let number = of.campaign.number;
        let decided = self.records.follow_ups(number, of.step, &of.batch).await?;
        let (whom, mut again) = self.candidates(of, now).await?;
        let open = whom.into_iter().filter(|one| !decided.contains_key(&one.place)).collect();
        let (outcomes, waits) = self.decide(of, open, now).await?;
        again = [again, waits].into_iter().flatten().min();
        if !outcomes.is_empty() {
            self.records.decide_follow_ups(number, of.lane(), outcomes).await?;
        }
        // Whatever somebody else decided at the same time counts, where it came first.
        let decided = self.records.follow_ups(number, of.step, &of.batch).await?;
        let to_queue = |one: &&CampaignRecipient| {
            let unqueued = |decision: &Decision| decision.outcome == SEND && !decision.queued;
            decided.get(&one.place).is_some_and(unqueued)
        };
        let chosen: Vec<_> = of.recipients.iter().filter(to_queue).cloned().collect();
        if !chosen.is_empty() {
            self.queue_follow_ups(of, &chosen, now).await?;
        }
        Ok(again.map(|at| at.max(of.follow.later(now))))
    }

    /// Who got the message before; and when it is looked again, where that is not known of all.
    async fn candidates(
        &self,
        of: &Followed<'_>,
        now: Timestamp,
    ) -> Result<(Vec<CampaignRecipient>, Option<Timestamp>), AppError> {
        let mut whom = of.recipients.clone();
        whom.retain(|one| one.left_out.is_none());
        let mut settled = true;
        for step in lots::FIRST_STEP + 1..of.step {
            let decided = self.records.follow_ups(of.campaign.number, step, &of.batch).await?;
            settled &= whom.iter().all(|one| decided.contains_key(&one.place));
            whom.retain(|one| decided.get(&one.place).is_some_and(|decision| decision.outcome == SEND));
        }
        Ok((whom, (!settled).then(|| of.follow.later(now))))
    }

    /// What is decided of some, and when those are looked at again of whom nothing is.
    async fn decide(
        &self,
        of: &Followed<'_>,
        whom: Vec<CampaignRecipient>,
        now: Timestamp,
    ) -> Result<(Vec<(u64, &'static str)>, Option<Timestamp>), AppError> {
        let number = of.campaign.number;
        let id = |one: &CampaignRecipient| results::message_of_step(number, of.step - 1, one);
        let before = self.records.sendings(whom.iter().map(id).collect()).await?;
        let keys = whom.iter().map(|one| {
            let key = Recipient::parse(&one.recipient, None).map(|to| to.key()).unwrap_or_default();
            (of.lines.get(&key).unwrap_or(&of.line).name.clone(), key)
        });
        let wrote = self.records.last_wrote(keys.collect()).await?;
        let known = facts(&self.records, &of.line, of.definition, &whom).await?;
        let drafts = of.drafts(now)?;
        let (mut outcomes, mut again) = (Vec::new(), None);
        for ((one, wrote), facts) in whom.iter().zip(wrote).zip(&known) {
            match of.follow.judge(before.get(&id(one)), wrote, now) {
                Verdict::Wait(at) => again = Some(again.map_or(at, |soonest: Timestamp| soonest.min(at))),
                Verdict::Is(SEND) => {
                    let outcome = drafts.message(one, facts, 0).map_or_else(LeftOut::as_str, |_| SEND);
                    outcomes.push((one.place, outcome));
                }
                Verdict::Is(word) => outcomes.push((one.place, word)),
            }
        }
        Ok((outcomes, again))
    }

    /// Queues the messages of those who were decided to get one, but for those that are there.
    async fn queue_follow_ups(
        &self,
        of: &Followed<'_>,
        whom: &[CampaignRecipient],
        now: Timestamp,
    ) -> Result<(), AppError> {
        let number = of.campaign.number;
        // Whoever queued some of them and died has had them logged.
        self.caught_up(CATCH_UP).await?;
        let ids = whom.iter().map(|one| results::message_of_step(number, of.step, one)).collect();
        let there: HashSet<_> = self.records.stored(ids).await?.into_iter().map(|(id, _)| id).collect();
        let known = facts(&self.records, &of.line, of.definition, whom).await?;
        let drafts = of.drafts(now)?;
        let (mut jobs, mut queued) = (Vec::new(), Vec::with_capacity(whom.len()));
        for (one, facts) in whom.iter().zip(&known) {
            if there.contains(&results::message_of_step(number, of.step, one)) {
                queued.push((one.place, SEND));
                continue;
            }
            match drafts.message(one, &facts.as_before(), 0) {
                Ok(mut message) => {
                    let line = of.lines.get(&message.to.key()).unwrap_or(&of.line);
                    message.channel = line.name.clone();
                    let job = drafts.job(&message, line, facts, remembered(&self.records));
                    jobs.push(job.map_err(|error| AppError::Unavailable(error.to_string()))?);
                    queued.push((one.place, SEND));
                }
                Err(reason) => queued.push((one.place, reason.as_str())),
            }
        }
        if !jobs.is_empty() {
            self.broker.enqueue(jobs).await?;
        }
        Ok(self.records.follow_ups_queued(number, of.lane(), queued).await?)
    }
}
