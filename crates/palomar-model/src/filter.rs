//! The language of segments: which contacts are meant, said in words that no store is given to read.
//!
//! ```text
//! city = "Madrid" and age >= 30 and not tag = "blocked"
//! (tag in ("vip", "gold") or label = "sale") and last_seen >= 30d ago
//! consent = granted and phone starts "+34" and not suppressed
//! ```
//!
//! A text is parsed into a [`Filter`], which is evaluated here over what is known of one person ([`Filter::matches`]), and by
//! the records as SQL with bound values. Both say the same of everybody.
//!
//! What always holds: `!=` is `not … =`, so it is true of those who have no value too; a comparison is false where the
//! value is missing or of another type; texts are compared by their characters' numbers, with their case.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;
use crate::attribute::{AttributeMap, AttributeName, AttributeValue, ConsentState, Number, Tag};

mod parse;
mod read;
mod show;

/// Bytes of a filter.
pub const LONGEST_FILTER: usize = 8 * 1_024;
/// Conditions of a filter.
pub const MOST_CONDITIONS: usize = 128;
/// Brackets within brackets.
pub const DEEPEST: usize = 16;

/// Which contacts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those whom all of these mean.
    All(Vec<Filter>),
    /// Those whom one of these means.
    Any(Vec<Filter>),
    /// Those whom this does not mean.
    Not(Box<Filter>),
    /// Those of whom this is true.
    Is(Condition),
}

/// What can be asked of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Of their name.
    Name(TextTest),
    /// Of one of their phone numbers, in E.164.
    Phone(TextTest),
    /// They have this tag.
    Tag(Tag),
    /// A conversation with them has this label.
    Label(String),
    /// Whether they agreed to be written to.
    Consent(ConsentState),
    /// When they wrote last.
    LastSeen(TimeTest),
    /// When they became known.
    Created(TimeTest),
    /// They have ever written.
    Replied,
    /// Nothing is sent to them, on one channel at least.
    Suppressed,
    /// Of an attribute.
    Attribute(AttributeName, Test),
}

/// A question about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// There is one.
    Exists,
    /// It compares so.
    Compare(Comparison, String),
    /// It has this in it.
    Contains(String),
    /// It begins so.
    Starts(String),
}

/// A question about an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There is one, of whatever type.
    Exists,
    /// It is a text, and this is true of it.
    Text(TextTest),
    /// It is a number and compares so.
    Number(Comparison, Number),
    /// It is this flag.
    Flag(bool),
}

/// A question about a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeTest {
    /// There is one.
    Exists,
    /// It compares so.
    Compare(Comparison, Moment),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(Timestamp),
    /// So many seconds before the question is asked.
    Ago(u64),
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Their name.
    pub name: Option<&'a str>,
    /// Their phone numbers, in E.164.
    pub phones: &'a [String],
    /// Their attributes.
    pub attributes: &'a AttributeMap,
    /// Their tags.
    pub tags: &'a BTreeSet<Tag>,
    /// The labels of all conversations with them.
    pub labels: &'a BTreeSet<String>,
    /// Whether they agreed to be written to.
    pub consent: ConsentState,
    /// When they wrote last, on whatever channel.
    pub last_seen: Option<Timestamp>,
    /// When they became known.
    pub created: Timestamp,
    /// Whether nothing is sent to them, on one channel at least.
    pub suppressed: bool,
}

/// What is wrong with a filter, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: {what}")]
pub struct FilterError {
    /// The character, from 1.
    pub at: usize,
    /// What is wrong.
    pub what: FilterProblem,
}

/// What can be wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the words say it")]
pub enum FilterProblem {
    #[error("a filter has at most {} KiB", LONGEST_FILTER / 1_024)]
    TooLong,
    #[error("a filter has at most {MOST_CONDITIONS} conditions")]
    TooMany,
    #[error("more than {DEEPEST} brackets or `not` within each other")]
    TooDeep,
    #[error("it is empty: say for example city = \"Madrid\"")]
    Empty,
    #[error("`{0}` means nothing here")]
    Stray(String),
    #[error("the quotation mark is not closed")]
    NotClosed,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("{0}")]
    Attribute(crate::attribute::BadAttribute),
    #[error("{0}")]
    Tag(crate::attribute::BadTag),
    #[error(
        "a label has 1 to {} characters, no quotation mark, backslash or control character",
        crate::attribute::LONGEST_TAG
    )]
    Label,
    #[error("consent is granted, denied or unknown")]
    Consent,
    #[error(
        "not a time: write \"2026-07-01\", \"2026-07-01T09:30:00Z\", or for example 30d ago (m, h, d, w)"
    )]
    Time,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        parse::parse(text)
    }

    /// Whether a person is meant.
    #[must_use]
    pub fn matches(&self, whom: &Facts<'_>, now: Timestamp) -> bool {
        match self {
            Filter::All(all) => all.iter().all(|one| one.matches(whom, now)),
            Filter::Any(any) => any.iter().any(|one| one.matches(whom, now)),
            Filter::Not(other) => !other.matches(whom, now),
            Filter::Is(condition) => condition.holds(whom, now),
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text)
    }
}

impl Condition {
    fn holds(&self, whom: &Facts<'_>, now: Timestamp) -> bool {
        match self {
            Condition::Name(test) => whom.name.is_some_and(|name| test.holds(name)),
            Condition::Phone(test) => whom.phones.iter().any(|phone| test.holds(phone)),
            Condition::Tag(tag) => whom.tags.contains(tag),
            Condition::Label(label) => whom.labels.contains(label),
            Condition::Consent(state) => whom.consent == *state,
            Condition::LastSeen(test) => whom.last_seen.is_some_and(|at| test.holds(at, now)),
            Condition::Created(test) => test.holds(whom.created, now),
            Condition::Replied => whom.last_seen.is_some(),
            Condition::Suppressed => whom.suppressed,
            Condition::Attribute(name, test) => {
                whom.attributes.get(name).is_some_and(|value| test.holds(value))
            }
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            TextTest::Exists => true,
            TextTest::Compare(comparison, other) => comparison.holds(text, other.as_str()),
            TextTest::Contains(part) => text.contains(part.as_str()),
            TextTest::Starts(start) => text.starts_with(start.as_str()),
        }
    }
}

impl Test {
    fn holds(&self, value: &AttributeValue) -> bool {
        match (self, value) {
            (Test::Exists, _) => true,
            (Test::Text(test), AttributeValue::Text(text)) => test.holds(text),
            (Test::Number(comparison, other), AttributeValue::Number(number)) => {
                comparison.holds(number, other)
            }
            (Test::Flag(wanted), AttributeValue::Flag(flag)) => wanted == flag,
            _ => false,
        }
    }
}

impl TimeTest {
    fn holds(&self, at: Timestamp, now: Timestamp) -> bool {
        match self {
            TimeTest::Exists => true,
            TimeTest::Compare(comparison, moment) => comparison.holds(&at, &moment.at(now)),
        }
    }
}

impl Moment {
    /// The time that is meant, asked now.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::At(at) => at,
            Moment::Ago(seconds) => now.before(Duration::from_secs(seconds)),
        }
    }
}

impl Comparison {
    /// The sign for it.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    fn holds<T: Ord + ?Sized>(self, one: &T, other: &T) -> bool {
        match self {
            Comparison::Equal => one == other,
            Comparison::Less => one < other,
            Comparison::LessOrEqual => one <= other,
            Comparison::Greater => one > other,
            Comparison::GreaterOrEqual => one >= other,
        }
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Filter::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
