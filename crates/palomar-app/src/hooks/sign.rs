//! The signature of Standard Webhooks 1.0.0: an HMAC over id, time and body, so that a receiver knows who calls and that it is
//! neither changed nor old.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::Secret;
use sha2::Sha256;

/// What a secret begins with; the rest is the key in Base64.
const PREFIX: &str = "whsec_";

/// A secret to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSecret(Secret);

impl HookSecret {
    /// Reads a secret.
    ///
    /// # Errors
    /// Where it is none: `whsec_` and 24 to 64 bytes in Base64.
    pub fn read(secret: Secret) -> Result<HookSecret, &'static str> {
        let key = secret.expose().strip_prefix(PREFIX).and_then(|key| BASE64.decode(key.as_bytes()).ok());
        match key {
            Some(key) if (24..=64).contains(&key.len()) => Ok(HookSecret(secret)),
            _ => Err("is no secret: expected whsec_ and 24 to 64 bytes in Base64"),
        }
    }

    /// The header `webhook-signature` for a body.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = self.0.expose().strip_prefix(PREFIX).unwrap_or_default();
        let key = BASE64.decode(key.as_bytes()).unwrap_or_default();
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
        let signed = format!("{id}.{seconds}.{body}");
        format!("v1,{}", BASE64.encode(&mac.chain_update(signed.as_bytes()).finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("standard_webhooks_v1.json");

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("JSON");
        let mut compared = 0;
        for vector in vectors.iter().filter(|vector| vector["valid"] == true) {
            let text = |name: &str| vector[name].as_str().unwrap_or_default();
            let secret = HookSecret::read(Secret::from(text("secret"))).expect("a secret");
            let seconds = text("webhook-timestamp").parse().expect("a time");
            let own = secret.sign(text("webhook-id"), seconds, text("body"));
            let signatures: Vec<_> = text("webhook-signature").split(' ').collect();
            assert!(signatures.contains(&own.as_str()), "{own} is none of {signatures:?}");
            compared += 1;
        }
        assert!(compared >= 3, "{compared} vectors");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "whsec_", "whsec_AQID", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "whsec_%%%%"]
        {
            assert!(HookSecret::read(Secret::from(text)).is_err(), "{text:?}");
        }
    }
}
