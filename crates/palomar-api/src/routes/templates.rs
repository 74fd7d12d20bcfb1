//! Templates of providers, and what content with variables becomes for somebody.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use palomar_app::{Caller, read_values};
use palomar_model::ChannelName;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::Problem;
use crate::schema;
use crate::state::{Answer, Shared, ok};

/// List templates
///
/// As their providers last told of them; ask with a pull for how they stand now.
#[utoipa::path(
    get, path = "/api/templates", tag = "templates", operation_id = "listTemplates",
    params(
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("name" = Option<String>, Query, description = "Of this name, in all languages"),
    ),
    responses((status = 200, description = "The templates", body = schema::Templates), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let channel = params.read("channel", "a channel's name")?;
    let name = params.text("name")?;
    params.finish()?;
    ok(&json!({ "items": api.app.templates(channel, name, &caller).await?, "nextCursor": null }))
}

/// Whose templates are asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pull {
    /// The channel.
    #[schema(value_type = String)]
    channel: ChannelName,
}

/// Pull templates
///
/// Asks the channel's provider for all of them and keeps what it tells; those that it does not tell of any more are
/// forgotten. A Cloud API channel needs the setting `businessAccountId`.
#[utoipa::path(
    post, path = "/api/templates/pull", tag = "templates", operation_id = "pullTemplates",
    request_body = Pull,
    responses((status = 200, description = "The channel's templates", body = schema::Templates), schema::Errors),
)]
pub(crate) async fn pull(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    body: JsonBytes,
) -> Answer {
    let Pull { channel } = body.typed()?;
    ok(&json!({ "items": api.app.pull_templates(&channel, &caller).await?, "nextCursor": null }))
}

/// What is to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    /// A text message: `Hola {{name|amigo}}`.
    #[serde(default)]
    text: Option<String>,
    /// Or content of another type.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// What it says, as a message has it; every text in it may have variables.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
    /// For this contact.
    #[serde(default)]
    contact: Option<String>,
    /// Values over the contact's.
    #[serde(default)]
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

/// Preview a text or content
///
/// What it becomes for a contact, or with given values. Variables are `{{name}}`, `{{name|what stands there without one}}`
/// and `{{#if city}}…{{else}}…{{/if}}`; `name` and `phone` are the contact's, the others its attributes.
#[utoipa::path(
    post, path = "/api/templates/preview", tag = "templates", operation_id = "previewTemplate",
    request_body = Trial,
    responses((status = 200, description = "What it becomes", body = schema::Preview), schema::Errors),
)]
pub(crate) async fn preview(State(api): Shared, body: JsonBytes) -> Answer {
    let Trial { text, kind, content, contact, values } = body.typed()?;
    let form = match (text, kind, content) {
        (Some(text), None, None) => json!({ "type": "text", "content": { "text": text } }),
        (None, Some(kind), Some(content)) => json!({ "type": kind, "content": content }),
        _ => return Err(Problem::invalid_at("/text", "say `text`, or `type` and `content`")),
    };
    let values = read_values(values).map_err(Problem::invalid)?;
    ok(&api.app.preview(&form, contact, values).await?)
}
