//! Magic recipients: what a phone number's last seven digits make the simulator do (the crate's page lists them).

use super::errors;
use crate::fate::{self, Fate};

/// The codes that Meta answers at once; all others come as a `failed` status.
const AT_ONCE: &[u32] = &[
    130_429, 131_000, 131_005, 131_016, 131_021, 131_030, 131_031, 131_037, 131_045, 131_056, 131_057,
    133_010,
];

/// The fate of a message to this phone number (digits).
pub(super) fn fate(digits: &str) -> Fate {
    fate::of(
        digits,
        |code| code > 100_000 && errors::describe(code).title != errors::UNKNOWN_TITLE,
        |code| AT_ONCE.contains(&code),
    )
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
    use crate::fate::Steps;

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
