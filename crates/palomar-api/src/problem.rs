//! Every error that leaves over HTTP: one table of codes, one document (RFC 9457).
//!
//! A handler returns a [`Problem`]; as a response it is only a status with the problem attached. The outermost layer
//! ([`crate::layers`]) writes the document, because only there request id and path are known, and writes one for every
//! bare error of the framework too. So nothing but problem documents is answered with a status of 400 or more.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use palomar_app::{AppError, SuppressionReason};
use palomar_model::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, as programs tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    NotJson,
    TooDeep,
    BadUtf8,
    BadRequest,
    BadQuery,
    BadId,
    BadIdempotencyKey,
    ConfirmRequired,
    Unauthenticated,
    KeyExpired,
    KeyRevoked,
    BadSignature,
    Forbidden,
    NotFound,
    NoRoute,
    MethodNotAllowed,
    RequestTimeout,
    /// 409 with the code of the application's own.
    Conflict(&'static str),
    InProgress,
    Gone,
    TooLarge,
    BadRange,
    UnsupportedMediaType,
    Invalid,
    MissingColumn,
    UnknownColumn,
    IdempotencyMismatch,
    Suppressed,
    Blocked,
    RateLimited,
    Internal,
    Unavailable,
    Draining,
    TooManyClients,
    SpoolFull,
    StorageFull,
}

impl Code {
    /// All that are documented; `wrong_state` stands for the conflicts.
    pub(crate) const ALL: [Code; 36] = [
        Code::NotJson,
        Code::TooDeep,
        Code::BadUtf8,
        Code::BadRequest,
        Code::BadQuery,
        Code::BadId,
        Code::BadIdempotencyKey,
        Code::ConfirmRequired,
        Code::Unauthenticated,
        Code::KeyExpired,
        Code::KeyRevoked,
        Code::BadSignature,
        Code::Forbidden,
        Code::NotFound,
        Code::NoRoute,
        Code::MethodNotAllowed,
        Code::RequestTimeout,
        Code::Conflict("wrong_state"),
        Code::InProgress,
        Code::Gone,
        Code::TooLarge,
        Code::BadRange,
        Code::UnsupportedMediaType,
        Code::Invalid,
        Code::MissingColumn,
        Code::UnknownColumn,
        Code::IdempotencyMismatch,
        Code::Suppressed,
        Code::Blocked,
        Code::RateLimited,
        Code::Internal,
        Code::Unavailable,
        Code::Draining,
        Code::TooManyClients,
        Code::SpoolFull,
        Code::StorageFull,
    ];

    /// Status, code and title.
    #[rustfmt::skip]
    pub(crate) const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Code::NotJson => (StatusCode::BAD_REQUEST, "not_json", "The body is not JSON"),
            Code::TooDeep => (StatusCode::BAD_REQUEST, "too_deep", "The JSON is nested too deeply"),
            Code::BadUtf8 => (StatusCode::BAD_REQUEST, "bad_utf8", "The body is not UTF-8"),
            Code::BadRequest => (StatusCode::BAD_REQUEST, "bad_request", "The request can't be understood"),
            Code::BadQuery => (StatusCode::BAD_REQUEST, "bad_query", "A query parameter is wrong"),
            Code::BadId => (StatusCode::BAD_REQUEST, "bad_id", "The id in the path is not one"),
            Code::BadIdempotencyKey => (StatusCode::BAD_REQUEST, "bad_idempotency_key", "The Idempotency-Key is not one"),
            Code::ConfirmRequired => (StatusCode::BAD_REQUEST, "confirm_required", "This needs a confirmation"),
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A valid API key is needed"),
            Code::KeyExpired => (StatusCode::UNAUTHORIZED, "key_expired", "The API key has expired"),
            Code::KeyRevoked => (StatusCode::UNAUTHORIZED, "key_revoked", "The API key was revoked"),
            Code::BadSignature => (StatusCode::UNAUTHORIZED, "bad_signature", "The signature is wrong"),
            Code::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This key may not do that"),
            Code::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Code::NoRoute => (StatusCode::NOT_FOUND, "no_route", "There is nothing at this path"),
            Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has no such method"),
            Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The request took too long to arrive"),
            Code::Conflict(code) => (StatusCode::CONFLICT, code, "The current state does not allow this"),
            Code::InProgress => (StatusCode::CONFLICT, "in_progress", "The same request is still running"),
            Code::Gone => (StatusCode::GONE, "gone", "Not there any more"),
            Code::BadRange => (StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", "The range is beyond the end"),
            Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large"),
            Code::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The content type is not supported"),
            Code::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Something in the request is not valid"),
            Code::MissingColumn => (StatusCode::UNPROCESSABLE_ENTITY, "missing_column", "A column is missing"),
            Code::UnknownColumn => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_column", "A column is not known"),
            Code::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "The Idempotency-Key came before with another body"),
            Code::Suppressed => (StatusCode::UNPROCESSABLE_ENTITY, "recipient_suppressed", "Nothing is sent to this recipient"),
            Code::Blocked => (StatusCode::UNPROCESSABLE_ENTITY, "recipient_blocked", "This recipient is blocked"),
            Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side"),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available just now"),
            Code::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", "This process is about to stop"),
            Code::TooManyClients => (StatusCode::SERVICE_UNAVAILABLE, "too_many_clients", "As many follow events as may"),
            Code::SpoolFull => (StatusCode::SERVICE_UNAVAILABLE, "spool_full", "The queues are away and the spool is full"),
            Code::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full", "The disk is full"),
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// The code that stands for a bare status of the framework.
    fn of_status(status: StatusCode) -> Code {
        match status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::Forbidden,
            StatusCode::NOT_FOUND => Code::NoRoute,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
            StatusCode::GONE => Code::Gone,
            StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
            StatusCode::RANGE_NOT_SATISFIABLE => Code::BadRange,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Code::Invalid,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_client_error() => Code::BadRequest,
            _ => Code::Internal,
        }
    }
}

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
}

/// The document of an error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// What is wrong with this request, for people.
    detail: &'a str,
    /// Stable: programs branch on it.
    code: &'a str,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// Repeat it when you report the problem; it is in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// With input: what is wrong where.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<crate::schema::FieldError>)]
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
        let retry_after = match code {
            Code::Unavailable | Code::Draining | Code::TooManyClients | Code::SpoolFull => Some(5),
            Code::StorageFull => Some(30),
            Code::InProgress => Some(1),
            _ => None,
        };
        Problem { code, detail: detail.into(), errors: Vec::new(), retry_after }
    }

    /// Input that is well-formed but not valid.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Problem {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => Cow::Owned(one.detail.clone()),
            [one] => Cow::Owned(one.to_string()),
            _ => Cow::Owned(format!("{} things are wrong, see errors", errors.len())),
        };
        Problem { code: Code::Invalid, detail, errors, retry_after: None }
    }

    /// One thing that is wrong at one place.
    pub(crate) fn invalid_at(pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem::invalid(vec![FieldError::new(pointer, detail)])
    }

    pub(crate) fn not_found(what: &str) -> Problem {
        Problem::new(Code::NotFound, format!("There is no such {what}."))
    }

    pub(crate) const fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem that a bare response of the framework stands for.
    pub(crate) fn of_bare(status: StatusCode) -> Problem {
        let code = Code::of_status(status);
        Problem::new(code, code.parts().2)
    }

    /// The document; path and request id where the problem answers a whole request.
    pub(crate) fn document<'a>(
        &'a self,
        instance: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> ProblemDocument<'a> {
        let (status, code, title) = self.code.parts();
        ProblemDocument {
            kind: format!("/api/docs#{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            instance,
            request_id,
            errors: &self.errors,
        }
    }

    /// The whole response; `headers` of the bare one are kept (`Allow`, rate limits).
    pub(crate) fn respond(&self, headers: &HeaderMap, instance: &str, request_id: &str) -> Response {
        let document = self.document(Some(instance), Some(request_id));
        let body = serde_json::to_vec(&document).map_or_else(|_| Bytes::new(), Bytes::from);
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.code.status();
        *response.headers_mut() = headers.clone();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Problem {
        let detail = error.to_string();
        match error {
            AppError::Invalid(errors) => Problem::invalid(errors),
            AppError::NotFound(what) => Problem::not_found(what),
            AppError::Forbidden(_) => Problem::new(Code::Forbidden, detail),
            AppError::Conflict { code, detail } => Problem::new(Code::Conflict(code), detail),
            AppError::Suppressed(SuppressionReason::Blocked) => Problem::new(Code::Blocked, detail),
            AppError::Suppressed(_) => Problem::new(Code::Suppressed, detail),
            AppError::IdempotencyMismatch { .. } | AppError::OtherBody => {
                Problem::new(Code::IdempotencyMismatch, detail)
            }
            AppError::TooLarge(_) => Problem::new(Code::TooLarge, detail),
            AppError::Full => Problem::new(Code::StorageFull, detail),
            AppError::Draining => Problem::new(Code::Draining, detail),
            AppError::Crowded { .. } => Problem::new(Code::TooManyClients, detail),
            AppError::SpoolFull => Problem::new(Code::SpoolFull, detail),
            AppError::Unavailable(_) => Problem::new(Code::Unavailable, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_errors() {
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.parts().1).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn a_problem_says_where() {
        let problem = Problem::invalid_at("/to", "is empty");
        let document =
            serde_json::to_value(problem.document(Some("/api/messages"), Some("r1"))).expect("json");
        assert_eq!(
            document,
            serde_json::json!({
                "type": "/api/docs#invalid", "title": "Something in the request is not valid", "status": 422,
                "detail": "/to: is empty", "code": "invalid", "instance": "/api/messages", "requestId": "r1",
                "errors": [{"pointer": "/to", "detail": "is empty"}],
            })
        );
    }
}
