//! The rate card: what providers charge.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use palomar_app::{Caller, RateView};
use serde::{Deserialize, Serialize};

use crate::body::JsonBytes;
use crate::params::Params;
use crate::schema;
use crate::state::{Answer, Shared, ok};

/// Rates as they are sent and answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    items: Vec<RateView>,
}

/// Show the rate card
///
/// A key that is bound to channels sees what is for all, and what is for its own.
#[utoipa::path(
    get, path = "/api/rates", tag = "campaigns", operation_id = "listRates",
    responses((status = 200, description = "All rates", body = schema::Rates), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&Rates { items: api.app.rates(&caller).await? })
}

/// Replace the rate card
///
/// What dry runs, reports and analytics say of costs follows from it, also of what was sent before: a message costs what
/// the rate is that was valid when it was delivered.
#[utoipa::path(
    put, path = "/api/rates", tag = "campaigns", operation_id = "replaceRates",
    request_body = schema::Rates,
    responses((status = 200, description = "All rates", body = schema::Rates), schema::Errors),
)]
pub(crate) async fn replace(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    body: JsonBytes,
) -> Answer {
    let Rates { items } = body.typed()?;
    ok(&Rates { items: api.app.put_rates(items, true, &caller).await? })
}

/// Add rates
///
/// One for the same channel, country and category from the same moment on is replaced; the others stay.
#[utoipa::path(
    post, path = "/api/rates", tag = "campaigns", operation_id = "addRates",
    request_body = schema::Rates,
    responses((status = 200, description = "All rates", body = schema::Rates), schema::Errors),
)]
pub(crate) async fn add(State(api): Shared, Extension(caller): Extension<Caller>, body: JsonBytes) -> Answer {
    let Rates { items } = body.typed()?;
    ok(&Rates { items: api.app.put_rates(items, false, &caller).await? })
}
