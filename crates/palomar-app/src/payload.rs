//! What a job of a channel's queue holds: the message and, in front of its own members, what of it is not the message's:
//! how many attempts earlier jobs of it made, and the trace that its request named; or why it is not to be sent.
//!
//! A job counts its attempts from 1. A message's attempts, and the tags that carry their numbers to the provider, go on
//! over all of its jobs, so that no tag is ever used for two sends. Readers of messages pass over both members.

use palomar_model::{MessageId, Outbound, TraceId};

const EARLIER: &[u8] = b"\"earlierAttempts\":";
const TRACE: &[u8] = b"\"trace\":\"";
/// A trace as text.
const DIGITS: usize = 32;

/// The payload of a job that sends `message`, of which earlier jobs made so many attempts.
pub(crate) fn encode(
    message: &Outbound,
    earlier_attempts: u32,
    trace: Option<TraceId>,
) -> Result<Vec<u8>, serde_json::Error> {
    let plain = message.encode()?;
    if earlier_attempts == 0 && trace.is_none() {
        return Ok(plain);
    }
    let mut payload = Vec::with_capacity(plain.len() + 80);
    payload.push(b'{');
    if earlier_attempts > 0 {
        payload.extend([EARLIER, earlier_attempts.to_string().as_bytes(), b","].concat());
    }
    if let Some(trace) = trace {
        payload.extend([TRACE, trace.to_string().as_bytes(), b"\","].concat());
    }
    // The rest of the object follows.
    payload.extend_from_slice(plain.get(1..).unwrap_or_default());
    Ok(payload)
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
    front(payload).0
}

/// The trace that the message's request named.
pub(crate) fn given_trace(payload: &[u8]) -> Option<TraceId> {
    let digits = front(payload).1.strip_prefix(TRACE)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The trace of a message: the one that its request named, else its own id.
pub(crate) fn trace(payload: &[u8], message: MessageId) -> TraceId {
    given_trace(payload).unwrap_or_else(|| TraceId::of(message.0))
}

/// The number of earlier attempts, and what stands behind it.
fn front(payload: &[u8]) -> (u32, &[u8]) {
    let members = payload.strip_prefix(b"{").unwrap_or_default();
    let Some(number) = members.strip_prefix(EARLIER) else { return (0, members) };
    let end = number.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(number.len());
    let (digits, rest) = number.split_at(end);
    let attempts = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    (attempts.unwrap_or(0), rest.strip_prefix(b",").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use palomar_model::{IdGenerator, Recipient, Timestamp};

    use super::*;
    use crate::NewMessage;

    #[test]
    fn a_message_is_read_the_same_whatever_stands_in_front() {
        let to = Recipient::parse("+34600111222", None).expect("a number");
        let new = NewMessage::text("demo".parse().expect("a name"), to, "{\"earlierAttempts\":9");
        let id = IdGenerator::new(1).message_id(Timestamp::EPOCH);
        let message = new.into_outbound(id, "demo".parse().expect("a name"), Timestamp::EPOCH);
        let named: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().expect("an id");
        for earlier in [0, 1, 42, u32::MAX] {
            for given in [None, Some(named)] {
                let payload = encode(&message, earlier, given).expect("json");
                assert_eq!((earlier_attempts(&payload), given_trace(&payload)), (earlier, given));
                assert_eq!(trace(&payload, id), given.unwrap_or(TraceId::of(id.0)));
                assert!(Outbound::decode(&payload).expect("decoded") == message);
            }
        }
        assert_eq!(earlier_attempts(b"{\"earlierAttempts\":99999999999,"), 0);
        assert_eq!((earlier_attempts(b""), given_trace(b"{\"trace\":\"00")), (0, None));
    }
}
