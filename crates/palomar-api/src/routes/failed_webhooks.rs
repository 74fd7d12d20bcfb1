//! Webhooks that were taken but could not be understood: kept raw, to be read and replayed.

use axum::extract::State;
use axum::http::Uri;

use super::page;
use crate::params::Params;
use crate::schema;
use crate::state::{Answer, PathId, Shared, no_content, ok};

/// List failed webhooks
#[utoipa::path(
    get, path = "/api/failed-webhooks", tag = "webhooks", operation_id = "listFailedWebhooks",
    params(schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::FailedWebhook>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    params.finish()?;
    page(&uri, &api.app.failed_webhooks(cursor.as_deref(), limit).await?)
}

/// Replay a failed webhook
///
/// Replaying twice changes nothing more.
#[utoipa::path(
    post, path = "/api/failed-webhooks/{id}/replay", tag = "webhooks", operation_id = "replayFailedWebhook",
    params(("id" = String, Path, description = "The failed webhook")),
    responses((status = 204, description = "Queued to be processed again"), schema::Errors),
)]
pub(crate) async fn replay(State(api): Shared, PathId(id): PathId) -> Answer {
    api.app.replay_webhook(&id).await?;
    no_content()
}

/// Show a failed webhook
#[utoipa::path(
    get, path = "/api/failed-webhooks/{id}", tag = "webhooks", operation_id = "getFailedWebhook",
    params(("id" = String, Path, description = "The failed webhook")),
    responses((status = 200, description = "As it came", body = schema::FailedWebhook), schema::Errors),
)]
pub(crate) async fn show(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.failed_webhook(&id).await?)
}

/// Replay all failed webhooks
///
/// Those that were not replayed yet: all that failed before a later version could read them. Replaying twice changes
/// nothing more.
#[utoipa::path(
    post, path = "/api/failed-webhooks/replay", tag = "webhooks", operation_id = "replayFailedWebhooks",
    responses((status = 200, description = "Queued to be processed again", body = schema::Replayed), schema::Errors),
)]
pub(crate) async fn replay_all(State(api): Shared, uri: Uri) -> Answer {
    Params::none(&uri)?;
    let replayed = api.app.replay_webhooks().await?;
    ok(&serde_json::json!({ "replayed": replayed }))
}

/// Read again what was not known
///
/// Messages and fields of webhooks that were kept because the version of then did not know their type, and failed webhooks
/// that were not replayed yet: some thousands with each order. Where `next` is told, `after` goes on there. What is still not
/// known stays as it is; ordering it twice changes nothing more.
#[utoipa::path(
    post, path = "/api/failed-webhooks/reparse", tag = "webhooks", operation_id = "reparseWebhooks",
    params(("after" = Option<String>, Query, description = "`next` of an earlier order")),
    responses((status = 200, description = "Queued to be read again", body = schema::Reparsed), schema::Errors),
)]
pub(crate) async fn reparse(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let after = params.text("after")?;
    params.finish()?;
    ok(&api.app.reparse(after.as_deref()).await?)
}
