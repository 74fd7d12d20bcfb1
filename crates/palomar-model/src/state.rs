//! The states of an outbound message, and the one fold that moves it between them.
//!
//! Always: a state never goes back but by a person's retry or by an attempt known not to have been taken. Reports of the
//! provider come in any order and more than once; any order of one set of them ends in the same state.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an outbound message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Due later.
    Scheduled,
    /// Due; waits for its turn, also between attempts.
    Queued,
    /// An attempt has started.
    Sending,
    /// An attempt has started and its outcome is not known.
    Uncertain,
    /// The provider took it.
    Sent,
    /// The provider reports it on the device.
    Delivered,
    /// The provider reports it read.
    Read,
    /// No further attempt, but by a person's order.
    Failed,
    /// Called off before an attempt.
    Cancelled,
    /// Was no longer worth sending before an attempt.
    Expired,
}

/// What a provider says became of a message it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedStatus {
    /// It left the provider.
    Sent,
    /// It is on the device.
    Delivered,
    /// It was shown; implies delivered.
    Read,
    /// A voice note was played; implies read.
    Played,
    /// It was not delivered and will not be.
    Failed,
}

/// Something that happened to an outbound message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It was accepted, for later or for now.
    Accepted {
        /// Whether for later.
        scheduled: bool,
    },
    /// Its time came.
    Due,
    /// An attempt started.
    Started {
        /// Its number, from 1.
        attempt: u32,
    },
    /// The attempt is known not to have been taken: queued again.
    Released,
    /// The provider took it: an answer, or later evidence of one.
    Sent,
    /// The attempt's outcome is not known.
    UncertainOutcome,
    /// The provider reports. A report on an attempt older than the newest must not be given here unless it is a success.
    Reported(ReportedStatus),
    /// We gave up.
    Failed,
    /// Somebody called it off.
    Cancelled,
    /// Its `expiresAt` passed.
    Expired,
    /// A person, or the policy for uncertain messages, ordered a further attempt.
    Retried,
}

/// What a fact did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The message is in this state now.
    Moved(MessageState),
    /// It stays where it is.
    Unchanged(Unchanged),
}

/// Why a fact moved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// It says what was known: a repetition, or less than what is known.
    Known,
    /// A failure reported after `delivered` or `read`: to be logged.
    FailureAfterDelivery,
    /// The message's end was `cancelled` or `expired`.
    Final,
    /// The fact does not follow from this state: to be refused where it is an order (409), else logged.
    NotFromHere,
}

use MessageState::{
    Cancelled, Delivered, Expired, Failed, Queued, Read, Scheduled, Sending, Sent, Uncertain,
};

impl MessageState {
    /// All states.
    pub const ALL: [MessageState; 10] =
        [Scheduled, Queued, Sending, Uncertain, Sent, Delivered, Read, Failed, Cancelled, Expired];

    /// The state in which a message is accepted.
    #[must_use]
    pub const fn accepted(scheduled: bool) -> MessageState {
        if scheduled { Scheduled } else { Queued }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheduled => "scheduled",
            Queued => "queued",
            Sending => "sending",
            Uncertain => "uncertain",
            Sent => "sent",
            Delivered => "delivered",
            Read => "read",
            Failed => "failed",
            Cancelled => "cancelled",
            Expired => "expired",
        }
    }

    /// Whether the queue holds nothing of it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Sent | Delivered | Read | Failed | Cancelled | Expired)
    }

    /// Whether it may be called off.
    #[must_use]
    pub const fn can_cancel(self) -> bool {
        matches!(self, Scheduled | Queued)
    }

    /// What `fact` makes of a message in this state.
    #[must_use]
    pub fn apply(self, fact: &Fact) -> Applied {
        let to = match (self, *fact) {
            (_, Fact::Reported(status)) => return self.reported(status),
            // Evidence is never refused before the end; what is later than `sent` knows it already.
            (Scheduled | Queued | Sending | Uncertain, Fact::Sent) => Sent,
            (Sent | Delivered | Read | Failed, Fact::Sent) => return Applied::Unchanged(Unchanged::Known),
            (Scheduled, Fact::Due) => Queued,
            // A start implies that the message was due.
            (Scheduled | Queued, Fact::Started { .. }) => Sending,
            (Sending, Fact::Released) => Queued,
            (Sending, Fact::UncertainOutcome) => Uncertain,
            (Queued | Sending | Uncertain, Fact::Failed) => Failed,
            (Scheduled | Queued, Fact::Cancelled) => Cancelled,
            (Scheduled | Queued, Fact::Expired) => Expired,
            (Failed | Uncertain, Fact::Retried) => Queued,
            // A status overtook the attempt's own answer: it knew more.
            (Sent | Delivered | Read, Fact::UncertainOutcome) => return Applied::Unchanged(Unchanged::Known),
            (_, Fact::Accepted { .. }) => return Applied::Unchanged(Unchanged::Known),
            (state, fact) => return Applied::Unchanged(state.why_not(fact)),
        };
        Applied::Moved(to)
    }

    /// The state after `fact`, moved or not.
    #[must_use]
    pub fn after(self, fact: &Fact) -> MessageState {
        match self.apply(fact) {
            Applied::Moved(to) => to,
            Applied::Unchanged(_) => self,
        }
    }

    fn reported(self, status: ReportedStatus) -> Applied {
        if matches!(self, Cancelled | Expired) {
            return Applied::Unchanged(Unchanged::Final);
        }
        let to = match status {
            ReportedStatus::Sent => Sent,
            ReportedStatus::Delivered => Delivered,
            ReportedStatus::Read | ReportedStatus::Played => Read,
            ReportedStatus::Failed => Failed,
        };
        if to.certainty() > self.certainty() {
            Applied::Moved(to)
        } else if to == Failed && self != Failed {
            Applied::Unchanged(Unchanged::FailureAfterDelivery)
        } else {
            Applied::Unchanged(Unchanged::Known)
        }
    }

    /// The order of what reports can say. `failed` beats `sent`; being on the device beats `failed`.
    const fn certainty(self) -> u8 {
        match self {
            Scheduled | Queued | Sending | Uncertain => 0,
            Sent => 1,
            Failed => 2,
            Delivered => 3,
            Read => 4,
            Cancelled | Expired => u8::MAX,
        }
    }

    const fn why_not(self, fact: Fact) -> Unchanged {
        match (self, fact) {
            (Cancelled, Fact::Cancelled) | (Expired, Fact::Expired) | (Failed, Fact::Failed) => {
                Unchanged::Known
            }
            (Queued, Fact::Due | Fact::Retried) | (Uncertain, Fact::UncertainOutcome) => Unchanged::Known,
            (Delivered | Read, Fact::Failed) => Unchanged::FailureAfterDelivery,
            (Cancelled | Expired, _) => Unchanged::Final,
            _ => Unchanged::NotFromHere,
        }
    }
}

impl ReportedStatus {
    /// All of them.
    pub const ALL: [ReportedStatus; 5] = [
        ReportedStatus::Sent,
        ReportedStatus::Delivered,
        ReportedStatus::Read,
        ReportedStatus::Played,
        ReportedStatus::Failed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ReportedStatus::Sent => "sent",
            ReportedStatus::Delivered => "delivered",
            ReportedStatus::Read => "read",
            ReportedStatus::Played => "played",
            ReportedStatus::Failed => "failed",
        }
    }
}

/// A word that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown state (expected scheduled, queued, sending, uncertain, sent, delivered, read, failed, cancelled or expired)"
)]
pub struct UnknownState;

impl FromStr for MessageState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<MessageState, UnknownState> {
        MessageState::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ReportedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
