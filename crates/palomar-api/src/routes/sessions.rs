//! Browser sessions: WhatsApp Web in a browser, each the browser of a channel of the provider `web`.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use palomar_app::{Caller, NewSession, Page, SessionCommand};

use crate::body::JsonBytes;
use crate::idempotency;
use crate::params::Params;
use crate::schema;
use crate::state::{Answer, PathChannel, Shared, bytes, no_content, ok};

const SESSIONS: &str = "/api/sessions";

/// List browser sessions
#[utoipa::path(
    get, path = SESSIONS, tag = "sessions", operation_id = "listSessions",
    responses((status = 200, description = "All that the key may see", body = schema::Page<schema::Session>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    // There are never more than fit on one page.
    params.page()?;
    params.finish()?;
    let items = api.app.sessions(&caller).await?;
    ok(&Page { items, next_cursor: None })
}

/// Create a browser session
///
/// Makes a channel of the provider `web` and opens its browser. WhatsApp's terms apply: prefer the official API.
#[utoipa::path(
    post, path = SESSIONS, tag = "sessions", operation_id = "createSession",
    params(schema::IdempotencyKey),
    request_body = schema::NewSession,
    responses((status = 201, description = "Created", body = schema::Session), schema::Errors),
)]
pub(crate) async fn create(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, SESSIONS)?;
    let session: NewSession = body.typed()?;
    let create = async { Ok(api.app.create_session(session, &caller).await?) };
    api.replays.create(&caller, key, &body.0, create).await
}

/// Show a browser session
#[utoipa::path(
    get, path = "/api/sessions/{name}", tag = "sessions", operation_id = "getSession",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = schema::Session), schema::Errors),
)]
pub(crate) async fn show(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    ok(&api.app.session(&name, &caller).await?)
}

/// Remove a browser session
///
/// Its login and its channel go, its messages stay. 409 while messages wait in it.
#[utoipa::path(
    delete, path = "/api/sessions/{name}", tag = "sessions", operation_id = "removeSession",
    params(("name" = String, Path, description = "The session")),
    responses((status = 204, description = "Removed"), schema::Errors),
)]
pub(crate) async fn remove(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    api.app.remove_session(&name, &caller).await?;
    no_content()
}

/// Show the code that links a phone
///
/// The text that the QR says; whoever has it can take the line. 409 where the page shows none now.
#[utoipa::path(
    get, path = "/api/sessions/{name}/qr", tag = "sessions", operation_id = "getSessionQr",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "The code", body = schema::SessionQr), schema::Errors),
)]
pub(crate) async fn qr(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    let mut answer = ok(&api.app.session_qr(&name, &caller)?)?;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Show a picture of the page
///
/// PNG; people's names and words are made illegible.
#[utoipa::path(
    get, path = "/api/sessions/{name}/picture", tag = "sessions", operation_id = "getSessionPicture",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "The picture", content_type = "image/png"), schema::Errors),
)]
pub(crate) async fn picture(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    let picture = api.app.session_picture(&name, &caller).await?;
    let mut answer = bytes(StatusCode::OK, "image/png", picture);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Open a browser session
#[utoipa::path(
    post, path = "/api/sessions/{name}/open", tag = "sessions", operation_id = "openSession",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "It is being opened", body = schema::Session), schema::Errors),
)]
pub(crate) async fn open(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    ok(&api.app.order_session(&name, SessionCommand::Open, &caller).await?)
}

/// Close a browser session
///
/// Its browser ends, its login stays.
#[utoipa::path(
    post, path = "/api/sessions/{name}/close", tag = "sessions", operation_id = "closeSession",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "It is closed", body = schema::Session), schema::Errors),
)]
pub(crate) async fn close(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    ok(&api.app.order_session(&name, SessionCommand::Close, &caller).await?)
}

/// Restart a browser session
///
/// Its browser ends and starts again, with the description of the page as its file is now. 409 while it is closed: opening it is an
/// admin's.
#[utoipa::path(
    post, path = "/api/sessions/{name}/restart", tag = "sessions", operation_id = "restartSession",
    params(("name" = String, Path, description = "The session")),
    responses((status = 200, description = "It is being started", body = schema::Session), schema::Errors),
)]
pub(crate) async fn restart(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    ok(&api.app.order_session(&name, SessionCommand::Restart, &caller).await?)
}
