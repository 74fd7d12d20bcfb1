//! Twilio's Programmable Messaging for WhatsApp.
//!
//! `send` and `receive` are pure, `sign` proves who calls, `errors` says what a refusal means, `validate` what would be
//! refused, `lookup` what became of a message. This file holds the settings and makes the calls.

pub mod errors;
pub mod form;
mod lookup;
mod media;
pub mod receive;
pub mod send;
pub mod sign;
pub mod validate;

use std::time::Duration;

use palomar_model::{
    Content, ErrorClass, FieldError, Outbound, Provider, Recipient, Scope, Secret, SendFailure, Tag,
};
use serde::{Deserialize, Serialize};

use crate::channel::{
    BoxFuture, Channel, Delivery, Kept, Lookup, Parsed, RateLimit, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::http::{self, Answer};
use crate::media::MediaSource;
use send::From;

/// The settings of a Twilio channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwilioConfig {
    /// Where the API is: another one for an edge or region of Twilio's, a simulator or a proxy.
    #[serde(default = "TwilioConfig::default_base_url")]
    pub base_url: String,
    /// The account, `AC…`.
    pub account_sid: String,
    /// Its token: calls are made with it, and webhooks signed.
    pub auth_token: Secret,
    /// The account's other token, while one is exchanged for the other: webhooks that it signs are accepted too.
    #[serde(default)]
    pub secondary_auth_token: Secret,
    /// An API key, `SK…`, to make calls with in place of the account's token.
    #[serde(default)]
    pub api_key_sid: Option<String>,
    /// The secret of that key.
    #[serde(default)]
    pub api_key_secret: Secret,
    /// The number that sends, with or without `whatsapp:` in front.
    #[serde(default)]
    pub number: Option<String>,
    /// The Messaging Service that sends, `MG…`; with a number too, or in its place.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
    /// Where Twilio reaches this channel, where that is not the public address and the channel's path.
    #[serde(default)]
    pub webhook_url: Option<String>,
}

impl TwilioConfig {
    fn default_base_url() -> String {
        "https://api.twilio.com".to_owned()
    }

    /// The settings with the defaults for everything that has one.
    pub fn new(
        account_sid: impl Into<String>,
        auth_token: Secret,
        number: impl Into<String>,
    ) -> TwilioConfig {
        TwilioConfig {
            base_url: TwilioConfig::default_base_url(),
            account_sid: account_sid.into(),
            auth_token,
            secondary_auth_token: Secret::default(),
            api_key_sid: None,
            api_key_secret: Secret::default(),
            number: Some(number.into()),
            messaging_service_sid: None,
            webhook_url: None,
        }
    }
}

/// One sender at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    config: TwilioConfig,
    from: From,
    /// Where Twilio reports on a message; without it, reports carry no tag.
    callback: Option<reqwest::Url>,
    client: reqwest::Client,
}

impl Twilio {
    /// A channel that calls through `client` (see [`http::client`]). `webhook` is where Twilio reaches it unless its
    /// settings say otherwise.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        config: TwilioConfig,
        webhook: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Twilio, Vec<FieldError>> {
        let callback = config.webhook_url.as_deref().or(webhook);
        let errors = validate::settings(&config, callback);
        if !errors.is_empty() {
            return Err(errors);
        }
        let from = From {
            number: config.number.as_deref().map(|number| form::plain(number).to_owned()),
            service: config.messaging_service_sid.clone(),
        };
        let callback = callback.and_then(|url| reqwest::Url::parse(url).ok());
        Ok(Twilio { config, from, callback, client })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &TwilioConfig {
        &self.config
    }

    /// Whether Twilio hears with each message where to report on it.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.callback.is_some()
    }

    fn messages(&self) -> String {
        let TwilioConfig { base_url, account_sid, .. } = &self.config;
        format!("{}/2010-04-01/Accounts/{account_sid}/Messages.json", base_url.trim_end_matches('/'))
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let TwilioConfig { account_sid, auth_token, api_key_sid, api_key_secret, .. } = &self.config;
        match api_key_sid {
            Some(sid) => request.basic_auth(sid, Some(api_key_secret.expose())),
            None => request.basic_auth(account_sid, Some(auth_token.expose())),
        }
    }

    async fn ask(&self, query: &[(&str, String)]) -> Result<Answer, SendFailure> {
        let url = format!("{}?{}", self.messages(), form::encode(query));
        let broken = |_| SendFailure::new(ErrorClass::Transient, "the look-up broke off");
        let answer = http::read(self.authorized(self.client.get(url)).send().await.map_err(broken)?).await;
        if answer.is_success() {
            return Ok(answer);
        }
        Err(errors::classify(answer.status, &answer.body, answer.retry_after()))
    }

    /// The address that Twilio signed: as it is configured there.
    fn signed_url(&self, request: &WebhookRequest<'_>) -> String {
        let Some(own) = &self.config.webhook_url else {
            return request.url.to_owned();
        };
        let own = own.split(['?', '#']).next().unwrap_or_default();
        if request.query.is_empty() { own.to_owned() } else { format!("{own}?{}", request.query) }
    }
}

impl Channel for Twilio {
    fn provider(&self) -> Provider {
        Provider::Twilio
    }

    /// What Twilio lets a WhatsApp sender do that was not raised, and Meta's pace to one person.
    fn profile(&self) -> RateProfile {
        let limit = |scope, count, seconds| RateLimit { scope, count, window: Duration::from_secs(seconds) };
        let limits = vec![
            limit(Scope::Channel, 10, 1),
            limit(Scope::Channel, 600, 60),
            limit(Scope::Channel, 36_000, 3600),
            limit(Scope::Pair, 10, 60),
        ];
        RateProfile { limits, concurrency: 50 }
    }

    fn validate(&self, _: &Recipient, content: &Content) -> Vec<FieldError> {
        validate::validate(content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            let callback = self.callback.as_ref().map(|url| send::callback(url, tag));
            let body = form::encode(&send::form(message, &self.from, callback)?);
            let request = self.authorized(self.client.post(self.messages()));
            let answer = http::exchange(request, form::CONTENT_TYPE, body.into_bytes()).await?;
            send::outcome(&answer)
        })
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        Box::pin(async move {
            let Some(wanted) = lookup::Wanted::of(message, &self.from) else {
                return Ok(Lookup::Unknowable);
            };
            let answer = self.ask(&wanted.query()).await?;
            Ok(wanted.found(&answer.body))
        })
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        if !matches!(request.method, "GET" | "POST") {
            return Err(WebhookError::BadRequest("only GET and POST"));
        }
        let TwilioConfig { auth_token, secondary_auth_token, .. } = &self.config;
        let content_type = (request.header)("content-type");
        let header = (request.header)("x-twilio-signature");
        let url = self.signed_url(request);
        let proven = [auth_token, secondary_auth_token].into_iter().any(|token| {
            sign::is_signed(
                token,
                &url,
                request.query,
                content_type.as_deref(),
                request.body,
                header.as_deref(),
            )
        });
        if proven { Ok(Verified::Delivery) } else { Err(WebhookError::BadSignature) }
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        receive::parse(delivery)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        receive::reread(kept)
    }

    fn line(&self) -> Option<String> {
        self.from.number.clone()
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        Some(self)
    }

    /// The API has no parameter for it.
    fn can_quote(&self) -> bool {
        false
    }

    fn is_opt_out(&self, code: &str) -> bool {
        errors::is_opt_out(code)
    }

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        errors::UNWELCOME
    }
}

#[cfg(test)]
mod tests;
