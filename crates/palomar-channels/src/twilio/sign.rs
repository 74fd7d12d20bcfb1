//! Proof that a webhook is Twilio's: `X-Twilio-Signature`, over the address and the decoded parameters.
//!
//! Always: fails closed. A token that is not configured verifies nothing, no byte of a body goes unsigned, and
//! comparisons take the same time whatever differs.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::Secret;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form::{Params, Said};

/// Whether `header` signs this request with the token. Twilio writes the standard port into what it signs or leaves it
/// out: both are accepted, as its own libraries do.
#[must_use]
pub fn is_signed(
    token: &Secret,
    url: &str,
    query: &str,
    content_type: Option<&str>,
    body: &[u8],
    header: Option<&str>,
) -> bool {
    let digest = header.and_then(|header| BASE64.decode(header.as_bytes()).ok());
    let (Some(digest), false) = (digest, token.is_empty()) else {
        return false;
    };
    let params = match Said::read(query, content_type, body) {
        Some(Said::Form(params)) => params,
        Some(Said::Query(_)) => Params::default(),
        Some(Said::Hashed { hash, body }) if is_hash(&hash, body) => Params::default(),
        Some(Said::Hashed { .. }) | None => return false,
    };
    let signs = |url: &str| mac(token, url, &params).is_some_and(|mac| mac.verify_slice(&digest).is_ok());
    signs(url) || signs(&other_port(url))
}

/// The header that [`is_signed`] accepts for a form; what a simulator signs with.
#[must_use]
pub fn sign(token: &Secret, url: &str, params: &Params) -> String {
    let digest = mac(token, url, params).map(|mac| mac.finalize().into_bytes());
    digest.map(|digest| BASE64.encode(&digest)).unwrap_or_default()
}

fn mac(token: &Secret, url: &str, params: &Params) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.expose().as_bytes()).ok()?.chain_update(url);
    for (name, value) in params.sorted() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Some(mac)
}

fn is_hash(hash: &str, body: &[u8]) -> bool {
    HEXLOWER.encode(&Sha256::digest(body)).as_bytes().ct_eq(hash.as_bytes()).into()
}

/// The address without its port, or with the standard one where it has none.
fn other_port(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let colon = host.rfind(':').filter(|colon| !host.get(*colon..).is_some_and(|port| port.contains(']')));
    match colon.and_then(|colon| host.get(..colon)) {
        Some(bare) => format!("{scheme}://{user}{bare}{path}"),
        None => {
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            format!("{scheme}://{user}{host}:{port}{path}")
        }
    }
}

#[cfg(test)]
mod tests;
