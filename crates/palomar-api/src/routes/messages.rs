//! Looking at messages, and moving single ones.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use palomar_app::{Caller, Direction, MessageFilter, MessageStatus, MessageView, Page, TimelineEntry};
use palomar_broker::Resolution;
use palomar_model::Recipient;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, PathMessage, Shared, ok};

/// List messages
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/messages", tag = "messages", operation_id = "listMessages",
    params(
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("to" = Option<String>, Query, description = "With this phone number or business-scoped user id"),
        ("status" = Option<String>, Query, description = "In one of these states, separated by commas"),
        ("campaign" = Option<String>, Query, description = "Of this campaign"),
        ("direction" = Option<String>, Query, description = "`outbound` or `inbound`"),
        ("from" = Option<String>, Query, description = "Accepted or received at this time or later"),
        ("until" = Option<String>, Query, description = "Accepted or received before this time"),
        ("q" = Option<String>, Query, description = "With this text in it"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Message>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let to = params.text("to")?;
    let recipient = |text: String| {
        let read = Recipient::parse(&text, api.app.default_region());
        read.map_err(|error| Problem::new(Code::BadQuery, format!("The parameter `to` {error}.")))
    };
    let filter = MessageFilter {
        channels: params.read("channel", "a channel's name")?.into_iter().collect(),
        to: to.map(recipient).transpose()?,
        status: statuses(&mut params)?,
        campaign: params.text("campaign")?,
        direction: direction(&mut params)?,
        from: params.time("from")?,
        until: params.time("until")?,
        text: params.text("q")?,
        keys: Vec::new(),
    };
    params.finish()?;
    let found = api.app.messages(filter, cursor.as_deref(), limit, &caller).await?;
    page(&uri, &Page { items: found.items.iter().map(Shown::from).collect(), next_cursor: found.next_cursor })
}

fn statuses(params: &mut Params) -> Result<Vec<MessageStatus>, Problem> {
    let text = params.text("status")?.unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let unknown =
        |_| Problem::new(Code::BadQuery, "The parameter `status` has a word that is no state of a message.");
    words.map(|word| word.parse().map_err(unknown)).collect()
}

fn direction(params: &mut Params) -> Result<Option<Direction>, Problem> {
    match params.text("direction")?.as_deref() {
        None => Ok(None),
        Some("outbound" | "out") => Ok(Some(Direction::Outbound)),
        Some("inbound" | "in") => Ok(Some(Direction::Inbound)),
        Some(_) => {
            Err(Problem::new(Code::BadQuery, "The parameter `direction` must be outbound or inbound."))
        }
    }
}

/// A message as it is answered: the other party also under the name that says which way it went.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    message: &'a MessageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

impl<'a> From<&'a MessageView> for Shown<'a> {
    fn from(message: &'a MessageView) -> Shown<'a> {
        let contact = Some(message.contact.as_str());
        match message.direction {
            Direction::Outbound => Shown { message, to: contact, from: None },
            Direction::Inbound => Shown { message, to: None, from: contact },
        }
    }
}

/// The same, with what happened to it.
#[derive(Serialize)]
struct ShownInFull<'a> {
    #[serde(flatten)]
    message: Shown<'a>,
    timeline: &'a [TimelineEntry],
}

/// Show a message
///
/// With its timeline.
#[utoipa::path(
    get, path = "/api/messages/{id}", tag = "messages", operation_id = "getMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses((status = 200, description = "The message", body = schema::MessageDetail), schema::Errors),
)]
pub(crate) async fn show(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
    uri: Uri,
) -> Answer {
    Params::none(&uri)?;
    let found = api.app.message(id, &caller).await?;
    ok(&ShownInFull { message: Shown::from(&found.message), timeline: &found.timeline })
}

/// Explain what holds a message
///
/// What holds it, the most important first, and when it will go if nothing else changes.
#[utoipa::path(
    get, path = "/api/messages/{id}/explain", tag = "messages", operation_id = "explainMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses((status = 200, description = "The explanation", body = schema::Explanation), schema::Errors),
)]
pub(crate) async fn explain(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
    uri: Uri,
) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.explain(id, &caller).await?)
}

/// Cancel a message
///
/// One that waits; 409 for one that is being sent or was.
#[utoipa::path(
    delete, path = "/api/messages/{id}", tag = "messages", operation_id = "cancelMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses((status = 200, description = "Cancelled", body = schema::MessageState), schema::Errors),
)]
pub(crate) async fn cancel(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
) -> Answer {
    ok(&api.app.cancel(id, &caller).await?)
}

/// Retry a message
///
/// What failed is queued again: a dead letter, what the provider took and then reported as failed, and, since a person
/// says so, a message whose outcome is not known. It is a new attempt of the same message.
#[utoipa::path(
    post, path = "/api/messages/{id}/retry", tag = "messages", operation_id = "retryMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses((status = 200, description = "Queued again", body = schema::MessageState), schema::Errors),
)]
pub(crate) async fn retry(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
) -> Answer {
    ok(&api.app.retry(id, &caller).await?)
}

/// Promote a message
///
/// A scheduled one, or one that waits for its next attempt, is due now.
#[utoipa::path(
    post, path = "/api/messages/{id}/promote", tag = "messages", operation_id = "promoteMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses((status = 200, description = "Due now", body = schema::MessageState), schema::Errors),
)]
pub(crate) async fn promote(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
) -> Answer {
    ok(&api.app.promote(id, &caller).await?)
}

/// A person's answer to an uncertain message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    /// `sent`: it was taken; `failed`: it was not and shall not be tried again; `retry`: it shall be tried again.
    #[schema(value_type = String, example = "sent")]
    outcome: Resolution,
}

/// Settle an uncertain message
///
/// A person says what became of it.
#[utoipa::path(
    post, path = "/api/messages/{id}/settle", tag = "messages", operation_id = "settleMessage",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    request_body = Settlement,
    responses((status = 200, description = "Settled", body = schema::MessageState), schema::Errors),
)]
pub(crate) async fn settle(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMessage(id): PathMessage,
    body: JsonBytes,
) -> Answer {
    let Settlement { outcome } = body.typed()?;
    ok(&api.app.settle(id, outcome, &caller).await?)
}
