//! What went wrong with an attempt, and the one decision what to do next.
//!
//! Providers' answers become an [`ErrorClass`] in `palomar-channels`; nothing else is decided on. An attempt is made
//! again only where its failure is *known not to have been taken* by the provider ([`ErrorClass::known_not_taken`]).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kinds of failure that make a difference to what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum ErrorClass {
    /// This recipient cannot get it: final.
    Recipient,
    /// This content cannot be sent: final.
    Content,
    /// Too fast: the scope slows down, the message waits and loses no attempt.
    Throttled {
        /// How long, where the provider says so.
        after: Option<Duration>,
        /// What is too fast.
        scope: Scope,
    },
    /// A passing fault; the provider did not take the message.
    Transient,
    /// Token or permission: the channel stops, the message waits.
    Auth,
    /// The account itself, its payment or registration: the channel stops, the message waits.
    Account,
    /// Only a template may be sent to this recipient now: final as it is.
    NeedsTemplate,
    /// The provider may have taken it.
    Unknown,
}

/// What a limit is counted over, from the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Our number and this recipient.
    Pair,
    /// This template.
    Template,
    /// The channel: our number.
    Channel,
    /// The business account.
    Account,
    /// The app, or everything.
    App,
}

impl ErrorClass {
    /// The word for it, as in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorClass::Recipient => "recipient",
            ErrorClass::Content => "content",
            ErrorClass::Throttled { .. } => "throttled",
            ErrorClass::Transient => "transient",
            ErrorClass::Auth => "auth",
            ErrorClass::Account => "account",
            ErrorClass::NeedsTemplate => "needs_template",
            ErrorClass::Unknown => "unknown",
        }
    }

    /// Whether the provider certainly did not take the message.
    #[must_use]
    pub const fn known_not_taken(self) -> bool {
        !matches!(self, ErrorClass::Unknown)
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct SendFailure {
    /// What kind.
    #[serde(flatten)]
    pub class: ErrorClass,
    /// The provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What happened, in a few words.
    pub title: String,
    /// What else the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl SendFailure {
    /// A failure without a code.
    pub fn new(class: ErrorClass, title: impl Into<String>) -> SendFailure {
        SendFailure { class, code: None, title: title.into(), detail: None }
    }

    /// The same with the provider's code.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> SendFailure {
        SendFailure { code: Some(code.into()), ..self }
    }

    /// The same with more words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> SendFailure {
        SendFailure { detail: Some(detail.into()), ..self }
    }

    /// Whether the provider certainly did not take the message.
    #[must_use]
    pub const fn known_not_taken(&self) -> bool {
        self.class.known_not_taken()
    }
}

impl fmt::Display for SendFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = self.detail.as_deref().filter(|detail| *detail != self.title) {
            write!(f, ": {detail}")?;
        }
        if let Some(code) = &self.code {
            write!(f, " (code {code})")?;
        }
        Ok(())
    }
}
