//! How a job travels through the spool: all that is known of it in a form that the spool's own broker does not read.
//!
//! So nothing of it takes effect there: no due time, no expiry, no order of urgency. A version byte comes first; readers of
//! retired versions stay.

use std::sync::Arc;

use bytes::Bytes;
use palomar_model::{MessageId, Priority, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::remote::CallId;
use crate::broker::BrokerError;
use crate::types::{Dedupe, JobId, Key, NewJob, OnUncertain, QueueName};

const VERSION: u8 = 1;
/// What an envelope takes beside the payload, at most: names, and a few identities.
pub(super) const MOST_OVERHEAD: usize = 4096;

/// All of a job but its payload, which follows.
#[derive(Serialize, Deserialize)]
struct Cover {
    id: u128,
    queue: QueueName,
    priority: u8,
    group: Option<String>,
    key: Option<Key>,
    run_at: Option<i64>,
    expires_at: Option<i64>,
    on_uncertain: u8,
    spends_budget: bool,
    dedupe: Vec<Dedupe>,
}

/// Jobs that went to the shared broker in one call of which it is not known whether it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Doubt {
    /// The partition that was called.
    pub(super) partition: u32,
    pub(super) call: CallId,
    /// What each is known by in the spool, in the order of the call.
    pub(super) jobs: Vec<u128>,
}

/// What can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is in the spool can't be read: it is damaged, or of a later version")]
pub(super) struct Unreadable;

fn written<T: Serialize>(value: &T, room: usize) -> Result<Vec<u8>, BrokerError> {
    let mut bytes = Vec::with_capacity(64 + room);
    bytes.push(VERSION);
    let failed = |error: postcard::Error| BrokerError::Failed(format!("the spool: {error}").into());
    postcard::to_extend(value, bytes).map_err(failed)
}

const POLICIES: [OnUncertain; 3] = [OnUncertain::Hold, OnUncertain::Retry, OnUncertain::Drop];

/// A job in its envelope.
pub(super) fn wrap(job: &NewJob) -> Result<Bytes, BrokerError> {
    let cover = Cover {
        id: job.id.0.as_u128(),
        queue: job.queue.clone(),
        priority: job.priority.index() as u8,
        group: job.group.as_deref().map(str::to_owned),
        key: job.key,
        run_at: job.run_at.map(Timestamp::micros),
        expires_at: job.expires_at.map(Timestamp::micros),
        on_uncertain: POLICIES.iter().position(|policy| *policy == job.on_uncertain).unwrap_or(0) as u8,
        spends_budget: job.spends_budget,
        dedupe: job.dedupe.clone(),
    };
    let mut bytes = written(&cover, job.payload.len())?;
    bytes.extend_from_slice(&job.payload);
    Ok(bytes.into())
}

/// The job of an envelope.
pub(super) fn unwrap(envelope: &Bytes) -> Result<NewJob, Unreadable> {
    let body = envelope.strip_prefix(&[VERSION]).ok_or(Unreadable)?;
    let (cover, payload): (Cover, _) = postcard::take_from_bytes(body).map_err(|_| Unreadable)?;
    Ok(NewJob {
        id: id_of(cover.id),
        queue: cover.queue,
        priority: *Priority::ALL.get(usize::from(cover.priority)).ok_or(Unreadable)?,
        group: cover.group.map(Arc::from),
        key: cover.key,
        run_at: cover.run_at.map(Timestamp::from_micros),
        expires_at: cover.expires_at.map(Timestamp::from_micros),
        on_uncertain: *POLICIES.get(usize::from(cover.on_uncertain)).ok_or(Unreadable)?,
        spends_budget: cover.spends_budget,
        dedupe: cover.dedupe,
        payload: envelope.slice(envelope.len() - payload.len()..),
    })
}

impl Doubt {
    pub(super) fn write(&self) -> Result<Bytes, BrokerError> {
        written(self, 20 * self.jobs.len()).map(Bytes::from)
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Doubt, Unreadable> {
        let body = bytes.strip_prefix(&[VERSION]).ok_or(Unreadable)?;
        postcard::from_bytes(body).map_err(|_| Unreadable)
    }

    /// What it is known by in the spool: a caller has numbers of its own in each partition.
    pub(super) fn id(&self) -> JobId {
        let CallId { caller, number } = self.call;
        id_of(u128::from(caller) << 64 | u128::from(self.partition) << 48 | u128::from(number))
    }
}

pub(super) fn id_of(id: u128) -> JobId {
    MessageId(Uuid::from_u128(id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_job_comes_out_as_it_went_in() {
        let queue = QueueName::new("outbound", "line").expect("a name");
        let plain = NewJob::new(id_of(7), queue, "hola");
        let full = NewJob {
            priority: Priority::Low,
            group: Some("campaign".into()),
            key: Some(Key::of("+34600111222")),
            run_at: Some(Timestamp::from_seconds(1_800_000_000)),
            expires_at: Some(Timestamp::MAX),
            on_uncertain: OnUncertain::Drop,
            spends_budget: false,
            dedupe: vec![Dedupe { id: u128::MAX, fingerprint: 9, ttl: Duration::from_secs(1) }],
            ..plain.clone()
        };
        for job in [plain, full] {
            let envelope = wrap(&job).expect("written");
            assert_eq!(unwrap(&envelope), Ok(job));
            for end in 0..envelope.len().min(8) {
                assert_eq!(unwrap(&envelope.slice(..end)), Err(Unreadable), "{end}");
            }
        }
        assert_eq!(unwrap(&Bytes::from_static(b"\x02later")), Err(Unreadable));
    }

    #[test]
    fn a_doubt_comes_out_as_it_went_in() {
        let call = CallId { caller: u64::MAX, number: 3 };
        let doubt = Doubt { partition: 2, call, jobs: vec![1, u128::MAX] };
        assert_eq!(Doubt::read(&doubt.write().expect("written")), Ok(doubt.clone()));
        let other = Doubt { call: CallId { number: 4, ..call }, ..doubt.clone() };
        let elsewhere = Doubt { partition: 1, ..doubt.clone() };
        assert!(doubt.id() != other.id() && doubt.id() != elsewhere.id());
    }
}
