//! Providers' error codes: a table of data a provider, read once, and what an answer without a code means.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure};
use serde::Deserialize;

/// What a table says of one code.
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

/// A provider's codes: the first of each row → the last one, and what the row says.
pub(crate) struct Codes(BTreeMap<u32, (u32, Documented)>);

impl Codes {
    /// Reads a table with the columns `code`, `class`, `scope` and `meaning`. `least_wait` is how long a code's limit
    /// lasts at least.
    pub(crate) fn read(table: &str, least_wait: fn(u32) -> Option<Duration>) -> Codes {
        let rows = csv::Reader::from_reader(table.as_bytes()).into_deserialize::<Row>();
        Codes(rows.filter_map(Result::ok).filter_map(|row| read_row(row, least_wait)).collect())
    }

    /// What is documented of a code.
    pub(crate) fn get(&self, code: u32) -> Option<&Documented> {
        let (_, (last, documented)) = self.0.range(..=code).next_back()?;
        (code <= *last).then_some(documented)
    }

    /// The class of a code that came with the report of a failure. One in no table is final for its message.
    pub(crate) fn of_status(&self, code: Option<&str>) -> ErrorClass {
        let documented = code.and_then(|code| code.parse().ok()).and_then(|code| self.get(code));
        documented.map_or(ErrorClass::Content, |documented| documented.class)
    }

    /// How many rows it has.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read_row(row: Row, least_wait: fn(u32) -> Option<Duration>) -> Option<(u32, (u32, Documented))> {
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
                "waba" | "account" => Scope::Account,
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

/// The failure with the wait that the provider asks for, where it is one of being too fast.
pub(crate) fn with_wait(failure: SendFailure, asked: Option<Duration>) -> SendFailure {
    match (failure.class, asked) {
        (ErrorClass::Throttled { scope, .. }, Some(_)) => {
            SendFailure { class: ErrorClass::Throttled { after: asked, scope }, ..failure }
        }
        _ => failure,
    }
}

/// An answer that is not the provider's own, or not in its form: a gateway, a proxy, a wrong address.
pub(crate) fn without_document(status: u16, api: &str) -> SendFailure {
    let elsewhere = format!("the base address does not lead to {api}");
    let (class, title) = match status {
        429 => (ErrorClass::Throttled { after: None, scope: Scope::Channel }, "too many requests"),
        500..=599 => (ErrorClass::Unknown, "the provider's gateway failed: the message may have been taken"),
        408 => (ErrorClass::Transient, "the request did not arrive in time"),
        // Nothing of the message can be at fault: somebody has to look at token and address.
        401 | 403 => (ErrorClass::Auth, "access was refused"),
        300..=399 | 404 | 405 => (ErrorClass::Account, elsewhere.as_str()),
        400..=499 => (ErrorClass::Content, "the request was refused"),
        _ => (ErrorClass::Unknown, "an answer that cannot be read"),
    };
    SendFailure::new(class, title).with_detail(format!("HTTP {status}"))
}
