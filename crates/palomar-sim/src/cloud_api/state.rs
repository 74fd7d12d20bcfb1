//! What a simulator remembers, and the one place where a message is accepted.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use palomar_model::{Clock, Timestamp};
use tokio::sync::Notify;

use super::config::{Config, PhoneNumber};
use super::errors::GraphError;
use super::inbound::{self, Inbound};
use super::magic;
use super::media::Shelf;
use super::misbehaviour::{Fault, FaultKind};
use super::payload::Signer;
use super::statuses::{self, Reached, Sent};
use super::template;
use super::validate::{Outgoing, To};
use super::webhook::Meta;
use crate::behaviour::Behaviour;
use crate::control::Simulated;
use crate::courier::Courier;
use crate::fate::{Fate, Steps};
use crate::faults::Misbehaviour as _;
use crate::ledger::{Accepted, Duplicate, Ledger, LedgerEntry};
use crate::lock;
use crate::rng::{Rng, mix};
use crate::span::{InvalidSetting, Latency};
use crate::stats::{Counters, Stats};

/// How long a person may be answered freely.
const SERVICE_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A simulated Cloud API.
pub struct Simulator {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) courier: Arc<Courier<Meta>>,
    pub(super) shelf: Mutex<Shelf>,
    pub(super) signer: Signer,
    /// Tells hanging requests to let go.
    pub(super) release: Notify,
    core: Mutex<Core>,
    id_seed: u64,
    next_id: AtomicU64,
}

/// What changes with each message.
struct Core {
    rng: Rng,
    behaviour: Behaviour<FaultKind>,
    limits: super::limits::Limits,
    ledger: Ledger,
    senders: HashMap<Box<str>, Arc<str>>,
    last_inbound: HashMap<(Arc<str>, Box<str>), Timestamp>,
}

/// What the sender of an accepted message is told.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) wamid: String,
    /// The recipient's wa_id where a phone number was given.
    pub(super) wa_id: Option<String>,
    pub(super) empty: bool,
}

/// The circumstances of a message.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) sender: &'a str,
    pub(super) fault: Option<&'a Fault>,
    pub(super) body: &'a [u8],
    /// The Graph version told of conversations.
    pub(super) conversation: bool,
}

/// The number that an id stands for.
pub(super) fn display_number<'a>(numbers: &'a [PhoneNumber], id: &'a str) -> &'a str {
    match numbers.iter().find(|number| number.id == id) {
        Some(number) => &number.display,
        None if id == "100200300400500" => "15550100200",
        None if id == "100200300400600" => "15550100300",
        None => id,
    }
}

impl Simulator {
    pub(super) fn new(config: Config, clock: Arc<dyn Clock>) -> io::Result<Simulator> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        config.faults.check().map_err(invalid)?;
        config.statuses.check().map_err(invalid)?;
        let signer = Signer::new(&config.app_secret)?;
        let started = u64::try_from(clock.now().micros()).unwrap_or(0);
        Ok(Simulator {
            counters: Counters::default(),
            courier: Arc::new(Courier::new(
                Meta::new(&config, signer.clone()),
                config.webhooks.clone(),
                config.webhook_url.as_deref(),
            )?),
            shelf: Mutex::default(),
            signer,
            release: Notify::new(),
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

    /// The `wamid` of a number: unique as long as this process lives, and opaque.
    pub(super) fn wamid(&self, number: u64) -> String {
        let mut bytes = [0_u8; 27];
        bytes[..3].copy_from_slice(&[0x1c, 0x18, 0x0b]);
        // `mix` loses nothing, so the first word alone makes it unique.
        let first = mix(number ^ self.id_seed);
        for (place, word) in
            [first, mix(first ^ self.id_seed), mix(first.rotate_left(17))].into_iter().enumerate()
        {
            bytes[3 + place * 8..11 + place * 8].copy_from_slice(&word.to_be_bytes());
        }
        format!("wamid.{}", STANDARD.encode(bytes))
    }

    /// A fresh `fbtrace_id`.
    pub(super) fn trace(&self) -> String {
        let number = mix(self.fresh_number() ^ self.id_seed);
        format!("A{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(number.to_be_bytes()))
    }

    /// True if the account has this phone number id.
    pub(super) fn has_phone_number(&self, id: &str) -> bool {
        match self.config.phone_numbers.as_slice() {
            [] => (5..=20).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_digit()),
            numbers => numbers.iter().any(|number| number.id == id),
        }
    }

    /// The number that an id stands for.
    pub(super) fn display_number<'a>(&'a self, id: &'a str) -> &'a str {
        display_number(&self.config.phone_numbers, id)
    }

    /// The fault that strikes a message to `recipient`, and how long the answer takes.
    pub(super) fn strike(&self, recipient: Option<&str>) -> (Option<Fault>, Duration) {
        let core = &mut *lock(&self.core);
        let fault = core.behaviour.faults.strike(&mut core.rng, recipient);
        (fault, core.behaviour.latency.draw(&mut core.rng))
    }

    /// The same for a request that sends no message.
    pub(super) fn strike_elsewhere(&self) -> (Option<Fault>, Duration) {
        let core = &mut *lock(&self.core);
        let fault = core.behaviour.faults.strike_elsewhere(&mut core.rng);
        (fault, core.behaviour.latency.draw(&mut core.rng))
    }

    /// A delay drawn from `latency`.
    pub(super) fn draw(&self, latency: Latency) -> Duration {
        latency.draw(&mut lock(&self.core).rng)
    }

    /// Accepts a valid message: limits, ledger, statuses. What is refused leaves no trace but in the counters.
    pub(super) fn accept(
        &self,
        message: &Outgoing<'_>,
        about: Circumstances<'_>,
    ) -> Result<Receipt, GraphError> {
        let mut fate = self.fate(message, about.sender)?;
        let number = self.fresh_number();
        let core = &mut *lock(&self.core);
        // Read under the lock, so that the ledger's times never go back.
        let now = self.clock.now();
        let sender = core.sender(about.sender);
        let recipient = message.to.reached();
        let limits = (&self.config.throughput, self.config.pair);
        if let Err(code) = core.limits.admit(limits, &sender, recipient, now) {
            self.counters.over_limit(code);
            return Err(GraphError::of(code));
        }
        if self.config.enforce_window && message.template.is_none() && !core.is_open(&sender, recipient, now)
        {
            fate = Fate::Failed { code: 131_047, after_sent: false };
        }
        core.ledger.push(Accepted {
            at: now,
            sender: Arc::clone(&sender),
            recipient: recipient.into(),
            tag: message.tag.map(Box::from),
            kind: message.kind,
            number,
            fault: about.fault.map(|fault| fault.kind.name()),
            body: self.config.keep_bodies.then(|| about.body.into()),
        });
        let wamid = self.wamid(number);
        let wa_id = matches!(message.to, To::Phone { .. }).then(|| magic::wa_id(recipient));
        if self.courier.has_target() {
            let sent = Arc::new(Sent {
                wamid: wamid.clone(),
                sender,
                recipient: reached(&message.to),
                tag: message.tag.map(Box::from),
                category: template::category(message.template.as_ref()),
                conversation: about.conversation,
                voice: message.voice,
                at: now,
            });
            self.courier.schedule(statuses::plan(&core.behaviour.statuses, &mut core.rng, &sent, fate));
        }
        Ok(Receipt { wamid, wa_id, empty: fate == Fate::EmptyAnswer })
    }

    /// What becomes of the message, by its recipient and kind alone.
    fn fate(&self, message: &Outgoing<'_>, sender: &str) -> Result<Fate, GraphError> {
        let fate = match &message.to {
            To::Phone { digits, .. } if digits == self.display_number(sender) => Fate::Refused(131_021),
            To::Phone { digits, .. } if self.config.magic => magic::fate(digits),
            To::User(_) if template::category(message.template.as_ref()) == "authentication" => {
                Fate::Refused(131_062)
            }
            _ => Fate::Accepted(Steps::ALL),
        };
        match fate {
            Fate::Refused(code) => Err(GraphError::of(code)),
            // Nobody gets a receipt for a reaction.
            Fate::Accepted(_) if message.kind == "reaction" => Ok(Fate::Accepted(Steps::ONLY_SENT)),
            fate => Ok(fate),
        }
    }

    /// A person wrote to `sender`: it counts for the throughput and opens the window.
    pub(super) fn note_inbound(&self, sender: &str, person: &str) {
        let core = &mut *lock(&self.core);
        let now = self.clock.now();
        let sender = core.sender(sender);
        core.limits.count(&self.config.throughput, &sender, now);
        core.last_inbound.insert((sender, person.into()), now);
    }

    fn shown(&self, order: u64, entry: Accepted) -> LedgerEntry {
        let is_phone = entry.recipient.bytes().all(|c| c.is_ascii_digit());
        let body = entry.body.and_then(|body| String::from_utf8(body.into()).ok());
        LedgerEntry {
            order,
            at: entry.at,
            at_micros: entry.at.micros(),
            phone_number_id: entry.sender.as_ref().to_owned(),
            recipient: format!("{}{}", if is_phone { "+" } else { "" }, entry.recipient),
            tag: entry.tag.map(String::from),
            kind: entry.kind.to_owned(),
            wamid: self.wamid(entry.number),
            fault: entry.fault.map(str::to_owned),
            body: body.and_then(|body| serde_json::value::RawValue::from_string(body).ok()),
        }
    }
}

impl Simulated for Simulator {
    type Kind = FaultKind;
    type Inbound = Inbound;
    type Entry = LedgerEntry;
    type Postman = Meta;

    fn courier(&self) -> &Arc<Courier<Meta>> {
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

    fn batch(&self) -> usize {
        lock(&self.core).behaviour.statuses.batch.max(1)
    }

    fn reset(&self) {
        *lock(&self.core) = Core::new(&self.config);
        *lock(&self.shelf) = Shelf::default();
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
            limits: super::limits::Limits::default(),
            ledger: Ledger::default(),
            senders: HashMap::new(),
            last_inbound: HashMap::new(),
        }
    }

    /// The one shared text of a phone number id.
    fn sender(&mut self, id: &str) -> Arc<str> {
        if let Some(sender) = self.senders.get(id) {
            return Arc::clone(sender);
        }
        let sender: Arc<str> = id.into();
        self.senders.insert(id.into(), Arc::clone(&sender));
        sender
    }

    fn is_open(&self, sender: &Arc<str>, person: &str, now: Timestamp) -> bool {
        let last = self.last_inbound.get(&(Arc::clone(sender), person.into()));
        last.is_some_and(|last| now.since(*last) < SERVICE_WINDOW)
    }
}

fn reached(to: &To<'_>) -> Reached {
    match to {
        To::Phone { digits, .. } => Reached::WaId(magic::wa_id(digits)),
        To::User(id) => Reached::User((*id).to_owned()),
        To::Group(id) => Reached::Group((*id).to_owned()),
    }
}
