//! Meta's WhatsApp Cloud API.
//!
//! `send` and `receive` are pure, `sign` proves who calls, `errors` says what a refusal means, `validate` what would be
//! refused. This file holds the settings and makes the calls.

pub mod errors;
mod media;
pub mod receive;
pub mod send;
pub mod sign;
mod templates;
pub mod validate;

use std::time::Duration;

use palomar_model::{
    Content, ErrorClass, FieldError, Outbound, Provider, ProviderMessageId, Recipient, Scope, Secret,
    SendFailure, Tag,
};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channel::{
    BoxFuture, Channel, Delivery, Kept, Parsed, RateLimit, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::http::{self, Answer};
use crate::media::MediaSource;
use crate::templates::TemplateSource;

/// The settings of a Cloud API channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudApiConfig {
    /// Where the Graph API is, without a version.
    #[serde(default = "CloudApiConfig::default_base_url")]
    pub base_url: String,
    /// The version in the path.
    #[serde(default = "CloudApiConfig::default_version")]
    pub version: String,
    /// Meta's id of the number that sends.
    pub phone_number_id: String,
    /// Meta's id of the account that has the number and its templates; without it templates are not asked for.
    #[serde(default)]
    pub business_account_id: Option<String>,
    /// The access token.
    pub token: Secret,
    /// What Meta signs webhooks with. Without it no webhook is accepted.
    #[serde(default)]
    pub app_secret: Secret,
    /// The word that we agreed with Meta for the handshake. Without it none succeeds.
    #[serde(default)]
    pub verify_token: Secret,
}

impl CloudApiConfig {
    fn default_base_url() -> String {
        "https://graph.facebook.com".to_owned()
    }

    fn default_version() -> String {
        "v25.0".to_owned()
    }

    /// The settings with the defaults for everything that has one.
    pub fn new(phone_number_id: impl Into<String>, token: Secret) -> CloudApiConfig {
        CloudApiConfig {
            base_url: CloudApiConfig::default_base_url(),
            version: CloudApiConfig::default_version(),
            phone_number_id: phone_number_id.into(),
            business_account_id: None,
            token,
            app_secret: Secret::default(),
            verify_token: Secret::default(),
        }
    }
}

/// One phone number at the Cloud API.
#[derive(Clone, Debug)]
pub struct CloudApi {
    config: CloudApiConfig,
    client: reqwest::Client,
}

impl CloudApi {
    /// A channel that calls through `client` (see [`http::client`]).
    #[must_use]
    pub const fn new(config: CloudApiConfig, client: reqwest::Client) -> CloudApi {
        CloudApi { config, client }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &CloudApiConfig {
        &self.config
    }

    fn post(&self, endpoint: &str) -> reqwest::RequestBuilder {
        let CloudApiConfig { base_url, version, phone_number_id, token, .. } = &self.config;
        let base = base_url.trim_end_matches('/');
        self.client.post(format!("{base}/{version}/{phone_number_id}/{endpoint}")).bearer_auth(token.expose())
    }

    async fn post_json(&self, body: &Value) -> Result<Answer, SendFailure> {
        http::exchange(self.post("messages"), "application/json", body.to_string().into_bytes()).await
    }

    /// Marks a message that came in, and all before it, as read; with `typing`, shows that an answer is being written.
    ///
    /// # Errors
    /// The failure, classified. Repeating it does no harm.
    pub async fn mark_read(&self, message: &ProviderMessageId, typing: bool) -> Result<(), SendFailure> {
        let answer = self.post_json(&send::mark_as_read(message, typing)).await?;
        if answer.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }

    /// Uploads media, and gives the id to send it by; it lives 30 days.
    ///
    /// # Errors
    /// The failure, classified. Repeating it does no harm, but for a second copy at the provider.
    pub async fn upload(&self, filename: &str, mime: &str, bytes: Vec<u8>) -> Result<String, SendFailure> {
        let invalid = |_| SendFailure::new(ErrorClass::Content, "not a media type");
        let part = reqwest::multipart::Part::bytes(bytes).file_name(filename.to_owned());
        let part = part.mime_str(mime).map_err(invalid)?;
        let form = reqwest::multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime.to_owned())
            .part("file", part);
        let sent = self.post("media").multipart(form).send().await;
        let broken = |_| SendFailure::new(ErrorClass::Transient, "the upload broke off");
        let answer = http::read(sent.map_err(broken)?).await;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = document.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| SendFailure::new(ErrorClass::Transient, "the answer to the upload names no media"))
    }
}

fn refused(answer: &Answer) -> SendFailure {
    errors::classify(
        answer.status,
        &answer.body,
        answer.retry_after().or_else(|| usage_wait(&answer.headers)),
    )
}

/// How long calls are blocked, from the header that reports the use of the account: the longest of its entries.
fn usage_wait(headers: &HeaderMap) -> Option<Duration> {
    let header = headers.get("x-business-use-case-usage")?.to_str().ok()?;
    let accounts: serde_json::Map<String, Value> = serde_json::from_str(header).ok()?;
    let entries = accounts.values().filter_map(Value::as_array).flatten();
    let minutes = entries.filter_map(|entry| entry.get("estimated_time_to_regain_access")?.as_u64()).max()?;
    (minutes > 0).then(|| Duration::from_secs(minutes.min(24 * 60) * 60))
}

impl Channel for CloudApi {
    fn provider(&self) -> Provider {
        Provider::CloudApi
    }

    /// Meta's own limits of a number that was not raised: 80 a second, and one every 6 s to the same person.
    fn profile(&self) -> RateProfile {
        let limit = |scope, count, seconds| RateLimit { scope, count, window: Duration::from_secs(seconds) };
        RateProfile {
            limits: vec![limit(Scope::Channel, 80, 1), limit(Scope::Pair, 10, 60)],
            concurrency: 64,
        }
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        validate::validate(to, content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            let body = send::body(message, tag)?;
            send::outcome(&self.post_json(&body).await?)
        })
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        match request.method {
            "GET" => sign::handshake(&self.config.verify_token, request.query),
            "POST" => {
                let header = (request.header)("x-hub-signature-256");
                let signed = sign::is_signed(&self.config.app_secret, request.body, header.as_deref());
                if signed { Ok(Verified::Delivery) } else { Err(WebhookError::BadSignature) }
            }
            _ => Err(WebhookError::BadRequest("only GET and POST")),
        }
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        receive::parse(delivery.body, delivery.received_at)
    }

    fn is_opt_out(&self, code: &str) -> bool {
        errors::is_opt_out(code)
    }

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        errors::UNWELCOME
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        receive::reread(kept, &self.config.phone_number_id)
    }

    fn line(&self) -> Option<String> {
        Some(self.config.phone_number_id.clone())
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        Some(self)
    }

    fn templates(&self) -> Option<&dyn TemplateSource> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
