//! The few pages for people: what this is, the API's reference, the end of a sign-in link.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;

use crate::html;
use crate::openapi;
use crate::params::Params;
use crate::schema;
use crate::state::{Answer, Shared, bytes};

/// The OpenAPI document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "documents", operation_id = "openapi", security(()),
    responses((status = 200, description = "This document", content_type = "application/json", body = Object)),
)]
pub(crate) async fn openapi() -> Response {
    bytes(StatusCode::OK, "application/json", Bytes::from_static(openapi::PUBLISHED.as_bytes()))
}

/// The API's reference
#[utoipa::path(
    get, path = "/api/docs", tag = "documents", operation_id = "docs", security(()),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)),
)]
pub(crate) async fn docs() -> Response {
    html::respond(StatusCode::OK, openapi::reference())
}

/// What this is
#[utoipa::path(
    get, path = "/", tag = "documents", operation_id = "home", security(()),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)),
)]
pub(crate) async fn home() -> Response {
    html::respond(StatusCode::OK, html::page("Palomar", html::HOME))
}

/// Use a sign-in link
///
/// The one-time link that the first start prints.
#[utoipa::path(
    get, path = "/login", tag = "documents", operation_id = "login", security(()),
    params(("token" = String, Query, description = "The link's token")),
    responses((status = 200, description = "The link was good, and is used up", content_type = "text/html", body = String), schema::Errors),
)]
pub(crate) async fn login(State(api): Shared, method: Method, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let token = params.text("token")?.unwrap_or_default();
    params.finish()?;
    // What looks at links before people do (mail filters, previews of chats) does not use them up.
    if method == Method::HEAD {
        return Ok(html::respond(StatusCode::OK, ""));
    }
    let good = !token.is_empty() && api.config.login.as_ref().is_some_and(|login| login.redeem(&token));
    api.metrics.login(good);
    let (status, title, text) = if good {
        (StatusCode::OK, "The link was good", html::LINK_GOOD)
    } else {
        (StatusCode::GONE, "This link does not work", html::LINK_BAD)
    };
    Ok(html::respond(status, html::page(title, text)))
}
