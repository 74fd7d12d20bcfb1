//! How Evolution writes its webhooks: one event each, proven by static headers or by a token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use palomar_model::{Clock, Timestamp};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::courier::{Postman, Verdict};
use crate::lock;

/// The header key that is none: what it says signs tokens.
const JWT_KEY: &str = "jwt_key";

/// Evolution, as the sender of webhooks.
pub struct Sender {
    clock: Arc<dyn Clock>,
    number: String,
    headers: Mutex<Vec<(String, String)>>,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name, with dots.
    pub(super) name: String,
    pub(super) instance: Arc<str>,
    pub(super) data: Value,
}

impl Sender {
    pub(super) fn new(clock: Arc<dyn Clock>, number: &str, headers: Vec<(String, String)>) -> Sender {
        Sender { clock, number: number.to_owned(), headers: Mutex::new(headers) }
    }

    /// Sets the headers of webhooks.
    pub(super) fn set_headers(&self, headers: Vec<(String, String)>) {
        *lock(&self.headers) = headers;
    }

    /// An event with what stands around it.
    pub(super) fn envelope(&self, event: &Event) -> Vec<u8> {
        let envelope = json!({
            "event": event.name,
            "instance": &*event.instance,
            "data": event.data,
            "destination": "",
            // Its local time, with a Z that is a lie; whoever reads it must not trust it.
            "date_time": self.clock.now().after(Duration::from_secs(3600)).to_string(),
            "sender": format!("{}@s.whatsapp.net", self.number),
            "server_url": "http://localhost:8080",
            "apikey": null,
        });
        envelope.to_string().into_bytes()
    }
}

impl Postman for Sender {
    type News = Event;
    const USER_AGENT: &'static str = "axios/1.7.9";

    fn letter(&self, news: &[Event]) -> Vec<u8> {
        news.first().map(|event| self.envelope(event)).unwrap_or_default()
    }

    fn proof(&self, _: &str, _: &[u8]) -> Vec<(String, String)> {
        let headers = lock(&self.headers).clone();
        let made = |(name, value): (String, String)| match name.as_str() {
            JWT_KEY => ("authorization".to_owned(), token(&value, self.clock.now())),
            _ => (name, value),
        };
        headers.into_iter().map(made).collect()
    }

    fn verdict(status: u16) -> Verdict {
        match status {
            200..=299 => Verdict::Taken,
            400 | 401 | 403 | 404 | 422 => Verdict::Never,
            _ => Verdict::Again,
        }
    }
}

/// `Bearer` and a JWT that lasts ten minutes.
fn token(key: &str, now: Timestamp) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = format!(
        r#"{{"iat":{},"exp":{},"app":"evolution","action":"webhook"}}"#,
        now.seconds(),
        now.seconds() + 600
    );
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    let signature = mac.chain_update(&signed).finalize().into_bytes();
    format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_equal_the_recorded_one() {
        let text = include_str!("../../../../tests/fixtures/signatures/evolution_webhook_jwt.json");
        let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
        let valid = vectors.iter().find(|vector| vector["valid"] == true).unwrap();
        let key = valid["jwt_key"].as_str().unwrap();
        assert_eq!(
            token(key, Timestamp::from_seconds(1_767_225_600)),
            valid["authorization"].as_str().unwrap()
        );
    }
}
