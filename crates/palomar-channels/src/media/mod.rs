//! Media that came in: how their bytes are fetched, by each provider's rules.
//!
//! ```text
//! MediaSource (pure: calls, hosts, what a refusal means) ─> Fetcher (guard, call, redirects, limits) ─> MediaSink
//! ```
//!
//! What always holds: an address from outside is judged before it is called, and again after each redirect; nothing but
//! the channel's own origin is reached inside of private networks; credentials go to the provider's own hosts only; what
//! comes is counted while it comes, and cut at a limit.

mod base64;
mod fetch;
pub mod guard;

use std::io;

use palomar_model::InboundMedia;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::channel::BoxFuture;

pub use base64::decode_into;
pub use fetch::{FetchLimits, Fetcher};

/// Media that are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The provider's id of the message that they came with.
    pub message: String,
    /// What the message says of them.
    pub media: InboundMedia,
}

/// A call for media: a `GET`, a `POST` where it brings a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where.
    pub url: String,
    /// What it brings.
    pub body: Option<Value>,
}

impl Call {
    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Call {
        Call { url: url.into(), body: None }
    }
}

/// One step on the way to the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The answer is a document that says where they are.
    Locate(Call),
    /// The answer is the bytes.
    Bytes {
        /// The call.
        call: Call,
        /// What the provider says of them: what differs from that is not them.
        sha256: Option<[u8; 32]>,
    },
    /// The answer is a document with the bytes in Base64, as the text `base64`.
    Base64(Call),
}

/// Whose a place is that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The origin that the channel is configured with.
    Own,
    /// A host of the provider that may know the channel's credentials.
    Provider,
    /// Another's, where the bytes are.
    Other,
}

/// A provider's rules for fetching media. All of it is pure.
pub trait MediaSource: Send + Sync {
    /// The origin that the channel is configured with.
    fn own(&self) -> Option<Url>;

    /// What the provider's own hosts ask for. Marked as sensitive.
    fn credentials(&self) -> Option<(HeaderName, HeaderValue)>;

    /// Whether a host of the public internet, other than the own, may know the credentials.
    fn may_know(&self, host: &str) -> bool;

    /// Whether bytes may be on this host of the public internet; `redirected` where the provider sent us there.
    fn may_have(&self, host: &str, redirected: bool) -> bool;

    /// The first step.
    ///
    /// # Errors
    /// Where the message does not say enough.
    fn first(&self, wanted: &Wanted) -> Result<Step, FetchFailure>;

    /// The step after [`Step::Locate`].
    ///
    /// # Errors
    /// Where the document does not say where they are.
    fn located(&self, document: &Value) -> Result<Step, FetchFailure> {
        let _ = document;
        Err(FetchFailure::new(FetchProblem::Passing, "the answer says nothing of media"))
    }

    /// Another way, where the first one did not lead to any bytes.
    fn otherwise(&self, wanted: &Wanted) -> Option<Step> {
        let _ = wanted;
        None
    }

    /// What a refusal means, where it is not what its status says.
    fn refused(&self, step: &Step, status: u16, body: &[u8]) -> Option<FetchProblem> {
        let _ = (step, status, body);
        None
    }
}

/// Who takes the bytes.
pub trait MediaSink: Send {
    /// Takes more of them.
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;
}

/// What kept media from being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchProblem {
    /// The message does not say where they are, or this provider has no way to them.
    Nowhere,
    /// The provider does not have them any more.
    Gone,
    /// They are larger than is taken.
    TooLarge,
    /// Their address leads where nothing is fetched from.
    Blocked,
    /// The provider does not let the channel in.
    Refused,
    /// They could not be written here.
    NotWritten,
    /// Anything that may go better later.
    Passing,
}

impl FetchProblem {
    /// Whether trying again can help.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, FetchProblem::Refused | FetchProblem::NotWritten | FetchProblem::Passing)
    }
}

/// Media were not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct FetchFailure {
    /// What kind of problem it is.
    pub problem: FetchProblem,
    /// In words. Holds neither addresses nor anything personal.
    pub detail: String,
    /// How long the provider asks to wait.
    pub after: Option<std::time::Duration>,
}

impl FetchFailure {
    /// A failure in words.
    pub fn new(problem: FetchProblem, detail: impl Into<String>) -> FetchFailure {
        FetchFailure { problem, detail: detail.into(), after: None }
    }
}

#[cfg(test)]
mod tests;
