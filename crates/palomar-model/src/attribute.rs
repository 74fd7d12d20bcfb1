//! What is known of a person beside their name and numbers: attributes by name, tags, and whether they agreed to be
//! written to.
//!
//! What always holds: a name is canonical, so that `First name` in a file and `{{first_name}}` in a text are the same; a
//! number is one that every store keeps and compares alike; a map is bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

mod said;

pub(crate) use said::is_word;
pub use said::{BadTag, ConsentState, LONGEST_TAG, TAG_SEPARATORS, Tag};

/// Attributes of one person.
pub const MOST_ATTRIBUTES: usize = 64;
/// Characters of a text.
pub const LONGEST_TEXT: usize = 1_024;
/// Bytes of all attributes of one person, as JSON.
pub const MOST_BYTES: usize = 16 * 1_024;
/// Characters of a name.
pub const LONGEST_NAME: usize = 64;
/// Tags of one person.
pub const MOST_TAGS: usize = 64;

/// What a contact has of its own; no attribute is called so.
const TAKEN: [&str; 2] = ["name", "phone"];
/// Numbers from here on lose digits.
const LARGEST: f64 = 1e15;
/// Numbers below are 0.
const SMALLEST: f64 = 1e-9;

/// The name of an attribute: lower-case letters, digits and `_`, a letter first. `First name` and `first-name` are read as
/// `first_name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeName(Arc<str>);

/// Why a text is no name of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAttribute {
    /// The name has other characters.
    #[error("a name has letters, digits and `_`, and begins with a letter")]
    Characters,
    /// The name is too long.
    #[error("a name has at most {LONGEST_NAME} characters")]
    LongName,
    /// A contact has it of its own.
    #[error("`name` and `phone` are the contact's own, not attributes")]
    Taken,
    /// The text is too long.
    #[error("a text has at most {LONGEST_TEXT} characters")]
    LongText,
    /// The number is too large, or none.
    #[error("a number lies between -1e15 and 1e15: keep longer ones as texts")]
    Number,
    /// There are too many.
    #[error("a contact has at most {MOST_ATTRIBUTES} attributes and {} KiB of them", MOST_BYTES / 1_024)]
    TooMany,
    /// There are too many tags.
    #[error("a contact has at most {MOST_TAGS} tags")]
    TooManyTags,
}

impl AttributeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a name, also those that an attribute can't have because a contact has them of its own.
    ///
    /// # Errors
    /// Why it is none.
    pub fn variable(text: &str) -> Result<AttributeName, BadAttribute> {
        // Composing shortens; what is far too long is not looked at.
        if text.len() > 16 * LONGEST_NAME {
            return Err(BadAttribute::LongName);
        }
        let plain = text.trim().nfc().flat_map(char::to_lowercase).nfc();
        let name: String = plain.map(|c| if matches!(c, ' ' | '-' | '.') { '_' } else { c }).collect();
        if name.chars().count() > LONGEST_NAME {
            return Err(BadAttribute::LongName);
        }
        let well_formed =
            name.starts_with(char::is_alphabetic) && name.chars().all(|c| c == '_' || c.is_alphanumeric());
        if well_formed { Ok(AttributeName(name.into())) } else { Err(BadAttribute::Characters) }
    }
}

impl FromStr for AttributeName {
    type Err = BadAttribute;

    fn from_str(text: &str) -> Result<AttributeName, BadAttribute> {
        let name = AttributeName::variable(text)?;
        if TAKEN.contains(&name.as_str()) { Err(BadAttribute::Taken) } else { Ok(name) }
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AttributeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AttributeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeName, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A number of 15 significant digits: what all stores read, write and compare alike.
#[derive(Clone, Copy, Debug)]
pub struct Number(f64);

impl Number {
    /// The number, rounded to 15 significant digits.
    ///
    /// # Errors
    /// [`BadAttribute::Number`] where it is none or too large.
    pub fn new(number: f64) -> Result<Number, BadAttribute> {
        if !number.is_finite() || number.abs() >= LARGEST {
            return Err(BadAttribute::Number);
        }
        if number.abs() < SMALLEST {
            return Ok(Number(0.0));
        }
        let rounded: f64 = format!("{number:.14e}").parse().map_err(|_| BadAttribute::Number)?;
        if rounded.abs() < LARGEST { Ok(Number(rounded)) } else { Err(BadAttribute::Number) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Number {
    type Err = BadAttribute;

    fn from_str(text: &str) -> Result<Number, BadAttribute> {
        // Words such as `inf` are numbers to the library, and not to people.
        let digits =
            text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'-' | b'+' | b'.' | b'e' | b'E'));
        let number = if digits && text.len() <= 64 { text.parse().ok() } else { None };
        Number::new(number.ok_or(BadAttribute::Number)?)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and below 1e15")]
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Words, dates, whatever people write.
    Text(String),
    /// A number.
    Number(Number),
    /// Yes or no.
    Flag(bool),
}

impl AttributeValue {
    /// A text, without the space around it and the character that no store keeps.
    ///
    /// # Errors
    /// [`BadAttribute::LongText`].
    pub fn text(text: impl AsRef<str>) -> Result<AttributeValue, BadAttribute> {
        let mut text = text.as_ref().trim().to_owned();
        if text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT {
            return Err(BadAttribute::LongText);
        }
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        Ok(AttributeValue::Text(text))
    }

    /// Whether it says anything: not an empty text.
    #[must_use]
    pub fn says_something(&self) -> bool {
        !matches!(self, AttributeValue::Text(text) if text.trim().is_empty())
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Text(text) => f.write_str(text),
            AttributeValue::Number(number) => number.fmt(f),
            AttributeValue::Flag(flag) => flag.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeValue, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text, a number, true or false")]
        enum Form {
            Flag(bool),
            Number(f64),
            Text(String),
        }
        let value = match Form::deserialize(deserializer)? {
            Form::Flag(flag) => Ok(AttributeValue::Flag(flag)),
            Form::Number(number) => Number::new(number).map(AttributeValue::Number),
            Form::Text(text) => AttributeValue::text(text),
        };
        value.map_err(serde::de::Error::custom)
    }
}

/// The attributes of one person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AttributeMap(BTreeMap<AttributeName, AttributeValue>);

impl AttributeMap {
    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &AttributeName) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&AttributeName, &AttributeValue)> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and over them what `newer` says; a value of none, or an empty text, takes the attribute away.
    ///
    /// # Errors
    /// [`BadAttribute::TooMany`].
    pub fn with(
        &self,
        newer: impl IntoIterator<Item = (AttributeName, Option<AttributeValue>)>,
    ) -> Result<AttributeMap, BadAttribute> {
        let mut all = self.0.clone();
        for (name, value) in newer {
            match value {
                Some(value) if value.says_something() => drop(all.insert(name, value)),
                Some(_) | None => drop(all.remove(&name)),
            }
        }
        AttributeMap(all).bounded()
    }

    fn bounded(self) -> Result<AttributeMap, BadAttribute> {
        let size = |text: &str| {
            text.len() + text.bytes().filter(|c| *c < b' ' || *c == b'"' || *c == b'\\').count() * 5
        };
        let bytes: usize = self
            .iter()
            .map(|(name, value)| {
                name.as_str().len() + 6 + if let AttributeValue::Text(text) = value { size(text) } else { 24 }
            })
            .sum();
        if self.0.len() <= MOST_ATTRIBUTES && bytes <= MOST_BYTES {
            Ok(self)
        } else {
            Err(BadAttribute::TooMany)
        }
    }
}

impl FromIterator<(AttributeName, AttributeValue)> for AttributeMap {
    /// As many as there may be; the rest is left out.
    fn from_iter<I: IntoIterator<Item = (AttributeName, AttributeValue)>>(attributes: I) -> AttributeMap {
        AttributeMap(attributes.into_iter().take(MOST_ATTRIBUTES).collect())
    }
}

impl<'de> Deserialize<'de> for AttributeMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeMap, D::Error> {
        let attributes = BTreeMap::<AttributeName, AttributeValue>::deserialize(deserializer)?;
        AttributeMap(attributes).bounded().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
