//! Queueing messages: one, an array, or a stream.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use palomar_app::{Caller, fingerprint};

use crate::body::{self, JsonBytes};
use crate::bulk::{Defaults, Lines, Reader, RowAnswer, Table, submit_array, submit_stream};
use crate::idempotency;
use crate::message;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, Shared, bytes, json, ok};

const MESSAGES: &str = "/api/messages";
const BULK: &str = "/api/messages/bulk";
/// An array may have so many times the bytes of one message.
const ARRAY: usize = 10;

/// Queue a message
///
/// Answered when the message is durable. Takes Palomar's form and the seeds'
/// (`{instanceName, recipientPhone, messageType, content, metadata.priority}`).
/// Repeating is safe with an `Idempotency-Key` (48 hours) or a client-given `id` (as long as the message is kept).
#[utoipa::path(
    post, path = MESSAGES, tag = "messages", operation_id = "submitMessage",
    params(schema::IdempotencyKey),
    request_body(content = schema::NewMessage),
    responses(
        (status = 202, description = "Queued, durably", body = schema::Submitted,
            headers(("Location" = String, description = "The message"), ("Idempotency-Replayed" = String, description = "`true` where it was queued before"))),
        schema::Errors,
    ),
)]
pub(crate) async fn submit(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    Params::none(&uri)?;
    let key = idempotency::key(&headers, MESSAGES)?;
    let value = crate::json::value(&body.0)?;
    let message = message::read(&value, api.app.default_region())?;
    let submitted = api.app.submit(message, fingerprint(&body.0), &caller, key.as_ref()).await?;
    let mut response = json(StatusCode::ACCEPTED, &submitted)?;
    if let Ok(location) = HeaderValue::from_str(&format!("{MESSAGES}/{}", submitted.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if submitted.replayed {
        idempotency::mark_replayed(response.headers_mut());
    }
    Ok(response)
}

/// Queue many messages
///
/// A JSON array (at most 1,000) is answered with an array. NDJSON and CSV are streams of any length, answered with one
/// NDJSON line a row, in order, while they are read: read the answer while you write the request. A bad row is answered
/// with its error and its line, the others go on. Where the request can't go on, the last line has an `error` and no
/// `row`: repeat it with the same `Idempotency-Key`, under which each row is known by its number.
///
/// CSV: `;`, `,` or tab, header in any order, byte order mark allowed. Columns: `to` or `recipientPhone`; `channel`,
/// `type`, `text`, `priority`, `scheduledAt`, `expiresAt`, `id`, `campaignId`, `template`, `templateLanguage`,
/// `template.1` … or `template.<name>`, `mediaUrl`, `mediaId`, `caption`, `filename`, `metadata.<key>`.
#[utoipa::path(
    post, path = BULK, tag = "messages", operation_id = "submitMessages",
    params(
        schema::IdempotencyKey,
        ("channel" = Option<String>, Query, description = "Channel of rows that name none"),
        ("priority" = Option<String>, Query, description = "Priority of rows that have none"),
        ("scheduledAt" = Option<String>, Query, description = "Time of rows that have none"),
        ("expiresAt" = Option<String>, Query, description = "Expiry of rows that have none"),
        ("campaignId" = Option<String>, Query, description = "Campaign of rows that have none"),
        ("text" = Option<String>, Query, description = "Text of rows that say nothing"),
    ),
    request_body(content(
        (Vec<schema::NewMessage> = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    responses(
        (status = 200, description = "One answer a row, in order", content(
            (Vec<RowAnswer<'static>> = "application/json"),
            (RowAnswer<'static> = "application/x-ndjson"),
        )),
        schema::Errors,
    ),
)]
pub(crate) async fn bulk(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let mut params = Params::of(&parts.uri)?;
    let defaults = Defaults::read(&mut params)?;
    params.finish()?;
    let key = idempotency::key(&parts.headers, BULK)?;
    let reader: Box<dyn Reader> = match body::media_type(&parts.headers).as_str() {
        "application/json" => {
            let body = body::read(&parts.headers, body, api.config.max_body.saturating_mul(ARRAY)).await?;
            let answers = submit_array(&api, &caller, key.as_ref(), &defaults, &body).await?;
            return ok(&answers.iter().map(|answer| answer.view(false)).collect::<Vec<_>>());
        }
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Box::new(Lines::new(defaults)),
        "text/csv" => Box::new(Table::new(defaults)),
        _ => {
            let detail = "Send application/json (an array), application/x-ndjson or text/csv.";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
    };
    let answers = submit_stream(api, caller, key, reader, body).await?;
    Ok(bytes(StatusCode::OK, "application/x-ndjson", answers))
}
