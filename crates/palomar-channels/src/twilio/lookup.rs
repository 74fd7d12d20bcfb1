//! What became of a message whose outcome is unknown: Twilio's list of messages, matched on recipient, time and words.
//!
//! Twilio has no key of ours in that list: two messages that say the same to one person look alike, so what is found is
//! [`Lookup::Alike`] and proves something only beside what else is known. That nothing is found proves nothing: the list
//! may lag behind.

use std::time::Duration;

use jiff::fmt::rfc2822;
use palomar_model::{Content, Outbound, Timestamp};
use serde_json::Value;

use super::send::{self, From};
use crate::Lookup;

/// How far Twilio's clock may be behind ours.
const SLACK: Duration = Duration::from_secs(120);
/// The newest so many are looked at.
const PAGE: &str = "50";

/// What a message looks like in the list.
pub(super) struct Wanted<'a> {
    to: String,
    from: &'a From,
    body: String,
    media: bool,
    /// It was made no earlier.
    since: Timestamp,
}

impl<'a> Wanted<'a> {
    /// `None` for a template: the list has the words that Twilio made of it, which we don't know.
    pub(super) fn of(message: &Outbound, from: &'a From) -> Option<Wanted<'a>> {
        let pairs = send::form(message, from, None).ok()?;
        let pair = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        if matches!(message.content, Content::Template(_)) {
            return None;
        }
        let due = message.scheduled_at.map_or(message.accepted_at, |due| due.max(message.accepted_at));
        Some(Wanted {
            to: send::address(&message.to),
            from,
            body: pair("Body").unwrap_or_default(),
            media: pair("MediaUrl").is_some(),
            since: Timestamp::from_seconds(due.seconds().saturating_sub(SLACK.as_secs() as i64)),
        })
    }

    /// What to ask for.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let day = self.since.to_string().chars().take(10).collect();
        let mut query = vec![("To", self.to.clone()), ("DateSent>", day), ("PageSize", PAGE.to_owned())];
        query.extend(self.from.number.as_ref().map(|number| ("From", format!("whatsapp:{number}"))));
        query
    }

    /// What of the list may be the message.
    pub(super) fn found(&self, list: &[u8]) -> Lookup {
        let list: Value = serde_json::from_slice(list).unwrap_or_default();
        let messages = list.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let alike: Vec<_> =
            messages.iter().filter(|message| self.is_like(message)).filter_map(send::sent).collect();
        if alike.is_empty() { Lookup::Unknowable } else { Lookup::Alike(alike) }
    }

    fn is_like(&self, message: &Value) -> bool {
        let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let made = rfc2822::parse(text("date_created")).map(|made| made.timestamp().as_second());
        text("to") == self.to
            && text("body") == self.body
            && (text("num_media") != "0") == self.media
            && text("direction").starts_with("outbound")
            && made.is_ok_and(|made| made >= self.since.seconds())
    }
}
