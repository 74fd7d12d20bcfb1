//! From a provider's answer to what the queue is told. A function of values: the one place where that is decided.

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::worker::Handled;
use palomar_broker::{Outcome, Signal};
use palomar_channels::Sent;
use palomar_model::{
    ChannelName, DeadReason, ErrorClass, HoldReason, MessageId, NextStep, RetryPolicy, Scope, SendFailure,
    Timestamp, Tries, after_attempt,
};

use crate::event::{AppEvent, encode_all};

/// An attempt that was made.
pub(crate) struct Attempt<'a> {
    pub(crate) channel: &'a ChannelName,
    pub(crate) message: MessageId,
    /// Its number.
    pub(crate) number: u32,
    /// The number that its tag carried.
    pub(crate) tag: u32,
    /// Attempts that count, this one included.
    pub(crate) tries: u32,
    pub(crate) policy: &'a RetryPolicy,
}

impl Attempt<'_> {
    /// What the queue is told of it.
    pub(crate) fn handled(&self, result: Result<Sent, SendFailure>, now: Timestamp) -> Handled {
        match result {
            Ok(sent) => Handled {
                outcome: Outcome::Done,
                signal: Signal::Success,
                events: encode_all(&[AppEvent::Sent {
                    channel: self.channel.clone(),
                    provider_id: sent.provider_id,
                    alias: sent.alias,
                }]),
            },
            Err(failure) => {
                let step = after_attempt(&failure, self.tries(), self.policy, self.chance());
                let (outcome, signal) = told(step, &failure, now);
                let event =
                    AppEvent::AttemptFailed { channel: self.channel.clone(), attempt: self.tag, failure };
                Handled { outcome, signal, events: encode_all(&[event]) }
            }
        }
    }

    /// Attempts that did not count were throttled: what else does not count pauses the channel.
    fn tries(&self) -> Tries {
        Tries { attempts: self.tries, throttled: self.number.saturating_sub(self.tries) }
    }

    /// A number in 0..1 that differs from message to message and from attempt to attempt.
    fn chance(&self) -> f64 {
        let seed =
            self.message.0.as_u128() as u64 ^ u64::from(self.number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
    }
}

fn told(step: NextStep, failure: &SendFailure, now: Timestamp) -> (Outcome, Signal) {
    match step {
        NextStep::RetryAfter { delay, counts, slow_down } => {
            (Outcome::Retry { at: now.after(delay), counts }, slowed(slow_down, failure))
        }
        NextStep::RepeatAfter { delay } => {
            (Outcome::Retry { at: now.after(delay), counts: true }, Signal::Failure)
        }
        NextStep::Dead { reason } => {
            // A provider that refuses one recipient or content works.
            let signal =
                if reason == DeadReason::AttemptsExhausted { Signal::Failure } else { Signal::Success };
            (Outcome::Dead { reason: reason_text(reason.as_str(), failure) }, signal)
        }
        NextStep::Uncertain => (Outcome::Uncertain, Signal::Failure),
        NextStep::HoldChannel { reason } => (
            Outcome::Retry { at: now, counts: false },
            Signal::Pause { reason: reason_text(reason.as_str(), failure) },
        ),
    }
}

/// What a failed attempt says of the queue: too fast for one recipient or template is no reason to stop the others.
fn slowed(scope: Option<Scope>, failure: &SendFailure) -> Signal {
    match scope {
        None => Signal::Failure,
        Some(Scope::Pair | Scope::Template) => Signal::Success,
        Some(Scope::Channel | Scope::Account | Scope::App) => {
            Signal::Throttled { after: asked_wait(failure) }
        }
    }
}

fn asked_wait(failure: &SendFailure) -> Option<Duration> {
    match failure.class {
        ErrorClass::Throttled { after, .. } => after,
        _ => None,
    }
}

/// Why a queue is paused whose channel does not work.
pub(crate) const NO_CHANNEL: &str = "the channel is not configured, or its configuration does not work";

/// Whether a queue paused by itself, by what its provider answered or because there is no channel; people do too.
pub(crate) fn paused_by_itself(reason: &str) -> bool {
    let held = |own: HoldReason| {
        reason.strip_prefix(own.as_str()).is_some_and(|provider| provider.starts_with(": "))
    };
    held(HoldReason::Auth) || held(HoldReason::Account) || reason == NO_CHANNEL
}

fn reason_text(word: &str, failure: &SendFailure) -> Arc<str> {
    format!("{word}: {failure}").into()
}

#[cfg(test)]
mod tests {
    use palomar_model::ProviderMessageId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

    fn handled(number: u32, tries: u32, result: Result<Sent, SendFailure>) -> Handled {
        let channel = "demo".parse().expect("a name");
        let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
        let message = MessageId(uuid::Uuid::from_u128(7));
        Attempt { channel: &channel, message, number, tag: number, tries, policy: &policy }
            .handled(result, NOW)
    }

    fn retry(seconds: u64, counts: bool) -> Outcome {
        Outcome::Retry { at: NOW.after(Duration::from_secs(seconds)), counts }
    }

    #[test]
    fn what_pauses_a_queue_by_itself_is_known_by_its_words() {
        let failure = SendFailure::new(ErrorClass::Auth, "x");
        for reason in [HoldReason::Auth, HoldReason::Account] {
            assert!(paused_by_itself(&reason_text(reason.as_str(), &failure)));
        }
        assert!(paused_by_itself(NO_CHANNEL));
        assert!(!paused_by_itself("authors are at lunch"));
    }

    #[test]
    fn what_the_queue_is_told() {
        let throttled = |after: Option<u64>, scope| ErrorClass::Throttled {
            after: after.map(Duration::from_secs),
            scope,
        };
        let dead = |text: &str| Outcome::Dead { reason: text.into() };
        let wait = |seconds| Signal::Throttled { after: Some(Duration::from_secs(seconds)) };
        let pause = |text: &str| Signal::Pause { reason: text.into() };
        for (class, number, tries, outcome, signal) in [
            (ErrorClass::Transient, 1, 1, retry(2, true), Signal::Failure),
            (ErrorClass::Transient, 5, 2, retry(4, true), Signal::Failure),
            (ErrorClass::Transient, 3, 3, dead("attempts_exhausted: x"), Signal::Failure),
            (ErrorClass::Recipient, 1, 1, dead("recipient: x"), Signal::Success),
            (ErrorClass::Content, 1, 1, dead("content: x"), Signal::Success),
            (ErrorClass::NeedsTemplate, 1, 1, dead("needs_template: x"), Signal::Success),
            (ErrorClass::Unknown, 1, 1, Outcome::Uncertain, Signal::Failure),
            (ErrorClass::Auth, 1, 1, retry(0, false), pause("auth: x")),
            (ErrorClass::Account, 9, 3, retry(0, false), pause("account: x")),
            (throttled(Some(7), Scope::Channel), 1, 1, retry(7, false), wait(7)),
            (throttled(None, Scope::App), 1, 1, retry(2, false), Signal::Throttled { after: None }),
            (throttled(None, Scope::Pair), 2, 1, retry(4, false), Signal::Success),
        ] {
            let told = handled(number, tries, Err(SendFailure::new(class, "x")));
            assert_eq!((told.outcome, told.signal), (outcome, signal), "{class:?}");
            assert_eq!(told.events.len(), 1);
        }
    }

    #[test]
    fn a_success_names_the_message() {
        let sent =
            Sent { provider_id: ProviderMessageId("w".into()), alias: Some("34".to_owned()), status: None };
        let told = handled(1, 1, Ok(sent));
        assert_eq!((told.outcome, told.signal), (Outcome::Done, Signal::Success));
        let event = AppEvent::decode(&told.events[0]).expect("an event");
        assert!(matches!(event, AppEvent::Sent { alias: Some(_), .. }), "{event:?}");
    }
}
