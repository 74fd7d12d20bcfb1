//! What is wrong with a value that somebody sent, said so that they can put it right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, and where: an entry of `errors` in a problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the message as it was sent, for example `/content/text`.
    pub pointer: String,
    /// What is wrong, for people. Never repeats the value.
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: pointer.into(), detail: detail.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// Gathers the errors of one value; the checks read as a list.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Nothing wrong yet.
    #[must_use]
    pub const fn new() -> Checks {
        Checks(Vec::new())
    }

    /// Notes `detail` at `pointer` unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: impl Into<String>, detail: impl Into<String>) {
        if !holds {
            self.0.push(FieldError::new(pointer, detail));
        }
    }

    /// Notes a text with more than `limit` characters, or with none.
    pub fn text(&mut self, text: &str, limit: usize, pointer: impl Into<String>) {
        let pointer = pointer.into();
        self.require(!text.trim().is_empty(), pointer.as_str(), "must not be empty");
        self.at_most(text, limit, pointer);
    }

    /// Notes a text with more than `limit` characters.
    pub fn at_most(&mut self, text: &str, limit: usize, pointer: impl Into<String>) {
        // A character has at most four bytes: most texts are short enough without counting.
        if text.len() > limit && text.chars().count() > limit {
            self.0.push(FieldError::new(pointer, format!("must have at most {limit} characters")));
        }
    }

    /// What was noted.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}
