//! What happens to every request on its way in and out: one layer, in one order.
//!
//! In: an id, the clock, the access table, the key, its allowance. Out: panics become 500, every error a problem
//! document, then headers, metrics, one log line. Log lines name the route's pattern, never the path, the query or a
//! body: no number, token or name can get into the log this way.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use palomar_app::{Caller, KeyRefused, Quiet};
use palomar_model::{Timestamp, TraceId};
use tokio::time::Instant;

use crate::access::{self, Access, Refused, Rule};
use crate::limiter::Allowance;
use crate::metrics::AuthFailure;
use crate::problem::{Code, Problem};
use crate::state::Api;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace that a request belongs to, by W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a request, for handlers that pass it on.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The layer.
pub(crate) async fn around(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let in_flight = api.metrics.enter();
    let begun = Instant::now();
    let id = request_id(&api, request.headers());
    let trace = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = trace.and_then(TraceId::from_traceparent);
    request.extensions_mut().insert(id.clone());
    let path = request.uri().path().to_owned();
    let method = request.method().clone();

    let matched = request.extensions().get::<MatchedPath>().cloned();
    let rule = matched.as_ref().map(|matched| access::rule_for(&method, matched.as_str()));
    let mut allowance = None;
    let mut response = match admit(&api, &mut request, rule.as_ref(), trace, &mut allowance) {
        Ok(()) => answered(next.run(request), &id).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(Err(Refused::NoMethod { allowed })) = &rule
        && let Ok(allowed) = HeaderValue::from_str(allowed)
    {
        response.headers_mut().insert(header::ALLOW, allowed);
    }

    let mut response = finish(&api, response, &path, &id);
    if let (Some(allowance), Some(limiter)) = (allowance, &api.limiter) {
        limiter.tell(allowance, response.headers_mut());
    }
    let rule = rule.and_then(Result::ok);
    decorate(response.headers_mut(), &id, path.starts_with("/api/"));
    if let Some(value) = trace.and_then(|trace| goes_on(&api, trace)) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    record(&api, rule, (&id, trace), response.status().as_u16(), begun.elapsed());
    drop(in_flight);
    response
}

/// The answer of a handler; of one that panics, that the request could not be finished.
async fn answered(handler: impl Future<Output = Response>, id: &RequestId) -> Response {
    AssertUnwindSafe(handler).catch_unwind().await.unwrap_or_else(|panic| {
        let what =
            panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(id = id.as_str(), panic = what.unwrap_or("?"), "a handler panicked");
        Problem::new(Code::Internal, "The request could not be finished.").into_response()
    })
}

/// Lets a request in, or not.
fn admit(
    api: &Api,
    request: &mut Request,
    rule: Option<&Result<&'static Rule, Refused>>,
    trace: Option<TraceId>,
    allowance: &mut Option<Allowance>,
) -> Result<(), Problem> {
    let rule = match rule {
        // The router's own answer: there is nothing at this path.
        None => return Ok(()),
        Some(Ok(rule)) => rule,
        Some(Err(Refused::NoMethod { allowed })) => {
            return Err(Problem::new(Code::MethodNotAllowed, format!("This path has {allowed}.")));
        }
        Some(Err(Refused::NoRoute)) => {
            tracing::error!("a route is missing in the access table: not answered");
            return Err(Problem::new(Code::NoRoute, "There is nothing at this path."));
        }
    };
    if rule.access == Access::Open {
        return Ok(());
    }
    let caller = authenticate(api, request.headers())?;
    if let Some(limiter) = &api.limiter {
        let taken = limiter.take(&caller.key_id, Instant::now());
        *allowance = Some(taken);
        if let Err(seconds) = taken.passes {
            return Err(
                Problem::new(Code::RateLimited, "This key has used up its allowance.").retry_after(seconds)
            );
        }
    }
    rule.admit(&caller).inspect_err(|_| api.metrics.auth_failed(AuthFailure::Forbidden))?;
    request.extensions_mut().insert(Caller { trace, ..caller });
    Ok(())
}

/// The caller that the `Authorization` header proves.
fn authenticate(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return prove(api, None, "Send `Authorization: Bearer <key>`.");
    };
    let secret = given.to_str().ok().and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
    });
    let Some(secret) = secret else {
        api.metrics.auth_failed(AuthFailure::Malformed);
        let detail = "The Authorization header must say `Bearer <key>`.";
        return Err(Problem::new(Code::Unauthenticated, detail));
    };
    prove(api, Some(secret), "")
}

/// The caller whose secret it is; where none is given, `lacking` says what to do. The secret itself is compared inside the
/// application, by hash.
pub(crate) fn prove(api: &Api, secret: Option<&str>, lacking: &'static str) -> Result<Caller, Problem> {
    let refused = |why, code, detail| {
        api.metrics.auth_failed(why);
        Problem::new(code, detail)
    };
    let secret = secret.ok_or_else(|| refused(AuthFailure::Missing, Code::Unauthenticated, lacking))?;
    api.app.authenticate(secret).map_err(|why| match why {
        KeyRefused::Unknown => refused(AuthFailure::Unknown, Code::Unauthenticated, "The key is not known."),
        KeyRefused::Expired => {
            refused(AuthFailure::Expired, Code::KeyExpired, "This key is past its end. Make a new one.")
        }
        KeyRefused::Revoked => {
            refused(AuthFailure::Revoked, Code::KeyRevoked, "This key was revoked. Make a new one.")
        }
    })
}

/// The client's own id where it is short and plain, else a fresh one.
fn request_id(api: &Api, headers: &HeaderMap) -> RequestId {
    let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let given =
        headers.get(REQUEST_ID).filter(|id| (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain));
    RequestId(given.cloned().unwrap_or_else(|| {
        let id = api.request_ids.uuid(api.app.now()).simple().to_string();
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }))
}

/// The trace of a request, gone on with: what stands in its answer.
fn goes_on(api: &Api, trace: TraceId) -> Option<HeaderValue> {
    HeaderValue::from_str(&trace.traceparent(api.request_ids.uuid(api.app.now()))).ok()
}

/// Writes the document of a problem, or of a bare error.
fn finish(api: &Api, mut response: Response, path: &str, id: &RequestId) -> Response {
    let status = response.status();
    let error = status.is_client_error() || status.is_server_error();
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let bare = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
        (error && bare).then(|| Problem::of_bare(status))
    });
    let Some(problem) = problem else { return response };
    api.metrics.rejected(problem.code().parts().1);
    problem.respond(response.headers(), path, id.as_str())
}

fn decorate(headers: &mut HeaderMap, id: &RequestId, api: bool) {
    headers.insert(REQUEST_ID, id.0.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Counts an answer, and says it: what is refused, once a second for each route and status.
fn record(
    api: &Api,
    rule: Option<&'static Rule>,
    (id, trace): (&RequestId, Option<TraceId>),
    status: u16,
    took: Duration,
) {
    let (route, method) = rule.map_or(("none", "other"), |rule| (rule.path, rule.method));
    api.metrics.answered(route, method, status, took);
    let (id, micros, trace) = (id.as_str(), palomar_app::micros(took), trace.map(tracing::field::display));
    if status < 400 {
        return tracing::debug!(route, method, status, id, trace, micros, "answered");
    }
    let Some(more) = api.refusals.says((route, status), api.app.now()) else { return };
    match status {
        500.. => tracing::warn!(route, method, status, id, trace, micros, more, "answered"),
        _ => tracing::info!(route, method, status, id, trace, micros, more, "answered"),
    }
}

/// Refusals that are said, by route and status: there are as many as the program has of both.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<(&'static str, u16), Quiet>>);

impl Refusals {
    fn says(&self, what: (&'static str, u16), now: Timestamp) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default().says(now)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_with_500() {
        let id = RequestId(HeaderValue::from_static("req_1"));
        let whole = answered(async { StatusCode::NO_CONTENT.into_response() }, &id).await;
        assert_eq!(whole.status(), StatusCode::NO_CONTENT);
        let broken = answered(async { panic!("in the midst of it") }, &id).await;
        assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
