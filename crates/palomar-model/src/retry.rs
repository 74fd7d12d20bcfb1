//! The one retry decision: what to do after a failed attempt. Same inputs, same answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ErrorClass, Scope, SendFailure};

/// How often and how fast a message is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts that count, the first included.
    pub max_attempts: u32,
    /// The wait after the first attempt.
    pub base: Duration,
    /// What each further wait is multiplied by.
    pub factor: f64,
    /// The longest wait.
    pub ceiling: Duration,
    /// The part of a wait that chance moves, both ways: 0.2 for ±20 %.
    pub jitter: f64,
    /// Whether the provider takes one tag only once, so that an unknown outcome may be tried again with the same tag.
    pub unknown_is_repeatable: bool,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            base: Duration::from_secs(2),
            factor: 2.0,
            ceiling: Duration::from_secs(300),
            jitter: 0.2,
            unknown_is_repeatable: false,
        }
    }
}

/// What was tried so far, the attempt in question included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Attempts that count: this one, and the earlier ones that were not throttled or refused for the channel's sake.
    pub attempts: u32,
    /// Times the message was throttled before.
    pub throttled: u32,
}

/// What happens next to a message whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Queued again, due after `delay`, for a new attempt.
    RetryAfter {
        /// The wait.
        delay: Duration,
        /// Whether the failed attempt counts against the policy's number.
        counts: bool,
        /// What else has to slow down for as long.
        slow_down: Option<Scope>,
    },
    /// Tried again under the **same** tag after `delay`: the provider takes a tag once.
    RepeatAfter {
        /// The wait.
        delay: Duration,
    },
    /// A dead letter.
    Dead {
        /// Why.
        reason: DeadReason,
    },
    /// The outcome is not known: the message waits for evidence, its policy or a person.
    Uncertain,
    /// Queued again at once, uncounted; the channel pauses until a person has put it right.
    HoldChannel {
        /// Why.
        reason: HoldReason,
    },
}

/// Why a message is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// This recipient cannot get it.
    Recipient,
    /// This content cannot be sent.
    Content,
    /// Only a template may be sent to this recipient now.
    NeedsTemplate,
    /// As many attempts failed as the policy allows.
    AttemptsExhausted,
}

/// Why a channel stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its token or permission is refused.
    Auth,
    /// Its account is restricted, unpaid or not registered.
    Account,
}

impl DeadReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadReason::Recipient => "recipient",
            DeadReason::Content => "content",
            DeadReason::NeedsTemplate => "needs_template",
            DeadReason::AttemptsExhausted => "attempts_exhausted",
        }
    }
}

impl HoldReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            HoldReason::Auth => "auth",
            HoldReason::Account => "account",
        }
    }
}

impl RetryPolicy {
    /// The wait after failure number `n` (from 1) without chance: `base · factor^(n-1)`, at most the ceiling.
    #[must_use]
    pub fn delay(&self, n: u32) -> Duration {
        let steps = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.max(1.0).powi(steps);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.ceiling).min(self.ceiling)
    }

    /// `delay` moved by chance; `jitter` is uniform in 0..1.
    fn jittered(&self, delay: Duration, jitter: f64) -> Duration {
        let chance = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 };
        delay.mul_f64((1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance - 1.0)).max(0.0))
    }
}

/// The wait of a pair that was too fast, after `throttled` earlier times: `4^n` s, as the provider asks.
fn pair_delay(throttled: u32, ceiling: Duration) -> Duration {
    4_u64.checked_pow(throttled).map_or(ceiling, Duration::from_secs).min(ceiling)
}

/// Decides what happens after a failed attempt. `jitter` is uniform in 0..1, drawn by the caller.
#[must_use]
pub fn after_attempt(failure: &SendFailure, tries: Tries, policy: &RetryPolicy, jitter: f64) -> NextStep {
    let exhausted = tries.attempts >= policy.max_attempts;
    let backoff = policy.jittered(policy.delay(tries.attempts), jitter);
    match failure.class {
        ErrorClass::Recipient => NextStep::Dead { reason: DeadReason::Recipient },
        ErrorClass::Content => NextStep::Dead { reason: DeadReason::Content },
        ErrorClass::NeedsTemplate => NextStep::Dead { reason: DeadReason::NeedsTemplate },
        ErrorClass::Auth => NextStep::HoldChannel { reason: HoldReason::Auth },
        ErrorClass::Account => NextStep::HoldChannel { reason: HoldReason::Account },
        ErrorClass::Unknown if policy.unknown_is_repeatable && !exhausted => {
            NextStep::RepeatAfter { delay: backoff }
        }
        ErrorClass::Unknown => NextStep::Uncertain,
        ErrorClass::Transient if exhausted => NextStep::Dead { reason: DeadReason::AttemptsExhausted },
        ErrorClass::Transient => NextStep::RetryAfter { delay: backoff, counts: true, slow_down: None },
        ErrorClass::Throttled { after, scope } => {
            let delay = match (after, scope) {
                // What the provider asks for is never shortened by chance.
                (Some(after), _) => after,
                (None, Scope::Pair) => pair_delay(tries.throttled, policy.ceiling),
                (None, _) => policy.jittered(policy.delay(tries.throttled.saturating_add(1)), jitter),
            };
            NextStep::RetryAfter { delay, counts: false, slow_down: Some(scope) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    const fn retry(delay: u64, counts: bool, slow_down: Option<Scope>) -> NextStep {
        NextStep::RetryAfter { delay: seconds(delay), counts, slow_down }
    }

    const fn throttled(after: Option<u64>, scope: Scope) -> ErrorClass {
        let after = match after {
            Some(n) => Some(seconds(n)),
            None => None,
        };
        ErrorClass::Throttled { after, scope }
    }

    /// Class, attempts, times throttled before → what happens, with the jitter in the middle.
    #[test]
    fn decisions() {
        let dead = |reason| NextStep::Dead { reason };
        let hold = |reason| NextStep::HoldChannel { reason };
        for (class, attempts, before, expected) in [
            (ErrorClass::Recipient, 1, 0, dead(DeadReason::Recipient)),
            (ErrorClass::Content, 1, 0, dead(DeadReason::Content)),
            (ErrorClass::NeedsTemplate, 1, 0, dead(DeadReason::NeedsTemplate)),
            (ErrorClass::Auth, 3, 0, hold(HoldReason::Auth)),
            (ErrorClass::Account, 9, 0, hold(HoldReason::Account)),
            (ErrorClass::Unknown, 1, 0, NextStep::Uncertain),
            (ErrorClass::Transient, 1, 0, retry(2, true, None)),
            (ErrorClass::Transient, 2, 5, retry(4, true, None)),
            (ErrorClass::Transient, 3, 0, dead(DeadReason::AttemptsExhausted)),
            (ErrorClass::Transient, u32::MAX, 0, dead(DeadReason::AttemptsExhausted)),
            (throttled(Some(7), Scope::Channel), 3, 9, retry(7, false, Some(Scope::Channel))),
            (throttled(Some(7200), Scope::Channel), 1, 0, retry(7200, false, Some(Scope::Channel))),
            (throttled(None, Scope::Channel), 1, 0, retry(2, false, Some(Scope::Channel))),
            (throttled(None, Scope::App), 1, 3, retry(16, false, Some(Scope::App))),
            (throttled(None, Scope::App), 1, u32::MAX, retry(300, false, Some(Scope::App))),
            (throttled(None, Scope::Pair), 1, 0, retry(1, false, Some(Scope::Pair))),
            (throttled(None, Scope::Pair), 3, 1, retry(4, false, Some(Scope::Pair))),
            (throttled(None, Scope::Pair), 1, 4, retry(256, false, Some(Scope::Pair))),
            (throttled(None, Scope::Pair), 1, 40, retry(300, false, Some(Scope::Pair))),
        ] {
            let failure = SendFailure::new(class, "x");
            let tries = Tries { attempts, throttled: before };
            let step = after_attempt(&failure, tries, &RetryPolicy::default(), 0.5);
            assert_eq!(step, expected, "{class:?} after {tries:?}");
        }
    }

    #[test]
    fn a_repeatable_unknown_is_repeated_then_uncertain() {
        let policy = RetryPolicy { unknown_is_repeatable: true, ..RetryPolicy::default() };
        let failure = SendFailure::new(ErrorClass::Unknown, "time-out");
        let step = |attempts| after_attempt(&failure, Tries { attempts, throttled: 0 }, &policy, 0.5);
        assert_eq!(step(1), NextStep::RepeatAfter { delay: seconds(2) });
        assert_eq!(step(3), NextStep::Uncertain);
    }

    #[test]
    fn chance_moves_a_wait_by_its_share_and_no_more() {
        let failure = SendFailure::new(ErrorClass::Transient, "x");
        for (jitter, millis) in
            [(0.0, 1600), (0.25, 1800), (0.5, 2000), (1.0, 2400), (7.0, 2400), (f64::NAN, 2000)]
        {
            let step =
                after_attempt(&failure, Tries { attempts: 1, throttled: 0 }, &RetryPolicy::default(), jitter);
            let NextStep::RetryAfter { delay, .. } = step else { panic!("{step:?}") };
            assert!(
                delay.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(1),
                "{jitter}: {delay:?}"
            );
        }
    }

    #[test]
    fn failures_read_well() {
        let failure = SendFailure::new(ErrorClass::Recipient, "Message undeliverable");
        assert_eq!(failure.to_string(), "Message undeliverable");
        let failure = failure.with_code("131026").with_detail("not on WhatsApp");
        assert_eq!(failure.to_string(), "Message undeliverable: not on WhatsApp (code 131026)");
        let stored = serde_json::to_string(&failure).expect("json");
        assert_eq!(serde_json::from_str::<SendFailure>(&stored).expect("json"), failure);
    }
}
