//! From the broker's event log to records: reads on from where the rows stand, applies, then lets the log be trimmed.
//! Each partition of the log has a reader of its own.
//!
//! The rows and the place that was reached are one transaction, so it can be stopped anywhere, or killed. They are flushed
//! once a second, and only then is the log told that they are read: after a crash of the machine they stand further
//! back, where the log still goes on. Of several nodes one has the right to follow the log, which spares the others the work;
//! where two believe that they have it, each batch takes effect once all the same.

mod progress;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Broker, Cursor, Partition};
use palomar_model::Clock;
use palomar_records::{Follower, PROJECTION, Records, What};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::AppError;
use crate::channels::Registry;
use crate::events::Live;
use crate::metrics::Metrics;

pub(crate) use progress::{Progress, partitions};
pub(crate) use translate::record_fact;

/// So many facts go into one transaction.
const BATCH: usize = 1_000;
/// How long one read of the log waits for a fact.
const WAIT: Duration = Duration::from_secs(10);
/// After a batch that was not full, so many more facts may gather: each transaction is a flush, and whoever submits
/// waits for flushes of the same disk.
const PAUSE: Duration = Duration::from_millis(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A database that is back is followed again within so long.
const LAST_BACKOFF: Duration = Duration::from_secs(2);

/// Rows are on the disk within so long.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// A node follows the log for all others; it says so often enough that it keeps the right to.
const HOLD: Duration = Duration::from_secs(6);
const KEEP: Duration = Duration::from_secs(2);

/// The projection `records`: a reader for each partition of the log, on the one of all nodes that has the right to
/// follow it. The others only look whether it still has.
pub(crate) struct Projector {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Metrics,
    pub(crate) progress: Progress,
    /// Told what was written.
    pub(crate) live: Arc<Live>,
    /// What this node is called among those that share the records.
    pub(crate) node: Arc<str>,
    /// Who follows the log.
    pub(crate) right: watch::Sender<Follower>,
    /// Told when records show that a message has become uncertain.
    pub(crate) doubts: Arc<Notify>,
}

impl Projector {
    /// Runs until it is told to stop and, where this node follows the log, has applied all that was logged by then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let projector = Arc::new(self);
        let mut readers = JoinSet::new();
        for partition in partitions(&*projector.broker) {
            readers.spawn(Arc::clone(&projector).follow(
                partition,
                projector.right.subscribe(),
                stop.clone(),
            ));
        }
        projector.keep_right(&stop).await;
        while let Some(ended) = readers.join_next().await {
            if ended.is_err() {
                tracing::error!("a reader of the log ended in a panic; records go on at the next start");
            }
        }
        if *projector.right.borrow() == Follower::This
            && let Err(error) = projector.records.unfollow(&projector.node).await
        {
            tracing::debug!(%error, "the right to follow the log was not given back: it ends by itself");
        }
    }

    /// Takes the right to follow the log where it is free, keeps it, and learns how far the rows are where another node
    /// has it.
    async fn keep_right(&self, stop: &CancellationToken) {
        loop {
            match self.records.follow(&self.node, HOLD).await {
                Ok((follower, cursors)) => {
                    for (partition, stands) in cursors {
                        self.progress.read(Partition(partition.0), stands);
                    }
                    if self.right.send_replace(follower) != follower {
                        tracing::debug!(?follower, "who follows the log has changed");
                    }
                }
                // Whoever has the right can't use it now either.
                Err(error) => tracing::debug!(%error, "who follows the log is not known"),
            }
            tokio::select! {
                () = tokio::time::sleep(KEEP) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Follows a partition whenever this node has the right to.
    async fn follow(
        self: Arc<Self>,
        partition: Partition,
        mut right: watch::Receiver<Follower>,
        stop: CancellationToken,
    ) {
        let mut backoff = FIRST_BACKOFF;
        let mut unflushed = Unflushed::default();
        loop {
            let stopping = stop.is_cancelled();
            if *right.borrow_and_update() == Follower::Another {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = right.changed() => if changed.is_err() { return },
                }
                continue;
            }
            let wait = if stopping { Duration::ZERO } else { unflushed.patience() };
            let step = tokio::select! {
                step = self.step(partition, wait, &mut unflushed) => step,
                () = stop.cancelled(), if !stopping => continue,
            };
            match step {
                Ok(0) if stopping => return,
                Ok(read) => {
                    backoff = FIRST_BACKOFF;
                    if read < BATCH {
                        let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
                    }
                }
                Err(error) if stopping => {
                    tracing::warn!(%error, "records stop behind the log; they go on from there at the next start");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "records can't follow the log, trying again");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
            }
        }
    }

    /// Applies one batch, and flushes when it is time; how many facts were read.
    async fn step(
        &self,
        partition: Partition,
        wait: Duration,
        unflushed: &mut Unflushed,
    ) -> Result<usize, AppError> {
        let after = self.progress.stands(partition);
        let entries = self.broker.events(partition, Cursor(after), BATCH, wait).await?;
        let Some(through) = entries.last().map(|entry| entry.cursor.0) else {
            self.flush(partition, unflushed).await?;
            return Ok(0);
        };
        let read = entries.len();
        // A full batch takes a while to read: not on a thread that answers requests.
        let facts = move || entries.into_iter().filter_map(record_fact).collect::<Vec<_>>();
        let facts = tokio::task::spawn_blocking(facts).await;
        let facts = facts.map_err(|error| AppError::Unavailable(error.to_string()))?;
        let doubts = facts.iter().any(|fact| matches!(fact.what, What::Uncertain));
        let begun = self.clock.now();
        let applied = match self.records.apply(of_records(partition), after, facts, through, begun).await {
            Ok(applied) => applied,
            Err(error) => {
                self.metrics.not_recorded(&error);
                // Whether the commit took place is not known: the rows themselves tell.
                let stands = self.records.cursor(of_records(partition)).await?;
                self.progress.set(partition, stands);
                return Err(error.into());
            }
        };
        self.progress.set(partition, applied.cursor);
        self.live.wake();
        self.metrics.recorded(read, self.clock.now().since(begun));
        if doubts {
            self.doubts.notify_one();
        }
        for failed in &applied.failed {
            if let Some(provider) = self.registry.provider(&failed.channel) {
                self.metrics.failed(provider, failed.dead.as_deref());
            }
        }
        for step in &applied.steps {
            if let Some(line) = self.registry.get(&step.channel) {
                self.metrics.latency(line.provider, step.stage, step.took);
            }
        }
        unflushed.add(applied.cursor);
        if unflushed.is_due() {
            self.flush(partition, unflushed).await?;
        }
        Ok(read)
    }

    /// Brings the rows to the disk, and lets the log forget what they have.
    async fn flush(&self, partition: Partition, unflushed: &mut Unflushed) -> Result<(), AppError> {
        let Some((_, through)) = unflushed.0 else { return Ok(()) };
        self.records.flush().await?;
        self.broker.acknowledge(PROJECTION, partition, Cursor(through)).await?;
        unflushed.0 = None;
        Ok(())
    }
}

/// What rows have and the disk may not: since when, and up to where.
#[derive(Clone, Copy, Debug, Default)]
struct Unflushed(Option<(Instant, u64)>);

impl Unflushed {
    fn add(&mut self, through: u64) {
        let since = self.0.map_or_else(Instant::now, |(since, _)| since);
        self.0 = Some((since, through));
    }

    fn is_due(self) -> bool {
        self.patience().is_zero()
    }

    /// How long to wait for more.
    fn patience(self) -> Duration {
        self.0.map_or(WAIT, |(since, _)| FLUSH_EVERY.saturating_sub(since.elapsed()))
    }
}

/// A partition as the records name it.
const fn of_records(partition: Partition) -> palomar_records::Partition {
    palomar_records::Partition(partition.0)
}
