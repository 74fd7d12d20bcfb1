//! A provider inside the program: nothing leaves the machine, and everything happens as with a real one.
//!
//! It takes every message, reports it delivered and read a little later, and answers a text that begins with `echo ` by
//! an inbound message. It takes one tag only once. These numbers fail on purpose, by the attempt's number alone:
//!
//! | recipient | what happens |
//! |---|---|
//! | `+34600000001` | refused for good: not on WhatsApp |
//! | `+34600000002` | a passing fault, twice; then taken |
//! | `+34600000003` | throttled at the first attempt, for 2 s; then taken |
//! | `+34600000004` | the token is refused: the channel stops |
//! | `+34600000005` | taken, but the answer is lost; the statuses come with the tag |
//! | `+34600000006` | taken, then reported failed |
//! | `+34600000007` | never answers: the deadline ends it |

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_model::{
    ChannelEvent, Clock, Content, ErrorClass, FieldError, InboundContent, InboundMessage, InboundWords,
    Outbound, Phone, Provider, ProviderError, ProviderMessageId, Received, Recipient, ReportedStatus, Scope,
    SendFailure, Sender, Status, StatusReport, Tag, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::channel::{
    BoxFuture, Channel, Delivery, Lookup, Parsed, RateLimit, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};

/// How many messages are remembered, and with them the tags that are known again.
const LEDGER: usize = 10_000;
/// The word that a text begins with to come back.
const ECHO: &str = "echo ";

/// The settings of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// From taken to reported delivered, in milliseconds.
    pub delivered_after_ms: u64,
    /// From taken to reported read, in milliseconds.
    pub read_after_ms: u64,
}

impl Default for SandboxConfig {
    fn default() -> SandboxConfig {
        SandboxConfig { delivered_after_ms: 300, read_after_ms: 700 }
    }
}

/// Where the sandbox's events go: what a webhook is to other providers.
pub trait SandboxSink: Send + Sync {
    /// Takes one event. When it returns, the event is kept.
    fn take(&self, received: Received) -> BoxFuture<'_, ()>;
}

impl SandboxSink for tokio::sync::mpsc::Sender<Received> {
    fn take(&self, received: Received) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Whoever listened is gone, and with them the interest in the event.
            let _ = self.send(received).await;
        })
    }
}

/// A message that the sandbox took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The attempt that brought it.
    pub tag: Tag,
    /// Whom it is for.
    pub to: Recipient,
    /// When it was taken.
    pub at: Timestamp,
}

/// The provider inside the program. Clones share one ledger.
#[derive(Clone)]
pub struct Sandbox {
    config: SandboxConfig,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn SandboxSink>,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Default)]
struct Ledger {
    order: VecDeque<Tag>,
    taken: HashMap<Tag, Entry>,
}

impl Ledger {
    /// Whether the tag is new; then it is written down, and the oldest forgotten.
    fn take(&mut self, entry: Entry) -> bool {
        let tag = entry.tag;
        if self.taken.contains_key(&tag) {
            return false;
        }
        if self.order.len() >= LEDGER {
            self.order.pop_front().and_then(|oldest| self.taken.remove(&oldest));
        }
        self.order.push_back(tag);
        self.taken.insert(tag, entry);
        true
    }
}

/// What the recipient's number asks for.
enum Fate {
    Take,
    LoseTheAnswer,
    FailLater,
    Hang,
    Refuse(SendFailure),
}

fn fate(to: &Recipient, attempt: u32) -> Fate {
    let refuse =
        |class, code: &str, title: &str| Fate::Refuse(SendFailure::new(class, title).with_code(code));
    let after = Some(Duration::from_secs(2));
    match to.phone().map(Phone::e164) {
        Some("+34600000001") => refuse(ErrorClass::Recipient, "131026", "Message undeliverable"),
        Some("+34600000002") if attempt <= 2 => {
            refuse(ErrorClass::Transient, "131016", "Service unavailable")
        }
        Some("+34600000003") if attempt == 1 => {
            let class = ErrorClass::Throttled { after, scope: Scope::Pair };
            refuse(class, "131056", "Pair rate limit hit")
        }
        Some("+34600000004") => refuse(ErrorClass::Auth, "190", "Access token expired"),
        Some("+34600000005") => Fate::LoseTheAnswer,
        Some("+34600000006") => Fate::FailLater,
        Some("+34600000007") => Fate::Hang,
        _ => Fate::Take,
    }
}

impl Sandbox {
    /// A sandbox whose events go to `sink`, at times that `clock` shows.
    pub fn new(config: SandboxConfig, clock: Arc<dyn Clock>, sink: Arc<dyn SandboxSink>) -> Sandbox {
        Sandbox { config, clock, sink, ledger: Arc::default() }
    }

    /// What was taken, the oldest first; the newest 10 000.
    #[must_use]
    pub fn ledger(&self) -> Vec<Entry> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.order.iter().filter_map(|tag| ledger.taken.get(tag).cloned()).collect()
    }

    fn knows(&self, tag: &Tag) -> bool {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).taken.contains_key(tag)
    }

    /// Takes the message, unless its tag was taken before, and sets in motion what follows.
    fn take(&self, message: &Outbound, tag: Tag, fails: bool) -> Sent {
        let entry = Entry { tag, to: message.to.clone(), at: self.clock.now() };
        if self.ledger.lock().unwrap_or_else(PoisonError::into_inner).take(entry) {
            tokio::spawn(self.clone().aftermath(message.clone(), tag, fails));
        }
        sent(tag, &message.to)
    }

    async fn aftermath(self, message: Outbound, tag: Tag, fails: bool) {
        let to = message.to.expose();
        let delivered = Duration::from_millis(self.config.delivered_after_ms);
        let read = Duration::from_millis(self.config.read_after_ms).saturating_sub(delivered);
        self.report(tag, to, ReportedStatus::Sent).await;
        tokio::time::sleep(delivered).await;
        if fails {
            return self.report(tag, to, ReportedStatus::Failed).await;
        }
        self.report(tag, to, ReportedStatus::Delivered).await;
        if let Some(echo) = echo(&message, self.clock.now()) {
            self.tell(ChannelEvent::Message(Box::new(echo))).await;
        }
        // A reaction is never read.
        if !matches!(message.content, Content::Reaction(_)) {
            tokio::time::sleep(read).await;
            self.report(tag, to, ReportedStatus::Read).await;
        }
    }

    async fn report(&self, tag: Tag, to: &str, status: ReportedStatus) {
        let error = ProviderError {
            code: Some("131026".to_owned()),
            title: "Message undeliverable".to_owned(),
            detail: Some("the sandbox fails this number on purpose".to_owned()),
            class: Some(ErrorClass::Recipient),
        };
        let report = StatusReport {
            tag: Some(tag),
            recipient: Some(to.to_owned()),
            errors: if status == ReportedStatus::Failed { vec![error] } else { Vec::new() },
            ..StatusReport::new(provider_id(tag), Status::Known(status), self.clock.now())
        };
        self.tell(ChannelEvent::Status(Box::new(report))).await;
    }

    async fn tell(&self, event: ChannelEvent) {
        self.sink.take(Received::on(None, event)).await;
    }
}

fn provider_id(tag: Tag) -> ProviderMessageId {
    ProviderMessageId(format!("sandbox.{tag}").into())
}

fn sent(tag: Tag, to: &Recipient) -> Sent {
    let alias = to.phone().map(|phone| phone.digits().to_owned());
    Sent { provider_id: provider_id(tag), alias, status: None }
}

/// What a text that begins with `echo ` brings back.
fn echo(message: &Outbound, at: Timestamp) -> Option<InboundMessage> {
    let Content::Text(text) = &message.content else {
        return None;
    };
    let start = text.text.get(..ECHO.len())?;
    let words = text.text.get(ECHO.len()..).filter(|_| start.eq_ignore_ascii_case(ECHO))?;
    let id = format!("sandbox.echo.{}", message.id);
    let (phone, bsuid) = match &message.to {
        Recipient::Phone(phone) => (Some(phone.clone()), None),
        Recipient::Bsuid(bsuid) => (None, Some(bsuid.clone())),
    };
    let wa_id = phone.as_ref().map(|phone| phone.digits().to_owned());
    let raw = serde_json::json!({"id": id, "from": wa_id, "type": "text", "text": {"body": words}});
    let from = Sender { phone, wa_id, bsuid, name: Some("Sandbox".to_owned()), ..Sender::default() };
    let content = InboundContent::Text(InboundWords { text: words.to_owned() });
    Some(InboundMessage::new(ProviderMessageId(id.into()), from, at, "text", content, raw))
}

impl Channel for Sandbox {
    fn provider(&self) -> Provider {
        Provider::Sandbox
    }

    fn profile(&self) -> RateProfile {
        let limit = RateLimit { scope: Scope::Channel, count: 1000, window: Duration::from_secs(1) };
        RateProfile { limits: vec![limit], concurrency: 256 }
    }

    fn validate(&self, _: &Recipient, content: &Content) -> Vec<FieldError> {
        content.validate_common()
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            if self.knows(&tag) {
                return Ok(sent(tag, &message.to));
            }
            match fate(&message.to, tag.attempt) {
                Fate::Refuse(failure) => Err(failure),
                Fate::Hang => std::future::pending().await,
                Fate::Take => Ok(self.take(message, tag, false)),
                Fate::FailLater => Ok(self.take(message, tag, true)),
                Fate::LoseTheAnswer => {
                    self.take(message, tag, false);
                    Err(SendFailure::new(ErrorClass::Unknown, "the sandbox lost its answer on purpose"))
                }
            }
        })
    }

    fn unknown_is_repeatable(&self) -> bool {
        true
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        let found = if self.knows(&tag) { Lookup::Taken(sent(tag, &message.to)) } else { Lookup::NotTaken };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn verify(&self, _: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Err(WebhookError::Forbidden)
    }

    fn parse(&self, _: &Delivery<'_>) -> Parsed {
        Parsed::default()
    }
}

#[cfg(test)]
mod tests;
