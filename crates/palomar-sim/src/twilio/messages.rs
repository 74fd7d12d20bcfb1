//! `POST …/Messages.json`: judges, accepts, answers, and spoils the answer where a fault says so. `GET …/Messages.json`:
//! what was accepted.
//!
//! The decision is made at once and as a whole; only then the answer waits. So the ledger's time is the time of arrival.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palomar_model::Timestamp;
use serde_json::{Value, json};

use super::errors::ApiError;
use super::misbehaviour::{Fault, FaultKind, refusal};
use super::state::{LedgerEntry, Receipt, Simulator};
use super::validate::{self, Outgoing};
use crate::control::Simulated as _;
use crate::faults::{self, Misbehaviour as _};
use crate::span::Latency;
use crate::spoil::spoiled;
use crate::wire::Wire;

/// The delay of a `slow` fault that names none.
const SLOW: Latency = Latency::fixed(Duration::from_secs(1));
/// The list shows no more.
const MOST_LISTED: usize = 1000;

/// What a request leads to.
struct Decision {
    /// The answer, or the error.
    outcome: Result<Vec<u8>, ApiError>,
    /// The fault that spoils the answer; one that only refuses is in `outcome`.
    spoiled_by: Option<Fault>,
    delay: Duration,
}

pub(super) async fn post(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path(account): Path<String>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let _underway = simulator.counters.begin();
    let decision = decide(&simulator, &account, &headers, &form);
    if !decision.delay.is_zero() {
        tokio::time::sleep(decision.delay).await;
    }
    let spoil = decision.spoiled_by.as_ref().map(|fault| fault.kind);
    match (decision.outcome, spoil) {
        (Err(error), _) => refuse(&simulator, &error),
        (Ok(document), None | Some(FaultKind::Slow)) => {
            simulator.counters.answered(201, 0);
            created(Body::from(document))
        }
        (Ok(document), Some(kind)) => {
            simulator.counters.spoiled(kind.name());
            spoiled(kind.spoils(), &simulator.release, &wire, created(Body::empty()), document).await
        }
    }
}

fn decide(simulator: &Simulator, account: &str, headers: &HeaderMap, form: &[u8]) -> Decision {
    let to = validate::read(form).remove("To").and_then(|mut to| to.pop());
    let (fault, mut delay) = simulator.strike(to.as_deref().map(|to| to.trim_start_matches("whatsapp:")));
    if let Some(Fault { kind: FaultKind::Slow, latency, .. }) = &fault {
        delay += simulator.draw(latency.unwrap_or(SLOW));
    }
    if let Some(error) = fault.as_ref().and_then(refusal) {
        return Decision { outcome: Err(error), spoiled_by: None, delay };
    }
    if !faults::accepts(fault.as_ref()) {
        return Decision { outcome: Ok(Vec::new()), spoiled_by: fault, delay };
    }
    let outcome = check_access(simulator, account, headers)
        .and_then(|()| check_crowd(simulator))
        .and_then(|()| validate::request(form, &simulator.config))
        .and_then(|message| {
            let receipt = simulator.accept(account, &message, fault.as_ref(), form)?;
            Ok(answer(account, &message, &receipt))
        });
    Decision { outcome, spoiled_by: fault, delay }
}

/// The error's answer, counted.
pub(super) fn refuse(simulator: &Simulator, error: &ApiError) -> Response {
    simulator.counters.answered(error.status, error.code);
    error.answer()
}

fn created(body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Checks account and token.
pub(super) fn check_access(
    simulator: &Simulator,
    account: &str,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    let right = format!("{account}:{}", simulator.config.auth_token);
    if given.as_deref() != Some(right.as_bytes()) {
        return Err(ApiError::of(20_003));
    }
    let exists = simulator.config.account_sid.as_deref().is_none_or(|known| known == account);
    if exists { Ok(()) } else { Err(ApiError::of(20_404)) }
}

/// Too many requests at once.
fn check_crowd(simulator: &Simulator) -> Result<(), ApiError> {
    let crowded = simulator.counters.in_flight() > simulator.config.concurrency;
    if crowded { Err(ApiError { retry_after: Some(1), ..ApiError::of(20_429) }) } else { Ok(()) }
}

fn answer(account: &str, message: &Outgoing, receipt: &Receipt) -> Vec<u8> {
    if receipt.empty {
        return b"{}".to_vec();
    }
    let status = match (message.scheduled, &message.service) {
        (true, _) => "scheduled",
        (false, Some(_)) => "accepted",
        (false, None) => "queued",
    };
    let shown = Shown {
        sid: &receipt.sid,
        at: receipt.at,
        from: message.from.as_deref(),
        service: message.service.as_deref(),
        to: &message.to,
        body: &message.body,
        media: message.media,
        status,
    };
    shown.document(account).to_string().into_bytes()
}

/// A message as documents show it.
struct Shown<'a> {
    sid: &'a str,
    at: Timestamp,
    from: Option<&'a str>,
    service: Option<&'a str>,
    to: &'a str,
    body: &'a str,
    media: bool,
    status: &'static str,
}

impl Shown<'_> {
    fn document(&self, account: &str) -> Value {
        let path = format!("/2010-04-01/Accounts/{account}/Messages/{}", self.sid);
        let waits = matches!(self.status, "scheduled" | "accepted" | "queued");
        let segments = if self.status == "accepted" { "0" } else { "1" };
        json!({
            "account_sid": account, "api_version": "2010-04-01", "body": self.body,
            "date_created": rfc2822(self.at), "date_updated": rfc2822(self.at),
            "date_sent": (!waits).then(|| rfc2822(self.at)),
            "direction": "outbound-api", "error_code": null, "error_message": null,
            "from": self.from, "messaging_service_sid": self.service, "to": self.to,
            "num_media": if self.media { "1" } else { "0" }, "num_segments": segments,
            "price": null, "price_unit": null, "sid": self.sid, "status": self.status,
            "subresource_uris": {"media": format!("{path}/Media.json")}, "uri": format!("{path}.json"),
        })
    }
}

/// `Thu, 01 Jan 2026 00:00:00 +0000`.
fn rfc2822(at: Timestamp) -> String {
    let second = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
    second.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// The messages that were accepted, the newest first: by recipient, sender and day.
pub(super) async fn list(
    State(simulator): State<Arc<Simulator>>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let _underway = simulator.counters.begin();
    let struck = simulator.strike_elsewhere();
    if let Some(error) = struck.as_ref().and_then(refusal) {
        return refuse(&simulator, &error);
    }
    if let Err(error) = check_access(&simulator, &account, &headers) {
        return refuse(&simulator, &error);
    }
    let wanted = validate::read(query.unwrap_or_default().as_bytes());
    let get = |name: &str| wanted.get(name).and_then(|values| values.first()).map(String::as_str);
    let page = get("PageSize").and_then(|size| size.parse().ok()).unwrap_or(50).min(MOST_LISTED);
    let entries = simulator.ledger(0, usize::MAX);
    let chosen = entries.iter().rev().filter(|entry| {
        let plain = |address: &str| address.trim_start_matches("whatsapp:").to_owned();
        get("To").is_none_or(|to| plain(to) == entry.recipient)
            && get("From").is_none_or(|from| plain(from) == entry.from)
            && get("DateSent>").is_none_or(|day| *entry.at.to_string() >= *day)
    });
    let messages: Vec<Value> = chosen.take(page).map(|entry| listed(&account, entry)).collect();
    simulator.counters.answered(200, 0);
    let mut response = Response::new(Body::from(json!({"messages": messages, "page": 0}).to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn listed(account: &str, entry: &LedgerEntry) -> Value {
    let of_form = |name: &str| entry.body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
    let shown = Shown {
        sid: &entry.sid,
        at: entry.at,
        from: of_form("From"),
        service: of_form("MessagingServiceSid"),
        to: of_form("To").unwrap_or_default(),
        body: of_form("Body").unwrap_or_default(),
        media: entry.kind == "media",
        status: "sent",
    };
    shown.document(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_equal_the_recorded_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/twilio/response");
        let account = "AC00000000000000000000000000000001";
        let shown = |service, status| Shown {
            sid: "SM00000000000000000000000000000032",
            at: Timestamp::from_seconds(1_767_225_600),
            from: if service { None } else { Some("whatsapp:+15550100200") },
            service: service.then_some("MG00000000000000000000000000000001"),
            to: "whatsapp:+34600111222",
            body: "Hola Lucía",
            media: false,
            status,
        };
        for (file, shown) in [
            ("201_queued", shown(false, "queued")),
            ("201_accepted_messaging_service", shown(true, "accepted")),
            ("201_scheduled", shown(true, "scheduled")),
        ] {
            let recorded = std::fs::read(format!("{folder}/{file}.json")).unwrap();
            let recorded: Value = serde_json::from_slice(&recorded).unwrap();
            assert_eq!(shown.document(account), recorded, "{file}");
        }
    }
}
