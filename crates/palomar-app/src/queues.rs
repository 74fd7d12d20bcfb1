//! Queues for people: what waits where, pause, resume, clear, clean. And the names that queues have.

mod view;

use std::time::Duration;

use palomar_broker::{Control, JobFilter, JobState, QueueName, QueueStats, Stats};
use palomar_model::ChannelName;

use crate::spool::SpoolView;
use crate::{App, AppError, Caller};

pub use view::{
    BudgetView, ByPriority, ControlView, Deduplication, EffectiveLimits, JobCounts, PairView, QueueMonitor,
    QueueView, WindowView,
};

pub(crate) use view::{breaker_word, counts};

/// The pool of messages on their way out: a queue a channel.
pub(crate) const OUTBOUND: &str = "outbound";
/// The pool of what channels report: a queue a channel.
pub(crate) const INBOUND: &str = "inbound";

/// The pool of media that are to be fetched: a queue a channel.
pub(crate) const MEDIA: &str = "media";

pub(crate) fn outbound_queue(channel: &ChannelName) -> Result<QueueName, AppError> {
    queue_of(OUTBOUND, channel)
}

pub(crate) fn inbound_queue(channel: &ChannelName) -> Result<QueueName, AppError> {
    queue_of(INBOUND, channel)
}

pub(crate) fn media_queue(channel: &ChannelName) -> Result<QueueName, AppError> {
    queue_of(MEDIA, channel)
}

fn queue_of(pool: &str, channel: &ChannelName) -> Result<QueueName, AppError> {
    QueueName::new(pool, channel.as_str()).map_err(|error| AppError::invalid("/channel", error.to_string()))
}

impl App {
    /// All queues in numbers, as far as the caller may see them.
    ///
    /// # Errors
    /// Where the broker does not answer.
    pub async fn queue_stats(&self, caller: &Caller) -> Result<QueueMonitor, AppError> {
        let (stats, as_of) = self.newest_stats().await?;
        let own: Vec<&QueueStats> =
            stats.queues.iter().filter(|queue| may_see(caller, &queue.queue)).collect();
        let of_pool = |pool| counts(own.iter().copied().filter(|queue| queue.queue.pool() == pool));
        Ok(QueueMonitor {
            webhook: of_pool(INBOUND),
            message: of_pool(OUTBOUND),
            deduplication: Deduplication { cached_messages: stats.dedupe_ids, hits: stats.dedupe_hits },
            queues: own.into_iter().map(QueueView::from).collect(),
            as_of,
            // Machines are nothing that a tenant must know.
            nodes: if caller.channels.is_none() { self.nodes.view() } else { Vec::new() },
            spool: self.spool().filter(|_| caller.channels.is_none()).map(SpoolView::from),
        })
    }

    /// Pauses one queue, or all: when this has answered, no further attempt starts there.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn pause(&self, queue: Option<&str>, reason: &str) -> Result<ControlView, AppError> {
        self.each_queue(queue, |queue| Control::Pause { queue, reason: reason.into() }).await
    }

    /// Resumes one queue, or all.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn resume(&self, queue: Option<&str>) -> Result<ControlView, AppError> {
        self.each_queue(queue, |queue| Control::Resume { queue }).await
    }

    /// Cancels all messages that wait in one queue, or in all. What webhooks brought is never cancelled: it was
    /// answered for.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; a conflict for a queue of webhooks.
    pub async fn clear(&self, queue: Option<&str>) -> Result<ControlView, AppError> {
        let names = self.named_queues(queue).await?;
        if queue.is_some() && names.iter().any(|name| name.pool() != OUTBOUND) {
            let detail = "what webhooks brought was accepted and is not thrown away".to_owned();
            return Err(AppError::Conflict { code: "not_cancellable", detail });
        }
        let outbound = names.into_iter().filter(|name| name.pool() == OUTBOUND).collect();
        self.control_all(outbound, |queue| {
            Control::CancelAll(JobFilter { queue: Some(queue), ..JobFilter::default() })
        })
        .await
    }

    /// Forgets jobs that ended longer ago, but for the newest `keep` of each queue and state.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn clean(
        &self,
        queue: Option<&str>,
        states: &[JobState],
        older_than: Duration,
        keep: usize,
    ) -> Result<ControlView, AppError> {
        let before = self.now().before(older_than);
        self.each_queue(queue, |queue| {
            let states = states.to_vec();
            let filter =
                JobFilter { queue: Some(queue), states, ended_before: Some(before), ..JobFilter::default() };
            Control::Clean { filter, keep }
        })
        .await
    }

    async fn each_queue(
        &self,
        queue: Option<&str>,
        control: impl Fn(QueueName) -> Control,
    ) -> Result<ControlView, AppError> {
        let names = self.named_queues(queue).await?;
        self.control_all(names, control).await
    }

    async fn control_all(
        &self,
        names: Vec<QueueName>,
        control: impl Fn(QueueName) -> Control,
    ) -> Result<ControlView, AppError> {
        let mut view = ControlView::default();
        for name in names {
            let done = self.broker.control(control(name.clone())).await??;
            view.add(&name, done);
        }
        Ok(view)
    }

    /// The queue that is named, by its whole name or its channel's; all of them where none is.
    pub(crate) async fn named_queues(&self, queue: Option<&str>) -> Result<Vec<QueueName>, AppError> {
        let Stats { queues, .. } = self.broker.stats().await?;
        let names = queues.into_iter().map(|queue| queue.queue);
        let Some(wanted) = queue else {
            return Ok(names.collect());
        };
        let whole = if wanted.contains('/') { wanted.to_owned() } else { format!("{OUTBOUND}/{wanted}") };
        let found: Vec<QueueName> = names.filter(|name| name.as_str() == whole).collect();
        if found.is_empty() { Err(AppError::NotFound("queue")) } else { Ok(found) }
    }
}

/// A queue is its channel's; one that is nobody's is for callers of all channels.
pub(crate) fn may_see(caller: &Caller, queue: &QueueName) -> bool {
    match queue.name().parse() {
        Ok(channel) => caller.may_use(&channel),
        Err(_) => caller.channels.is_none(),
    }
}
