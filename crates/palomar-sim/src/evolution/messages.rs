//! `POST /message/{op}/{instance}`: judges, accepts, answers, and spoils the answer where a fault says so; and the chats'
//! own calls.
//!
//! The decision is made at once and as a whole; only then the answer waits. So the ledger's time is the time of arrival.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::errors::Refusal;
use super::misbehaviour::{Fault, FaultKind, refusal};
use super::payload::{jid_of, json_answer};
use super::state::{Instance, Simulator, State as Connection};
use super::{magic, validate};
use crate::faults::{self, Misbehaviour as _};
use crate::lock;
use crate::span::Latency;
use crate::spoil::spoiled;
use crate::wire::Wire;

/// The delay of a `slow` fault that names none.
const SLOW: Latency = Latency::fixed(Duration::from_secs(1));

/// What a message leads to.
struct Decision {
    outcome: Result<Vec<u8>, Refusal>,
    /// The fault that spoils the answer.
    fault: Option<Fault>,
    delay: Duration,
}

pub(super) async fn post(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path((op, instance)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let _underway = simulator.counters.begin();
    let Decision { outcome, fault, delay } = decide(&simulator, &op, &instance, &headers, &body);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let spoil = fault.as_ref().and_then(|fault| Some((fault.kind, fault.kind.spoils()?)));
    match (outcome, spoil) {
        (Err(error), _) => refuse(&simulator, &error),
        (Ok(document), None) => answer(&simulator, 201, document),
        (Ok(document), Some((kind, how))) => {
            simulator.counters.spoiled(kind.name());
            let whole = json_answer(201, Vec::new()).map(|_| Body::empty());
            spoiled(how, &simulator.release, &wire, whole, document).await
        }
    }
}

/// A refusal, counted.
pub(super) fn refuse(simulator: &Simulator, refusal: &Refusal) -> Response {
    simulator.counters.answered(refusal.status, 0);
    refusal.answer()
}

/// An answer, counted.
pub(super) fn answer(simulator: &Simulator, status: u16, document: Vec<u8>) -> Response {
    simulator.counters.answered(status, 0);
    json_answer(status, document)
}

/// As Evolution's guards, in their order: the instance is there, then the key is right.
pub(super) fn check(
    simulator: &Simulator,
    instance: &str,
    headers: &HeaderMap,
) -> Result<(Arc<str>, Instance), Refusal> {
    let found = simulator.instance(instance).ok_or_else(|| Refusal::no_instance(instance))?;
    check_key(simulator, headers)?;
    Ok(found)
}

/// Whether the key is right.
pub(super) fn check_key(simulator: &Simulator, headers: &HeaderMap) -> Result<(), Refusal> {
    let key = headers.get("apikey").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let right = match &simulator.config.api_key {
        Some(expected) => key == expected,
        None => !key.is_empty(),
    };
    if right { Ok(()) } else { Err(Refusal::unauthorized()) }
}

fn decide(simulator: &Simulator, op: &str, instance: &str, headers: &HeaderMap, body: &[u8]) -> Decision {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let recipient = parsed.get("number").or_else(|| parsed.pointer("/key/remoteJid")).and_then(Value::as_str);
    let (fault, mut delay) = simulator.strike(recipient);
    if let Some(Fault { kind: FaultKind::Slow, latency, .. }) = &fault {
        delay += simulator.draw(latency.unwrap_or(SLOW));
    }
    let told = fault.as_ref().and_then(refusal);
    if !faults::accepts(fault.as_ref()) {
        return Decision { outcome: told.map_or(Ok(Vec::new()), Err), fault, delay };
    }
    let sent = check(simulator, instance, headers).and_then(|(name, state)| {
        let message = validate::message(op, &parsed)
            .ok_or_else(|| Refusal::no_route("POST", &format!("/message/{op}/{instance}")))??;
        if state.state != Connection::Open {
            return Err(Refusal::words("Error: Connection Closed"));
        }
        // The call lasts as long as the person sees "typing…".
        delay += Duration::from_millis(message.delay);
        simulator.accept(&name, &message, fault.as_ref(), body)
    });
    let outcome = match (sent, told) {
        (Ok(_), Some(told)) => Err(told),
        (sent, _) => sent,
    };
    Decision { outcome, fault, delay }
}

/// `POST /chat/findMessages/{instance}`: what was sent, by chat.
/// The bytes of media, out of the phone.
pub(super) async fn media(
    State(simulator): State<Arc<Simulator>>,
    Path(instance): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let _underway = simulator.counters.begin();
    if let Some(told) = simulator.strike_elsewhere().as_ref().and_then(refusal) {
        return refuse(&simulator, &told);
    }
    if let Err(told) = check(&simulator, &instance, &headers) {
        return refuse(&simulator, &told);
    }
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = wanted.pointer("/message/key/id").and_then(Value::as_str).unwrap_or_default();
    let Some((mimetype, base64)) = lock(&simulator.media).get(id).cloned() else {
        return refuse(&simulator, &Refusal::words("Message not found"));
    };
    let document = json!({"mediaType": "imageMessage", "fileName": "x", "mimetype": mimetype, "base64": base64, "buffer": null});
    answer(&simulator, 201, document.to_string().into_bytes())
}

pub(super) async fn find(
    State(simulator): State<Arc<Simulator>>,
    Path(instance): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    chat(&simulator, &instance, &headers, &body, |name, query| {
        let wanted = query.pointer("/where/key/remoteJid").and_then(Value::as_str).map(jid_of);
        let of_chat = |message: &Value| {
            let jid = message.pointer("/key/remoteJid").and_then(Value::as_str);
            wanted.as_deref().is_none_or(|wanted| jid == Some(wanted))
        };
        let all = simulator.kept(name, of_chat);
        let size = query["offset"].as_u64().unwrap_or(50).max(1);
        let page = query["page"].as_u64().unwrap_or(1).max(1);
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let records: Vec<_> =
            all.iter().skip(at((page - 1).saturating_mul(size))).take(at(size)).cloned().collect();
        let pages = (all.len() as u64).div_ceil(size);
        json!({"messages": {"total": all.len(), "pages": pages, "currentPage": page, "records": records}})
    })
}

/// `POST /chat/whatsappNumbers/{instance}`: which numbers are somebody's.
pub(super) async fn numbers(
    State(simulator): State<Arc<Simulator>>,
    Path(instance): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    chat(&simulator, &instance, &headers, &body, |_, query| {
        let numbers = query["numbers"].as_array().map_or(&[][..], Vec::as_slice);
        let known = |number: &Value| {
            let number = number.as_str().unwrap_or_default();
            let jid = jid_of(number);
            let exists = !simulator.config.magic || magic::fate(&jid) != magic::Fate::Nobody;
            json!({"jid": jid, "exists": exists, "number": number})
        };
        numbers.iter().map(known).collect()
    })
}

fn chat(
    simulator: &Simulator,
    instance: &str,
    headers: &HeaderMap,
    body: &[u8],
    ask: impl Fn(&str, &Value) -> Value,
) -> Response {
    let _underway = simulator.counters.begin();
    if let Some(told) = simulator.strike_elsewhere().as_ref().and_then(refusal) {
        return refuse(simulator, &told);
    }
    match check(simulator, instance, headers) {
        Ok((name, _)) => {
            let query = serde_json::from_slice(body).unwrap_or_default();
            answer(simulator, 200, ask(&name, &query).to_string().into_bytes())
        }
        Err(refusal) => refuse(simulator, &refusal),
    }
}
