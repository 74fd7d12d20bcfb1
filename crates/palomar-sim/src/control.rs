//! The control side of every simulator, `/_sim/…`: what it accepted, how it behaves, and people who write. It needs no
//! key.
//!
//! | call | what |
//! |---|---|
//! | `GET /_sim/ledger?count=true` | `{"count": n}` |
//! | `GET /_sim/ledger?after=N&limit=M` | `{"count", "items", "next"}`: `next` is the `after` of the next page or null; at most 10,000 |
//! | `GET /_sim/ledger/duplicates` | `{"count", "items"}`: each item a [`Duplicate`] |
//! | `GET`, `POST /_sim/faults` | `BehaviourChange`: what is given replaces what was set; an unknown field is refused |
//! | `POST /_sim/inbound` | a person writes, see the provider's `Inbound`; answers `{"id"}` |
//! | `POST /_sim/webhook` | `{"url": "http://…"}` or null: where webhooks go from now on |
//! | `POST /_sim/reset` | forgets everything, behaves as configured; hanging requests are reset |
//! | `GET /_sim/stats` | [`Stats`] |

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::json;
use tokio::sync::Notify;

use crate::behaviour::{Behaviour, BehaviourChange};
use crate::courier::{Courier, Postman};
use crate::faults::Misbehaviour;
use crate::ledger::Duplicate;
use crate::span::InvalidSetting;
use crate::stats::Stats;

const MOST_ENTRIES: usize = 10_000;
/// The largest webhook that a person's message may be.
const MOST_INBOUND: usize = 4 << 20;

/// A simulator, as its control side and whoever runs it see it.
pub trait Simulated: Send + Sync + Sized + 'static {
    /// How it can misbehave.
    type Kind: Misbehaviour + Serialize + DeserializeOwned + Send;
    /// What a person can write to it.
    type Inbound: DeserializeOwned;
    /// A line of its ledger.
    type Entry: Serialize;
    /// Who writes its webhooks.
    type Postman: Postman;

    /// Its webhooks.
    fn courier(&self) -> &Arc<Courier<Self::Postman>>;

    /// Tells hanging requests to let go.
    fn release(&self) -> &Notify;

    /// How many messages it accepted.
    fn ledger_len(&self) -> usize;

    /// Up to `limit` entries of the ledger behind place `after` (0: from the first).
    fn ledger(&self, after: u64, limit: usize) -> Vec<Self::Entry>;

    /// The messages it accepted more than once.
    fn duplicates(&self) -> Vec<Duplicate>;

    /// Its counters.
    fn stats(&self) -> Stats;

    /// What is set now, with counts as far as they have run down.
    fn behaviour(&self) -> Behaviour<Self::Kind>;

    /// Changes what is set.
    fn set_behaviour(&self, behaviour: Behaviour<Self::Kind>);

    /// A person writes; answers the message's id, where it is one message.
    ///
    /// # Errors
    /// Where no webhook URL is set, or there is nothing to write.
    fn receive(&self, inbound: Self::Inbound) -> Result<Option<String>, InvalidSetting>;

    /// How much news may go into one webhook.
    fn batch(&self) -> usize;

    /// Forgets everything and behaves as configured; hanging requests end.
    fn reset(&self);

    /// Applies a change, or says what is wrong with it and applies nothing.
    ///
    /// # Errors
    /// Where a setting is out of its range.
    fn change(&self, change: BehaviourChange<Self::Kind>) -> Result<(), InvalidSetting> {
        self.set_behaviour(self.behaviour().after(change)?);
        Ok(())
    }
}

/// The routes of the control side.
pub(crate) fn routes<S: Simulated>() -> Router<Arc<S>> {
    Router::new()
        .route("/_sim/ledger", get(ledger::<S>))
        .route("/_sim/ledger/duplicates", get(duplicates::<S>))
        .route("/_sim/stats", get(stats::<S>))
        .route("/_sim/faults", get(get_faults::<S>).post(set_faults::<S>))
        .route("/_sim/inbound", post(inbound::<S>).layer(DefaultBodyLimit::max(MOST_INBOUND)))
        .route("/_sim/webhook", post(webhook::<S>))
        .route("/_sim/reset", post(reset::<S>))
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    count: bool,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: Option<String>,
}

#[derive(Serialize)]
struct LedgerPage<E> {
    count: usize,
    items: Vec<E>,
    next: Option<u64>,
}

async fn ledger<S: Simulated>(State(simulator): State<Arc<S>>, page: Query<Page>) -> Response {
    let count = simulator.ledger_len();
    if page.count {
        return Json(json!({ "count": count })).into_response();
    }
    let items = simulator.ledger(page.after, page.limit.unwrap_or(100).min(MOST_ENTRIES));
    let last = page.after.saturating_add(items.len() as u64);
    let next = Some(last).filter(|last| !items.is_empty() && *last < count as u64);
    Json(LedgerPage { count, items, next }).into_response()
}

async fn duplicates<S: Simulated>(State(simulator): State<Arc<S>>) -> Response {
    let items = simulator.duplicates();
    Json(json!({ "count": items.len(), "items": items })).into_response()
}

async fn stats<S: Simulated>(State(simulator): State<Arc<S>>) -> Response {
    Json(simulator.stats()).into_response()
}

async fn get_faults<S: Simulated>(State(simulator): State<Arc<S>>) -> Response {
    let Behaviour { faults, latency, statuses } = simulator.behaviour();
    let shown = BehaviourChange { faults: Some(faults), latency: Some(latency), statuses: Some(statuses) };
    Json(shown).into_response()
}

async fn set_faults<S: Simulated>(state: State<Arc<S>>, body: Bytes) -> Response {
    match read(&body).and_then(|change| state.change(change)) {
        Ok(()) => get_faults(state).await,
        Err(error) => wrong(&error),
    }
}

async fn webhook<S: Simulated>(State(simulator): State<Arc<S>>, body: Bytes) -> Response {
    match read::<Target>(&body) {
        Ok(target) => {
            simulator.courier().set_target(target.url.as_deref());
            Json(json!({ "url": target.url })).into_response()
        }
        Err(error) => wrong(&error),
    }
}

async fn reset<S: Simulated>(State(simulator): State<Arc<S>>) -> Response {
    simulator.reset();
    Json(json!({ "success": true })).into_response()
}

async fn inbound<S: Simulated>(State(simulator): State<Arc<S>>, body: Bytes) -> Response {
    match read(&body).and_then(|inbound| simulator.receive(inbound)) {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response(),
        Err(error) => wrong(&error),
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, InvalidSetting> {
    serde_json::from_slice(body).map_err(|error| InvalidSetting(error.to_string()))
}

fn wrong(error: &InvalidSetting) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response()
}
