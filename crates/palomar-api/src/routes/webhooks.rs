//! What providers call. The body is handed on as it came: signatures are over its bytes.
//!
//! Limits are checked here; signature, durable append and what they decide are the application's (GUARANTEES §7).

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header, request};
use axum::response::Response;
use bytes::Bytes;
use palomar_app::{IntakeAnswer, WebhookRequest};

use crate::body;
use crate::layers::RequestId;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, Api, PathChannel, Shared, bytes};

/// Verify a webhook
///
/// The provider's handshake: answered with its challenge where the token is right.
#[utoipa::path(
    get, path = "/webhooks/{channel}", tag = "webhooks", operation_id = "verifyWebhook", security(()),
    params(("channel" = String, Path, description = "The channel")),
    responses((status = 200, description = "The challenge", body = String), schema::Errors),
)]
pub(crate) async fn verify(
    State(api): Shared,
    PathChannel(channel): PathChannel,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    // Read only to refuse what can't be read; names are the provider's.
    Params::of(&parts.uri)?;
    answer(api.app.receive(&channel, webhook(&api, &parts, &id, Bytes::new())).await)
}

/// Receive a webhook
///
/// Answered 200 once it is durable, 401 where the signature is wrong, 503 where it could not be stored: the provider
/// then repeats it.
#[utoipa::path(
    post, path = "/webhooks/{channel}", tag = "webhooks", operation_id = "receiveWebhook", security(()),
    params(("channel" = String, Path, description = "The channel")),
    request_body(content = String, content_type = "*/*", description = "As the provider sends it, at most 3 MiB"),
    responses((status = 200, description = "Stored, durably; no body"), schema::Errors),
)]
pub(crate) async fn receive(
    State(api): Shared,
    PathChannel(channel): PathChannel,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, api.config.max_webhook_body).await?;
    answer(api.app.receive(&channel, webhook(&api, &parts, &id, body)).await)
}

fn webhook(api: &Api, parts: &request::Parts, id: &RequestId, body: Bytes) -> WebhookRequest {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())));
    WebhookRequest {
        method: parts.method.as_str().to_owned(),
        url: called_url(api.config.public_url.as_deref(), &parts.headers, parts.uri.path_and_query()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
        request_id: id.as_str().to_owned(),
    }
}

/// The address as the provider called it.
fn called_url(
    public: Option<&str>,
    headers: &HeaderMap,
    path: Option<&axum::http::uri::PathAndQuery>,
) -> String {
    let path = path.map_or("/", axum::http::uri::PathAndQuery::as_str);
    if let Some(public) = public {
        return format!("{}{path}", public.trim_end_matches('/'));
    }
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Of a chain of proxies the first one heard the provider.
    let forwarded = |name: &str| of(name).and_then(|list| list.split(',').next()).map(str::trim);
    let scheme = forwarded("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = forwarded("x-forwarded-host").or(of(header::HOST.as_str())).unwrap_or("localhost");
    format!("{scheme}://{host}{path}")
}

fn answer(answer: IntakeAnswer) -> Answer {
    match answer {
        // No body: one provider would send its words on to the person who wrote.
        IntakeAnswer::Accepted => Ok(Response::new(Body::empty())),
        IntakeAnswer::Handshake(text) => Ok(bytes(StatusCode::OK, "text/plain; charset=utf-8", text)),
        IntakeAnswer::BadSignature => {
            Err(Problem::new(Code::BadSignature, "The signature is missing or wrong."))
        }
        IntakeAnswer::Forbidden => {
            Err(Problem::new(Code::Forbidden, "The token is wrong, or this channel takes no webhooks."))
        }
        IntakeAnswer::NoChannel => Err(Problem::not_found("channel")),
        IntakeAnswer::TooLarge => Err(Problem::new(Code::TooLarge, "The webhook is too large.")),
        IntakeAnswer::Refused(why) => Err(Problem::new(Code::BadRequest, why)),
        IntakeAnswer::NotDurable => {
            Err(Problem::new(Code::Unavailable, "The webhook could not be stored; send it again."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_called_address() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
                .collect()
        };
        let path = "/webhooks/main?x=1".parse().expect("a path");
        let host = headers(&[("host", "a.example")]);
        let proxied = headers(&[("host", "a.example"), ("x-forwarded-proto", "https")]);
        let chained = headers(&[
            ("host", "10.0.0.7"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "wa.example, inner.example"),
        ]);
        for (public, headers, url) in [
            (None, &host, "http://a.example/webhooks/main?x=1"),
            (None, &proxied, "https://a.example/webhooks/main?x=1"),
            (None, &chained, "https://wa.example/webhooks/main?x=1"),
            (Some("https://wa.example/"), &host, "https://wa.example/webhooks/main?x=1"),
        ] {
            assert_eq!(called_url(public, headers, Some(&path)), url);
        }
    }
}
