//! Channels: what can send and receive. Credentials go in and never come out.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use palomar_app::{Caller, ChannelPatch, NewChannel, Page};
use palomar_model::ChannelName;

use super::queue_monitor::PauseReason;
use crate::body::JsonBytes;
use crate::idempotency;
use crate::params::Params;
use crate::problem::Problem;
use crate::schema;
use crate::state::{Answer, PathChannel, Shared, no_content, ok};

const CHANNELS: &str = "/api/channels";

/// A channel that the caller may not use is one that does not exist.
fn visible(caller: &Caller, name: &ChannelName) -> Result<(), Problem> {
    if caller.may_use(name) { Ok(()) } else { Err(Problem::not_found("channel")) }
}

/// List channels
#[utoipa::path(
    get, path = CHANNELS, tag = "channels", operation_id = "listChannels",
    responses((status = 200, description = "All that the key may see", body = schema::Page<schema::Channel>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    // There are never more than fit on one page: the parameters of pages are taken for the sake of one habit.
    params.page()?;
    params.finish()?;
    let items = api.app.channels(&caller).await?;
    ok(&Page { items, next_cursor: None })
}

/// Create a channel
#[utoipa::path(
    post, path = CHANNELS, tag = "channels", operation_id = "createChannel",
    params(schema::IdempotencyKey),
    request_body = schema::NewChannel,
    responses((status = 201, description = "Created", body = schema::Channel), schema::Errors),
)]
pub(crate) async fn create(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, CHANNELS)?;
    let channel: NewChannel = body.typed()?;
    let create = async { Ok(api.app.create_channel(channel).await?) };
    api.replays.create(&caller, key, &body.0, create).await
}

/// Show a channel
#[utoipa::path(
    get, path = "/api/channels/{name}", tag = "channels", operation_id = "getChannel",
    params(("name" = String, Path, description = "The channel")),
    responses((status = 200, description = "The channel", body = schema::Channel), schema::Errors),
)]
pub(crate) async fn show(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    ok(&api.app.channel(&name, &caller).await?)
}

/// Change a channel
///
/// What is not named stays as it is. Takes effect without a restart, and no message loses its place.
#[utoipa::path(
    patch, path = "/api/channels/{name}", tag = "channels", operation_id = "updateChannel",
    params(("name" = String, Path, description = "The channel")),
    request_body = schema::ChannelPatch,
    responses((status = 200, description = "Changed", body = schema::Channel), schema::Errors),
)]
pub(crate) async fn update(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
    body: JsonBytes,
) -> Answer {
    visible(&caller, &name)?;
    let patch: ChannelPatch = body.typed()?;
    ok(&api.app.update_channel(&name, patch).await?)
}

/// Delete a channel
///
/// 409 while messages wait in it.
#[utoipa::path(
    delete, path = "/api/channels/{name}", tag = "channels", operation_id = "deleteChannel",
    params(("name" = String, Path, description = "The channel")),
    responses((status = 204, description = "Deleted"), schema::Errors),
)]
pub(crate) async fn delete(State(api): Shared, PathChannel(name): PathChannel) -> Answer {
    api.app.delete_channel(&name).await?;
    no_content()
}

/// Pause a channel
///
/// When this has answered, no further attempt starts.
#[utoipa::path(
    post, path = "/api/channels/{name}/pause", tag = "channels", operation_id = "pauseChannel",
    params(("name" = String, Path, description = "The channel")),
    request_body(content = Option<PauseReason>),
    responses((status = 200, description = "Paused", body = schema::Control), schema::Errors),
)]
pub(crate) async fn pause(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
    body: JsonBytes,
) -> Answer {
    visible(&caller, &name)?;
    let reason = body.typed_or_default::<PauseReason>()?.text(&caller)?;
    ok(&api.app.pause_channel(&name, &reason).await?)
}

/// Resume a channel
#[utoipa::path(
    post, path = "/api/channels/{name}/resume", tag = "channels", operation_id = "resumeChannel",
    params(("name" = String, Path, description = "The channel")),
    responses((status = 200, description = "Resumed", body = schema::Control), schema::Errors),
)]
pub(crate) async fn resume(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    visible(&caller, &name)?;
    ok(&api.app.resume_channel(&name).await?)
}

/// Test a channel
///
/// Asks the provider whether the credentials are good. Sends nothing to anybody.
#[utoipa::path(
    post, path = "/api/channels/{name}/test", tag = "channels", operation_id = "testChannel",
    params(("name" = String, Path, description = "The channel")),
    responses((status = 200, description = "What the provider said", body = schema::ChannelTest), schema::Errors),
)]
pub(crate) async fn test(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathChannel(name): PathChannel,
) -> Answer {
    visible(&caller, &name)?;
    ok(&api.app.test_channel(&name).await?)
}
