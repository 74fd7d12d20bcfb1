//! Webhook body → events. Pure, and never fails as a whole.
//!
//! Always: every item of a list is looked at on its own; a bad one becomes a [`Problem`] and hides none beside it;
//! nothing is invented, above all no sender; what is not known is kept as it came. Depth is bounded by the JSON parser,
//! size by [`MAX_BODY`]. Evolution's own `date_time` is local time that claims to be UTC: it is not read.

mod content;
mod fields;
mod message;
mod news;
mod update;

use palomar_model::{ChannelEvent, Received, Timestamp};
use serde_json::{Value, json};

use crate::channel::{Kept, Parsed, Problem};
use crate::cloud_api::receive::repair;

/// More comes only where media are sent along in Base64, which is to be switched off (`base64: false`).
pub const MAX_BODY: usize = 4 << 20;

/// Reads a body. `received_at` stands in for times that make no sense.
#[must_use]
pub fn parse(body: &[u8], received_at: Timestamp) -> Parsed {
    let mut reading = Reading { received_at, line: None, parsed: Parsed::default() };
    match document(body) {
        Ok(document) => reading.document(&document),
        Err(detail) => reading.problem("", detail),
    }
    reading.parsed
}

/// Reads again what was kept of a webhook of this instance: a message's own object, or an event's.
#[must_use]
pub fn reread(kept: &Kept<'_>, instance: &str) -> Parsed {
    let mut reading = Reading { received_at: kept.received_at, line: None, parsed: Parsed::default() };
    let event = kept.field.unwrap_or("messages.upsert");
    reading.document(&json!({"event": event, "instance": instance, "data": kept.raw}));
    reading.parsed
}

/// The JSON of a body; a byte order mark is skipped and broken surrogate escapes are replaced.
fn document(body: &[u8]) -> Result<Value, &'static str> {
    if body.len() > MAX_BODY {
        return Err("is longer than 4 MB");
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

/// What one item becomes, and what was doubtful about it.
struct Item {
    events: Vec<ChannelEvent>,
    doubts: Vec<&'static str>,
}

impl From<ChannelEvent> for Item {
    fn from(event: ChannelEvent) -> Item {
        Item { events: vec![event], doubts: Vec::new() }
    }
}

/// Something that is kept as it came.
fn other(field: &str, raw: &Value) -> ChannelEvent {
    ChannelEvent::Other { field: field.to_owned(), raw: raw.clone() }
}

/// One pass over one body.
struct Reading {
    received_at: Timestamp,
    /// The instance.
    line: Option<String>,
    parsed: Parsed,
}

impl Reading {
    fn problem(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        let problem = Problem { pointer: pointer.into(), detail: detail.into(), kept: false };
        self.parsed.problems.push(problem);
    }

    fn event(&mut self, event: ChannelEvent) {
        self.parsed.events.push(Received::on(self.line.as_deref(), event));
    }

    fn document(&mut self, document: &Value) {
        // One spelling of events stands in webhooks, the other in what is subscribed to.
        let Some(name) = document.get("event").and_then(Value::as_str) else {
            return self.problem("/event", "is missing");
        };
        let name = name.to_ascii_lowercase().replace('_', ".");
        self.line = document.get("instance").and_then(Value::as_str).map(str::to_owned);
        let data = document.get("data").unwrap_or(&Value::Null);
        let received_at = self.received_at;
        match name.as_str() {
            "messages.upsert" => self.each(data, |data| message::upsert(data, received_at)),
            "messages.update" => self.each(data, |data| update::update(data, received_at)),
            "messages.edited" | "send.message.update" => {
                self.each(data, |data| message::edited(data, received_at));
            }
            "messages.delete" => self.each(data, |data| message::deleted(data, received_at)),
            "contacts.set" | "contacts.upsert" | "contacts.update" => {
                self.each(data, |data| Ok(news::person(&name, data, received_at).into()));
            }
            // `send.message` among them: what goes out through Evolution is known by its answer, and often told before it.
            _ => {
                let news = news::channel(&name, data, received_at);
                self.event(
                    news.unwrap_or_else(|| other(&name, if data.is_null() { document } else { data })),
                );
            }
        }
    }

    /// Each item of a list, or the one that stands alone.
    fn each(&mut self, data: &Value, read: impl Fn(&Value) -> Result<Item, &'static str>) {
        let items = match data {
            Value::Array(items) => {
                items.iter().enumerate().map(|(n, item)| (format!("/data/{n}"), item)).collect()
            }
            one => vec![("/data".to_owned(), one)],
        };
        for (at, item) in items {
            match read(item) {
                Ok(Item { events, doubts }) => {
                    for detail in doubts {
                        let problem = Problem { pointer: at.clone(), detail: detail.to_owned(), kept: true };
                        self.parsed.problems.push(problem);
                    }
                    events.into_iter().for_each(|event| self.event(event));
                }
                Err(detail) => self.problem(at, detail),
            }
        }
    }
}

#[cfg(test)]
mod tests;
