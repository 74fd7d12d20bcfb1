//! How Evolution misbehaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::errors::Refusal;
use crate::faults::{Misbehaviour, Shape};
use crate::spoil::Spoil;

/// A fault as it is set.
pub type Fault = crate::faults::Fault<FaultKind>;
/// Faults that are set together.
pub type Faults = crate::faults::Faults<FaultKind>;

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The message is accepted and never answered; the connection stays open.
    Hang,
    /// The message is accepted, then the connection is reset without a byte of an answer.
    ResetAfterAccept,
    /// The message is accepted; the answer is a 201 that breaks off in the middle.
    #[serde(rename = "truncated_201")]
    Truncated201,
    /// The message is accepted, or with `"accepted": false` not; the answer is a proxy's 502 page.
    #[serde(rename = "http_502_html")]
    Http502Html,
    /// The message is accepted, or with `"accepted": false` not; the answer is a 400 with `Error: Timed Out`.
    TimedOut,
    /// Not accepted: a 400 with `Error: Connection Closed`.
    ConnectionClosed,
    /// Not accepted: a 500 with Evolution's own document.
    Internal,
    /// The message is handled as ever; the answer comes later by `latency` (1 s where not given).
    Slow,
    /// Not accepted: 500 with Evolution's own document, whatever is asked.
    Down,
    /// Not accepted: 401.
    Auth,
    /// Not accepted: a proxy's 429 with `Retry-After`.
    Throttle,
}

impl Misbehaviour for FaultKind {
    const ALL: &'static [FaultKind] = &[
        FaultKind::Hang,
        FaultKind::ResetAfterAccept,
        FaultKind::Truncated201,
        FaultKind::Http502Html,
        FaultKind::TimedOut,
        FaultKind::ConnectionClosed,
        FaultKind::Internal,
        FaultKind::Slow,
        FaultKind::Down,
        FaultKind::Auth,
        FaultKind::Throttle,
    ];

    fn name(self) -> &'static str {
        match self {
            FaultKind::Hang => "hang",
            FaultKind::ResetAfterAccept => "reset_after_accept",
            FaultKind::Truncated201 => "truncated_201",
            FaultKind::Http502Html => "http_502_html",
            FaultKind::TimedOut => "timed_out",
            FaultKind::ConnectionClosed => "connection_closed",
            FaultKind::Internal => "internal",
            FaultKind::Slow => "slow",
            FaultKind::Down => "down",
            FaultKind::Auth => "auth",
            FaultKind::Throttle => "throttle",
        }
    }

    fn shape(self) -> Shape {
        use FaultKind::{
            Auth, ConnectionClosed, Down, Hang, Http502Html, Internal, ResetAfterAccept, Slow, Throttle,
            TimedOut, Truncated201,
        };
        match self {
            Hang | ResetAfterAccept | Truncated201 | Http502Html | TimedOut => Shape::LeavesOpen,
            Slow => Shape::Slow,
            ConnectionClosed | Internal => Shape::Refuses { everything: false },
            Down | Auth => Shape::Refuses { everything: true },
            Throttle => Shape::Throttles,
        }
    }
}

impl FaultKind {
    /// How the answer of a message is spoiled that it strikes; `None` where it gets another one in its place.
    pub(super) const fn spoils(self) -> Option<Spoil> {
        match self {
            FaultKind::Hang => Some(Spoil::Hang),
            FaultKind::ResetAfterAccept => Some(Spoil::Reset),
            FaultKind::Truncated201 => Some(Spoil::Truncated),
            FaultKind::Http502Html => Some(Spoil::Page502),
            _ => None,
        }
    }
}

/// What a request struck by a fault is told, whether its message was accepted or not.
pub(super) fn refusal(fault: &Fault) -> Option<Refusal> {
    match fault.kind {
        FaultKind::TimedOut => Some(Refusal::words("Error: Timed Out")),
        FaultKind::ConnectionClosed => Some(Refusal::words("Error: Connection Closed")),
        FaultKind::Internal | FaultKind::Down => Some(Refusal::internal()),
        FaultKind::Auth => Some(Refusal::unauthorized()),
        FaultKind::Throttle => Some(Refusal::throttled(fault.retry_after.unwrap_or(1))),
        _ => None,
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
