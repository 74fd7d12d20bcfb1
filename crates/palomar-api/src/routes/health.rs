//! Alive, ready, and in numbers: for supervisors and monitors.

use axum::extract::State;
use axum::http::StatusCode;
use palomar_app::Health;

use crate::schema;
use crate::state::{Answer, Shared, bytes, json};

/// Whether the process lives
///
/// 200 for as long as it answers at all. Says nothing of its stores.
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "health", security(()),
    responses((status = 200, description = "It does", body = schema::Alive)),
)]
pub(crate) async fn alive() -> Answer {
    Ok(bytes(StatusCode::OK, "application/json", r#"{"status":"pass"}"#))
}

/// Whether the process can do its work
///
/// 503 while it can't, and from the moment it is told to stop.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readiness", security(()),
    responses(
        (status = 200, description = "It can (`pass`, or `warn` where something is amiss)", body = schema::Readiness),
        (status = 503, description = "It can't (`fail`)", body = schema::Readiness),
    ),
)]
pub(crate) async fn ready(State(api): Shared) -> Answer {
    let readiness = api.app.readiness().await;
    let status =
        if readiness.status == Health::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    json(status, &readiness)
}

/// Metrics
///
/// In the text format of Prometheus (OpenMetrics 1.0).
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics", security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"), schema::Errors),
)]
pub(crate) async fn metrics(State(api): Shared) -> Answer {
    let text = api.app.metrics_text().await?;
    Ok(bytes(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}
