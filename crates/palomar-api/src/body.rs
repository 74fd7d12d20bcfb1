//! Bodies that are read whole: bounded in size and in time.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use crate::json;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// A body that takes longer to arrive is given up.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: axum::body::Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::TooLarge, format!("The body may have {limit} bytes."));
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::BadRequest, "The body broke off.")),
        Err(_) => Err(Problem::new(Code::RequestTimeout, "The body took longer than 30 seconds to arrive.")),
    }
}

/// The media type without its parameters, in lower case; empty where there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The bytes of a JSON body, not looked into yet. A body that does not say what it is counts as JSON.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<Arc<Api>> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<JsonBytes, Problem> {
        JsonBytes::within(request, api.config.max_body).await
    }
}

impl JsonBytes {
    /// The body of a request, of at most so many bytes.
    pub(crate) async fn within(request: Request, limit: usize) -> Result<JsonBytes, Problem> {
        let kind = media_type(request.headers());
        if !(kind.is_empty() || kind == "application/json" || kind.ends_with("+json")) {
            let detail = "Send JSON, with `Content-Type: application/json`.";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let (parts, body) = request.into_parts();
        read(&parts.headers, body, limit).await.map(JsonBytes)
    }

    /// What it holds.
    pub(crate) fn typed<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        json::typed(&self.0)
    }

    /// What it holds, or the default where it is empty.
    pub(crate) fn typed_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.0.trim_ascii().is_empty() { Ok(T::default()) } else { self.typed() }
    }
}
