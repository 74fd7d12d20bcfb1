//! Which addresses are called for media: judged from their text alone, and once more where the name leads.
//!
//! In doubt none is. The channel's own origin may be anywhere, since every message goes there; all else is `https` on its
//! own port, by a name, on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::{MediaSource, Whose};

/// A longer address is none.
const MOST_LETTERS: usize = 4096;

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// It is no address.
    #[error("it is no address")]
    NoAddress,
    /// It brings a user or password.
    #[error("it holds a user or a password")]
    User,
    /// It is not `https`.
    #[error("it is not https")]
    Scheme,
    /// It is not on the port of `https`.
    #[error("it names a port")]
    Port,
    /// It names a machine by its number.
    #[error("it names no host, but a machine's number")]
    Number,
    /// It names a machine of an internal network.
    #[error("it names a host of an internal network")]
    Internal,
    /// Media of this provider are not there.
    #[error("it is no place of this provider's media")]
    Elsewhere,
    /// Its name leads to no public address.
    #[error("its name leads to no address of the public internet")]
    NotPublic,
}

/// Judges an address.
///
/// # Errors
/// Why it is not called.
pub fn judge(text: &str, source: &dyn MediaSource, redirected: bool) -> Result<(Url, Whose), Blocked> {
    if text.len() > MOST_LETTERS || text.chars().any(|c| c.is_control() || c == '\\' || c.is_whitespace()) {
        return Err(Blocked::NoAddress);
    }
    let url = Url::parse(text).map_err(|_| Blocked::NoAddress)?;
    if !url.username().is_empty()
        || url.password().is_some()
        || text.contains('@') && authority_has_user(text)
    {
        return Err(Blocked::User);
    }
    if source.own().is_some_and(|own| is_same_origin(&own, &url)) {
        return Ok((url, Whose::Own));
    }
    if url.scheme() != "https" {
        return Err(Blocked::Scheme);
    }
    if url.port().is_some() {
        return Err(Blocked::Port);
    }
    let host = url.domain().ok_or(Blocked::Number)?.trim_end_matches('.').to_owned();
    if is_internal(&host) {
        return Err(Blocked::Internal);
    }
    if source.may_know(&host) {
        Ok((url, Whose::Provider))
    } else if source.may_have(&host, redirected) {
        Ok((url, Whose::Other))
    } else {
        Err(Blocked::Elsewhere)
    }
}

/// An empty user is one, too.
fn authority_has_user(text: &str) -> bool {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn is_same_origin(own: &Url, url: &Url) -> bool {
    let port = |url: &Url| url.port_or_known_default();
    matches!(own.scheme(), "http" | "https")
        && own.scheme() == url.scheme()
        && own.host() == url.host()
        && port(own) == port(url)
}

/// A name that is given inside of networks only. `host` is in lower case.
fn is_internal(host: &str) -> bool {
    const ENDINGS: [&str; 10] =
        ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa", "onion"];
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.contains('.') || ENDINGS.contains(&last) || last.bytes().all(|c| c.is_ascii_digit())
}

/// Whether a machine is on the public internet: not one of the many blocks that are for something else.
#[must_use]
pub const fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 31, 196, _]
            | [192, 52, 193, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [192, 175, 48, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

/// Of IPv6 only what is given out for the internet; no way round to IPv4 (6to4, Teredo, NAT64, mapped), nothing for
/// documents.
const fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x2620, 0x4f, 0x8000, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
