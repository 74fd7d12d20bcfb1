//! The list of those to whom nothing is sent.

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use palomar_app::{NewSuppression, SuppressionReason};
use palomar_model::{ChannelName, Recipient};
use serde::Deserialize;
use utoipa::ToSchema;

use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::state::{Answer, Shared, json, no_content};
use crate::{files, schema};

/// List suppressions
///
/// Those to whom nothing is sent, and why; newest first.
#[utoipa::path(
    get, path = "/api/suppressions", tag = "contacts", operation_id = "listSuppressions",
    params(schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::Suppression>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    params.finish()?;
    page(&uri, &api.app.suppressions(cursor.as_deref(), limit).await?)
}

/// Somebody to whom nothing is to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEntry {
    /// A phone number or a business-scoped user id.
    to: String,
    /// On this channel; on all where left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Option<ChannelName>,
    /// `manual` (the default), `blocked` or `opt_out`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Option<SuppressionReason>,
    /// More on why.
    #[serde(default)]
    detail: Option<String>,
}

/// Suppress somebody
///
/// Nothing is sent to them from now on. Their own word takes back an `opt_out`, and no other.
#[utoipa::path(
    post, path = "/api/suppressions", tag = "contacts", operation_id = "createSuppression",
    request_body = NewEntry,
    responses((status = 201, description = "Kept", body = schema::Suppression), schema::Errors),
)]
pub(crate) async fn create(State(api): Shared, body: JsonBytes) -> Answer {
    let NewEntry { to, channel, reason, detail } = body.typed()?;
    let to = Recipient::parse(&to, api.app.default_region());
    let to = to.map_err(|error| Problem::invalid_at("/to", error.to_string()))?;
    let reason = reason.unwrap_or(SuppressionReason::Manual);
    let kept = api.app.suppress(NewSuppression { to, channel, reason, detail }).await?;
    json(StatusCode::CREATED, &kept)
}

/// Take a suppression back
///
/// Whatever its reason.
#[utoipa::path(
    delete, path = "/api/suppressions", tag = "contacts", operation_id = "deleteSuppression",
    params(
        ("to" = String, Query, description = "The phone number or business-scoped user id"),
        ("channel" = Option<String>, Query, description = "The one on this channel; else the one on all"),
    ),
    responses((status = 204, description = "Taken back"), schema::Errors),
)]
pub(crate) async fn delete(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let to = params.text("to")?;
    let channel: Option<ChannelName> = params.read("channel", "a channel's name")?;
    params.finish()?;
    let missing = || Problem::new(Code::BadQuery, "The parameter `to` is missing.");
    let to = Recipient::parse(&to.ok_or_else(missing)?, api.app.default_region())
        .map_err(|error| Problem::new(Code::BadQuery, format!("The parameter `to` {error}.")))?;
    api.app.unsuppress(&to, channel).await?;
    no_content()
}

/// Import suppressions
///
/// A CSV or XLSX file: a column `recipient` (or `to`, `phone`), and where wanted `channel`, `reason`, `detail`,
/// `created_at`. Answered as NDJSON while it is read: `refused` rows with their line and column, `progress`, and `done` at
/// the end; a last line with an `error` says that the rest was not taken.
#[utoipa::path(
    post, path = "/api/suppressions/import", tag = "contacts", operation_id = "importSuppressions",
    request_body(content(
        (String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    )),
    responses(
        (status = 200, description = "What becomes of it, a line at a time", content((schema::ImportLine = "application/x-ndjson"))),
        schema::Errors,
    ),
)]
pub(crate) async fn import(State(api): Shared, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    Params::none(&parts.uri)?;
    let kind = files::kind(&parts.headers)?;
    files::import(api.app.import_suppressions(kind, files::body(body))).await
}

/// Export suppressions
///
/// As CSV, which imports as the same. No cell is a formula.
#[utoipa::path(
    get, path = "/api/suppressions/export", tag = "contacts", operation_id = "exportSuppressions",
    responses((status = 200, description = "All of them", content((String = "text/csv"))), schema::Errors),
)]
pub(crate) async fn export(State(api): Shared, uri: Uri) -> Answer {
    Params::none(&uri)?;
    files::export("suppressions.csv", api.app.export_suppressions())
}
