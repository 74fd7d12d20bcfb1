//! Webhook body → events. Pure, and never fails as a whole.
//!
//! Always: every entry, change, message, status and error is looked at, each on its own; a bad one becomes a
//! [`Problem`] and hides none beside it; nothing is invented, above all no sender. Depth is bounded by the JSON parser,
//! size by [`MAX_BODY`].

mod item;
mod repair;

use palomar_model::{ChannelEvent, Received, Timestamp};
use serde_json::Value;

use crate::channel::{Parsed, Problem};

/// The most that Meta sends in one delivery.
pub const MAX_BODY: usize = 3 << 20;

/// Reads a body. `received_at` stands in for times that make no sense.
#[must_use]
pub fn parse(body: &[u8], received_at: Timestamp) -> Parsed {
    let mut reading = Reading { received_at, parsed: Parsed::default() };
    match document(body) {
        Ok(document) => reading.document(&document),
        Err(detail) => reading.problem("", detail),
    }
    reading.parsed
}

/// The JSON of a body; a byte order mark is skipped and broken surrogate escapes are replaced.
fn document(body: &[u8]) -> Result<Value, &'static str> {
    if body.len() > MAX_BODY {
        return Err("is longer than 3 MB");
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).or_else(|error| {
        let repaired = repair::lone_surrogates(body).and_then(|body| serde_json::from_slice(&body).ok());
        repaired.ok_or(match error.classify() {
            serde_json::error::Category::Eof => "is JSON cut short, or empty",
            _ => "is not JSON, or nested too deep",
        })
    })
}

/// One pass over one body.
struct Reading {
    received_at: Timestamp,
    parsed: Parsed,
}

impl Reading {
    fn problem(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        let problem = Problem { pointer: pointer.into(), detail: detail.into(), kept: false };
        self.parsed.problems.push(problem);
    }

    /// Notes what was wrong with an item that was kept all the same.
    fn doubt(&mut self, pointer: &str, detail: &str) {
        let problem = Problem { pointer: pointer.to_owned(), detail: detail.to_owned(), kept: true };
        self.parsed.problems.push(problem);
    }

    fn event(&mut self, line: Option<&str>, event: ChannelEvent) {
        self.parsed.events.push(Received { line: line.map(str::to_owned), event });
    }

    fn document(&mut self, document: &Value) {
        if document.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
            return self.problem("/object", "is not whatsapp_business_account");
        }
        for (n, entry) in self.items(document, "", "entry") {
            let at = format!("/entry/{n}");
            for (n, change) in self.items(entry, &at, "changes") {
                self.change(change, &format!("{at}/changes/{n}"));
            }
        }
    }

    /// The items of the array under `key`; anything else but an absent key is a problem.
    fn items<'v>(&mut self, value: &'v Value, at: &str, key: &str) -> Vec<(usize, &'v Value)> {
        match value.get(key) {
            Some(Value::Array(items)) => items.iter().enumerate().collect(),
            None if value.is_object() => Vec::new(),
            None => {
                self.problem(at, "is not an object");
                Vec::new()
            }
            Some(_) => {
                self.problem(format!("{at}/{key}"), "is not an array");
                Vec::new()
            }
        }
    }

    fn change(&mut self, change: &Value, at: &str) {
        let Some(field) = change.get("field").and_then(Value::as_str) else {
            return self.problem(format!("{at}/field"), "is missing");
        };
        let value = change.get("value").unwrap_or(&Value::Null);
        let line = value.pointer("/metadata/phone_number_id").and_then(item::text);
        if field != "messages" {
            let event = ChannelEvent::Other { field: field.to_owned(), raw: value.clone() };
            return self.event(line.as_deref(), event);
        }
        let at = format!("{at}/value");
        if !value.is_object() {
            return self.problem(at, "is not an object");
        }
        if line.is_none() {
            self.doubt(&format!("{at}/metadata"), "does not name the phone number");
        }
        let line = line.as_deref();
        let contacts = value.get("contacts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (n, message) in self.items(value, &at, "messages") {
            let at = format!("{at}/messages/{n}");
            self.item(line, &at, item::message(message, contacts, self.received_at));
        }
        for (n, status) in self.items(value, &at, "statuses") {
            let at = format!("{at}/statuses/{n}");
            self.item(line, &at, item::status(status, self.received_at));
        }
        for (_, error) in self.items(value, &at, "errors") {
            let error = item::error(error);
            self.event(line, ChannelEvent::ChannelError { error });
        }
    }

    fn item(&mut self, line: Option<&str>, at: &str, item: Result<item::Item, &'static str>) {
        match item {
            Ok(item) => {
                item.doubts.into_iter().for_each(|detail| self.doubt(at, detail));
                self.event(line, item.event);
            }
            Err(detail) => self.problem(at, detail),
        }
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
