//! Meta's error codes: one table, and what an answer of the Graph API means.
//!
//! The class follows the code, never the HTTP status or the words: the same code has come with different statuses. Only
//! Meta's own error document proves that a message was not taken; a 5xx without one proves nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure};
use serde::Deserialize;
use serde_json::Value;

/// `code,class,scope,retry_hint,meaning,source,confidence`.
const TABLE: &str = include_str!("../../data/cloud_api_errors.csv");

/// What the table says of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// The class; a throttle's wait is the least that makes sense.
    pub class: ErrorClass,
    /// What it means, for people.
    pub meaning: String,
}

#[derive(Deserialize)]
struct Row {
    code: String,
    class: String,
    scope: String,
    meaning: String,
}

/// The first code of each row → the last one, and what the row says.
static CODES: LazyLock<BTreeMap<u32, (u32, Documented)>> = LazyLock::new(|| {
    let rows = csv::Reader::from_reader(TABLE.as_bytes()).into_deserialize::<Row>();
    rows.filter_map(Result::ok).filter_map(read_row).collect()
});

fn read_row(row: Row) -> Option<(u32, (u32, Documented))> {
    let (first, last) = row.code.split_once('-').unwrap_or((&row.code, &row.code));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let class = class(&row.class, &row.scope, least_wait(first))?;
    Some((first, (last, Documented { class, meaning: row.meaning })))
}

fn class(word: &str, scope: &str, after: Option<Duration>) -> Option<ErrorClass> {
    Some(match word {
        "retry" => ErrorClass::Transient,
        "throttle" => {
            let scope = match scope {
                "pair" => Scope::Pair,
                "template" => Scope::Template,
                "waba" => Scope::Account,
                "app" => Scope::App,
                _ => Scope::Channel,
            };
            ErrorClass::Throttled { after, scope }
        }
        "recipient" => ErrorClass::Recipient,
        "content" => ErrorClass::Content,
        "auth" => ErrorClass::Auth,
        "account" => ErrorClass::Account,
        "template_needed" => ErrorClass::NeedsTemplate,
        _ => return None,
    })
}

/// Limits that last: trying again sooner makes them last longer.
const fn least_wait(code: u32) -> Option<Duration> {
    match code {
        131_048 | 132_069 | 133_016 => Some(Duration::from_secs(3600)),
        4 | 80_007 => Some(Duration::from_secs(300)),
        _ => None,
    }
}

/// What is documented of a code.
#[must_use]
pub fn documented(code: u32) -> Option<&'static Documented> {
    let (_, (last, documented)) = CODES.range(..=code).next_back()?;
    (code <= *last).then_some(documented)
}

/// The class of a code that came in a `failed` status. One in no table is final for its message.
#[must_use]
pub fn class_of_status(code: Option<&str>) -> ErrorClass {
    let documented = code.and_then(|code| code.parse().ok()).and_then(documented);
    documented.map_or(ErrorClass::Content, |documented| documented.class)
}

/// What an answer means that is no success.
#[must_use]
pub fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> SendFailure {
    let failure = match error_document(body) {
        Some(error) => from_document(status, &error),
        None => without_document(status),
    };
    match (failure.class, retry_after) {
        (ErrorClass::Throttled { scope, .. }, Some(_)) => {
            SendFailure { class: ErrorClass::Throttled { after: retry_after, scope }, ..failure }
        }
        _ => failure,
    }
}

/// The object under `error`, where it is one with a code.
pub(super) fn error_document(body: &[u8]) -> Option<Value> {
    let mut document: Value = serde_json::from_slice(body).ok()?;
    let error = document.get_mut("error")?.take();
    code_of(&error).is_some().then_some(error)
}

fn code_of(error: &Value) -> Option<String> {
    match error.get("code")? {
        Value::Number(code) => Some(code.to_string()),
        Value::String(code) if !code.is_empty() => Some(code.clone()),
        _ => None,
    }
}

fn from_document(status: u16, error: &Value) -> SendFailure {
    let code = code_of(error).unwrap_or_default();
    let documented = code.parse().ok().and_then(documented);
    let transient = error.get("is_transient").and_then(Value::as_bool).unwrap_or(false);
    let class = match documented {
        // The number itself is gone.
        _ if code == "100" && error.get("error_subcode").and_then(Value::as_u64) == Some(33) => {
            ErrorClass::Account
        }
        Some(documented) => documented.class,
        None if transient || status >= 500 => ErrorClass::Transient,
        None if status == 429 => ErrorClass::Throttled { after: None, scope: Scope::Channel },
        None => ErrorClass::Content,
    };
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let title = match message.strip_prefix(&format!("(#{code})")).unwrap_or(message).trim() {
        "" => documented.map_or("the provider refused the message", |documented| documented.meaning.as_str()),
        title => title,
    };
    let failure = SendFailure::new(class, title).with_code(code);
    let data = error.get("error_data");
    let detail = data.and_then(|data| data.get("details").unwrap_or(data).as_str());
    match detail.or_else(|| error.get("error_user_msg").and_then(Value::as_str)) {
        Some(detail) => failure.with_detail(detail),
        None => failure,
    }
}

/// An answer that is not Meta's own, or not in its form: a gateway, a proxy, a wrong address.
fn without_document(status: u16) -> SendFailure {
    let (class, title) = match status {
        429 => (ErrorClass::Throttled { after: None, scope: Scope::Channel }, "too many requests"),
        500..=599 => (ErrorClass::Unknown, "the provider's gateway failed: the message may have been taken"),
        408 => (ErrorClass::Transient, "the request did not arrive in time"),
        // Nothing of the message can be at fault: somebody has to look at token and address.
        401 | 403 => (ErrorClass::Auth, "access was refused"),
        300..=399 | 404 | 405 => (ErrorClass::Account, "the base address does not lead to the Graph API"),
        400..=499 => (ErrorClass::Content, "the request was refused"),
        _ => (ErrorClass::Unknown, "an answer that cannot be read"),
    };
    SendFailure::new(class, title).with_detail(format!("HTTP {status}"))
}

#[cfg(test)]
mod tests;
