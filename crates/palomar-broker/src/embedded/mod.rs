//! The embedded broker: the machine on one thread, its changes in SQLite, group commit.
//!
//! ```text
//! callers ──> requests ──> [ apply all that waits ] ──> one commit, one flush ──> answers
//!                               machine                     queue.db
//! ```
//!
//! What always holds:
//! - an answer is given after the flush that covers it;
//! - memory equals disk: the machine changes by the same values that are written;
//! - a write that fails for good ends the broker: every later call answers [`BrokerError::Failed`], and the process
//!   is to start again from what the disk holds;
//! - when the disk is full, accepting ends ([`BrokerError::Full`]); settling goes on in a reserve, and so does noting what
//!   belongs to jobs that were accepted.

mod actor;
mod batch;
mod check;
mod checkpoint;
mod codec;
mod facts;
mod jobs;
mod leasing;
mod meters;
mod payloads;
mod recover;
mod show;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use palomar_model::Clock;
use tokio::sync::{oneshot, watch};

use crate::broker::{Broker, BrokerError};
use crate::machine::MachineConfig;
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LeasedJob, LogEntry, NewJob, Partition,
    Settle, Started, Stats,
};
use actor::{Actor, Request};
pub use check::{CheckReport, QueueCheck, StoreInfo, check, store_info};
pub(crate) use facts::fact_of;
use meters::Meters;
pub use meters::{COMMIT_BUCKETS_MICROS, StoreMeters};
use payloads::Payloads;
use space::Space;
use store::Store;
pub use store::{Flush, StoreError};

/// Jobs in one request at most.
const MOST_JOBS: usize = 10_000;

/// How the embedded broker is set up.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Where `queue.db` lies. One process at a time.
    pub dir: PathBuf,
    /// When commits are flushed.
    pub flush: Flush,
    /// What is kept of final jobs.
    pub machine: MachineConfig,
    /// Readers of the event log: it is trimmed behind the slowest of them.
    pub readers: Vec<String>,
    /// Bytes of payloads that are held in memory.
    pub payload_memory: usize,
    /// Bytes of the write-ahead log that are laid out on the disk at the start, for faster flushes; 0 for none.
    pub log_room: u64,
}

impl EmbeddedConfig {
    /// The defaults, in a directory.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> EmbeddedConfig {
        EmbeddedConfig {
            dir: dir.into(),
            flush: Flush::EachCommit,
            machine: MachineConfig::default(),
            readers: Vec::new(),
            payload_memory: 64 << 20,
            log_room: 0,
        }
    }
}

/// What was found when the broker was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Jobs that are known.
    pub jobs: usize,
    /// Rows that are damaged and were set aside, each named.
    pub damaged: Vec<String>,
}

/// A broker in this process, on this machine's disk.
#[derive(Debug)]
pub struct EmbeddedBroker {
    requests: mpsc::Sender<Request>,
    facts: mpsc::Sender<facts::Read>,
    log_end: watch::Receiver<u64>,
    failure: Arc<OnceLock<Arc<str>>>,
    meters: Arc<Meters>,
    opened: Opened,
    dir: PathBuf,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl EmbeddedBroker {
    /// Opens the broker of a directory; all leases of the previous process are over.
    pub fn open(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<EmbeddedBroker, StoreError> {
        let lock = space::lock(&config.dir)?;
        let mut store = Store::open(&config.dir, config.flush)?;
        let recovered = recover::recover(store.connection(), store.fold(), config.machine, clock.now())?;
        store.holds(recovered.index, recovered.counted);
        store.facts_go_on_at(recovered.next_fact);
        if !recovered.stale_requests.is_empty() {
            store.drop_requests(&recovered.stale_requests)?;
        }
        store.lay_out_log(config.log_room, space::free_bytes(&config.dir))?;
        for damaged in &recovered.damaged {
            tracing::error!(%damaged, "set aside");
        }
        let opened = Opened {
            jobs: recovered.machine.len(),
            damaged: recovered.damaged.iter().map(ToString::to_string).collect(),
        };
        let unusable = |source| StoreError::Directory { dir: config.dir.clone(), source };
        let (log_end, log_end_receiver) = watch::channel(store.log_end());
        let (requests, receiver) = mpsc::channel();
        let failure = Arc::new(OnceLock::new());
        let meters = Arc::new(Meters::default());
        let facts = facts::spawn(&config.dir).map_err(unusable)?;
        let actor = Actor::new(
            recovered.machine,
            store,
            Space::open(&config.dir),
            Payloads::new(config.payload_memory),
            clock,
            Arc::clone(&meters),
            log_end,
            Arc::clone(&failure),
            config.readers.iter().map(|reader| (reader.clone(), None)).collect(),
        );
        let thread = std::thread::Builder::new()
            .name("palomar-broker".into())
            .spawn(move || {
                // The lock outlives the store.
                let _lock = lock;
                actor.run(&receiver);
            })
            .map_err(unusable)?;
        Ok(EmbeddedBroker {
            requests,
            facts,
            log_end: log_end_receiver,
            failure,
            meters,
            opened,
            dir: config.dir,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// What was found when it was opened.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where its files lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that may still be written to its disk.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        space::free_bytes(&self.dir)
    }

    /// Why the broker failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.failure.get().cloned()
    }

    /// What the store has counted.
    #[must_use]
    pub fn meters(&self) -> StoreMeters {
        self.meters.read()
    }

    /// Folds, closes the files and ends the thread. Later calls answer [`BrokerError::Stopped`].
    pub async fn close(&self) -> Result<(), BrokerError> {
        let closed = self.ask(Request::Close).await;
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            // The thread has answered and is at its end.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        closed
    }

    /// Queues what belongs to jobs that were accepted before: a full disk refuses it as little as that they are settled.
    pub(crate) fn note(&self, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        match refused_always(&jobs) {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.ask(|answer| Request::Note(jobs, answer)),
        }
    }

    /// Has the disk taken for full, as long as the clock stands still.
    #[cfg(test)]
    pub(crate) async fn fill_disk(&self) -> Result<(), BrokerError> {
        self.ask(Request::FillDisk).await
    }

    fn gone(&self) -> BrokerError {
        self.failure.get().map_or(BrokerError::Stopped, |why| BrokerError::Failed(Arc::clone(why)))
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        request: impl FnOnce(actor::Answer<T>) -> Request,
    ) -> BoxFuture<'a, Result<T, BrokerError>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(request(answer));
        Box::pin(async move {
            if sent.is_err() {
                return Err(self.gone());
            }
            answered.await.unwrap_or_else(|_| Err(self.gone()))
        })
    }

    async fn read_facts(&self, after: Cursor, limit: usize) -> Result<Vec<LogEntry>, BrokerError> {
        let (answer, answered) = oneshot::channel();
        self.facts.send(facts::Read { after, limit, answer }).map_err(|_| self.gone())?;
        answered.await.unwrap_or_else(|_| Err(self.gone()))
    }
}

/// Why such jobs would be refused whenever they came.
fn refused_always(jobs: &[NewJob]) -> Option<BrokerError> {
    if jobs.len() > MOST_JOBS {
        return Some(BrokerError::TooLarge("at most 10,000 jobs in a request"));
    }
    let too_large = jobs.iter().any(|job| job.payload.len() > codec::MAX_PAYLOAD);
    too_large.then_some(BrokerError::TooLarge("a payload has at most 4 MiB"))
}

impl Broker for EmbeddedBroker {
    fn enqueue(&self, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        match refused_always(&jobs) {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.ask(|answer| Request::Enqueue(jobs, answer)),
        }
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Vec<LeasedJob>, BrokerError>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Request::Lease(request, answer));
        let mut waiting = leasing::Waiting { answered, requests: &self.requests };
        Box::pin(async move {
            if sent.is_err() {
                return Err(self.gone());
            }
            (&mut waiting).await.unwrap_or_else(|_| Err(self.gone()))
        })
    }

    fn start(
        &self,
        leases: Vec<LeaseRef>,
    ) -> BoxFuture<'_, Result<Vec<Result<Started, LeaseError>>, BrokerError>> {
        self.ask(|answer| Request::Start(leases, answer))
    }

    fn renew(
        &self,
        leases: Vec<LeaseRef>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        self.ask(|answer| Request::Renew(leases, lease, answer))
    }

    fn settle(
        &self,
        settles: Vec<Settle>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        self.ask(|answer| Request::Settle(settles, answer))
    }

    fn evidence(&self, evidence: Vec<Evidence>) -> BoxFuture<'_, Result<Vec<EvidenceEffect>, BrokerError>> {
        self.ask(|answer| Request::Evidence(evidence, answer))
    }

    fn log(&self, events: Vec<EventBody>) -> BoxFuture<'_, Result<Cursor, BrokerError>> {
        self.ask(|answer| Request::Log(events, answer))
    }

    fn control(
        &self,
        control: Control,
    ) -> BoxFuture<'_, Result<Result<Controlled, ControlError>, BrokerError>> {
        self.ask(|answer| Request::Control(control, answer))
    }

    fn job(&self, id: JobId) -> BoxFuture<'_, Result<Option<(JobView, Bytes)>, BrokerError>> {
        self.ask(|answer| Request::Job(id, answer))
    }

    fn jobs(
        &self,
        filter: JobFilter,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JobView>, BrokerError>> {
        self.ask(|answer| Request::Jobs(filter, after, limit, answer))
    }

    fn explain(&self, id: JobId) -> BoxFuture<'_, Result<Option<Explanation>, BrokerError>> {
        self.ask(|answer| Request::Explain(id, answer))
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, BrokerError>> {
        self.ask(Request::Stats)
    }

    fn events(
        &self,
        partition: Partition,
        after: Cursor,
        limit: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<LogEntry>, BrokerError>> {
        Box::pin(async move {
            let mut log_end = self.log_end.clone();
            let deadline = tokio::time::sleep(wait);
            tokio::pin!(deadline);
            loop {
                let end = *log_end.borrow_and_update();
                if end > after.0 && partition == Partition::WHOLE {
                    let entries = self.read_facts(after, limit).await?;
                    // Numbers may be skipped: a commit without facts takes one too.
                    if !entries.is_empty() {
                        return Ok(entries);
                    }
                }
                tokio::select! {
                    () = &mut deadline => return Ok(Vec::new()),
                    changed = log_end.changed() => if changed.is_err() {
                        return Err(self.gone());
                    },
                }
            }
        })
    }

    fn acknowledge(
        &self,
        reader: &str,
        partition: Partition,
        through: Cursor,
    ) -> BoxFuture<'_, Result<(), BrokerError>> {
        if partition != Partition::WHOLE {
            return Box::pin(std::future::ready(Ok(())));
        }
        let reader = reader.to_owned();
        self.ask(|answer| Request::Acknowledge(reader, through, answer))
    }
}
