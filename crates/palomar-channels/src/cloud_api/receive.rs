//! Webhook body → events. Pure, and never fails as a whole.
//!
//! Always: every entry, change, message, status and error is looked at, each on its own; a bad one becomes a
//! [`Problem`] and hides none beside it; nothing is invented, above all no sender; what is not known is kept as it came.
//! Depth is bounded by the JSON parser, size by [`MAX_BODY`].

mod account;
mod content;
mod fields;
mod message;
pub(crate) mod repair;
mod status;

use palomar_model::{ChannelEvent, Received, Timestamp};
use serde_json::{Value, json};

use crate::channel::{Kept, Parsed, Problem};

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

/// Reads again what was kept of a webhook for this number: a message's own object, or what stood under a field.
#[must_use]
pub fn reread(kept: &Kept<'_>, phone_number_id: &str) -> Parsed {
    let message = || json!({"metadata": {"phone_number_id": phone_number_id}, "messages": [kept.raw]});
    let (field, value) =
        kept.field.map_or_else(|| ("messages", message()), |field| (field, kept.raw.clone()));
    let mut reading = Reading { received_at: kept.received_at, parsed: Parsed::default() };
    reading.change(None, &json!({"field": field, "value": value}), "");
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

/// What one message, echo or status becomes, and what was doubtful about it.
struct Item {
    events: Vec<ChannelEvent>,
    doubts: Vec<&'static str>,
}

/// Whose an event is.
#[derive(Clone, Copy)]
struct Of<'v> {
    /// Meta's id of the number.
    line: Option<&'v str>,
    /// Meta's id of the business account.
    account: Option<&'v str>,
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

    fn event(&mut self, of: Of<'_>, event: ChannelEvent) {
        let account = of.account.map(str::to_owned);
        self.parsed.events.push(Received { account, ..Received::on(of.line, event) });
    }

    fn document(&mut self, document: &Value) {
        if document.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
            return self.problem("/object", "is not whatsapp_business_account");
        }
        for (n, entry) in self.items(document, "", "entry") {
            let at = format!("/entry/{n}");
            let account = entry.get("id").and_then(fields::text);
            for (n, change) in self.items(entry, &at, "changes") {
                self.change(account.as_deref(), change, &format!("{at}/changes/{n}"));
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

    fn change(&mut self, account: Option<&str>, change: &Value, at: &str) {
        let Some(field) = change.get("field").and_then(Value::as_str) else {
            return self.problem(format!("{at}/field"), "is missing");
        };
        let value = change.get("value").unwrap_or(&Value::Null);
        let line = value.pointer("/metadata/phone_number_id").and_then(fields::text);
        let of = Of { line: line.as_deref(), account };
        let at = format!("{at}/value");
        match field {
            "messages" | "smb_message_echoes" if !value.is_object() => self.problem(at, "is not an object"),
            "messages" => self.messages(of, value, &at),
            "smb_message_echoes" => self.each(of, value, &at, "message_echoes", message::echo),
            _ => {
                let raw = || vec![ChannelEvent::Other { field: field.to_owned(), raw: value.clone() }];
                let events = account::events(field, value, self.received_at).unwrap_or_else(raw);
                events.into_iter().for_each(|event| self.event(of, event));
            }
        }
    }

    fn messages(&mut self, of: Of<'_>, value: &Value, at: &str) {
        if of.line.is_none() {
            self.doubt(&format!("{at}/metadata"), "does not name the phone number");
        }
        self.each(of, value, at, "messages", message::message);
        self.each(of, value, at, "statuses", |item, _, now| status::status(item, now));
        for (_, error) in self.items(value, at, "errors") {
            self.event(of, ChannelEvent::ChannelError { error: fields::error(error) });
        }
    }

    /// Reads all items of the array under `key`, with the contacts beside it.
    fn each(
        &mut self,
        of: Of<'_>,
        value: &Value,
        at: &str,
        key: &str,
        read: impl Fn(&Value, &[Value], Timestamp) -> Result<Item, &'static str>,
    ) {
        let contacts = fields::list(value, "/contacts");
        for (n, item) in self.items(value, at, key) {
            let at = format!("{at}/{key}/{n}");
            match read(item, contacts, self.received_at) {
                Ok(item) => {
                    item.doubts.into_iter().for_each(|detail| self.doubt(&at, detail));
                    item.events.into_iter().for_each(|event| self.event(of, event));
                }
                Err(detail) => self.problem(at, detail),
            }
        }
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
