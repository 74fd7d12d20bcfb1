//! HTTP to providers: the clients, and what a broken call means.
//!
//! Always: no redirect is followed (credentials stay with the host they are for), nothing is repeated by itself, an answer
//! is read up to a limit. A call that breaks before its body was handed to the connection is known not to have been taken;
//! one that breaks later is not known.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use palomar_model::{ErrorClass, SendFailure};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};

use crate::Progress;
use crate::channel::BoxFuture;
use crate::media::guard::{Blocked, is_public};

/// How much of an answer is read.
const MAX_ANSWER: usize = 1 << 20;
/// Shorter than any deadline, so that a host that does not answer at all is told apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Providers close idle connections after longer; one that is closed under a request makes its outcome unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// No `Retry-After` is believed beyond this.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The client for all calls to where a channel is configured to call; clone it, do not make several.
///
/// # Errors
/// Where the system offers no TLS roots.
#[expect(clippy::disallowed_methods, reason = "the one place where a client is built")]
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("palomar/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .build()
}

/// The client for addresses that came from outside: it connects to the public internet only, whatever a name leads to at
/// the moment of the call, and through no proxy, which would look names up by itself.
///
/// # Errors
/// Where the system offers no TLS roots.
pub fn outside() -> Result<reqwest::Client, reqwest::Error> {
    guarded(|name| Box::pin(look_up(name)))
}

/// As [`outside`], with a way of one's own to look names up.
#[expect(clippy::disallowed_methods, reason = "the one place where a client is built")]
pub(crate) fn guarded<L>(look_up: L) -> Result<reqwest::Client, reqwest::Error>
where
    L: Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
{
    reqwest::Client::builder()
        .user_agent(concat!("palomar/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .dns_resolver(Guarded(look_up))
        .build()
}

async fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

/// Leaves of a name's addresses those of the public internet: these, and no others, are connected to.
struct Guarded<L>(L);

impl<L> Resolve for Guarded<L>
where
    L: Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
{
    fn resolve(&self, name: Name) -> Resolving {
        let looked_up = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let public: Vec<SocketAddr> =
                looked_up.await?.into_iter().filter(|ip| is_public(*ip)).map(|ip| (ip, 0).into()).collect();
            if public.is_empty() {
                return Err(Blocked::NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// A provider's answer, read.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most 1 MiB of it.
    pub body: Bytes,
    /// Whether that is all of it.
    pub complete: bool,
}

impl Answer {
    /// The wait that `Retry-After` asks for, where it is a number of seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(MAX_WAIT))
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }
}

/// Makes one call that sends a message.
///
/// # Errors
/// `Transient` where the request was certainly not written in full, `Unknown` where it may have been.
pub async fn exchange(
    request: RequestBuilder,
    kind: &'static str,
    body: Vec<u8>,
) -> Result<Answer, SendFailure> {
    let progress = Progress::current();
    progress.begin();
    let body = reqwest::Body::wrap(Watched { body: Some(body.into()), progress: progress.clone() });
    let request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind)).body(body);
    match request.send().await {
        Ok(response) => Ok(read(response).await),
        Err(error) => Err(broken(&error, &progress)),
    }
}

/// Reads an answer up to the limit. A body that breaks off is left incomplete: its status was an answer already.
pub async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    let complete = loop {
        match chunks.next().await {
            None => break true,
            Some(Ok(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Some(Ok(_) | Err(_)) => break false,
        }
    };
    Answer { status, headers, body: body.freeze(), complete }
}

/// What a call means that brought no answer.
fn broken(error: &reqwest::Error, progress: &Progress) -> SendFailure {
    let (class, title) = if error.is_builder() {
        (ErrorClass::Content, "the request cannot be made")
    } else if error.is_connect() {
        (ErrorClass::Transient, "the provider cannot be reached")
    } else if progress.known_not_written() {
        (ErrorClass::Transient, "the connection broke before the request was written")
    } else {
        (ErrorClass::Unknown, "the connection broke after the request was written")
    };
    SendFailure::new(class, title).with_detail(causes(error))
}

/// The innermost cause: the outer ones repeat the URL, which may hold ids of the account.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A body in one piece that notes when the connection takes it.
struct Watched {
    body: Option<Bytes>,
    progress: Progress,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.handed_over();
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

#[cfg(test)]
mod tests;
