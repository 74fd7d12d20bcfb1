//! What all handlers share, and how they answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use palomar_app::{App, Caller, ConversationId};
use palomar_model::{ChannelName, IdGenerator, MessageId};
use serde::Serialize;

use crate::ApiConfig;
use crate::layers::Refusals;
use crate::limiter::Limiter;
use crate::metrics::HttpMetrics;
use crate::problem::{Code, Problem};
use crate::replays::Replays;

/// Behind every handler; made once.
pub(crate) struct Api {
    pub(crate) app: Arc<App>,
    pub(crate) config: ApiConfig,
    pub(crate) metrics: HttpMetrics,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) replays: Replays,
    pub(crate) request_ids: IdGenerator,
    pub(crate) refusals: Refusals,
}

/// The shared state as handlers take it.
pub(crate) type Shared = axum::extract::State<Arc<Api>>;

/// What handlers return.
pub(crate) type Answer = Result<Response, Problem>;

/// A JSON answer.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer can't be written as JSON");
        Problem::new(Code::Internal, "The answer could not be written.")
    })?;
    Ok(bytes(status, "application/json", body))
}

/// A JSON answer with 200.
pub(crate) fn ok<T: Serialize + ?Sized>(value: &T) -> Answer {
    json(StatusCode::OK, value)
}

/// An answer of bytes.
pub(crate) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without a body.
pub(crate) fn no_content() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A text of the path.
async fn segment(parts: &mut Parts) -> Result<String, Problem> {
    let path = Path::<String>::from_request_parts(parts, &()).await;
    path.map(|Path(text)| text).map_err(|_| Problem::new(Code::BadId, "The path can't be read."))
}

/// The message that the path names.
pub(crate) struct PathMessage(pub(crate) MessageId);

impl<S: Send + Sync> FromRequestParts<S> for PathMessage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PathMessage, Problem> {
        let id = segment(parts).await?.parse();
        id.map(PathMessage).map_err(|_| Problem::new(Code::BadId, "A message's id is a UUID."))
    }
}

/// The medium that the path names.
pub(crate) struct PathMedia(pub(crate) MessageId);

impl<S: Send + Sync> FromRequestParts<S> for PathMedia {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PathMedia, Problem> {
        let id = segment(parts).await?.parse();
        id.map(PathMedia).map_err(|_| Problem::new(Code::BadId, "A medium's id is a UUID."))
    }
}

/// The channel that the path names. What can't name one names none.
pub(crate) struct PathChannel(pub(crate) ChannelName);

impl<S: Send + Sync> FromRequestParts<S> for PathChannel {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PathChannel, Problem> {
        let name = segment(parts).await?.parse();
        name.map(PathChannel).map_err(|_| Problem::not_found("channel"))
    }
}

/// The conversation that the path names. What can't name one names none.
pub(crate) struct PathConversation(pub(crate) ConversationId);

impl<S: Send + Sync> FromRequestParts<S> for PathConversation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PathConversation, Problem> {
        let id = segment(parts).await?.parse();
        id.map(PathConversation).map_err(|_| Problem::not_found("conversation"))
    }
}

/// Any other id that the path names: opaque, but short and plain.
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PathId, Problem> {
        let id = segment(parts).await?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
            Ok(PathId(id))
        } else {
            Err(Problem::new(Code::BadId, "The id in the path is not one."))
        }
    }
}

/// A thing that the path names by its id, and who asks for it.
pub(crate) struct Named {
    pub(crate) api: Arc<Api>,
    pub(crate) caller: Caller,
    pub(crate) id: String,
}

impl FromRequestParts<Arc<Api>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Named, Problem> {
        let PathId(id) = PathId::from_request_parts(parts, api).await?;
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(Code::Internal, "Nobody said who asks."))?;
        Ok(Named { api: Arc::clone(api), caller, id })
    }
}
