//! Steps of a campaign after its first message: who gets another, and when that is decided. Functions of values.
//!
//! Always: somebody is decided of when the time after the message before has passed, and not before; whoever got no message of a
//! step gets none of the next.

use std::time::Duration;

use palomar_model::{FieldError, MessageState, Timestamp};
use palomar_records::{SEND, Sending};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::Variant;
use super::input::Said;

/// Steps that a campaign has beside the first.
const MOST_STEPS: usize = 5;
/// The longest time after the message before.
const LONGEST: u64 = 90 * 24 * 3600;
/// What is under way is looked at again after a hundredth of a step's time; within these bounds.
const GRAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// To whom a step is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FollowWhen {
    /// To those who did not read the message before.
    NotRead,
    /// To those who did not write since the message before.
    NoAnswer,
}

/// A step after the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUp {
    /// So many seconds after the message before was sent.
    pub after_seconds: u64,
    /// To whom.
    pub when: FollowWhen,
    /// What it says.
    #[serde(flatten)]
    pub says: Variant,
}

/// A step as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FollowUpInput {
    /// So many seconds after the message before was sent.
    pub after_seconds: u64,
    /// To whom.
    pub when: FollowWhen,
    /// A text.
    #[serde(default)]
    pub message: Option<String>,
    /// A template, in place of a text.
    #[serde(default)]
    pub template: Option<Value>,
    /// The type of `content`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Any content, in place of a text.
    #[serde(default)]
    pub content: Option<Value>,
}

/// Reads steps.
pub(super) fn read(steps: &[FollowUpInput], errors: &mut Vec<FieldError>) -> Vec<FollowUp> {
    if steps.len() > MOST_STEPS {
        errors.push(FieldError::new("/followUps", format!("may be {MOST_STEPS} at most")));
    }
    let mut read = Vec::new();
    for (step, n) in steps.iter().zip(0..) {
        let at = format!("/followUps/{n}");
        if !(1..=LONGEST).contains(&step.after_seconds) {
            let detail = format!("must be from 1 to {LONGEST}, 90 days");
            errors.push(FieldError::new(format!("{at}/afterSeconds"), detail));
        }
        let said = Said {
            message: step.message.as_deref(),
            template: step.template.as_ref(),
            kind: step.kind.as_deref(),
            content: step.content.as_ref(),
        };
        match said.read(&at) {
            Ok(Some((kind, content))) => {
                let says = Variant { name: format!("step {}", n + 1), weight: 1, kind, content };
                read.push(FollowUp { after_seconds: step.after_seconds, when: step.when, says });
            }
            Ok(None) => errors.push(FieldError::new(at, "needs a message, a template or a content")),
            Err(error) => errors.push(error),
        }
    }
    read
}

/// What is to be done about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet; from then on more is known.
    Wait(Timestamp),
    /// They get the message, or a word for why not.
    Is(&'static str),
}

impl FollowUp {
    /// After how long.
    pub(super) const fn after(&self) -> Duration {
        Duration::from_secs(self.after_seconds)
    }

    /// When what is not known yet is looked at again.
    pub(super) fn later(&self, now: Timestamp) -> Timestamp {
        now.after((self.after() / 100).clamp(GRAIN.0, GRAIN.1))
    }

    /// What is to be done about somebody whose message before stands so, and who wrote last at this time.
    pub(super) fn judge(
        &self,
        before: Option<&Sending>,
        wrote: Option<Timestamp>,
        now: Timestamp,
    ) -> Verdict {
        use MessageState as State;
        let Some(before) = before else { return Verdict::Wait(self.later(now)) };
        let since = match before.state {
            State::Scheduled | State::Queued | State::Sending => return Verdict::Wait(self.later(now)),
            State::Failed | State::Cancelled | State::Expired => return Verdict::Is("not_sent"),
            // It may become known.
            State::Uncertain => before.updated_at,
            State::Sent | State::Delivered | State::Read => before.sent_at.unwrap_or(before.updated_at),
        };
        let due = since.after(self.after());
        if due > now {
            return Verdict::Wait(due);
        }
        // Providers' clocks tell whole seconds.
        let answered = wrote.is_some_and(|wrote| wrote.seconds() >= since.seconds());
        match self.when {
            _ if before.state == State::Uncertain => Verdict::Is("not_sent"),
            FollowWhen::NotRead if before.read_at.is_some() || before.state == State::Read => {
                Verdict::Is("read")
            }
            // Who answers has read it, whatever their device tells.
            _ if answered => Verdict::Is("answered"),
            FollowWhen::NotRead | FollowWhen::NoAnswer => Verdict::Is(SEND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_did_not_read_or_answer_gets_another() {
        let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let step = |when| FollowUp {
            after_seconds: 1_000,
            when,
            says: Variant { name: String::new(), weight: 1, kind: "text".to_owned(), content: Value::Null },
        };
        let stands = |state, read: Option<i64>| Sending {
            state,
            sent_at: Some(at(0)),
            read_at: read.map(at),
            updated_at: at(5),
        };
        use FollowWhen::{NoAnswer, NotRead};
        use MessageState as State;
        use Verdict::{Is, Wait};
        for (when, before, wrote, now, expected) in [
            (NotRead, Some(stands(State::Delivered, None)), None, 999, Wait(at(1_000))),
            (NotRead, Some(stands(State::Delivered, None)), None, 1_000, Is(SEND)),
            (NotRead, Some(stands(State::Read, Some(50))), None, 1_000, Is("read")),
            (NotRead, Some(stands(State::Sent, None)), Some(30), 1_000, Is("answered")),
            (NoAnswer, Some(stands(State::Read, Some(50))), None, 1_000, Is(SEND)),
            (NoAnswer, Some(stands(State::Read, Some(50))), Some(-1), 1_000, Is(SEND)),
            (NoAnswer, Some(stands(State::Read, Some(50))), Some(0), 1_000, Is("answered")),
            (NoAnswer, Some(stands(State::Failed, None)), None, 6, Is("not_sent")),
            (NoAnswer, Some(stands(State::Uncertain, None)), None, 1_000, Wait(at(1_005))),
            (NoAnswer, Some(stands(State::Uncertain, None)), None, 1_005, Is("not_sent")),
            (NotRead, Some(stands(State::Queued, None)), None, 5_000, Wait(at(5_010))),
            (NotRead, None, None, 5_000, Wait(at(5_010))),
        ] {
            let found = step(when).judge(before.as_ref(), wrote.map(at), at(now));
            assert_eq!(found, expected, "{when:?} {before:?} {wrote:?} at {now}");
        }
    }
}
