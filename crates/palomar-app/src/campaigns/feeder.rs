//! Makes messages of a batch: what a worker does with a job of `campaigns/_batches`.
//!
//! Always: a recipient gets one message or is left out with a reason. The batch is marked as fed after all its messages
//! are durable; where the process died between the two, whoever feeds it again waits until records have all that was
//! logged, adds the messages that are not there, and marks it then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{Broker, LeasedJob, NewJob, OnUncertain, Outcome};
use palomar_model::{CampaignOrder, CampaignState, Clock, MessageId, Pause, PauseCause, Recipient};
use palomar_records::{
    BatchState, CampaignBatch, CampaignLane, CampaignRecipient, CampaignRecord, FedBatch, Records,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::definition::Definition;
use super::messages::{Drafts, facts};
use super::{CampaignConfig, batches_queue, lots};
use crate::AppError;
use crate::channels::{Line, Registry};
use crate::pools;
use crate::projector::Progress;
use crate::setup::Setup;

/// The broker remembers ids of messages for so long. A batch is fed again by what records say, which have caught up; this
/// is for a process that stood still in the midst of feeding.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Where several nodes feed: what one of them has in its spool while it is away may come days later.
const REMEMBERED_BY_NODES: Duration = Duration::from_secs(8 * 24 * 3600);
/// Whoever needed longer than this may have lost the batch to somebody else, and begins again.
const LONGEST: Duration = Duration::from_secs(40);
/// Records get so long to catch up.
const CATCH_UP: Duration = Duration::from_secs(20);
/// What passes by itself is looked at again after so long.
const LATER: Duration = Duration::from_secs(2);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// For how long the broker remembers ids of messages.
pub(super) fn remembered(records: &Records) -> Duration {
    if records.are_shared() { REMEMBERED_BY_NODES } else { REMEMBERED }
}

/// What a job of a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchJob {
    v: u8,
    pub(super) campaign: u64,
    pub(super) batch: u32,
    pub(super) generation: u32,
}

/// The job of a batch, in its campaign's turn.
pub(super) fn job_for(campaign: &CampaignRecord, batch: &CampaignBatch) -> Result<NewJob, AppError> {
    let content =
        BatchJob { v: 1, campaign: campaign.number, batch: batch.number, generation: batch.generation };
    let payload = serde_json::to_vec(&content).map_err(|error| AppError::Unavailable(error.to_string()))?;
    let id = lots::batch_id(campaign.number, batch.number, batch.generation);
    let mut job = NewJob::new(id, batches_queue()?, payload);
    job.group = Some(campaign.id.as_str().into());
    // What was fed twice is there once.
    job.on_uncertain = OnUncertain::Retry;
    Ok(job)
}

/// Handles jobs of the pool `campaigns`.
pub(crate) struct Feeder {
    pub(crate) config: CampaignConfig,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) records: Records,
    pub(crate) registry: Arc<Registry>,
    pub(crate) setup: Arc<Setup>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Progress,
    /// Told when there is room for another batch.
    pub(crate) wake: Arc<Notify>,
}

/// Why a batch could not be fed.
enum Trouble {
    /// It passes by itself: it costs no attempt.
    Passing(String),
    /// It may come again.
    Failed(String),
}

impl From<AppError> for Trouble {
    fn from(error: AppError) -> Trouble {
        match error {
            AppError::Full | AppError::Unavailable(_) | AppError::Draining => {
                Trouble::Passing(error.to_string())
            }
            other => Trouble::Failed(other.to_string()),
        }
    }
}

impl From<palomar_records::RecordsError> for Trouble {
    fn from(error: palomar_records::RecordsError) -> Trouble {
        Trouble::from(AppError::from(error))
    }
}

impl Handler for Feeder {
    async fn handle(&self, job: LeasedJob) -> Handled {
        let Ok(content) = serde_json::from_slice::<BatchJob>(&job.payload) else {
            return Handled::new(Outcome::Dead { reason: "what is to be fed can't be read".into() });
        };
        let fed = self.feed(&job, content).await;
        self.wake.notify_one();
        let (reason, counts) = match fed {
            Ok(()) => return Handled::new(Outcome::Done),
            Err(Trouble::Passing(reason)) => (reason, false),
            Err(Trouble::Failed(reason)) => (reason, true),
        };
        tracing::warn!(job = %job.lease.id, reason, "a batch of a campaign could not be fed");
        if counts && job.tries >= self.config.retry_attempts.max(1) {
            return self.give_up(content, reason).await;
        }
        let doubled = self.config.retry_delay * 2_u32.saturating_pow(job.tries.saturating_sub(1).min(16));
        let wait = if counts { doubled.min(LONGEST_WAIT) } else { LATER };
        Handled::new(Outcome::Retry { at: self.clock.now().after(wait), counts })
    }
}

/// A batch with all that its messages are made of.
struct Work {
    campaign: CampaignRecord,
    definition: Definition,
    batch: CampaignBatch,
    lane: CampaignLane,
    line: Arc<Line>,
}

impl Feeder {
    async fn feed(&self, job: &LeasedJob, content: BatchJob) -> Result<(), Trouble> {
        let begun = Instant::now();
        let Some((campaign, batch, lane, recipients)) =
            self.records.campaign_batch(content.campaign, content.batch).await?
        else {
            return Ok(());
        };
        if batch.state != BatchState::Queued
            || batch.generation != content.generation
            || campaign.state.has_ended()
        {
            return Ok(());
        }
        if matches!(campaign.state, CampaignState::Paused { .. }) {
            return Err(Trouble::Passing("the campaign is paused".to_owned()));
        }
        let definition = serde_json::from_value(campaign.definition.clone())
            .map_err(|error| Trouble::Failed(format!("what it sends can't be read: {error}")))?;
        let line = self.line(&campaign).await?;
        let work = Work { campaign, definition, batch, lane, line };
        // The first attempt at a batch that was queued once: nobody can have fed any of it.
        let again = job.attempt > 1 || work.batch.generation > 0;
        let known = if again { self.known(&work, &recipients).await? } else { HashSet::new() };
        let (jobs, fed) = self.messages(&work, &recipients, &known, again).await?;
        if begun.elapsed() > LONGEST {
            return Err(Trouble::Passing("it took too long: somebody else may feed it".to_owned()));
        }
        if !jobs.is_empty() {
            self.broker.enqueue(jobs).await.map_err(AppError::from)?;
        }
        self.records.batch_fed(content.campaign, work.batch, fed, self.clock.now()).await?;
        Ok(())
    }

    /// The batch failed for good: the campaign waits for a person.
    async fn give_up(&self, content: BatchJob, reason: String) -> Handled {
        let dead = Handled::new(Outcome::Dead { reason: reason.as_str().into() });
        let again = || {
            let at = self.clock.now().after(LATER);
            Handled::new(Outcome::Retry { at, counts: false })
        };
        let found = self.records.campaign_batch(content.campaign, content.batch).await;
        let Ok(found) = found else { return again() };
        let Some((campaign, batch, ..)) = found else { return dead };
        if batch.generation != content.generation {
            return dead;
        }
        let words = format!("batch {} could not be queued: {reason}", batch.number + 1);
        if self.records.batch_failed(content.campaign, batch, reason).await.is_err() {
            return again();
        }
        let order = CampaignOrder::Pause(Pause { cause: PauseCause::Batch, detail: words });
        match super::orders::give(&self.records, campaign, order, self.clock.now()).await {
            Ok(_) | Err(AppError::Conflict { .. }) => dead,
            Err(_) => again(),
        }
    }

    async fn line(&self, campaign: &CampaignRecord) -> Result<Arc<Line>, Trouble> {
        if self.registry.first_of(&campaign.channel).is_none() {
            self.setup.take_in().await?;
        }
        let line = self.registry.first_of(&campaign.channel);
        line.ok_or_else(|| Trouble::Failed(format!("the channel {} does not work", campaign.channel)))
    }

    /// The messages of a batch that are there already.
    async fn known(
        &self,
        work: &Work,
        recipients: &[CampaignRecipient],
    ) -> Result<HashSet<MessageId>, Trouble> {
        self.progress.caught_up(CATCH_UP).await?;
        let ids = recipients.iter().filter_map(|one| {
            let to = Recipient::parse(&one.recipient, None).ok()?;
            Some(lots::message_id(work.campaign.number, lots::FIRST_STEP, &to.key()))
        });
        Ok(self.records.stored(ids.collect()).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// The messages that a batch becomes, but for those that are there, and what became of all its recipients.
    async fn messages(
        &self,
        work: &Work,
        recipients: &[CampaignRecipient],
        known: &HashSet<MessageId>,
        again: bool,
    ) -> Result<(Vec<NewJob>, FedBatch), Trouble> {
        let now = self.clock.now();
        let drafts = Drafts::new(
            &work.campaign,
            &work.definition,
            &work.line,
            &work.lane.zones,
            (work.batch.place, work.campaign.recipients),
            now,
        )
        .map_err(Trouble::Failed)?;
        let lines =
            pools::lines_for(&self.registry, &self.records, &work.campaign.channel, recipients, now).await?;
        let facts = facts(&self.records, &work.line, &work.definition, recipients).await?;
        // The first who fed it may have been a node whose messages are in its spool, where nobody sees them: whoever feeds
        // it again decides by nothing that may have changed since. An attempt asks again for what matters then.
        let is_settled = again && self.records.are_shared();
        let remembered = remembered(&self.records);
        let (mut jobs, mut fed) = (Vec::with_capacity(recipients.len()), FedBatch::default());
        for ((recipient, facts), n) in recipients.iter().zip(facts).zip(0..) {
            if recipient.left_out.is_some() {
                fed.left_out += 1;
                continue;
            }
            let judged = if is_settled { facts.as_before() } else { facts };
            match drafts.message(recipient, &judged, n) {
                Ok(message) if known.contains(&message.id) => fed.accepted += 1,
                Ok(mut message) => {
                    let line = lines.get(&message.to.key()).unwrap_or(&work.line);
                    message.channel = line.name.clone();
                    let job = drafts
                        .job(&message, line, &facts, remembered)
                        .map_err(|error| Trouble::Failed(error.to_string()))?;
                    jobs.push(job);
                    fed.accepted += 1;
                }
                // What was decided before a crash stands: the message is there.
                Err(_) if known.contains(&drafts.id(recipient)) => fed.accepted += 1,
                Err(reason) => {
                    fed.left_out += 1;
                    fed.newly_left_out.push((recipient.place, reason.as_str()));
                }
            }
        }
        Ok((jobs, fed))
    }
}
