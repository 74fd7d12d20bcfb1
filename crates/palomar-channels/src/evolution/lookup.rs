//! What Evolution knows of a message whose outcome we do not know: the messages that it keeps of the chat.
//!
//! It hands no tag back, so messages are told apart by their content and time alone. One that fits may still be another
//! message with the same words: what is found is [`Lookup::Alike`], and proves something only beside what else is known.
//! None that fits proves nothing: Evolution writes messages down late, or not at all where it was told so.

use std::time::Duration;

use palomar_model::{Content, Outbound, Phone, Timestamp};
use serde_json::{Value, json};

use super::{jid, send};
use crate::Lookup;

/// Evolution's clock, and the second to which it rounds.
const SKEW: Duration = Duration::from_secs(60);
/// Of a chat, the newest; the message in question is among them, since later ones wait for it.
const NEWEST: u32 = 50;

/// The body of `POST /chat/findMessages/<instance>`.
pub(super) fn query(phone: &Phone) -> Value {
    json!({"where": {"key": {"remoteJid": jid::of_phone(phone), "fromMe": true}}, "page": 1, "offset": NEWEST})
}

/// What the answer says of `message`.
pub(super) fn find(message: &Outbound, answer: &Value) -> Lookup {
    let Some(wanted) = print_of(&message.content) else {
        return Lookup::Unknowable;
    };
    let records = answer.pointer("/messages/records").unwrap_or(answer).as_array();
    let since = message.accepted_at.micros() - i64::try_from(SKEW.as_micros()).unwrap_or(i64::MAX);
    let fits = |record: &&Value| {
        let ours = record.pointer("/key/fromMe").and_then(Value::as_bool) == Some(true);
        let late = time_of(record).is_some_and(|at| at.micros() >= since);
        ours && late && record.get("message").and_then(print_of_record).as_ref() == Some(&wanted)
    };
    let alike: Vec<_> = records.into_iter().flatten().filter(fits).filter_map(send::sent).collect();
    if alike.is_empty() { Lookup::Unknowable } else { Lookup::Alike(alike) }
}

fn time_of(record: &Value) -> Option<Timestamp> {
    let at = record.get("messageTimestamp")?;
    let seconds = at.as_i64().or_else(|| at.as_str()?.parse().ok())?;
    Some(Timestamp::from_seconds(seconds))
}

/// What two spellings of one content have in common.
#[derive(Debug, PartialEq)]
enum Print {
    Text(String),
    /// The kind of file, and the words below it.
    Caption(&'static str, String),
    Place(i64, i64),
    Poll(String),
    Reaction(String, String),
    Card(String),
}

/// Degrees to the metre: both sides may round.
fn micro_degrees(degrees: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 180 million")]
    let whole = (degrees * 1e5).round() as i64;
    whole
}

/// `None` for what cannot be told from others of its kind, such as a picture without words.
fn print_of(content: &Content) -> Option<Print> {
    let caption = |key, caption: &Option<String>| Some(Print::Caption(key, caption.clone()?));
    match content {
        Content::Text(text) => Some(Print::Text(text.text.clone())),
        Content::Image(file) => caption("imageMessage", &file.caption),
        Content::Video(file) => caption("videoMessage", &file.caption),
        Content::Document(file) => caption("documentMessage", &file.caption),
        Content::Location(place) => {
            Some(Print::Place(micro_degrees(place.latitude), micro_degrees(place.longitude)))
        }
        Content::Poll(poll) => Some(Print::Poll(poll.question.clone())),
        Content::Reaction(reaction) => {
            Some(Print::Reaction(reaction.message_id.0.to_string(), reaction.emoji.clone()))
        }
        Content::Contacts(cards) => match &cards.contacts[..] {
            [card] => Some(Print::Card(card.name.formatted_name.clone())),
            _ => None,
        },
        Content::Audio(_) | Content::Sticker(_) | Content::Interactive(_) | Content::Template(_) => None,
    }
}

fn print_of_record(message: &Value) -> Option<Print> {
    let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let number = |pointer: &str| message.pointer(pointer).and_then(Value::as_f64).map(micro_degrees);
    if let Some(words) = text("/conversation").or_else(|| text("/extendedTextMessage/text")) {
        return Some(Print::Text(words));
    }
    for kind in ["imageMessage", "videoMessage", "documentMessage"] {
        let within = text("/documentWithCaptionMessage/message/documentMessage/caption");
        let caption = text(&format!("/{kind}/caption"));
        if let Some(words) = caption.or(within.filter(|_| kind == "documentMessage")) {
            return Some(Print::Caption(kind, words));
        }
    }
    if let (Some(latitude), Some(longitude)) =
        (number("/locationMessage/degreesLatitude"), number("/locationMessage/degreesLongitude"))
    {
        return Some(Print::Place(latitude, longitude));
    }
    let polls = ["pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3"];
    if let Some(name) = polls.iter().find_map(|kind| text(&format!("/{kind}/name"))) {
        return Some(Print::Poll(name));
    }
    if let Some(id) = text("/reactionMessage/key/id") {
        return Some(Print::Reaction(id, text("/reactionMessage/text").unwrap_or_default()));
    }
    text("/contactMessage/displayName").map(Print::Card)
}

#[cfg(test)]
mod tests;
