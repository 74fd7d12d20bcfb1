//! Messages of the protocol. Pure: bytes to values and back.

use serde::Deserialize;
use serde_json::{Value, json};

/// Something that the browser tells by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// What: `Page.frameNavigated`, …
    pub(crate) method: String,
    /// The details.
    pub(crate) params: Value,
}

/// A message from the browser.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    /// The answer to a call: what it gives, or the browser's words why not.
    Answer(u64, Result<Value, String>),
    /// An event.
    Event(Event),
}

#[derive(Deserialize)]
struct Raw {
    id: Option<u64>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
}

/// Reads a message; `None` for what is none.
pub(super) fn read(bytes: &[u8]) -> Option<Incoming> {
    let raw: Raw = serde_json::from_slice(bytes).ok()?;
    match (raw.id, raw.method) {
        (Some(id), _) => {
            let answer = raw.error.map_or(Ok(raw.result), |problem| Err(problem.message));
            Some(Incoming::Answer(id, answer))
        }
        (None, Some(method)) => Some(Incoming::Event(Event { method, params: raw.params })),
        (None, None) => None,
    }
}

/// The bytes of a call, with the zero byte that ends it.
pub(super) fn write(id: u64, session: Option<&str>, method: &str, params: &Value) -> Vec<u8> {
    let mut call = json!({ "id": id, "method": method, "params": params });
    if let Some(session) = session {
        call["sessionId"] = session.into();
    }
    let mut bytes = call.to_string().into_bytes();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read() {
        let answer = read(br#"{"id":3,"result":{"a":1},"sessionId":"S"}"#);
        assert_eq!(answer, Some(Incoming::Answer(3, Ok(json!({"a": 1})))));
        let refusal = read(br#"{"id":4,"error":{"code":-32000,"message":"No such"}}"#);
        assert_eq!(refusal, Some(Incoming::Answer(4, Err("No such".to_owned()))));
        let event = Event { method: "Page.x".to_owned(), params: json!({}) };
        assert_eq!(read(br#"{"method":"Page.x","params":{}}"#), Some(Incoming::Event(event)));
        for bad in [&b""[..], b"[]", b"{}", b"\xff"] {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn calls_end_with_a_zero() {
        let bytes = write(1, Some("S"), "Page.enable", &json!({"text": "a\0b"}));
        assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 1);
        assert_eq!(bytes.last(), Some(&0));
    }
}
