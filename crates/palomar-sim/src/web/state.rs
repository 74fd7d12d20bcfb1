//! What the stand-in for WhatsApp's servers knows: QR codes, linked devices, accounts with their chats, and the ledger.
//!
//! An account's news have numbers; a page asks for those behind the last one that it has, and waits where there are none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use palomar_model::{Clock, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::config::Behaviour;
use crate::ledger::Duplicate;
use crate::lock;
use crate::rng::Rng;

/// A page's question for news is answered after so long, with or without.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Messages of a chat that a page is told when it begins.
const TOLD: usize = 50;

/// One accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Its place, counted from 1.
    pub order: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The account that sent it.
    pub account: String,
    /// Whom it reaches: a plus and digits.
    pub recipient: String,
    /// The id that the page made.
    pub id: String,
    /// `text`, `image`, `video`, `document`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its words.
    pub text: String,
    /// The name of its file.
    pub file: Option<String>,
    /// The length of its file.
    pub size: Option<u64>,
}

/// A message of a chat.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) out: bool,
    pub(super) tick: u8,
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) file: Option<String>,
    /// Who wrote it, in a group: digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) author: Option<String>,
}

#[derive(Default)]
struct Chat {
    name: Option<String>,
    unread: u32,
    /// The place of its last message among all of the account.
    at: u64,
    messages: Vec<Message>,
}

#[derive(Default)]
struct Account {
    chats: BTreeMap<String, Chat>,
    news: Vec<Value>,
    count: u64,
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    /// QR code → the device that it was scanned for.
    refs: HashMap<String, Option<String>>,
    last_ref: Option<String>,
    /// Device → account.
    devices: HashMap<String, String>,
    accounts: BTreeMap<String, Account>,
    ledger: Vec<LedgerEntry>,
    inbound: u64,
}

/// The stand-in for WhatsApp's servers.
pub struct Simulator {
    usual: Behaviour,
    inner: Mutex<Inner>,
    rng: Mutex<Rng>,
    news: Notify,
    clock: Arc<dyn Clock>,
}

/// What a page reports to have been sent.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Sending {
    pub(super) device: Option<String>,
    pub(super) phone: String,
    pub(super) id: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) text: String,
    #[serde(default)]
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) size: Option<u64>,
}

/// What a person writes.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inbound {
    /// Who writes: digits, with or without a plus.
    pub from: String,
    /// What they are called in the list of chats; their number where nothing is said.
    #[serde(default)]
    pub name: Option<String>,
    /// To which account; the only one where nothing is said.
    #[serde(default)]
    pub account: Option<String>,
    /// In which group, by its digits; in no group where nothing is said.
    #[serde(default)]
    pub group: Option<String>,
    /// The words.
    #[serde(default)]
    pub text: String,
    /// `text`, `image`, `audio`, `document`.
    #[serde(default = "text_kind")]
    pub kind: String,
}

fn text_kind() -> String {
    "text".to_owned()
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

impl Simulator {
    pub(super) fn new(behaviour: Behaviour, seed: u64, clock: Arc<dyn Clock>) -> Simulator {
        let inner = Inner { behaviour: behaviour.clone(), ..Inner::default() };
        let rng = Mutex::new(Rng::new(seed));
        Simulator { usual: behaviour, inner: Mutex::new(inner), rng, news: Notify::new(), clock }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    fn random(&self) -> String {
        let mut rng = lock(&self.rng);
        (0..4).map(|_| format!("{:016x}", rng.next())).collect()
    }

    /// How it behaves now.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.inner().behaviour.clone()
    }

    /// Behaves another way from now on; open pages are told.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        let mut inner = self.inner();
        let told = json!({ "how": behaviour });
        inner.behaviour = behaviour;
        for account in inner.accounts.values_mut() {
            account.news.push(told.clone());
        }
        drop(inner);
        self.news.notify_waiters();
    }

    /// Forgets everything and behaves as configured.
    pub fn reset(&self) {
        *self.inner() = Inner { behaviour: self.usual.clone(), ..Inner::default() };
        self.news.notify_waiters();
    }

    pub(super) fn make_ref(&self) -> String {
        let random = self.random();
        let code =
            format!("2@{},{}=,{}=,{}=,1", &random[..24], &random[24..40], &random[32..48], &random[48..]);
        let mut inner = self.inner();
        inner.refs.insert(code.clone(), None);
        inner.last_ref = Some(code.clone());
        code
    }

    /// Waits until a code is scanned, for `wait` at most; the device that the page is from now on.
    pub(super) async fn paired(&self, code: &str, wait: Duration) -> Option<String> {
        let scanned = async {
            loop {
                let news = self.news.notified();
                if let Some(device) = self.inner().refs.get(code).cloned().flatten() {
                    return device;
                }
                news.await;
            }
        };
        let device = tokio::time::timeout(wait, scanned).await.ok();
        // A code that is no longer shown can't be scanned.
        self.inner().refs.remove(code);
        device
    }

    /// A phone scans a code, the one shown last where none is given. Whether it is one that is shown.
    pub fn scan(&self, code: Option<&str>, account: &str) -> bool {
        let device = self.random();
        let mut inner = self.inner();
        let Some(code) = code.map(str::to_owned).or_else(|| inner.last_ref.clone()) else { return false };
        let Some(slot) = inner.refs.get_mut(&code).filter(|slot| slot.is_none()) else { return false };
        *slot = Some(device.clone());
        let account = digits(account);
        inner.accounts.entry(account.clone()).or_default();
        inner.devices.insert(device, account);
        drop(inner);
        self.news.notify_waiters();
        true
    }

    /// Something happens to the pages of an account, or of all: see `page.js`, `misdeeds`.
    pub fn happen(&self, account: Option<&str>, what: &str, to: Option<&str>) {
        let mut inner = self.inner();
        let account = account.map(digits);
        let meant = |name: &String| account.as_ref().is_none_or(|account| account == name);
        if what == "logout" {
            inner.devices.retain(|_, owner| !meant(owner));
        }
        for (_, account) in inner.accounts.iter_mut().filter(|(name, _)| meant(name)) {
            account.news.push(json!({ "happen": what, "to": to }));
        }
        drop(inner);
        self.news.notify_waiters();
    }

    pub(super) fn account_of(&self, device: Option<&str>) -> Option<String> {
        self.inner().devices.get(device?).cloned()
    }

    /// All chats of an account, and where its news go on.
    pub(super) fn chats(&self, account: &str) -> Value {
        let inner = self.inner();
        let Some(account_of) = inner.accounts.get(account) else { return Value::Null };
        let chats = account_of.chats.iter().map(|(phone, chat)| {
            let last = chat.messages.len().saturating_sub(TOLD);
            let name = chat.name.clone().unwrap_or_else(|| shown(phone));
            json!({ "phone": phone, "name": name, "unread": chat.unread, "at": chat.at, "messages": &chat.messages[last..] })
        });
        let chats: Vec<Value> = chats.collect();
        json!({ "account": account, "next": account_of.news.len(), "chats": chats })
    }

    pub(super) fn open(&self, account: &str, phone: &str) -> Value {
        let inner = self.inner();
        if inner.behaviour.is_invalid(phone) {
            return json!({ "exists": false });
        }
        let chat = inner.accounts.get(account).and_then(|account| account.chats.get(phone));
        let name = chat.and_then(|chat| chat.name.clone()).unwrap_or_else(|| shown(phone));
        let messages =
            chat.map_or(&[][..], |chat| &chat.messages[chat.messages.len().saturating_sub(TOLD)..]);
        json!({ "exists": true, "blocked": inner.behaviour.is_blocked(phone), "name": name, "messages": messages })
    }

    pub(super) fn read(&self, account: &str, phone: &str) {
        let mut inner = self.inner();
        if let Some(chat) = inner.accounts.get_mut(account).and_then(|account| account.chats.get_mut(phone)) {
            chat.unread = 0;
        }
    }

    /// Messages to all accounts that no page has shown.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let inner = self.inner();
        let chats = inner.accounts.values().flat_map(|account| account.chats.values());
        chats.map(|chat| u64::from(chat.unread)).sum()
    }

    /// News of an account behind place `after`; waits for some. `None` where the device is no longer linked.
    pub(super) async fn news(&self, device: &str, after: usize) -> Option<(Vec<Value>, usize)> {
        let some = async {
            loop {
                let news = self.news.notified();
                {
                    let inner = self.inner();
                    let account = inner.accounts.get(inner.devices.get(device)?)?;
                    let new = account.news.get(after..).unwrap_or_default();
                    if !new.is_empty() {
                        return Some((new.to_vec(), account.news.len()));
                    }
                }
                news.await;
            }
        };
        tokio::time::timeout(LONGEST_WAIT, some).await.unwrap_or(Some((Vec::new(), after)))
    }

    /// Takes a message, once for each id. Whether it was taken before.
    pub(super) fn accept(&self, account: &str, sending: &Sending) {
        let at = self.clock.now();
        let mut inner = self.inner();
        let phone = digits(&sending.phone);
        let Some(owner) = inner.accounts.get_mut(account) else { return };
        owner.count += 1;
        let chat = owner.chats.entry(phone.clone()).or_default();
        if chat.messages.iter().any(|message| message.id == sending.id) {
            return;
        }
        chat.at = owner.count;
        chat.messages.push(Message {
            id: sending.id.clone(),
            out: true,
            tick: 1,
            kind: sending.kind.clone(),
            text: sending.text.clone(),
            file: sending.file.clone(),
            author: None,
        });
        let order = inner.ledger.len() as u64 + 1;
        inner.ledger.push(LedgerEntry {
            order,
            at,
            account: account.to_owned(),
            recipient: format!("+{phone}"),
            id: sending.id.clone(),
            kind: sending.kind.clone(),
            text: sending.text.clone(),
            file: sending.file.clone(),
            size: sending.size,
        });
    }

    /// A message of ours is delivered (2) or read (3).
    pub(super) fn tick(&self, account: &str, phone: &str, id: &str, tick: u8) {
        let mut inner = self.inner();
        let Some(owner) = inner.accounts.get_mut(account) else { return };
        let Some(chat) = owner.chats.get_mut(&digits(phone)) else { return };
        let Some(message) = chat.messages.iter_mut().rev().find(|message| message.id == id) else { return };
        message.tick = message.tick.max(tick);
        let told = json!({ "phone": digits(phone), "message": message });
        owner.news.push(told);
        drop(inner);
        self.news.notify_waiters();
    }

    /// A person writes; the message's id, where there is an account to write to.
    pub fn inbound(&self, inbound: Inbound) -> Option<String> {
        let mut inner = self.inner();
        inner.inbound += 1;
        let id = format!("3AIN{:016X}", inner.inbound);
        let account = match &inbound.account {
            Some(account) => inner.accounts.get_mut(&digits(account)),
            None => inner.accounts.values_mut().next(),
        };
        let account = account?;
        account.count += 1;
        let from = digits(&inbound.from);
        let (phone, author) = match &inbound.group {
            Some(group) => (format!("{}@g.us", digits(group)), Some(from)),
            None => (from, None),
        };
        let chat = account.chats.entry(phone.clone()).or_default();
        chat.name = inbound.name.or(chat.name.take());
        chat.at = account.count;
        chat.unread += 1;
        let file = (inbound.kind == "document").then(|| "document.pdf".to_owned());
        let message = Message {
            id: id.clone(),
            out: false,
            tick: 0,
            kind: inbound.kind,
            text: inbound.text,
            file,
            author,
        };
        let name = chat.name.clone().unwrap_or_else(|| shown(&phone));
        account.news.push(json!({ "phone": phone, "name": name, "message": message }));
        chat.messages.push(message);
        drop(inner);
        self.news.notify_waiters();
        Some(id)
    }

    /// How many messages were taken.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.inner().ledger.len()
    }

    /// Up to `limit` entries of the ledger behind place `after` (0: from the first).
    #[must_use]
    pub fn ledger(&self, after: u64, limit: usize) -> Vec<LedgerEntry> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        self.inner().ledger.iter().skip(skip).take(limit).cloned().collect()
    }

    /// What was taken more than once: the same words and file to the same person.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let inner = self.inner();
        let mut places: BTreeMap<(&str, &str, Option<&str>), Vec<u64>> = BTreeMap::new();
        for entry in &inner.ledger {
            let said = (entry.recipient.as_str(), entry.text.as_str(), entry.file.as_deref());
            places.entry(said).or_default().push(entry.order);
        }
        let repeated = places.into_iter().filter(|(_, orders)| orders.len() > 1);
        let shown = repeated.map(|((_, text, _), orders)| Duplicate {
            message: text.to_owned(),
            count: orders.len() as u64,
            orders,
        });
        shown.collect()
    }
}

/// How a number without a name is shown.
fn shown(phone: &str) -> String {
    let cut = |from: usize, to: usize| phone.get(from..to.min(phone.len())).unwrap_or_default();
    let parts = [cut(0, 2), cut(2, 5), cut(5, 7), cut(7, 9), cut(9, usize::MAX)];
    format!("+{}", parts.join(" ").trim_end())
}
