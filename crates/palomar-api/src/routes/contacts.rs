//! People, and the list of those to whom nothing is sent.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use palomar_app::{NewSuppression, SuppressionReason};
use palomar_model::{ChannelName, Recipient};
use serde::Deserialize;
use utoipa::ToSchema;

use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, PathId, Shared, json, no_content, ok};

/// List contacts
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/contacts", tag = "contacts", operation_id = "listContacts",
    params(
        ("q" = Option<String>, Query, description = "With this in their name, a number or an id"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Contact>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let words = params.text("q")?;
    params.finish()?;
    page(&uri, &api.app.contacts(words, cursor.as_deref(), limit).await?)
}

/// Show a contact
///
/// Also by the id of one that turned out to be another.
#[utoipa::path(
    get, path = "/api/contacts/{id}", tag = "contacts", operation_id = "getContact",
    params(("id" = String, Path, description = "The contact")),
    responses((status = 200, description = "The contact", body = schema::Contact), schema::Errors),
)]
pub(crate) async fn show(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.contact(&id).await?)
}

/// List suppressions
///
/// Those to whom nothing is sent, and why; newest first.
#[utoipa::path(
    get, path = "/api/suppressions", tag = "contacts", operation_id = "listSuppressions",
    params(schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::Suppression>), schema::Errors),
)]
pub(crate) async fn suppressions(State(api): Shared, uri: Uri) -> Answer {
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
pub(crate) async fn suppress(State(api): Shared, body: JsonBytes) -> Answer {
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
pub(crate) async fn unsuppress(State(api): Shared, uri: Uri) -> Answer {
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
