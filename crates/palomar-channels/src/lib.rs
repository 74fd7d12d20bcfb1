//! The providers that carry Palomar's messages.
//!
//! One folder or file a provider, behind one small trait ([`Channel`]); in each, pure functions wherever bytes become
//! values (content to request, webhook to events, code to error class), and the HTTP call as the thin rest. What all
//! providers need wraps the trait once ([`Deadlined`], [`Observed`]). Nothing here retries a send: that is the queue's.

mod channel;
mod codes;
mod deadline;
mod observed;

pub mod cloud_api;
pub mod evolution;
pub mod http;
pub mod media;
pub mod sandbox;
mod templates;
pub mod twilio;
pub mod web;

#[cfg(test)]
mod testing;

pub use channel::{
    BoxFuture, Channel, Delivery, Kept, Lookup, Parsed, Problem, RateLimit, RateProfile, Sent, Verified,
    WebhookError, WebhookRequest,
};
pub use cloud_api::{CloudApi, CloudApiConfig};
pub use codes::Documented;
pub use deadline::{Deadlined, Progress, attempting};
pub use evolution::{Evolution, EvolutionConfig};
pub use media::{
    FetchFailure, FetchLimits, FetchProblem, Fetcher, MediaSink, MediaSource, Wanted, decode_into,
};
pub use observed::{Observed, Observer};
pub use sandbox::{Sandbox, SandboxConfig, SandboxSink};
pub use templates::{KnownTemplate, TemplateSource};
pub use twilio::{Twilio, TwilioConfig};
pub use web::{Web, WebConfig};
