//! Evolution API: WhatsApp through a phone that somebody paired with it.
//!
//! `send` and `receive` are pure, `sign` proves who calls, `errors` says what a refusal means, `validate` what would be
//! refused, `connection` whether the instance can send at all, `lookup` what became of a message. This file holds the
//! settings and makes the calls.

mod connection;
pub mod errors;
mod jid;
mod lookup;
mod media;
pub mod receive;
pub mod send;
pub mod sign;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{
    Clock, Content, ErrorClass, FieldError, Outbound, Provider, Recipient, Scope, Secret, SendFailure, Tag,
};
use reqwest::{Method, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Progress;
use crate::channel::{
    BoxFuture, Channel, Delivery, Kept, Lookup, Parsed, RateLimit, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::http::{self, Answer};
use crate::media::MediaSource;
use connection::{Connection, State};

/// The longest "typing" that is shown before a message: the call lasts as long, and has a deadline.
const LONGEST_TYPING: u32 = 10_000;

/// The settings of an Evolution channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvolutionConfig {
    /// Where the installation is.
    pub base_url: String,
    /// The name of the instance: the phone that sends.
    #[serde(default)]
    pub instance: String,
    /// The key of the installation, or the token of the instance.
    pub api_key: Secret,
    /// What webhooks bring along to be believed. Without it none is.
    #[serde(default)]
    pub webhook_secret: Secret,
    /// How long the person sees "typing…" before a message, in milliseconds.
    #[serde(default)]
    pub typing_ms: u32,
    /// How buttons and lists go out.
    #[serde(default)]
    pub interactive: Menus,
}

impl EvolutionConfig {
    /// The settings with `name` for the instance where they name none.
    #[must_use]
    pub fn or_instance(self, name: &str) -> EvolutionConfig {
        if self.instance.is_empty() { EvolutionConfig { instance: name.to_owned(), ..self } } else { self }
    }
}

/// How buttons and lists go out: through a paired phone they are unofficial, and many phones do not show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Menus {
    /// As what they are.
    #[default]
    Native,
    /// As a text with numbered choices.
    Text,
}

/// One instance of an Evolution installation.
pub struct Evolution {
    config: EvolutionConfig,
    base: Url,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    connection: Connection,
}

impl Evolution {
    /// A channel that calls through `client` (see [`http::client`]).
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        config: EvolutionConfig,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Evolution, Vec<FieldError>> {
        let base = Url::parse(&config.base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut wrong = Vec::new();
        if base.is_none() {
            wrong.push(FieldError::new("/settings/baseUrl", "must be an http(s) URL"));
        }
        // A path of dots would lead elsewhere.
        if config.instance.trim().is_empty() || matches!(config.instance.as_str(), "." | "..") {
            wrong.push(FieldError::new("/settings/instance", "must name the instance"));
        }
        if config.typing_ms > LONGEST_TYPING {
            wrong.push(FieldError::new("/settings/typingMs", "must be at most 10000"));
        }
        // Anything else could not be written into a header.
        if config.api_key.is_empty() || !config.api_key.expose().bytes().all(|c| c.is_ascii_graphic()) {
            wrong.push(FieldError::new("/credentials/apiKey", "must be a key: visible ASCII characters"));
        }
        match base {
            Some(base) if wrong.is_empty() => {
                Ok(Evolution { config, base, client, clock, connection: Connection::default() })
            }
            _ => Err(wrong),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &EvolutionConfig {
        &self.config
    }

    /// `/{area}/{op}/{instance}`.
    fn address(&self, area: &str, op: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([area, op, self.config.instance.as_str()]);
        }
        url
    }

    /// A call to `/{area}/{op}/{instance}`.
    fn request(&self, method: Method, area: &str, op: &str) -> RequestBuilder {
        self.client.request(method, self.address(area, op)).header("apikey", self.config.api_key.expose())
    }

    /// Looks whether the instance can send, unless that is known. Nothing is sent by it.
    async fn ready(&self) -> Result<(), SendFailure> {
        if self.connection.is_known_open(self.clock.now()) {
            return Ok(());
        }
        // Up to here, and until the message itself is written, nothing can have been taken.
        Progress::current().begin();
        let answer = self.ask(self.request(Method::GET, "instance", "connectionState")).await?;
        match State::read(&answer.body) {
            Some(state) if answer.is_success() => self.connection.note(state, self.clock.now()),
            _ if answer.is_success() => {
                let title = "Evolution does not tell the instance's state";
                Err(SendFailure::new(ErrorClass::Transient, title))
            }
            _ => Err(not_taken(errors::classify(answer.status, &answer.body, answer.retry_after()))),
        }
    }

    /// A call that changes nothing: whatever breaks, no message was taken.
    async fn ask(&self, request: RequestBuilder) -> Result<Answer, SendFailure> {
        match request.send().await {
            Ok(response) => Ok(http::read(response).await),
            Err(_) => Err(SendFailure::new(ErrorClass::Transient, "Evolution cannot be reached")),
        }
    }

    async fn find(&self, message: &Outbound) -> Result<Lookup, SendFailure> {
        let Recipient::Phone(phone) = &message.to else {
            return Ok(Lookup::Unknowable);
        };
        let request = self.request(Method::POST, "chat", "findMessages").json(&lookup::query(phone));
        let answer = self.ask(request).await?;
        if !answer.is_success() {
            return Err(not_taken(errors::classify(answer.status, &answer.body, answer.retry_after())));
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(lookup::find(message, &document))
    }
}

/// What was asked was no message: an unknown outcome leaves nothing open.
fn not_taken(failure: SendFailure) -> SendFailure {
    match failure.class {
        ErrorClass::Unknown => SendFailure { class: ErrorClass::Transient, ..failure },
        _ => failure,
    }
}

impl Channel for Evolution {
    fn provider(&self) -> Provider {
        Provider::Evolution
    }

    /// Nothing official: WhatsApp bans who is too fast. Eighty a minute is a ceiling that users of such lines go by.
    fn profile(&self) -> RateProfile {
        let limit = |scope, count| RateLimit { scope, count, window: Duration::from_secs(60) };
        RateProfile { limits: vec![limit(Scope::Channel, 80), limit(Scope::Pair, 10)], concurrency: 10 }
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        validate::validate(to, content, self.config.interactive)
    }

    fn send<'a>(&'a self, message: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            let call = send::call(message, &self.config)?;
            self.ready().await?;
            let request = self.request(Method::POST, "message", call.op);
            let answer =
                http::exchange(request, "application/json", call.body.to_string().into_bytes()).await?;
            let outcome = send::outcome(&answer);
            match &outcome {
                Ok(_) => self.connection.note(State::Open, self.clock.now())?,
                Err(failure) if failure.code.as_deref() == Some(errors::CONNECTION_CLOSED) => {
                    self.connection.doubt();
                }
                Err(_) => {}
            }
            outcome
        })
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        Box::pin(self.find(message))
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        if request.method != "POST" {
            return Err(WebhookError::BadRequest("only POST"));
        }
        let secret = &self.config.webhook_secret;
        let header = (request.header)(sign::HEADER);
        let authorization = (request.header)("authorization");
        let proven = sign::is_secret(secret, header.as_deref())
            || sign::is_token(secret, authorization.as_deref(), self.clock.now());
        if !proven {
            return Err(WebhookError::BadSignature);
        }
        // What names no instance, or is not readable, is kept all the same: it is Evolution's.
        match sign::instance(request.body) {
            Some(instance) if instance != self.config.instance => Err(WebhookError::Forbidden),
            _ => Ok(Verified::Delivery),
        }
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        receive::parse(delivery.body, delivery.received_at)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        receive::reread(kept, &self.config.instance)
    }

    fn line(&self) -> Option<String> {
        Some(self.config.instance.clone())
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
