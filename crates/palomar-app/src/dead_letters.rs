//! Dead letters: messages that will not be tried again until a person says so; uncertain ones are listed with them.

use std::sync::Arc;

use palomar_broker::{Control, JobFilter, JobState, JobView, QueueName};
use palomar_model::{ChannelName, MessageId, Priority, Timestamp};
use palomar_records::{MessageView, Page};
use serde::{Deserialize, Serialize};

use crate::messages::MAX_PAGE;
use crate::queues::{ControlView, OUTBOUND, may_see, outbound_queue};
use crate::{App, AppError, Caller};

/// Which dead letters are meant. Empty means all messages'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeadLetterFilter {
    /// This one.
    pub id: Option<MessageId>,
    /// Of this channel.
    pub channel: Option<ChannelName>,
    /// Of this queue, by its whole name or its channel's.
    pub queue: Option<String>,
    /// Of this campaign.
    pub campaign_id: Option<String>,
    /// Whose reason contains this.
    pub reason: Option<String>,
    /// Queued before.
    pub before: Option<Timestamp>,
}

/// A dead letter, or an uncertain message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// The message.
    pub id: MessageId,
    /// Its queue.
    pub queue: String,
    /// The name of its channel.
    pub channel: String,
    /// `dead` or `uncertain`.
    pub state: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// Attempts that counted.
    pub attempts: u32,
    /// When it was queued.
    pub enqueued_at: Timestamp,
    /// How urgent it was.
    pub priority: Priority,
    /// Its campaign.
    pub campaign_id: Option<String>,
    /// The message, where it is one and records have it.
    pub message: Option<MessageView>,
}

impl App {
    /// A page of dead letters and uncertain messages, in the order in which they were queued.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<DeadLetterView>, AppError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut after = read_cursor(cursor)?;
        let states = vec![JobState::Dead, JobState::Uncertain];
        let wanted = JobFilter { states, ..self.job_filter(filter, caller)? };
        let mut jobs: Vec<JobView> = Vec::new();
        // Queues that the caller may not see are passed over, so one read may not fill the page.
        let more = loop {
            let some = self.broker.jobs(wanted.clone(), after, limit + 1).await?;
            let all = some.len() <= limit;
            after = some.last().map_or(after, |job| job.seq);
            jobs.extend(some.into_iter().filter(|job| may_see(caller, &job.queue)));
            if all || jobs.len() > limit {
                break jobs.len() > limit;
            }
        };
        jobs.truncate(limit);
        let next_cursor = jobs.last().filter(|_| more).map(|job| job.seq.to_string());
        let mut items = Vec::with_capacity(jobs.len());
        for job in jobs {
            let message = self.records.message(job.id).await?;
            items.push(view(&job, message));
        }
        Ok(Page { items, next_cursor })
    }

    /// Orders a further attempt of all dead letters that fit. Uncertain messages are not among them: each of those is
    /// a person's own decision.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a queue that there is not.
    pub async fn retry_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        caller: &Caller,
    ) -> Result<ControlView, AppError> {
        self.each_filter(filter, caller, Control::RetryAll).await
    }

    /// Makes the queue forget dead letters that fit. Their messages stay in records, as failed.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a queue that there is not.
    pub async fn purge_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        caller: &Caller,
    ) -> Result<ControlView, AppError> {
        self.each_filter(filter, caller, Control::Purge).await
    }

    /// Gives an order for all dead letters that fit; queue by queue where the caller may not see all.
    async fn each_filter(
        &self,
        filter: &DeadLetterFilter,
        caller: &Caller,
        control: impl Fn(JobFilter) -> Control,
    ) -> Result<ControlView, AppError> {
        let wanted = self.job_filter(filter, caller)?;
        let queues: Vec<Option<QueueName>> = match (&wanted.queue, &caller.channels) {
            (None, Some(own)) => {
                own.iter().map(|channel| outbound_queue(channel).map(Some)).collect::<Result<_, _>>()?
            }
            (queue, _) => vec![queue.clone()],
        };
        let mut view = ControlView::default();
        for queue in queues {
            let filter = JobFilter { queue: queue.clone(), ..wanted.clone() };
            let done = self.broker.control(control(filter)).await??;
            view.changed += done.changed;
            view.in_flight += done.in_flight;
            view.queues.extend(queue.map(|queue| queue.to_string()));
        }
        Ok(view)
    }

    fn job_filter(&self, filter: &DeadLetterFilter, caller: &Caller) -> Result<JobFilter, AppError> {
        let queue = match (&filter.queue, &filter.channel) {
            (Some(queue), _) if queue.contains('/') => {
                Some(queue.parse().map_err(|_| AppError::invalid("/queue", "is not the name of a queue"))?)
            }
            (Some(name), _) => Some(
                QueueName::new(OUTBOUND, name)
                    .map_err(|error| AppError::invalid("/queue", error.to_string()))?,
            ),
            (None, Some(channel)) => Some(outbound_queue(channel)?),
            (None, None) => None,
        };
        if queue.as_ref().is_some_and(|queue| !may_see(caller, queue)) {
            return Err(AppError::NotFound("queue"));
        }
        Ok(JobFilter {
            id: filter.id,
            // Without a queue, messages are meant: what webhooks brought has a list of its own.
            pool: queue.is_none().then(|| OUTBOUND.into()),
            queue,
            group: filter.campaign_id.as_deref().map(Arc::from),
            states: Vec::new(),
            reason: filter.reason.as_deref().map(Arc::from),
            before: filter.before,
            ended_before: None,
        })
    }
}

fn read_cursor(cursor: Option<&str>) -> Result<u64, AppError> {
    cursor.map_or(Ok(0), str::parse).map_err(|_| AppError::invalid("/cursor", "is not a cursor of this list"))
}

fn view(job: &JobView, message: Option<MessageView>) -> DeadLetterView {
    DeadLetterView {
        id: job.id,
        queue: job.queue.to_string(),
        channel: job.queue.name().to_owned(),
        state: job.state.as_str(),
        reason: job.reason.as_deref().map(str::to_owned),
        attempts: job.attempts,
        enqueued_at: job.enqueued_at,
        priority: job.priority,
        campaign_id: job.group.as_deref().map(str::to_owned),
        message,
    }
}
