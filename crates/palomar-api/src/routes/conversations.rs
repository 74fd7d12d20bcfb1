//! Conversations: who wrote, what was answered, who cares for it; and the answer itself.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use palomar_app::{Caller, ConversationFilter, ConversationPatch, Page, fingerprint};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::messages::Shown;
use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::Problem;
use crate::state::{Answer, PathConversation, Shared, json, ok};
use crate::{idempotency, message, schema};

/// List conversations
///
/// That with the newest message first.
#[utoipa::path(
    get, path = "/api/conversations", tag = "conversations", operation_id = "listConversations",
    params(
        ("channel" = Option<String>, Query, description = "On this channel"),
        ("unread" = Option<bool>, Query, description = "Only those with something unread"),
        ("assignee" = Option<String>, Query, description = "Somebody cares for it; `none` for nobody"),
        ("label" = Option<String>, Query, description = "With this label"),
        ("q" = Option<String>, Query, description = "With this in the person's name, number or id, or in a message"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Conversation>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let nobody = |name: String| if name == "none" { String::new() } else { name };
    let filter = ConversationFilter {
        channels: params.read("channel", "a channel's name")?.into_iter().collect(),
        unread: params.flag("unread")?,
        assignee: params.text("assignee")?.map(nobody),
        label: params.text("label")?,
        text: params.text("q")?,
    };
    params.finish()?;
    page(&uri, &api.app.conversations(filter, cursor.as_deref(), limit, &caller).await?)
}

/// Show a conversation
#[utoipa::path(
    get, path = "/api/conversations/{id}", tag = "conversations", operation_id = "getConversation",
    params(("id" = String, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = schema::Conversation), schema::Errors),
)]
pub(crate) async fn show(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathConversation(id): PathConversation,
    uri: Uri,
) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.conversation(&id, &caller).await?)
}

/// What people say of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    /// Who cares for it; null for nobody.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    assignee: Option<Option<String>>,
    /// Its labels.
    #[serde(default)]
    labels: Option<Vec<String>>,
    /// `true`: all of it was read.
    #[serde(default)]
    read: bool,
}

/// A member that is there, null or not; one that is missing is the default.
pub(super) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Change a conversation
///
/// Who cares for it, its labels, that it was read. What is left out stays.
#[utoipa::path(
    patch, path = "/api/conversations/{id}", tag = "conversations", operation_id = "updateConversation",
    params(("id" = String, Path, description = "The conversation")),
    request_body = Patch,
    responses((status = 200, description = "As it is now", body = schema::Conversation), schema::Errors),
)]
pub(crate) async fn update(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathConversation(id): PathConversation,
    body: JsonBytes,
) -> Answer {
    let Patch { assignee, labels, read } = body.typed()?;
    ok(&api.app.update_conversation(&id, ConversationPatch { assignee, labels, read }, &caller).await?)
}

/// List a conversation's messages
///
/// Newest first; those of groups are not part of it.
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages", tag = "conversations", operation_id = "listConversationMessages",
    params(("id" = String, Path, description = "The conversation"), schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::Message>), schema::Errors),
)]
pub(crate) async fn messages(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathConversation(id): PathConversation,
    uri: Uri,
) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    params.finish()?;
    let found = api.app.conversation_messages(&id, cursor.as_deref(), limit, &caller).await?;
    page(&uri, &Page { items: found.items.iter().map(Shown::from).collect(), next_cursor: found.next_cursor })
}

/// Reply in a conversation
///
/// A message as any other, to its person on its channel: both are left out.
#[utoipa::path(
    post, path = "/api/conversations/{id}/messages", tag = "conversations", operation_id = "replyInConversation",
    params(("id" = String, Path, description = "The conversation"), schema::IdempotencyKey),
    request_body(content = schema::NewMessage),
    responses((status = 202, description = "Queued, durably", body = schema::Submitted), schema::Errors),
)]
pub(crate) async fn reply(
    State(api): Shared,
    Extension(mut caller): Extension<Caller>,
    PathConversation(id): PathConversation,
    uri: Uri,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    Params::none(&uri)?;
    let key = idempotency::key(&headers, uri.path())?;
    let mut value = crate::json::value(&body.0)?;
    let to = api.app.reply_to(&id, &caller).await?;
    if let Value::Object(fields) = &mut value {
        for name in ["channel", "instanceName", "to", "recipientPhone"] {
            if fields.contains_key(name) {
                return Err(Problem::invalid_at(format!("/{name}"), "is the conversation's: leave it out"));
            }
        }
        fields.insert("channel".to_owned(), to.channel.as_str().into());
        fields.insert("to".to_owned(), to.to.expose().into());
    }
    let message = message::read(&value, api.app.default_region())?;
    if caller.trace.is_none() {
        caller.trace = api.app.trace_to_answer(&id, &caller).await;
    }
    let submitted = api.app.submit(message, fingerprint(&body.0), &caller, key.as_ref()).await?;
    let mut response = json(StatusCode::ACCEPTED, &submitted)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/messages/{}", submitted.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if submitted.replayed {
        idempotency::mark_replayed(response.headers_mut());
    }
    Ok(response)
}
