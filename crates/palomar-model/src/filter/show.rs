//! A filter as text again: what is read from it is equal.

use std::fmt;

use super::{Condition, Filter, Moment, Test, TextTest, TimeTest, parse, read};

impl fmt::Display for Filter {
    /// The filter again: what is read from it is equal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str| {
            parts.iter().enumerate().try_for_each(|(n, part)| {
                if n > 0 {
                    write!(f, " {word} ")?;
                }
                part.within(f)
            })
        };
        match self {
            Filter::All(parts) => listed(f, parts, "and"),
            Filter::Any(parts) => listed(f, parts, "or"),
            Filter::Not(other) => {
                f.write_str("not ")?;
                other.within(f)
            }
            Filter::Is(condition) => fmt::Display::fmt(condition, f),
        }
    }
}

impl Filter {
    /// As part of another.
    fn within(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::All(_) | Filter::Any(_) => write!(f, "({self})"),
            Filter::Not(_) | Filter::Is(_) => fmt::Display::fmt(self, f),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Name(test) => write!(f, "name {test}"),
            Condition::Phone(test) => write!(f, "phone {test}"),
            Condition::Tag(tag) => write!(f, "tag = \"{tag}\""),
            Condition::Label(label) => write!(f, "label = \"{label}\""),
            Condition::Consent(state) => write!(f, "consent = {state}"),
            Condition::LastSeen(test) => write!(f, "last_seen {test}"),
            Condition::Created(test) => write!(f, "created {test}"),
            Condition::Replied => f.write_str("replied"),
            Condition::Suppressed => f.write_str("suppressed"),
            Condition::Attribute(name, test) => {
                let own = parse::RESERVED.contains(&name.as_str());
                write!(f, "{}{name} ", if own { "attr." } else { "" })?;
                match test {
                    Test::Exists => f.write_str("exists"),
                    Test::Text(test) => fmt::Display::fmt(test, f),
                    Test::Number(comparison, number) => write!(f, "{} {number}", comparison.sign()),
                    Test::Flag(flag) => write!(f, "= {flag}"),
                }
            }
        }
    }
}

impl fmt::Display for TextTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextTest::Exists => f.write_str("exists"),
            TextTest::Compare(comparison, text) => write!(f, "{} {}", comparison.sign(), read::quoted(text)),
            TextTest::Contains(text) => write!(f, "contains {}", read::quoted(text)),
            TextTest::Starts(text) => write!(f, "starts {}", read::quoted(text)),
        }
    }
}

impl fmt::Display for TimeTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeTest::Exists => f.write_str("exists"),
            TimeTest::Compare(comparison, Moment::At(at)) => write!(f, "{} \"{at}\"", comparison.sign()),
            TimeTest::Compare(comparison, Moment::Ago(seconds)) => {
                let units = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)];
                let (unit, length) =
                    units.into_iter().find(|(_, length)| seconds % length == 0).unwrap_or(("s", 1));
                write!(f, "{} {}{unit} ago", comparison.sign(), seconds / length)
            }
        }
    }
}
