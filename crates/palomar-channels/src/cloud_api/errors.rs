//! Meta's error codes: one table, and what an answer of the Graph API means.
//!
//! The class follows the code, never the HTTP status or the words: the same code has come with different statuses. Only
//! Meta's own error document proves that a message was not taken; a 5xx without one proves nothing.

use std::sync::LazyLock;
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure};
use serde_json::Value;

use crate::codes::{self, Codes, Documented};

/// `code,class,scope,retry_hint,meaning,source,confidence`.
const TABLE: &str = include_str!("../../data/cloud_api_errors.csv");

static CODES: LazyLock<Codes> = LazyLock::new(|| Codes::read(TABLE, least_wait));

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
    CODES.get(code)
}

/// The class of a code that came in a `failed` status. One in no table is final for its message.
#[must_use]
pub fn class_of_status(code: Option<&str>) -> ErrorClass {
    CODES.of_status(code)
}

/// Whether a code says that the person wants to get no more: they stopped the business' marketing.
#[must_use]
pub fn is_opt_out(code: &str) -> bool {
    code == "131050"
}

/// The codes which say that messages such as this one are not wanted: the person stopped them, got enough of businesses' marketing
/// for now, or too many blocked or reported this number.
pub const UNWELCOME: &[&str] = &["131048", "131049", "131050"];

/// What an answer means that is no success.
#[must_use]
pub fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> SendFailure {
    let failure = match error_document(body) {
        Some(error) => from_document(status, &error),
        None => codes::without_document(status, "the Graph API"),
    };
    codes::with_wait(failure, retry_after)
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

#[cfg(test)]
mod tests;
