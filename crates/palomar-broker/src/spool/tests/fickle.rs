//! A shared broker that may lose calls, before they are done or after, and do them late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::broker::{Broker, BrokerError};
use crate::spool::{CallId, Remote};
use crate::types::*;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    /// It is done and answered.
    Good,
    /// It is lost on its way.
    LostBefore,
    /// It is done, and its answer is lost.
    LostAfter,
    /// Nobody is told, and it is done later.
    Late,
    /// There is no memory left.
    NoRoom,
}

/// The number of a call, and its answer; none of an empty one.
type Answered = (u64, Option<Vec<Enqueued>>);

/// How jobs came to be queued: their numbers, queue by queue in order; requests and ids that are known for ever.
#[derive(Default)]
struct State {
    queued: Vec<(QueueName, u128)>,
    known: HashMap<u128, (u64, JobId)>,
    /// Of each caller the last call, and what was answered.
    callers: HashMap<(u32, u64), Answered>,
    late: Vec<(u32, CallId, Option<Vec<NewJob>>)>,
    calls: u64,
}

/// What all processes share.
pub(super) struct Sea {
    state: Mutex<State>,
    luck: Box<dyn Fn(u64) -> Luck + Send + Sync>,
    callers: AtomicU64,
}

impl Sea {
    /// `luck` says what happens to the call of a number.
    pub(super) fn new(luck: impl Fn(u64) -> Luck + Send + Sync + 'static) -> Sea {
        Sea { state: Mutex::default(), luck: Box::new(luck), callers: 1.into() }
    }

    /// The numbers of the jobs that are queued, in order.
    pub(super) fn queued(&self, queue: &QueueName) -> Vec<u128> {
        let state = self.state.lock().expect("no panic");
        state.queued.iter().filter(|(name, _)| name == queue).map(|(_, n)| *n).collect()
    }

    pub(super) fn calls(&self) -> u64 {
        self.state.lock().expect("no panic").calls
    }

    /// Does late calls.
    pub(super) fn settle_down(&self) {
        let mut state = self.state.lock().expect("no panic");
        for (partition, call, jobs) in std::mem::take(&mut state.late) {
            // Nobody hears what it answers.
            let _ = state.answer(partition, call, jobs.as_deref());
        }
    }
}

impl State {
    fn enqueue(&mut self, job: &NewJob) -> Enqueued {
        let known = job.dedupe.iter().find_map(|request| {
            let (fingerprint, of) = self.known.get(&request.id)?;
            Some((*fingerprint == request.fingerprint, *of))
        });
        let n = job.id.0.as_u128();
        match known {
            Some((true, of)) => return Enqueued::Duplicate { of },
            Some((false, of)) => return Enqueued::Conflict { of },
            None => {}
        }
        // It forgets jobs at once: a second coming is taken in again.
        self.queued.push((job.queue.clone(), n));
        for request in &job.dedupe {
            self.known.insert(request.id, (request.fingerprint, job.id));
        }
        Enqueued::Accepted
    }

    /// As the library does: a call that comes again is answered as it was, one that came too late is refused.
    fn answer(
        &mut self,
        partition: u32,
        call: CallId,
        jobs: Option<&[NewJob]>,
    ) -> Result<Option<Vec<Enqueued>>, BrokerError> {
        match self.callers.get(&(partition, call.caller)) {
            Some((last, answer)) if *last == call.number => return Ok(answer.clone()),
            Some((last, _)) if *last > call.number => return Err(BrokerError::Failed("OLDCALL".into())),
            _ => {}
        }
        let answer: Option<Vec<Enqueued>> =
            jobs.map(|jobs| jobs.iter().map(|job| self.enqueue(job)).collect());
        self.callers.insert((partition, call.caller), (call.number, answer.clone()));
        Ok(answer)
    }
}

/// A process' way to what is shared.
pub(super) struct Node {
    sea: Arc<Sea>,
    caller: u64,
    pub(super) cut: AtomicBool,
}

fn lost<T>() -> Result<T, BrokerError> {
    Err(BrokerError::Lost("it is away".into()))
}

impl Node {
    pub(super) fn new(sea: Arc<Sea>) -> Node {
        let caller = sea.callers.fetch_add(1, Relaxed);
        Node { sea, caller, cut: false.into() }
    }

    async fn call(
        &self,
        partition: u32,
        call: CallId,
        jobs: Option<&[NewJob]>,
    ) -> Result<Option<Vec<Enqueued>>, BrokerError> {
        tokio::task::yield_now().await;
        if self.cut.load(Relaxed) {
            return lost();
        }
        let answer = {
            let mut state = self.sea.state.lock().expect("no panic");
            state.calls += 1;
            match (self.sea.luck)(state.calls) {
                Luck::Good => state.answer(partition, call, jobs),
                Luck::LostBefore => lost(),
                Luck::LostAfter => state.answer(partition, call, jobs).and_then(|_| lost()),
                Luck::Late => {
                    state.late.push((partition, call, jobs.map(<[NewJob]>::to_vec)));
                    lost()
                }
                Luck::NoRoom if jobs.is_some() => Err(BrokerError::Full),
                Luck::NoRoom => state.answer(partition, call, jobs),
            }
        };
        tokio::task::yield_now().await;
        if self.cut.load(Relaxed) { lost() } else { answer }
    }
}

impl Remote for Node {
    fn caller(&self) -> u64 {
        self.caller
    }

    fn fits(&self, _: &[NewJob]) -> Result<(), BrokerError> {
        Ok(())
    }

    fn hand_in<'a>(
        &'a self,
        partition: u32,
        call: CallId,
        jobs: &'a [NewJob],
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, BrokerError>> {
        let brought = (!jobs.is_empty()).then_some(jobs);
        Box::pin(async move { Ok(self.call(partition, call, brought).await?.unwrap_or_default()) })
    }

    fn outcome(
        &self,
        partition: u32,
        call: CallId,
        _: usize,
        _: Duration,
    ) -> BoxFuture<'_, Result<Option<Vec<Enqueued>>, BrokerError>> {
        Box::pin(self.call(partition, call, None))
    }

    fn forget(&self, partition: u32, caller: u64, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.sea.state.lock().expect("no panic").callers.remove(&(partition, caller));
        })
    }
}

/// What is passed on is not looked at here: it is never answered, but for `explain`.
fn silent<'a, T: 'a>() -> BoxFuture<'a, Result<T, BrokerError>> {
    Box::pin(std::future::pending())
}

impl Broker for Node {
    fn enqueue(&self, _: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<Enqueued>, BrokerError>> {
        silent()
    }
    fn lease(&self, _: LeaseRequest) -> BoxFuture<'_, Result<Vec<LeasedJob>, BrokerError>> {
        silent()
    }
    fn start(
        &self,
        _: Vec<LeaseRef>,
    ) -> BoxFuture<'_, Result<Vec<Result<Started, LeaseError>>, BrokerError>> {
        silent()
    }
    fn renew(
        &self,
        _: Vec<LeaseRef>,
        _: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        silent()
    }
    fn settle(&self, _: Vec<Settle>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseError>>, BrokerError>> {
        silent()
    }
    fn evidence(&self, _: Vec<Evidence>) -> BoxFuture<'_, Result<Vec<EvidenceEffect>, BrokerError>> {
        silent()
    }
    fn log(&self, _: Vec<EventBody>) -> BoxFuture<'_, Result<Cursor, BrokerError>> {
        silent()
    }
    fn control(&self, _: Control) -> BoxFuture<'_, Result<Result<Controlled, ControlError>, BrokerError>> {
        silent()
    }
    fn job(&self, _: JobId) -> BoxFuture<'_, Result<Option<(JobView, Bytes)>, BrokerError>> {
        silent()
    }
    fn jobs(&self, _: JobFilter, _: u64, _: usize) -> BoxFuture<'_, Result<Vec<JobView>, BrokerError>> {
        silent()
    }
    fn explain(&self, _: JobId) -> BoxFuture<'_, Result<Option<Explanation>, BrokerError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn stats(&self) -> BoxFuture<'_, Result<Stats, BrokerError>> {
        silent()
    }
    fn partitions(&self) -> u32 {
        2
    }
    fn partition_of(&self, queue: &QueueName) -> Partition {
        Partition(u32::from(queue.as_str().ends_with(['1', '3'])))
    }
    fn events(
        &self,
        _: Partition,
        _: Cursor,
        _: usize,
        _: Duration,
    ) -> BoxFuture<'_, Result<Vec<LogEntry>, BrokerError>> {
        silent()
    }
    fn acknowledge(&self, _: &str, _: Partition, _: Cursor) -> BoxFuture<'_, Result<(), BrokerError>> {
        silent()
    }
}
