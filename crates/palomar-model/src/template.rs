//! Texts with places for what is known of a person.
//!
//! ```text
//! Hola {{name|amigo}}:                     a value, and what stands there without one
//! {{#if city}}en {{city}}{{else}}donde estés{{/if}}
//! \{{ and \}} are the signs themselves
//! ```
//!
//! What always holds: a text that was parsed renders in time proportional to its length and its values (there are no loops
//! and no functions), to [`LONGEST_OUTPUT`] at most; a value is put in as it is and never read as a template; a value
//! that is missing is an error that names it, and never an empty place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::attribute::{AttributeMap, AttributeName, AttributeValue};

mod content;
mod parse;

pub use content::{ContentRenderError, ContentTemplate};

/// Bytes of a template.
pub const LONGEST_TEMPLATE: usize = 64 * 1_024;
/// Bytes of what it becomes.
pub const LONGEST_OUTPUT: usize = 64 * 1_024;
/// Conditions within conditions.
pub const DEEPEST: usize = 8;

/// Whatever has values for variables.
pub trait Attributes {
    /// The value of a variable, where there is one.
    fn value(&self, name: &AttributeName) -> Option<Cow<'_, AttributeValue>>;
}

impl Attributes for AttributeMap {
    fn value(&self, name: &AttributeName) -> Option<Cow<'_, AttributeValue>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: AttributeName, fallback: Option<String> },
    If { name: AttributeName, then: Vec<Part>, otherwise: Vec<Part> },
}

/// A variable of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: AttributeName,
    /// Whether somebody without a value for it can't be given this text: it stands somewhere without a fallback, outside
    /// of a condition on itself.
    pub required: bool,
}

/// What is wrong with a template, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: TemplateProblem,
}

/// What can be wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the words say it")]
pub enum TemplateProblem {
    #[error("a template has at most {} KiB", LONGEST_TEMPLATE / 1_024)]
    TooLong,
    #[error("`{{{{` without `}}}}`: close it, or write `\\{{{{` for the signs themselves")]
    NotClosed,
    #[error("`}}}}` without `{{{{`: write `\\}}}}` for the signs themselves")]
    NotOpened,
    #[error("no variable is named: write {{{{name}}}}, or {{{{name|what stands there without one}}}}")]
    NoName,
    #[error(
        "{{{{{0}}}}} is a place of a provider's template: here variables have names, for example {{{{name}}}}"
    )]
    Place(String),
    #[error("`{0}` is no variable: {1}")]
    BadName(String, crate::attribute::BadAttribute),
    #[error("there is no `{0}`: there are {{{{#if name}}}}, {{{{else}}}} and {{{{/if}}}}")]
    NoSuch(String),
    #[error("{{{{#if}}}} without {{{{/if}}}}")]
    NotEnded,
    #[error("{{{{{0}}}}} without {{{{#if name}}}}")]
    NotBegun(&'static str),
    #[error("a second {{{{else}}}} for one {{{{#if}}}}")]
    SecondElse,
    #[error("more than {DEEPEST} conditions within each other")]
    TooDeep,
}

/// Why a template can't be given to somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// They have no value for a variable that has no fallback.
    #[error("no value for {{{{{0}}}}}: give it one, or write a fallback: {{{{{0}|…}}}}")]
    Missing(AttributeName),
    /// It is too long with their values.
    #[error("it is longer than {} KiB", LONGEST_OUTPUT / 1_024)]
    TooLong,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        parse::parse(text)
    }

    /// Its variables, each once, in the order of their names.
    #[must_use]
    pub fn variables(&self) -> Vec<Variable> {
        let mut found = BTreeMap::new();
        gather(&self.parts, &mut Vec::new(), &mut found);
        found.into_iter().map(|(name, required)| Variable { name, required }).collect()
    }

    /// Whether it says the same to everybody.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text for somebody.
    ///
    /// # Errors
    /// The first variable that they have no value for, or that it is too long.
    pub fn render(&self, whom: &impl Attributes) -> Result<String, RenderError> {
        let mut text = String::new();
        render(&self.parts, whom, &mut text)?;
        Ok(text)
    }
}

/// The value of a variable, where it says anything.
fn said<'a>(whom: &'a impl Attributes, name: &AttributeName) -> Option<Cow<'a, AttributeValue>> {
    whom.value(name).filter(|value| value.says_something())
}

fn render(parts: &[Part], whom: &impl Attributes, text: &mut String) -> Result<(), RenderError> {
    for part in parts {
        match part {
            Part::Text(words) => push(text, words)?,
            Part::Value { name, fallback } => match (said(whom, name).as_deref(), fallback) {
                (Some(AttributeValue::Text(words)), _) => push(text, words)?,
                (Some(value), _) => push(text, &value.to_string())?,
                (None, Some(fallback)) => push(text, fallback)?,
                (None, None) => return Err(RenderError::Missing(name.clone())),
            },
            Part::If { name, then, otherwise } => {
                let value = said(whom, name);
                let holds = !matches!(value.as_deref(), None | Some(AttributeValue::Flag(false)));
                render(if holds { then } else { otherwise }, whom, text)?;
            }
        }
    }
    Ok(())
}

fn push(text: &mut String, more: &str) -> Result<(), RenderError> {
    if text.len() + more.len() > LONGEST_OUTPUT {
        return Err(RenderError::TooLong);
    }
    text.push_str(more);
    Ok(())
}

/// Notes the variables of parts; those in `given` have a value wherever these parts are read.
fn gather<'t>(
    parts: &'t [Part],
    given: &mut Vec<&'t AttributeName>,
    found: &mut BTreeMap<AttributeName, bool>,
) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value { name, fallback } => {
                let required = fallback.is_none() && !given.contains(&name);
                *found.entry(name.clone()).or_default() |= required;
            }
            Part::If { name, then, otherwise } => {
                found.entry(name.clone()).or_default();
                given.push(name);
                gather(then, given, found);
                given.pop();
                gather(otherwise, given, found);
            }
        }
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text)
    }
}

impl fmt::Display for Template {
    /// The template again: what is read from it is equal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.parts, f)
    }
}

fn show(parts: &[Part], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for part in parts {
        match part {
            Part::Text(words) => f.write_str(&escaped(words))?,
            Part::Value { name, fallback: None } => write!(f, "{{{{{name}}}}}")?,
            Part::Value { name, fallback: Some(fallback) } => write!(f, "{{{{{name}|{fallback}}}}}")?,
            Part::If { name, then, otherwise } => {
                write!(f, "{{{{#if {name}}}}}")?;
                show(then, f)?;
                if !otherwise.is_empty() {
                    f.write_str("{{else}}")?;
                    show(otherwise, f)?;
                }
                f.write_str("{{/if}}")?;
            }
        }
    }
    Ok(())
}

/// Words with their signs marked. Of three in a row the first stays alone, so that what follows is not joined to it.
fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(sign) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(sign).len();
        let (same, after) = rest.split_at(run);
        if matches!(sign, '{' | '}') {
            text.push_str(&same[..run % 2]);
            for _ in 0..run / 2 {
                text.extend(['\\', sign, sign]);
            }
        } else {
            text.push_str(same);
        }
        rest = after;
    }
    text
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Template::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
