//! What people of the business say of somebody in one word: tags, and whether they agreed to be written to.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// Characters of a tag; as those of a conversation's label.
pub const LONGEST_TAG: usize = 100;
/// Signs between the tags of a list.
pub const TAG_SEPARATORS: [char; 3] = [',', ';', '|'];

/// A word that people sort contacts by: no quotation mark, backslash, control character, or sign of a list; spaces around
/// it are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tag(Arc<str>);

/// A text that is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to {LONGEST_TAG} characters, no comma, semicolon, `|`, quotation mark, backslash or control character"
)]
pub struct BadTag;

impl Tag {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tags of a list: `vip, gold`.
    ///
    /// # Errors
    /// Where one of them is none.
    pub fn list(text: &str) -> Result<Vec<Tag>, BadTag> {
        let words = text.split(TAG_SEPARATORS).filter(|word| !word.trim().is_empty());
        words.map(str::parse).collect()
    }
}

impl FromStr for Tag {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Tag, BadTag> {
        let word = text.trim();
        if is_word(word) && !word.contains(TAG_SEPARATORS) { Ok(Tag(word.into())) } else { Err(BadTag) }
    }
}

/// Whether a text can stand in a list of words: a tag's or a label's.
pub(crate) fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 4 * LONGEST_TAG
        && word.chars().count() <= LONGEST_TAG
        && !word.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tag, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether somebody agreed to be written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Nobody asked, or it was not written down.
    #[default]
    Unknown,
    /// They agreed.
    Granted,
    /// They refused.
    Denied,
}

impl ConsentState {
    /// All of them.
    pub const ALL: [ConsentState; 3] = [ConsentState::Unknown, ConsentState::Granted, ConsentState::Denied];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ConsentState::Unknown => "unknown",
            ConsentState::Granted => "granted",
            ConsentState::Denied => "denied",
        }
    }
}

impl FromStr for ConsentState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ConsentState, &'static str> {
        let found = ConsentState::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or("is none of granted, denied and unknown")
    }
}

impl fmt::Display for ConsentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
