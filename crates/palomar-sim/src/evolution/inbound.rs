//! `POST /_sim/inbound`: people who write to an instance, and whatever else Evolution tells.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::payload::jid_of;
use super::state::Simulator;
use super::webhook::Event;
use crate::lock;
use crate::span::InvalidSetting;

/// A person writes. Give `text`, or any `message` object with its `messageType`, or the `data` of any `event`, or a whole
/// webhook as `payload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Inbound {
    /// The instance that is written to; the first one if not given.
    pub instance: Option<String>,
    /// The person's number or jid; `34600111222` if not given.
    pub from: Option<String>,
    /// The id under which their number is hidden: then `from` comes beside it.
    pub lid: Option<String>,
    /// The group they write in: its jid.
    pub group: Option<String>,
    /// The person's profile name.
    pub name: Option<String>,
    /// Written on the instance's own phone: an echo.
    pub from_me: bool,
    /// A text message.
    pub text: Option<String>,
    /// Any other message: what stands in `message`.
    pub message: Option<Map<String, Value>>,
    /// Its type; the first key of `message` if not given.
    pub message_type: Option<String>,
    /// The bytes of its media in Base64, which are handed out for its id.
    pub media: Option<String>,
    /// The message's id; a fresh one if not given.
    pub id: Option<String>,
    /// Another event than `messages.upsert`, with its `data`.
    pub event: Option<String>,
    /// The data of `event`.
    pub data: Option<Value>,
    /// A whole webhook, posted as it is.
    pub payload: Option<Value>,
}

/// Posts what a person wrote; answers the message's id (none for another event or a whole webhook).
pub(super) fn receive(simulator: &Simulator, inbound: Inbound) -> Result<Option<String>, InvalidSetting> {
    if !simulator.courier.has_target() {
        return Err(InvalidSetting("no webhook URL is set".to_owned()));
    }
    if let Some(payload) = inbound.payload {
        simulator.courier.post(payload.to_string().into_bytes());
        return Ok(None);
    }
    let instance: Arc<str> = match &inbound.instance {
        Some(name) => name.as_str().into(),
        None => {
            simulator.instances().first().map_or_else(|| "main-line".into(), |(name, _)| Arc::clone(name))
        }
    };
    if let Some(name) = inbound.event {
        let event = Event { name, instance, data: inbound.data.unwrap_or_default() };
        simulator.courier.post(simulator.courier.postman().envelope(&event));
        return Ok(None);
    }
    let data = message(simulator, &inbound)?;
    let id = data.pointer("/key/id").and_then(Value::as_str).map(str::to_owned);
    let event = Event { name: "messages.upsert".to_owned(), instance, data };
    simulator.courier.post(simulator.courier.postman().envelope(&event));
    Ok(id)
}

fn message(simulator: &Simulator, inbound: &Inbound) -> Result<Value, InvalidSetting> {
    let (kind, content) = match (&inbound.message, &inbound.text) {
        (Some(message), None) => {
            let first = message.keys().next().cloned().unwrap_or_else(|| "unknown".to_owned());
            (inbound.message_type.clone().unwrap_or(first), Value::Object(message.clone()))
        }
        (None, Some(text)) => ("conversation".to_owned(), json!({ "conversation": text })),
        _ => return Err(InvalidSetting("give one of text, message, event and payload".to_owned())),
    };
    let person = jid_of(inbound.from.as_deref().unwrap_or("34600111222"));
    let id = inbound.id.clone().unwrap_or_else(|| simulator.fresh_id("3EB0"));
    if let Some(media) = &inbound.media {
        let mime = content.pointer(&format!("/{kind}/mimetype")).and_then(Value::as_str).unwrap_or_default();
        lock(&simulator.media).insert(id.clone(), (mime.to_owned(), media.clone()));
    }
    let mut key = match (&inbound.group, &inbound.lid) {
        (Some(group), _) => json!({"remoteJid": group, "participant": person}),
        (None, Some(lid)) => {
            json!({"remoteJid": format!("{lid}@lid"), "remoteJidAlt": person, "addressingMode": "lid"})
        }
        (None, None) => json!({"remoteJid": person}),
    };
    key["fromMe"] = json!(inbound.from_me);
    key["id"] = json!(id);
    Ok(json!({
        "key": key,
        "pushName": inbound.name.as_deref().unwrap_or("Lucía Prueba"),
        "status": "DELIVERY_ACK",
        "message": content,
        "messageType": kind,
        "messageTimestamp": simulator.clock.now().seconds(),
        "source": "android",
    }))
}
