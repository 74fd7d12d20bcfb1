//! Whether an instance is connected to WhatsApp, looked at before it is used.
//!
//! A send through an instance that is not connected fails in ways that burn attempts. So its state is asked first, and
//! believed for a while; every message that it takes renews that. One that is on its way up is waited for without a cost
//! to the message; one that stays down needs a person.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure, Timestamp};
use serde_json::Value;

/// How long an instance that was open is taken for open.
const TRUST: Duration = Duration::from_secs(30);
/// How long a message waits for one that is connecting, until it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Evolution connects again by itself at most closes, and is `close` in between: only what lasts is final.
const DOWN_FOR_GOOD: Duration = Duration::from_secs(30);

/// The states of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Connecting,
    /// Not connected; an instance that was never connected has no state at all.
    Closed,
}

impl State {
    /// Reads the body of `connectionState`; `None` where it is none.
    pub(super) fn read(body: &[u8]) -> Option<State> {
        let document: Value = serde_json::from_slice(body).ok()?;
        let instance = document.get("instance").filter(|instance| instance.is_object())?;
        Some(match instance.get("state").and_then(Value::as_str) {
            Some("open") => State::Open,
            Some("connecting") => State::Connecting,
            _ => State::Closed,
        })
    }
}

/// What was last seen of an instance.
#[derive(Debug, Default)]
pub(super) struct Connection(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
enum Seen {
    #[default]
    Nothing,
    Open(Timestamp),
    Closed {
        since: Timestamp,
    },
}

impl Connection {
    /// Whether it may be used without looking.
    pub(super) fn is_known_open(&self, now: Timestamp) -> bool {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Seen::Open(at) => now.since(at) < TRUST,
            Seen::Nothing | Seen::Closed { .. } => false,
        }
    }

    /// It does not do what it should: it is looked at before it is used again.
    pub(super) fn doubt(&self) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*seen, Seen::Open(_)) {
            *seen = Seen::Nothing;
        }
    }

    /// Notes a state; answers why nothing can be sent in it.
    pub(super) fn note(&self, state: State, now: Timestamp) -> Result<(), SendFailure> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = ErrorClass::Throttled { after: Some(LOOK_AGAIN), scope: Scope::Channel };
        match (state, *seen) {
            (State::Open, _) => {
                *seen = Seen::Open(now);
                Ok(())
            }
            (State::Connecting, _) => {
                *seen = Seen::Nothing;
                Err(SendFailure::new(wait, "the instance is connecting to WhatsApp").with_code("connecting"))
            }
            (State::Closed, Seen::Closed { since }) if now.since(since) >= DOWN_FOR_GOOD => {
                let title = "the instance is not connected to WhatsApp: scan its QR code";
                Err(SendFailure::new(ErrorClass::Account, title).with_code("not_connected"))
            }
            (State::Closed, before) => {
                let since = if let Seen::Closed { since } = before { since } else { now };
                *seen = Seen::Closed { since };
                Err(SendFailure::new(wait, "the instance has lost its connection to WhatsApp")
                    .with_code("not_connected"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn states() {
        for (file, state) in [
            ("open", State::Open),
            ("connecting", State::Connecting),
            ("close", State::Closed),
            ("missing", State::Closed),
        ] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/evolution/response");
            let body = std::fs::read(format!("{folder}/200_connection_state_{file}.json")).expect(file);
            assert_eq!(State::read(&body), Some(state), "{file}");
        }
        assert_eq!(State::read(br#"{"error":true,"message":"[object Object]"}"#), None);
        assert_eq!(State::read(b"<html>"), None);
    }

    #[test]
    fn open_is_believed_for_a_while_and_doubted_when_told() {
        let connection = Connection::default();
        assert!(!connection.is_known_open(at(0)));
        connection.note(State::Open, at(0)).expect("open");
        assert!(connection.is_known_open(at(29)) && !connection.is_known_open(at(30)));
        connection.doubt();
        assert!(!connection.is_known_open(at(1)));
    }

    #[test]
    fn what_connects_is_waited_for_and_what_stays_closed_needs_a_person() {
        let connection = Connection::default();
        let class = |state, second| connection.note(state, at(second)).expect_err("not open").class.as_str();
        assert_eq!(class(State::Connecting, 0), "throttled");
        assert_eq!(class(State::Connecting, 1000), "throttled");
        assert_eq!(class(State::Closed, 1000), "throttled");
        assert_eq!(class(State::Closed, 1029), "throttled");
        assert_eq!(class(State::Closed, 1030), "account");
        assert_eq!(class(State::Connecting, 1031), "throttled");
        assert_eq!(class(State::Closed, 1032), "throttled", "it came up in between");
    }
}
