//! A job's record in Redis, written once: what the library reads of it (see `lua/jobs.lua`), then the payload.
//!
//! `queue 4 · accepted at 8 · version 1 · priority 1 · policy 1 · flags 1 · id 16 · key 8 · due 8 · expiry 8 · length of
//! the group 1 · group · payload`, high bytes first. The library puts queue and time before what is written here. A
//! group is nothing, or a byte and its name. Payloads above 1 KiB are compressed where that makes them smaller.

use std::sync::Arc;

use bytes::Bytes;
use palomar_model::{MessageId, Priority, Timestamp};
use uuid::Uuid;

use super::wire::{Malformed, micros, time};
use crate::types::{JobId, Key, NewJob, OnUncertain};

const VERSION: u8 = 1;
const SPENDS_NO_BUDGET: u8 = 1;
const COMPRESSED: u8 = 2;
/// What the library puts before.
const PREFIX: usize = 12;
const FIXED: usize = PREFIX + 4 + 16 + 3 * 8 + 1;
/// Payloads above this are compressed where that makes them smaller.
const COMPRESS_ABOVE: usize = 1024;
const COMPRESSION_LEVEL: i32 = 1;
/// No payload is larger than this when it is unpacked.
pub(super) const MAX_PAYLOAD: usize = 4 * 1024 * 1024;
/// A group's name has at most so many bytes.
pub(super) const MAX_GROUP: usize = 250;

/// A group's name as the library knows it; nothing stands for no group.
pub(super) fn group_name(name: &str) -> Vec<u8> {
    let mut named = Vec::with_capacity(name.len() + 1);
    named.push(1);
    named.extend_from_slice(name.as_bytes());
    named
}

/// The group that is meant by what the library says.
pub(super) fn group_of(named: &[u8]) -> Result<Option<Arc<str>>, Malformed> {
    match named.split_first() {
        None => Ok(None),
        Some((_, name)) => Ok(Some(std::str::from_utf8(name).map_err(|_| Malformed)?.into())),
    }
}

/// The record of a new job, but for queue and time.
pub(super) fn write(job: &NewJob) -> Vec<u8> {
    let packed = compressed(&job.payload);
    let payload = packed.as_deref().unwrap_or(&job.payload);
    let group = job.group.as_deref().map(group_name).unwrap_or_default();
    let mut record = Vec::with_capacity(FIXED - PREFIX + group.len() + payload.len());
    let policy = match job.on_uncertain {
        OnUncertain::Hold => 0,
        OnUncertain::Retry => 1,
        OnUncertain::Drop => 2,
    };
    let spends = if job.spends_budget { 0 } else { SPENDS_NO_BUDGET };
    let flags = spends | if packed.is_some() { COMPRESSED } else { 0 };
    record.extend_from_slice(&[VERSION, job.priority.index() as u8, policy, flags]);
    record.extend_from_slice(job.id.0.as_bytes());
    record.extend_from_slice(&job.key.map_or(0, Key::bits).to_be_bytes());
    record.extend_from_slice(&job.run_at.map_or(0, micros).to_be_bytes());
    // Zero stands for none.
    record.extend_from_slice(&job.expires_at.map_or(0, |at| micros(at).max(1)).to_be_bytes());
    record.push(group.len() as u8);
    record.extend_from_slice(&group);
    record.extend_from_slice(payload);
    record
}

fn compressed(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() <= COMPRESS_ABOVE {
        return None;
    }
    zstd::bulk::compress(payload, COMPRESSION_LEVEL).ok().filter(|packed| packed.len() < payload.len())
}

/// A record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) queue: u32,
    pub(super) id: JobId,
    pub(super) priority: Priority,
    pub(super) group: Option<Arc<str>>,
    pub(super) enqueued_at: Timestamp,
    /// Due later than when it was accepted.
    pub(super) scheduled: bool,
    pub(super) payload: Bytes,
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Reads a record, and unpacks its payload.
pub(super) fn read(record: &Bytes) -> Result<Record, Malformed> {
    let fixed = record.get(..FIXED).ok_or(Malformed)?;
    if fixed[12] != VERSION {
        return Err(Malformed);
    }
    let group_end = FIXED + usize::from(fixed[FIXED - 1]);
    let group = group_of(record.get(FIXED..group_end).ok_or(Malformed)?)?;
    let stored = record.slice(group_end..);
    let payload = if fixed[15] & COMPRESSED == 0 {
        stored
    } else {
        zstd::bulk::decompress(&stored, MAX_PAYLOAD).map_err(|_| Malformed)?.into()
    };
    let enqueued_at = number(&fixed[4..12]);
    Ok(Record {
        queue: number(&fixed[..4]) as u32,
        id: MessageId(Uuid::from_slice(&fixed[16..32]).map_err(|_| Malformed)?),
        priority: *Priority::ALL.get(usize::from(fixed[13])).ok_or(Malformed)?,
        group,
        enqueued_at: time(enqueued_at),
        scheduled: number(&fixed[40..48]) > enqueued_at,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::QueueName;

    fn job(payload: Vec<u8>, group: Option<&str>) -> NewJob {
        let queue = QueueName::new("outbound", "a").expect("a queue's name");
        NewJob {
            priority: Priority::Low,
            group: group.map(Into::into),
            run_at: Some(Timestamp::from_seconds(10)),
            ..NewJob::new(MessageId(Uuid::from_u128(77)), queue, payload)
        }
    }

    fn stored(job: &NewJob) -> Bytes {
        let mut record = vec![0, 0, 1, 2];
        record.extend_from_slice(&5_000_000_i64.to_be_bytes());
        record.extend_from_slice(&write(job));
        record.into()
    }

    #[test]
    fn what_is_written_is_read() {
        let noise: Vec<u8> = (0..3_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for payload in [vec![], vec![7; 100], vec![7; 100_000], noise] {
            for group in [None, Some(""), Some("campaña")] {
                let job = job(payload.clone(), group);
                let record = read(&stored(&job)).expect("a record");
                assert_eq!((record.queue, record.id, record.priority), (258, job.id, job.priority));
                assert_eq!((record.group, record.payload), (job.group, job.payload));
                assert_eq!((record.enqueued_at, record.scheduled), (Timestamp::from_seconds(5), true));
            }
        }
        assert!(stored(&job(vec![7; 100_000], None)).len() < 200, "what can be compressed is");
        assert_eq!(stored(&job(vec![7; 256], None)).len(), FIXED + 256);
    }

    #[test]
    fn damage_is_an_error() {
        let job = job(vec![7; 100_000], Some("g"));
        let record = stored(&job);
        for len in 0..record.len() {
            // A payload that is empty by what is left of it is one; what was compressed has its length in it.
            let cut = read(&record.slice(..len));
            assert!(
                cut.as_ref().is_ok_and(|cut| cut.payload.is_empty()) || cut.is_err(),
                "cut to {len}: {cut:?}"
            );
        }
    }
}
