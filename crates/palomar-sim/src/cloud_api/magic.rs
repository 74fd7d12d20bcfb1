//! Magic recipients: what a phone number's last seven digits make the simulator do (the crate's page lists them).

use super::errors;

/// What becomes of a message to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Accepted; these statuses follow.
    Accepted(Steps),
    /// Refused with this code.
    Refused(u32),
    /// Accepted, answered with empty `contacts` and `messages`; statuses follow.
    EmptyAnswer,
    /// Accepted; a `failed` status with this code follows, perhaps behind `sent`.
    Failed { code: u32, after_sent: bool },
}

/// The statuses of a message that does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) sent: bool,
    pub(super) delivered: bool,
    pub(super) read: bool,
}

impl Steps {
    pub(super) const ALL: Steps = Steps { sent: true, delivered: true, read: true };
    pub(super) const ONLY_SENT: Steps = Steps { sent: true, delivered: false, read: false };
    const NONE: Steps = Steps { sent: false, delivered: false, read: false };
    const UNREAD: Steps = Steps { sent: true, delivered: true, read: false };
    const AT_ONCE_READ: Steps = Steps { sent: true, delivered: false, read: true };
}

/// The codes that Meta answers at once; all others come as a `failed` status.
const AT_ONCE: &[u32] = &[
    130_429, 131_000, 131_005, 131_016, 131_021, 131_030, 131_031, 131_037, 131_045, 131_056, 131_057,
    133_010,
];

/// A code in no table, to see what the engine makes of it.
const IN_NO_TABLE: u32 = 999_999;

/// The fate of a message to this phone number (digits).
pub(super) fn fate(digits: &str) -> Fate {
    let normal = Fate::Accepted(Steps::ALL);
    let ending = digits.len().checked_sub(7).and_then(|start| digits.get(start..));
    let Some((Some(first), Some(rest))) = ending.map(|end| (end.get(..1), end.get(1..))) else {
        return normal;
    };
    let Ok(number) = rest.parse::<u32>() else {
        return normal;
    };
    let is_code = number == IN_NO_TABLE
        || (number > 100_000 && errors::describe(number).title != errors::UNKNOWN_TITLE);
    match (first, number) {
        ("7", 1) => Fate::Accepted(Steps::ONLY_SENT),
        ("7", 2) => Fate::Accepted(Steps::UNREAD),
        ("7", 3) => Fate::Accepted(Steps::AT_ONCE_READ),
        ("7", 4) => Fate::Accepted(Steps::NONE),
        ("7", 5) => Fate::EmptyAnswer,
        ("9", code) if AT_ONCE.contains(&code) => Fate::Refused(code),
        ("9", code) if is_code => Fate::Failed { code, after_sent: false },
        ("8", code) if is_code => Fate::Failed { code, after_sent: true },
        _ => normal,
    }
}

/// The id under which WhatsApp knows a phone number; it is not always the number itself.
pub(super) fn wa_id(digits: &str) -> String {
    let bytes = digits.as_bytes();
    match (bytes.len(), bytes) {
        // Brazil: mobile numbers are known without their ninth digit.
        (13, [b'5', b'5', _, _, b'9', ..]) => format!("{}{}", &digits[..4], &digits[5..]),
        // Mexico: a 1 behind the country code.
        (12, [b'5', b'2', ..]) => format!("521{}", &digits[2..]),
        // Argentina: a 9 behind the country code.
        (12, [b'5', b'4', ..]) => format!("549{}", &digits[2..]),
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates() {
        for (digits, expected) in [
            ("34600111222", Fate::Accepted(Steps::ALL)),
            ("34609131026", Fate::Failed { code: 131_026, after_sent: false }),
            ("34608131026", Fate::Failed { code: 131_026, after_sent: true }),
            ("34609131030", Fate::Refused(131_030)),
            ("34608131030", Fate::Failed { code: 131_030, after_sent: true }),
            ("34609999999", Fate::Failed { code: 999_999, after_sent: false }),
            ("34609131999", Fate::Accepted(Steps::ALL)),
            ("34607000001", Fate::Accepted(Steps::ONLY_SENT)),
            ("34607000005", Fate::EmptyAnswer),
            ("7000001", Fate::Accepted(Steps::ONLY_SENT)),
            ("600", Fate::Accepted(Steps::ALL)),
            ("ES.é700000", Fate::Accepted(Steps::ALL)),
        ] {
            assert_eq!(fate(digits), expected, "{digits}");
        }
    }

    #[test]
    fn wa_ids_that_differ() {
        for (digits, expected) in [
            ("34600111222", "34600111222"),
            ("5511987654321", "551187654321"),
            ("551187654321", "551187654321"),
            ("525512345678", "5215512345678"),
            ("5215512345678", "5215512345678"),
            ("541123456789", "5491123456789"),
        ] {
            assert_eq!(wa_id(digits), expected, "{digits}");
        }
    }
}
