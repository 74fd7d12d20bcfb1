//! Ids: one type per thing, so that none is taken for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// The id of a message, outbound or inbound, and of the job that sends it. A UUID, of version 7 when made here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub Uuid);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<MessageId, uuid::Error> {
        text.parse().map(MessageId)
    }
}

/// The name of a channel: 1 to 63 lower-case letters, digits, `-` or `_`, the first a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName(Arc<str>);

/// A text that can't name a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name: use 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit")]
pub struct InvalidName;

impl ChannelName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<ChannelName, InvalidName> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
        let first = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if first && text.len() <= 63 && text.bytes().all(allowed) {
            Ok(ChannelName(text.into()))
        } else {
            Err(InvalidName)
        }
    }
}

impl TryFrom<String> for ChannelName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<ChannelName, InvalidName> {
        text.parse()
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The provider's id of a message (Cloud API: the `wamid`). Opaque: never parsed, never decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderMessageId(pub Arc<str>);

/// What the ids begin with that we make up.
const MADE_UP: &str = "none.";

impl ProviderMessageId {
    /// No id: what a provider sent without one, until it is [`ProviderMessageId::made_up`].
    #[must_use]
    pub fn none() -> ProviderMessageId {
        ProviderMessageId("".into())
    }

    /// The id of the n-th thing that a webhook brought without one: the same however often that webhook is read.
    #[must_use]
    pub fn made_up(webhook: MessageId, n: usize) -> ProviderMessageId {
        ProviderMessageId(format!("{MADE_UP}{webhook}.{n}").into())
    }

    /// Whether the provider gave none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether we made it up: then two deliveries of one thing can't be told from two things.
    #[must_use]
    pub fn is_made_up(&self) -> bool {
        self.0.starts_with(MADE_UP)
    }
}

impl fmt::Display for ProviderMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that an attempt carries to the provider: message and attempt number (GUARANTEES §3).
///
/// As text `palomar:<message id>:<attempt>`; it comes back in the provider's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// The message.
    pub message: MessageId,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

/// A text that is no [`Tag`] of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tag of Palomar's")]
pub struct InvalidTag;

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "palomar:{}:{}", self.message, self.attempt)
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Tag, InvalidTag> {
        let (id, attempt) =
            text.strip_prefix("palomar:").and_then(|rest| rest.split_once(':')).ok_or(InvalidTag)?;
        let message = id.parse().map_err(|_| InvalidTag)?;
        let attempt = attempt.parse().map_err(|_| InvalidTag)?;
        if attempt == 0 { Err(InvalidTag) } else { Ok(Tag { message, attempt }) }
    }
}

/// Makes UUIDs of version 7 (RFC 9562) from a time and a seeded sequence. One per process, seeded at the edge.
///
/// Ids of one generator never repeat, and those of one millisecond differ in 74 bits that depend on the seed.
#[derive(Debug)]
pub struct IdGenerator {
    seed: u64,
    counter: AtomicU64,
}

impl IdGenerator {
    /// A generator; `seed` must come from the system's randomness (in tests: any number).
    #[must_use]
    pub const fn new(seed: u64) -> IdGenerator {
        IdGenerator { seed, counter: AtomicU64::new(0) }
    }

    /// A fresh id.
    pub fn message_id(&self, now: Timestamp) -> MessageId {
        MessageId(self.uuid(now))
    }

    /// A fresh UUID of version 7.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let low = mix(high ^ n);
        let mut random = [0_u8; 10];
        random[..2].copy_from_slice(&low.to_be_bytes()[..2]);
        random[2..].copy_from_slice(&high.to_be_bytes());
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_travel_and_come_back() {
        let ids = IdGenerator::new(7);
        let tag = Tag { message: ids.message_id(Timestamp::from_seconds(1_767_225_600)), attempt: 3 };
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for bad in
            ["", "palomar:", "palomar:x:1", "job:01JG;attempt=2", &format!("palomar:{}:0", tag.message)]
        {
            assert_eq!(bad.parse::<Tag>(), Err(InvalidTag), "{bad}");
        }
    }

    #[test]
    fn channel_names() {
        for good in ["demo", "main-line", "a", "0_x"] {
            assert!(good.parse::<ChannelName>().is_ok(), "{good}");
        }
        for bad in ["", "Demo", "-x", "a b", "a/b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_do_not_repeat_and_follow_time() {
        let ids = IdGenerator::new(1);
        let early: Vec<_> = (0..1000).map(|_| ids.message_id(Timestamp::from_seconds(1))).collect();
        let unique: std::collections::HashSet<_> = early.iter().collect();
        assert_eq!(unique.len(), early.len());
        assert!(early.iter().all(|id| *id < ids.message_id(Timestamp::from_seconds(2))));
        assert_eq!(early[0].0.get_version_num(), 7);
    }
}
