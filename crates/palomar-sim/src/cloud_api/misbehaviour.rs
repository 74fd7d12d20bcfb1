//! How the Cloud API misbehaves.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// The message is accepted; the answer is a 200 that breaks off in the middle.
    #[serde(rename = "truncated_200")]
    Truncated200,
    /// The message is accepted, or with `"accepted": false` not; the answer is a gateway's 502 page.
    #[serde(rename = "http_502_html")]
    Http502Html,
    /// Not accepted: HTTP 500 with the provider's own document 131000.
    #[serde(rename = "error_131000")]
    Error131000,
    /// The message is handled as ever; the answer comes later by `latency` (1 s where not given).
    Slow,
    /// Not accepted: HTTP 503 with the provider's own document 131016.
    Down,
    /// Not accepted: HTTP 401 with document 190.
    Auth,
    /// Not accepted: HTTP 429 with document 130429 and `Retry-After`.
    Throttle,
    /// Not accepted: the document of the `code` that is set, with the HTTP status that is usual for it.
    Code,
}

impl Misbehaviour for FaultKind {
    const ALL: &'static [FaultKind] = &[
        FaultKind::Hang,
        FaultKind::ResetAfterAccept,
        FaultKind::Truncated200,
        FaultKind::Http502Html,
        FaultKind::Error131000,
        FaultKind::Slow,
        FaultKind::Down,
        FaultKind::Auth,
        FaultKind::Throttle,
        FaultKind::Code,
    ];

    fn name(self) -> &'static str {
        match self {
            FaultKind::Hang => "hang",
            FaultKind::ResetAfterAccept => "reset_after_accept",
            FaultKind::Truncated200 => "truncated_200",
            FaultKind::Http502Html => "http_502_html",
            FaultKind::Error131000 => "error_131000",
            FaultKind::Slow => "slow",
            FaultKind::Down => "down",
            FaultKind::Auth => "auth",
            FaultKind::Throttle => "throttle",
            FaultKind::Code => "code",
        }
    }

    fn shape(self) -> Shape {
        use FaultKind::{
            Auth, Code, Down, Error131000, Hang, Http502Html, ResetAfterAccept, Slow, Throttle, Truncated200,
        };
        match self {
            Hang | ResetAfterAccept | Truncated200 | Http502Html => Shape::LeavesOpen,
            Slow => Shape::Slow,
            Error131000 => Shape::Refuses { everything: false },
            Down | Auth => Shape::Refuses { everything: true },
            Throttle => Shape::Throttles,
            Code => Shape::RefusesAs,
        }
    }
}

impl FaultKind {
    /// How the answer of a message is spoiled that it strikes.
    pub(super) const fn spoils(self) -> Spoil {
        match self {
            FaultKind::Hang => Spoil::Hang,
            FaultKind::Truncated200 => Spoil::Truncated,
            FaultKind::Http502Html => Spoil::Page502,
            _ => Spoil::Reset,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
