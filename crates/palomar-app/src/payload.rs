//! What a job of a channel's queue holds: the message and, where an earlier job of it was forgotten, how many attempts
//! there were before; or why it is not to be sent.
//!
//! A job counts its attempts from 1. A message's attempts, and the tags that carry their numbers to the provider, go on
//! over all of its jobs, so that no tag is ever used for two sends.

use palomar_model::Outbound;

/// How the payload of a further job begins: a member of the message's object that readers of messages pass over.
const EARLIER: &[u8] = b"{\"earlierAttempts\":";

/// The payload of a job that sends `message`, of which earlier jobs made so many attempts.
pub(crate) fn encode(message: &Outbound, earlier_attempts: u32) -> Result<Vec<u8>, serde_json::Error> {
    let plain = message.encode()?;
    if earlier_attempts == 0 {
        return Ok(plain);
    }
    let number = earlier_attempts.to_string();
    // The rest of the object follows after a comma.
    let rest = plain.get(1..).unwrap_or_default();
    Ok([EARLIER, number.as_bytes(), b",", rest].concat())
}

/// How the payload of a job begins that is not to be sent.
const REFUSED: &[u8] = b"{\"refused\":";

/// The payload of a job that ends at once, for this reason.
pub(crate) fn encode_refused(message: &Outbound, reason: &str) -> Result<Vec<u8>, serde_json::Error> {
    let (plain, reason) = (message.encode()?, serde_json::to_vec(reason)?);
    let rest = plain.get(1..).unwrap_or_default();
    Ok([REFUSED, &reason, b",", rest].concat())
}

/// Why a message is not to be sent, where it is not.
pub(crate) fn refusal(payload: &[u8]) -> Option<String> {
    let rest = payload.strip_prefix(REFUSED)?;
    serde_json::Deserializer::from_slice(rest).into_iter().next()?.ok()
}

/// Attempts that earlier jobs of the message made.
pub(crate) fn earlier_attempts(payload: &[u8]) -> u32 {
    let digits = payload.strip_prefix(EARLIER).unwrap_or_default();
    let number = digits.split(|byte| !byte.is_ascii_digit()).next();
    number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use palomar_model::{IdGenerator, Recipient, Timestamp};

    use super::*;
    use crate::NewMessage;

    #[test]
    fn a_message_is_read_the_same_with_and_without_earlier_attempts() {
        let to = Recipient::parse("+34600111222", None).expect("a number");
        let new = NewMessage::text("demo".parse().expect("a name"), to, "{\"earlierAttempts\":9");
        let id = IdGenerator::new(1).message_id(Timestamp::EPOCH);
        let message = new.into_outbound(id, "demo".parse().expect("a name"), Timestamp::EPOCH);
        for earlier in [0, 1, 42, u32::MAX] {
            let payload = encode(&message, earlier).expect("json");
            assert_eq!(earlier_attempts(&payload), earlier);
            assert!(Outbound::decode(&payload).expect("decoded") == message);
        }
        assert_eq!(earlier_attempts(b"{\"earlierAttempts\":99999999999,"), 0);
        assert_eq!(earlier_attempts(b""), 0);
    }
}
