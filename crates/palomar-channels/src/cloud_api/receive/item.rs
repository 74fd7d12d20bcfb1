//! One message, status or error of a webhook → one value.

use std::time::Duration;

use palomar_model::{
    Bsuid, ChannelEvent, InboundMessage, Phone, ProviderError, ProviderMessageId, Sender, Status,
    StatusReport, Timestamp,
};
use serde_json::Value;

/// An event, and what was doubtful about it.
pub(super) struct Item {
    pub(super) event: ChannelEvent,
    pub(super) doubts: Vec<&'static str>,
}

/// Times from here on are milliseconds: in seconds they lie in the year 33658.
const MILLIS: i64 = 1_000_000_000_000;
/// How far a provider's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A text, or the number that stands where a text should.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn field(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(text)
}

pub(super) fn message(
    value: &Value,
    contacts: &[Value],
    received_at: Timestamp,
) -> Result<Item, &'static str> {
    if !value.is_object() {
        return Err("is not an object");
    }
    let id = field(value, "/id").ok_or("has no id")?;
    let from = sender(value, contacts);
    if !from.is_known() {
        return Err("names no sender");
    }
    let mut doubts = Vec::new();
    let kind = field(value, "/type").unwrap_or_else(|| {
        doubts.push("has no type");
        "unknown".to_owned()
    });
    let words = words(value, &kind);
    if kind == "text" && words.is_none() {
        doubts.push("has no text");
    }
    let message = InboundMessage {
        provider_id: ProviderMessageId(id.into()),
        from,
        at: time(value, received_at, &mut doubts),
        text: words,
        context_id: field(value, "/context/id").map(|id| ProviderMessageId(id.into())),
        group_id: field(value, "/group_id"),
        kind,
        raw: value.clone(),
    };
    Ok(Item { event: ChannelEvent::Message(Box::new(message)), doubts })
}

/// Every identifier that came, and the contact that carries one of them. A BSUID in `from` is taken for one.
fn sender(message: &Value, contacts: &[Value]) -> Sender {
    let (from, user) = (field(message, "/from"), field(message, "/from_user_id"));
    let contact = contacts
        .iter()
        .find(|contact| is(contact, "wa_id", from.as_deref()) || is(contact, "user_id", user.as_deref()))
        .unwrap_or(&Value::Null);
    let digits = |text: &String| text.len() <= 20 && text.bytes().all(|c| c.is_ascii_digit());
    let wa_id = from.clone().filter(digits);
    let bsuid = |id: Option<String>| id.as_deref().and_then(Bsuid::parse);
    Sender {
        phone: wa_id.as_deref().and_then(|id| Phone::from_wa_id(id).ok()),
        wa_id,
        bsuid: bsuid(user).or_else(|| bsuid(from)).or_else(|| bsuid(field(contact, "/user_id"))),
        parent_bsuid: bsuid(field(message, "/from_parent_user_id"))
            .or_else(|| bsuid(field(contact, "/parent_user_id"))),
        name: field(contact, "/profile/name").map(without_nul),
        username: field(contact, "/profile/username").map(without_nul),
    }
}

/// Whether the contact carries this id. One delivery may hold a thousand of both: nothing is copied to compare.
fn is(contact: &Value, key: &str, id: Option<&str>) -> bool {
    match (contact.get(key), id) {
        (Some(Value::String(text)), Some(id)) => text == id,
        (Some(Value::Number(number)), Some(id)) => number.to_string() == id,
        _ => false,
    }
}

/// The words that a person wrote or tapped.
fn words(message: &Value, kind: &str) -> Option<String> {
    let pointers: &[&str] = match kind {
        "text" => &["/text/body"],
        "image" => &["/image/caption"],
        "video" => &["/video/caption"],
        "document" => &["/document/caption"],
        "button" => &["/button/text", "/button/payload"],
        "interactive" => &["/interactive/button_reply/title", "/interactive/list_reply/title"],
        "order" => &["/order/text"],
        _ => &[],
    };
    let found = pointers.iter().find_map(|pointer| message.pointer(pointer)?.as_str());
    found.map(|text| without_nul(text.to_owned()))
}

/// No store takes a NUL in a text.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

/// `timestamp`: seconds, or milliseconds where the number is too large for them. One that is no time, or lies in the
/// future, is replaced by the time of receipt.
fn time(value: &Value, received_at: Timestamp, doubts: &mut Vec<&'static str>) -> Timestamp {
    let number: Option<i64> = field(value, "/timestamp").and_then(|text| text.parse().ok());
    let at = number.filter(|number| *number > 0).map(|number| match number {
        MILLIS.. => Timestamp::from_millis(number),
        _ => Timestamp::from_seconds(number),
    });
    at.filter(|at| *at <= received_at.after(AHEAD)).unwrap_or_else(|| {
        doubts.push("has no time that makes sense: the time of receipt stands in");
        received_at
    })
}

pub(super) fn status(value: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    if !value.is_object() {
        return Err("is not an object");
    }
    let id = field(value, "/id").ok_or("has no id")?;
    let word = field(value, "/status").ok_or("has no status")?;
    let mut doubts = Vec::new();
    let errors = value.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let report = StatusReport {
        provider_id: ProviderMessageId(id.into()),
        status: Status::from(word.as_str()),
        at: time(value, received_at, &mut doubts),
        tag: field(value, "/biz_opaque_callback_data").and_then(|tag| tag.parse().ok()),
        recipient: field(value, "/recipient_id").or_else(|| field(value, "/recipient_user_id")),
        errors: errors.iter().map(error).collect(),
        pricing: value.get("pricing").cloned(),
        conversation: value.get("conversation").cloned(),
    };
    Ok(Item { event: ChannelEvent::Status(Box::new(report)), doubts })
}

/// An error in any of the shapes that were seen: `message` may be missing, `error_data` may be a plain text.
pub(super) fn error(value: &Value) -> ProviderError {
    let (title, message) = (field(value, "/title"), field(value, "/message"));
    let data = field(value, "/error_data/details").or_else(|| field(value, "/error_data"));
    let title = title
        .or_else(|| message.clone())
        .or_else(|| text(value))
        .unwrap_or_else(|| "unknown error".to_owned());
    let detail = data.or(message).filter(|detail| *detail != title);
    ProviderError { code: field(value, "/code"), title, detail }
}
