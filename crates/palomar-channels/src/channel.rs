//! What the rest of Palomar needs of a provider.
//!
//! Receiving is split in two, because the caller stores the raw body durably in between: [`Channel::verify`] decides
//! whether the body is the provider's, [`Channel::parse`] what it says. Both are pure.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{
    Content, FieldError, Outbound, Provider, ProviderMessageId, Received, Recipient, Scope, SendFailure, Tag,
    Timestamp,
};

use serde_json::Value;

pub use futures_util::future::BoxFuture;

use crate::media::MediaSource;
use crate::templates::TemplateSource;

/// One sender line at a provider.
pub trait Channel: Send + Sync {
    /// Who carries it.
    fn provider(&self) -> Provider;

    /// How fast it may go unless its settings say otherwise.
    fn profile(&self) -> RateProfile;

    /// What this provider would refuse, found out before it is queued. Pointers are those of the message.
    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError>;

    /// Makes one attempt: at most one call to the provider takes the message, named `tag`.
    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>>;

    /// Whether the provider takes one tag only once, so that an unknown outcome may be repeated with the same tag.
    fn unknown_is_repeatable(&self) -> bool {
        false
    }

    /// Asks the provider what became of an attempt whose outcome is unknown.
    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        let _ = (message, tag);
        Box::pin(std::future::ready(Ok(Lookup::Unknowable)))
    }

    /// Decides whether a request to the webhook is the provider's. In doubt it is not.
    ///
    /// # Errors
    /// [`WebhookError`], which is the answer to give; nothing of such a request is to be stored.
    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError>;

    /// Reads a verified delivery. Never fails as a whole: what cannot be read is in [`Parsed::problems`], the rest in
    /// [`Parsed::events`].
    fn parse(&self, delivery: &Delivery<'_>) -> Parsed;

    /// Reads again what was kept as it came. Empty where that can't be told from the object alone.
    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        let _ = kept;
        Parsed::default()
    }

    /// What the provider calls this line in [`palomar_model::Received::line`], where one webhook may bring events for
    /// several.
    fn line(&self) -> Option<String> {
        None
    }

    /// How media that came in are fetched; none where this provider brings none.
    fn media(&self) -> Option<&dyn MediaSource> {
        None
    }

    /// Where the templates are told of that the provider approved; none where this provider has none.
    fn templates(&self) -> Option<&dyn TemplateSource> {
        None
    }

    /// Whether a message can be shown as the answer to another one.
    fn can_quote(&self) -> bool {
        true
    }

    /// Whether a failure with this code says that the person wants to get no more messages.
    fn is_opt_out(&self, code: &str) -> bool {
        let _ = code;
        false
    }

    /// The codes of failures which say that messages such as this one are not wanted: by the person, or by the provider in the
    /// name of people.
    fn unwelcome_codes(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The provider took the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id there.
    pub provider_id: ProviderMessageId,
    /// The provider's own spelling of the recipient's account, where it gives one: an alias to keep.
    pub alias: Option<String>,
    /// The provider's word for how far it is, where it gives one.
    pub status: Option<String>,
}

/// What a provider knows of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It took it.
    Taken(Sent),
    /// It certainly did not take it.
    NotTaken,
    /// It took these, each of which may be it, since they say the same to the same person. Whoever asks leaves out what
    /// is known to be another message; only one that is left alone proves something.
    Alike(Vec<Sent>),
    /// It cannot say; silence is no proof.
    Unknowable,
}

/// How fast a channel may go, and how much of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateProfile {
    /// The limits; all hold.
    pub limits: Vec<RateLimit>,
    /// Attempts in flight at once.
    pub concurrency: usize,
}

/// At most `count` messages of one scope in every sliding `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What it is counted over.
    pub scope: Scope,
    /// How many.
    pub count: u32,
    /// In which time.
    pub window: Duration,
}

/// A request to the webhook, as it came.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The address as the provider called it, query included, as far as it is known.
    pub url: &'a str,
    /// What stands behind the question mark, undecoded.
    pub query: &'a str,
    /// Looks a header up by its lower-case name; the values of several are joined by commas, as HTTP reads them.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The exact bytes.
    pub body: &'a [u8],
}

/// A delivery that was verified, as it is kept until it is read.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What stood behind the question mark, undecoded.
    pub query: &'a str,
    /// What the body is, as its sender said.
    pub content_type: Option<&'a str>,
    /// The exact bytes.
    pub body: &'a [u8],
    /// When it came: stands in for times that make no sense.
    pub received_at: Timestamp,
}

/// Something that an earlier version kept as it came, because it did not know what it was.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The field of a webhook that it stood under, as [`palomar_model::ChannelEvent::Other`] has it; none for a message.
    pub field: Option<&'a str>,
    /// The provider's own object.
    pub raw: &'a Value,
    /// When it came.
    pub received_at: Timestamp,
}

/// A request is the provider's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// A delivery: store the body, then answer 200.
    Delivery,
    /// A handshake: answer 200 with this text as `text/plain`; there is nothing to store.
    Handshake(String),
}

/// A request is not the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The signature is missing or wrong: 401.
    #[error("the signature is missing or wrong")]
    BadSignature,
    /// The handshake does not know the token, or this channel takes no webhooks: 403.
    #[error("not allowed")]
    Forbidden,
    /// Not a request that this provider makes: 400.
    #[error("not a request of this provider: {0}")]
    BadRequest(&'static str),
}

impl WebhookError {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            WebhookError::BadSignature => 401,
            WebhookError::Forbidden => 403,
            WebhookError::BadRequest(_) => 400,
        }
    }
}

/// What a webhook's body says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// What could be read, in the order of the body.
    pub events: Vec<Received>,
    /// What could not, or only in part.
    pub problems: Vec<Problem>,
}

/// A part of a webhook's body that could not be read as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the body; empty for the whole.
    pub pointer: String,
    /// What is wrong. Holds nothing personal.
    pub detail: String,
    /// Whether an event was made of it all the same.
    pub kept: bool,
}

impl<C: Channel + ?Sized> Channel for Arc<C> {
    fn provider(&self) -> Provider {
        (**self).provider()
    }

    fn profile(&self) -> RateProfile {
        (**self).profile()
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        (**self).validate(to, content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        (**self).send(message, tag)
    }

    fn unknown_is_repeatable(&self) -> bool {
        (**self).unknown_is_repeatable()
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        (**self).lookup(message, tag)
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        (**self).verify(request)
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        (**self).parse(delivery)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        (**self).reread(kept)
    }

    fn line(&self) -> Option<String> {
        (**self).line()
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        (**self).media()
    }

    fn templates(&self) -> Option<&dyn TemplateSource> {
        (**self).templates()
    }

    fn can_quote(&self) -> bool {
        (**self).can_quote()
    }

    fn is_opt_out(&self, code: &str) -> bool {
        (**self).is_opt_out(code)
    }

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        (**self).unwelcome_codes()
    }
}
