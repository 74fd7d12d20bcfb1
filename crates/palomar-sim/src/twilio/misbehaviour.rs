//! How Twilio misbehaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::errors::ApiError;
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
    /// The message is accepted, or with `"accepted": false` not; the answer is a gateway's 502 page.
    #[serde(rename = "http_502_html")]
    Http502Html,
    /// Not accepted: HTTP 500 with document 20500.
    #[serde(rename = "error_20500")]
    Error20500,
    /// The message is handled as ever; the answer comes later by `latency` (1 s where not given).
    Slow,
    /// Not accepted: HTTP 503 with document 20503.
    Down,
    /// Not accepted: HTTP 401 with document 20003.
    Auth,
    /// Not accepted: HTTP 429 with document 20429 and `Retry-After`.
    Throttle,
}

impl Misbehaviour for FaultKind {
    const ALL: &'static [FaultKind] = &[
        FaultKind::Hang,
        FaultKind::ResetAfterAccept,
        FaultKind::Truncated201,
        FaultKind::Http502Html,
        FaultKind::Error20500,
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
            FaultKind::Error20500 => "error_20500",
            FaultKind::Slow => "slow",
            FaultKind::Down => "down",
            FaultKind::Auth => "auth",
            FaultKind::Throttle => "throttle",
        }
    }

    fn shape(self) -> Shape {
        match self {
            FaultKind::Hang
            | FaultKind::ResetAfterAccept
            | FaultKind::Truncated201
            | FaultKind::Http502Html => Shape::LeavesOpen,
            FaultKind::Slow => Shape::Slow,
            FaultKind::Error20500 => Shape::Refuses { everything: false },
            FaultKind::Down | FaultKind::Auth => Shape::Refuses { everything: true },
            FaultKind::Throttle => Shape::Throttles,
        }
    }
}

impl FaultKind {
    /// How the answer of a message is spoiled that it strikes.
    pub(super) const fn spoils(self) -> Spoil {
        match self {
            FaultKind::Hang => Spoil::Hang,
            FaultKind::Truncated201 => Spoil::Truncated,
            FaultKind::Http502Html => Spoil::Page502,
            _ => Spoil::Reset,
        }
    }
}

/// The error of a fault that refuses.
pub(super) fn refusal(fault: &Fault) -> Option<ApiError> {
    match fault.kind {
        FaultKind::Error20500 => Some(ApiError::of(20_500)),
        FaultKind::Down => Some(ApiError::of(20_503)),
        FaultKind::Auth => Some(ApiError::of(20_003)),
        FaultKind::Throttle => {
            Some(ApiError { retry_after: Some(fault.retry_after.unwrap_or(1)), ..ApiError::of(20_429) })
        }
        _ => None,
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
