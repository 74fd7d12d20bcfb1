//! What an answer of Evolution means: one table of its words.
//!
//! Evolution has no error codes, and wraps nearly every fault of its own as a 400: its words decide, in the order of the
//! table. Only its own error document proves that a message was not taken; and where Evolution itself waited in vain for
//! WhatsApp, not even that.

use std::sync::LazyLock;
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure};
use serde::Deserialize;
use serde_json::Value;

use crate::codes;

/// `http_status,match,class,code,meaning`. The first row counts whose status is the answer's and whose words are in it.
const TABLE: &str = include_str!("../../data/evolution_errors.csv");
/// No more of Evolution's words are kept.
const MOST_WORDS: usize = 300;

#[derive(Deserialize)]
struct Line {
    http_status: u16,
    #[serde(rename = "match")]
    words: String,
    class: String,
    code: String,
    meaning: String,
}

struct Row {
    status: u16,
    words: String,
    class: ErrorClass,
    code: String,
    meaning: String,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = csv::Reader::from_reader(TABLE.as_bytes()).into_deserialize::<Line>();
    lines.filter_map(Result::ok).filter_map(row).collect()
});

fn row(line: Line) -> Option<Row> {
    let class = match line.class.as_str() {
        "retry" => ErrorClass::Transient,
        "unknown" => ErrorClass::Unknown,
        "recipient" => ErrorClass::Recipient,
        "content" => ErrorClass::Content,
        "auth" => ErrorClass::Auth,
        "account" => ErrorClass::Account,
        _ => return None,
    };
    let Line { http_status: status, words, code, meaning, .. } = line;
    Some(Row { status, words, class, code, meaning })
}

/// The word for "no connection to WhatsApp": the instance is to be looked at before the next attempt.
pub(super) const CONNECTION_CLOSED: &str = "connection_closed";

/// What an answer means that is no success.
#[must_use]
pub fn classify(status: u16, body: &[u8], retry_after: Option<Duration>) -> SendFailure {
    let failure = match words(body) {
        Some(words) => from_document(status, &words),
        None => codes::without_document(status, "Evolution"),
    };
    codes::with_wait(failure, retry_after)
}

/// The words of Evolution's own error document, in one text: `message` may be a text, a list, a list of lists, or hold
/// objects. `None` where the body is no such document.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    document.get("status")?.as_u64()?;
    let message = document.get("response")?.get("message")?;
    let mut text = String::new();
    flatten(message, &mut text);
    Some(text)
}

fn flatten(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, text)),
        value => {
            if !text.is_empty() {
                text.push_str("; ");
            }
            match value {
                Value::String(words) => text.push_str(words),
                other => text.push_str(&other.to_string()),
            }
        }
    }
}

fn from_document(status: u16, words: &str) -> SendFailure {
    let known = ROWS.iter().find(|row| row.status == status && words.contains(&row.words));
    let Some(row) = known else {
        let class = match status {
            429 => ErrorClass::Throttled { after: None, scope: Scope::Channel },
            500..=599 => ErrorClass::Transient,
            _ => ErrorClass::Content,
        };
        return SendFailure::new(class, "Evolution refused the message")
            .with_code(status.to_string())
            .with_detail(cut(words));
    };
    let failure = SendFailure::new(row.class, row.meaning.as_str()).with_code(row.code.as_str());
    // What it says of a number is the number.
    if row.class == ErrorClass::Recipient { failure } else { failure.with_detail(cut(words)) }
}

fn cut(words: &str) -> String {
    words.chars().take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests;
