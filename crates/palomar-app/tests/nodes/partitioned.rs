//! A broker whose event log has several partitions, made of several that have one: what a cluster is, in one process.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use palomar_broker::*;

type Answer<'a, T> = BoxFuture<'a, Result<T, BrokerError>>;

pub(crate) struct Partitioned(Vec<EmbeddedBroker>);

impl Partitioned {
    /// So many partitions, in directories of their own.
    pub(crate) fn open(
        dir: &std::path::Path,
        partitions: usize,
        clock: &Arc<dyn palomar_model::Clock>,
    ) -> Arc<Partitioned> {
        let parts = (0..partitions).map(|part| {
            let dir = dir.join(format!("part{part}"));
            std::fs::create_dir_all(&dir).expect("a directory");
            let readers = vec![palomar_records::PROJECTION.to_owned()];
            let config = EmbeddedConfig { readers, ..EmbeddedConfig::in_dir(&dir) };
            EmbeddedBroker::open(config, Arc::clone(clock)).expect("a broker")
        });
        Arc::new(Partitioned(parts.collect()))
    }

    fn place(&self, queue: &QueueName) -> usize {
        queue.as_str().bytes().map(usize::from).sum::<usize>() % self.0.len()
    }

    fn of(&self, queue: &QueueName) -> &EmbeddedBroker {
        &self.0[self.place(queue)]
    }

    /// The partition that knows a job.
    async fn knowing(&self, id: JobId) -> Result<&EmbeddedBroker, BrokerError> {
        for part in &self.0 {
            if part.job(id).await?.is_some() {
                return Ok(part);
            }
        }
        Ok(&self.0[0])
    }

    async fn lease_any(&self, request: LeaseRequest) -> Result<Vec<LeasedJob>, BrokerError> {
        let asked = async {
            loop {
                for part in &self.0 {
                    let jobs = part.lease(LeaseRequest { wait: Duration::ZERO, ..request.clone() }).await?;
                    if !jobs.is_empty() {
                        return Ok(jobs);
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(request.wait, asked).await.unwrap_or(Ok(Vec::new()))
    }
}

/// Asks for each of many in its own partition.
macro_rules! each {
    ($self:ident, $all:ident, $one:ident . $($id:ident).+, |$part:ident| $ask:expr) => {
        async move {
            let mut answers = Vec::new();
            for $one in $all {
                let $part = $self.knowing($one.$($id).+).await?;
                answers.extend($ask.await?);
            }
            Ok(answers)
        }
        .boxed()
    };
}

impl Broker for Partitioned {
    fn enqueue(&self, jobs: Vec<NewJob>) -> Answer<'_, Vec<Enqueued>> {
        async move {
            let mut answers = Vec::new();
            for job in jobs {
                answers.extend(self.of(&job.queue).enqueue(vec![job]).await?);
            }
            Ok(answers)
        }
        .boxed()
    }

    fn lease(&self, request: LeaseRequest) -> Answer<'_, Vec<LeasedJob>> {
        self.lease_any(request).boxed()
    }

    fn start(&self, leases: Vec<LeaseRef>) -> Answer<'_, Vec<Result<Started, LeaseError>>> {
        each!(self, leases, one.id, |part| part.start(vec![one]))
    }

    fn renew(&self, leases: Vec<LeaseRef>, lease: Duration) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        each!(self, leases, one.id, |part| part.renew(vec![one], lease))
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Result<(), LeaseError>>> {
        each!(self, settles, one.lease.id, |part| part.settle(vec![one]))
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> Answer<'_, Vec<EvidenceEffect>> {
        each!(self, evidence, one.id, |part| part.evidence(vec![one]))
    }

    fn log(&self, events: Vec<EventBody>) -> Answer<'_, Cursor> {
        self.0[0].log(events)
    }

    fn control(&self, control: Control) -> Answer<'_, Result<Controlled, ControlError>> {
        match &control {
            Control::Configure { queue, .. }
            | Control::Pause { queue, .. }
            | Control::Resume { queue }
            | Control::Lift { queue, .. }
            | Control::Remove { queue } => self.of(queue).control(control),
            other => unreachable!("not used by these tests: {other:?}"),
        }
    }

    fn job(&self, id: JobId) -> Answer<'_, Option<(JobView, bytes::Bytes)>> {
        async move { self.knowing(id).await?.job(id).await }.boxed()
    }

    fn jobs(&self, filter: JobFilter, after: u64, limit: usize) -> Answer<'_, Vec<JobView>> {
        self.0[0].jobs(filter, after, limit)
    }

    fn explain(&self, id: JobId) -> Answer<'_, Option<Explanation>> {
        async move { self.knowing(id).await?.explain(id).await }.boxed()
    }

    fn stats(&self) -> Answer<'_, Stats> {
        async move {
            let mut all = Stats::default();
            for part in &self.0 {
                let stats = part.stats().await?;
                all.queues.extend(stats.queues);
                all.log_ends.extend(stats.log_ends);
            }
            Ok(all)
        }
        .boxed()
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.0.len()).expect("few")
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> Answer<'_, Vec<LogEntry>> {
        self.0[partition.0 as usize].events(Partition::WHOLE, after, limit, wait)
    }

    fn acknowledge(&self, reader: &str, partition: Partition, through: Cursor) -> Answer<'_, ()> {
        self.0[partition.0 as usize].acknowledge(reader, Partition::WHOLE, through)
    }
}
