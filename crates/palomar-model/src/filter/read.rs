//! From the text of a filter to its words and signs.

use super::{FilterError, FilterProblem};
use crate::attribute::LONGEST_TEXT;

/// A word or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    /// As it was written: it may turn out to be a span of time.
    Number(String),
    Sign(&'static str),
}

/// A token, and the character at which it begins, from 0.
pub(super) type Placed = (usize, Token);

/// Longer signs first, so that `<=` is not `<`.
const SIGNS: [&str; 10] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let mut found = Vec::new();
    let (mut rest, mut at) = (text, 0);
    while let Some(first) = rest.chars().next() {
        let wrong = |what| FilterError { at: at + 1, what };
        let (token, length) = if first.is_whitespace() {
            (None, first.len_utf8())
        } else if matches!(first, '"' | '\'') {
            let (words, length) = quoted_text(rest, first).ok_or_else(|| wrong(FilterProblem::NotClosed))?;
            (Some(Token::Text(words)), length)
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Some(Token::Sign(sign)), sign.len())
        } else if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
            let length = length(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
            (Some(Token::Number(rest[..length].to_owned())), length)
        } else if first.is_alphabetic() || first == '_' {
            let length =
                length(rest, |c| c.is_alphanumeric() || matches!(c, '_' | '.' | '\u{300}'..='\u{36f}'));
            (Some(Token::Word(rest[..length].to_owned())), length)
        } else {
            return Err(wrong(FilterProblem::Stray(first.to_string())));
        };
        found.extend(token.map(|token| (at, token)));
        let (read, after) = rest.split_at(length);
        at += read.chars().count();
        rest = after;
    }
    Ok(found)
}

fn length(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// What stands between quotation marks, and how long it is with them. A backslash takes the next character as it is.
fn quoted_text(text: &str, mark: char) -> Option<(String, usize)> {
    let mut words = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => words.push(characters.next()?.1),
            // No store keeps it, and no attribute has it.
            '\0' => words.push('\u{fffd}'),
            _ if c == mark => return Some((words, at + mark.len_utf8())),
            _ => words.push(c),
        }
    }
    None
}

/// A text between quotation marks.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a text can be the value of an attribute at all.
pub(super) fn fits(text: &str) -> bool {
    text.chars().count() <= LONGEST_TEXT
}
