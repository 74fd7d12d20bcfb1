//! Messages for people: one, many, what holds one, and the orders that a person can give.

use std::time::Duration;

use palomar_broker::{Control, Hold, JobState, JobView, Resolution};
use palomar_model::{ChannelName, MessageId, MessageState, Outbound, Timestamp};
use palomar_records::{
    Direction, MessageFilter, MessageStatus, MessageView, Page, TimelineEntry, accepted_view,
};
use serde::Serialize;

use crate::{App, AppError, Caller};

/// A page has at most so many items.
pub const MAX_PAGE: usize = 200;

/// Records get so long to show what an order did before it is answered.
const ORDER_WAIT: Duration = Duration::from_secs(1);

/// A message with its history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDetail {
    /// The message.
    #[serde(flatten)]
    pub message: MessageView,
    /// What happened to it, in order.
    pub timeline: Vec<TimelineEntry>,
}

/// Where a message stands after an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// The message.
    pub id: MessageId,
    /// Where it stands.
    pub status: MessageState,
}

/// What holds a message, and when it will go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainView {
    /// The message.
    pub id: MessageId,
    /// Where it stands.
    pub status: MessageState,
    /// What holds it; the first is what counts most.
    pub holds: Vec<HoldView>,
    /// The earliest time at which it goes if nothing else changes.
    pub expected_at: Option<Timestamp>,
    /// Messages of its channel that go before it.
    pub ahead: u64,
}

/// One thing that holds a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldView {
    /// What kind of thing.
    pub kind: &'static str,
    /// In words.
    pub detail: String,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
}

impl App {
    /// One message with its history, from the moment it is accepted.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn message(&self, id: MessageId, caller: &Caller) -> Result<MessageDetail, AppError> {
        let found = match self.records.message(id).await? {
            Some(message) => Some(MessageDetail { message, timeline: self.records.timeline(id).await? }),
            None => self.accepted_message(id).await?,
        };
        found.filter(|found| caller.may_use(&found.message.channel)).ok_or(AppError::NotFound("message"))
    }

    /// A message that was accepted a moment ago: records do not have it yet, the broker does.
    async fn accepted_message(&self, id: MessageId) -> Result<Option<MessageDetail>, AppError> {
        let Some((job, payload)) = self.broker.job(id).await? else {
            return Ok(None);
        };
        let Ok(message) = Outbound::decode(&payload) else {
            return Ok(None);
        };
        let view = MessageView {
            attempts: job.attempts,
            reason: job.reason.as_deref().map(str::to_owned),
            ..accepted_view(&message, state_of(job.state), job.enqueued_at)
        };
        Ok(Some(MessageDetail { message: view, timeline: Vec::new() }))
    }

    /// A page of messages, the newest first.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn messages(
        &self,
        mut filter: MessageFilter,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<MessageView>, AppError> {
        if !caller.narrow(&mut filter.channels) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        Ok(self.records.messages(filter, cursor, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// What holds a message, and when it will go; answered by the same code that decides.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn explain(&self, id: MessageId, caller: &Caller) -> Result<ExplainView, AppError> {
        let message = self.message(id, caller).await?.message;
        let status = match message.status {
            MessageStatus::Outbound(state) => state,
            MessageStatus::Received => return Err(AppError::NotFound("outbound message")),
        };
        // What the queue has forgotten is over: nothing holds it.
        Ok(match self.broker.explain(id).await? {
            Some(why) => ExplainView {
                id,
                status: if why.state == JobState::Done { status } else { state_of(why.state) },
                holds: why.holds.iter().map(HoldView::from).collect(),
                expected_at: why.expected_at,
                ahead: why.ahead,
            },
            None => ExplainView { id, status, holds: Vec::new(), expected_at: None, ahead: 0 },
        })
    }

    /// Calls off a message that waits.
    ///
    /// # Errors
    /// A conflict (`wrong_state`) where an attempt has started or it is over.
    pub async fn cancel(&self, id: MessageId, caller: &Caller) -> Result<StateView, AppError> {
        self.own_job(id, caller).await?;
        self.order(Control::Cancel { id }).await?;
        Ok(StateView { id, status: MessageState::Cancelled })
    }

    /// Makes a message due that is for later or waits for its next attempt.
    ///
    /// # Errors
    /// A conflict (`wrong_state`) for any other.
    pub async fn promote(&self, id: MessageId, caller: &Caller) -> Result<StateView, AppError> {
        self.own_job(id, caller).await?;
        self.order(Control::Promote { id }).await?;
        Ok(StateView { id, status: MessageState::Queued })
    }

    /// A person says what became of an uncertain message.
    ///
    /// # Errors
    /// A conflict (`wrong_state`) for any other.
    pub async fn settle(
        &self,
        id: MessageId,
        resolution: Resolution,
        caller: &Caller,
    ) -> Result<StateView, AppError> {
        self.own_job(id, caller).await?;
        self.order(Control::Resolve { id, resolution }).await?;
        let status = match resolution {
            Resolution::Sent => MessageState::Sent,
            Resolution::Failed => MessageState::Failed,
            Resolution::Retry => MessageState::Queued,
        };
        Ok(StateView { id, status })
    }

    /// Gives an order, and lets records catch up: whoever gave it and looks again sees what it did.
    pub(crate) async fn order(&self, control: Control) -> Result<(), AppError> {
        self.broker.control(control).await??;
        self.show_order().await;
        Ok(())
    }

    /// Lets records catch up with an order that was given.
    pub(crate) async fn show_order(&self) {
        if let Err(error) = self.caught_up(ORDER_WAIT).await {
            tracing::debug!(%error, "records do not show an order yet");
        }
    }

    /// The job of a message that the caller may give orders about. A message that the queue has forgotten is over.
    pub(crate) async fn own_job(&self, id: MessageId, caller: &Caller) -> Result<JobView, AppError> {
        if let Some((job, _)) = self.broker.job(id).await? {
            let channel: Option<ChannelName> = job.queue.name().parse().ok();
            let own = job.queue.pool() == crate::queues::OUTBOUND;
            return match channel.filter(|channel| own && caller.may_use(channel)) {
                Some(_) => Ok(job),
                None => Err(AppError::NotFound("message")),
            };
        }
        let message = self.message(id, caller).await?.message;
        if message.direction == Direction::Inbound {
            return Err(AppError::NotFound("outbound message"));
        }
        Err(AppError::wrong_state(format!("it is {} and over", message.status)))
    }
}

pub(crate) fn wrong_state(state: JobState) -> AppError {
    AppError::wrong_state(format!("it is {}, which does not allow this", state_of(state)))
}

/// A message's state by that of its job.
pub(crate) const fn state_of(job: JobState) -> MessageState {
    match job {
        JobState::Scheduled => MessageState::Scheduled,
        JobState::Queued => MessageState::Queued,
        JobState::Started => MessageState::Sending,
        JobState::Uncertain => MessageState::Uncertain,
        JobState::Dead => MessageState::Failed,
        JobState::Done => MessageState::Sent,
        JobState::Cancelled => MessageState::Cancelled,
        JobState::Expired => MessageState::Expired,
    }
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> HoldView {
        let (kind, detail, until) = match hold {
            Hold::Scheduled { at } => ("scheduled", "it is for later".to_owned(), Some(*at)),
            Hold::Backoff { at } => ("backoff", "it waits before its next attempt".to_owned(), Some(*at)),
            Hold::Paused { reason } => ("paused", format!("the channel is paused: {reason}"), None),
            Hold::GroupPaused => ("groupPaused", "its campaign is paused".to_owned(), None),
            Hold::Breaker { until } => ("breaker", "the provider keeps failing".to_owned(), Some(*until)),
            Hold::Throttled { until } => {
                ("throttled", "the provider asked to slow down".to_owned(), Some(*until))
            }
            Hold::Window { window, until } => {
                ("window", format!("{} per {:?} used up", window.max, window.window), Some(*until))
            }
            Hold::Concurrency { max } => ("concurrency", format!("all {max} places are taken"), None),
            Hold::Pair { until } => ("pair", "the pace to this recipient".to_owned(), Some(*until)),
            Hold::Budget { name, until } => {
                ("budget", format!("new recipients of {name} are used up"), Some(*until))
            }
            Hold::Order { behind } => {
                ("order", format!("message {behind} to this recipient goes first"), None)
            }
            Hold::Turn { ahead } => ("turn", format!("{ahead} go before it"), None),
            Hold::Leased { until } => ("leased", "a worker has it".to_owned(), Some(*until)),
            Hold::Uncertain { until } => ("uncertain", "its outcome is not known".to_owned(), *until),
        };
        HoldView { kind, detail, until }
    }
}
