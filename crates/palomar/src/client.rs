//! The HTTP client of the command line: one server, one key, answers as JSON or as a [`Failure`] that says what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use palomar_model::Secret;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// The largest answer that is read whole.
const LARGEST_ANSWER: usize = 64 << 20;

/// A server and the right to talk to it.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<Secret>,
    /// Where a key was looked for, for the help where there is none.
    key_file: PathBuf,
    timeout: Duration,
}

/// A query's parameters. What is `None` is left out.
pub(crate) type Query<'a> = &'a [(&'a str, Option<String>)];

impl Client {
    /// A client of the server at `base`.
    pub(crate) fn new(
        base: &str,
        key: Option<Secret>,
        key_file: &Path,
        timeout: Duration,
    ) -> Result<Client, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        let base = if base.contains("://") { base } else { format!("http://{base}") };
        let url: reqwest::Url = base
            .parse()
            .map_err(|error| Failure::wrong_use(format!("{base:?} is no server's address: {error}")))?;
        // A proxy that is meant for the world must not stand between us and our own machine.
        let local = url
            .host_str()
            .is_some_and(|host| matches!(host, "localhost" | "[::1]") || host.starts_with("127."));
        #[expect(
            clippy::disallowed_methods,
            reason = "the command line talks to our own server, not to a provider"
        )]
        let builder = reqwest::Client::builder()
            .user_agent(concat!("palomar-cli/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(10)));
        let builder = if local { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| Failure::new(format!("can't set up HTTP: {error}")))?;
        Ok(Client { http, base, key, key_file: key_file.to_owned(), timeout })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    /// `POST` of a JSON document.
    pub(crate) async fn post(&self, path: &str, query: Query<'_>, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, query, Some(body)).await
    }

    /// `PUT` of a JSON document.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    /// `POST` of a JSON document that counts once however often it is sent, where it has a key.
    pub(crate) async fn post_once(
        &self,
        path: &str,
        query: Query<'_>,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(Method::POST, path, query)?.timeout(self.timeout).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = self.read(self.send(request).await?).await?;
        if answer.is_empty() { Ok(Value::Null) } else { self.json(&answer) }
    }

    /// `GET` of text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let request = self.request(Method::GET, path, &[])?.timeout(self.timeout);
        let answer = self.read(self.send(request).await?).await?;
        String::from_utf8(answer).map_err(|_| self.not_ours())
    }

    /// `GET` of a JSON document that comes with a status that tells whether all is well: whatever that is.
    pub(crate) async fn probe(&self, path: &str) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path, &[])?.timeout(self.timeout);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.json(&self.read(response).await?)
    }

    /// The same, that waits so long for an answer and no longer.
    pub(crate) fn patient_for(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// `PATCH` with a JSON document.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, &[], Some(body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// The items of a list, page by page, up to `limit`.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: Query<'_>,
        limit: usize,
    ) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", Some((limit - items.len()).min(200).to_string())));
            query.push(("cursor", cursor.take()));
            let mut page = self.get(path, &query).await?;
            let found = page.get_mut("items").map(Value::take);
            let Some(Value::Array(found)) = found else {
                return Err(self.not_ours());
            };
            items.extend(found);
            cursor = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    /// A request to be finished and sent by [`Client::send`].
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let mut url: reqwest::Url = format!("{}{path}", self.base)
            .parse()
            .map_err(|error| Failure::wrong_use(format!("{path}: {error}")))?;
        let set: Vec<_> = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        if !set.is_empty() {
            url.query_pairs_mut().extend_pairs(set);
        }
        let request = self.http.request(method, url);
        Ok(match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        })
    }

    /// Sends a request; an answer that is no success becomes a failure.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let request = self.request(method, path, query)?.timeout(self.timeout);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = self.send(request).await?;
        let empty = response.status() == StatusCode::NO_CONTENT;
        let body = self.read(response).await?;
        if empty || body.is_empty() {
            return Ok(Value::Null);
        }
        self.json(&body)
    }

    fn json(&self, body: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(body).map_err(|_| self.not_ours())
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.not_ours());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// A failure out of an error answer.
    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let body = self.read(response).await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let failure = Failure::new(
            problem_text(&problem).unwrap_or_else(|| format!("{} answered {status}", self.base)),
        );
        match status {
            StatusCode::UNAUTHORIZED if self.key.is_none() => failure.exit(Exit::Refused).help(format!(
                "No key was given: set PALOMAR_KEY, name a file with --key-file, or run this where {} is.",
                self.key_file.display()
            )),
            StatusCode::UNAUTHORIZED => failure.exit(Exit::Refused).help(
                "The key is not (or no longer) this server's: see --key-file, PALOMAR_KEY and admin.key.",
            ),
            StatusCode::FORBIDDEN => failure
                .exit(Exit::Refused)
                .help("This needs a key of another role, or of this channel: `palomar key list`."),
            _ => failure,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() {
            format!("no answer within {} s", self.timeout.as_secs_f32())
        } else {
            innermost(error)
        };
        Failure::new(format!("can't reach the server at {}: {why}", self.base))
            .exit(Exit::Unreachable)
            .help("Start it with `palomar serve`, or name another with --server or PALOMAR_SERVER.")
    }

    fn not_ours(&self) -> Failure {
        Failure::new(format!("what answers at {} does not talk like a Palomar server", self.base))
            .help("Check --server and PALOMAR_SERVER: something else may be listening there.")
    }
}

/// The last cause of an error: "connection refused" and not "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A problem document as a sentence: what is wrong with each field where it tells so, else its detail.
pub(crate) fn problem_text(problem: &Value) -> Option<String> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let errors = problem.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let said = if errors.is_empty() {
        [text(problem, "detail"), text(problem, "title")].into_iter().find(|text| !text.is_empty())?
    } else {
        let each = errors.iter().map(|error| match (text(error, "pointer"), text(error, "detail")) {
            (pointer, detail) if pointer.is_empty() => detail,
            (pointer, detail) => format!("{pointer}: {detail}"),
        });
        each.collect::<Vec<_>>().join("; ")
    };
    Some(said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_a_sentence() {
        for (problem, said) in [
            (json!({"title": "Not found", "detail": "no message abc"}), Some("no message abc")),
            (json!({"title": "Not found"}), Some("Not found")),
            (
                json!({"detail": "The message is not valid", "errors": [{"pointer": "/to", "detail": "not a phone number"}]}),
                Some("/to: not a phone number"),
            ),
            (
                json!({"errors": [{"pointer": "/to", "detail": "no number"}, {"pointer": "", "detail": "no type"}]}),
                Some("/to: no number; no type"),
            ),
            (json!(null), None),
            (json!(["x"]), None),
        ] {
            assert_eq!(problem_text(&problem).as_deref(), said);
        }
    }

    #[test]
    fn an_address_needs_no_scheme() {
        let client = |base| Client::new(base, None, Path::new("admin.key"), Duration::from_secs(1));
        assert_eq!(client("127.0.0.1:8080/").expect("an address").base(), "http://127.0.0.1:8080");
        assert_eq!(client("https://wa.example.com").expect("an address").base(), "https://wa.example.com");
        assert_eq!(client("http://[").expect_err("no address").exit, Exit::WrongUse);
    }
}
