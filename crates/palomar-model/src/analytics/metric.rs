//! The things that are counted, and the ways that are timed. Their codes are what is stored: they never change.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Something that happened, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A message was accepted.
    Accepted,
    /// The provider took a message, for the first time.
    Sent,
    /// It was on the device, for the first time.
    Delivered,
    /// It was read, for the first time.
    Read,
    /// It failed: no further attempt, or the provider reported it.
    Failed,
    /// One that had failed goes on.
    Recovered,
    /// What became of it is not known.
    Uncertain,
    /// It was called off.
    Cancelled,
    /// It was no longer worth sending.
    Expired,
    /// Somebody wrote.
    Received,
    /// The business wrote, elsewhere.
    Echoed,
    /// An attempt started.
    Attempts,
    /// An attempt failed.
    AttemptsFailed,
    /// A message is known to have gone out twice.
    Duplicates,
    /// A conversation began.
    ConversationsNew,
    /// A person wrote and waits for an answer.
    ConversationsAsked,
    /// Somebody who waited was answered.
    ConversationsAnswered,
}

/// A way that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From when a message was due until its first attempt started.
    QueueWait,
    /// From the start of an attempt until its outcome.
    ProviderLatency,
    /// From when a message was accepted, or due, until the provider took it.
    AcceptedToSent,
    /// From there to the device.
    SentToDelivered,
    /// From there until it was read.
    DeliveredToRead,
    /// From a person's first words until the first answer.
    FirstResponse,
    /// From a person's words until the answer, each time.
    Response,
}

/// A word that names no metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a metric")]
pub struct UnknownMetric;

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 17] = [
        Metric::Accepted,
        Metric::Sent,
        Metric::Delivered,
        Metric::Read,
        Metric::Failed,
        Metric::Recovered,
        Metric::Uncertain,
        Metric::Cancelled,
        Metric::Expired,
        Metric::Received,
        Metric::Echoed,
        Metric::Attempts,
        Metric::AttemptsFailed,
        Metric::Duplicates,
        Metric::ConversationsNew,
        Metric::ConversationsAsked,
        Metric::ConversationsAnswered,
    ];

    /// What it is stored as.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Metric::Accepted => "accepted",
            Metric::Sent => "sent",
            Metric::Delivered => "delivered",
            Metric::Read => "read",
            Metric::Failed => "failed",
            Metric::Recovered => "recovered",
            Metric::Uncertain => "uncertain",
            Metric::Cancelled => "cancelled",
            Metric::Expired => "expired",
            Metric::Received => "received",
            Metric::Echoed => "echoed",
            Metric::Attempts => "attempts",
            Metric::AttemptsFailed => "attempts_failed",
            Metric::Duplicates => "duplicates",
            Metric::ConversationsNew => "conversations_new",
            Metric::ConversationsAsked => "conversations_asked",
            Metric::ConversationsAnswered => "conversations_answered",
        }
    }
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 7] = [
        Stage::QueueWait,
        Stage::ProviderLatency,
        Stage::AcceptedToSent,
        Stage::SentToDelivered,
        Stage::DeliveredToRead,
        Stage::FirstResponse,
        Stage::Response,
    ];

    /// What it is stored as.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::QueueWait => "queue_wait",
            Stage::ProviderLatency => "provider_latency",
            Stage::AcceptedToSent => "accepted_to_sent",
            Stage::SentToDelivered => "sent_to_delivered",
            Stage::DeliveredToRead => "delivered_to_read",
            Stage::FirstResponse => "first_response",
            Stage::Response => "response",
        }
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Metric, UnknownMetric> {
        Metric::ALL.into_iter().find(|metric| metric.as_str() == text).ok_or(UnknownMetric)
    }
}

impl FromStr for Stage {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Stage, UnknownMetric> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or(UnknownMetric)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why messages failed: counted beside [`Metric::Failed`], under a code of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureReason {
    /// Why no further attempt is made (`recipient`, `attempts_exhausted`, …), or `reported` by the provider.
    pub class: String,
    /// The provider's code, or nothing.
    pub code: String,
}

/// Codes from here on are those of reasons.
const REASONS_FROM: u64 = 64;
/// Longer words are no words of ours or of a provider.
const LONGEST: usize = 64;

impl FailureReason {
    /// A reason, as it is kept.
    #[must_use]
    pub fn new(class: &str, code: Option<&str>) -> FailureReason {
        let kept = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        FailureReason { class: kept(class), code: kept(code.unwrap_or_default()) }
    }

    /// What it is stored as, where the sum of its words (`sum`) is this.
    #[must_use]
    pub const fn code_of(sum: u64) -> u64 {
        REASONS_FROM + (sum >> 24)
    }

    /// Whether what is stored so is a reason.
    #[must_use]
    pub const fn is_one(code: u64) -> bool {
        code >= REASONS_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_are_each_one_s_own() {
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!((metric.code(), metric.as_str().parse()), (place as u64, Ok(metric)));
            assert!(!FailureReason::is_one(metric.code()));
        }
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!((stage.code() as usize, stage.as_str().parse()), (place, Ok(stage)));
        }
        assert_eq!("sents".parse::<Metric>(), Err(UnknownMetric));
    }
}
