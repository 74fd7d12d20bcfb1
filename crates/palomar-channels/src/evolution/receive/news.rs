//! What Evolution tells of the instance itself, and of people: connection, QR code, faults, names.

use palomar_model::{
    ChannelEvent, ChannelNews, ConnectionState, PersonNews, ProviderError, QrCode, Sender, Timestamp,
};
use serde_json::Value;

use super::fields::{count, field, jids, person as named};
use super::other;
use crate::evolution::jid;

/// Closes after which Evolution does not connect again by itself.
const FINAL: [(u32, ConnectionState, &str); 4] = [
    (401, ConnectionState::LoggedOut, "the phone was logged out: scan the QR code again"),
    (402, ConnectionState::LoggedOut, "the instance may not connect again by itself"),
    (403, ConnectionState::Banned, "the number is banned or restricted"),
    (406, ConnectionState::LoggedOut, "the instance may not connect again by itself"),
];

/// The event of this name, where it is about the instance; `None` where it says nothing that can be acted on.
pub(super) fn channel(name: &str, data: &Value, received_at: Timestamp) -> Option<ChannelEvent> {
    match name {
        "connection.update" => connection(data),
        "status.instance" => {
            let (state, reason) = closed(count(data, "/disconnectionReasonCode")?);
            Some(news(data, state, field_or_number(data, "/disconnectionReasonCode"), reason))
        }
        "qrcode.updated" => Some(qr(data, received_at)),
        "error" => {
            let title = field(data, "/error").unwrap_or_else(|| "Evolution reports an error".to_owned());
            let code = field_or_number(data, "/status");
            let error = ProviderError { code, title, ..ProviderError::default() };
            Some(ChannelEvent::ChannelError { error })
        }
        _ => None,
    }
}

fn field_or_number(data: &Value, pointer: &str) -> Option<String> {
    field(data, pointer).or_else(|| count::<i64>(data, pointer).map(|number| number.to_string()))
}

fn connection(data: &Value) -> Option<ChannelEvent> {
    let (state, reason) = match data.get("state").and_then(Value::as_str)? {
        "open" => (ConnectionState::Open, None),
        "connecting" => (ConnectionState::Connecting, None),
        "refused" => (ConnectionState::QrRefused, Some("the QR code was shown too often: ask for another")),
        "close" => closed(count(data, "/statusReason").unwrap_or(0)),
        _ => return None,
    };
    Some(news(data, state, field_or_number(data, "/statusReason"), reason))
}

fn closed(reason: u32) -> (ConnectionState, Option<&'static str>) {
    let known = FINAL.iter().find(|(code, ..)| *code == reason);
    known.map_or((ConnectionState::Closed, None), |(_, state, words)| (*state, Some(*words)))
}

fn news(data: &Value, state: ConnectionState, code: Option<String>, reason: Option<&str>) -> ChannelEvent {
    let what = ChannelNews::Connection {
        state,
        code,
        reason: reason.map(str::to_owned),
        account: field(data, "/wuid").map(|jid| jid::account(&jid).to_owned()),
        profile_name: field(data, "/profileName"),
    };
    ChannelEvent::Channel { what: Box::new(what), raw: data.clone() }
}

fn qr(data: &Value, received_at: Timestamp) -> ChannelEvent {
    match field(data, "/qrcode/code") {
        Some(code) => {
            let pairing_code = field(data, "/qrcode/pairingCode");
            let what = ChannelNews::Qr(QrCode { code, pairing_code, at: received_at });
            ChannelEvent::Channel { what: Box::new(what), raw: data.clone() }
        }
        None => {
            let words = field(data, "/message");
            news(data, ConnectionState::QrRefused, field_or_number(data, "/statusCode"), words.as_deref())
        }
    }
}

/// Somebody in the phone's address book; a group is kept as it came.
pub(super) fn person(name: &str, data: &Value, received_at: Timestamp) -> ChannelEvent {
    let who = named(jids(data, &["/remoteJid", "/id", "/lid", "/jid"]));
    if !who.is_known() {
        return other(name, data);
    }
    let who = Sender { name: field(data, "/pushName"), ..who };
    ChannelEvent::Person(Box::new(PersonNews { who, formerly: None, at: received_at }))
}
