//! Payloads in memory, up to a budget; the rest is read from disk when it is its turn.

use std::collections::HashMap;

use bytes::Bytes;
use palomar_model::Timestamp;
use rusqlite::Connection;

use super::codec;

/// Jobs that are read ahead when one has to be read: the next ones in the order of arrival are likely next in turn.
const READ_AHEAD: i64 = 64;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 96;

/// A payload and when its job was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    pub(super) enqueued_at: Timestamp,
}

/// Payloads by the sequence number of their job.
pub(super) struct Payloads {
    /// Once the budget is used up the newest are not taken in: the oldest are wanted first.
    held: HashMap<u64, Payload>,
    bytes: usize,
    budget: usize,
}

impl Payloads {
    pub(super) fn new(budget: usize) -> Payloads {
        Payloads { held: HashMap::new(), bytes: 0, budget }
    }

    /// Holds a payload if the budget allows it; answers whether it does.
    pub(super) fn offer(&mut self, seq: u64, bytes: Bytes, enqueued_at: Timestamp) -> bool {
        let cost = bytes.len() + OVERHEAD;
        if self.bytes + cost > self.budget {
            return false;
        }
        self.bytes += cost;
        if let Some(old) = self.held.insert(seq, Payload { bytes, enqueued_at }) {
            self.bytes -= old.bytes.len() + OVERHEAD;
        }
        true
    }

    /// Takes a payload out: from memory, or from disk.
    pub(super) fn take(&mut self, db: &Connection, seq: u64) -> Result<Payload, String> {
        if let Some(payload) = self.held.remove(&seq) {
            self.bytes -= payload.bytes.len() + OVERHEAD;
            return Ok(payload);
        }
        let mut wanted = Err(format!("job {seq} has no row"));
        let mut statement = db
            .prepare_cached("SELECT seq, spec FROM job WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
            .map_err(|error| error.to_string())?;
        let mut rows = statement.query([seq as i64, READ_AHEAD]).map_err(|error| error.to_string())?;
        while let Some(row) = rows.next().map_err(|error| error.to_string())? {
            let found: i64 = row.get(0).map_err(|error| error.to_string())?;
            let found = found as u64;
            if wanted.is_err() && found != seq {
                break;
            }
            if self.held.contains_key(&found) {
                continue;
            }
            let blob = row.get_ref(1).map_err(|error| error.to_string())?;
            let read = blob
                .as_blob()
                .map_err(|error| error.to_string())
                .and_then(|blob| codec::read_job(blob, found).map_err(|error| error.to_string()));
            match read {
                Ok((spec, bytes)) if found == seq => {
                    wanted = Ok(Payload { bytes, enqueued_at: spec.enqueued_at });
                }
                Ok((spec, bytes)) => {
                    if !self.offer(found, bytes, spec.enqueued_at) {
                        break;
                    }
                }
                Err(error) if found == seq => return Err(error),
                Err(_) => {}
            }
        }
        wanted
    }

    /// Reads a payload without taking it out.
    pub(super) fn peek(&self, db: &Connection, seq: u64) -> Result<Payload, String> {
        if let Some(payload) = self.held.get(&seq) {
            return Ok(payload.clone());
        }
        let row: Vec<u8> = db
            .prepare_cached("SELECT spec FROM job WHERE seq = ?1")
            .and_then(|mut statement| statement.query_row([seq as i64], |row| row.get(0)))
            .map_err(|error| error.to_string())?;
        let (spec, bytes) = codec::read_job(&row, seq).map_err(|error| error.to_string())?;
        Ok(Payload { bytes, enqueued_at: spec.enqueued_at })
    }

    /// When a job was queued, if its row can be read.
    pub(super) fn enqueued_at(&self, db: &Connection, seq: u64) -> Option<Timestamp> {
        if let Some(payload) = self.held.get(&seq) {
            return Some(payload.enqueued_at);
        }
        let mut statement = db.prepare_cached("SELECT spec FROM job WHERE seq = ?1").ok()?;
        let row: Vec<u8> = statement.query_row([seq as i64], |row| row.get(0)).ok()?;
        codec::read_spec(&row, seq).ok().map(|spec| spec.enqueued_at)
    }

    /// What is held, against the budget.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Lets a payload go: its job is no more.
    pub(super) fn forget(&mut self, seq: u64) {
        if let Some(payload) = self.held.remove(&seq) {
            self.bytes -= payload.bytes.len() + OVERHEAD;
        }
    }
}
