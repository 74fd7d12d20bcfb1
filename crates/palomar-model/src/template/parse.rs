//! From the text to its parts, in one pass from left to right.

use super::{DEEPEST, LONGEST_TEMPLATE, Part, Template, TemplateError, TemplateProblem};
use crate::attribute::{AttributeName, BadAttribute};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
    if text.len() > LONGEST_TEMPLATE {
        return Err(TemplateError { line: 1, column: 1, what: TemplateProblem::TooLong });
    }
    let mut reader = Reader { text, at: 0, open: Vec::new(), parts: Vec::new() };
    reader.read().map_err(|(at, what)| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let lines = before.bytes().filter(|c| *c == b'\n').count();
        TemplateError { line: lines + 1, column: line.chars().count() + 1, what }
    })?;
    Ok(Template { parts: reader.parts })
}

/// A condition that has not ended.
struct Open {
    at: usize,
    name: AttributeName,
    /// What came before it.
    before: Vec<Part>,
    /// What it says where it holds, once its `else` was read.
    then: Option<Vec<Part>>,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    open: Vec<Open>,
    parts: Vec<Part>,
}

type Problem = (usize, TemplateProblem);

impl<'t> Reader<'t> {
    fn read(&mut self) -> Result<(), Problem> {
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            let Some(next) = rest.as_bytes().windows(2).position(|two| two == b"{{" || two == b"}}") else {
                self.words(rest);
                break;
            };
            let (before, signs) = rest.split_at(next);
            if let Some(before) = before.strip_suffix('\\') {
                self.words(before);
                self.words(&signs[..2]);
                self.at += next + 2;
            } else if signs.starts_with(CLOSE) {
                return Err((self.at + next, TemplateProblem::NotOpened));
            } else {
                self.words(before);
                self.at += next;
                self.tag(&signs[2..])?;
            }
        }
        match self.open.last() {
            Some(open) => Err((open.at, TemplateProblem::NotEnded)),
            None => Ok(()),
        }
    }

    /// Adds words to the text at the end.
    fn words(&mut self, words: &str) {
        match self.parts.last_mut() {
            _ if words.is_empty() => {}
            Some(Part::Text(text)) => text.push_str(words),
            _ => self.parts.push(Part::Text(words.to_owned())),
        }
    }

    /// Reads what begins with the signs at the place that was reached; `rest` is what follows them.
    fn tag(&mut self, rest: &'t str) -> Result<(), Problem> {
        let at = self.at;
        let inner = rest.find(CLOSE).and_then(|end| rest.get(..end));
        // Another opening within means that the first was never closed.
        let inner = inner.filter(|inner| !inner.contains(OPEN)).ok_or((at, TemplateProblem::NotClosed))?;
        self.at += OPEN.len() + inner.len() + CLOSE.len();
        self.meant(at, inner.trim()).map_err(|what| (at, what))
    }

    fn meant(&mut self, at: usize, tag: &str) -> Result<(), TemplateProblem> {
        if let Some(condition) = tag.strip_prefix('#') {
            let name = condition.strip_prefix("if").filter(|name| name.starts_with(char::is_whitespace));
            let name = variable(name.ok_or_else(|| no_such(tag))?)?;
            if self.open.len() >= DEEPEST {
                return Err(TemplateProblem::TooDeep);
            }
            self.open.push(Open { at, name, before: std::mem::take(&mut self.parts), then: None });
            return Ok(());
        }
        match tag {
            _ if tag.eq_ignore_ascii_case("else") => {
                let open = self.open.last_mut().ok_or(TemplateProblem::NotBegun("else"))?;
                let then = open.then.replace(std::mem::take(&mut self.parts));
                if then.is_some() { Err(TemplateProblem::SecondElse) } else { Ok(()) }
            }
            "/if" => {
                let Open { name, before, then, .. } =
                    self.open.pop().ok_or(TemplateProblem::NotBegun("/if"))?;
                let last = std::mem::replace(&mut self.parts, before);
                let (then, otherwise) = match then {
                    Some(then) => (then, last),
                    None => (last, Vec::new()),
                };
                self.parts.push(Part::If { name, then, otherwise });
                Ok(())
            }
            _ if tag.starts_with('/') => Err(no_such(tag)),
            _ => {
                let (name, fallback) = match tag.split_once('|') {
                    Some((name, fallback)) => (name, Some(fallback.trim().to_owned())),
                    None => (tag, None),
                };
                self.parts.push(Part::Value { name: variable(name)?, fallback });
                Ok(())
            }
        }
    }
}

fn no_such(tag: &str) -> TemplateProblem {
    TemplateProblem::NoSuch(shortened(tag))
}

fn variable(text: &str) -> Result<AttributeName, TemplateProblem> {
    let name = text.trim();
    if name.is_empty() {
        return Err(TemplateProblem::NoName);
    }
    AttributeName::variable(name).map_err(|why| match why {
        BadAttribute::Characters if name.bytes().all(|c| c.is_ascii_digit()) => {
            TemplateProblem::Place(shortened(name))
        }
        why => TemplateProblem::BadName(shortened(name), why),
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
