//! A lease that waits for its answer: one lease, asked of every partition, of one at a time.
//!
//! What always holds: a lease is answered once. What is leased for it after that (its worker stopped and dropped the
//! future, or a partition answered so late that another one was asked) is released, so that it waits again and does not
//! become uncertain.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::line::Word;
use crate::broker::BrokerError;
use crate::types::{LeasedJob, Outcome, Settle, Signal};

/// What a lease answers.
pub(super) type Leased = Result<Vec<LeasedJob>, BrokerError>;

/// While one partition is asked the others are not, but for no longer than this.
pub(super) const CARRIED_AT_MOST: Duration = Duration::from_secs(1);

/// A lease as the partitions share it.
#[derive(Debug)]
pub(super) struct Ticket(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Whom to answer, until it is answered.
    answer: Option<oneshot::Sender<Leased>>,
    /// The partition that is asked, and since when.
    carried: Option<(u16, Instant)>,
    /// Partitions that have not given up.
    left: usize,
    /// Partitions that would have asked meanwhile.
    passed_over: Vec<(u16, mpsc::UnboundedSender<Word>)>,
}

impl Ticket {
    /// A lease that so many partitions are asked for.
    pub(super) fn new(partitions: usize, answer: oneshot::Sender<Leased>) -> Ticket {
        let passed_over = Vec::new();
        Ticket(Mutex::new(State { answer: Some(answer), carried: None, left: partitions, passed_over }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_over(&self) -> bool {
        self.state().answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Whether a partition may ask now; if not, it is told when it may.
    pub(super) fn take(&self, partition: u16, say: &mpsc::UnboundedSender<Word>) -> bool {
        let mut state = self.state();
        if state.carried.is_some_and(|(_, since)| since.elapsed() < CARRIED_AT_MOST) {
            if !state.passed_over.iter().any(|(known, _)| *known == partition) {
                state.passed_over.push((partition, say.clone()));
            }
            return false;
        }
        state.carried = Some((partition, Instant::now()));
        true
    }

    /// A partition has found nothing so far: the others may ask.
    pub(super) fn put_back(&self, partition: u16) {
        let mut state = self.state();
        if state.carried.is_some_and(|(carrier, _)| carrier == partition) {
            state.carried = None;
            for (_, say) in state.passed_over.drain(..) {
                // Where nobody serves any more, nobody asks.
                let _ = say.send(Word::Again);
            }
        }
    }

    /// Answers with jobs, or gives them back where nobody waits any more.
    pub(super) fn answer(&self, jobs: Vec<LeasedJob>) -> Result<(), Vec<LeasedJob>> {
        match self.state().answer.take() {
            Some(answer) => answer.send(Ok(jobs)).map_err(Result::unwrap_or_default),
            None => Err(jobs),
        }
    }

    /// A partition has nothing, and the wait is over; the last one answers.
    pub(super) fn give_up(&self) {
        self.leave(Ok(Vec::new()));
    }

    /// A partition can't be asked; the last one answers.
    pub(super) fn fail(&self, error: BrokerError) {
        self.leave(Err(error));
    }

    fn leave(&self, last: Leased) {
        let mut state = self.state();
        state.left = state.left.saturating_sub(1);
        if state.left == 0
            && let Some(answer) = state.answer.take()
        {
            // Whoever asked may be gone.
            let _ = answer.send(last);
        }
    }
}

/// A lease whose answer was not taken yet. A worker that stops drops it; `give_back` gets what is in it already.
pub(super) struct Waiting<G: FnMut(Vec<LeasedJob>)> {
    pub(super) answered: oneshot::Receiver<Leased>,
    pub(super) give_back: G,
}

impl<G: FnMut(Vec<LeasedJob>) + Unpin> Future for Waiting<G> {
    type Output = Result<Leased, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(context)
    }
}

impl<G: FnMut(Vec<LeasedJob>)> Drop for Waiting<G> {
    fn drop(&mut self) {
        // From here on the other side sees that nobody waits.
        self.answered.close();
        if let Ok(Ok(jobs)) = self.answered.try_recv() {
            (self.give_back)(jobs);
        }
    }
}

/// Settles that give back jobs with which nothing was done.
pub(super) fn releases(jobs: &[LeasedJob]) -> Vec<Settle> {
    let release = |job: &LeasedJob| Settle {
        lease: job.lease,
        outcome: Outcome::Release,
        signal: Signal::None,
        events: Vec::new(),
    };
    jobs.iter().map(release).collect()
}
