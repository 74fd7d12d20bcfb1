//! One partition as a broker of its own: its operations, in as many calls as they take.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::answer::{self, Ordered};
use super::leasing::{Ticket, Waiting};
use super::line::{Line, Terms};
use super::link::Link;
use super::log::Log;
use super::record;
use super::request::{self, Sweep};
use super::shown;
use super::wire::Malformed;
use crate::broker::{Broker, BrokerError};
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LeasedJob, LogEntry, NewJob, Partition,
    Settle, Started, Stats,
};

/// Jobs in one request at most.
const MOST_JOBS: usize = 10_000;
/// Jobs that one call enqueues: so that others are not kept waiting.
const JOBS_A_CALL: usize = 1_000;

/// A partition: one log, which is its part 0.
pub(super) struct Shard {
    pub(super) link: Arc<Link>,
    pub(super) line: Line,
    pub(super) base: String,
    pub(super) terms: Terms,
    /// What new queues allow.
    pub(super) limits: Vec<u8>,
}

pub(super) fn unreadable(_: Malformed) -> BrokerError {
    BrokerError::Failed("an answer of the queue library can't be read".into())
}

/// Why such jobs are refused whenever they come.
pub(super) fn refused_always(jobs: &[NewJob]) -> Result<(), BrokerError> {
    if jobs.len() > MOST_JOBS {
        return Err(BrokerError::TooLarge("at most 10,000 jobs in a request"));
    }
    if jobs.iter().any(|job| job.payload.len() > record::MAX_PAYLOAD) {
        return Err(BrokerError::TooLarge("a payload has at most 4 MiB"));
    }
    if jobs.iter().any(|job| job.group.as_ref().is_some_and(|group| group.len() > record::MAX_GROUP)) {
        return Err(BrokerError::TooLarge("a group's name has at most 250 bytes"));
    }
    Ok(())
}

impl Shard {
    async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, BrokerError> {
        refused_always(&jobs)?;
        let mut all = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(JOBS_A_CALL) {
            let answer = self.line.ask(request::enqueue(jobs)).await?;
            all.extend(answer::enqueued(&answer, jobs.len()).map_err(unreadable)?);
        }
        Ok(all)
    }

    async fn ordered(&self, control: Control) -> Result<Result<Controlled, ControlError>, BrokerError> {
        if let Control::Configure { limits, .. } = &control
            && let Some(problem) = crate::machine::problem_of(limits)
        {
            return Ok(Err(ControlError::Invalid(problem.into())));
        }
        match &control {
            Control::CancelAll(filter) => self.swept(Sweep::Cancel, filter, true).await.map(Ok),
            Control::RetryAll(filter) => self.swept(Sweep::Retry, filter, false).await.map(Ok),
            Control::Purge(filter) => self.swept(Sweep::Forget, filter, false).await.map(Ok),
            Control::Clean { filter, keep } => self.cleaned(filter, *keep).await.map(Ok),
            _ => self.ordered_one(&control).await,
        }
    }

    async fn ordered_one(&self, control: &Control) -> Result<Result<Controlled, ControlError>, BrokerError> {
        let mut forgotten = 0;
        loop {
            let Some(operation) = request::order(control) else {
                return Err(BrokerError::Failed("an order that nobody knows".into()));
            };
            let answer = self.line.ask(operation).await?;
            match (answer::ordered(&answer, control).map_err(unreadable)?, control) {
                (Ordered::Answered(answer), _) => {
                    return Ok(answer.map(|done| Controlled { changed: done.changed + forgotten, ..done }));
                }
                (
                    Ordered::Partly(done, next),
                    Control::PauseGroup { queue, group } | Control::ResumeGroup { queue, group },
                ) => {
                    let mut next = Some(next);
                    while let Some(from) = next {
                        let answer = self.line.ask(request::let_pass(queue, group, &from)).await?;
                        next = answer::passed(&answer).map_err(unreadable)?;
                    }
                    return Ok(Ok(done));
                }
                (Ordered::TooMany, Control::Remove { queue }) => {
                    let filter = JobFilter { queue: Some(queue.clone()), ..JobFilter::default() };
                    forgotten += self.cleaned(&filter, 0).await?.changed;
                }
                (Ordered::TooMany | Ordered::Partly(..), _) => return Err(unreadable(Malformed)),
            }
        }
    }

    /// Sweeps over all that fits of what was there when it began, a part at a time.
    async fn swept(&self, what: Sweep, filter: &JobFilter, tells: bool) -> Result<Controlled, BrokerError> {
        let (mut from, mut to, mut changed) = (0, None, 0);
        loop {
            let answer = self.line.ask(request::sweep(what, filter, from, to, None)).await?;
            let part = answer::swept(&answer).map_err(unreadable)?;
            changed += part.changed;
            match part.next.filter(|next| *next < to.unwrap_or(part.last)) {
                Some(next) => (from, to) = (next, to.or(Some(part.last))),
                None => break,
            }
        }
        let in_flight = match tells {
            true => answer::number(&self.line.ask(request::in_flight(filter)).await?).map_err(unreadable)?,
            false => 0,
        };
        Ok(Controlled { changed, in_flight })
    }

    async fn cleaned(&self, filter: &JobFilter, keep: usize) -> Result<Controlled, BrokerError> {
        let (mut changed, mut from) = (0, Some(0));
        while let Some(queue) = from {
            let answer = self.line.ask(request::clean(filter, keep, queue)).await?;
            let (cleaned, next) = answer::cleaned(&answer).map_err(unreadable)?;
            changed += cleaned;
            from = next;
        }
        Ok(Controlled { changed: changed + self.cleaned_dead(filter, keep).await?, in_flight: 0 })
    }

    /// Forgets the oldest dead letters that fit, but for `keep` of each queue: they are counted first.
    async fn cleaned_dead(&self, filter: &JobFilter, keep: usize) -> Result<u64, BrokerError> {
        let mut fitting: std::collections::HashMap<u32, u64> = std::collections::HashMap::new();
        let mut from = 0;
        loop {
            let answer = self.line.ask(request::sweep(Sweep::Count, filter, from, None, None)).await?;
            let part = answer::swept(&answer).map_err(unreadable)?;
            for (queue, count) in part.fitted {
                *fitting.entry(queue).or_default() += count;
            }
            let Some(next) = part.next else { break };
            from = next;
        }
        let mut allowed: Vec<(u32, u64)> =
            fitting.into_iter().map(|(queue, count)| (queue, count.saturating_sub(keep as u64))).collect();
        let (mut from, mut changed) = (0, 0);
        while allowed.iter().any(|(_, count)| *count > 0) {
            let answer =
                self.line.ask(request::sweep(Sweep::Forget, filter, from, None, Some(&allowed))).await?;
            let part = answer::swept(&answer).map_err(unreadable)?;
            changed += part.changed;
            for (queue, count) in &mut allowed {
                let fitted = part.fitted.iter().find(|(of, _)| of == queue).map_or(0, |(_, fitted)| *fitted);
                *count = count.saturating_sub(fitted);
            }
            let Some(next) = part.next else { break };
            from = next;
        }
        Ok(changed)
    }

    async fn page(&self, filter: JobFilter, after: u64, limit: usize) -> Result<Vec<JobView>, BrokerError> {
        let (mut page, mut from, limit) = (Vec::new(), after, limit.min(10_000));
        while page.len() < limit {
            let answer = self.line.ask(request::jobs(&filter, from, limit - page.len())).await?;
            let (found, next) = answer::jobs(&answer, &self.line.names).map_err(unreadable)?;
            page.extend(found);
            let Some(next) = next else { break };
            from = next;
        }
        Ok(page)
    }

    async fn all_stats(&self) -> Result<Stats, BrokerError> {
        let (mut stats, mut from) = (Stats::default(), Some(0));
        while let Some(queue) = from {
            let answer = self.line.ask(request::stats(queue)).await?;
            let part = shown::stats(&answer).map_err(unreadable)?;
            stats.queues.extend(part.queues);
            (stats.dedupe_ids, stats.dedupe_hits) = (part.dedupe_ids, part.dedupe_hits);
            from = part.next;
        }
        stats.log_ends = vec![Cursor(*self.line.log_end().borrow())];
        Ok(stats)
    }

    async fn facts(&self, after: Cursor, limit: usize, wait: Duration) -> Result<Vec<LogEntry>, BrokerError> {
        let log = Log { link: &self.link, base: &self.base, names: &self.line.names };
        let deadline = tokio::time::sleep(wait);
        tokio::pin!(deadline);
        let (mut after, mut log_end) = (after.0, self.line.log_end());
        loop {
            let confirmed = if self.link.confirms() { self.line.confirmed() } else { u64::MAX };
            let (mut read, through) = log.read(after, limit).await?;
            read.retain(|entry| entry.cursor.0 <= confirmed);
            if !read.is_empty() {
                return Ok(read);
            }
            if through > confirmed {
                // Facts that are not confirmed may be lost with the primary, and others take their numbers.
                self.line.ask(request::confirm_facts()).await?;
                continue;
            }
            if through > after {
                after = through;
                continue;
            }
            if wait.is_zero() {
                return Ok(read);
            }
            log_end.borrow_and_update();
            let answer = self.line.ask(request::await_facts(after)).await?;
            if answer::yes(&answer).map_err(unreadable)? {
                continue;
            }
            tokio::select! {
                () = &mut deadline => return Ok(Vec::new()),
                changed = log_end.changed() => if changed.is_err() {
                    return Err(BrokerError::Stopped);
                },
            }
        }
    }
}

impl Broker for Shard {
    fn enqueue(&self, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        Box::pin(self.enqueue_all(jobs))
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Vec<LeasedJob>, BrokerError>> {
        let (answer, answered) = oneshot::channel();
        self.line.lease(request, Arc::new(Ticket::new(1, answer)));
        let mut waiting = Waiting { answered, give_back: |jobs: Vec<_>| self.line.give_back(&jobs) };
        Box::pin(async move { (&mut waiting).await.unwrap_or(Err(BrokerError::Stopped)) })
    }

    fn start(
        &self,
        leases: Vec<LeaseRef>,
    ) -> BoxFuture<'_, Result<Vec<Result<Started, LeaseError>>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::start(&leases)).await?;
            answer::started(&answer, &leases).map_err(unreadable)
        })
    }

    fn renew(
        &self,
        leases: Vec<LeaseRef>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::renew(&leases, lease)).await?;
            answer::lease_results(&answer).map_err(unreadable)
        })
    }

    fn settle(
        &self,
        settles: Vec<Settle>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::settle(&settles)).await?;
            answer::lease_results(&answer).map_err(unreadable)
        })
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> BoxFuture<'_, Result<Vec<EvidenceEffect>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::evidence(&evidence)).await?;
            answer::effects(&answer).map_err(unreadable)
        })
    }

    fn log(&self, events: Vec<EventBody>) -> BoxFuture<'_, Result<Cursor, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::log(&events)).await?;
            answer::number(&answer).map(Cursor).map_err(unreadable)
        })
    }

    fn control(
        &self,
        control: Control,
    ) -> BoxFuture<'_, Result<Result<Controlled, ControlError>, BrokerError>> {
        Box::pin(self.ordered(control))
    }

    fn job(&self, id: JobId) -> BoxFuture<'_, Result<Option<(JobView, Bytes)>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::job(id)).await?;
            answer::job(&answer, &self.line.names).map_err(unreadable)
        })
    }

    fn jobs(
        &self,
        filter: JobFilter,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JobView>, BrokerError>> {
        Box::pin(self.page(filter, after, limit))
    }

    fn explain(&self, id: JobId) -> BoxFuture<'_, Result<Option<Explanation>, BrokerError>> {
        Box::pin(async move {
            let answer = self.line.ask(request::explain(id)).await?;
            shown::explanation(&answer).map_err(unreadable)
        })
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, BrokerError>> {
        Box::pin(self.all_stats())
    }

    fn events(
        &self,
        _: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<LogEntry>, BrokerError>> {
        Box::pin(self.facts(after, limit, wait))
    }

    fn acknowledge(
        &self,
        reader: &str,
        _: Partition,
        through: Cursor,
    ) -> BoxFuture<'_, Result<(), BrokerError>> {
        let operation = request::acknowledge(reader, through.0);
        Box::pin(async move { self.line.ask(operation).await.map(|_| ()) })
    }
}
