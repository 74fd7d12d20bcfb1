//! The broker over its partitions: which of them is asked, and how their answers become one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::oneshot;

use super::answer;
use super::leasing::{Leased, Ticket, Waiting};
use super::shard::{Shard, unreadable};
use super::{RedisBroker, request};
use crate::broker::{Broker, BrokerError};
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LogEntry, NewJob, Partition, QueueName,
    Settle, Started, Stats,
};

/// A partition's number, as one of all.
pub(super) fn partition_of(queue: &QueueName, partitions: usize) -> usize {
    // It never changes: queues would be lost.
    crc32fast::hash(queue.as_str().as_bytes()) as usize % partitions
}

/// What a control is about.
enum Subject<'a> {
    Queue(&'a QueueName),
    Job(JobId),
    /// All queues that fit.
    Filter(&'a JobFilter),
}

fn subject_of(control: &Control) -> Subject<'_> {
    match control {
        Control::Configure { queue, .. }
        | Control::Pause { queue, .. }
        | Control::Resume { queue }
        | Control::Lift { queue, .. }
        | Control::PauseGroup { queue, .. }
        | Control::ResumeGroup { queue, .. }
        | Control::Remove { queue } => Subject::Queue(queue),
        Control::Cancel { id }
        | Control::Promote { id }
        | Control::RetryDead { id }
        | Control::Resolve { id, .. } => Subject::Job(*id),
        Control::CancelAll(filter)
        | Control::RetryAll(filter)
        | Control::Purge(filter)
        | Control::Clean { filter, .. } => Subject::Filter(filter),
    }
}

impl RedisBroker {
    fn count(&self) -> usize {
        self.partitions.len()
    }

    /// The partition of a queue.
    fn of_queue(&self, queue: &QueueName) -> &Shard {
        &self.partitions[partition_of(queue, self.count())]
    }

    /// A job as the outside sees it: its number tells the partition.
    fn seen(&self, view: JobView, partition: usize) -> JobView {
        let seq = view.seq.saturating_mul(self.count() as u64).saturating_add(partition as u64);
        JobView { seq, ..view }
    }

    /// Where jobs are; the first partition where nobody knows them.
    async fn places_of(&self, ids: &[JobId]) -> Result<Vec<usize>, BrokerError> {
        let mut places: Vec<Option<usize>> = match self.count() {
            1 => vec![Some(0); ids.len()],
            _ => ids.iter().map(|id| self.places.of(*id).map(usize::from)).collect(),
        };
        let unknown: Vec<JobId> =
            ids.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(id, _)| *id).collect();
        if !unknown.is_empty() {
            let asked = self.partitions.iter().map(|partition| partition.knows(&unknown));
            let known = try_join_all(asked).await?;
            let unplaced = places.iter_mut().filter(|place| place.is_none());
            for (n, place) in unplaced.enumerate() {
                *place = known.iter().position(|known| known.get(n).copied().unwrap_or(false));
            }
        }
        Ok(places.into_iter().map(Option::unwrap_or_default).collect())
    }

    async fn place_of(&self, id: JobId) -> Result<usize, BrokerError> {
        Ok(self.places_of(&[id]).await?.first().copied().unwrap_or_default())
    }

    /// Gives each part of a batch to its partition, and puts the answers into the order of the batch.
    async fn routed<'a, T, A>(
        &'a self,
        items: Vec<T>,
        places: &[usize],
        ask: impl Fn(&'a Shard, Vec<T>) -> BoxFuture<'a, Result<Vec<A>, BrokerError>>,
    ) -> Result<Vec<A>, BrokerError> {
        let first = places.first().copied().unwrap_or_default();
        if places.iter().all(|place| *place == first) {
            return ask(&self.partitions[first], items).await;
        }
        let mut parts: Vec<(Vec<usize>, Vec<T>)> =
            self.partitions.iter().map(|_| Default::default()).collect();
        for (n, (item, place)) in items.into_iter().zip(places).enumerate() {
            parts[*place].0.push(n);
            parts[*place].1.push(item);
        }
        let (at, asked): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .zip(self.partitions.iter())
            .filter(|((at, _), _)| !at.is_empty())
            .map(|((at, items), partition)| (at, ask(partition, items)))
            .unzip();
        let answers = try_join_all(asked).await?;
        let mut placed: Vec<(usize, A)> =
            at.into_iter().zip(answers).flat_map(|(at, answers)| at.into_iter().zip(answers)).collect();
        placed.sort_unstable_by_key(|(n, _)| *n);
        Ok(placed.into_iter().map(|(_, answer)| answer).collect())
    }

    async fn of_leases<A>(
        &self,
        leases: Vec<LeaseRef>,
        ask: impl for<'a> Fn(&'a Shard, Vec<LeaseRef>) -> BoxFuture<'a, Result<Vec<A>, BrokerError>>,
    ) -> Result<Vec<A>, BrokerError> {
        let ids: Vec<JobId> = leases.iter().map(|lease| lease.id).collect();
        let places = self.places_of(&ids).await?;
        self.routed(leases, &places, ask).await
    }

    async fn ordered(&self, control: Control) -> Result<Result<Controlled, ControlError>, BrokerError> {
        let all = match subject_of(&control) {
            Subject::Queue(queue) => return self.of_queue(queue).control(control.clone()).await,
            Subject::Job(id) => {
                let place = self.place_of(id).await?;
                return self.partitions[place].control(control).await;
            }
            Subject::Filter(JobFilter { queue: Some(queue), .. }) => {
                return self.of_queue(queue).control(control.clone()).await;
            }
            Subject::Filter(_) => self.partitions.iter().map(|partition| partition.control(control.clone())),
        };
        let mut sum = Controlled { changed: 0, in_flight: 0 };
        for answer in try_join_all(all).await? {
            match answer {
                Ok(Controlled { changed, in_flight }) => {
                    sum.changed += changed;
                    sum.in_flight += in_flight;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(sum))
    }

    async fn pages(&self, filter: JobFilter, after: u64, limit: usize) -> Result<Vec<JobView>, BrokerError> {
        let pages = self.partitions.iter().enumerate().map(|(n, partition)| {
            // The last of the partition's numbers that is not after.
            let after = after.saturating_sub(n as u64) / self.count() as u64;
            partition.jobs(filter.clone(), after, limit)
        });
        let pages = try_join_all(pages).await?;
        let mut all: Vec<JobView> = pages
            .into_iter()
            .enumerate()
            .flat_map(|(n, page)| page.into_iter().map(move |view| self.seen(view, n)))
            .collect();
        all.sort_unstable_by_key(|view| view.seq);
        all.truncate(limit);
        Ok(all)
    }

    async fn all_stats(&self) -> Result<Stats, BrokerError> {
        let parts = try_join_all(self.partitions.iter().map(|partition| partition.stats())).await?;
        let mut all = Stats::default();
        for part in parts {
            all.queues.extend(part.queues);
            all.dedupe_ids += part.dedupe_ids;
            all.dedupe_hits += part.dedupe_hits;
            all.log_ends.extend(part.log_ends);
        }
        Ok(all)
    }

    /// Asks all partitions for jobs, beginning with another one each time.
    fn leased(&self, request: &LeaseRequest) -> BoxFuture<'_, Leased> {
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::new(self.count(), answer));
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.count();
        let (later, sooner) = self.partitions.split_at(first);
        for partition in sooner.iter().chain(later) {
            partition.line.lease(request.clone(), Arc::clone(&ticket));
        }
        let give_back = |jobs: Vec<crate::types::LeasedJob>| {
            if let Some(job) = jobs.first() {
                self.of_queue(&job.queue).line.give_back(&jobs);
            }
        };
        let mut waiting = Waiting { answered, give_back };
        Box::pin(async move {
            let jobs = (&mut waiting).await.unwrap_or(Err(BrokerError::Stopped))?;
            if let (Some(job), 2..) = (jobs.first(), self.count()) {
                let place = partition_of(&job.queue, self.count()) as u16;
                self.places.note(jobs.iter().map(|job| job.lease.id), place);
            }
            Ok(jobs)
        })
    }
}

impl Shard {
    /// Which of these jobs it knows.
    async fn knows(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let answer = self.line.ask(request::knows(ids)).await?;
        answer::yeses(&answer).map_err(unreadable)
    }
}

impl Broker for RedisBroker {
    fn enqueue(&self, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        Box::pin(async move {
            let places: Vec<usize> = jobs.iter().map(|job| partition_of(&job.queue, self.count())).collect();
            self.routed(jobs, &places, |partition, jobs| partition.enqueue(jobs)).await
        })
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Leased> {
        self.leased(&request)
    }

    fn start(
        &self,
        leases: Vec<LeaseRef>,
    ) -> BoxFuture<'_, Result<Vec<Result<Started, LeaseError>>, BrokerError>> {
        Box::pin(self.of_leases(leases, |partition, leases| partition.start(leases)))
    }

    fn renew(
        &self,
        leases: Vec<LeaseRef>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        Box::pin(self.of_leases(leases, move |partition, leases| partition.renew(leases, lease)))
    }

    fn settle(
        &self,
        settles: Vec<Settle>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        Box::pin(async move {
            let ids: Vec<JobId> = settles.iter().map(|settle| settle.lease.id).collect();
            let places = self.places_of(&ids).await?;
            self.routed(settles, &places, |partition, settles| partition.settle(settles)).await
        })
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> BoxFuture<'_, Result<Vec<EvidenceEffect>, BrokerError>> {
        Box::pin(async move {
            let ids: Vec<JobId> = evidence.iter().map(|evidence| evidence.id).collect();
            let places = self.places_of(&ids).await?;
            self.routed(evidence, &places, |partition, evidence| partition.evidence(evidence)).await
        })
    }

    fn log(&self, events: Vec<EventBody>) -> BoxFuture<'_, Result<Cursor, BrokerError>> {
        self.partitions[0].log(events)
    }

    fn control(
        &self,
        control: Control,
    ) -> BoxFuture<'_, Result<Result<Controlled, ControlError>, BrokerError>> {
        Box::pin(self.ordered(control))
    }

    fn job(&self, id: JobId) -> BoxFuture<'_, Result<Option<(JobView, Bytes)>, BrokerError>> {
        Box::pin(async move {
            let place = self.place_of(id).await?;
            let found = self.partitions[place].job(id).await?;
            Ok(found.map(|(view, payload)| (self.seen(view, place), payload)))
        })
    }

    fn jobs(
        &self,
        filter: JobFilter,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JobView>, BrokerError>> {
        Box::pin(self.pages(filter, after, limit))
    }

    fn explain(&self, id: JobId) -> BoxFuture<'_, Result<Option<Explanation>, BrokerError>> {
        Box::pin(async move { self.partitions[self.place_of(id).await?].explain(id).await })
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, BrokerError>> {
        Box::pin(self.all_stats())
    }

    fn partitions(&self) -> u32 {
        self.count() as u32
    }

    fn partition_of(&self, queue: &QueueName) -> Partition {
        Partition(partition_of(queue, self.count()) as u32)
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<LogEntry>, BrokerError>> {
        match self.partitions.get(partition.0 as usize) {
            Some(shard) => shard.events(Partition::WHOLE, after, limit, wait),
            None => Box::pin(std::future::ready(Ok(Vec::new()))),
        }
    }

    fn acknowledge(
        &self,
        reader: &str,
        partition: Partition,
        through: Cursor,
    ) -> BoxFuture<'_, Result<(), BrokerError>> {
        match self.partitions.get(partition.0 as usize) {
            Some(shard) => shard.acknowledge(reader, Partition::WHOLE, through),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}
