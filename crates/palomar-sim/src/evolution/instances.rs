//! `/instance/…` and `/webhook/…`: making instances, connecting them, where their events go. Webhooks go to one address for
//! all instances.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::Refusal;
use super::messages::{answer, check, check_key, refuse};
use super::misbehaviour::refusal;
use super::state::{Simulator, State as Connection};

type Shared = State<Arc<Simulator>>;

/// An answer with its status, or a refusal; counted either way. Faults that strike everything strike here too.
fn respond(simulator: &Simulator, make: impl FnOnce() -> Result<(u16, Value), Refusal>) -> Response {
    let _underway = simulator.counters.begin();
    let made = match simulator.strike_elsewhere().as_ref().and_then(refusal) {
        Some(told) => Err(told),
        None => make(),
    };
    match made {
        Ok((status, document)) => answer(simulator, status, document.to_string().into_bytes()),
        Err(refusal) => refuse(simulator, &refusal),
    }
}

/// `GET /`, which needs no key.
pub(super) async fn root(State(simulator): Shared) -> Response {
    respond(&simulator, || {
        let hello = json!({"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": "2.3.6",
            "clientName": "evolution_exchange", "whatsappWebVersion": "2.3000.1020885143"});
        Ok((200, hello))
    })
}

pub(super) async fn create(State(simulator): Shared, headers: HeaderMap, body: Bytes) -> Response {
    respond(&simulator, || {
        let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
        let name = wanted["instanceName"].as_str().unwrap_or_default().to_owned();
        if simulator.instances().iter().any(|(known, _)| **known == *name) {
            return Err(Refusal::name_in_use(&name));
        }
        check_key(&simulator, &headers)?;
        if name.is_empty() {
            return Err(Refusal::schema(&["requires property \"instanceName\"".to_owned()]));
        }
        if wanted["webhook"].is_object() {
            set_webhook(&simulator, &wanted["webhook"]);
        }
        simulator.set_instance(&name, Connection::Connecting, 200);
        let qr = wanted["qrcode"].as_bool().unwrap_or(false).then(|| simulator.qr_code(&name, 1));
        let hash = wanted["token"].as_str().map_or_else(|| simulator.fresh_id("TOKEN-"), str::to_owned);
        let instance = json!({"instanceName": name, "instanceId": name, "integration": "WHATSAPP-BAILEYS", "status": "connecting"});
        Ok((201, json!({"instance": instance, "hash": hash, "qrcode": qr})))
    })
}

pub(super) async fn connect(
    State(simulator): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(&simulator, || {
        let (name, instance) = check(&simulator, &name, &headers)?;
        if instance.state == Connection::Open {
            return Ok((200, json!({"instance": {"instanceName": &*name, "state": "open"}})));
        }
        if instance.state == Connection::Close {
            simulator.set_instance(&name, Connection::Connecting, 200);
        }
        Ok((200, simulator.qr_code(&name, instance.codes.max(1))))
    })
}

pub(super) async fn state(
    State(simulator): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(&simulator, || {
        let (name, instance) = check(&simulator, &name, &headers)?;
        Ok((200, json!({"instance": {"instanceName": &*name, "state": instance.state}})))
    })
}

pub(super) async fn list(State(simulator): Shared, headers: HeaderMap) -> Response {
    respond(&simulator, || {
        check_key(&simulator, &headers)?;
        let shown = simulator.instances().into_iter().map(|(name, instance)| {
            json!({"id": &*name, "name": &*name, "connectionStatus": instance.state, "number": simulator.config.number,
                "integration": "WHATSAPP-BAILEYS"})
        });
        Ok((200, shown.collect()))
    })
}

pub(super) async fn log_out(
    State(simulator): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(&simulator, || {
        let (name, instance) = check(&simulator, &name, &headers)?;
        if instance.state == Connection::Close {
            return Err(Refusal::words(&format!("The \"{name}\" instance is not connected")));
        }
        simulator.set_instance(&name, Connection::Close, 401);
        Ok((200, done("Instance logged out")))
    })
}

pub(super) async fn delete(
    State(simulator): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(&simulator, || {
        let (name, _) = check(&simulator, &name, &headers)?;
        simulator.remove_instance(&name);
        Ok((200, done("Instance deleted")))
    })
}

fn done(what: &str) -> Value {
    json!({"status": "SUCCESS", "error": false, "response": {"message": what}})
}

pub(super) async fn webhook(
    State(simulator): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(&simulator, || {
        check(&simulator, &name, &headers)?;
        let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
        let webhook = &wanted["webhook"];
        if !webhook["url"].is_string() {
            return Err(Refusal::schema(&["requires property \"url\"".to_owned()]));
        }
        set_webhook(&simulator, webhook);
        Ok((201, webhook.clone()))
    })
}

fn set_webhook(simulator: &Simulator, webhook: &Value) {
    let enabled = webhook["enabled"].as_bool().unwrap_or(true);
    simulator.courier.set_target(webhook["url"].as_str().filter(|_| enabled));
    if let Some(headers) = webhook["headers"].as_object() {
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let headers = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value)));
        simulator.courier.postman().set_headers(headers.collect());
    }
}

/// `POST /_sim/instance`: what happens to a phone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Happening {
    instance: String,
    state: Connection,
    /// As in `connection.update`; 401: logged out.
    #[serde(default = "lost")]
    reason: u32,
}

const fn lost() -> u32 {
    408
}

pub(super) async fn happen(State(simulator): Shared, body: Bytes) -> Response {
    match serde_json::from_slice::<Happening>(&body) {
        Ok(happening) => {
            simulator.set_instance(&happening.instance, happening.state, happening.reason);
            super::payload::json_answer(200, br#"{"success":true}"#.to_vec())
        }
        Err(error) => {
            let document = json!({"error": error.to_string()});
            super::payload::json_answer(400, document.to_string().into_bytes())
        }
    }
}
