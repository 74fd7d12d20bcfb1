//! Values out of a webhook's JSON, whatever stands where they should be.

use std::time::Duration;

use palomar_model::{Bsuid, Phone, ProviderError, ProviderMessageId, Sender, Timestamp};
use serde_json::Value;

use crate::cloud_api::errors;

/// Times from here on are milliseconds: in seconds they lie in the year 33658.
const MILLIS: i64 = 1_000_000_000_000;
/// How far a provider's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A text, or the number that stands where a text should.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(without_nul(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text at a JSON pointer.
pub(super) fn field(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(text)
}

/// The id of a message at a JSON pointer.
pub(super) fn id(value: &Value, pointer: &str) -> Option<ProviderMessageId> {
    field(value, pointer).map(|id| ProviderMessageId(id.into()))
}

/// Whether `true` stands at a JSON pointer.
pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of an array at a JSON pointer; none where there is no array.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// No store takes a NUL in a text.
fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text.to_owned() }
}

/// Seconds, or milliseconds where the number is too large for them.
pub(super) fn instant(value: &Value, pointer: &str) -> Option<Timestamp> {
    let number: Option<i64> = field(value, pointer).and_then(|text| text.parse().ok());
    number.filter(|number| *number > 0).map(|number| match number {
        MILLIS.. => Timestamp::from_millis(number),
        _ => Timestamp::from_seconds(number),
    })
}

/// The time under `timestamp`. One that is no time, or lies in the future, is replaced by the time of receipt.
pub(super) fn time(value: &Value, received_at: Timestamp, doubts: &mut Vec<&'static str>) -> Timestamp {
    let at = instant(value, "/timestamp");
    at.filter(|at| *at <= received_at.after(AHEAD)).unwrap_or_else(|| {
        doubts.push("has no time that makes sense: the time of receipt stands in");
        received_at
    })
}

/// Somebody by the ids that came for them: a phone number in `account`, or a BSUID in its place, and BSUIDs. A number is
/// never made of anything else.
pub(super) fn person(account: Option<&str>, user: Option<&str>, parent: Option<&str>) -> Sender {
    let bsuid = |id: Option<&str>| id.and_then(Bsuid::parse);
    let digits =
        |text: &&str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|c| c.is_ascii_digit());
    let wa_id = account.map(|id| id.trim_start_matches('+')).filter(digits);
    Sender {
        phone: wa_id.and_then(|id| Phone::from_wa_id(id).ok()),
        wa_id: wa_id.map(str::to_owned),
        bsuid: bsuid(user).or_else(|| bsuid(account)),
        parent_bsuid: bsuid(parent),
        ..Sender::default()
    }
}

/// The same, and what the contact beside says of them: the one that carries one of their ids.
pub(super) fn described(
    mut who: Sender,
    account: Option<&str>,
    user: Option<&str>,
    contacts: &[Value],
) -> Sender {
    let found = contacts.iter().find(|contact| is(contact, "wa_id", account) || is(contact, "user_id", user));
    let Some(contact) = found else { return who };
    let bsuid = |pointer| field(contact, pointer).as_deref().and_then(Bsuid::parse);
    who.bsuid = who.bsuid.or_else(|| bsuid("/user_id"));
    who.parent_bsuid = who.parent_bsuid.or_else(|| bsuid("/parent_user_id"));
    who.name = field(contact, "/profile/name");
    who.username = field(contact, "/profile/username");
    who
}

/// Whether the contact carries this id. One delivery may hold a thousand of both: nothing is copied to compare.
fn is(contact: &Value, key: &str, id: Option<&str>) -> bool {
    match (contact.get(key), id) {
        (Some(Value::String(text)), Some(id)) => text == id,
        (Some(Value::Number(number)), Some(id)) => number.to_string() == id,
        _ => false,
    }
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
    let code = field(value, "/code");
    let number = code.as_deref().and_then(|code| code.parse().ok());
    let class = number.and_then(errors::documented).map(|documented| documented.class);
    ProviderError { code, title, detail, class }
}
