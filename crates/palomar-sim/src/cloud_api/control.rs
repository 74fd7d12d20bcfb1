//! The control side, `/_sim/…`: what the simulator accepted, how it behaves, and people who write.
//! The calls are listed at the head of [`cloud_api`](super).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::config::Statuses;
use super::faults::Faults;
use super::payload::{self, Metadata};
use super::state::{Behaviour, Simulator};
use crate::span::{InvalidSetting, Latency};

const MOST_ENTRIES: usize = 10_000;

/// A change of behaviour; what is missing stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourChange {
    /// All faults: replaces those that were set; `[]` ends them.
    #[serde(default)]
    pub faults: Option<Faults>,
    /// How long each answer takes: `"20ms"`, `"5ms..50ms"`.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// The statuses; members that are not given get their defaults.
    #[serde(default)]
    pub statuses: Option<Statuses>,
}

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    count: bool,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: Option<String>,
}

type Shared = State<Arc<Simulator>>;

pub(super) async fn ledger(State(simulator): Shared, page: Query<Page>) -> Response {
    let count = simulator.ledger_len();
    if page.count {
        return Json(json!({ "count": count })).into_response();
    }
    let items = simulator.ledger(page.after, page.limit.unwrap_or(100).min(MOST_ENTRIES));
    let next = items.last().map(|last| last.order).filter(|last| *last < count as u64);
    let body = LedgerPage { count, items, next };
    Json(body).into_response()
}

#[derive(Serialize)]
struct LedgerPage {
    count: usize,
    items: Vec<crate::ledger::LedgerEntry>,
    next: Option<u64>,
}

pub(super) async fn duplicates(State(simulator): Shared) -> Response {
    let items = simulator.duplicates();
    Json(json!({ "count": items.len(), "items": items })).into_response()
}

pub(super) async fn stats(State(simulator): Shared) -> Response {
    Json(simulator.stats()).into_response()
}

pub(super) async fn get_faults(State(simulator): Shared) -> Response {
    let Behaviour { faults, latency, statuses } = simulator.behaviour();
    let shown = BehaviourChange { faults: Some(faults), latency: Some(latency), statuses: Some(statuses) };
    Json(shown).into_response()
}

pub(super) async fn set_faults(state: Shared, body: Bytes) -> Response {
    let changed = read(&body).and_then(|change| change_behaviour(&state, change));
    match changed {
        Ok(()) => get_faults(state).await,
        Err(error) => wrong(&error),
    }
}

/// Applies a change, or says what is wrong with it and applies nothing.
pub(super) fn change_behaviour(simulator: &Simulator, change: BehaviourChange) -> Result<(), InvalidSetting> {
    let now = simulator.behaviour();
    let next = Behaviour {
        faults: change.faults.unwrap_or(now.faults),
        latency: change.latency.unwrap_or(now.latency),
        statuses: change.statuses.unwrap_or(now.statuses),
    };
    next.faults.check()?;
    next.statuses.check()?;
    simulator.set_behaviour(next);
    Ok(())
}

pub(super) async fn webhook(State(simulator): Shared, body: Bytes) -> Response {
    match read::<Target>(&body) {
        Ok(target) => {
            simulator.courier.set_target(target.url.as_deref());
            Json(json!({ "url": target.url })).into_response()
        }
        Err(error) => wrong(&error),
    }
}

pub(super) async fn reset(State(simulator): Shared) -> Response {
    simulator.reset();
    Json(json!({ "success": true })).into_response()
}

pub(super) async fn inbound(State(simulator): Shared, body: Bytes) -> Response {
    match read(&body).and_then(|inbound| receive(&simulator, inbound)) {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response(),
        Err(error) => wrong(&error),
    }
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
        simulator.courier.post(&payload);
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
    simulator.courier.post(&payload::envelope(&simulator.config.business_account_id, vec![value]));
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

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, InvalidSetting> {
    serde_json::from_slice(body).map_err(|error| InvalidSetting(error.to_string()))
}

fn wrong(error: &InvalidSetting) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response()
}
