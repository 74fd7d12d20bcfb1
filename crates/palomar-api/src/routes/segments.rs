//! Segments: groups of contacts that are said by a filter.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use palomar_app::{NewSegment, SegmentPatch};
use palomar_model::filter::Filter;
use serde::Deserialize;
use utoipa::ToSchema;

use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::Problem;
use crate::schema;
use crate::state::{Answer, PathId, Shared, json, no_content, ok};

/// List segments
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/segments", tag = "contacts", operation_id = "listSegments",
    params(schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::Segment>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    params.finish()?;
    page(&uri, &api.app.segments(cursor.as_deref(), limit).await?)
}

/// A segment to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSegmentBody {
    /// Its name.
    name: String,
    /// Who is in it, for example `city = "Madrid" and age >= 30 and not tag = blocked`.
    filter: String,
}

fn filter(text: &str) -> Result<Filter, Problem> {
    Filter::parse(text).map_err(|error| Problem::invalid_at("/filter", error.to_string()))
}

/// Make a segment
///
/// Who is in it is seen when it is asked: contacts that change later come and go.
///
/// A filter compares attributes (`city = "Madrid"`, `age >= 30`, `vip = true`), `name`, `phone`, `tag`, `label` (of a
/// conversation), `consent`, `last_seen` and `created` (`last_seen >= 30d ago`), and says `replied` and `suppressed`; with
/// `=`, `!=`, `<`, `<=`, `>`, `>=`, `in (…)`, `contains`, `starts`, `exists`, `missing`, `and`, `or`, `not` and brackets.
#[utoipa::path(
    post, path = "/api/segments", tag = "contacts", operation_id = "createSegment",
    request_body = NewSegmentBody,
    responses((status = 201, description = "Kept", body = schema::Segment), schema::Errors),
)]
pub(crate) async fn create(State(api): Shared, body: JsonBytes) -> Answer {
    let NewSegmentBody { name, filter: text } = body.typed()?;
    let new = NewSegment { name, filter: filter(&text)? };
    json(StatusCode::CREATED, &api.app.create_segment(new).await?)
}

/// Show a segment
#[utoipa::path(
    get, path = "/api/segments/{id}", tag = "contacts", operation_id = "getSegment",
    params(("id" = String, Path, description = "The segment")),
    responses((status = 200, description = "The segment", body = schema::Segment), schema::Errors),
)]
pub(crate) async fn show(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.segment(&id).await?)
}

/// What changes of a segment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentChange {
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// Who is in it.
    #[serde(default)]
    filter: Option<String>,
}

/// Change a segment
#[utoipa::path(
    patch, path = "/api/segments/{id}", tag = "contacts", operation_id = "updateSegment",
    params(("id" = String, Path, description = "The segment")),
    request_body = SegmentChange,
    responses((status = 200, description = "As it is now", body = schema::Segment), schema::Errors),
)]
pub(crate) async fn update(State(api): Shared, PathId(id): PathId, body: JsonBytes) -> Answer {
    let SegmentChange { name, filter: text } = body.typed()?;
    let patch = SegmentPatch { name, filter: text.as_deref().map(filter).transpose()? };
    ok(&api.app.change_segment(&id, patch).await?)
}

/// Forget a segment
///
/// Its contacts stay.
#[utoipa::path(
    delete, path = "/api/segments/{id}", tag = "contacts", operation_id = "deleteSegment",
    params(("id" = String, Path, description = "The segment")),
    responses((status = 204, description = "Forgotten"), schema::Errors),
)]
pub(crate) async fn delete(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    api.app.delete_segment(&id).await?;
    no_content()
}
