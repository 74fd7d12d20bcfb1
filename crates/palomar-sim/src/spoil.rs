//! Answers that tell a sender nothing: how a provider, or what stands in front of it, fails after it took a message.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use crate::wire::Wire;

const PAGE_502: &str =
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";

/// How an answer is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// It never comes; the connection stays open until the simulator is reset.
    Hang,
    /// The connection is reset.
    Reset,
    /// Half of it comes.
    Truncated,
    /// A gateway's page comes in its place.
    Page502,
}

/// The spoiled form of `answer`, whose body is `document`.
pub(crate) async fn spoiled(
    how: Spoil,
    release: &Notify,
    wire: &Wire,
    answer: Response,
    document: Vec<u8>,
) -> Response {
    match how {
        Spoil::Page502 => return page_502(),
        Spoil::Truncated => return truncated(answer, document),
        Spoil::Hang => release.notified().await,
        Spoil::Reset => {}
    }
    wire.cut();
    answer
}

fn page_502() -> Response {
    let mut response = Response::new(Body::from(PAGE_502));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// The head promises the whole document, half of it comes, then the connection ends.
fn truncated(answer: Response, document: Vec<u8>) -> Response {
    // A message that was not accepted has no document: then it breaks off in front of one.
    let document_half = document.len() / 2;
    let promised = document.len().max(2);
    let half = Bytes::from(document).slice(..document_half);
    let broken = async {
        // The half goes out before the end comes.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let body = Body::from_stream(stream::once(std::future::ready(Ok(half))).chain(stream::once(broken)));
    let (mut head, _) = answer.into_parts();
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    Response::from_parts(head, body)
}
