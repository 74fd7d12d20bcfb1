//! The calls of the page (`/_wa/…`) and of whoever plays the phone, the people and the faults (`/_sim/…`).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::{Inbound, Sending, Simulator};

type Shared = State<Arc<Simulator>>;

const MOST_ENTRIES: usize = 10_000;
/// The longest wait that a page may ask for.
const LONGEST_QR: Duration = Duration::from_secs(60);

pub(super) fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/send", get(page))
        .route("/page.js", get(script))
        .route("/photo.png", get(photo))
        .route("/_wa/how", post(how))
        .route("/_wa/ref", post(make_ref))
        .route("/_wa/paired", post(paired))
        .route("/_wa/known", post(known))
        .route("/_wa/chats", post(chats))
        .route("/_wa/open", post(open))
        .route("/_wa/read", post(read))
        .route("/_wa/send", post(send))
        .route("/_wa/news", post(news))
        .route("/_sim/scan", post(scan))
        .route("/_sim/ledger", get(ledger))
        .route("/_sim/ledger/duplicates", get(duplicates))
        .route("/_sim/faults", get(get_faults).post(set_faults))
        .route("/_sim/inbound", post(inbound))
        .route("/_sim/happen", post(happen))
        .route("/_sim/reset", post(reset))
        .with_state(simulator)
}

fn document(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response()
}

async fn page() -> Response {
    document("text/html; charset=utf-8", include_str!("page.html"))
}

async fn script() -> Response {
    document("text/javascript; charset=utf-8", include_str!("page.js"))
}

/// A picture of one pixel, to be sent by its link.
async fn photo() -> Response {
    let pixel =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    match STANDARD.decode(pixel) {
        Ok(bytes) => ([(CONTENT_TYPE, "image/png")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What a page says with every call.
#[derive(Debug, Default, Deserialize)]
struct Said {
    device: Option<String>,
    #[serde(default)]
    phone: String,
    #[serde(default, rename = "ref")]
    code: String,
    #[serde(default)]
    wait: u64,
    #[serde(default)]
    after: usize,
}

async fn how(State(simulator): Shared) -> Json<Value> {
    Json(json!({ "how": simulator.behaviour() }))
}

async fn make_ref(State(simulator): Shared) -> Json<Value> {
    Json(json!({ "ref": simulator.make_ref() }))
}

async fn paired(State(simulator): Shared, Json(said): Json<Said>) -> Json<Value> {
    let wait = Duration::from_millis(said.wait).min(LONGEST_QR);
    let device = simulator.paired(&said.code, wait).await;
    Json(json!({ "paired": device, "how": simulator.behaviour() }))
}

async fn known(State(simulator): Shared, Json(said): Json<Said>) -> Json<Value> {
    Json(json!({ "known": simulator.account_of(said.device.as_deref()).is_some() }))
}

async fn chats(State(simulator): Shared, Json(said): Json<Said>) -> Response {
    match simulator.account_of(said.device.as_deref()) {
        Some(account) => Json(simulator.chats(&account)).into_response(),
        None => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn open(State(simulator): Shared, Json(said): Json<Said>) -> Response {
    match simulator.account_of(said.device.as_deref()) {
        Some(account) => Json(simulator.open(&account, &said.phone)).into_response(),
        None => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn read(State(simulator): Shared, Json(said): Json<Said>) -> Json<Value> {
    if let Some(account) = simulator.account_of(said.device.as_deref()) {
        simulator.read(&account, &said.phone);
    }
    Json(json!({}))
}

async fn send(State(simulator): Shared, Json(sending): Json<Sending>) -> Response {
    let Some(account) = simulator.account_of(sending.device.as_deref()) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let behaviour = simulator.behaviour();
    if behaviour.never_ticks {
        return std::future::pending().await;
    }
    if behaviour.fails {
        return Json(json!({ "failed": true })).into_response();
    }
    simulator.accept(&account, &sending);
    if behaviour.loses_answers {
        return std::future::pending().await;
    }
    tokio::time::sleep(Duration::from_millis(behaviour.tick_ms)).await;
    tokio::spawn(async move {
        for (tick, span) in [(2, behaviour.delivered_ms), (3, behaviour.read_ms)] {
            let Some(span) = span else { return };
            tokio::time::sleep(Duration::from_millis(span)).await;
            simulator.tick(&account, &sending.phone, &sending.id, tick);
        }
    });
    Json(json!({ "tick": 1 })).into_response()
}

async fn news(State(simulator): Shared, Json(said): Json<Said>) -> Json<Value> {
    let device = said.device.unwrap_or_default();
    Json(match simulator.news(&device, said.after).await {
        Some((news, next)) => json!({ "news": news, "next": next }),
        None => json!({ "gone": true }),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    code: Option<String>,
    account: String,
}

async fn scan(State(simulator): Shared, Json(scan): Json<Scan>) -> Response {
    if simulator.scan(scan.code.as_deref(), &scan.account) {
        Json(json!({ "success": true })).into_response()
    } else {
        let error = json!({ "error": "no such code is shown now" });
        (StatusCode::CONFLICT, Json(error)).into_response()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Happen {
    account: Option<String>,
    what: String,
    to: Option<String>,
}

async fn happen(State(simulator): Shared, Json(happen): Json<Happen>) -> Json<Value> {
    simulator.happen(happen.account.as_deref(), &happen.what, happen.to.as_deref());
    Json(json!({ "success": true }))
}

async fn inbound(State(simulator): Shared, Json(inbound): Json<Inbound>) -> Response {
    match simulator.inbound(inbound) {
        Some(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response(),
        None => {
            let error = json!({ "error": "no such account is linked" });
            (StatusCode::CONFLICT, Json(error)).into_response()
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    count: bool,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn ledger(State(simulator): Shared, page: Query<Page>) -> Json<Value> {
    let count = simulator.accepted();
    if page.count {
        return Json(json!({ "count": count }));
    }
    let items = simulator.ledger(page.after, page.limit.unwrap_or(100).min(MOST_ENTRIES));
    let last = page.after.saturating_add(items.len() as u64);
    let next = Some(last).filter(|last| !items.is_empty() && *last < count as u64);
    Json(json!({ "count": count, "items": items, "next": next }))
}

async fn duplicates(State(simulator): Shared) -> Json<Value> {
    let items = simulator.duplicates();
    Json(json!({ "count": items.len(), "items": items }))
}

async fn get_faults(State(simulator): Shared) -> Response {
    Json(simulator.behaviour()).into_response()
}

async fn set_faults(State(simulator): Shared, Json(change): Json<Value>) -> Response {
    match simulator.behaviour().after(&change) {
        Ok(behaviour) => {
            simulator.set_behaviour(behaviour);
            get_faults(State(simulator)).await
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

async fn reset(State(simulator): Shared) -> Json<Value> {
    simulator.reset();
    Json(json!({ "success": true }))
}
