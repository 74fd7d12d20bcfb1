//! The calls: one way to fetch for all providers.
//!
//! Redirects are followed by hand, judged as any address, and never with a document or, to another's host, with
//! credentials. What is outside of the channel's own origin is called through a client that connects to no address but
//! those of the public internet, whatever a name leads to at that moment.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::{Response, Url};
use tokio::time::timeout;

use super::base64::{Reader, not_written, too_large};
use super::guard::{Blocked, judge};
use super::{Call, FetchFailure, FetchProblem, MediaSink, MediaSource, Step, Wanted, Whose};
use crate::http::{self, Answer};

/// How long a fetch may take, and how far it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Nothing may be heard for so long.
    pub idle: Duration,
    /// All of it may take so long.
    pub total: Duration,
    /// So many redirects are followed.
    pub redirects: u32,
}

impl Default for FetchLimits {
    fn default() -> FetchLimits {
        FetchLimits { idle: Duration::from_secs(20), total: Duration::from_secs(180), redirects: 5 }
    }
}

/// Fetches media. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    own: reqwest::Client,
    outside: reqwest::Client,
    limits: FetchLimits,
}

/// What came of the steps up to the answer with the bytes.
struct Found {
    answer: Response,
    sha256: Option<[u8; 32]>,
    in_base64: bool,
}

impl Fetcher {
    /// Fetches from a channel's own origin through `own`, and from all others through `outside` (see
    /// [`http::outside`]).
    #[must_use]
    pub const fn new(own: reqwest::Client, outside: reqwest::Client, limits: FetchLimits) -> Fetcher {
        Fetcher { own, outside, limits }
    }

    /// Fetches media into `sink`, at most `most` bytes of them; what the provider says is their SHA-256, where it does.
    ///
    /// # Errors
    /// What kept them from being fetched. `sink` may have taken a part of them.
    pub async fn fetch(
        &self,
        source: &dyn MediaSource,
        wanted: &Wanted,
        most: u64,
        sink: &mut dyn MediaSink,
    ) -> Result<Option<[u8; 32]>, FetchFailure> {
        let fetched = async {
            let found = self.find(source, wanted).await?;
            let sha256 = found.sha256;
            self.read(found, most, sink).await?;
            Ok(sha256)
        };
        timeout(self.limits.total, fetched).await.unwrap_or_else(|_| {
            let seconds = self.limits.total.as_secs_f64();
            Err(FetchFailure::new(FetchProblem::Passing, format!("not all of it came within {seconds} s")))
        })
    }

    /// Goes the steps up to an answer with the bytes.
    async fn find(&self, source: &dyn MediaSource, wanted: &Wanted) -> Result<Found, FetchFailure> {
        let first = source.first(wanted)?;
        match self.go(source, first).await {
            Err(failure) => match source.otherwise(wanted) {
                Some(other) => self.go(source, other).await,
                None => Err(failure),
            },
            found => found,
        }
    }

    async fn go(&self, source: &dyn MediaSource, step: Step) -> Result<Found, FetchFailure> {
        let step = match step {
            Step::Locate(call) => {
                let answer = self.call(source, &Step::Locate(call.clone()), &call).await?;
                let answer = timeout(self.limits.idle, http::read(answer)).await.map_err(|_| silent())?;
                let document = serde_json::from_slice(&answer.body).unwrap_or_default();
                source.located(&document)?
            }
            other => other,
        };
        let (call, sha256, in_base64) = match &step {
            Step::Locate(_) => return Err(passing("the answer leads in a circle")),
            Step::Bytes { call, sha256 } => (call, *sha256, false),
            Step::Base64(call) => (call, None, true),
        };
        let answer = self.call(source, &step, call).await?;
        Ok(Found { answer, sha256, in_base64 })
    }

    /// Makes a call; the answer, where it is a good one.
    async fn call(
        &self,
        source: &dyn MediaSource,
        step: &Step,
        call: &Call,
    ) -> Result<Response, FetchFailure> {
        let (mut url, mut whose) = judge(&call.url, source, false).map_err(blocked)?;
        for redirect in 0..=self.limits.redirects {
            let body = call.body.as_ref().filter(|_| redirect == 0);
            let answer = self.send(source, &url, whose, body).await?;
            let status = answer.status().as_u16();
            match status {
                200..=299 => return Ok(answer),
                301 | 302 | 303 | 307 | 308 if call.body.is_none() => {
                    (url, whose) = follow(source, &url, answer.headers())?;
                }
                _ => return Err(self.refused(source, step, whose, answer).await),
            }
        }
        Err(FetchFailure::new(FetchProblem::Blocked, "it is sent on again and again"))
    }

    async fn send(
        &self,
        source: &dyn MediaSource,
        url: &Url,
        whose: Whose,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, FetchFailure> {
        let client = if whose == Whose::Own { &self.own } else { &self.outside };
        let request = match body {
            Some(body) => client.post(url.clone()).json(body),
            None => client.get(url.clone()),
        };
        let known = source.credentials().filter(|_| whose != Whose::Other);
        let request = match known {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        match timeout(self.limits.idle, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(silent()),
        }
    }

    /// What a refusal means.
    async fn refused(
        &self,
        source: &dyn MediaSource,
        step: &Step,
        whose: Whose,
        answer: Response,
    ) -> FetchFailure {
        let status = answer.status().as_u16();
        let Ok(answer) = timeout(self.limits.idle, http::read(answer)).await else {
            return silent();
        };
        let problem = source.refused(step, status, &answer.body).unwrap_or(match (status, whose) {
            (404 | 410, Whose::Own | Whose::Provider) => FetchProblem::Gone,
            (401 | 403, Whose::Own | Whose::Provider) => FetchProblem::Refused,
            _ => FetchProblem::Passing,
        });
        let words = match problem {
            FetchProblem::Gone => "the provider does not have it any more",
            FetchProblem::Refused => "the provider does not let the channel in",
            _ => "the provider does not give it",
        };
        let after = Answer::retry_after(&answer);
        FetchFailure { after, ..FetchFailure::new(problem, format!("{words} (HTTP {status})")) }
    }

    /// Reads the bytes of an answer, counts them, and hands them on.
    async fn read(&self, found: Found, most: u64, sink: &mut dyn MediaSink) -> Result<(), FetchFailure> {
        let Found { answer, in_base64, .. } = found;
        let announced =
            answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // Base64 takes four letters for three bytes, and stands among other words.
        let most_of_answer = if in_base64 { most / 3 * 4 + (64 << 10) } else { most };
        if announced.is_some_and(|length: u64| length > most_of_answer) {
            return Err(too_large(most));
        }
        let mut reader = in_base64.then(Reader::default);
        let (mut came, mut taken) = (0_u64, 0_u64);
        let mut chunks = answer.bytes_stream();
        loop {
            let Ok(next) = timeout(self.limits.idle, chunks.next()).await else {
                return Err(silent());
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| passing("the connection broke before all of it came"))?;
            came += chunk.len() as u64;
            if came > most_of_answer {
                return Err(too_large(most));
            }
            match &mut reader {
                None => sink.take(&chunk).await.map_err(not_written)?,
                Some(reader) => {
                    let bytes = reader.take(&chunk)?;
                    taken += bytes.len() as u64;
                    if taken > most {
                        return Err(too_large(most));
                    }
                    sink.take(&bytes).await.map_err(not_written)?;
                }
            }
        }
        if let Some(reader) = reader {
            let last = reader.end()?;
            if taken + last.len() as u64 > most {
                return Err(too_large(most));
            }
            sink.take(&last).await.map_err(not_written)?;
        }
        Ok(())
    }
}

/// Where a redirect leads.
fn follow(source: &dyn MediaSource, from: &Url, headers: &HeaderMap) -> Result<(Url, Whose), FetchFailure> {
    let nowhere = || FetchFailure::new(FetchProblem::Blocked, "it is sent on to nowhere");
    let text = headers.get(LOCATION).and_then(|to| to.to_str().ok()).ok_or_else(nowhere)?;
    // Judged as it is written where it is whole: what is odd about it is gone once it is read.
    if text.contains("://") {
        return judge(text, source, true).map_err(blocked);
    }
    let to = from.join(text).map_err(|_| nowhere())?;
    judge(to.as_str(), source, true).map_err(blocked)
}

fn blocked(why: Blocked) -> FetchFailure {
    FetchFailure::new(FetchProblem::Blocked, format!("its address is not called: {why}"))
}

fn silent() -> FetchFailure {
    passing("the provider went silent")
}

fn passing(detail: &str) -> FetchFailure {
    FetchFailure::new(FetchProblem::Passing, detail)
}

/// What a call means that brought no answer.
fn broken(error: &reqwest::Error) -> FetchFailure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(why) = inner.downcast_ref::<Blocked>() {
            return blocked(*why);
        }
        cause = inner.source();
    }
    passing("the provider cannot be reached")
}
