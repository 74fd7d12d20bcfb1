//! Proof that a webhook is Evolution's. It signs nothing: it sends a header that it was told to send, or a token that it
//! makes of a key that it was told.
//!
//! Always: fails closed. A secret that is not configured proves nothing, and comparisons take the same time whatever
//! differs.

use std::borrow::Cow;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::{Secret, Timestamp};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The header to be set at the instance's webhook (`headers`), with the channel's webhook secret as its value.
pub const HEADER: &str = "x-palomar-secret";
/// How far Evolution's clock may be from ours.
const SKEW: Duration = Duration::from_secs(60);
/// Evolution's tokens have some two hundred bytes.
const LONGEST_TOKEN: usize = 4096;

/// Whether the value of [`HEADER`] is the secret.
#[must_use]
pub fn is_secret(secret: &Secret, header: Option<&str>) -> bool {
    let given = header.unwrap_or_default();
    let same: bool = given.as_bytes().ct_eq(secret.expose().as_bytes()).into();
    same && !secret.is_empty()
}

/// Whether `authorization` is the bearer token that Evolution makes where the header key `jwt_key` is set to the secret:
/// an HS256 JWT that has not expired.
#[must_use]
pub fn is_token(secret: &Secret, authorization: Option<&str>, now: Timestamp) -> bool {
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let (Some(token), false) = (token.filter(|token| token.len() <= LONGEST_TOKEN), secret.is_empty()) else {
        return false;
    };
    claims(secret, token).is_some_and(|claims| claims.hold(now))
}

#[derive(Deserialize)]
struct Algorithm<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    app: String,
    action: String,
}

impl Claims {
    fn hold(&self, now: Timestamp) -> bool {
        let ours = self.app == "evolution" && self.action == "webhook";
        let began = Timestamp::from_seconds(self.iat) <= now.after(SKEW);
        ours && began && now < Timestamp::from_seconds(self.exp)
    }
}

/// What a token says that the secret signed.
fn claims(secret: &Secret, token: &str) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.chain_update(signed).verify_slice(&signature).ok()?;
    let (head, claims) = signed.split_once('.')?;
    let head = BASE64URL_NOPAD.decode(head.as_bytes()).ok()?;
    let head: Algorithm<'_> = serde_json::from_slice(&head).ok()?;
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
    serde_json::from_slice(&claims).ok().filter(|_| head.alg == "HS256")
}

/// The bearer token that [`is_token`] accepts; what a simulator sends.
#[must_use]
pub fn token(secret: &Secret, now: Timestamp) -> String {
    let claims = format!(
        r#"{{"iat":{},"exp":{},"app":"evolution","action":"webhook"}}"#,
        now.seconds(),
        now.after(Duration::from_secs(600)).seconds()
    );
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return String::new();
    };
    let signature = mac.chain_update(&signed).finalize().into_bytes();
    format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// The instance that a body names, where it is JSON and names one.
#[must_use]
pub fn instance(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        instance: String,
    }
    serde_json::from_slice::<Named>(body).ok().map(|named| named.instance)
}

#[cfg(test)]
mod tests;
