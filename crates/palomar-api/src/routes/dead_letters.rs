//! Dead letters: what will not be tried again until a person says so.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use palomar_app::{Caller, DeadLetterFilter};
use palomar_model::{ChannelName, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page;
use super::queue_monitor::confirmed;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::Problem;
use crate::schema;
use crate::state::{Answer, Shared, ok};

/// Ids that one request may name.
const MAX_IDS: usize = 500;

/// List dead letters
///
/// And messages whose outcome is not known: they too wait for a person.
#[utoipa::path(
    get, path = "/api/dead-letters", tag = "dead letters", operation_id = "listDeadLetters",
    params(
        ("id" = Option<uuid::Uuid>, Query, description = "This one"),
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("queue" = Option<String>, Query, description = "Of this queue"),
        ("campaign" = Option<String>, Query, description = "Of this campaign"),
        ("reason" = Option<String>, Query, description = "Whose reason contains this text"),
        ("before" = Option<String>, Query, description = "Queued before this time"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::DeadLetter>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let filter = filter(&mut params)?;
    params.finish()?;
    page(&uri, &api.app.dead_letters(&filter, cursor.as_deref(), limit, &caller).await?)
}

fn filter(params: &mut Params) -> Result<DeadLetterFilter, Problem> {
    Ok(DeadLetterFilter {
        id: params.read("id", "a message's id")?,
        channel: params.read("channel", "a channel's name")?,
        queue: params.text("queue")?,
        campaign_id: params.text("campaign")?,
        reason: params.text("reason")?,
        before: params.time("before")?,
    })
}

/// Which dead letters are tried again: those named, or all that fit. Without anything: all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retried {
    /// These, at most 500; the rest of the filter is then not allowed.
    #[schema(value_type = Option<Vec<uuid::Uuid>>)]
    ids: Option<Vec<MessageId>>,
    /// Of this channel.
    #[schema(value_type = Option<String>)]
    channel: Option<ChannelName>,
    /// Of this queue.
    queue: Option<String>,
    /// Of this campaign.
    campaign_id: Option<String>,
    /// Whose reason contains this text.
    reason: Option<String>,
    /// Queued before this time.
    #[schema(value_type = Option<String>)]
    before: Option<Timestamp>,
}

/// What was tried again.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RetriedAnswer {
    /// How many were queued again.
    retried: u64,
    /// Of the ids that were named: those that are no dead letters, or not known.
    #[schema(value_type = Vec<uuid::Uuid>)]
    refused: Vec<MessageId>,
}

/// Retry dead letters
#[utoipa::path(
    post, path = "/api/dead-letters/retry", tag = "dead letters", operation_id = "retryDeadLetters",
    request_body(content = Option<Retried>),
    responses(
        (status = 200, description = "Queued again", body = RetriedAnswer),
        schema::Errors,
    ),
)]
pub(crate) async fn retry(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    body: JsonBytes,
) -> Answer {
    let Retried { ids, channel, queue, campaign_id, reason, before } = body.typed_or_default()?;
    let filter = DeadLetterFilter { id: None, channel, queue, campaign_id, reason, before };
    let Some(ids) = ids else {
        let done = api.app.retry_dead_letters(&filter, &caller).await?;
        return ok(&RetriedAnswer { retried: done.changed, refused: Vec::new() });
    };
    if ids.len() > MAX_IDS {
        return Err(Problem::invalid_at("/ids", format!("must name at most {MAX_IDS}")));
    }
    if filter != DeadLetterFilter::default() {
        return Err(Problem::invalid_at("/ids", "can't be combined with a filter"));
    }
    let mut answer = RetriedAnswer::default();
    for id in ids {
        match api.app.retry(id, &caller).await.map_err(Problem::from) {
            Ok(_) => answer.retried += 1,
            Err(problem) if problem.code().status().is_client_error() => answer.refused.push(id),
            Err(problem) => return Err(problem),
        }
    }
    ok(&answer)
}

/// What was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Purged {
    /// How many.
    purged: u64,
}

/// Purge dead letters
///
/// Forgets those that fit; their messages stay in the records as failed. Needs `confirm=true`.
#[utoipa::path(
    delete, path = "/api/dead-letters", tag = "dead letters", operation_id = "purgeDeadLetters",
    params(
        ("id" = Option<uuid::Uuid>, Query, description = "This one"),
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("queue" = Option<String>, Query, description = "Of this queue"),
        ("campaign" = Option<String>, Query, description = "Of this campaign"),
        ("reason" = Option<String>, Query, description = "Whose reason contains this text"),
        ("before" = Option<String>, Query, description = "Queued before this time"),
        ("confirm" = bool, Query, description = "Must be `true`"),
    ),
    responses((status = 200, description = "Purged", body = Purged), schema::Errors),
)]
pub(crate) async fn purge(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let filter = filter(&mut params)?;
    confirmed(&mut params)?;
    params.finish()?;
    let done = api.app.purge_dead_letters(&filter, &caller).await?;
    ok(&Purged { purged: done.changed })
}
