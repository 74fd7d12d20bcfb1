//! Answers to repeated requests that create something other than messages (channels, keys).
//!
//! Messages carry their identity into the broker, campaigns theirs into the records, durably. These few requests a day are remembered here, by this
//! process only; after a restart a repeated one meets what it made (`exists`) or makes one more key, which its
//! list shows. Refused requests are not remembered: they may be put right and sent again under the same key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use palomar_app::{Caller, IdempotencyKey, fingerprint};
use serde::Serialize;
use tokio::time::Instant;

use crate::idempotency::mark_replayed;
use crate::problem::{Code, Problem};
use crate::state::{Answer, bytes};

const REMEMBERED: Duration = Duration::from_secs(48 * 3600);
const MOST: usize = 10_000;

type Identity = (Arc<str>, String, String);

#[derive(Debug)]
struct Seen {
    body: u64,
    at: Instant,
    /// None while the first is running.
    answer: Option<Bytes>,
}

/// What was answered under which key.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<HashMap<Identity, Seen>>);

/// A request that is running; forgotten unless it is answered.
struct Running<'a> {
    replays: &'a Replays,
    identity: Option<Identity>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(identity) = self.identity.take() {
            self.replays.lock().remove(&identity);
        }
    }
}

impl Replays {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers 201 with what `create` makes, or again what it made before.
    pub(crate) async fn create<T: Serialize>(
        &self,
        caller: &Caller,
        key: Option<IdempotencyKey>,
        body: &[u8],
        create: impl Future<Output = Result<T, Problem>>,
    ) -> Answer {
        let mut running = Running { replays: self, identity: None };
        if let Some(IdempotencyKey { key, path }) = key {
            let identity = (caller.key_id.clone(), path, key);
            if let Some(answer) = self.begin(&identity, fingerprint(body), Instant::now())? {
                let mut response = bytes(StatusCode::CREATED, "application/json", answer);
                mark_replayed(response.headers_mut());
                return Ok(response);
            }
            running.identity = Some(identity);
        }
        let made = create.await?;
        let answer = serde_json::to_vec(&made).map(Bytes::from);
        let answer = answer.map_err(|_| Problem::new(Code::Internal, "The answer could not be written."))?;
        if let Some(identity) = running.identity.take() {
            self.lock().entry(identity).and_modify(|seen| seen.answer = Some(answer.clone()));
        }
        Ok(bytes(StatusCode::CREATED, "application/json", answer))
    }

    /// The earlier answer, or a place for the new one.
    fn begin(&self, identity: &Identity, body: u64, now: Instant) -> Result<Option<Bytes>, Problem> {
        let mut seen = self.lock();
        if seen.len() >= MOST {
            seen.retain(|_, seen| now - seen.at < REMEMBERED);
        }
        match seen.get(identity).filter(|seen| now - seen.at < REMEMBERED) {
            Some(earlier) if earlier.body != body => Err(Problem::new(
                Code::IdempotencyMismatch,
                "This Idempotency-Key came before with another body.",
            )),
            Some(Seen { answer: None, .. }) => Err(Problem::new(
                Code::InProgress,
                "The first request with this Idempotency-Key is still running.",
            )),
            Some(Seen { answer: Some(answer), .. }) => Ok(Some(answer.clone())),
            None => {
                seen.insert(identity.clone(), Seen { body, at: now, answer: None });
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Option<IdempotencyKey> {
        Some(IdempotencyKey { key: "k".into(), path: "/api/keys".into() })
    }

    #[tokio::test]
    async fn repeated_changed_running_and_failed_requests() {
        let (replays, caller) = (Replays::default(), Caller::system());
        let run = async |body: &'static [u8], made: Result<u32, Problem>| {
            let answer = replays.create(&caller, key(), body, async { made }).await;
            let response = answer.map_err(|problem| problem.code())?;
            let again = response.headers().contains_key("idempotency-replayed");
            let body = axum::body::to_bytes(response.into_body(), 100).await.expect("a body");
            Ok((String::from_utf8_lossy(&body).into_owned(), again))
        };
        assert_eq!(
            run(b"a", Err(Problem::new(Code::Invalid, "no"))).await,
            Err(Code::Invalid),
            "not remembered"
        );
        assert_eq!(run(b"b", Ok(1)).await, Ok(("1".into(), false)));
        assert_eq!(run(b"b", Ok(2)).await, Ok(("1".into(), true)), "the first answer again");
        assert_eq!(run(b"c", Ok(2)).await, Err(Code::IdempotencyMismatch));
    }

    #[tokio::test]
    async fn one_at_a_time_and_a_dropped_one_leaves_no_trace() {
        let (replays, caller) = (Replays::default(), Caller::system());
        {
            let first = replays.create::<u32>(&caller, key(), b"a", std::future::pending());
            tokio::pin!(first);
            assert!(futures_util::poll!(&mut first).is_pending());
            let second = replays.create(&caller, key(), b"a", async { Ok(1) }).await;
            assert_eq!(second.expect_err("running").code(), Code::InProgress);
        }
        assert!(replays.create(&caller, key(), b"a", async { Ok(1) }).await.is_ok());
    }
}
