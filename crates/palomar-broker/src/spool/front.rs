//! What callers of the shared broker meet: queueing goes through the lanes, all else is passed on, and whoever waits for
//! an answer is told within a second where the shared broker is silent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::oneshot;

use super::batch::{Asked, MOST_JOBS};
use super::envelope::MOST_OVERHEAD;
use super::{Spooled, Way};
use crate::broker::{Broker, BrokerError};
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LeasedJob, LogEntry, NewJob, Partition,
    QueueName, Settle, Started, Stats,
};

/// A payload that is larger fits into no envelope.
const MOST_PAYLOAD: usize = (4 << 20) - MOST_OVERHEAD;
/// Identities that one job has at most.
const MOST_IDENTITIES: usize = 16;

impl Spooled {
    async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, BrokerError> {
        self.remote.fits(&jobs)?;
        if jobs.iter().any(|job| job.payload.len() > MOST_PAYLOAD || job.dedupe.len() > MOST_IDENTITIES) {
            return Err(BrokerError::TooLarge("a payload has at most 4 MiB less 4 KiB"));
        }
        let mut parts: Vec<(Vec<usize>, Vec<NewJob>)> =
            self.ways.iter().map(|_| Default::default()).collect();
        for (place, job) in jobs.into_iter().enumerate() {
            let (places, part) = &mut parts[self.remote.partition_of(&job.queue).0 as usize];
            places.push(place);
            part.push(job);
        }
        let lanes = self.ways.iter().zip(parts).filter(|(_, (places, _))| !places.is_empty());
        let asked = lanes.map(|(way, (places, jobs))| async {
            let answers = way.enqueue(jobs).await?;
            Ok::<_, BrokerError>(places.into_iter().zip(answers).collect::<Vec<_>>())
        });
        let mut placed: Vec<(usize, Enqueued)> = try_join_all(asked).await?.into_iter().flatten().collect();
        placed.sort_unstable_by_key(|(place, _)| *place);
        Ok(placed.into_iter().map(|(_, answer)| answer).collect())
    }

    /// An answer of the shared broker that somebody waits for; of one partition, or of all.
    async fn within_a_second<T>(
        &self,
        queue: Option<&QueueName>,
        answer: BoxFuture<'_, Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let ways = match queue {
            Some(queue) => {
                let way = self.remote.partition_of(queue).0 as usize;
                self.ways.get(way..=way).unwrap_or_default()
            }
            None => &self.ways,
        };
        let mut answer = answer;
        loop {
            if let Some(why) = ways.iter().find_map(Way::why_away) {
                return Err(BrokerError::Lost(why));
            }
            let silent = ways.iter().map(|way| Box::pin(way.goes_away()));
            tokio::select! {
                biased;
                answered = &mut answer => return answered,
                // Why is seen above.
                _ = futures_util::future::select_all(silent) => {}
                () = tokio::time::sleep(self.slow) => ways.iter().for_each(Way::look),
            }
        }
    }
}

impl Way {
    /// Asks for jobs to be queued, as many calls as it takes; they are answered in order.
    async fn enqueue(&self, mut jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, BrokerError> {
        let mut answers = Vec::new();
        while !jobs.is_empty() {
            let later = jobs.split_off(jobs.len().min(MOST_JOBS));
            let (answer, answered) = oneshot::channel();
            self.asked.send(Asked::Enqueue(jobs, answer)).map_err(|_| BrokerError::Stopped)?;
            answers.push(answered);
            jobs = later;
        }
        let mut all = Vec::new();
        for answered in answers {
            all.extend(answered.await.unwrap_or(Err(BrokerError::Stopped))?);
        }
        Ok(all)
    }

    /// Waits until the shared broker is found to be silent.
    async fn goes_away(&self) {
        let mut standing = self.standing.clone();
        if standing.wait_for(|standing| standing.away.is_some()).await.is_err() {
            // The lane has ended: nobody finds out any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Which job a command is about, where it is one.
const fn job_of(control: &Control) -> Option<JobId> {
    match control {
        Control::Cancel { id }
        | Control::Promote { id }
        | Control::RetryDead { id }
        | Control::Resolve { id, .. } => Some(*id),
        _ => None,
    }
}

/// Which queue a command is about, where it is one.
fn queue_of(control: &Control) -> Option<&QueueName> {
    match control {
        Control::Configure { queue, .. }
        | Control::Pause { queue, .. }
        | Control::Resume { queue }
        | Control::Lift { queue, .. }
        | Control::PauseGroup { queue, .. }
        | Control::ResumeGroup { queue, .. }
        | Control::Remove { queue } => Some(queue),
        Control::CancelAll(filter)
        | Control::RetryAll(filter)
        | Control::Purge(filter)
        | Control::Clean { filter, .. } => filter.queue.as_ref(),
        Control::Cancel { .. }
        | Control::Promote { .. }
        | Control::RetryDead { .. }
        | Control::Resolve { .. } => None,
    }
}

impl Broker for Spooled {
    fn enqueue(&self, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        Box::pin(self.enqueue_all(jobs))
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Vec<LeasedJob>, BrokerError>> {
        self.remote.lease(request)
    }

    fn start(
        &self,
        leases: Vec<LeaseRef>,
    ) -> BoxFuture<'_, Result<Vec<Result<Started, LeaseError>>, BrokerError>> {
        self.remote.start(leases)
    }

    fn renew(
        &self,
        leases: Vec<LeaseRef>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        self.remote.renew(leases, lease)
    }

    fn settle(
        &self,
        settles: Vec<Settle>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        self.remote.settle(settles)
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> BoxFuture<'_, Result<Vec<EvidenceEffect>, BrokerError>> {
        self.remote.evidence(evidence)
    }

    fn log(&self, events: Vec<EventBody>) -> BoxFuture<'_, Result<Cursor, BrokerError>> {
        self.remote.log(events)
    }

    fn control(
        &self,
        control: Control,
    ) -> BoxFuture<'_, Result<Result<Controlled, ControlError>, BrokerError>> {
        Box::pin(async move {
            // The shared broker would not know it, and have it a moment later.
            if let Some(id) = job_of(&control)
                && self.store.job(id).await?.is_some()
            {
                return Ok(Err(ControlError::InSpool));
            }
            let queue = queue_of(&control).cloned();
            self.within_a_second(queue.as_ref(), self.remote.control(control)).await
        })
    }

    fn job(&self, id: JobId) -> BoxFuture<'_, Result<Option<(JobView, Bytes)>, BrokerError>> {
        Box::pin(async move {
            if let Some((view, job)) = self.store.job(id).await? {
                let view = JobView { group: job.group, priority: job.priority, ..view };
                return Ok(Some((view, job.payload)));
            }
            self.within_a_second(None, self.remote.job(id)).await
        })
    }

    fn jobs(
        &self,
        filter: JobFilter,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JobView>, BrokerError>> {
        Box::pin(async move {
            let queue = filter.queue.clone();
            self.within_a_second(queue.as_ref(), self.remote.jobs(filter, after, limit)).await
        })
    }

    fn explain(&self, id: JobId) -> BoxFuture<'_, Result<Option<Explanation>, BrokerError>> {
        Box::pin(async move { self.within_a_second(None, self.remote.explain(id)).await })
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, BrokerError>> {
        Box::pin(async move { self.within_a_second(None, self.remote.stats()).await })
    }

    fn partitions(&self) -> u32 {
        self.remote.partitions()
    }

    fn partition_of(&self, queue: &QueueName) -> Partition {
        self.remote.partition_of(queue)
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<LogEntry>, BrokerError>> {
        self.remote.events(partition, after, limit, wait)
    }

    fn acknowledge(
        &self,
        reader: &str,
        partition: Partition,
        through: Cursor,
    ) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.remote.acknowledge(reader, partition, through)
    }
}
