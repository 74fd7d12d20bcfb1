//! Send jobs: several messages that a session, or any other channel, sends one after the other.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use palomar_app::{Caller, NewSendJob, SendJobFilter, fingerprint};
use palomar_model::SendJobState;
use serde_json::json;

use super::page;
use crate::body::JsonBytes;
use crate::idempotency::{self, created};
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, Named, Shared, ok};

const SEND_JOBS: &str = "/api/send-jobs";

/// List send jobs
///
/// The newest first.
#[utoipa::path(
    get, path = SEND_JOBS, tag = "sessions", operation_id = "listSendJobs",
    params(
        ("status" = Option<String>, Query, description = "In one of these states, a comma between two"),
        ("channel" = Option<String>, Query, description = "Of this channel or pool"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::SendJob>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let words = params.text("status")?.unwrap_or_default();
    let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    let states: Result<Vec<SendJobState>, _> = words.map(str::parse).collect();
    let states =
        states.map_err(|error| Problem::new(Code::BadQuery, format!("The parameter `status` {error}.")))?;
    let channels = params.read("channel", "a channel's name")?.into_iter().collect();
    params.finish()?;
    let filter = SendJobFilter { states, channels };
    page(&uri, &api.app.send_jobs(filter, cursor.as_deref(), limit, &caller).await?)
}

/// Create a send job
///
/// Many messages with a pause in between, or one by `to` and `message`. It begins when it has a place.
#[utoipa::path(
    post, path = SEND_JOBS, tag = "sessions", operation_id = "createSendJob",
    params(schema::IdempotencyKey),
    request_body = schema::NewSendJob,
    responses((status = 201, description = "Created", body = schema::SendJob), schema::Errors),
)]
pub(crate) async fn create(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, SEND_JOBS)?;
    let job: NewSendJob = body.typed()?;
    let request = key.as_ref().map(|key| (key, fingerprint(&body.0)));
    let made = api.app.create_send_job(job, request, &caller).await?;
    created(&made.job, made.replayed)
}

/// Show send jobs in numbers
///
/// Jobs of one message and jobs of many, by where they stand.
#[utoipa::path(
    get, path = "/api/send-jobs/stats", tag = "sessions", operation_id = "getSendJobStats",
    responses((status = 200, description = "In numbers", body = schema::SendJobStats), schema::Errors),
)]
pub(crate) async fn stats(State(api): Shared, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.send_job_stats().await?)
}

/// Forget send jobs
///
/// Those that ended longer ago than `olderThanMs`; their messages stay.
#[utoipa::path(
    delete, path = SEND_JOBS, tag = "sessions", operation_id = "cleanSendJobs",
    params(("olderThanMs" = Option<u64>, Query, description = "5000 where nothing is said")),
    responses((status = 200, description = "How many", body = schema::SendJobsCleaned), schema::Errors),
)]
pub(crate) async fn clean(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let older: u64 = params.read("olderThanMs", "a number of milliseconds")?.unwrap_or(5_000);
    params.finish()?;
    let before = api.app.now().before(Duration::from_millis(older));
    ok(&json!({ "removed": api.app.clean_send_jobs(before).await? }))
}

/// Show a send job
///
/// With how far it is. Its messages are those of the campaign of its id.
#[utoipa::path(
    get, path = "/api/send-jobs/{id}", tag = "sessions", operation_id = "getSendJob",
    params(("id" = String, Path, description = "The send job")),
    responses((status = 200, description = "The send job", body = schema::SendJob), schema::Errors),
)]
pub(crate) async fn show(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.send_job(&id, &caller).await?)
}

/// Pause a send job
///
/// When this has answered, none of its messages starts.
#[utoipa::path(
    post, path = "/api/send-jobs/{id}/pause", tag = "sessions", operation_id = "pauseSendJob",
    params(("id" = String, Path, description = "The send job")),
    responses((status = 200, description = "It is paused", body = schema::SendJobOrdered), schema::Errors),
)]
pub(crate) async fn pause(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.pause_send_job(&id, &caller).await?)
}

/// Resume a send job
#[utoipa::path(
    post, path = "/api/send-jobs/{id}/resume", tag = "sessions", operation_id = "resumeSendJob",
    params(("id" = String, Path, description = "The send job")),
    responses((status = 200, description = "It goes on", body = schema::SendJobOrdered), schema::Errors),
)]
pub(crate) async fn resume(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.resume_send_job(&id, &caller).await?)
}

/// Cancel a send job
///
/// When this has answered, none of its messages starts; what waits is called off.
#[utoipa::path(
    post, path = "/api/send-jobs/{id}/cancel", tag = "sessions", operation_id = "cancelSendJob",
    params(("id" = String, Path, description = "The send job")),
    responses((status = 200, description = "It has ended", body = schema::SendJobOrdered), schema::Errors),
)]
pub(crate) async fn cancel(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.cancel_send_job(&id, &caller).await?)
}
