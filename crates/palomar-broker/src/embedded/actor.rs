//! The thread that owns machine and store: take all that waits, apply it, one commit, one flush, then answer all.
//!
//! Group commit makes a flush cheap: while one is under way, requests gather, and the next one covers them all. A
//! lease that finds nothing is parked here and answered in the very batch that brings work, so from enqueue to
//! dispatch there is one flush and no polling.
//!
//! Invariants: no answer leaves before the flush that covers it; what could not be flushed is never answered, and
//! ends the thread (the machine in memory is then ahead of the disk, and must not be asked again).

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{Clock, Timestamp};
use tokio::sync::{oneshot, watch};

use super::meters::Meters;
use super::payloads::{Payload, Payloads};
use super::space::Space;
use super::store::{Store, StoreError};
use crate::broker::BrokerError;
use crate::machine::{Leasing, Machine};
use crate::types::{
    Control, ControlError, Controlled, Cursor, Enqueued, EventBody, Evidence, EvidenceEffect, Explanation,
    JobFilter, JobId, JobView, LeaseError, LeaseRef, LeaseRequest, LeasedJob, NewJob, Outcome, Settle,
    Signal, Started, Stats,
};

/// Requests that one commit covers at most, so that the first of them is not kept waiting.
const MOST_REQUESTS: usize = 1024;
/// Turns of the processor without a request after which a batch waits no longer for more.
const TURNS_FOR_OTHERS: usize = 40;
/// So few answers in the last commit mean one caller, and perhaps the worker whom it feeds: nobody else will come.
const ALONE: usize = 2;
/// How often the room on the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, BrokerError>>;

/// What the thread is asked.
pub(super) enum Request {
    Enqueue(Vec<NewJob>, Answer<Vec<Enqueued>>),
    /// To queue what belongs to jobs that were accepted: it may use the reserve, as settling does.
    Note(Vec<NewJob>, Answer<Vec<Enqueued>>),
    Lease(LeaseRequest, Answer<Vec<LeasedJob>>),
    Start(Vec<LeaseRef>, Answer<Vec<Result<Started, LeaseError>>>),
    Renew(Vec<LeaseRef>, Duration, Answer<Vec<Result<(), LeaseError>>>),
    Settle(Vec<Settle>, Answer<Vec<Result<(), LeaseError>>>),
    Evidence(Vec<Evidence>, Answer<Vec<EvidenceEffect>>),
    Log(Vec<EventBody>, Answer<Cursor>),
    Control(Control, Answer<Result<Controlled, ControlError>>),
    Job(JobId, Answer<Option<(JobView, Bytes)>>),
    Jobs(JobFilter, u64, usize, Answer<Vec<JobView>>),
    Explain(JobId, Answer<Option<Explanation>>),
    Stats(Answer<Stats>),
    Acknowledge(String, Cursor, Answer<()>),
    /// To take the disk for full, as long as the clock stands still.
    #[cfg(test)]
    FillDisk(Answer<()>),
    Close(Answer<()>),
}

struct Parked {
    request: LeaseRequest,
    answer: Answer<Vec<LeasedJob>>,
    until: Timestamp,
}

/// An answer that waits for the flush.
enum Reply {
    Done(Box<dyn FnOnce(Result<(), BrokerError>) + Send>),
    Leased(Vec<LeasedJob>, Answer<Vec<LeasedJob>>),
    Logged(Answer<Cursor>),
}

/// The thread's state.
pub(super) struct Actor {
    pub(super) machine: Machine,
    pub(super) store: Store,
    pub(super) space: Space,
    pub(super) payloads: Payloads,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) meters: Arc<Meters>,
    pub(super) log_end: watch::Sender<u64>,
    pub(super) failure: Arc<OnceLock<Arc<str>>>,
    /// How far each reader of the log is; none where it has not said yet.
    pub(super) readers: HashMap<String, Option<Cursor>>,
    parked: Vec<Parked>,
    replies: Vec<Reply>,
    /// Whoever closes the broker.
    closing: Option<Answer<()>>,
    /// What came after that: dropped when it is known why nothing of it was done.
    unasked: Vec<Request>,
    /// Answers that the last commit released.
    answered: usize,
    looked_at: Timestamp,
}

/// About what the rows of jobs take.
fn size_of_rows(jobs: &[NewJob]) -> u64 {
    jobs.iter().map(|job| job.payload.len() as u64 + 160).sum()
}

/// Sends the answer when the flush is through.
fn later<T: Send + 'static>(value: T, answer: Answer<T>) -> Reply {
    Reply::Done(Box::new(move |flushed| {
        // Whoever asked may be gone: what they asked for is done all the same.
        let _ = answer.send(flushed.map(|()| value));
    }))
}

impl Actor {
    #[expect(clippy::too_many_arguments, reason = "the parts of one thread, put together in one place")]
    pub(super) fn new(
        machine: Machine,
        store: Store,
        space: Space,
        payloads: Payloads,
        clock: Arc<dyn Clock>,
        meters: Arc<Meters>,
        log_end: watch::Sender<u64>,
        failure: Arc<OnceLock<Arc<str>>>,
        readers: HashMap<String, Option<Cursor>>,
    ) -> Actor {
        let looked_at = clock.now();
        Actor {
            machine,
            store,
            space,
            payloads,
            clock,
            meters,
            log_end,
            failure,
            readers,
            parked: Vec::new(),
            replies: Vec::new(),
            closing: None,
            unasked: Vec::new(),
            answered: 0,
            looked_at,
        }
    }

    /// Serves until the broker is closed or fails.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        let ended = self.serve(requests).map_err(|error| {
            tracing::error!(%error, "the store failed: this process accepts nothing more");
            let why: Arc<str> = error.to_string().into();
            // Before any answer is dropped: whoever sees that looks here for the reason.
            let _ = self.failure.set(Arc::clone(&why));
            BrokerError::Failed(why)
        });
        let error = ended.clone().err().unwrap_or(BrokerError::Stopped);
        for reply in self.replies.drain(..) {
            refuse(reply, &error);
        }
        for parked in self.parked.drain(..) {
            let _ = parked.answer.send(Err(error.clone()));
        }
        // The files are closed before whoever closed the broker hears of it.
        let closing = self.closing.take();
        drop(self);
        if let Some(answer) = closing {
            let _ = answer.send(ended);
        }
    }

    fn serve(&mut self, requests: &Receiver<Request>) -> Result<(), StoreError> {
        // What recovery changed is made durable before anything is asked.
        self.flush()?;
        loop {
            let first = match requests.recv_timeout(self.patience()) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            };
            let mut batch = self.gather(first, requests).into_iter();
            let now = self.clock.now();
            self.machine.tick(now);
            while let Some(request) = batch.next() {
                if let Request::Close(answer) = request {
                    self.closing = Some(answer);
                    self.unasked.extend(batch);
                    self.flush()?;
                    return self.close();
                }
                self.apply(request, now);
            }
            self.serve_parked(now);
            self.flush()?;
            if self.store.should_fold(self.machine.gone()) {
                self.fold()?;
            }
            if now.since(self.looked_at) >= LOOK_EVERY || now < self.looked_at {
                self.looked_at = now;
                self.look()?;
            }
        }
    }

    /// The requests of the next commit: the first and all that come with it.
    ///
    /// Callers who were just answered are likely to ask again at once, one after the other as they wake up. Were the
    /// first of them to get a commit of its own, the others would wait for a second one, and two halves would take
    /// turns for ever: a few turns of the processor are given up until all are here, and none where a caller is alone.
    fn gather(&self, first: Option<Request>, requests: &Receiver<Request>) -> Vec<Request> {
        let mut batch: Vec<Request> = first.into_iter().collect();
        let mut turns = 0;
        loop {
            match requests.try_recv() {
                Ok(request) => {
                    batch.push(request);
                    turns = 0;
                }
                Err(_) if batch.is_empty() || self.answered <= ALONE || turns >= TURNS_FOR_OTHERS => break,
                Err(_) => {
                    turns += 1;
                    std::thread::yield_now();
                }
            }
            if batch.len() >= MOST_REQUESTS {
                break;
            }
        }
        batch
    }

    /// How long to wait for a request: until something is due by itself.
    fn patience(&self) -> Duration {
        let now = self.clock.now();
        let due =
            self.machine.next_tick().into_iter().chain(self.parked.iter().map(|parked| parked.until)).min();
        let until_due = due.map_or(LOOK_EVERY, |due| due.since(now));
        until_due.min(LOOK_EVERY)
    }

    fn apply(&mut self, request: Request, now: Timestamp) {
        self.meters.operation();
        let machine = &mut self.machine;
        let reply = match request {
            Request::Enqueue(jobs, answer)
                if !self.space.admits(size_of_rows(&jobs), || self.store.spare_bytes().unwrap_or(0)) =>
            {
                self.meters.refused();
                let _ = answer.send(Err(BrokerError::Full));
                drop(jobs);
                return;
            }
            Request::Enqueue(jobs, answer) | Request::Note(jobs, answer) => {
                later(machine.enqueue(jobs, now), answer)
            }
            Request::Lease(request, answer) => {
                let until = now.after(request.wait);
                self.parked.push(Parked { request, answer, until });
                return;
            }
            Request::Start(leases, answer) => {
                later(leases.into_iter().map(|lease| machine.start(lease, now)).collect(), answer)
            }
            Request::Renew(leases, by, answer) => {
                later(leases.into_iter().map(|lease| machine.renew(lease, by, now)).collect(), answer)
            }
            Request::Settle(settles, answer) => {
                later(settles.into_iter().map(|settle| machine.settle(settle, now)).collect(), answer)
            }
            Request::Evidence(evidence, answer) => {
                later(evidence.into_iter().map(|evidence| machine.evidence(evidence, now)).collect(), answer)
            }
            Request::Log(events, answer) => {
                machine.log(events, now);
                Reply::Logged(answer)
            }
            Request::Control(control, answer) => {
                let dates = |seq| self.payloads.enqueued_at(&self.store, seq);
                later(machine.control(control, now, &dates), answer)
            }
            Request::Job(id, answer) => later(self.job(id), answer),
            Request::Jobs(filter, after, limit, answer) => {
                let dates = |seq| self.payloads.enqueued_at(&self.store, seq);
                let mut jobs = machine.jobs(&filter, after, limit.min(10_000), &dates);
                for job in &mut jobs {
                    self.date(job);
                }
                later(jobs, answer)
            }
            Request::Explain(id, answer) => later(machine.explain(id), answer),
            Request::Stats(answer) => {
                let mut stats = machine.stats();
                stats.log_ends = vec![Cursor(self.store.log_end())];
                later(stats, answer)
            }
            Request::Acknowledge(reader, through, answer) => {
                self.readers.insert(reader, Some(through));
                later((), answer)
            }
            #[cfg(test)]
            Request::FillDisk(answer) => {
                self.space.fill();
                later((), answer)
            }
            // Taken care of by the loop.
            Request::Close(answer) => later((), answer),
        };
        self.replies.push(reply);
    }

    /// Gives parked leases what there is now.
    fn serve_parked(&mut self, now: Timestamp) {
        let mut parked = std::mem::take(&mut self.parked);
        parked.retain_mut(|waiting| {
            if waiting.answer.is_closed() {
                return false;
            }
            let LeaseRequest { pool, max, lease, start, .. } = &waiting.request;
            let given = self.machine.lease(pool, *max, *lease, *start, now);
            let jobs: Vec<LeasedJob> =
                given.into_iter().filter_map(|leasing| self.leased(leasing, now)).collect();
            if jobs.is_empty() && waiting.until > now {
                return true;
            }
            // The sender is moved out; a closed one takes its place and is dropped with the entry.
            let answer = std::mem::replace(&mut waiting.answer, oneshot::channel().0);
            self.replies.push(Reply::Leased(jobs, answer));
            false
        });
        self.parked.append(&mut parked);
    }

    /// A lease with its payload; a job whose row is damaged becomes a dead letter that says so.
    fn leased(&mut self, leasing: Leasing, now: Timestamp) -> Option<LeasedJob> {
        let payload = match self.accepted(leasing.seq) {
            Some(row) => Ok(Payload { bytes: row.payload.clone(), enqueued_at: row.spec.enqueued_at }),
            None => {
                let machine = &self.machine;
                self.payloads.take(&self.store, leasing.seq, |id, seq| machine.may_start(id, seq))
            }
        };
        match payload {
            Ok(payload) => Some(LeasedJob {
                lease: leasing.lease,
                queue: leasing.queue,
                group: leasing.group,
                priority: leasing.priority,
                attempt: leasing.lease.token,
                tries: leasing.tries,
                started: leasing.started,
                enqueued_at: payload.enqueued_at,
                until: leasing.until,
                payload: payload.bytes,
            }),
            Err(why) => {
                tracing::error!(job = %leasing.lease.id, %why, "a damaged job was set aside");
                let outcome = Outcome::Dead { reason: why.into() };
                let settle =
                    Settle { lease: leasing.lease, outcome, signal: Signal::None, events: Vec::new() };
                // It was leased a moment ago, under this token.
                let _ = self.machine.settle(settle, now);
                None
            }
        }
    }

    /// Makes the batch durable, then answers it. Afterwards nothing waits to be made durable: a fold relies on it.
    fn flush(&mut self) -> Result<(), StoreError> {
        loop {
            self.commit()?;
            let unclaimed = self.answer();
            if unclaimed.is_empty() {
                return Ok(());
            }
            let now = self.clock.now();
            self.take_back(unclaimed, now);
            // Others may wait for just these jobs.
            self.serve_parked(now);
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.machine.has_changes() {
            let changes = self.machine.take_changes();
            let begun = self.clock.now();
            let (clock, mut written) = (Arc::clone(&self.clock), begun);
            self.reserved(|store| {
                written = store.commit(&changes, begun, &*clock)?;
                Ok(())
            })?;
            let now = clock.now();
            self.machine.flushed(now);
            let changed = changes.log.len() + changes.rows.len();
            self.meters.commit(now.since(begun), now.since(written), changed);
            for row in changes.rows {
                self.payloads.accepted(row, now);
            }
            self.log_end.send_replace(self.store.log_end());
        }
        Ok(())
    }

    /// Answers what is durable; gives back the jobs whose lease nobody waits for any more.
    fn answer(&mut self) -> Vec<LeasedJob> {
        self.answered = self.replies.len();
        let mut unclaimed = Vec::new();
        for reply in self.replies.drain(..) {
            match reply {
                Reply::Done(send) => send(Ok(())),
                Reply::Logged(answer) => {
                    let _ = answer.send(Ok(Cursor(self.store.log_end())));
                }
                Reply::Leased(jobs, answer) => {
                    if let Err(Ok(jobs)) = answer.send(Ok(jobs)) {
                        unclaimed.extend(jobs);
                    }
                }
            }
        }
        unclaimed
    }

    /// Jobs that were leased by somebody who was gone before the answer: nothing was done with them.
    fn take_back(&mut self, jobs: Vec<LeasedJob>, now: Timestamp) {
        for job in jobs {
            let settle = Settle {
                lease: job.lease,
                outcome: Outcome::Release,
                signal: Signal::None,
                events: Vec::new(),
            };
            // Stale only where it was cancelled meanwhile.
            let _ = self.machine.settle(settle, now);
        }
    }
}

fn refuse(reply: Reply, error: &BrokerError) {
    match reply {
        Reply::Done(send) => send(Err(error.clone())),
        Reply::Leased(_, answer) => {
            let _ = answer.send(Err(error.clone()));
        }
        Reply::Logged(answer) => {
            let _ = answer.send(Err(error.clone()));
        }
    }
}
