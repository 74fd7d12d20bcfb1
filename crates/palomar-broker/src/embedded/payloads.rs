//! Payloads in memory, up to a budget; the rest is read from disk when it is its turn.
//!
//! A job that is no more is forgotten here too; numbers are never used again, so what is held is never another's.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use palomar_model::Timestamp;

use super::batch::{self, Record};
use super::codec::Damaged;
use super::jobs::{LastBatch, Row};
use super::store::Store;
use crate::machine::NewRow;
use crate::types::JobId;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 96;
/// So many that were handed out are remembered at most, in this share of the budget.
const LENT: usize = 1024;
const LENT_SHARE: usize = 16;
/// What is due later than this takes no more than half of the budget: it would keep out what is due before it.
const SOON: Duration = Duration::from_secs(60);

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
    /// Those that were handed out last: one that comes back soon is not read from disk.
    lent: Lent,
    last: RefCell<LastBatch>,
}

/// The payloads that were handed out last, as many as there is room for.
#[derive(Default)]
struct Lent {
    payloads: HashMap<u64, Payload>,
    order: VecDeque<u64>,
    bytes: usize,
}

impl Lent {
    fn add(&mut self, seq: u64, payload: Payload, room: usize) {
        self.bytes += cost(&payload.bytes);
        self.payloads.insert(seq, payload);
        self.order.push_back(seq);
        while self.bytes > room || self.order.len() > LENT {
            let Some(oldest) = self.order.pop_front() else { break };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, seq: u64) {
        if let Some(payload) = self.payloads.remove(&seq) {
            self.bytes -= cost(&payload.bytes);
        }
    }
}

fn cost(payload: &Bytes) -> usize {
    payload.len() + OVERHEAD
}

impl Payloads {
    pub(super) fn new(budget: usize) -> Payloads {
        Payloads { held: HashMap::new(), bytes: 0, budget, lent: Lent::default(), last: RefCell::default() }
    }

    /// Holds a payload if the budget allows it; answers whether it does.
    pub(super) fn offer(&mut self, seq: u64, bytes: Bytes, enqueued_at: Timestamp) -> bool {
        if self.bytes + cost(&bytes) > self.budget {
            return false;
        }
        self.bytes += cost(&bytes);
        if let Some(old) = self.held.insert(seq, Payload { bytes, enqueued_at }) {
            self.bytes -= cost(&old.bytes);
        }
        true
    }

    /// Holds the payload of a job that was just accepted, if there is room for one that is due then.
    pub(super) fn accepted(&mut self, row: NewRow, now: Timestamp) {
        let is_soon = row.spec.run_at.is_none_or(|due| due <= now.after(SOON));
        if is_soon || self.bytes < self.budget / 2 {
            self.offer(row.seq, row.payload, row.spec.enqueued_at);
        }
    }

    /// Takes a payload out: from memory, or from disk. What stands behind it in its batch is likely next in turn: as
    /// much of it as is `wanted` and as the budget allows is read with it.
    pub(super) fn take(
        &mut self,
        store: &Store,
        seq: u64,
        wanted: impl Fn(JobId, u64) -> bool,
    ) -> Result<Payload, String> {
        if let Some(payload) = self.lent.payloads.get(&seq) {
            return Ok(payload.clone());
        }
        let taken = match self.held.remove(&seq) {
            Some(payload) => {
                self.bytes -= cost(&payload.bytes);
                payload
            }
            None => {
                let taken = self.peek(store, seq)?;
                if self.bytes + OVERHEAD < self.budget {
                    self.read_ahead(store, seq, wanted);
                }
                taken
            }
        };
        self.lent.add(seq, taken.clone(), self.budget / LENT_SHARE);
        Ok(taken)
    }

    fn read_ahead(&mut self, store: &Store, seq: u64, wanted: impl Fn(JobId, u64) -> bool) {
        let mut last = self.last.take();
        let first = store.batch_of(seq);
        if let Some((first, Ok(Some(row)))) = first.map(|first| (first, last.row(store.connection(), first)))
        {
            let (records, _) = batch::read(first, &row.heads);
            for record in records.into_iter().filter(|record| record.seq > seq) {
                // Damage is told of when it is the job's turn.
                let Ok(spec) = record.spec() else { continue };
                if self.held.contains_key(&record.seq) || !wanted(spec.id, record.seq) {
                    continue;
                }
                let Ok(bytes) = row.payload(&record) else { continue };
                if !self.offer(record.seq, bytes, spec.enqueued_at) {
                    break;
                }
            }
        }
        self.last.replace(last);
    }

    /// Reads a payload without taking it out.
    pub(super) fn peek(&self, store: &Store, seq: u64) -> Result<Payload, String> {
        if let Some(payload) = self.held.get(&seq).or_else(|| self.lent.payloads.get(&seq)) {
            return Ok(payload.clone());
        }
        self.stored(store, seq, |record, row| {
            Ok(Payload { bytes: row.payload(record)?, enqueued_at: record.spec()?.enqueued_at })
        })
    }

    /// When a job was queued, if its row can be read.
    pub(super) fn enqueued_at(&self, store: &Store, seq: u64) -> Option<Timestamp> {
        if let Some(payload) = self.held.get(&seq).or_else(|| self.lent.payloads.get(&seq)) {
            return Some(payload.enqueued_at);
        }
        self.stored(store, seq, |record, _| record.spec()).ok().map(|spec| spec.enqueued_at)
    }

    /// What `read` finds in the row of a job.
    fn stored<T>(
        &self,
        store: &Store,
        seq: u64,
        read: impl FnOnce(&Record<'_>, &Row) -> Result<T, Damaged>,
    ) -> Result<T, String> {
        let missing = || format!("job {seq} has no row");
        let first = store.batch_of(seq).ok_or_else(missing)?;
        let mut last = self.last.borrow_mut();
        let row = last.row(store.connection(), first).map_err(|error| error.to_string())?;
        let row = row.ok_or_else(missing)?;
        let record = batch::find(first, &row.heads, seq).map_err(|error| error.to_string())?;
        read(&record.ok_or_else(missing)?, row).map_err(|error| error.to_string())
    }

    /// What is held, against the budget.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.lent.bytes
    }

    /// Lets a payload go: its job is no more.
    pub(super) fn forget(&mut self, seq: u64) {
        if let Some(payload) = self.held.remove(&seq) {
            self.bytes -= cost(&payload.bytes);
        }
        self.lent.remove(seq);
    }
}
