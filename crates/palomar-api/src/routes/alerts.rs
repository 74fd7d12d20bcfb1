//! Alerts: what was found to be wrong, and who knows.

use axum::extract::State;
use axum::http::Uri;

use super::page;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, Named, PathId, Shared, ok};

/// List alerts
///
/// The newest first: those that fire, and those that are over.
#[utoipa::path(
    get, path = "/api/alerts", tag = "system", operation_id = "listAlerts",
    params(
        ("state" = Option<String>, Query, description = "Only those that are `firing`, or `resolved`"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Alert>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let firing = match params.text("state")?.as_deref() {
        None => None,
        Some("firing") => Some(true),
        Some("resolved") => Some(false),
        Some(_) => {
            return Err(Problem::new(Code::BadQuery, "The parameter `state` takes firing and resolved."));
        }
    };
    params.finish()?;
    page(&uri, &api.app.alerts(firing, cursor.as_deref(), limit).await?)
}

/// Show an alert
#[utoipa::path(
    get, path = "/api/alerts/{id}", tag = "system", operation_id = "getAlert",
    params(("id" = String, Path, description = "The alert")),
    responses((status = 200, description = "The alert", body = schema::Alert), schema::Errors),
)]
pub(crate) async fn show(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.alert(&id).await?)
}

/// Acknowledge an alert
///
/// Somebody knows of it. The first who says so is kept.
#[utoipa::path(
    post, path = "/api/alerts/{id}/ack", tag = "system", operation_id = "acknowledgeAlert",
    params(("id" = String, Path, description = "The alert")),
    responses((status = 200, description = "As it is now", body = schema::Alert), schema::Errors),
)]
pub(crate) async fn acknowledge(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.acknowledge_alert(&id, &caller).await?)
}
