//! Twilio's error codes: one table, and what an answer of the API means.
//!
//! The class follows the code, never the HTTP status or the words. Only Twilio's own error document proves that a message
//! was not taken; a 5xx without one proves nothing. Numbers that Twilio repeats in its words are masked.

use std::sync::LazyLock;
use std::time::Duration;

use palomar_model::{ErrorClass, ProviderError, Scope, SendFailure};
use serde_json::Value;

use crate::codes::{self, Codes, Documented};

/// `code,class,scope,retry_hint,meaning,source,confidence`.
const TABLE: &str = include_str!("../../data/twilio_errors.csv");

static CODES: LazyLock<Codes> = LazyLock::new(|| Codes::read(TABLE, least_wait));

/// Limits that last: a day's allowance, a queue that is full.
const fn least_wait(code: u32) -> Option<Duration> {
    match code {
        63_038 => Some(Duration::from_secs(3600)),
        21_611 | 30_001 => Some(Duration::from_secs(60)),
        _ => None,
    }
}

/// What is documented of a code.
#[must_use]
pub fn documented(code: u32) -> Option<&'static Documented> {
    CODES.get(code)
}

/// The class of a code that came in a `failed` or `undelivered` status. One in no table is final for its message.
#[must_use]
pub fn class_of_status(code: Option<&str>) -> ErrorClass {
    CODES.of_status(code)
}

/// Whether a code says that the person wants to get no more: they unsubscribed, or blocked the sender.
#[must_use]
pub fn is_opt_out(code: &str) -> bool {
    matches!(code, "21610" | "63014" | "63033")
}

/// The codes which say that messages such as this one are not wanted: the person stopped them, or got enough of businesses'
/// marketing for now.
pub const UNWELCOME: &[&str] = &["21610", "63014", "63033", "63049"];

/// What an answer means that is no success.
#[must_use]
pub fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> SendFailure {
    let failure = match error_document(body) {
        Some(error) => from_document(status, &error),
        None => codes::without_document(status, "Twilio's API"),
    };
    codes::with_wait(failure, retry_after)
}

/// The error of a message, from its code and Twilio's words.
pub(super) fn failed(code: &str, words: Option<&str>) -> SendFailure {
    let documented = code.parse().ok().and_then(documented);
    let class = documented.map_or(ErrorClass::Content, |documented| documented.class);
    SendFailure::new(class, title(words, documented)).with_code(code)
}

/// The same as a report holds it.
pub(super) fn reported(code: Option<&str>, words: Option<&str>, detail: Option<String>) -> ProviderError {
    let documented = code.and_then(|code| code.parse().ok()).and_then(documented);
    let title = title(words, documented);
    let detail = detail.filter(|detail| *detail != title);
    ProviderError { code: code.map(str::to_owned), title, detail, class: Some(class_of_status(code)) }
}

fn title(words: Option<&str>, documented: Option<&Documented>) -> String {
    match words.map(str::trim).filter(|words| !words.is_empty()) {
        Some(words) => masked(words),
        None => documented
            .map_or("the provider refused the message", |documented| documented.meaning.as_str())
            .to_owned(),
    }
}

/// Twilio's error document: an object with a code that is not a message's.
pub(super) fn error_document(body: &[u8]) -> Option<Value> {
    let document: Value = serde_json::from_slice(body).ok()?;
    (code_of(&document).is_some() && document.get("sid").is_none()).then_some(document)
}

fn code_of(document: &Value) -> Option<String> {
    match document.get("code")? {
        Value::Number(code) => Some(code.to_string()),
        Value::String(code) if !code.is_empty() => Some(code.clone()),
        _ => None,
    }
}

fn from_document(status: u16, document: &Value) -> SendFailure {
    let code = code_of(document).unwrap_or_default();
    let failure = failed(&code, document.get("message").and_then(Value::as_str));
    if code.parse().ok().and_then(documented).is_some() {
        return failure;
    }
    let class = match status {
        429 => ErrorClass::Throttled { after: None, scope: Scope::Channel },
        500.. => ErrorClass::Transient,
        401 | 403 => ErrorClass::Auth,
        _ => ErrorClass::Content,
    };
    SendFailure { class, ..failure }
}

/// Twilio's words name the number that they are about: of seven digits or more the last four stay.
fn masked(words: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (digits, after) = from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
        shown.push_str(before);
        match digits.len().checked_sub(4).filter(|hidden| *hidden >= 3) {
            Some(hidden) => {
                shown.push_str("•••");
                shown.push_str(digits.get(hidden..).unwrap_or_default());
            }
            None => shown.push_str(digits),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests;
