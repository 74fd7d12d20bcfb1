//! From the broker's event log to records: reads on from where the rows stand, applies, then lets the log be trimmed.
//!
//! The rows and the place that was reached are one transaction, so it can be stopped anywhere, or killed.

mod translate;

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Broker, Cursor};
use palomar_model::Clock;
use palomar_records::{PROJECTION, Partition, Records};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::AppError;
use crate::channels::Registry;
use crate::metrics::Metrics;

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

/// The projection `records`, as a task.
pub(crate) struct Projector {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Metrics,
    /// Where the rows stand, for whoever waits for them.
    pub(crate) position: watch::Sender<u64>,
}

impl Projector {
    /// Runs until it is told to stop and has applied all that was logged by then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let stopping = stop.is_cancelled();
            let wait = if stopping { Duration::ZERO } else { WAIT };
            let step = tokio::select! {
                step = self.step(wait) => step,
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

    /// Applies one batch; how many facts were read.
    async fn step(&self, wait: Duration) -> Result<usize, AppError> {
        let after = *self.position.borrow();
        let entries = self.broker.events(Cursor(after), BATCH, wait).await?;
        let Some(through) = entries.last().map(|entry| entry.cursor.0) else {
            return Ok(0);
        };
        let read = entries.len();
        // A full batch takes a while to read: not on a thread that answers requests.
        let facts = move || entries.into_iter().filter_map(record_fact).collect::<Vec<_>>();
        let facts = tokio::task::spawn_blocking(facts).await;
        let facts = facts.map_err(|error| AppError::Unavailable(error.to_string()))?;
        let begun = self.clock.now();
        let applied = match self.records.apply(Partition::WHOLE, after, facts, through, begun).await {
            Ok(applied) => applied,
            Err(error) => {
                self.metrics.not_recorded(&error);
                // Whether the commit took place is not known: the rows themselves tell.
                let stands = self.records.cursor(Partition::WHOLE).await?;
                self.position.send_replace(stands);
                return Err(error.into());
            }
        };
        self.position.send_replace(applied.cursor);
        self.metrics.recorded(read, self.clock.now().since(begun));
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
        self.broker.acknowledge(PROJECTION, Cursor(applied.cursor)).await?;
        Ok(read)
    }
}
