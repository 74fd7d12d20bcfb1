//! What a simulator remembers, and the one place where a message is accepted.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palomar_model::{Clock, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::config::Config;
use super::errors::{self, ApiError};
use super::inbound::{self, Inbound};
use super::misbehaviour::{Fault, FaultKind};
use super::validate::{self, Outgoing};
use super::webhook::{Proxy, Report, Sent, Stage};
use crate::behaviour::{Behaviour, Statuses};
use crate::control::Simulated;
use crate::courier::Courier;
use crate::fate::{self, Fate, Step, Steps};
use crate::faults::Misbehaviour as _;
use crate::ledger::{Accepted, Duplicate, Ledger};
use crate::lock;
use crate::rng::{Rng, mix};
use crate::span::{InvalidSetting, Latency};
use crate::stats::{Counters, Stats};
use crate::window::SlidingLog;

/// How long a person may be answered freely.
const SERVICE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// The sender that everybody may try, to people who have written to it, once in so long.
const SANDBOX: &str = "whatsapp:+14155238886";
const SANDBOX_PACE: Duration = Duration::from_secs(3);

/// A simulated Twilio.
pub struct Simulator {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) courier: Arc<Courier<Proxy>>,
    /// Tells hanging requests to let go.
    pub(super) release: Notify,
    /// What people sent, by its id.
    pub(super) media: Mutex<BTreeMap<String, inbound::Held>>,
    core: Mutex<Core>,
    id_seed: u64,
    next_id: AtomicU64,
}

/// What changes with each message.
struct Core {
    rng: Rng,
    behaviour: Behaviour<FaultKind>,
    ledger: Ledger,
    /// When the next message of a sender may leave.
    queues: HashMap<Arc<str>, Timestamp>,
    account: SlidingLog,
    day: SlidingLog,
    last_inbound: HashMap<(Box<str>, Box<str>), Timestamp>,
}

/// One line of the ledger as it is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Its place, counted from 1.
    pub order: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The same in microseconds since 1970.
    pub at_micros: i64,
    /// The number that sends, or the Messaging Service.
    pub from: String,
    /// Who it reaches: `+` and digits, or a user id.
    pub recipient: String,
    /// The sender's own reference: the parameter `tag` of its callback.
    pub tag: Option<String>,
    /// The kind of message: `text`, `media`, `location`, `content`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its SID.
    pub sid: String,
    /// The fault that struck its answer: the sender was not told that it was accepted, or late.
    pub fault: Option<String>,
    /// The form's parameters, where bodies are kept.
    pub body: Option<Map<String, Value>>,
}

/// What the sender of an accepted message is told.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) sid: String,
    pub(super) at: Timestamp,
    /// The answer names no message.
    pub(super) empty: bool,
}

impl Simulator {
    pub(super) fn new(config: Config, clock: Arc<dyn Clock>) -> io::Result<Simulator> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        config.faults.check().map_err(invalid)?;
        config.statuses.check().map_err(invalid)?;
        let started = u64::try_from(clock.now().micros()).unwrap_or(0);
        let proxy = Proxy { auth_token: config.auth_token.clone() };
        let courier = Courier::new(proxy, config.webhooks.clone(), config.webhook_url.as_deref())?;
        Ok(Simulator {
            counters: Counters::default(),
            courier: Arc::new(courier),
            release: Notify::new(),
            media: Mutex::default(),
            core: Mutex::new(Core::new(&config)),
            // Ids of two runs with the same seed differ.
            id_seed: mix(config.seed ^ mix(started)),
            next_id: AtomicU64::new(1),
            config,
            clock,
        })
    }

    /// A number that no other call gives.
    pub(super) fn fresh_number(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The SID of a number: unique as long as this process lives, and opaque.
    pub(super) fn sid(&self, prefix: &str, number: u64) -> String {
        // `mix` loses nothing, so the first half alone makes it unique.
        let first = mix(number ^ self.id_seed);
        format!("{prefix}{first:016x}{:016x}", mix(first.rotate_left(17)))
    }

    /// The fault that strikes a message to `recipient`, and how long the answer takes.
    pub(super) fn strike(&self, recipient: Option<&str>) -> (Option<Fault>, Duration) {
        let core = &mut *lock(&self.core);
        let fault = core.behaviour.faults.strike(&mut core.rng, recipient);
        (fault, core.behaviour.latency.draw(&mut core.rng))
    }

    /// The same for a request that sends no message.
    pub(super) fn strike_elsewhere(&self) -> Option<Fault> {
        let core = &mut *lock(&self.core);
        core.behaviour.faults.strike_elsewhere(&mut core.rng)
    }

    /// A delay drawn from `latency`.
    pub(super) fn draw(&self, latency: Latency) -> Duration {
        latency.draw(&mut lock(&self.core).rng)
    }

    /// Accepts a valid message: limits, queue, ledger, reports. What is refused leaves no trace but in the counters.
    pub(super) fn accept(
        &self,
        account: &str,
        message: &Outgoing,
        fault: Option<&Fault>,
        form: &[u8],
    ) -> Result<Receipt, ApiError> {
        let mut fate = self.fate(message)?;
        let number = self.fresh_number();
        let core = &mut *lock(&self.core);
        // Read under the lock, so that the ledger's times never go back.
        let now = self.clock.now();
        let sender: Arc<str> = message.sender().into();
        let waits = core
            .admit(&self.config, &sender, now)
            .inspect_err(|error| self.counters.over_limit(error.code))?;
        if waits > message.validity {
            fate = Fate::Failed { code: 30_001, after_sent: false };
        } else if *sender == *SANDBOX && !core.has_written(message, None) {
            fate = Fate::Failed { code: 63_015, after_sent: false };
        } else if self.config.enforce_window && !message.template && !core.has_written(message, Some(now)) {
            fate = Fate::Failed { code: 63_016, after_sent: false };
        }
        core.ledger.push(Accepted {
            at: now,
            sender,
            recipient: message.person().into(),
            tag: message.tag.clone().map(String::into_boxed_str),
            kind: message.kind,
            number,
            fault: fault.map(|fault| fault.kind.name()),
            body: self.config.keep_bodies.then(|| form.into()),
        });
        let sid = self.sid(if message.media { "MM" } else { "SM" }, number);
        // What is for later leaves later than any test runs.
        if !message.scheduled && (message.callback.is_some() || self.courier.has_target()) {
            let sent = Sent {
                sid: sid.clone(),
                account: account.to_owned(),
                from: message.from.clone(),
                service: message.service.clone(),
                to: message.to.clone(),
                callback: message.callback.as_deref().map(Arc::from),
            };
            let plan = plan(&core.behaviour.statuses, &mut core.rng, &Arc::new(sent), fate);
            let plan = plan.into_iter().map(|(after, report)| (waits + after, report));
            self.courier.schedule(plan.collect());
        }
        Ok(Receipt { sid, at: now, empty: fate == Fate::EmptyAnswer })
    }

    /// What becomes of the message, by its recipient alone.
    fn fate(&self, message: &Outgoing) -> Result<Fate, ApiError> {
        let digits = message.person().strip_prefix('+').filter(|_| self.config.magic);
        let Some(digits) = digits else {
            return Ok(Fate::Accepted(Steps::ALL));
        };
        if let Some(("6", code)) = fate::ending(digits).filter(|(_, code)| errors::is_known(*code)) {
            return Err(ApiError::of(code));
        }
        match fate::of(digits, errors::is_known, errors::is_answered_at_once) {
            Fate::Refused(code) => Err(ApiError::of(code)),
            fate => Ok(fate),
        }
    }

    /// A person wrote to `sender`: it opens the window.
    pub(super) fn note_inbound(&self, sender: &str, person: &str) {
        let now = self.clock.now();
        lock(&self.core).last_inbound.insert((sender.into(), person.into()), now);
    }

    fn shown(&self, order: u64, entry: Accepted) -> LedgerEntry {
        let plain = entry.sender.trim_start_matches("whatsapp:").to_owned();
        LedgerEntry {
            order,
            at: entry.at,
            at_micros: entry.at.micros(),
            from: plain,
            recipient: entry.recipient.into(),
            tag: entry.tag.map(String::from),
            kind: entry.kind.to_owned(),
            sid: self.sid(if entry.kind == "media" { "MM" } else { "SM" }, entry.number),
            fault: entry.fault.map(str::to_owned),
            body: entry.body.map(|form| as_object(&form)),
        }
    }
}

/// The parameters of a form; of one that is given twice all values.
fn as_object(form: &[u8]) -> Map<String, Value> {
    let value = |mut values: Vec<String>| match values.len() {
        1 => values.pop().unwrap_or_default().into(),
        _ => Value::from(values),
    };
    validate::read(form).into_iter().map(|(name, values)| (name, value(values))).collect()
}

/// The reports on `message` with the time to wait for each, in the order to post them.
fn plan(settings: &Statuses, rng: &mut Rng, message: &Arc<Sent>, fate: Fate) -> Vec<(Duration, Report)> {
    let steps = fate.steps(settings, rng);
    let report = |stage| Report { message: Arc::clone(message), stage };
    // The state that a message is made in is not reported; with a Messaging Service that is `accepted`.
    let queued = message.service.is_some() && !steps.is_empty();
    let mut planned: Vec<_> = queued.then(|| (Duration::ZERO, report(Stage::Queued))).into_iter().collect();
    let timed = settings.timed(rng, steps).into_iter();
    planned.extend(timed.map(|(after, step): (Duration, Step)| (after, report(Stage::At(step)))));
    settings.make_unreliable(rng, planned)
}

impl Simulated for Simulator {
    type Kind = FaultKind;
    type Inbound = Inbound;
    type Entry = LedgerEntry;
    type Postman = Proxy;

    fn courier(&self) -> &Arc<Courier<Proxy>> {
        &self.courier
    }

    fn release(&self) -> &Notify {
        &self.release
    }

    fn ledger_len(&self) -> usize {
        lock(&self.core).ledger.len()
    }

    fn ledger(&self, after: u64, limit: usize) -> Vec<LedgerEntry> {
        let page = lock(&self.core).ledger.page(after, limit);
        page.into_iter().map(|(order, entry)| self.shown(order, entry)).collect()
    }

    fn duplicates(&self) -> Vec<Duplicate> {
        lock(&self.core).ledger.duplicates()
    }

    fn stats(&self) -> Stats {
        self.counters.snapshot(self.ledger_len(), self.courier.stats())
    }

    fn behaviour(&self) -> Behaviour<FaultKind> {
        lock(&self.core).behaviour.clone()
    }

    fn set_behaviour(&self, behaviour: Behaviour<FaultKind>) {
        lock(&self.core).behaviour = behaviour;
    }

    fn receive(&self, inbound: Inbound) -> Result<Option<String>, InvalidSetting> {
        inbound::receive(self, inbound)
    }

    /// One report a form.
    fn batch(&self) -> usize {
        1
    }

    fn reset(&self) {
        *lock(&self.core) = Core::new(&self.config);
        lock(&self.media).clear();
        self.counters.reset();
        self.courier.reset();
        self.release.notify_waiters();
    }
}

impl Core {
    fn new(config: &Config) -> Core {
        Core {
            rng: Rng::new(config.seed),
            behaviour: Behaviour {
                faults: config.faults.clone(),
                latency: config.latency,
                statuses: config.statuses.clone(),
            },
            ledger: Ledger::default(),
            queues: HashMap::new(),
            account: SlidingLog::default(),
            day: SlidingLog::default(),
            last_inbound: HashMap::new(),
        }
    }

    /// Counts one message and says how long it waits in its sender's queue, or with which code it is refused; a refused
    /// one counts nowhere.
    fn admit(&mut self, config: &Config, sender: &Arc<str>, now: Timestamp) -> Result<Duration, ApiError> {
        let every = if **sender == *SANDBOX { SANDBOX_PACE } else { config.queue.every };
        let leaves = self.queues.get(sender).map_or(now, |free| now.max(*free));
        let waits = leaves.since(now);
        if waits > config.queue.holds && !every.is_zero() {
            return Err(ApiError::of(21_611));
        }
        if !self.day.wait(&config.daily, now).is_zero() {
            return Err(ApiError::of(63_038));
        }
        if !self.account.wait(&config.account, now).is_zero() {
            return Err(ApiError::of(63_017));
        }
        self.day.count(&config.daily, now);
        self.account.count(&config.account, now);
        self.queues.insert(Arc::clone(sender), leaves.after(every));
        Ok(waits)
    }

    /// Whether the person wrote to this sender: ever, or in the last 24 hours.
    fn has_written(&self, message: &Outgoing, within: Option<Timestamp>) -> bool {
        let sender = message.sender().trim_start_matches("whatsapp:");
        let last = self.last_inbound.get(&(sender.into(), message.person().into()));
        last.is_some_and(|last| within.is_none_or(|now| now.since(*last) < SERVICE_WINDOW))
    }
}
