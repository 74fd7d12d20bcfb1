//! `POST /_sim/inbound`: people who write to a number of the simulated account.

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::payload::{self, Metadata};
use super::state::Simulator;
use crate::span::InvalidSetting;

/// A person writes. Give `text`, or any `message` object, or a whole webhook as `payload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// The person's phone number; `34600111222` if neither this nor `user_id` is given.
    pub from: Option<String>,
    /// The person's business-scoped user id.
    pub user_id: Option<String>,
    /// The person's user name.
    pub username: Option<String>,
    /// The person's profile name.
    pub name: Option<String>,
    /// The number that is written to; the first configured one if not given.
    pub phone_number_id: Option<String>,
    /// A text message.
    pub text: Option<String>,
    /// Any other message: `type` and what belongs to it. `from`, `id` and `timestamp` are added where missing.
    pub message: Option<Map<String, Value>>,
    /// A whole webhook, signed and posted as it is (but for the way JSON is written).
    pub payload: Option<Value>,
}

#[derive(Serialize)]
struct InboundValue<'a> {
    messaging_product: &'static str,
    metadata: Metadata<'a>,
    contacts: [Value; 1],
    messages: [Value; 1],
}

/// Posts what a person wrote; answers the message's id (none for a whole webhook).
pub(super) fn receive(simulator: &Simulator, inbound: Inbound) -> Result<Option<String>, InvalidSetting> {
    if !simulator.courier.has_target() {
        return Err(InvalidSetting("no webhook URL is set".to_owned()));
    }
    if let Some(payload) = inbound.payload {
        simulator.courier.post(payload::encode(&payload));
        return Ok(None);
    }
    let configured = simulator.config.phone_numbers.first().map_or("100200300400500", |number| &number.id);
    let sender = inbound.phone_number_id.clone().unwrap_or_else(|| configured.to_owned());
    let from = phone_of(&inbound);
    let person = from.clone().or_else(|| inbound.user_id.clone()).unwrap_or_default();
    let contact = contact(&inbound, from.as_deref());
    let message = message(simulator, inbound, from)?;
    let id = message.get("id").and_then(Value::as_str).map(str::to_owned);
    simulator.note_inbound(&sender, &person);
    let metadata =
        Metadata { display_phone_number: simulator.display_number(&sender), phone_number_id: &sender };
    let value = InboundValue {
        messaging_product: "whatsapp",
        metadata,
        contacts: [contact],
        messages: [Value::Object(message)],
    };
    let envelope = payload::envelope(&simulator.config.business_account_id, vec![value]);
    simulator.courier.post(payload::encode(&envelope));
    Ok(id)
}

/// The writer's number, digits only; a person with a user id may have none.
fn phone_of(inbound: &Inbound) -> Option<String> {
    match (&inbound.from, &inbound.user_id) {
        (Some(from), _) => Some(from.chars().filter(char::is_ascii_digit).collect()),
        (None, Some(_)) => None,
        (None, None) => Some("34600111222".to_owned()),
    }
}

fn contact(inbound: &Inbound, from: Option<&str>) -> Value {
    let name = inbound.name.as_deref().unwrap_or("Lucía Prueba");
    let mut contact = json!({ "profile": { "name": name } });
    if let Some(username) = &inbound.username {
        contact["profile"]["username"] = json!(username);
    }
    if let Some(from) = from {
        contact["wa_id"] = json!(from);
    }
    if let Some(user_id) = &inbound.user_id {
        contact["user_id"] = json!(user_id);
    }
    contact
}

fn message(
    simulator: &Simulator,
    inbound: Inbound,
    from: Option<String>,
) -> Result<Map<String, Value>, InvalidSetting> {
    let mut message = match (inbound.message, inbound.text) {
        (Some(message), None) => message,
        (None, Some(text)) => {
            let (kind, content) = (json!("text"), json!({ "body": text }));
            [("type".to_owned(), kind), ("text".to_owned(), content)].into_iter().collect()
        }
        _ => return Err(InvalidSetting("give one of text, message and payload".to_owned())),
    };
    let mut add = |key: &str, value: Value| {
        message.entry(key).or_insert(value);
    };
    add("id", json!(simulator.wamid(simulator.fresh_number())));
    add("timestamp", json!(seconds(simulator.clock.now())));
    if let Some(from) = from {
        add("from", json!(from));
    }
    if let Some(user_id) = inbound.user_id {
        add("from_user_id", json!(user_id));
    }
    Ok(message)
}

fn seconds(at: Timestamp) -> String {
    at.seconds().to_string()
}
