//! A lease that waits for its answer, and gives back what nobody takes.
//!
//! A worker that stops drops the future of its lease. The answer may be in it already: jobs that were started, which
//! nobody will handle. They are released as the future is dropped, so that none of them becomes uncertain.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::actor::Request;
use crate::broker::BrokerError;
use crate::types::{LeasedJob, Outcome, Settle, Signal};

/// What a lease answers.
type Leased = Result<Vec<LeasedJob>, BrokerError>;

/// A lease whose answer was not taken yet.
pub(super) struct Waiting<'a> {
    pub(super) answered: oneshot::Receiver<Leased>,
    pub(super) requests: &'a mpsc::Sender<Request>,
}

impl Future for Waiting<'_> {
    type Output = Result<Leased, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(context)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // From here on the other side sees that nobody waits.
        self.answered.close();
        if let Ok(Ok(jobs)) = self.answered.try_recv() {
            let release = |job: LeasedJob| Settle {
                lease: job.lease,
                outcome: Outcome::Release,
                signal: Signal::None,
                events: Vec::new(),
            };
            let (answer, _) = oneshot::channel();
            // A broker that is gone ends all leases by itself.
            let _ = self.requests.send(Request::Settle(jobs.into_iter().map(release).collect(), answer));
        }
    }
}
