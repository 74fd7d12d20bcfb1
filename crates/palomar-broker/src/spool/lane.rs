//! A lane: all that is to be queued in one partition of the shared broker, in the order in which it came.
//!
//! ```text
//!            while the broker answers and the spool of the lane is empty
//! enqueue ──────────────────────────────> numbered call ──────────────────> shared broker
//!     └───────> spool: its end ─ ─ ─ ─ ─ > numbered call, from its front ──────^
//!            from the first call that was not answered, until the spool is empty again
//! ```
//!
//! One call is under way at a time. A call that was not answered in time is in doubt: its jobs go to the spool together
//! with the doubt, and before anything else it is asked what became of them. So a job is queued once, and what came first
//! is queued first, whatever breaks and whenever.
//!
//! What always holds:
//! - while the spool of the lane holds anything, all that comes goes to its end;
//! - before a call goes out from the spool, the spool says durably which, and no other goes out until what became of it is
//!   durable too;
//! - nobody waits for a call that is in doubt: they are answered by the spool.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::Refused;
use super::batch::{Asked, Batch, MOST_BYTES, MOST_JOBS};
use super::envelope::{Doubt, id_of};
use super::remote::{CallId, Remote};
use super::standing::Standing;
use super::store::{Entry, Store};
use crate::broker::BrokerError;
use crate::types::{Enqueued, JobId, NewJob};

/// How long things are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// A caller waits for the shared broker for so long; then the spool answers.
    pub(super) not_answered: Duration,
    /// From the spool a call is tried for so long: nobody waits for it.
    pub(super) tried_for: Duration,
    /// The first pause after a step towards an empty spool that failed, and the longest.
    pub(super) pauses: [Duration; 2],
    /// What is not answered by then is asked after.
    pub(super) slow: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            not_answered: Duration::from_millis(600),
            tried_for: Duration::from_secs(6),
            pauses: [Duration::from_millis(100), Duration::from_secs(1)],
            slow: Duration::from_millis(250),
        }
    }
}

/// Turns that are left to others before a call goes out, after one that many waited for.
const TURNS_FOR_OTHERS: usize = 4;

/// What a lane is made of.
pub(super) struct Terms {
    pub(super) partition: u32,
    pub(super) remote: Arc<dyn Remote>,
    pub(super) store: Arc<Store>,
    pub(super) refused: Refused,
    pub(super) pace: Pace,
    /// Somebody asked to look whether the shared broker is there.
    pub(super) looking: Arc<AtomicBool>,
}

/// What came of a step towards an empty spool.
enum Step {
    /// A call was done, and answered so.
    Done(Doubt, Vec<Enqueued>),
    /// A call was not done and never will be.
    Undone(Doubt),
    /// What is in front can't be read.
    Unreadable(Vec<JobId>),
    /// There is nothing to hand in, and the shared broker answers.
    There,
    /// It failed; the call, where there is one, is in doubt.
    Failed(Option<Doubt>, BrokerError),
    /// The spool could not be read or written, and nothing went out.
    Unwritten(BrokerError),
}

/// Who serves a lane.
pub(super) struct Lane {
    terms: Terms,
    asked: mpsc::UnboundedReceiver<Asked>,
    standing: watch::Sender<Standing>,
    /// Taken, and for the next call.
    kept_back: Option<Asked>,
    call: CallId,
    waiting: VecDeque<Entry>,
    doubts: VecDeque<Doubt>,
    /// Before the next step, where one failed and none brought the spool on since.
    pause: Option<Duration>,
    answered: usize,
}

impl Lane {
    pub(super) fn new(
        terms: Terms,
        waiting: VecDeque<Entry>,
        doubts: VecDeque<Doubt>,
        asked: mpsc::UnboundedReceiver<Asked>,
        standing: watch::Sender<Standing>,
    ) -> Lane {
        let call = CallId { caller: terms.remote.caller(), number: 0 };
        Lane { terms, asked, standing, kept_back: None, call, waiting, doubts, pause: None, answered: 0 }
    }

    /// Serves until it is closed, or nobody is left to ask.
    pub(super) async fn serve(mut self) {
        self.show();
        let closing = loop {
            let ended = if self.is_clear() { self.straight().await } else { self.by_the_spool().await };
            if let Some(closing) = ended {
                break closing;
            }
        };
        if let Some(answer) = closing {
            if self.is_clear() {
                let Terms { remote, partition, pace, .. } = &self.terms;
                remote.forget(*partition, self.call.caller, pace.not_answered).await;
            }
            let _ = answer.send(());
        }
    }

    fn is_clear(&self) -> bool {
        let standing = self.standing.borrow();
        let is_there = standing.away.is_none() && standing.stuck.is_none();
        is_there && self.waiting.is_empty() && self.doubts.is_empty()
    }

    /// One round of calls to the shared broker; who closes the lane, where it is over.
    async fn straight(&mut self) -> Option<Option<oneshot::Sender<()>>> {
        let Some(first) = self.first().await else { return Some(None) };
        let mut batch = Batch::of(first);
        self.add_waiting(&mut batch);
        for _ in 1..if self.answered > 1 { TURNS_FOR_OTHERS } else { 1 } {
            // Whoever was just answered is likely to ask again.
            tokio::task::yield_now().await;
            self.add_waiting(&mut batch);
        }
        if !batch.jobs.is_empty() || batch.looks {
            self.call.number += 1;
            let Terms { remote, partition, pace, .. } = &self.terms;
            let answer = remote.hand_in(*partition, self.call, &batch.jobs, pace.not_answered).await;
            self.terms.looking.store(false, Relaxed);
            match answer {
                Ok(answers) => self.answered = batch.answer(answers),
                Err(BrokerError::Lost(why)) => {
                    tracing::warn!(%why, "the queues can't be reached: what comes waits in the spool");
                    self.pause = Some(pace.pauses[0]);
                    self.standing.send_modify(|standing| standing.away = Some(why));
                    return self.keep(batch, Some(self.call)).await;
                }
                Err(error) => return batch.refuse(&error).map(Some),
            }
        }
        batch.closing.map(Some)
    }

    /// Takes in what comes while the spool is handed over, until that is done; who closes the lane, where it is over.
    async fn by_the_spool(&mut self) -> Option<Option<oneshot::Sender<()>>> {
        let mut step = self.next_step();
        loop {
            tokio::select! {
                taken = &mut step => {
                    self.take(taken).await;
                    if self.is_clear() {
                        tracing::info!(partition = self.terms.partition, "the spool is handed over");
                        return None;
                    }
                    step = self.next_step();
                }
                first = self.first() => {
                    let Some(first) = first else { return Some(None) };
                    let mut batch = Batch::of(first);
                    self.add_waiting(&mut batch);
                    let closing = self.keep(batch, None).await;
                    if closing.is_some() {
                        return closing;
                    }
                }
            }
        }
    }

    /// What is asked next; none when nobody is left to ask. Cancelling it loses nothing.
    async fn first(&mut self) -> Option<Asked> {
        match self.kept_back.take() {
            Some(first) => Some(first),
            None => self.asked.recv().await,
        }
    }

    /// Adds what waits too, as far as one call or commit takes it.
    fn add_waiting(&mut self, batch: &mut Batch) {
        while batch.closing.is_none()
            && self.kept_back.is_none()
            && let Ok(next) = self.asked.try_recv()
        {
            if batch.has_room_for(&next) {
                batch.add(next);
            } else {
                self.kept_back = Some(next);
            }
        }
    }

    /// Puts requests into the spool and answers them.
    async fn keep(&mut self, batch: Batch, doubt: Option<CallId>) -> Option<Option<oneshot::Sender<()>>> {
        // Whoever looks sees the spool in use.
        self.terms.looking.store(false, Relaxed);
        let Batch { jobs, parts, answers, closing, .. } = batch;
        let doubt = doubt.map(|call| Doubt {
            partition: self.terms.partition,
            call,
            jobs: jobs.iter().map(|job| job.id.0.as_u128()).collect(),
        });
        match self.terms.store.put(&jobs, &parts, doubt.as_ref()).await {
            Ok(kept) => {
                self.waiting.extend(kept.entries);
                self.doubts.extend(doubt.filter(|_| kept.doubted));
                for (answer, kept) in answers.into_iter().zip(kept.answers) {
                    // Whoever asked may be gone: what they asked for is done all the same.
                    let _ = answer.send(kept);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
        self.show();
        closing.map(Some)
    }

    fn show(&self) {
        let oldest = self.waiting.front().map(|entry| entry.since);
        self.standing.send_if_modified(|standing| {
            let differs = standing.oldest != oldest;
            standing.oldest = oldest;
            differs
        });
    }

    /// What comes next on the way to an empty spool.
    fn next_step(&mut self) -> BoxFuture<'static, Step> {
        let Terms { remote, store, partition, pace, .. } = &self.terms;
        let (remote, store, partition) = (Arc::clone(remote), Arc::clone(store), *partition);
        let (tried_for, pause) = (pace.tried_for, self.pause);
        if let Some(doubt) = self.doubts.front().cloned() {
            return Box::pin(async move {
                rest(pause).await;
                match remote.outcome(doubt.partition, doubt.call, doubt.jobs.len(), tried_for).await {
                    Ok(Some(answers)) => Step::Done(doubt, answers),
                    Ok(None) => Step::Undone(doubt),
                    Err(error) => Step::Failed(None, error),
                }
            });
        }
        self.call.number += 1;
        let (call, page) = (self.call, self.page());
        Box::pin(async move {
            rest(pause).await;
            if page.is_empty() {
                return match remote.hand_in(partition, call, &[], tried_for).await {
                    Ok(_) => Step::There,
                    Err(error) => Step::Failed(None, error),
                };
            }
            let jobs = match store.read(&page).await {
                Ok(jobs) => jobs,
                Err(error) => return Step::Unwritten(error),
            };
            let unread = page.iter().zip(&jobs).filter(|(_, job)| job.is_none());
            let unread: Vec<JobId> = unread.map(|(entry, _)| entry.id).collect();
            if !unread.is_empty() {
                return Step::Unreadable(unread);
            }
            let jobs: Vec<NewJob> = jobs.into_iter().flatten().collect();
            let ids = page.iter().map(|entry| entry.id.0.as_u128()).collect();
            let doubt = Doubt { partition, call, jobs: ids };
            if let Err(error) = store.doubt(&doubt).await {
                return Step::Unwritten(error);
            }
            match remote.hand_in(partition, call, &jobs, tried_for).await {
                Ok(answers) => Step::Done(doubt, answers),
                Err(error) => Step::Failed(Some(doubt), error),
            }
        })
    }

    /// The front of the spool, as far as one call takes it.
    fn page(&self) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.bytes;
            bytes <= MOST_BYTES as u64 || bytes == entry.bytes
        };
        self.waiting.iter().take(MOST_JOBS / 2).take_while(fits).copied().collect()
    }

    async fn take(&mut self, step: Step) {
        let before = self.standing.borrow().clone();
        // Only what can't be reached is away: one that refuses is there, and so is one whose answer can't be written down
        // here. That a call was not done says nothing yet: the same may be refused again at once.
        let away = match &step {
            Step::Failed(_, BrokerError::Lost(why)) => Some(Arc::clone(why)),
            Step::Undone(_) | Step::Unreadable(_) | Step::Unwritten(_) => before.away.clone(),
            Step::Done(..) | Step::There | Step::Failed(..) => None,
        };
        let is_on = matches!(step, Step::Done(..) | Step::There);
        let taken = match step {
            Step::Done(doubt, answers) => {
                // Until all that follows from it is durable: where that fails, what became of it is asked again.
                self.keep_doubt(doubt.clone());
                self.conclude(&doubt, answers).await
            }
            Step::Undone(doubt) => self.settle(&doubt, &[]).await,
            Step::Unreadable(ids) => {
                self.set_aside(&ids);
                Ok(())
            }
            Step::There => Ok(()),
            Step::Failed(doubt, error) => {
                doubt.into_iter().for_each(|doubt| self.keep_doubt(doubt));
                Err(error)
            }
            Step::Unwritten(error) => Err(error),
        };
        let [first, longest] = self.terms.pace.pauses;
        self.pause = match &taken {
            Ok(()) if is_on => None,
            Ok(()) => self.pause,
            Err(_) => Some(self.pause.map_or(first, |pause| (pause * 2).min(longest))),
        };
        let stuck = match taken {
            Ok(()) if is_on => None,
            Ok(()) | Err(BrokerError::Lost(_)) => before.stuck.clone(),
            Err(BrokerError::Failed(why)) => Some(why),
            Err(BrokerError::Full) => Some("they have no room for more".into()),
            Err(other) => Some(other.to_string().into()),
        };
        let now = Standing { away, stuck, ..before.clone() };
        before.tell(&now);
        self.standing.send_if_modified(|standing| std::mem::replace(standing, now.clone()) != now);
        self.show();
    }

    fn keep_doubt(&mut self, doubt: Doubt) {
        if !self.doubts.contains(&doubt) {
            self.doubts.push_back(doubt);
        }
    }

    /// Jobs were handed in: they leave the spool. What was refused goes on as what stands for it, so that it ends where
    /// people see it.
    async fn conclude(&mut self, doubt: &Doubt, answers: Vec<Enqueued>) -> Result<(), BrokerError> {
        let called: HashSet<u128> = doubt.jobs.iter().copied().collect();
        let waits = self.waiting.iter().take_while(|entry| called.contains(&entry.id.0.as_u128()));
        let handed: Vec<Entry> = waits.copied().collect();
        for (id, answer) in doubt.jobs.iter().map(|id| id_of(*id)).zip(answers) {
            if answer != Enqueued::Accepted
                && let Some(entry) = handed.iter().find(|entry| entry.id == id)
            {
                self.refuse(entry, answer).await?;
            }
        }
        self.settle(doubt, &handed).await
    }

    async fn refuse(&mut self, entry: &Entry, answer: Enqueued) -> Result<(), BrokerError> {
        let Some(job) = self.terms.store.read(&[*entry]).await?.pop().flatten() else { return Ok(()) };
        if answer == (Enqueued::Duplicate { of: job.id }) {
            // It is queued, whoever brought it.
            return Ok(());
        }
        let Some(instead) = (self.terms.refused)(&job, answer) else {
            tracing::error!(job = %job.id, ?answer, "refused when it was handed over, and dropped");
            return Ok(());
        };
        tracing::warn!(job = %job.id, ?answer, "refused when it was handed over");
        let instead = NewJob { dedupe: Vec::new(), ..instead };
        self.waiting.extend(self.terms.store.put_instead(entry.id, &instead).await?);
        Ok(())
    }

    /// Ends a doubt; what was handed in leaves the spool first.
    async fn settle(&mut self, doubt: &Doubt, handed: &[Entry]) -> Result<(), BrokerError> {
        self.terms.store.remove(handed, Some(doubt.id())).await?;
        self.waiting.drain(..handed.len());
        self.doubts.retain(|known| known != doubt);
        Ok(())
    }

    fn set_aside(&mut self, ids: &[JobId]) {
        let store = &self.terms.store;
        self.waiting.retain(|entry| {
            let aside = ids.contains(&entry.id);
            if aside {
                store.set_aside(entry);
            }
            !aside
        });
    }
}

async fn rest(pause: Option<Duration>) {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
}
