//! Proof that a webhook is Meta's: the HMAC of the raw body, and the token of the handshake.
//!
//! Always: fails closed. A secret that is not configured verifies nothing, and comparisons take the same time whatever
//! differs.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{Verified, WebhookError};

/// Whether `header` (`sha256=` and 64 hex digits in lower case, as Meta sends them) signs exactly these bytes with the
/// app secret. One spelling, so that there is one header for a body.
#[must_use]
pub fn is_signed(app_secret: &Secret, body: &[u8], header: Option<&str>) -> bool {
    let digest = header
        .and_then(|header| header.strip_prefix("sha256="))
        .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
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
    format!("sha256={}", HEXLOWER.encode(&digest))
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
mod tests;
