//! What a simulator remembers, and the one place where a message is accepted.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palomar_model::{Clock, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::config::Config;
use super::errors::Refusal;
use super::inbound::{self, Inbound};
use super::magic::{self, Fate};
use super::misbehaviour::{Fault, FaultKind};
use super::payload;
use super::validate::Outgoing;
use super::webhook::{Event, Sender};
use crate::behaviour::Behaviour;
use crate::control::Simulated;
use crate::courier::Courier;
use crate::faults::Misbehaviour as _;
use crate::ledger::{Accepted, Duplicate, Ledger};
use crate::lock;
use crate::rng::{Rng, mix};
use crate::span::{InvalidSetting, Latency};
use crate::stats::{Counters, Stats};

/// How many messages it can be asked for afterwards.
const MOST_KEPT: usize = 10_000;

/// A simulated Evolution.
pub struct Simulator {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) courier: Arc<Courier<Sender>>,
    /// Tells hanging requests to let go.
    pub(super) release: Notify,
    core: Mutex<Core>,
    /// Media that people sent: by the message, its type and its bytes in Base64.
    pub(super) media: Mutex<BTreeMap<String, (String, String)>>,
    id_seed: u64,
    next_id: AtomicU64,
}

struct Core {
    rng: Rng,
    behaviour: Behaviour<FaultKind>,
    ledger: Ledger,
    instances: BTreeMap<Arc<str>, Instance>,
    kept: VecDeque<(Arc<str>, Value)>,
}

/// An instance: a phone that is connected, or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instance {
    pub(super) state: State,
    /// How many QR codes were shown.
    pub(super) codes: u32,
}

/// The states of an instance, in Evolution's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Connected.
    Open,
    /// A QR code is to be scanned, or it is connecting again.
    Connecting,
    /// Not connected.
    Close,
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
    /// The instance that sent it.
    pub instance: String,
    /// Who it reaches: a jid.
    pub recipient: String,
    /// The operation: `sendText`, `sendMedia`, …
    pub op: String,
    /// Its id.
    pub id: String,
    /// The fault that struck its answer.
    pub fault: Option<String>,
    /// The request's body, where bodies are kept.
    pub body: Option<Box<RawValue>>,
}

impl Simulator {
    pub(super) fn new(config: Config, clock: Arc<dyn Clock>) -> io::Result<Simulator> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        config.faults.check().map_err(invalid)?;
        config.statuses.check().map_err(invalid)?;
        let sender = Sender::new(Arc::clone(&clock), &config.number, config.webhook_headers.clone());
        let courier = Courier::new(sender, config.webhooks.clone(), config.webhook_url.as_deref())?;
        let started = u64::try_from(clock.now().micros()).unwrap_or(0);
        Ok(Simulator {
            counters: Counters::default(),
            courier: Arc::new(courier),
            release: Notify::new(),
            core: Mutex::new(Core::new(&config)),
            media: Mutex::default(),
            // Ids of two runs with the same seed differ.
            id_seed: mix(config.seed ^ mix(started)),
            next_id: AtomicU64::new(1),
            config,
            clock,
        })
    }

    /// An id of WhatsApp's form that no other call gives, with the letters that it begins with.
    pub(super) fn fresh_id(&self, begin: &str) -> String {
        self.id(begin, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn id(&self, begin: &str, number: u64) -> String {
        format!("{begin}{:016X}", mix(number ^ self.id_seed))
    }

    /// An instance under its shared name; one that was not named in the settings is there where all are.
    pub(super) fn instance(&self, name: &str) -> Option<(Arc<str>, Instance)> {
        let mut core = lock(&self.core);
        if let Some((known, instance)) = core.instances.get_key_value(name) {
            return Some((Arc::clone(known), *instance));
        }
        if !self.config.instances.is_empty() {
            return None;
        }
        let (name, instance): (Arc<str>, _) = (name.into(), Instance { state: State::Open, codes: 0 });
        core.instances.insert(Arc::clone(&name), instance);
        Some((name, instance))
    }

    /// All instances that were named.
    pub(super) fn instances(&self) -> Vec<(Arc<str>, Instance)> {
        let core = lock(&self.core);
        core.instances.iter().map(|(name, instance)| (Arc::clone(name), *instance)).collect()
    }

    /// Makes an instance, or brings one into a state, and tells what that changed.
    pub(super) fn set_instance(&self, name: &str, state: State, reason: u32) {
        let name: Arc<str> = name.into();
        let mut core = lock(&self.core);
        let codes = core.instances.get(&name).map_or(0, |instance| instance.codes);
        let codes = if state == State::Connecting { codes + 1 } else { 0 };
        core.instances.insert(Arc::clone(&name), Instance { state, codes });
        drop(core);
        if state == State::Close && !reconnects(reason) {
            let data = json!({"instance": &*name, "status": "closed", "disconnectionReasonCode": reason});
            self.tell(&name, "status.instance", data);
        }
        self.tell(&name, "connection.update", self.connection(&name, state, reason));
        if state == State::Connecting {
            let code = self.qr_code(&name, codes);
            let qrcode = json!({"instance": &*name, "pairingCode": null, "code": code["code"], "base64": code["base64"]});
            self.tell(&name, "qrcode.updated", json!({ "qrcode": qrcode }));
        }
    }

    fn connection(&self, name: &str, state: State, reason: u32) -> Value {
        match state {
            State::Open => json!({"instance": name, "wuid": format!("{}@s.whatsapp.net", self.config.number),
                "profileName": "Tienda Ficticia", "profilePictureUrl": null, "state": "open", "statusReason": 200}),
            state => json!({"instance": name, "state": state, "statusReason": reason}),
        }
    }

    /// What `connect` answers while a phone is to be connected.
    pub(super) fn qr_code(&self, name: &str, count: u32) -> Value {
        let code = format!("2@{:016X},{name},{count}", mix(self.id_seed ^ u64::from(count)));
        json!({"pairingCode": null, "code": code, "base64": "data:image/png;base64,iVBORw0KGgo=", "count": count})
    }

    pub(super) fn remove_instance(&self, name: &str) {
        lock(&self.core).instances.remove(name);
    }

    /// Posts one event now.
    pub(super) fn tell(&self, instance: &Arc<str>, name: &str, data: Value) {
        if self.courier.has_target() {
            let event = Event { name: name.to_owned(), instance: Arc::clone(instance), data };
            self.courier.schedule(vec![(Duration::ZERO, event)]);
        }
    }

    /// The fault that strikes a message to `recipient`, and how long its answer takes.
    pub(super) fn strike(&self, recipient: Option<&str>) -> (Option<Fault>, Duration) {
        let core = &mut *lock(&self.core);
        let fault = core.behaviour.faults.strike(&mut core.rng, recipient);
        (fault, core.behaviour.latency.draw(&mut core.rng))
    }

    /// The same where no message is sent.
    pub(super) fn strike_elsewhere(&self) -> Option<Fault> {
        let core = &mut *lock(&self.core);
        core.behaviour.faults.strike_elsewhere(&mut core.rng)
    }

    pub(super) fn draw(&self, latency: Latency) -> Duration {
        latency.draw(&mut lock(&self.core).rng)
    }

    /// Takes a message, unless its recipient is one of those that are refused; answers the document.
    pub(super) fn accept(
        &self,
        instance: &Arc<str>,
        message: &Outgoing,
        fault: Option<&Fault>,
        body: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let jid = payload::jid_of(&message.number);
        let fate = if self.config.magic { magic::fate(&jid) } else { Fate::Accepted(magic::ALL) };
        match &fate {
            Fate::Nobody => return Err(Refusal::nobody(&jid, &message.number)),
            Fate::Refused(refusal) => return Err(refusal.clone()),
            Fate::Accepted(_) | Fate::EmptyAnswer | Fate::AcceptedAndRefused(_) => {}
        }
        let document = self.take(instance, message, &fate, &jid, fault, body);
        match fate {
            Fate::EmptyAnswer => Ok(br#"{"error":true,"message":"[object Object]"}"#.to_vec()),
            Fate::AcceptedAndRefused(refusal) => Err(refusal),
            _ => Ok(document.to_string().into_bytes()),
        }
    }

    fn take(
        &self,
        instance: &Arc<str>,
        message: &Outgoing,
        fate: &Fate,
        jid: &str,
        fault: Option<&Fault>,
        body: &[u8],
    ) -> Value {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = self.id("BAE5", number);
        let core = &mut *lock(&self.core);
        // Read under the lock, so that the ledger's times never go back.
        let now = self.clock.now();
        core.ledger.push(Accepted {
            at: now,
            sender: Arc::clone(instance),
            recipient: jid.into(),
            // No reference travels: two messages with one content are one message twice.
            tag: Some(format!("{jid} {}", message.content).into()),
            kind: message.op,
            number,
            fault: fault.map(|fault| fault.kind.name()),
            body: self.config.keep_bodies.then(|| body.into()),
        });
        let sent = payload::sent(message, &id, jid, now, instance);
        if self.config.keep_bodies {
            core.kept.truncate(MOST_KEPT - 1);
            core.kept.push_front((Arc::clone(instance), sent.clone()));
        }
        if self.courier.has_target() {
            let events = plan(core, instance, &sent, fate);
            self.courier.schedule(events);
        }
        sent
    }

    /// What was sent through an instance, the newest first.
    pub(super) fn kept(&self, instance: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let core = lock(&self.core);
        let of_it = core.kept.iter().filter(|(sender, message)| &**sender == instance && fits(message));
        of_it.map(|(_, message)| message.clone()).collect()
    }

    fn shown(&self, order: u64, entry: Accepted) -> LedgerEntry {
        let body = entry.body.and_then(|body| String::from_utf8(body.into()).ok());
        LedgerEntry {
            order,
            at: entry.at,
            at_micros: entry.at.micros(),
            instance: entry.sender.as_ref().to_owned(),
            recipient: entry.recipient.into(),
            op: entry.kind.to_owned(),
            id: self.id("BAE5", entry.number),
            fault: entry.fault.map(str::to_owned),
            body: body.and_then(|body| RawValue::from_string(body).ok()),
        }
    }
}

/// Whether Evolution connects again by itself.
const fn reconnects(reason: u32) -> bool {
    !matches!(reason, 401 | 402 | 403 | 406)
}

/// The events that follow a message, each with the time to wait for it.
fn plan(core: &mut Core, instance: &Arc<str>, sent: &Value, fate: &Fate) -> Vec<(Duration, Event)> {
    let (settings, rng) = (&core.behaviour.statuses, &mut core.rng);
    let event = |name: &str, data| Event { name: name.to_owned(), instance: Arc::clone(instance), data };
    let mut steps = if let Fate::Accepted(steps) = fate { steps.to_vec() } else { magic::ALL.to_vec() };
    if steps == magic::ALL {
        let delivered = rng.chance(settings.delivered_rate);
        let read = delivered && rng.chance(settings.read_rate);
        let happens = |step: &&str| match *step {
            "DELIVERY_ACK" => delivered,
            "READ" => read,
            _ => true,
        };
        steps.retain(happens);
    }
    if sent["messageType"] == "audioMessage" && steps.contains(&"READ") {
        steps.push("PLAYED");
    }
    let mut after = Duration::ZERO;
    let mut planned = Vec::with_capacity(steps.len() + 1);
    for step in steps {
        after += match step {
            "DELIVERY_ACK" => settings.delivered.draw(rng),
            "READ" | "PLAYED" => settings.read.draw(rng),
            _ => settings.sent.draw(rng),
        };
        let key = &sent["key"];
        let data = json!({"keyId": key["id"], "remoteJid": key["remoteJid"], "fromMe": true, "status": step,
            "instanceId": sent["instanceId"], "messageId": format!("cm{}", key["id"].as_str().unwrap_or_default())});
        planned.push((after, event("messages.update", data)));
    }
    let mut planned = settings.make_unreliable(rng, planned);
    planned.push((Duration::ZERO, event("send.message", sent.clone())));
    planned
}

impl Simulated for Simulator {
    type Kind = FaultKind;
    type Inbound = Inbound;
    type Entry = LedgerEntry;
    type Postman = Sender;

    fn courier(&self) -> &Arc<Courier<Sender>> {
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

    /// One event goes into a webhook.
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
        let open = |name: &String| (Arc::from(name.as_str()), Instance { state: State::Open, codes: 0 });
        Core {
            rng: Rng::new(config.seed),
            behaviour: Behaviour {
                faults: config.faults.clone(),
                latency: config.latency,
                statuses: config.statuses.clone(),
            },
            ledger: Ledger::default(),
            instances: config.instances.iter().map(open).collect(),
            kept: VecDeque::new(),
        }
    }
}
