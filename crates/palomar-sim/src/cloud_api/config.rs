//! How a simulated Cloud API behaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::misbehaviour::Faults;
pub use super::template::Template;
use crate::behaviour::Statuses;
use crate::courier::Webhooks;
use crate::span::{InvalidSetting, Latency, parse_span, span_text};
use crate::window::Windows;

/// A business phone number of the simulated account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    /// The phone number id: it stands in the path.
    pub id: String,
    /// The number itself, digits only.
    pub display: String,
}

/// All settings of the simulator. [`Config::default`] is Meta's own behaviour with every message delivered and read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bearer token that is accepted; none: any that is not empty.
    pub access_token: Option<String>,
    /// The app secret that signs webhooks and media addresses.
    pub app_secret: String,
    /// Where webhooks go; none: nowhere, until set while running.
    pub webhook_url: Option<String>,
    /// The WhatsApp business account id in webhooks.
    pub business_account_id: String,
    /// The phone numbers that exist; none: every id of digits exists.
    pub phone_numbers: Vec<PhoneNumber>,
    /// The country code of the business numbers: goes in front of a recipient written without a plus.
    pub country_code: String,
    /// The templates that exist; none: every name exists (but for the magic ones).
    pub templates: Vec<Template>,
    /// How long each answer takes. A message is accepted first, then the answer waits.
    pub latency: Latency,
    /// Messages per phone number id, in and out.
    pub throughput: Windows,
    /// Messages from one number to one person.
    pub pair: PairLimit,
    /// The faults it starts with.
    pub faults: Faults,
    /// The statuses that follow an accepted message.
    pub statuses: Statuses,
    /// How webhooks are posted.
    pub webhooks: Webhooks,
    /// Free-form messages to a person who did not write in the last 24 hours fail with 131047.
    pub enforce_window: bool,
    /// Media ids in messages must have been uploaded.
    pub check_media: bool,
    /// Magic recipients are honoured (see the crate's page).
    pub magic: bool,
    /// Keep the bodies in the ledger.
    pub keep_bodies: bool,
    /// The seed of all chance.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            access_token: None,
            app_secret: "app-secret-1".to_owned(),
            webhook_url: None,
            business_account_id: "777000111222333".to_owned(),
            phone_numbers: Vec::new(),
            country_code: "1".to_owned(),
            templates: Vec::new(),
            latency: Latency::NONE,
            throughput: Windows::per(80, Duration::from_secs(1)),
            pair: PairLimit::default(),
            faults: Faults::default(),
            statuses: Statuses::default(),
            webhooks: Webhooks::default(),
            enforce_window: false,
            check_media: false,
            magic: true,
            keep_bodies: true,
            seed: 1,
        }
    }
}

/// One message per `every` to the same person, with a burst that is borrowed: after `n` messages within one `every`,
/// the next may go when `n` times `every` has passed since the first. As text `6s/45` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairLimit {
    /// The time that one message costs; zero: no limit.
    pub every: Duration,
    /// The largest burst; 1 allows none.
    pub burst: u32,
}

impl PairLimit {
    /// No limit.
    pub const OFF: PairLimit = PairLimit { every: Duration::ZERO, burst: 1 };
}

impl Default for PairLimit {
    fn default() -> PairLimit {
        PairLimit { every: Duration::from_secs(6), burst: 45 }
    }
}

impl FromStr for PairLimit {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<PairLimit, InvalidSetting> {
        if text == "off" {
            return Ok(PairLimit::OFF);
        }
        let invalid = || InvalidSetting::new("a pair limit like 6s, 6s/45 or off", text);
        let (every, burst) = text.split_once('/').unwrap_or((text, "1"));
        let limit = PairLimit { every: parse_span(every)?, burst: burst.parse().map_err(|_| invalid())? };
        if limit.burst == 0 { Err(invalid()) } else { Ok(limit) }
    }
}

impl fmt::Display for PairLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.every.is_zero() {
            f.write_str("off")
        } else {
            write!(f, "{}/{}", span_text(self.every), self.burst)
        }
    }
}
