//! Content in S3, or in anything that speaks its protocol: `PUT`, `GET`, `HEAD` and `DELETE` of `bucket/ab/cd/<sha256>`.
//!
//! An object appears whole. It is put even where it is there already, so that its time says when it was kept last.

mod sign;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use palomar_model::{Secret, Timestamp};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response, Url};

use crate::blocking::blocking;
use crate::hash::Hash;
use crate::incoming::Received;
use crate::store::{Bytes, Part, Removed, StoreError};
use sign::{Signed, Signer, amz_date};

/// The hash of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// How long a call may take that moves no content.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the largest content may take.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// So much is read at once of what is put.
const CHUNK: usize = 64 << 10;

/// Where objects are kept, and who keeps them.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The address: `https://s3.eu-central-1.amazonaws.com`, or one's own.
    pub endpoint: String,
    /// The bucket, which is there already.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The key's id.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
}

/// Why a place can't be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotS3 {
    /// The endpoint is no address.
    #[error(
        "the endpoint is no http(s) address without a query, such as \"https://s3.eu-central-1.amazonaws.com\""
    )]
    Endpoint,
    /// The bucket is not called as buckets are.
    #[error("a bucket's name has 3 to 63 of a-z 0-9 . and -")]
    Bucket,
    /// A key is missing.
    #[error("S3 needs an access key and a secret key")]
    Key,
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    base: Url,
    host: Arc<str>,
    signer: Arc<Signer>,
    client: reqwest::Client,
    place: Arc<str>,
}

impl S3 {
    /// The bucket that `config` names, called through `client`.
    ///
    /// # Errors
    /// Where it can't be meant.
    pub fn new(config: S3Config, client: reqwest::Client) -> Result<S3, NotS3> {
        let S3Config { endpoint, bucket, region, access_key, secret_key } = config;
        let mut base = Url::parse(&endpoint).map_err(|_| NotS3::Endpoint)?;
        let plain =
            matches!(base.scheme(), "http" | "https") && base.query().is_none() && base.username().is_empty();
        let host = base.host_str().map(str::to_owned).filter(|_| plain).ok_or(NotS3::Endpoint)?;
        let host = base.port().map(|port| format!("{host}:{port}")).unwrap_or(host);
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(letters) || bucket.contains("..") {
            return Err(NotS3::Bucket);
        }
        if access_key.is_empty() || secret_key.is_empty() {
            return Err(NotS3::Key);
        }
        base.path_segments_mut().map_err(|()| NotS3::Endpoint)?.pop_if_empty().push(&bucket);
        let place = format!("s3:{bucket}").into();
        let signer = Arc::new(Signer { access_key, secret_key, region });
        Ok(S3 { base, host: host.into(), signer, client, place })
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) async fn put(&self, received: &Received, now: Timestamp) -> Result<(), StoreError> {
        let path = received.path.path().to_owned();
        let file = blocking(move || std::fs::File::open(path)).await?;
        let chunks = stream::try_unfold(file, |mut file| async move {
            let (chunk, file) = blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK);
                io::Read::read_to_end(&mut io::Read::take(&mut file, CHUNK as u64), &mut chunk)?;
                Ok((chunk, file))
            })
            .await?;
            Ok::<_, io::Error>((!chunk.is_empty()).then_some((bytes::Bytes::from(chunk), file)))
        });
        let more = [("content-length", received.size.to_string())];
        let request = self.request(&Method::PUT, &received.hash, &received.hash.to_string(), &more, now);
        let answer = request.timeout(LONG_PATIENCE).body(Body::wrap_stream(chunks)).send().await;
        accepted(answer.map_err(unreachable)?).await.map(drop)
    }

    pub(crate) async fn get(
        &self,
        hash: &Hash,
        part: Part,
        now: Timestamp,
    ) -> Result<Option<Bytes>, StoreError> {
        if part.length == 0 {
            return Ok(Some(stream::empty().boxed()));
        }
        let range = format!("bytes={}-{}", part.first, part.first.saturating_add(part.length - 1));
        let request =
            self.request(&Method::GET, hash, EMPTY, &[("range", range)], now).timeout(LONG_PATIENCE);
        match accepted(request.send().await.map_err(unreachable)?).await {
            Ok(answer) => Ok(Some(answer.bytes_stream().map_err(io::Error::other).boxed())),
            Err(StoreError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn remove(
        &self,
        hash: &Hash,
        unless_after: Timestamp,
        now: Timestamp,
    ) -> Result<Removed, StoreError> {
        let asked = self.request(&Method::HEAD, hash, EMPTY, &[], now).timeout(PATIENCE).send().await;
        let found = match accepted(asked.map_err(unreachable)?).await {
            Err(StoreError::Refused { status: 404, .. }) => return Ok(Removed::Gone),
            other => other?,
        };
        if last_modified(found.headers()).is_none_or(|kept| kept > unless_after) {
            return Ok(Removed::NotYet);
        }
        let told = self.request(&Method::DELETE, hash, EMPTY, &[], now).timeout(PATIENCE).send().await;
        match accepted(told.map_err(unreachable)?).await {
            Ok(_) | Err(StoreError::Refused { status: 404, .. }) => Ok(Removed::Gone),
            Err(error) => Err(error),
        }
    }

    /// A signed request for an object; `body` is the hash of what it brings.
    fn request(
        &self,
        method: &Method,
        hash: &Hash,
        body: &str,
        more: &[(&'static str, String)],
        now: Timestamp,
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(hash.key().split('/'));
        }
        let date = amz_date(now);
        let mut headers = vec![("host", &*self.host), ("x-amz-content-sha256", body), ("x-amz-date", &date)];
        headers.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        headers.sort_unstable();
        let signed = Signed { method: method.as_str(), path: url.path(), query: "", headers: &headers, body };
        let authorization = self.signer.authorization(signed, &date);
        let mut map = HeaderMap::new();
        let own = [("authorization", authorization.as_str())];
        for (name, value) in headers.into_iter().chain(own).filter(|(name, _)| *name != "host") {
            // All of them are visible ASCII, but for a key that was configured otherwise: S3 refuses that one.
            if let Ok(value) = HeaderValue::from_str(value) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        self.client.request(method.clone(), url).headers(map)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn unreachable(error: reqwest::Error) -> StoreError {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    StoreError::Unreachable(cause.to_string())
}

/// The answer, where it is a good one; else its status and the word for it.
async fn accepted(answer: Response) -> Result<Response, StoreError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let mut text = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await
        && text.len() < 4096
    {
        text.extend_from_slice(&chunk);
    }
    Err(StoreError::Refused { status: status.as_u16(), code: code(&String::from_utf8_lossy(&text)) })
}

/// The word in `<Code>…</Code>`, where it is one.
fn code(text: &str) -> Option<String> {
    let (word, _) = text.split_once("<Code>")?.1.split_once("</Code>")?;
    let plain = word.len() <= 64 && word.bytes().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| word.to_owned())
}

fn last_modified(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get("last-modified")?.to_str().ok()?;
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_seconds(at.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_can_not_be_meant() {
        let config = |endpoint: &str, bucket: &str, key: &str| S3Config {
            endpoint: endpoint.to_owned(),
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: key.to_owned(),
            secret_key: key.into(),
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "it calls nobody")]
        let client = reqwest::Client::new();
        for (endpoint, bucket, key, expected) in [
            ("", "media", "k", Some(NotS3::Endpoint)),
            ("s3.example.com", "media", "k", Some(NotS3::Endpoint)),
            ("ftp://example.com", "media", "k", Some(NotS3::Endpoint)),
            ("https://user@example.com", "media", "k", Some(NotS3::Endpoint)),
            ("https://example.com/?x", "media", "k", Some(NotS3::Endpoint)),
            ("https://example.com", "../x", "k", Some(NotS3::Bucket)),
            ("https://example.com", "x", "k", Some(NotS3::Bucket)),
            ("https://example.com", "media", "", Some(NotS3::Key)),
            ("https://example.com", "media", "k", None),
            ("http://127.0.0.1:9000/", "media", "k", None),
        ] {
            let made = S3::new(config(endpoint, bucket, key), client.clone());
            assert_eq!(made.err(), expected, "{endpoint} {bucket}");
        }
    }

    #[test]
    fn words_of_a_refusal() {
        assert_eq!(code("<Error><Code>NoSuchKey</Code>").as_deref(), Some("NoSuchKey"));
        assert_eq!(code("<Error><Code>a b<x></Code>"), None);
        assert_eq!(code("gateway"), None);
    }
}
