//! API keys. A secret is shown once, when it is made.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use palomar_app::{Caller, NewKey, Page};

use crate::body::JsonBytes;
use crate::idempotency;
use crate::params::Params;
use crate::schema;
use crate::state::{Answer, PathId, Shared, ok};

const KEYS: &str = "/api/keys";

/// List keys
#[utoipa::path(
    get, path = KEYS, tag = "keys", operation_id = "listKeys",
    responses((status = 200, description = "All keys, without their secrets", body = schema::Page<schema::ApiKey>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    params.page()?;
    params.finish()?;
    let items = api.app.keys().await?;
    ok(&Page { items, next_cursor: None })
}

/// Create a key
///
/// The only answer that shows its secret.
#[utoipa::path(
    post, path = KEYS, tag = "keys", operation_id = "createKey",
    params(schema::IdempotencyKey),
    request_body = schema::NewKey,
    responses((status = 201, description = "Created", body = schema::CreatedKey), schema::Errors),
)]
pub(crate) async fn create(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, KEYS)?;
    let new: NewKey = body.typed()?;
    let create = async { Ok(api.app.create_key(new).await?) };
    api.replays.create(&caller, key, &body.0, create).await
}

/// Revoke a key
///
/// At once and for good.
#[utoipa::path(
    delete, path = "/api/keys/{id}", tag = "keys", operation_id = "revokeKey",
    params(("id" = String, Path, description = "The key")),
    responses((status = 200, description = "Revoked", body = schema::ApiKey), schema::Errors),
)]
pub(crate) async fn revoke(State(api): Shared, PathId(id): PathId) -> Answer {
    ok(&api.app.revoke_key(&id).await?)
}
