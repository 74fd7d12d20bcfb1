//! Proof that a webhook is Meta's: the HMAC of the raw body, and the token of the handshake.
//!
//! Always: fails closed. A secret that is not configured verifies nothing, and comparisons take the same time whatever
//! differs.

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{Verified, WebhookError};

/// Whether `header` (`sha256=` and 64 hex digits) signs exactly these bytes with the app secret.
#[must_use]
pub fn is_signed(app_secret: &Secret, body: &[u8], header: Option<&str>) -> bool {
    let digest = header
        .and_then(|header| header.strip_prefix("sha256="))
        .and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
    let (Some(digest), false) = (digest, app_secret.is_empty()) else {
        return false;
    };
    Hmac::<Sha256>::new_from_slice(app_secret.expose().as_bytes())
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(&digest).is_ok())
}

/// The header that [`is_signed`] accepts; what a simulator signs with.
#[must_use]
pub fn sign(app_secret: &Secret, body: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(app_secret.expose().as_bytes()) else {
        return String::new();
    };
    let digest = mac.chain_update(body).finalize().into_bytes();
    format!("sha256={}", HEXLOWER_PERMISSIVE.encode(&digest))
}

/// Answers Meta's handshake: `hub.mode=subscribe` with our token gives the challenge back, verbatim.
///
/// # Errors
/// `Forbidden` for another mode or token, `BadRequest` for no challenge.
pub fn handshake(verify_token: &Secret, query: &str) -> Result<Verified, WebhookError> {
    // Only the query is of interest; the host is there because a URL needs one.
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}"))
        .map_err(|_| WebhookError::BadRequest("the query cannot be read"))?;
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let token = value("hub.verify_token").unwrap_or_default();
    let known: bool = token.as_bytes().ct_eq(verify_token.expose().as_bytes()).into();
    if !known || verify_token.is_empty() || value("hub.mode").as_deref() != Some("subscribe") {
        return Err(WebhookError::Forbidden);
    }
    value("hub.challenge").map(Verified::Handshake).ok_or(WebhookError::BadRequest("no challenge"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(text: &str) -> Vec<Value> {
        serde_json::from_str(text).expect("vectors")
    }

    #[test]
    fn signatures() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/signatures/");
        let path = format!("{folder}meta_x_hub_signature_256.json");
        for vector in vectors(&std::fs::read_to_string(path).expect("the vectors")) {
            let secret = Secret::from(vector["app_secret"].as_str().expect("a secret"));
            let body = match (&vector["body_base64"], &vector["body_file"]) {
                (Value::String(base64), _) => {
                    data_encoding::BASE64.decode(base64.as_bytes()).expect("base64")
                }
                (_, Value::String(file)) => std::fs::read(format!("{folder}{file}")).expect("a file"),
                _ => panic!("{vector}"),
            };
            // The one vector that leaves the choice is upper-case hex: the digits are the same.
            let valid = vector["valid"].as_bool().unwrap_or(true);
            assert_eq!(
                is_signed(&secret, &body, vector["header_value"].as_str()),
                valid,
                "{}",
                vector["name"]
            );
            assert!(is_signed(&secret, &body, Some(&sign(&secret, &body))));
            assert!(!is_signed(&secret, &body, None));
            assert!(!is_signed(&Secret::default(), &body, Some(&sign(&Secret::default(), &body))));
        }
    }

    #[test]
    fn handshakes() {
        let text = include_str!("../../../../tests/fixtures/signatures/meta_verify_get.json");
        for vector in vectors(text) {
            let token = Secret::from(vector["verify_token"].as_str().expect("a token"));
            let answer = handshake(&token, vector["query"].as_str().expect("a query"));
            let (status, body) = match answer {
                Ok(Verified::Handshake(challenge)) => (200, Some(challenge)),
                Ok(Verified::Delivery) => panic!("{vector}"),
                Err(error) => (error.status(), None),
            };
            assert_eq!(
                (u64::from(status), body.as_deref()),
                (vector["status"].as_u64().expect("a status"), vector["body"].as_str()),
                "{vector}"
            );
        }
        let none = Secret::default();
        let query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token=";
        assert_eq!(handshake(&none, query), Err(WebhookError::Forbidden), "no token configured");
    }
}
