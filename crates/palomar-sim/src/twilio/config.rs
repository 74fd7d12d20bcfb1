//! How a simulated Twilio behaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::misbehaviour::Faults;
use crate::behaviour::Statuses;
use crate::courier::Webhooks;
use crate::span::{InvalidSetting, Latency, parse_span, span_text};
use crate::window::Windows;

/// All settings of the simulator. [`Config::default`] is Twilio's own behaviour with every message delivered and read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The account that exists; none: every `AC…` does.
    pub account_sid: Option<String>,
    /// The account's token: calls are made with it, and webhooks signed.
    pub auth_token: String,
    /// The numbers that may send, with their plus; none: every number.
    pub senders: Vec<String>,
    /// Where people's messages go, and reports on messages that name no address of their own.
    pub webhook_url: Option<String>,
    /// How long each answer takes. A message is accepted first, then the answer waits.
    pub latency: Latency,
    /// How fast a sender's messages leave Twilio, and how many wait there.
    pub queue: SenderQueue,
    /// Messages of the whole account that Twilio takes: 63017.
    pub account: Windows,
    /// Messages of the whole account in a day: 63038.
    pub daily: Windows,
    /// Requests at once: 20429.
    pub concurrency: u64,
    /// The faults it starts with.
    pub faults: Faults,
    /// The statuses that follow an accepted message. Each is a POST of its own: `batch` says nothing here.
    pub statuses: Statuses,
    /// How webhooks are posted. They are tried once, and so often again as their address asks for (`#rc=5`).
    pub webhooks: Webhooks,
    /// Free-form messages to a person who did not write in the last 24 hours fail with 63016.
    pub enforce_window: bool,
    /// Magic recipients are honoured (see the crate's page).
    pub magic: bool,
    /// Keep the bodies in the ledger; the list of messages is made of them.
    pub keep_bodies: bool,
    /// The seed of all chance.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            account_sid: None,
            auth_token: "0123456789abcdef0123456789abcdef".to_owned(),
            senders: Vec::new(),
            webhook_url: None,
            latency: Latency::NONE,
            queue: SenderQueue::default(),
            account: Windows::per(2000, Duration::from_secs(1)),
            daily: Windows::off(),
            concurrency: 100,
            faults: Faults::default(),
            statuses: Statuses::default(),
            webhooks: Webhooks::default(),
            enforce_window: false,
            magic: true,
            keep_bodies: true,
            seed: 1,
        }
    }
}

/// A sender's queue at Twilio: one message leaves it every so often, and no more are taken than leave it in so long
/// (21611). As text `100ms/4h` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderQueue {
    /// The time between two messages; zero: none.
    pub every: Duration,
    /// The longest wait.
    pub holds: Duration,
}

impl SenderQueue {
    /// No waiting.
    pub const OFF: SenderQueue = SenderQueue { every: Duration::ZERO, holds: Duration::ZERO };
}

impl Default for SenderQueue {
    fn default() -> SenderQueue {
        SenderQueue { every: Duration::from_millis(100), holds: Duration::from_secs(4 * 3600) }
    }
}

impl FromStr for SenderQueue {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<SenderQueue, InvalidSetting> {
        if text == "off" {
            return Ok(SenderQueue::OFF);
        }
        let invalid = || InvalidSetting::new("a queue like 100ms/4h or off", text);
        let (every, holds) = text.split_once('/').ok_or_else(invalid)?;
        Ok(SenderQueue { every: parse_span(every)?, holds: parse_span(holds)? })
    }
}

impl fmt::Display for SenderQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.every.is_zero() {
            return f.write_str("off");
        }
        write!(f, "{}/{}", span_text(self.every), span_text(self.holds))
    }
}
