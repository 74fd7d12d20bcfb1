//! `POST /{version}/{phone_number_id}/messages`: judges, accepts, answers, and spoils the answer where a fault says so.
//!
//! The decision is made at once and as a whole; only then the answer waits. So the ledger's time is the time of arrival.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::errors::GraphError;
use super::misbehaviour::{Fault, FaultKind};
use super::state::{Circumstances, Receipt, Simulator};
use super::template;
use super::validate::{self, Outgoing, Request, To};
use crate::faults::{self, Misbehaviour as _};
use crate::span::Latency;
use crate::spoil::spoiled;
use crate::wire::Wire;

/// The delay of a `slow` fault that names none.
const SLOW: Latency = Latency::fixed(Duration::from_secs(1));

/// What a request leads to.
struct Decision {
    /// The answer, or the error's document.
    outcome: Result<Vec<u8>, GraphError>,
    /// The fault that spoils the answer; one that only refuses is in `outcome`.
    spoiled_by: Option<Fault>,
    delay: Duration,
}

pub(super) async fn post(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path((version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let _underway = simulator.counters.begin();
    let decision = decide(&simulator, &version, &phone_number_id, &headers, &body);
    if !decision.delay.is_zero() {
        tokio::time::sleep(decision.delay).await;
    }
    let spoil = decision.spoiled_by.as_ref().map(|fault| fault.kind);
    match (decision.outcome, spoil) {
        (Err(error), _) => refuse(&simulator, &error),
        (Ok(document), None | Some(FaultKind::Slow)) => {
            simulator.counters.answered(200, 0);
            json(Body::from(document))
        }
        (Ok(document), Some(kind)) => {
            simulator.counters.spoiled(kind.name());
            let answer = json(Body::empty());
            spoiled(kind.spoils(), &simulator.release, &wire, answer, document).await
        }
    }
}

/// The error's answer, counted.
pub(super) fn refuse(simulator: &Simulator, error: &GraphError) -> Response {
    simulator.counters.answered(error.status, error.code);
    error.answer(&simulator.trace())
}

/// A 200 with a JSON document.
pub(super) fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Checks what comes before the body: path, token, number.
pub(super) fn check_call(
    simulator: &Simulator,
    version: &str,
    phone_number_id: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), GraphError> {
    check_access(simulator, version, headers)?;
    match phone_number_id {
        Some(id) if !simulator.has_phone_number(id) => Err(GraphError::no_such_object("post", id)),
        _ => Ok(()),
    }
}

fn check_access(simulator: &Simulator, version: &str, headers: &HeaderMap) -> Result<(), GraphError> {
    if major(version).is_none() {
        return Err(GraphError::unknown_path());
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).unwrap_or_default();
    let right = match &simulator.config.access_token {
        Some(expected) => token == expected,
        None => !token.is_empty(),
    };
    if right { Ok(()) } else { Err(GraphError::token()) }
}

/// 25 of `v25.0`.
fn major(version: &str) -> Option<u32> {
    let (major, minor) = version.strip_prefix('v')?.split_once('.')?;
    minor.parse::<u32>().ok()?;
    major.parse().ok()
}

fn decide(
    simulator: &Simulator,
    version: &str,
    phone_number_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Decision {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let recipient = parsed.get("to").or_else(|| parsed.get("recipient")).and_then(Value::as_str);
    let (fault, mut delay) = simulator.strike(recipient);
    if let Some(Fault { kind: FaultKind::Slow, latency, .. }) = &fault {
        delay += simulator.draw(latency.unwrap_or(SLOW));
    }
    if let Some(error) = fault.as_ref().and_then(refusal) {
        return Decision { outcome: Err(error), spoiled_by: None, delay };
    }
    if !faults::accepts(fault.as_ref()) {
        return Decision { outcome: Ok(Vec::new()), spoiled_by: fault, delay };
    }
    let about = Circumstances {
        sender: phone_number_id,
        fault: fault.as_ref(),
        body,
        conversation: major(version).is_some_and(|major| major < 24),
    };
    let outcome = check_call(simulator, version, Some(phone_number_id), headers)
        .and_then(|()| validate::request(&parsed, &simulator.config.country_code))
        .and_then(|request| match request {
            Request::MarkRead => Ok(br#"{"success":true}"#.to_vec()),
            Request::Send(message) => send(simulator, &message, about),
        });
    Decision { outcome, spoiled_by: fault, delay }
}

fn send(
    simulator: &Simulator,
    message: &Outgoing<'_>,
    about: Circumstances<'_>,
) -> Result<Vec<u8>, GraphError> {
    if let Some(id) = message.media.filter(|_| simulator.config.check_media)
        && !crate::lock(&simulator.shelf).has(id, simulator.clock.now())
    {
        return Err(validate::not_media(message.kind));
    }
    let book = &simulator.config.templates;
    let named = message.template.as_ref();
    let status = named.map(|named| template::look_up(book, named)).transpose()?;
    let receipt = simulator.accept(message, about)?;
    Ok(answer(&message.to, &receipt, status))
}

/// The error of a fault that refuses.
pub(super) fn refusal(fault: &Fault) -> Option<GraphError> {
    match fault.kind {
        FaultKind::Error131000 => Some(GraphError::of(131_000)),
        FaultKind::Down => Some(GraphError::of(131_016)),
        FaultKind::Auth => Some(GraphError::token()),
        FaultKind::Code => fault.code.map(GraphError::of),
        FaultKind::Throttle => {
            Some(GraphError { retry_after: Some(fault.retry_after.unwrap_or(1)), ..GraphError::of(130_429) })
        }
        _ => None,
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    messaging_product: &'static str,
    contacts: Vec<Contact<'a>>,
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct Contact<'a> {
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wa_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_status: Option<&'a str>,
}

fn answer(to: &To<'_>, receipt: &Receipt, message_status: Option<&str>) -> Vec<u8> {
    let (user_id, group_id) = match to {
        To::Phone { .. } => (None, None),
        To::User(id) => (Some(*id), None),
        To::Group(id) => (None, Some(*id)),
    };
    let wa_id = receipt.wa_id.as_deref().or(group_id);
    let mut answer = Answer {
        messaging_product: "whatsapp",
        contacts: vec![Contact { input: to.input(), wa_id, user_id }],
        messages: vec![Message { id: &receipt.wamid, group_id, message_status }],
    };
    if receipt.empty {
        answer.contacts.clear();
        answer.messages.clear();
    }
    // Texts only: this can't fail.
    serde_json::to_vec(&answer).unwrap_or_default()
}
