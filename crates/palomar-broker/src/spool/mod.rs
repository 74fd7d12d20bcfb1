//! The spool: while a shared broker can't be reached, what is to be queued waits on this node's disk (GUARANTEES §9).
//!
//! [`Spooled`] stands before the broker in Redis. Queueing goes through a lane for each partition: to the shared broker
//! while it answers, to the end of the spool while it does not or while anything waits there, and from the spool to the
//! shared broker, in order, when it is back. All else is the shared broker's; what somebody waits for is answered
//! [`BrokerError::Lost`] within a second where that one is silent.
//!
//! What always holds:
//! - a job is accepted once it is durable, here or there, and queued once, whatever breaks in between: see [`lane`];
//! - jobs of one queue are queued in the order in which they were accepted here;
//! - the spool knows the requests that it took in, not those that went straight to the shared broker. Where that one
//!   refuses what comes from the spool (the same request with another body came before), a job stands for it that tells
//!   so ([`Refused`]): nothing that was accepted ends without a word.

mod batch;
mod envelope;
mod front;
mod lane;
mod remote;
mod standing;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use palomar_model::{Clock, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::broker::BrokerError;
use crate::embedded::StoreError;
use crate::redis::RedisBroker;
use crate::types::{Enqueued, NewJob};
use batch::Asked;
use lane::{Lane, Pace, Terms};
pub(crate) use remote::{CallId, Remote};
use standing::Standing;
use store::Store;

/// What stands for a job that the shared broker refused when it was handed over: it is to end so that people see why.
/// None drops the job, with a line in the log.
pub type Refused = Arc<dyn Fn(&NewJob, Enqueued) -> Option<NewJob> + Send + Sync>;

/// How a spool is set up.
#[derive(Clone)]
pub struct SpoolConfig {
    /// Where it lies. One process at a time.
    pub dir: PathBuf,
    /// Bytes of jobs that wait there at most.
    pub limit: u64,
    /// What becomes of jobs that are refused when they are handed over.
    pub refused: Refused,
}

impl std::fmt::Debug for SpoolConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolConfig")
            .field("dir", &self.dir)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why a spool can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Its store can't.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in it can't be read.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// What is in it was for queues with more partitions.
    #[error(
        "what is in it was accepted for queues in more partitions than there are: start once with the Redis that it \
         was accepted for"
    )]
    OtherQueues,
}

/// The spool at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolMeters {
    /// Jobs that wait.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes at most.
    pub limit: u64,
    /// Since when the oldest waits.
    pub oldest: Option<Timestamp>,
    /// Why the shared broker can't be reached, where it can't.
    pub away: Option<Arc<str>>,
    /// Why what waits can't be handed over, where the shared broker is there and that failed nevertheless.
    pub stuck: Option<Arc<str>>,
    /// Whether what came last found no room.
    pub full: bool,
    /// Why the spool can't be written any more, where it can't.
    pub failure: Option<Arc<str>>,
}

/// The way to a lane.
struct Way {
    asked: mpsc::UnboundedSender<Asked>,
    standing: watch::Receiver<Standing>,
    /// Somebody looks whether the shared broker is there.
    looking: Arc<AtomicBool>,
}

/// A shared broker with a spool before it.
pub struct Spooled {
    remote: Arc<dyn Remote>,
    store: Arc<Store>,
    ways: Vec<Way>,
    /// What is not answered by then is asked after.
    slow: Duration,
}

impl std::fmt::Debug for Spooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spooled").field("meters", &self.meters()).finish_non_exhaustive()
    }
}

impl Spooled {
    /// Opens the spool on the current runtime. What is found in it is handed over.
    ///
    /// # Errors
    /// Where the directory can't be used, or what is in it can't be read.
    pub async fn open(
        shared: Arc<RedisBroker>,
        config: SpoolConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Spooled, SpoolError> {
        Spooled::before(shared, config, clock, Pace::default()).await
    }

    async fn before(
        remote: Arc<dyn Remote>,
        config: SpoolConfig,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Result<Spooled, SpoolError> {
        let (store, found) = Store::open(&config.dir, config.limit, clock).await?;
        let store = Arc::new(store);
        let mut lanes = vec![<(Vec<_>, Vec<_>)>::default(); remote.partitions() as usize];
        for (queue, entry) in found.entries {
            let lane = lanes.get_mut(remote.partition_of(&queue).0 as usize);
            lane.ok_or(SpoolError::OtherQueues)?.0.push(entry);
        }
        for doubt in found.doubts {
            lanes.get_mut(doubt.partition as usize).ok_or(SpoolError::OtherQueues)?.1.push(doubt);
        }
        let (items, bytes) = store.held();
        if items > 0 {
            tracing::info!(items, bytes, "found in the spool: it is handed over");
        }
        let mut ways = Vec::with_capacity(lanes.len());
        for (partition, (waiting, doubts)) in (0..).zip(lanes) {
            let (asked, receiver) = mpsc::unbounded_channel();
            let (standing, seen) = watch::channel(Standing::default());
            let looking = Arc::new(AtomicBool::new(false));
            let terms = Terms {
                looking: Arc::clone(&looking),
                partition,
                remote: Arc::clone(&remote),
                store: Arc::clone(&store),
                refused: Arc::clone(&config.refused),
                pace,
            };
            tokio::spawn(Lane::new(terms, waiting.into(), doubts.into(), receiver, standing).serve());
            ways.push(Way { asked, standing: seen, looking });
        }
        Ok(Spooled { remote, store, ways, slow: pace.slow })
    }

    /// The spool in numbers.
    #[must_use]
    pub fn meters(&self) -> SpoolMeters {
        let (items, bytes) = self.store.held();
        let standing: Vec<Standing> = self.ways.iter().map(|way| way.standing.borrow().clone()).collect();
        SpoolMeters {
            items,
            bytes,
            limit: self.store.limit(),
            oldest: standing.iter().filter_map(|lane| lane.oldest).min(),
            away: standing.iter().find_map(|lane| lane.away.clone()),
            stuck: standing.iter().find_map(|lane| lane.stuck.clone()),
            full: self.store.is_full(),
            failure: self.store.failure(),
        }
    }

    /// Ends the spool: what is under way is answered, what waits is handed over after the next start. The shared broker
    /// goes on.
    ///
    /// # Errors
    /// Where the spool's files can't be closed in order.
    pub async fn close(&self) -> Result<(), BrokerError> {
        let closing = self.ways.iter().map(|way| async {
            let (answer, answered) = oneshot::channel();
            if way.asked.send(Asked::Close(answer)).is_ok() {
                // One that has ended is closed.
                let _ = answered.await;
            }
        });
        futures_util::future::join_all(closing).await;
        self.store.close().await
    }
}

impl Way {
    fn why_away(&self) -> Option<Arc<str>> {
        self.standing.borrow().away.clone()
    }

    /// Has somebody look whether the shared broker is there, unless somebody does.
    fn look(&self) {
        if !self.looking.swap(true, Relaxed) && self.asked.send(Asked::Look).is_err() {
            self.looking.store(false, Relaxed);
        }
    }
}
