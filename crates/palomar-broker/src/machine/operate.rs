//! What producers and workers do: enqueue, lease, start, renew.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::Timestamp;

use super::Machine;
use super::change::{Change, NewRow, Spec};
use super::queue::{Asks, Breaker, Gate};
use super::slab::{Phase, SlotIx};
use super::turn::KeyRestraint;
use crate::types::{Enqueued, LeaseError, LeaseRef, NewJob, Started};

/// A lease that was given; the job's payload is found by its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leasing {
    pub(crate) seq: u64,
    pub(crate) lease: LeaseRef,
    pub(crate) queue: crate::types::QueueName,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) priority: palomar_model::Priority,
    pub(crate) tries: u32,
    pub(crate) started: bool,
    pub(crate) until: Timestamp,
}

impl Machine {
    /// Queues jobs.
    pub(crate) fn enqueue(&mut self, jobs: Vec<NewJob>, now: Timestamp) -> Vec<Enqueued> {
        // What became due before goes before.
        self.tick(now);
        let from = self.next_seq;
        let answers = jobs.into_iter().map(|job| self.enqueue_one(job)).collect();
        let count = u32::try_from(self.next_seq - from).unwrap_or(u32::MAX);
        if count > 0 {
            self.changes.log.push(Change::Enqueued { from, count });
        }
        answers
    }

    fn enqueue_one(&mut self, job: NewJob) -> Enqueued {
        let known = job.dedupe.iter().find_map(|dedupe| {
            let known = self.remembered.get(&dedupe.id).filter(|known| known.until > self.now)?;
            Some((known.job, known.fingerprint == dedupe.fingerprint))
        });
        if let Some((of, same)) = known {
            self.dedupe_hits += 1;
            let of = palomar_model::MessageId(uuid::Uuid::from_u128(of));
            return if same { Enqueued::Duplicate { of } } else { Enqueued::Conflict { of } };
        }
        if self.slab.find(job.id).is_some() {
            self.dedupe_hits += 1;
            return Enqueued::Duplicate { of: job.id };
        }
        let queue = self.queue_named(&job.queue);
        let row = NewRow {
            seq: self.next_seq,
            spec: Spec {
                id: job.id,
                queue,
                priority: job.priority,
                group: job.group,
                key: job.key.map_or(0, crate::types::Key::bits),
                run_at: job.run_at,
                expires_at: job.expires_at,
                on_uncertain: job.on_uncertain,
                spends_budget: job.spends_budget,
                enqueued_at: self.now,
                dedupe: job.dedupe.iter().map(|dedupe| (dedupe.id, dedupe.fingerprint, dedupe.ttl)).collect(),
            },
            payload: job.payload,
        };
        let ix = self.admit(&row);
        self.set_out(ix, &row.spec);
        self.changes.rows.push(row);
        Enqueued::Accepted
    }

    /// Leases up to `max` jobs of a pool that may start now, and starts them where asked.
    pub(crate) fn lease(
        &mut self,
        pool: &str,
        max: usize,
        lease: Duration,
        start: bool,
        now: Timestamp,
    ) -> Vec<Leasing> {
        self.tick(now);
        let Some(&pool) = self.pool_by_name.get(pool) else {
            return Vec::new();
        };
        let mut given = Vec::new();
        let mut aside = 0;
        while given.len() < max {
            match self.next_of_pool(pool, &mut aside) {
                Some(ix) => given.push(self.lease_one(ix, lease, start)),
                // A place in a budget may have been offered to jobs that can't go for other reasons.
                None if aside < super::turn::MOST_ASIDE && self.offer_places() => {}
                None => break,
            }
        }
        self.gave_up = given.is_empty() && aside >= super::turn::MOST_ASIDE;
        given
    }

    fn lease_one(&mut self, ix: SlotIx, lease: Duration, start: bool) -> Leasing {
        let queue = self.queue_of(ix);
        let seq = self.slab[ix].seq;
        let token = self.slab[ix].token + 1;
        self.probe_if_open(queue, seq);
        let now = self.now;
        self.queue_mut(queue).take_slice(now);
        let limits = &self.queue(queue).limits;
        // A start is never given less time than a call may take.
        let least = if start { limits.deadline + limits.lease_margin } else { Duration::ZERO };
        let until = self.now.after(lease.max(least));
        if start {
            self.record_of(ix, Change::Started { seq, token });
        } else {
            self.record_of(ix, Change::Leased { seq, token });
        }
        self.hold_until(ix, until);
        let group = self.group(self.slab[ix].lane / 4).name.clone();
        let tries = u32::from(self.slab[ix].attempts) + u32::from(!start);
        Leasing {
            seq,
            lease: LeaseRef { id: self.id_of(ix), token },
            queue: self.queue(queue).name.clone(),
            group,
            priority: self.slab[ix].priority(),
            tries,
            started: start,
            until,
        }
    }

    /// An open breaker whose time has come: this job is its probe.
    fn probe_if_open(&mut self, queue: u32, seq: u64) {
        if let Breaker::Open { .. } = self.queue(queue).breaker {
            self.record(Change::Probing { queue, seq });
        }
    }

    /// Sets when a lease ends. Not durable: a process that is gone has no leases.
    fn hold_until(&mut self, ix: SlotIx, until: Timestamp) {
        self.sleepers.remove(&mut self.slab, ix);
        self.slab[ix].when = until;
        self.sleepers.push(&mut self.slab, ix);
    }

    /// The slot of a lease, if it is the newest of its job and has not ended.
    pub(super) fn leased_slot(&mut self, lease: LeaseRef) -> Result<SlotIx, LeaseError> {
        let slot = self.slab.find(lease.id);
        let held = slot.filter(|&ix| {
            let slot = &self.slab[ix];
            slot.token == lease.token && matches!(slot.phase, Phase::Leased | Phase::Started)
        });
        if held.is_none()
            && let Some(ix) = slot
        {
            let queue = self.queue_of(ix);
            self.queue_mut(queue).stale += 1;
        }
        held.ok_or(LeaseError::Stale)
    }

    /// Marks that an attempt begins.
    pub(crate) fn start(&mut self, lease: LeaseRef, now: Timestamp) -> Result<Started, LeaseError> {
        self.tick(now);
        let ix = self.leased_slot(lease)?;
        let slot = &self.slab[ix];
        if slot.phase == Phase::Started {
            // The worker repeats a call whose answer it did not get: the attempt began, once.
            return Ok(Started { attempt: slot.token });
        }
        let (seq, until) = (slot.seq, slot.when);
        let queue = self.queue_of(ix);
        let limits = &self.queue(queue).limits;
        if self.now.after(limits.deadline + limits.lease_margin) > until {
            return Err(LeaseError::TooLate);
        }
        if self.expires_at.get(&ix).is_some_and(|&at| at <= self.now) {
            self.conclude_with(ix, Change::Expired { seq });
            return Err(LeaseError::TakenBack);
        }
        let group_paused = self.group(self.slab[ix].lane / 4).paused;
        let probing = match self.queue(queue).breaker {
            Breaker::HalfOpen { probe } => probe == seq,
            _ => true,
        };
        let open = self.queue(queue).gate(self.now, Asks::Start) == Gate::Open;
        if group_paused || !probing || !open || self.key_restraint(ix) != KeyRestraint::None {
            self.probe_is_over(ix);
            self.record_of(ix, Change::Returned { seq, strike: false });
            return Err(LeaseError::TakenBack);
        }
        self.probe_if_open(queue, seq);
        self.record_of(ix, Change::Started { seq, token: lease.token });
        self.hold_until(ix, until);
        Ok(Started { attempt: lease.token })
    }

    /// Prolongs a lease.
    pub(crate) fn renew(&mut self, lease: LeaseRef, by: Duration, now: Timestamp) -> Result<(), LeaseError> {
        self.tick(now);
        let ix = self.leased_slot(lease)?;
        self.hold_until(ix, self.now.after(by));
        Ok(())
    }

    pub(super) fn log_events(&mut self, seq: Option<u64>, events: Vec<Bytes>) {
        for body in events {
            self.record(Change::Event { seq, body });
        }
    }

    /// Logs events that belong to no job.
    pub(crate) fn log(&mut self, events: Vec<Bytes>, now: Timestamp) {
        self.set_now(now);
        self.log_events(None, events);
    }
}
