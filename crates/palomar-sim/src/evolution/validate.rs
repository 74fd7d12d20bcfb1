//! What Evolution checks of a message, in its words, and what it makes of it.

use serde_json::{Value, json};

use super::errors::Refusal;

/// A message that may be sent.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// The operation.
    pub(super) op: &'static str,
    /// As the sender wrote it.
    pub(super) number: String,
    /// The type of the message that WhatsApp gets.
    pub(super) kind: &'static str,
    /// That message.
    pub(super) content: Value,
    /// "Typing" before it, in milliseconds.
    pub(super) delay: u64,
}

/// Each operation with the members that it cannot do without.
const REQUIRED: [(&str, &[&str]); 11] = [
    ("sendText", &["number", "text"]),
    ("sendMedia", &["number", "mediatype"]),
    ("sendWhatsAppAudio", &["number", "audio"]),
    ("sendPtv", &["number", "video"]),
    ("sendSticker", &["number", "sticker"]),
    ("sendLocation", &["number", "latitude", "longitude", "name", "address"]),
    ("sendContact", &["number", "contact"]),
    ("sendReaction", &["key", "reaction"]),
    ("sendPoll", &["number", "name", "selectableCount", "values"]),
    ("sendList", &["number", "title", "footerText", "buttonText", "sections"]),
    ("sendButtons", &["number"]),
];

/// Reads and checks a message; `None` where there is no such operation.
pub(super) fn message(op: &str, body: &Value) -> Option<Result<Outgoing, Refusal>> {
    let (op, required) = *REQUIRED.iter().find(|(known, _)| *known == op)?;
    Some(checked(op, required, body))
}

fn checked(op: &'static str, required: &[&str], body: &Value) -> Result<Outgoing, Refusal> {
    let mut complaints: Vec<String> = required
        .iter()
        .filter(|name| body.get(**name).is_none_or(Value::is_null))
        .map(|name| format!("requires property \"{name}\""))
        .collect();
    for name in required.iter().filter(|name| !matches!(**name, "key" | "values" | "sections" | "contact")) {
        let empty = body.get(*name).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty());
        if empty && *name != "reaction" {
            complaints.push(format!("The \"{name}\" cannot be empty"));
        }
    }
    for name in ["latitude", "longitude"].iter().filter(|name| required.contains(name)) {
        if body.get(*name).is_some_and(|value| !value.is_number()) {
            complaints.push(format!("{name} is not of a type(s) number"));
        }
    }
    if !complaints.is_empty() {
        return Err(Refusal::schema(&complaints));
    }
    let number = text(body, "/number").or_else(|| text(body, "/key/remoteJid")).unwrap_or_default();
    let (kind, content) = content(op, body)?;
    let delay = body.get("delay").and_then(Value::as_u64).unwrap_or(0);
    Ok(Outgoing { op, number, kind, content, delay })
}

fn text(body: &Value, pointer: &str) -> Option<String> {
    body.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// What WhatsApp gets, or why it gets nothing.
fn content(op: &str, body: &Value) -> Result<(&'static str, Value), Refusal> {
    let file = |value: Value| json!({"url": "https://mmg.whatsapp.net/v/simulated.enc", "caption": body.get("caption"), "mimetype": value});
    Ok(match op {
        "sendText" => ("conversation", json!({"conversation": body["text"]})),
        "sendMedia" => {
            let (kind, mime) = match text(body, "/mediatype").as_deref() {
                Some("image") => ("imageMessage", "image/jpeg"),
                Some("video") => ("videoMessage", "video/mp4"),
                Some("audio") => ("audioMessage", "audio/mpeg"),
                Some("document") => ("documentMessage", "application/pdf"),
                _ => return Err(Refusal::schema(&["mediatype is not one of enum values".to_owned()])),
            };
            owned_media(body, "media")?;
            (kind, json!({kind: file(body.get("mimetype").cloned().unwrap_or_else(|| mime.into()))}))
        }
        "sendWhatsAppAudio" => {
            owned_media(body, "audio")?;
            ("audioMessage", json!({"audioMessage": {"mimetype": "audio/ogg; codecs=opus", "ptt": true}}))
        }
        "sendPtv" => {
            owned_media(body, "video")?;
            ("ptvMessage", json!({"ptvMessage": {"mimetype": "video/mp4"}}))
        }
        "sendSticker" => {
            owned_media(body, "sticker")?;
            ("stickerMessage", json!({"stickerMessage": {"mimetype": "image/webp"}}))
        }
        "sendLocation" => {
            let place = json!({"degreesLatitude": body["latitude"], "degreesLongitude": body["longitude"],
                "name": body["name"], "address": body["address"]});
            ("locationMessage", json!({"locationMessage": place}))
        }
        "sendContact" => contacts(body)?,
        "sendReaction" => {
            let emoji = text(body, "/reaction").unwrap_or_default();
            if emoji.chars().any(|c| c.is_alphanumeric() || c.is_whitespace()) {
                return Err(Refusal::words("Reaction must be a single emoji or empty string"));
            }
            ("reactionMessage", json!({"reactionMessage": {"key": body["key"], "text": emoji}}))
        }
        "sendPoll" => poll(body)?,
        "sendList" => {
            ("listMessage", json!({"listMessage": {"title": body["title"], "sections": body["sections"]}}))
        }
        _ => buttons(body)?,
    })
}

/// A file is named by an address, or given whole in Base64.
fn owned_media(body: &Value, key: &str) -> Result<(), Refusal> {
    let media = text(body, &format!("/{key}")).unwrap_or_default();
    if media.starts_with("http://") || media.starts_with("https://") {
        return Ok(());
    }
    let letters = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=');
    if media.is_empty() || !media.bytes().all(letters) {
        return Err(Refusal::words("Owned media must be a url or base64"));
    }
    let document = text(body, "/mediatype").as_deref() == Some("document");
    if document && body.get("fileName").is_none() {
        return Err(Refusal::words("For base64 the file name must be informed."));
    }
    Ok(())
}

fn contacts(body: &Value) -> Result<(&'static str, Value), Refusal> {
    let cards = body["contact"].as_array().map_or(&[][..], Vec::as_slice);
    let whole = |card: &&Value| ["fullName", "phoneNumber"].iter().all(|name| card[*name].is_string());
    match cards {
        [] => Err(Refusal::schema(&["contact does not meet minimum length of 1".to_owned()])),
        cards if !cards.iter().all(|card| whole(&card)) => {
            Err(Refusal::schema(&["requires property \"fullName\"".to_owned()]))
        }
        [card] => Ok(("contactMessage", json!({"contactMessage": {"displayName": card["fullName"]}}))),
        cards => {
            let name = format!("{} contacts", cards.len());
            Ok(("contactsArrayMessage", json!({"contactsArrayMessage": {"displayName": name}})))
        }
    }
}

fn poll(body: &Value) -> Result<(&'static str, Value), Refusal> {
    let values = body["values"].as_array().map_or(0, Vec::len);
    let most = body["selectableCount"].as_u64();
    if !(2..=10).contains(&values) || most.is_none_or(|most| most > 10) {
        let complaint = "values does not meet minimum length of 2".to_owned();
        return Err(Refusal::schema(&[complaint]));
    }
    Ok(("pollCreationMessageV3", json!({"pollCreationMessageV3": {"name": body["name"]}})))
}

fn buttons(body: &Value) -> Result<(&'static str, Value), Refusal> {
    let buttons = body["buttons"].as_array().map_or(&[][..], Vec::as_slice);
    let replies = buttons.iter().filter(|button| button["type"] == "reply").count();
    if buttons.is_empty() {
        return Err(Refusal::schema(&["requires property \"buttons\"".to_owned()]));
    }
    if replies > 3 {
        return Err(Refusal::words("Maximum of 3 reply buttons allowed"));
    }
    if replies > 0 && replies < buttons.len() {
        return Err(Refusal::words("Reply buttons cannot be mixed with other button types"));
    }
    Ok(("interactiveMessage", json!({"interactiveMessage": {"header": {"title": body["title"]}}})))
}
