//! The desk of one partition: what callers ask is gathered and goes out as calls, a few of them under way at once.
//!
//! ```text
//! callers ──> asked ──> [ gather ] ──> call: operations, then leases ──> Redis ──> answers
//!                          └── leases that found nothing wait here ──┘
//! ```
//!
//! While calls are under way, what is asked gathers, and the next call carries it all: settles and the next lease
//! travel together, and jobs that several callers bring become one operation (see `together`). A second call goes beside
//! one that is under way only with enough to do. A lease that found nothing waits here, and goes again with each call of
//! this process that may have brought work, when Redis says that another process did, and when the library said that
//! something will be due.
//!
//! What always holds:
//! - a call that changes something carries one of a few callers' ids and a number; a caller has one call under way;
//! - calls go out on one connection in the order in which they were put together;
//! - a lease is part of one call at a time, in whichever partition (see `leasing`); what it brought when nobody waits for
//!   it any more is given back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::answer::{self, Answer, Names};
use super::call::{Call, caller};
use super::leasing::{CARRIED_AT_MOST, Ticket, releases};
use super::line::{Asked, Present, Terms, Until, Word};
use super::link::{Link, slot_of};
use super::request::{self, Nature, Operation};
use super::together;
use super::wire::{FOREVER, Reader, span};
use crate::broker::BrokerError;
use crate::types::{LeaseRef, LeaseRequest, Limits, Outcome, Settle, Signal};

/// Calls that are under way at once.
const CALLS: usize = 2;
/// While a call is under way, the next one goes beside it with so many jobs that it brings or settles; with fewer it waits
/// for that call's answer, and carries what gathers until then. Redis does one after the other anyway, and what a call costs
/// beside its jobs is as much as several jobs.
const BESIDE: usize = 16;
/// Jobs that one call brings or settles at most, but for one operation that is larger by itself.
const MOST_WEIGHT: usize = 1024;
/// Turns that are left to others before a call is put together, after several were answered at once.
const TURNS_FOR_OTHERS: usize = 4;
/// A lease that waits asks again after this time whatever it was told, in case a word was lost.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// An attempt that its worker learns of later than this after it began counts in its windows from then on, since no call
/// can begin before. What is less is what the windows' margin is for.
const LATE_ANSWER: Duration = Duration::from_millis(5);

struct Pending {
    operation: Operation,
    answer: oneshot::Sender<Result<Answer, BrokerError>>,
}

struct Parked {
    request: LeaseRequest,
    until: Until,
    ticket: Arc<Ticket>,
    /// The stir that it was asked after.
    asked: Option<u64>,
}

/// A call that is under way.
struct Sent {
    caller: Caller,
    at: Instant,
    operations: Vec<Pending>,
    leases: Vec<Parked>,
}

/// One who has a call under way at a time; the library remembers the last answer to each.
struct Caller {
    id: [u8; 8],
    number: u64,
}

/// Who serves the line.
pub(super) struct Desk {
    link: Arc<Link>,
    terms: Terms,
    slot: u16,
    say: mpsc::UnboundedSender<Word>,
    limits: Vec<u8>,
    callers: Vec<Caller>,
    names: Arc<Names>,
    log_end: watch::Sender<u64>,
    /// The end of the log as the last call that was confirmed found it.
    confirmed: watch::Sender<u64>,
    pending: VecDeque<Pending>,
    parked: Vec<Parked>,
    /// How often something happened that may have brought work.
    stirs: u64,
    /// When something is due in the partition.
    look: Option<Instant>,
    /// When leases that wait ask again whatever they were told.
    next_ask: Option<Instant>,
}

type Landed = (Sent, Result<Value, BrokerError>);

impl Desk {
    pub(super) fn new(
        link: Arc<Link>,
        terms: Terms,
        names: Arc<Names>,
        (log_end, confirmed): (watch::Sender<u64>, watch::Sender<u64>),
        say: mpsc::UnboundedSender<Word>,
    ) -> Desk {
        let callers =
            (0..CALLS as u64).map(|n| Caller { id: caller(terms.process, n).to_be_bytes(), number: 0 });
        Desk {
            link,
            callers: callers.collect(),
            names,
            log_end,
            confirmed,
            pending: VecDeque::new(),
            parked: Vec::new(),
            stirs: 0,
            look: None,
            next_ask: None,
            limits: request::limits_packed(&Limits::default()),
            slot: slot_of(&terms.base),
            say,
            terms,
        }
    }

    pub(super) async fn serve(
        mut self,
        mut asked: mpsc::UnboundedReceiver<Asked>,
        mut words: mpsc::UnboundedReceiver<Word>,
    ) {
        let mut flight: FuturesUnordered<BoxFuture<'static, Landed>> = FuturesUnordered::new();
        let mut closing = None;
        loop {
            let answered = tokio::select! {
                Some((sent, answer)) = flight.next(), if !flight.is_empty() => self.land(sent, answer),
                one = asked.recv(), if closing.is_none() => match one {
                    Some(one) => {
                        closing = self.take(one);
                        0
                    }
                    None => break,
                },
                Some(word) = words.recv() => {
                    self.hear(word);
                    0
                }
                () = until(self.next_time()) => {
                    self.pass();
                    0
                }
            };
            let turns = if answered > 1 { TURNS_FOR_OTHERS } else { 1 };
            for _ in 0..turns {
                // Who was answered asks again, and who settles leases for the places that are free now.
                tokio::task::yield_now().await;
                while closing.is_none()
                    && let Ok(one) = asked.try_recv()
                {
                    closing = self.take(one);
                }
            }
            self.end_waits();
            if closing.is_some() && flight.is_empty() && self.pending.is_empty() {
                break;
            }
            while let Some(call) = self.compose() {
                let (link, slot) = (Arc::clone(&self.link), Some(self.slot));
                flight.push(Box::pin(async move {
                    let (command, sent, changes) = call;
                    let answer = link.call(&command, slot.filter(|_| changes)).await;
                    (sent, answer)
                }));
            }
        }
        // Nobody asks any more: what this process was answered last is of no use.
        let mut command = redis::cmd("HDEL");
        command.arg(&self.terms.base);
        for caller in &self.callers {
            command.arg(&caller.id[..]);
        }
        if let Some(answer) = closing {
            let forgotten = tokio::time::timeout(Duration::from_secs(1), self.link.call(&command, None));
            let _ = forgotten.await;
            let _ = answer.send(());
        }
    }

    /// Takes in what is asked; answers whoever closes the line.
    fn take(&mut self, asked: Asked) -> Option<oneshot::Sender<()>> {
        match asked {
            Asked::Operation(operation, answer) => self.pending.push_back(Pending { operation, answer }),
            Asked::Lease(request, until, ticket) => {
                self.parked.push(Parked { request, until, ticket, asked: None });
            }
            Asked::Heard(head, took, brought) => {
                if brought {
                    self.stirs += 1;
                }
                // Such a call writes, and was confirmed.
                match self.read_head(&head, took) {
                    Ok(end) => raise(&self.confirmed, end),
                    Err(error) => tracing::warn!(%error, "the head of an answer"),
                }
            }
            Asked::Close(answer) => {
                for parked in self.parked.drain(..) {
                    parked.ticket.fail(BrokerError::Stopped);
                }
                return Some(answer);
            }
        }
        None
    }

    fn hear(&mut self, word: Word) {
        if matches!(word, Word::Work | Word::Anything) {
            self.stirs += 1;
        }
        if matches!(word, Word::Facts | Word::Anything) {
            // Any call brings the end of the log.
            self.look = Some(Instant::now());
        }
    }

    /// A time has come: for a look, for leases that wait to ask again, or for the end of a wait.
    fn pass(&mut self) {
        if self.next_ask.is_some_and(|at| at <= Instant::now()) {
            self.next_ask = None;
            self.stirs += 1;
        }
    }

    /// When something is to be done by itself.
    fn next_time(&self) -> Option<Instant> {
        let ends = self.parked.iter().filter_map(|parked| match parked.until {
            Until::Real(until) => parked.asked.map(|_| until),
            Until::Given(_) => None,
        });
        // While a call is under way, nothing goes for that alone.
        let asks = self.look.into_iter().chain(self.next_ask).filter(|_| !self.is_under_way());
        asks.chain(ends).min()
    }

    /// Leases that wait ask again after a time at the latest.
    fn ask_again_in(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.next_ask = Some(self.next_ask.map_or(at, |next| next.min(at)));
    }

    /// Answers leases that nobody waits for, or whose wait is over and that have been asked.
    fn end_waits(&mut self) {
        let present = &self.terms.present;
        self.parked.retain(|parked| {
            if parked.ticket.is_over() {
                return false;
            }
            if parked.asked.is_none() || !present.is_past(parked.until) {
                return true;
            }
            parked.ticket.give_up();
            false
        });
    }

    fn is_under_way(&self) -> bool {
        self.callers.len() < CALLS
    }

    /// Whether what waits is worth a call beside the one that is under way.
    fn is_enough(&self) -> bool {
        let mut weight = 0;
        self.pending.iter().any(|pending| {
            weight += pending.operation.weight;
            weight >= BESIDE
        })
    }

    /// Puts a call together, where a caller is free and there is something to say.
    fn compose(&mut self) -> Option<(Cmd, Sent, bool)> {
        if self.callers.is_empty() || (self.is_under_way() && !self.is_enough()) {
            return None;
        }
        let due = self.look.is_some_and(|at| at <= Instant::now());
        if due {
            // What is due may bring work.
            self.stirs += 1;
        }
        let operations = self.gathered();
        let looks = operations.first().is_some_and(|first| first.operation.nature == Nature::Looks);
        if !looks && !operations.is_empty() {
            self.stirs += 1;
        }
        let stirs = self.stirs;
        let mut leases = Vec::new();
        if !looks {
            for parked in std::mem::take(&mut self.parked) {
                if parked.asked == Some(stirs) {
                    self.parked.push(parked);
                } else if parked.ticket.take(self.terms.number, &self.say) {
                    leases.push(Parked { asked: Some(stirs), ..parked });
                } else {
                    // Another partition is asked; its answer is not waited for for ever.
                    self.ask_again_in(CARRIED_AT_MOST);
                    self.parked.push(parked);
                }
            }
        }
        if operations.is_empty() && leases.is_empty() && !due {
            return None;
        }
        self.look = None;
        let mut caller = self.callers.pop()?;
        caller.number += 1;
        let sent = Sent { caller, at: Instant::now(), operations, leases };
        let says_nothing = sent.operations.is_empty() && sent.leases.is_empty();
        let changes = !looks && !says_nothing;
        Some((self.command(&sent, changes), sent, changes))
    }

    /// The operations of the next call: all that wait, up to a weight, either looks or changes.
    fn gathered(&mut self) -> Vec<Pending> {
        let mut gathered: Vec<Pending> = Vec::new();
        let mut weight = 0;
        while let Some(next) = self.pending.front() {
            let looks = next.operation.nature == Nature::Looks;
            let like =
                gathered.first().is_none_or(|first| (first.operation.nature == Nature::Looks) == looks);
            weight += next.operation.weight;
            if !like || (weight > MOST_WEIGHT && !gathered.is_empty()) {
                break;
            }
            gathered.extend(self.pending.pop_front());
        }
        gathered
    }

    fn command(&self, sent: &Sent, remembered: bool) -> Cmd {
        let call = Call {
            terms: &self.terms,
            caller: sent.caller.id,
            number: sent.caller.number,
            is_remembered: remembered,
        };
        let operations = operations_of(&sent.operations);
        let lease = |parked: &Parked| {
            let LeaseRequest { pool, max, lease, start, .. } = &parked.request;
            let waits = !self.terms.present.is_past(parked.until);
            request::lease(pool, *max, *lease, *start, waits)
        };
        let leases: Vec<Operation> = sent.leases.iter().map(lease).collect();
        call.command(&self.link.library, &self.limits, &operations, &leases)
    }

    /// Hands out what a call was answered; how many were.
    fn land(&mut self, sent: Sent, answer: Result<Value, BrokerError>) -> usize {
        let Sent { caller, at, operations, leases } = sent;
        self.callers.push(caller);
        let answered = operations.len() + leases.len();
        let brings = operations.iter().any(|pending| pending.operation.nature == Nature::Brings);
        match answer.and_then(|value| self.read(value, at.elapsed(), &operations, &leases)) {
            Ok((of_operations, of_leases)) => {
                for (pending, answer) in operations.into_iter().zip(of_operations) {
                    // Whoever asked may be gone: what they asked for is done all the same.
                    let _ = pending.answer.send(Ok(answer));
                }
                for (parked, answer) in leases.into_iter().zip(of_leases) {
                    self.leased(parked, &answer);
                }
            }
            Err(BrokerError::Full) if brings => self.refuse_what_is_new(operations, leases),
            Err(error) => self.refuse(operations, leases, &error),
        }
        answered
    }

    /// There is no memory left: nothing new is taken in, and the rest goes again without it.
    fn refuse_what_is_new(&mut self, operations: Vec<Pending>, leases: Vec<Parked>) {
        for pending in operations.into_iter().rev() {
            if pending.operation.nature == Nature::Brings {
                let _ = pending.answer.send(Err(BrokerError::Full));
            } else {
                self.pending.push_front(pending);
            }
        }
        for parked in leases {
            parked.ticket.put_back(self.terms.number);
            self.parked.push(Parked { asked: None, ..parked });
        }
    }

    fn refuse(&mut self, operations: Vec<Pending>, leases: Vec<Parked>, error: &BrokerError) {
        tracing::warn!(%error, "a call was not answered");
        for pending in operations {
            let _ = pending.answer.send(Err(error.clone()));
        }
        for parked in leases {
            parked.ticket.put_back(self.terms.number);
            parked.ticket.fail(error.clone());
        }
        // The others have waited as long.
        if matches!(error, BrokerError::Lost(_)) {
            for pending in self.pending.drain(..) {
                let _ = pending.answer.send(Err(error.clone()));
            }
            self.parked.retain(|parked| {
                if parked.asked.is_none() {
                    parked.ticket.fail(error.clone());
                }
                parked.asked.is_some()
            });
        }
    }

    /// Takes an answer apart: one part for each operation and lease.
    fn read(
        &mut self,
        value: Value,
        took: Duration,
        operations: &[Pending],
        leases: &[Parked],
    ) -> Result<(Vec<Answer>, Vec<Answer>), BrokerError> {
        let unreadable = || BrokerError::Failed("an answer of the queue library can't be read".into());
        let Value::Array(values) = value else { return Err(unreadable()) };
        let mut values = values.into_iter().map(|value| match value {
            Value::BulkString(bytes) => Bytes::from(bytes),
            _ => Bytes::new(),
        });
        let head = values.next().ok_or_else(unreadable)?;
        let end = self.read_head(&head, took).map_err(|_| unreadable())?;
        let looks = operations.first().is_some_and(|first| first.operation.nature == Nature::Looks);
        let says_nothing = operations.is_empty() && leases.is_empty();
        if !looks && !says_nothing {
            raise(&self.confirmed, end);
        }
        let mut said: Vec<Bytes> = Vec::with_capacity(operations.len() + leases.len());
        for run in together::runs(&operations_of(operations)) {
            let of_run = values.next().ok_or_else(unreadable)?;
            if run.len() == 1 {
                said.push(of_run);
            } else {
                let counts: Vec<usize> = run.iter().map(|operation| operation.weight).collect();
                said.extend(together::apart(&of_run, &counts).map_err(|_| unreadable())?);
            }
        }
        said.extend(values.by_ref().take(leases.len()));
        let mut answers = Vec::with_capacity(said.len());
        for (place, said) in said.into_iter().enumerate() {
            let records = match operations.get(place) {
                Some(pending) if pending.operation.shows_record => {
                    usize::from(Reader::new(&said).bool().is_err())
                }
                Some(_) => 0,
                None => answer::leased_count(&said).map_err(|_| unreadable())?,
            };
            answers.push(Answer { said, records: values.by_ref().take(records).collect() });
        }
        if answers.len() != operations.len() + leases.len() {
            return Err(unreadable());
        }
        let of_leases = answers.split_off(operations.len());
        Ok((answers, of_leases))
    }

    /// The present, when something is due, the end of the log, names of queues, queues in which attempts began. Answers
    /// the end of the log.
    fn read_head(&mut self, head: &[u8], took: Duration) -> Result<u64, super::wire::Malformed> {
        let mut reader = Reader::new(head);
        reader.array_of(5)?;
        let (now, due) = (reader.int()?, reader.int()?);
        let end: u64 = reader.count()?;
        for _ in 0..reader.array()? / 2 {
            let queue = reader.count()?;
            self.names.learn(queue, reader.text()?)?;
        }
        let began_in = reader.list(Reader::count)?;
        if !began_in.is_empty() && took >= LATE_ANSWER && matches!(self.terms.present, Present::OfRedis) {
            self.post(request::put_off(now, now.saturating_add(span(took)), &began_in));
        }
        if due < FOREVER {
            let wait = Duration::from_micros(u64::try_from(due - now).unwrap_or(0));
            self.look = Some(Instant::now() + wait.min(Duration::from_secs(86_400)));
        }
        raise(&self.log_end, end);
        Ok(end)
    }

    /// Hands out leased jobs, or lets the lease wait on.
    fn leased(&mut self, parked: Parked, answer: &Answer) {
        let (jobs, damaged) = match answer::leased(answer, parked.request.start, &self.names) {
            Ok(leased) => leased,
            Err(error) => {
                parked.ticket.put_back(self.terms.number);
                parked.ticket.fail(BrokerError::Failed(error.to_string().into()));
                return;
            }
        };
        self.set_aside(&damaged);
        if jobs.is_empty() {
            self.ask_again_in(ASK_AGAIN);
            parked.ticket.put_back(self.terms.number);
            self.parked.push(parked);
        } else if let Err(jobs) = parked.ticket.answer(jobs) {
            self.settle(&releases(&jobs));
        }
    }

    /// Jobs whose records are damaged become dead letters that say so.
    fn set_aside(&mut self, damaged: &[LeaseRef]) {
        if damaged.is_empty() {
            return;
        }
        let dead = |lease: &LeaseRef| {
            tracing::error!(job = %lease.id, "a damaged job was set aside");
            let outcome = Outcome::Dead { reason: "its record in Redis is damaged".into() };
            Settle { lease: *lease, outcome, signal: Signal::None, events: Vec::new() }
        };
        let settles: Vec<Settle> = damaged.iter().map(dead).collect();
        self.settle(&settles);
    }

    fn settle(&mut self, settles: &[Settle]) {
        self.post(request::settle(settles));
    }

    /// Asks an operation whose answer nobody waits for.
    fn post(&mut self, operation: Operation) {
        let (answer, _) = oneshot::channel();
        self.pending.push_back(Pending { operation, answer });
    }
}

fn operations_of(pending: &[Pending]) -> Vec<&Operation> {
    pending.iter().map(|pending| &pending.operation).collect()
}

/// A number that goes up only.
fn raise(number: &watch::Sender<u64>, to: u64) {
    number.send_if_modified(|known| *known < to && std::mem::replace(known, to) != to);
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
