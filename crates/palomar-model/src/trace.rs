//! What belongs together: one id over a request and all that follows from it, as W3C Trace Context carries it in the
//! header `traceparent`. It says nothing about anybody, and may be logged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a trace: 128 bits, not all of them zero. Where a request brings none, what was made for it has an id of as
/// many bits, which is taken in its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(u128);

/// A text that is no id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a trace: 32 lower-case hexadecimal digits, not all zero")]
pub struct InvalidTrace;

/// So many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let whole = text.len() == digits && text.bytes().all(plain);
    whole.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl TraceId {
    /// The same bits as an id of ours.
    #[must_use]
    pub const fn of(id: Uuid) -> TraceId {
        TraceId(id.as_u128())
    }

    /// Reads the value of a `traceparent`. Versions to come may add to it, and mean the same by what stands first.
    #[must_use]
    pub fn from_traceparent(value: &str) -> Option<TraceId> {
        let mut parts = value.trim().splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace = parts.next()?.parse().ok()?;
        let parent = hex(parts.next()?, 16)?;
        hex(parts.next()?, 2)?;
        let more = parts.next().is_some();
        (version != 0xff && parent != 0 && !(version == 0 && more)).then_some(trace)
    }

    /// The value of a `traceparent` that names this trace, and as the part of it that comes from here the last bits of
    /// an id of ours. Whether it is sampled is not ours to say.
    #[must_use]
    pub fn traceparent(self, from: Uuid) -> String {
        let (_, last) = from.as_u64_pair();
        format!("00-{self}-{:016x}-00", last.max(1))
    }
}

impl FromStr for TraceId {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<TraceId, InvalidTrace> {
        hex(text, 32).filter(|bits| *bits != 0).map(TraceId).ok_or(InvalidTrace)
    }
}

impl TryFrom<String> for TraceId {
    type Error = InvalidTrace;

    fn try_from(text: String) -> Result<TraceId, InvalidTrace> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(trace: TraceId) -> String {
        trace.to_string()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn what_w3c_calls_valid() {
        for (value, good) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\t", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
            ("00", false),
            ("00-é-x-y", false),
        ] {
            let expected = good.then(|| ID.parse().expect("an id"));
            assert_eq!(TraceId::from_traceparent(value), expected, "{value}");
        }
    }

    #[test]
    fn it_goes_on() {
        let trace: TraceId = ID.parse().expect("an id");
        let sent = trace.traceparent(Uuid::from_u128(0x0a0b));
        assert_eq!(sent, format!("00-{ID}-0000000000000a0b-00"));
        assert_eq!(TraceId::from_traceparent(&sent), Some(trace));
        assert!(TraceId::from_traceparent(&trace.traceparent(Uuid::nil())).is_some());
        let ours = Uuid::from_u128(7);
        assert_eq!(TraceId::of(ours).to_string(), ours.simple().to_string());
        let json = serde_json::to_string(&trace).expect("json");
        assert_eq!(serde_json::from_str::<TraceId>(&json).expect("read"), trace);
        assert!(serde_json::from_str::<TraceId>("\"00\"").is_err());
    }
}
