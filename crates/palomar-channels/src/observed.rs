//! What is measured of every attempt, once for all providers.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{Clock, Content, FieldError, Outbound, Provider, Recipient, SendFailure, Tag};

use crate::channel::{
    BoxFuture, Channel, Delivery, Kept, Lookup, Parsed, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::media::MediaSource;
use crate::templates::TemplateSource;

/// Who is told of attempts and webhooks: metrics, the breaker.
pub trait Observer: Send + Sync {
    /// An attempt ended with `sent` or with the word of its error class.
    fn on_attempt(&self, provider: Provider, outcome: &'static str, took: Duration);

    /// A webhook was refused.
    fn on_refused_webhook(&self, provider: Provider, error: WebhookError) {
        let _ = (provider, error);
    }
}

/// A channel whose attempts are measured.
pub struct Observed<C> {
    inner: C,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

impl<C: Channel> Observed<C> {
    /// Tells `observer` of everything that `inner` does, timed by `clock`.
    pub fn new(inner: C, observer: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Observed<C> {
        Observed { inner, observer, clock }
    }
}

impl<C: Channel> Channel for Observed<C> {
    fn provider(&self) -> Provider {
        self.inner.provider()
    }

    fn profile(&self) -> RateProfile {
        self.inner.profile()
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        self.inner.validate(to, content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            let started = self.clock.now();
            let outcome = self.inner.send(message, tag).await;
            let word = outcome.as_ref().map_or_else(|failure| failure.class.as_str(), |_| "sent");
            self.observer.on_attempt(self.provider(), word, self.clock.now().since(started));
            outcome
        })
    }

    fn unknown_is_repeatable(&self) -> bool {
        self.inner.unknown_is_repeatable()
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        self.inner.lookup(message, tag)
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        self.inner
            .verify(request)
            .inspect_err(|error| self.observer.on_refused_webhook(self.provider(), *error))
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        self.inner.parse(delivery)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        self.inner.reread(kept)
    }

    fn line(&self) -> Option<String> {
        self.inner.line()
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        self.inner.media()
    }

    fn templates(&self) -> Option<&dyn TemplateSource> {
        self.inner.templates()
    }

    fn can_quote(&self) -> bool {
        self.inner.can_quote()
    }

    fn is_opt_out(&self, code: &str) -> bool {
        self.inner.is_opt_out(code)
    }

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        self.inner.unwelcome_codes()
    }
}
