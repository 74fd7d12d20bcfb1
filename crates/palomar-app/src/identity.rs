//! How a repeated request is known: by its idempotency key, and by the id that its client gave the message.
//!
//! The broker remembers both with the job, in one commit: whichever way a request is repeated, it is known. An id is
//! looked up in records as well, which know it for as long as they keep the message.

use std::collections::HashMap;
use std::time::Duration;

use palomar_broker::Dedupe;
use palomar_model::{MessageId, Outbound, Timestamp};
use palomar_records::{CampaignRequest, StoredMessage};
use sha2::{Digest as _, Sha256};

use crate::submit::{Prepared, Submitted, replayed};
use crate::{App, AppError, Caller};

/// A request with an idempotency key is remembered for so long.
pub(crate) const KEY_TTL: Duration = Duration::from_secs(48 * 3600);
/// A client's id is remembered for so long by the broker; after that records know it.
const ID_TTL: Duration = Duration::from_secs(8 * 24 * 3600);
/// Records get so long to say whether they know an id; a long upload goes no faster than they do.
const RECORDS_WAIT: Duration = Duration::from_secs(10);

/// What a client calls its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, as it was given, unquoted.
    pub key: String,
    /// The path of the request.
    pub path: String,
}

/// The hash by which two requests are told apart that carry one idempotency key.
#[must_use]
pub fn fingerprint(body: &[u8]) -> u64 {
    let hash = Sha256::digest(body);
    hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// How the requests of a caller are known.
pub(crate) struct Identities<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) idempotency: Option<&'a IdempotencyKey>,
    /// Whether the rows of a request are told apart by their number.
    pub(crate) rows: bool,
}

impl Identities<'_> {
    /// The identity of a row by the request's key.
    pub(crate) fn of_row(&self, row: u64, body_hash: u64) -> Option<Dedupe> {
        let given = self.idempotency?;
        let row = if self.rows { row.to_string() } else { String::new() };
        let id = hash(&["key", &self.caller.key_id, &given.path, &given.key, &row]);
        Some(Dedupe { id, fingerprint: body_hash, ttl: KEY_TTL })
    }
}

/// How a request for a new campaign, or a new send job, is known.
pub(crate) fn of_campaign(
    caller: &Caller,
    given: &IdempotencyKey,
    body: u64,
    now: Timestamp,
) -> CampaignRequest {
    let id = hash(&["key", &caller.key_id, &given.path, &given.key, ""]);
    CampaignRequest { id: format!("{id:032x}"), body, forget_before: now.before(KEY_TTL) }
}

/// The identity of a message by the id that its client gave it; what it says is compared, not how it was written.
pub(crate) fn of_message(message: &Outbound) -> Result<Dedupe, serde_json::Error> {
    let timeless = Outbound { accepted_at: Timestamp::EPOCH, ..message.clone() };
    Ok(Dedupe {
        id: hash(&["id", &message.id.to_string()]),
        fingerprint: fingerprint(&timeless.encode()?),
        ttl: ID_TTL,
    })
}

/// The identity of a person's order to queue a message anew: given twice, it is carried out once.
pub(crate) fn of_retry(message: MessageId, earlier_attempts: u32) -> Dedupe {
    Dedupe {
        id: hash(&["retry", &message.to_string(), &earlier_attempts.to_string()]),
        fingerprint: 0,
        ttl: ID_TTL,
    }
}

/// The id of what stands for a message whose own id another message has.
pub(crate) fn of_refused(message: &Outbound) -> Result<MessageId, serde_json::Error> {
    let said = message.encode()?;
    let hashed = hash(&["refused", &message.id.to_string(), &String::from_utf8_lossy(&said)]);
    Ok(MessageId(uuid::Builder::from_custom_bytes(hashed.to_be_bytes()).into_uuid()))
}

impl App {
    /// What is answered to rows whose id a client gave and that is a message's already, by their place.
    pub(crate) async fn known_ids(
        &self,
        rows: &[(usize, Prepared)],
        now: Timestamp,
    ) -> Result<HashMap<usize, Result<Submitted, AppError>>, AppError> {
        let given = || rows.iter().filter(|(_, ready)| ready.given_id);
        let ids: Vec<MessageId> = given().map(|(_, ready)| ready.job.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut known: HashMap<_, _> = self.records.stored(ids).await?.into_iter().collect();
        // A request whose key is new, or that comes too late to be accepted anew, is compared with the message of its
        // id: records are asked again when they have everything.
        let unsure = |ready: &Prepared| {
            let by_id = !ready.by_key && !ready.expired;
            !by_id && !known.contains_key(&ready.job.id)
        };
        let late: Vec<MessageId> =
            given().filter(|(_, ready)| unsure(ready)).map(|(_, ready)| ready.job.id).collect();
        if !late.is_empty() {
            match self.caught_up(RECORDS_WAIT).await {
                // Nobody can tell now: the queues do when they are back (see `spool`).
                Err(_) if self.queues_are_away() => {}
                caught_up => caught_up?,
            }
            known.extend(self.records.stored(late).await?);
        }
        let answers = given().filter_map(|(place, ready)| {
            let stored = known.get(&ready.job.id)?;
            let answer = match stored {
                Some(StoredMessage { message, .. }) => compared(message, ready, now),
                None => Err(id_taken()),
            };
            Some((*place, answer))
        });
        Ok(answers.collect())
    }

    /// What is answered where the broker knew the id: its message is compared, since two requests may come at once.
    pub(crate) async fn known_job(&self, ready: &Prepared, now: Timestamp) -> Result<Submitted, AppError> {
        let id = ready.job.id;
        if let Some((job, payload)) = self.broker.job(id).await? {
            return match Outbound::decode(&payload) {
                Ok(first) if job.queue.pool() == ready.job.queue.pool() => compared(&first, ready, now),
                _ => Err(id_taken()),
            };
        }
        match self.records.stored(vec![id]).await?.pop() {
            Some((_, Some(stored))) => compared(&stored.message, ready, now),
            Some((_, None)) => Err(id_taken()),
            None => Ok(replayed(id, &ready.times, None, now)),
        }
    }
}

/// The answer to a message whose id the message `first` has.
fn compared(first: &Outbound, ready: &Prepared, now: Timestamp) -> Result<Submitted, AppError> {
    // As it would be stored: both have gone through the same writing and reading.
    let Ok(mut second) = Outbound::decode(&ready.job.payload) else {
        return Err(id_taken());
    };
    second.accepted_at = first.accepted_at;
    if first.channel != second.channel {
        Err(id_taken())
    } else if *first == second {
        Ok(replayed(first.id, &ready.times, Some(first.accepted_at), now))
    } else {
        Err(AppError::IdempotencyMismatch { of: first.id })
    }
}

fn id_taken() -> AppError {
    AppError::Conflict { code: "id_taken", detail: "another message has this id".to_owned() }
}

/// A hash of several texts that depends on where one ends and the next begins.
fn hash(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
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
