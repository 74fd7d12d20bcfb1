//! The line to one partition: how callers ask its desk, and where the present comes from.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{Clock, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::answer::{Answer, Names};
use super::desk::Desk;
use super::leasing::{Ticket, releases};
use super::link::Link;
use super::request::{self, Operation};
use super::wire::micros;
use crate::broker::BrokerError;
use crate::machine::MachineConfig;
use crate::types::{LeaseRequest, LeasedJob};

/// What Redis says to those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// There is work.
    Work,
    /// There are facts.
    Facts,
    /// Something may have been missed.
    Anything,
    /// A lease that another partition carried may be asked here.
    Again,
}

/// Where the present comes from.
#[derive(Clone)]
pub(super) enum Present {
    /// From Redis; waits are measured here.
    OfRedis,
    /// From a clock that is given.
    Of(Arc<dyn Clock>),
}

/// Until when somebody waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Real(Instant),
    Given(Timestamp),
}

impl Present {
    pub(super) fn after(&self, wait: Duration) -> Until {
        match self {
            // Nobody waits longer than a month.
            Present::OfRedis => Until::Real(Instant::now() + wait.min(Duration::from_secs(30 * 86_400))),
            Present::Of(clock) => Until::Given(clock.now().after(wait)),
        }
    }

    pub(super) fn is_past(&self, until: Until) -> bool {
        match (self, until) {
            (Present::Of(clock), Until::Given(until)) => until <= clock.now(),
            (_, Until::Real(until)) => until <= Instant::now(),
            (Present::OfRedis, Until::Given(_)) => true,
        }
    }

    /// The present as a call says it; zero leaves it to Redis.
    pub(super) fn said(&self) -> i64 {
        match self {
            Present::OfRedis => 0,
            Present::Of(clock) => micros(clock.now()),
        }
    }
}

pub(super) enum Asked {
    Operation(Operation, oneshot::Sender<Result<Answer, BrokerError>>),
    Lease(LeaseRequest, Until, Arc<Ticket>),
    /// The head of an answer to a call that went beside the desk, how long that took, and whether it may have brought work.
    Heard(Bytes, Duration, bool),
    Close(oneshot::Sender<()>),
}

/// What all calls of a line say.
#[derive(Clone)]
pub(super) struct Terms {
    /// The partition's number, and what its keys begin with.
    pub(super) number: u16,
    pub(super) base: String,
    pub(super) process: u64,
    pub(super) machine: MachineConfig,
    pub(super) keep_log: Duration,
    pub(super) present: Present,
}

/// The line to one partition.
pub(super) struct Line {
    asked: mpsc::UnboundedSender<Asked>,
    say: mpsc::UnboundedSender<Word>,
    pub(super) names: Arc<Names>,
    log_end: watch::Receiver<u64>,
    confirmed: watch::Receiver<u64>,
    present: Present,
}

impl Line {
    /// Opens the line on the current runtime.
    pub(super) fn open(link: Arc<Link>, terms: Terms) -> Line {
        let (say, words) = mpsc::unbounded_channel();
        let (asked, receiver) = mpsc::unbounded_channel();
        let (log_end, log_end_receiver) = watch::channel(0);
        let (confirm, confirmed) = watch::channel(0);
        let names = Arc::new(Names::default());
        let present = terms.present.clone();
        let desk = Desk::new(link, terms, Arc::clone(&names), (log_end, confirm), say.clone());
        tokio::spawn(desk.serve(receiver, words));
        Line { asked, say, names, log_end: log_end_receiver, confirmed, present }
    }

    /// Asks one operation.
    pub(super) async fn ask(&self, operation: Operation) -> Result<Answer, BrokerError> {
        let (answer, answered) = oneshot::channel();
        if self.asked.send(Asked::Operation(operation, answer)).is_err() {
            return Err(BrokerError::Stopped);
        }
        answered.await.unwrap_or(Err(BrokerError::Stopped))
    }

    /// Where to tell of what Redis says unasked.
    pub(super) fn ear(&self) -> mpsc::UnboundedSender<Word> {
        self.say.clone()
    }

    /// Tells of a call that went beside the desk.
    pub(super) fn heard(&self, head: Bytes, took: Duration, brought: bool) {
        // Where nobody serves any more, nobody waits.
        let _ = self.asked.send(Asked::Heard(head, took, brought));
    }

    /// Asks for jobs, for as long as the request says.
    pub(super) fn lease(&self, request: LeaseRequest, ticket: Arc<Ticket>) {
        let until = self.present.after(request.wait);
        if let Err(refused) = self.asked.send(Asked::Lease(request, until, ticket))
            && let Asked::Lease(_, _, ticket) = refused.0
        {
            ticket.fail(BrokerError::Stopped);
        }
    }

    /// Gives back jobs that were leased and that nobody took.
    pub(super) fn give_back(&self, jobs: &[LeasedJob]) {
        if !jobs.is_empty() {
            let (answer, _) = oneshot::channel();
            // Where nobody serves any more, their leases end by themselves.
            let _ = self.asked.send(Asked::Operation(request::settle(&releases(jobs)), answer));
        }
    }

    /// The number of the last fact that is known here.
    pub(super) fn log_end(&self) -> watch::Receiver<u64> {
        self.log_end.clone()
    }

    /// The number up to which facts are known here to be confirmed: as durable as they must be.
    pub(super) fn confirmed(&self) -> u64 {
        *self.confirmed.borrow()
    }

    /// Ends the line when what is under way is answered.
    pub(super) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.asked.send(Asked::Close(answer)).is_ok() {
            let _ = answered.await;
        }
    }
}
