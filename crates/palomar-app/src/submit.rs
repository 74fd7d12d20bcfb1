//! Taking messages in: checked, given an identity, and durable before anybody is told "accepted".

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Dedupe, Enqueued, Key, NewJob};
use palomar_model::{FieldError, MessageId, MessageState, Outbound, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::channels::Line;
use crate::queues::outbound_queue;
use crate::{App, AppError, Caller, NewMessage};

/// A batch has at most so many rows.
pub const MAX_BATCH: usize = 500;

/// A request with an idempotency key is remembered for so long.
const KEY_TTL: Duration = Duration::from_secs(48 * 3600);
/// A client's id is remembered for so long by the broker; after that records know it.
const ID_TTL: Duration = Duration::from_secs(8 * 24 * 3600);

/// What a client calls its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, as it was given, unquoted.
    pub key: String,
    /// The path of the request.
    pub path: String,
}

/// A message that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// Its id.
    pub id: MessageId,
    /// `queued` or `scheduled`.
    pub status: MessageState,
    /// Whether this request came before: nothing was done again.
    #[serde(skip)]
    pub replayed: bool,
}

/// A row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct RowInput {
    /// Its number, unique in the whole request.
    pub row: u64,
    /// The [`fingerprint`] of what it said.
    pub body_hash: u64,
    /// The message, or what is wrong with it.
    pub message: Result<NewMessage, Vec<FieldError>>,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Its number.
    pub row: u64,
    /// What became of it.
    pub result: Result<Submitted, AppError>,
}

/// The hash by which two requests are told apart that carry one idempotency key.
#[must_use]
pub fn fingerprint(body: &[u8]) -> u64 {
    let hash = Sha256::digest(body);
    hash.iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A message that is ready to be queued.
struct Prepared {
    job: NewJob,
    id: MessageId,
    scheduled_at: Option<Timestamp>,
    /// The client gave the id.
    given_id: bool,
}

impl App {
    /// Takes one message in. When this has answered, the message is durable.
    ///
    /// # Errors
    /// What is wrong with it; whether the same request came before with another body; [`AppError::Full`] and
    /// [`AppError::Unavailable`], after which repeating the same request is safe.
    pub async fn submit(
        &self,
        message: NewMessage,
        body_hash: u64,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Submitted, AppError> {
        let row = RowInput {
            row: 0,
            body_hash,
            message: Ok(message),
        };
        let identities = Identities {
            caller,
            idempotency,
            rows: false,
        };
        let mut results = self.take_in(vec![row], &identities).await?;
        match results.pop() {
            Some(answer) => answer.result,
            None => Err(AppError::Unavailable("the broker answered nothing".to_owned())),
        }
    }

    /// Takes up to [`MAX_BATCH`] messages in, durable together; answers in their order. With an idempotency key a row
    /// is known by the key and its number.
    ///
    /// # Errors
    /// An error of the whole batch: nothing of it was accepted, or that is not known; repeating it is safe.
    pub async fn submit_batch(
        &self,
        rows: Vec<RowInput>,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Vec<RowResult>, AppError> {
        if rows.len() > MAX_BATCH {
            return Err(AppError::TooLarge("a batch has at most 500 rows"));
        }
        self.take_in(
            rows,
            &Identities {
                caller,
                idempotency,
                rows: true,
            },
        )
        .await
    }

    async fn take_in(
        &self,
        rows: Vec<RowInput>,
        identities: &Identities<'_>,
    ) -> Result<Vec<RowResult>, AppError> {
        let now = self.now();
        let mut results = Vec::with_capacity(rows.len());
        let mut prepared = Vec::with_capacity(rows.len());
        for row in rows {
            let number = row.row;
            match row.message.map_err(AppError::Invalid).and_then(|message| {
                let dedupe = identities.of_row(number, &message, row.body_hash);
                self.prepare(message, dedupe, identities.caller, now)
            }) {
                Ok(ready) => {
                    prepared.push((results.len(), ready));
                    // Filled in below, when the broker has answered.
                    results.push(RowResult {
                        row: number,
                        result: Err(AppError::Full),
                    });
                }
                Err(error) => results.push(RowResult {
                    row: number,
                    result: Err(error),
                }),
            }
        }
        self.answer_known(&mut prepared, &mut results, now).await?;
        let places: Vec<_> = prepared
            .iter()
            .map(|(place, ready)| (*place, ready.id, ready.scheduled_at))
            .collect();
        let jobs: Vec<NewJob> = prepared.into_iter().map(|(_, ready)| ready.job).collect();
        if !jobs.is_empty() {
            let answers = self.broker.enqueue(jobs).await?;
            for ((place, id, scheduled_at), answer) in places.into_iter().zip(answers) {
                results[place].result = answered(answer, id, scheduled_at, now);
            }
        }
        Ok(results)
    }

    /// Checks a message and makes a job of it.
    fn prepare(
        &self,
        message: NewMessage,
        dedupe: Option<Dedupe>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Prepared, AppError> {
        let line = self.line_for(&message, caller)?;
        let mut errors = line.channel.validate(&message.to, &message.content);
        if message.expires_at.is_some_and(|end| end <= now) {
            errors.push(FieldError::new("/expiresAt", "must be in the future"));
        }
        if !errors.is_empty() {
            return Err(AppError::Invalid(errors));
        }
        let given_id = message.id.is_some();
        let id = message.id.unwrap_or_else(|| self.ids.message_id(now));
        let outbound = Outbound {
            id,
            channel: line.name.clone(),
            to: message.to,
            content: message.content,
            priority: message.priority,
            scheduled_at: message.scheduled_at,
            expires_at: message.expires_at,
            campaign_id: message.campaign_id,
            reply_to: message.reply_to,
            fallback: message.fallback,
            on_uncertain: message.on_uncertain,
            metadata: message.metadata,
            accepted_at: now,
        };
        let job = job_of(&outbound, &line, dedupe)?;
        Ok(Prepared {
            job,
            id,
            scheduled_at: outbound.scheduled_at,
            given_id,
        })
    }

    fn line_for(&self, message: &NewMessage, caller: &Caller) -> Result<Arc<Line>, AppError> {
        let line = match &message.channel {
            Some(name) => self
                .registry
                .get(name)
                .ok_or("there is no such channel, or it does not work"),
            None => self
                .registry
                .only()
                .ok_or("is missing, and there is not exactly one channel"),
        };
        // Whoever may not use a channel is not told that it exists.
        line.and_then(|line| {
            if caller.may_use(&line.name) {
                Ok(line)
            } else {
                Err("this key may not use it")
            }
        })
        .map_err(|detail| AppError::invalid("/channel", detail))
    }

    /// Answers rows whose id a client gave and records know: repeating them is safe for ever.
    async fn answer_known(
        &self,
        prepared: &mut Vec<(usize, Prepared)>,
        results: &mut [RowResult],
        now: Timestamp,
    ) -> Result<(), AppError> {
        let given: Vec<MessageId> = prepared
            .iter()
            .filter(|(_, ready)| ready.given_id)
            .map(|(_, ready)| ready.id)
            .collect();
        if given.is_empty() {
            return Ok(());
        }
        let known: HashSet<MessageId> = self.records.known(given).await?.into_iter().collect();
        prepared.retain(|(place, ready)| {
            let new = !ready.given_id || !known.contains(&ready.id);
            // The broker remembers what a recent request said, and compares; here that is past.
            if !new {
                results[*place].result = Ok(replayed(ready.id, ready.scheduled_at, now));
            }
            new
        });
        Ok(())
    }
}

/// How the requests of a caller are known.
struct Identities<'a> {
    caller: &'a Caller,
    idempotency: Option<&'a IdempotencyKey>,
    /// Whether the rows of a request are told apart by their number.
    rows: bool,
}

impl Identities<'_> {
    /// A client's id goes first: it holds longer than a key does.
    fn of_row(&self, row: u64, message: &NewMessage, body_hash: u64) -> Option<Dedupe> {
        if let Some(id) = message.id {
            return Some(Dedupe {
                id: hash(&["id", &id.to_string()]),
                fingerprint: body_hash,
                ttl: ID_TTL,
            });
        }
        let given = self.idempotency?;
        let row = if self.rows { row.to_string() } else { String::new() };
        let id = hash(&["key", &self.caller.key_id, &given.path, &given.key, &row]);
        Some(Dedupe {
            id,
            fingerprint: body_hash,
            ttl: KEY_TTL,
        })
    }
}

/// A hash of several texts that depends on where one ends and the next begins.
fn hash(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .take(16)
        .fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

fn job_of(message: &Outbound, line: &Line, dedupe: Option<Dedupe>) -> Result<NewJob, AppError> {
    let payload = message
        .encode()
        .map_err(|error| AppError::invalid("", error.to_string()))?;
    let mut job = NewJob::new(message.id, outbound_queue(&message.channel)?, payload);
    job.priority = message.priority;
    job.group = message.campaign_id.as_deref().map(Arc::from);
    job.key = Some(Key::of(&message.to.key()));
    job.run_at = message.scheduled_at;
    job.expires_at = message.expires_at;
    job.on_uncertain = crate::outbound::policy(message.on_uncertain.unwrap_or(line.on_uncertain));
    job.dedupe = dedupe;
    Ok(job)
}

fn answered(
    answer: Enqueued,
    id: MessageId,
    scheduled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Submitted, AppError> {
    match answer {
        Enqueued::Accepted => Ok(Submitted {
            id,
            status: status(scheduled_at, now),
            replayed: false,
        }),
        Enqueued::Duplicate { of } => Ok(replayed(of, scheduled_at, now)),
        Enqueued::Conflict { of } => Err(AppError::IdempotencyMismatch { of }),
    }
}

/// The first answer again: the status is that of the time when the message was accepted, which its id tells.
fn replayed(id: MessageId, scheduled_at: Option<Timestamp>, now: Timestamp) -> Submitted {
    let made = id.0.get_timestamp().map(|made| made.to_unix());
    let accepted_at = made.and_then(|(seconds, nanos)| {
        let seconds = Timestamp::from_seconds(i64::try_from(seconds).ok()?);
        Some(seconds.after(Duration::from_nanos(u64::from(nanos))))
    });
    Submitted {
        id,
        status: status(scheduled_at, accepted_at.unwrap_or(now)),
        replayed: true,
    }
}

fn status(scheduled_at: Option<Timestamp>, now: Timestamp) -> MessageState {
    MessageState::accepted(scheduled_at.is_some_and(|due| due > now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_do_not_run_into_each_other() {
        assert_ne!(hash(&["key", "a", "bc"]), hash(&["key", "ab", "c"]));
        assert_ne!(hash(&["id", "x"]), hash(&["key", "x"]));
        assert_eq!(fingerprint(b"x"), fingerprint(b"x"));
        assert_ne!(fingerprint(b"x"), fingerprint(b"y"));
    }
}
