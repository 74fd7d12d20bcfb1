//! News of a channel and its account: what a provider tells beside messages and their reports.
//!
//! Each keeps what can be acted on as values. Words that this version does not know stay as they came; the provider's own
//! object stands beside them, in [`crate::ChannelEvent`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Sender, Timestamp};

/// News of the channel itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ChannelNews {
    /// The session with the phone changed.
    Connection {
        /// How it is.
        state: ConnectionState,
        /// The provider's code for why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The account it is connected as, by the provider's spelling.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// The name in its profile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile_name: Option<String>,
    },
    /// A code to connect the phone with.
    Qr(QrCode),
    /// How well the line is thought of, and what it may do.
    Quality {
        /// The provider's word for what happened.
        event: String,
        /// How well: `GREEN`, `YELLOW`, `RED`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rating: Option<String>,
        /// New recipients a day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new_recipients: Option<NewRecipients>,
    },
    /// The name that people see was judged.
    Name {
        /// The name.
        name: String,
        /// The judgement, in the provider's word.
        decision: String,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The standing of the account changed.
    Standing {
        /// What is so now.
        standing: Standing,
        /// The provider's word for what happened.
        event: String,
        /// Why, in the provider's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Until when, or from when on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        date: Option<String>,
    },
    /// A warning or an advice of the provider.
    Alert {
        /// How bad, in the provider's word.
        severity: String,
        /// What about, in the provider's word.
        title: String,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Something about the account's security: a PIN changed.
    Security {
        /// The provider's word for it.
        event: String,
        /// Who did it, as the provider names them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// A code to connect a phone with. Whoever has it can take the line: it is shown to those who may, and `Debug` shows
/// nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QrCode {
    /// What the QR shows.
    pub code: String,
    /// The code to type instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing_code: Option<String>,
    /// When it came: it lasts for less than a minute.
    pub at: Timestamp,
}

/// How the session with a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Under way.
    Connecting,
    /// It works.
    Open,
    /// It does not, and the provider tries again by itself.
    Closed,
    /// It does not, and a person has to connect the phone again.
    LoggedOut,
    /// The account may not connect.
    Banned,
    /// The QR was shown too often: a person has to ask for another.
    QrRefused,
}

/// How many new recipients a business may write to in 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewRecipients {
    /// So many.
    AtMost(u64),
    /// Any number.
    Unlimited,
}

impl NewRecipients {
    /// Reads `TIER_250`, `TIER_2K`, `TIER_UNLIMITED`, `2000`, `-1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<NewRecipients> {
        let tier = text.strip_prefix("TIER_").unwrap_or(text);
        if tier == "UNLIMITED" || tier == "-1" {
            return Some(NewRecipients::Unlimited);
        }
        let number: u64 = match tier.strip_suffix('K') {
            Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1_000)?,
            None => tier.parse().ok()?,
        };
        Some(NewRecipients::AtMost(number))
    }
}

/// The standing of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing stands against sending, after something did.
    Restored,
    /// A ban is announced.
    BanScheduled,
    /// Banned: nothing can be sent.
    Banned,
    /// Some sending is not allowed for a time.
    Restricted,
    /// A rule was broken.
    Warned,
    /// The account is gone, or no longer ours to use.
    Gone,
    /// Another, in the provider's word only.
    Other,
}

/// News of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateNews {
    /// The provider's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What happened.
    pub change: TemplateChange,
}

/// What happened to a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum TemplateChange {
    /// Its status is another.
    Status {
        /// The provider's word: `APPROVED`, `PAUSED`, …
        status: String,
        /// Whether it may be sent with now; `None` where the word is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usable: Option<bool>,
        /// Why, in the provider's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// People like it more, or less.
    Quality {
        /// Until now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// From now on.
        to: String,
    },
    /// It is billed in another category.
    Category {
        /// Until now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// From now on, or from then on.
        to: String,
        /// When, where it is announced only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announced_for: Option<Timestamp>,
    },
    /// It says something else.
    Components,
}

/// What a person wants to get of the business, said to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// Who.
    pub who: Sender,
    /// Of which messages: `marketing_messages`.
    pub category: String,
    /// What they want.
    pub wish: Wish,
    /// When they said so.
    pub at: Timestamp,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// No more of them.
    Stop,
    /// To get them, again or for the first time.
    Resume,
    /// Another, in the provider's word.
    Other(String),
}

/// News of people: what they are called, and by which ids they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonNews {
    /// All that is known of them now: ids that stand together are one person's.
    pub who: Sender,
    /// Ids that they had, and have no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formerly: Option<Sender>,
    /// When.
    pub at: Timestamp,
}

impl ConnectionState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Open => "open",
            ConnectionState::Closed => "closed",
            ConnectionState::LoggedOut => "logged_out",
            ConnectionState::Banned => "banned",
            ConnectionState::QrRefused => "qr_refused",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QrCode").field("at", &self.at).finish_non_exhaustive()
    }
}
