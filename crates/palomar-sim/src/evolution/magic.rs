//! Magic recipients: what a number's last seven digits make the simulator do (the crate's page lists them).

use super::errors::Refusal;

/// What becomes of a message to a recipient.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// Accepted; these statuses follow.
    Accepted(&'static [&'static str]),
    /// Accepted; the answer is a 200 that names no message.
    EmptyAnswer,
    /// Accepted, and refused in words.
    AcceptedAndRefused(Refusal),
    /// Refused.
    Refused(Refusal),
    /// Refused: the number is nobody's.
    Nobody,
}

/// The statuses of a message that all goes well with.
pub(super) const ALL: &[&str] = &["SERVER_ACK", "DELIVERY_ACK", "READ"];

/// The fate of a message to this jid.
pub(super) fn fate(jid: &str) -> Fate {
    let digits = jid.split('@').next().unwrap_or_default();
    let ending = digits.len().checked_sub(7).and_then(|start| digits.get(start..)).unwrap_or_default();
    match ending {
        "7000001" => Fate::Accepted(&["SERVER_ACK"]),
        "7000002" => Fate::Accepted(&["SERVER_ACK", "DELIVERY_ACK"]),
        "7000003" => Fate::Accepted(&["SERVER_ACK", "READ"]),
        "7000004" => Fate::Accepted(&[]),
        "7000005" => Fate::EmptyAnswer,
        "8000001" => Fate::Accepted(&["ERROR"]),
        "8000002" => Fate::Accepted(&["SERVER_ACK", "ERROR"]),
        "9000001" => Fate::Nobody,
        "9000002" => Fate::Refused(Refusal::words("Error: Connection Closed")),
        "9000003" => Fate::AcceptedAndRefused(Refusal::words("Error: Timed Out")),
        "9000004" => Fate::Refused(Refusal::words("Error: Timed Out")),
        "9000005" => Fate::Refused(Refusal::words("TypeError: Cannot read properties of undefined")),
        "9000006" => Fate::Refused(Refusal::internal()),
        "9000007" => Fate::Refused(Refusal::words("Owned media must be a url or base64")),
        "9000008" => Fate::Refused(Refusal::unauthorized()),
        "9000009" => Fate::Refused(Refusal::no_instance("gone")),
        _ => Fate::Accepted(ALL),
    }
}
