//! What became of a message.

use palomar_model::{
    Author, Change, ChannelEvent, ErrorClass, MessageChange, ProviderError, ReportedStatus, Status,
    StatusReport, Tally, Timestamp,
};
use serde_json::Value;

use super::fields::{field, id, list};
use super::{Item, other};
use crate::evolution::jid;

/// Older versions tell a status by its place in this list.
const BY_NUMBER: [&str; 6] = ["ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"];

/// A status of one message, and how its poll stands. No time comes with it: that of its receipt is the nearest.
pub(super) fn update(data: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    if !data.is_object() {
        return Err("is not an object");
    }
    let of = id(data, "/keyId").or_else(|| id(data, "/key/id")).ok_or("has no id")?;
    let word = match data.get("status").or_else(|| data.pointer("/update/status")) {
        Some(Value::String(word)) if !word.is_empty() => Some(word.as_str()),
        Some(Value::Number(number)) => {
            let place = number.as_u64().and_then(|n| usize::try_from(n).ok());
            Some(
                place
                    .and_then(|place| BY_NUMBER.get(place).copied())
                    .ok_or("has a status that is not known")?,
            )
        }
        _ => None,
    };
    let mut events = Vec::new();
    // What becomes of a person's own message says nothing of one of ours.
    let ours = |pointer| data.pointer(pointer).and_then(Value::as_bool);
    if let (Some(word), true) = (word, ours("/fromMe").or_else(|| ours("/key/fromMe")) != Some(false)) {
        let jid = field(data, "/remoteJid").or_else(|| field(data, "/key/remoteJid"));
        let member = field(data, "/participant").or_else(|| field(data, "/key/participant"));
        let short = |jid: String| jid::account(&jid).to_owned();
        events.push(ChannelEvent::Status(Box::new(StatusReport {
            provider_id: of.clone(),
            status: status(word),
            at: received_at,
            tag: None,
            recipient: jid.map(short),
            participant: member.map(short),
            errors: if word == "ERROR" { vec![not_taken()] } else { Vec::new() },
            pricing: None,
            conversation: None,
            raw: None,
        })));
    }
    let tally = |option: &Value| {
        let voters = list(option, "/voters").iter().filter_map(Value::as_str);
        let voters = voters.map(|jid| jid::account(jid).to_owned()).collect();
        Some(Tally { option: field(option, "/name")?, voters })
    };
    let options: Vec<_> = list(data, "/pollUpdates").iter().filter_map(tally).collect();
    if !options.is_empty() {
        events.push(ChannelEvent::Change(Box::new(MessageChange {
            provider_id: None,
            of,
            by: Author::Unknown,
            chat: None,
            at: received_at,
            change: Change::Votes { options },
            raw: data.clone(),
        })));
    }
    if events.is_empty() {
        events.push(other("messages.update", data));
    }
    Ok(Item { events, doubts: Vec::new() })
}

fn status(word: &str) -> Status {
    Status::Known(match word {
        "SERVER_ACK" => ReportedStatus::Sent,
        "DELIVERY_ACK" => ReportedStatus::Delivered,
        "READ" => ReportedStatus::Read,
        "PLAYED" => ReportedStatus::Played,
        "ERROR" => ReportedStatus::Failed,
        word => return Status::Other(word.to_owned()),
    })
}

/// Evolution does not say why.
fn not_taken() -> ProviderError {
    let title = "WhatsApp did not take the message".to_owned();
    ProviderError { title, class: Some(ErrorClass::Recipient), ..ProviderError::default() }
}
