//! What becomes of a message, by the last seven digits of its recipient (the crate's page lists them), and which statuses
//! tell of it. What a provider's codes are, it says itself.

use crate::behaviour::Statuses;
use crate::rng::Rng;

/// A code in no table, to see what the engine makes of it.
const IN_NO_TABLE: u32 = 999_999;

/// What becomes of a message to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Accepted; these statuses follow.
    Accepted(Steps),
    /// Refused with this code.
    Refused(u32),
    /// Accepted, answered without a message's id; statuses follow.
    EmptyAnswer,
    /// Accepted; a `failed` status with this code follows, perhaps behind `sent`.
    Failed { code: u32, after_sent: bool },
}

/// The statuses of a message that does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) sent: bool,
    pub(crate) delivered: bool,
    pub(crate) read: bool,
}

impl Steps {
    pub(crate) const ALL: Steps = Steps { sent: true, delivered: true, read: true };
    pub(crate) const ONLY_SENT: Steps = Steps { sent: true, delivered: false, read: false };
    const NONE: Steps = Steps { sent: false, delivered: false, read: false };
    const UNREAD: Steps = Steps { sent: true, delivered: true, read: false };
    const AT_ONCE_READ: Steps = Steps { sent: true, delivered: false, read: true };
}

/// A status of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Sent,
    Delivered,
    Read,
    Played,
    Failed(u32),
}

impl Step {
    /// Its word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Step::Sent => "sent",
            Step::Delivered => "delivered",
            Step::Read => "read",
            Step::Played => "played",
            Step::Failed(_) => "failed",
        }
    }
}

/// The fate of a message to this phone number (digits). `is_known` tells a provider's codes, `at_once` those that it
/// answers at once; all others come as a status.
pub(crate) fn of(digits: &str, is_known: impl Fn(u32) -> bool, at_once: impl Fn(u32) -> bool) -> Fate {
    let normal = Fate::Accepted(Steps::ALL);
    let Some((first, number)) = ending(digits) else {
        return normal;
    };
    let is_code = number == IN_NO_TABLE || is_known(number);
    match (first, number) {
        ("7", 1) => Fate::Accepted(Steps::ONLY_SENT),
        ("7", 2) => Fate::Accepted(Steps::UNREAD),
        ("7", 3) => Fate::Accepted(Steps::AT_ONCE_READ),
        ("7", 4) => Fate::Accepted(Steps::NONE),
        ("7", 5) => Fate::EmptyAnswer,
        ("9", code) if at_once(code) => Fate::Refused(code),
        ("9", code) if is_code => Fate::Failed { code, after_sent: false },
        ("8", code) if is_code => Fate::Failed { code, after_sent: true },
        _ => normal,
    }
}

/// The last seven digits: the first of them, and the number that the others are.
pub(crate) fn ending(digits: &str) -> Option<(&str, u32)> {
    let ending = digits.len().checked_sub(7).and_then(|start| digits.get(start..))?;
    Some((ending.get(..1)?, ending.get(1..)?.parse().ok()?))
}

impl Fate {
    /// The statuses that tell of it, in the order in which they happen.
    pub(crate) fn steps(self, settings: &Statuses, rng: &mut Rng) -> Vec<Step> {
        let mut wanted = match self {
            Fate::Refused(_) => return Vec::new(),
            Fate::Failed { code, after_sent: true } => return vec![Step::Sent, Step::Failed(code)],
            Fate::Failed { code, after_sent: false } => return vec![Step::Failed(code)],
            Fate::Accepted(steps) => steps,
            Fate::EmptyAnswer => Steps::ALL,
        };
        if wanted == Steps::ALL {
            wanted.delivered = rng.chance(settings.delivered_rate);
            wanted.read = wanted.delivered && rng.chance(settings.read_rate);
        }
        let all = [(wanted.sent, Step::Sent), (wanted.delivered, Step::Delivered), (wanted.read, Step::Read)];
        all.into_iter().filter_map(|(happens, step)| happens.then_some(step)).collect()
    }
}
