//! A bucket in memory that speaks the part of S3's protocol that content needs, and verifies every signature: for tests.
//!
//! It reckons the signature anew from the request as it came, so that it and who signs can't be wrong together in the same
//! place.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::{Clock, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lock;

const MOST_BYTES: usize = 128 << 20;

/// What it is set up with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bucket that there is.
    pub bucket: String,
    /// The key's id.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// The region that requests must be signed for.
    pub region: String,
}

struct Bucket {
    config: Config,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    calls: Vec<(String, u16)>,
    /// So many calls more are answered with 503.
    away: u32,
}

/// A bucket that runs inside this process; it ends when this is dropped.
pub struct RunningBucket {
    addr: SocketAddr,
    bucket: Arc<Bucket>,
    task: JoinHandle<io::Result<()>>,
}

/// A bucket on a free port of 127.0.0.1, inside this process.
///
/// # Errors
/// Where no port can be had.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> io::Result<RunningBucket> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    let bucket = Arc::new(Bucket { config, clock, inner: Mutex::default() });
    let router =
        Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&bucket));
    let task = tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(RunningBucket { addr, bucket, task })
}

impl RunningBucket {
    /// Its address as a URL without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The keys that it holds.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        lock(&self.bucket.inner).objects.keys().cloned().collect()
    }

    /// The content under a key.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Bytes> {
        lock(&self.bucket.inner).objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// The calls so far: method and path, with the status of the answer.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, u16)> {
        lock(&self.bucket.inner).calls.clone()
    }

    /// Answers the next calls with 503.
    pub fn be_away(&self, calls: u32) {
        lock(&self.bucket.inner).away = calls;
    }
}

impl Drop for RunningBucket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(bucket): State<Arc<Bucket>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let called = format!("{} {}", parts.method, parts.uri.path());
    let answer = match axum::body::to_bytes(body, MOST_BYTES).await {
        Err(_) => Err((400, "IncompleteBody")),
        Ok(body) => {
            let query = parts.uri.query().unwrap_or_default();
            let proven = bucket.verify(&parts.method, parts.uri.path(), query, &parts.headers, &body);
            proven.and_then(|()| bucket.act(&parts.method, parts.uri.path(), &parts.headers, body))
        }
    };
    let answer = answer.unwrap_or_else(|(status, code)| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
        (status, [(header::CONTENT_TYPE, "application/xml")], text).into_response()
    });
    lock(&bucket.inner).calls.push((called, answer.status().as_u16()));
    answer
}

type Refusal = (u16, &'static str);

impl Bucket {
    fn act(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Refusal> {
        let key = path.strip_prefix(&format!("/{}/", self.config.bucket)).ok_or((404, "NoSuchBucket"))?;
        let mut inner = lock(&self.inner);
        if inner.away > 0 {
            inner.away -= 1;
            return Err((503, "SlowDown"));
        }
        match *method {
            Method::PUT => {
                inner.objects.insert(key.to_owned(), (body, self.clock.now()));
                Ok(StatusCode::OK.into_response())
            }
            Method::DELETE => {
                inner.objects.remove(key);
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            Method::GET | Method::HEAD => {
                let (bytes, at) = inner.objects.get(key).cloned().ok_or((404, "NoSuchKey"))?;
                let (status, bytes) = part(&bytes, headers)?;
                let modified = [(header::LAST_MODIFIED, http_date(at))];
                let body = if method == Method::GET { Body::from(bytes) } else { Body::empty() };
                Ok((status, modified, body).into_response())
            }
            _ => Err((405, "MethodNotAllowed")),
        }
    }

    fn verify(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let denied = (403, "SignatureDoesNotMatch");
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let told = value("authorization").and_then(|told| told.strip_prefix("AWS4-HMAC-SHA256 "));
        let told = told.ok_or((403, "AccessDenied"))?;
        let said = |name: &str| {
            let found = told.split(',').map(str::trim).find_map(|part| part.strip_prefix(name));
            found.and_then(|value| value.strip_prefix('=')).ok_or(denied)
        };
        let mut scope = said("Credential")?.split('/');
        if scope.next() != Some(self.config.access_key.as_str()) {
            return Err((403, "InvalidAccessKeyId"));
        }
        let date = value("x-amz-date").ok_or(denied)?;
        let day = scope.next().filter(|day| date.starts_with(day)).ok_or(denied)?;
        if scope.collect::<Vec<_>>() != [self.config.region.as_str(), "s3", "aws4_request"] {
            return Err((400, "AuthorizationHeaderMalformed"));
        }
        let hash = HEXLOWER.encode(&Sha256::digest(body));
        if value("x-amz-content-sha256") != Some(&hash) {
            return Err((400, "XAmzContentSHA256Mismatch"));
        }
        let names = said("SignedHeaders")?;
        let needed = ["host", "x-amz-content-sha256", "x-amz-date"];
        if !needed.iter().all(|needed| names.split(';').any(|name| name == *needed)) {
            return Err(denied);
        }
        let mut lines = vec![method.as_str().to_owned(), path.to_owned(), query.to_owned()];
        for name in names.split(';') {
            lines.push(format!("{name}:{}", value(name).ok_or(denied)?));
        }
        lines.extend([String::new(), names.to_owned(), hash]);
        let canonical = HEXLOWER.encode(&Sha256::digest(lines.join("\n").as_bytes()));
        let region = &self.config.region;
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/s3/aws4_request\n{canonical}");
        let secret = format!("AWS4{}", self.config.secret_key);
        let mut key = secret.into_bytes();
        for part in [day, region.as_str(), "s3", "aws4_request", &text] {
            let mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| denied)?;
            key = mac.chain_update(part).finalize().into_bytes().to_vec();
        }
        if said("Signature")? == HEXLOWER.encode(&key) { Ok(()) } else { Err(denied) }
    }
}

/// The bytes that are asked for.
fn part(bytes: &Bytes, headers: &HeaderMap) -> Result<(StatusCode, Bytes), Refusal> {
    let Some(range) = headers.get(header::RANGE) else {
        return Ok((StatusCode::OK, bytes.clone()));
    };
    let asked = range.to_str().ok().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let numbers = asked.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<usize>().ok()?)));
    match numbers {
        Some((first, last)) if first < bytes.len() && first <= last => {
            Ok((StatusCode::PARTIAL_CONTENT, bytes.slice(first..bytes.len().min(last + 1))))
        }
        _ => Err((416, "InvalidRange")),
    }
}

fn http_date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
