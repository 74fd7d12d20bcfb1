//! Values out of a webhook's JSON, whatever stands where they should be.

use std::time::Duration;

use palomar_model::{Phone, ProviderMessageId, Sender, Timestamp};
use serde_json::Value;

use crate::evolution::jid::{self, Jid};

/// Times from here on are milliseconds: in seconds they lie in the year 33658.
const MILLIS: i64 = 1_000_000_000_000;
/// How far a phone's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// The text at a JSON pointer, where it is one and not empty. No store takes a NUL in a text.
pub(super) fn field(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?;
    Some(if text.contains('\0') { text.replace('\0', "") } else { text.to_owned() })
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

/// A whole number, as a number, a text, or the two halves that JavaScript has for large ones.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Object(halves) => {
            let half = |name: &str| halves.get(name).and_then(Value::as_i64);
            let (low, high) = (u32::try_from(half("low")? & 0xffff_ffff).ok()?, half("high")?);
            high.checked_mul(1 << 32)?.checked_add(i64::from(low))
        }
        _ => None,
    }
}

/// A whole number that is not negative.
pub(super) fn count<N: TryFrom<i64>>(value: &Value, pointer: &str) -> Option<N> {
    value.pointer(pointer).and_then(whole).and_then(|number| N::try_from(number).ok())
}

/// Seconds, or milliseconds where the number is too large for them; nothing that lies in the future.
pub(super) fn instant(value: &Value, pointer: &str, received_at: Timestamp) -> Option<Timestamp> {
    let number = value.pointer(pointer).and_then(whole).filter(|number| *number > 0)?;
    let at = match number {
        MILLIS.. => Timestamp::from_millis(number),
        _ => Timestamp::from_seconds(number),
    };
    (at <= received_at.after(AHEAD)).then_some(at)
}

/// Somebody by the jids that came for them. One that hides a number is kept as such; a number is never made of it.
pub(super) fn person<'v>(jids: impl IntoIterator<Item = Option<&'v str>>) -> Sender {
    let mut who = Sender::default();
    for jid in jids.into_iter().flatten() {
        match jid::read(jid) {
            Jid::User(digits) if who.wa_id.is_none() => {
                who.phone = Phone::from_wa_id(digits).ok();
                who.wa_id = Some(digits.to_owned());
            }
            Jid::Hidden(digits) if who.lid.is_none() => who.lid = Some(digits.to_owned()),
            _ => {}
        }
    }
    who
}

/// The jids at these JSON pointers.
pub(super) fn jids<'v>(value: &'v Value, pointers: &[&str]) -> Vec<Option<&'v str>> {
    pointers.iter().map(|pointer| value.pointer(pointer).and_then(Value::as_str)).collect()
}
