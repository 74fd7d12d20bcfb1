//! What is in the spool, durably: jobs in their envelopes, and which of them went out in calls that are in doubt.
//!
//! An embedded broker keeps both, as jobs that nobody leases: it gives the durability, the reserve for a full disk, and a
//! memory of requests, so that one that is repeated while it waits here is known.
//!
//! What always holds:
//! - a job and the doubt about it become durable together, and the doubt goes last: what may have been queued is never
//!   handed in again before it is known that it was not;
//! - no more than `limit` bytes of envelopes are in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use palomar_model::{Clock, Timestamp};

use super::SpoolError;
use super::envelope::{self, Doubt, id_of};
use crate::broker::{Broker, BrokerError};
use crate::embedded::{EmbeddedBroker, EmbeddedConfig};
use crate::machine::MachineConfig;
use crate::types::{Control, Enqueued, JobFilter, JobId, JobState, JobView, NewJob, QueueName};

/// Envelopes are kept in memory up to so much; beyond it they are read from the disk.
const PAYLOAD_MEMORY: usize = 16 << 20;
/// Jobs that are looked at together when the spool is opened.
const PAGE: usize = 10_000;
/// Envelopes that are in memory together meanwhile: their lengths are kept.
const AT_ONCE: usize = 32;

/// A job that waits here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// What it is known by here.
    pub(super) id: JobId,
    pub(super) bytes: u64,
    pub(super) since: Timestamp,
}

/// The spool's store.
pub(super) struct Store {
    broker: EmbeddedBroker,
    clock: Arc<dyn Clock>,
    limit: u64,
    items: AtomicU64,
    bytes: AtomicU64,
    /// Something was refused for want of room, and nothing was taken in since.
    full: AtomicBool,
}

/// Where the disk has room for what is written.
#[derive(Clone, Copy, Debug)]
enum Room {
    /// Only where nothing is short of it: this may be refused.
    Free,
    /// In the reserve too: this ends what was accepted.
    Reserve,
}

/// What was found when the spool was opened, in the order of arrival.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entries: Vec<(QueueName, Entry)>,
    pub(super) doubts: Vec<Doubt>,
}

/// What became of requests that were put in.
pub(super) struct Kept {
    /// Of each request.
    pub(super) answers: Vec<Result<Vec<Enqueued>, BrokerError>>,
    /// What waits now.
    pub(super) entries: Vec<Entry>,
    /// Whether there is anything that the doubt is about.
    pub(super) doubted: bool,
}

fn doubts() -> QueueName {
    QueueName::new("spool", "doubts").unwrap_or_else(|_| unreachable!("it is a queue's name"))
}

impl Store {
    pub(super) async fn open(
        dir: &Path,
        limit: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<(Store, Found), SpoolError> {
        let config = EmbeddedConfig {
            machine: MachineConfig { keep_finished: 0, keep_dead: 0 },
            payload_memory: PAYLOAD_MEMORY,
            ..EmbeddedConfig::in_dir(dir)
        };
        let broker = EmbeddedBroker::open(config, Arc::clone(&clock))?;
        let full = AtomicBool::new(false);
        let store = Store { broker, clock, limit, items: 0.into(), bytes: 0.into(), full };
        let found = store.found().await?;
        let bytes = found.entries.iter().map(|(_, entry)| entry.bytes).sum();
        store.items.store(found.entries.len() as u64, Relaxed);
        store.bytes.store(bytes, Relaxed);
        Ok((store, found))
    }

    async fn found(&self) -> Result<Found, BrokerError> {
        let (mut found, mut after) = (Found::default(), 0);
        loop {
            let filter = JobFilter { states: vec![JobState::Queued], ..JobFilter::default() };
            let page = self.broker.jobs(filter, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.seq;
            let read = |view: JobView| async move {
                let content = self.broker.job(view.id).await;
                (view, content)
            };
            let mut contents = stream::iter(page).map(read).buffered(AT_ONCE);
            while let Some((view, content)) = contents.next().await {
                let Some((_, envelope)) = content? else {
                    tracing::error!(job = %view.id, "damaged, and left in the spool");
                    continue;
                };
                if view.queue == doubts() {
                    match Doubt::read(&envelope) {
                        Ok(doubt) => found.doubts.push(doubt),
                        Err(error) => return Err(BrokerError::Failed(error.to_string().into())),
                    }
                } else {
                    let entry = Entry { id: view.id, bytes: envelope.len() as u64, since: view.enqueued_at };
                    found.entries.push((view.queue, entry));
                }
            }
        }
    }

    /// Takes requests in, which are the parts of `jobs`, all durable together with the doubt about them.
    pub(super) async fn put(
        &self,
        jobs: &[NewJob],
        parts: &[usize],
        doubt: Option<&Doubt>,
    ) -> Result<Kept, BrokerError> {
        let (mut rows, mut places, mut rest) = (Vec::with_capacity(jobs.len()), Vec::new(), jobs);
        for part in parts {
            let (jobs, others) = rest.split_at_checked(*part).unwrap_or((rest, &[]));
            rest = others;
            let wrapped = jobs.iter().map(|job| row_of(job.id, job)).collect::<Result<Vec<_>, _>>()?;
            let admitted = self.admit(size_of(&wrapped));
            places.push(admitted.then_some(wrapped.len()));
            rows.extend(wrapped.into_iter().filter(|_| admitted));
        }
        let doubted = doubt.is_some() && !rows.is_empty();
        let (answered, entries) = match self.enqueue(rows, doubt.filter(|_| doubted), Room::Free).await {
            Ok(answered) => answered,
            Err(BrokerError::SpoolFull) => {
                let answers = vec![Err(BrokerError::SpoolFull); parts.len()];
                return Ok(Kept { answers, entries: Vec::new(), doubted: false });
            }
            Err(error) => return Err(error),
        };
        let mut answered = answered.into_iter();
        let of_part = |jobs: Option<usize>| match jobs {
            Some(jobs) => Ok(answered.by_ref().take(jobs).collect()),
            None => Err(BrokerError::SpoolFull),
        };
        Ok(Kept { answers: places.into_iter().map(of_part).collect(), entries, doubted })
    }

    /// Takes in a job that stands for one that is known here by the same id. It may exceed the limit, and be written on a
    /// full disk: it was accepted.
    pub(super) async fn put_instead(&self, of: JobId, job: &NewJob) -> Result<Vec<Entry>, BrokerError> {
        // Another id, the same each time: a crash repeats this.
        let id = id_of(!of.0.as_u128());
        let row = row_of(id, job)?;
        // What it stands for has the job's id, and no doubt that it was asked for before.
        let row = NewJob { dedupe: Vec::new(), ..row };
        self.bytes.fetch_add(row.payload.len() as u64, Relaxed);
        Ok(self.enqueue(vec![row], None, Room::Reserve).await?.1)
    }

    /// Notes that jobs go out in a call of which it is not known yet whether it will be done. A full disk does not stand in
    /// the way: where nothing goes out, no room appears.
    pub(super) async fn doubt(&self, doubt: &Doubt) -> Result<(), BrokerError> {
        self.enqueue(Vec::new(), Some(doubt), Room::Reserve).await.map(|_| ())
    }

    async fn enqueue(
        &self,
        rows: Vec<NewJob>,
        doubt: Option<&Doubt>,
        room: Room,
    ) -> Result<(Vec<Enqueued>, Vec<Entry>), BrokerError> {
        if rows.is_empty() && doubt.is_none() {
            return Ok((Vec::new(), Vec::new()));
        }
        let sizes: Vec<(JobId, u64)> = rows.iter().map(|row| (row.id, row.payload.len() as u64)).collect();
        let noted = doubt.map(|doubt| Ok(NewJob::new(doubt.id(), doubts(), doubt.write()?))).transpose()?;
        let rows = rows.into_iter().chain(noted).collect();
        let written = match room {
            Room::Free => self.broker.enqueue(rows),
            Room::Reserve => self.broker.note(rows),
        };
        let mut answered = match written.await {
            Ok(answered) => answered,
            Err(error) => {
                self.release(0, sizes.iter().map(|(_, size)| size).sum());
                if error != BrokerError::Full {
                    return Err(error);
                }
                self.full.store(true, Relaxed);
                return Err(BrokerError::SpoolFull);
            }
        };
        if answered.len() > sizes.len() && answered.last() != Some(&Enqueued::Accepted) {
            return Err(BrokerError::Failed("the spool: two calls are known by one number".into()));
        }
        answered.truncate(sizes.len());
        let (since, mut entries) = (self.clock.now(), Vec::new());
        for ((id, bytes), answer) in sizes.into_iter().zip(&answered) {
            if *answer == Enqueued::Accepted {
                entries.push(Entry { id, bytes, since });
                self.items.fetch_add(1, Relaxed);
            } else {
                self.release(0, bytes);
            }
        }
        Ok((answered, entries))
    }

    /// The jobs of entries; none in place of one that can't be read.
    pub(super) async fn read(&self, entries: &[Entry]) -> Result<Vec<Option<NewJob>>, BrokerError> {
        let contents = join_all(entries.iter().map(|entry| self.broker.job(entry.id))).await;
        let read = entries.iter().zip(contents).map(|(entry, content)| {
            let job = content?.and_then(|(_, envelope)| envelope::unwrap(&envelope).ok());
            if job.is_none() {
                tracing::error!(job = %entry.id, "it can't be read, and is left in the spool");
            }
            Ok(job)
        });
        read.collect()
    }

    /// One job that waits here.
    pub(super) async fn job(&self, id: JobId) -> Result<Option<(JobView, NewJob)>, BrokerError> {
        if self.items.load(Relaxed) == 0 {
            return Ok(None);
        }
        let waits = |view: &JobView| view.state == JobState::Queued && view.queue != doubts();
        let found = self.broker.job(id).await?.filter(|(view, _)| waits(view));
        Ok(found.and_then(|(view, envelope)| Some((view, envelope::unwrap(&envelope).ok()?))))
    }

    /// Removes what is known of jobs, then the doubt about them: an order that the store keeps.
    pub(super) async fn remove(&self, entries: &[Entry], doubt: Option<JobId>) -> Result<(), BrokerError> {
        let ids = entries.iter().map(|entry| entry.id).chain(doubt);
        let removed = join_all(ids.map(|id| self.broker.control(Control::Cancel { id }))).await;
        for answer in removed {
            // One that is not there any more is removed.
            let _ = answer?;
        }
        self.release(entries.len() as u64, entries.iter().map(|entry| entry.bytes).sum());
        Ok(())
    }

    /// What can't be read is counted no more.
    pub(super) fn set_aside(&self, entry: &Entry) {
        self.release(1, entry.bytes);
    }

    fn admit(&self, bytes: u64) -> bool {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let admitted = self.bytes.fetch_update(Relaxed, Relaxed, fits).is_ok();
        self.full.store(!admitted, Relaxed);
        admitted
    }

    fn release(&self, items: u64, bytes: u64) {
        self.items.fetch_sub(items, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
        if items > 0 {
            self.full.store(false, Relaxed);
        }
    }

    /// Jobs that wait, and their bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.items.load(Relaxed), self.bytes.load(Relaxed))
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.broker.failure()
    }

    #[cfg(test)]
    pub(super) async fn fill_disk(&self) -> Result<(), BrokerError> {
        self.broker.fill_disk().await
    }

    pub(super) async fn close(&self) -> Result<(), BrokerError> {
        self.broker.close().await
    }
}

/// A job as the store keeps it. It takes its place at the end of its queue, and is known by its requests.
fn row_of(id: JobId, job: &NewJob) -> Result<NewJob, BrokerError> {
    let dedupe = job.dedupe.clone();
    Ok(NewJob { dedupe, ..NewJob::new(id, job.queue.clone(), envelope::wrap(job)?) })
}

fn size_of(rows: &[NewJob]) -> u64 {
    rows.iter().map(|row| row.payload.len() as u64).sum()
}
