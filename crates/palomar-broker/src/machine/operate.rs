//! What producers and workers do: enqueue, lease, start, renew, settle, evidence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::Timestamp;

use super::change::{Change, NewRow, Spec};
use super::queue::{Breaker, Gate};
use super::slab::{Phase, SlotIx};
use super::turn::KeyRestraint;
use super::Machine;
use crate::types::{
    Enqueued, Evidence, EvidenceEffect, JobId, LeaseError, LeaseRef, NewJob, Outcome, Settle, Signal, Started, Verdict,
};

/// Leases or panics in a row that make a dead letter.
const POISON: u8 = 3;

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
        if let Some(dedupe) = job.dedupe
            && let Some(known) = self.remembered.get(&dedupe.id).filter(|known| known.until > self.now)
        {
            self.dedupe_hits += 1;
            let of = palomar_model::MessageId(uuid::Uuid::from_u128(known.job));
            let same = known.fingerprint == dedupe.fingerprint;
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
                dedupe: job.dedupe.map(|dedupe| (dedupe.id, dedupe.fingerprint, dedupe.ttl)),
            },
            payload: job.payload,
        };
        let ix = self.admit(&row);
        self.set_out(ix, &row.spec);
        self.changes.rows.push(row);
        Enqueued::Accepted
    }

    /// Leases up to `max` jobs of a pool that may start now, and starts them where asked.
    pub(crate) fn lease(&mut self, pool: &str, max: usize, lease: Duration, start: bool, now: Timestamp) -> Vec<Leasing> {
        self.tick(now);
        let Some(&pool) = self.pool_by_name.get(pool) else { return Vec::new() };
        let mut given = Vec::new();
        let mut aside = 0;
        while given.len() < max {
            let Some(ix) = self.next_of_pool(pool, &mut aside) else { break };
            given.push(self.lease_one(ix, lease, start));
        }
        self.gave_up = given.is_empty() && aside >= super::turn::MOST_ASIDE;
        given
    }

    fn lease_one(&mut self, ix: SlotIx, lease: Duration, start: bool) -> Leasing {
        let queue = self.queue_of(ix);
        let seq = self.slab[ix].seq;
        let token = self.slab[ix].token + 1;
        self.probe_if_open(queue, seq);
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
    fn leased_slot(&mut self, lease: LeaseRef) -> Result<SlotIx, LeaseError> {
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
        let open = self.queue(queue).gate(self.now, 1) == Gate::Open;
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

    /// Ends a lease.
    pub(crate) fn settle(&mut self, settle: Settle, now: Timestamp) -> Result<(), LeaseError> {
        self.tick(now);
        let ix = self.leased_slot(settle.lease)?;
        let seq = self.slab[ix].seq;
        let queue = self.queue_of(ix);
        self.log_events(Some(seq), settle.events);
        self.signal(queue, seq, &settle.signal);
        self.probe_is_over(ix);
        let unstarted = self.slab[ix].phase == Phase::Leased;
        match settle.outcome {
            // Evidence that came while the attempt ran counts as much as evidence that comes a moment later.
            _ if self.verdict_of(ix) == Some(&Verdict::Taken) => self.conclude_with(ix, Change::Done { seq }),
            Outcome::Done => self.conclude_with(ix, Change::Done { seq }),
            Outcome::Dead { reason } => self.conclude_with(ix, Change::Died { seq, reason }),
            Outcome::Uncertain if unstarted => self.record_of(ix, Change::Returned { seq, strike: false }),
            Outcome::Uncertain => self.doubt(ix),
            Outcome::Release if unstarted => self.record_of(ix, Change::Returned { seq, strike: false }),
            // There was no attempt that could count.
            Outcome::Retry { at, .. } if unstarted => {
                self.record_of(ix, Change::Requeued { seq, at, counts: true, strike: false });
            }
            Outcome::Retry { at, counts } => {
                self.record_of(ix, Change::Requeued { seq, at, counts, strike: false });
            }
            Outcome::Release => {
                let at = self.now;
                self.record_of(ix, Change::Requeued { seq, at, counts: false, strike: false });
            }
            Outcome::Panicked => self.panicked(ix, unstarted),
        }
        Ok(())
    }

    fn panicked(&mut self, ix: SlotIx, unstarted: bool) {
        let seq = self.slab[ix].seq;
        if self.slab[ix].strikes() + 1 >= POISON {
            self.conclude_with(ix, Change::Died { seq, reason: "poison: its handler panicked three times".into() });
        } else if unstarted {
            self.record_of(ix, Change::Returned { seq, strike: true });
        } else {
            let at = self.now;
            self.record_of(ix, Change::Requeued { seq, at, counts: true, strike: true });
        }
    }

    /// Makes a job final and forgets the oldest of its kind beyond what is kept.
    pub(super) fn conclude_with(&mut self, ix: SlotIx, change: Change) {
        self.probe_is_over(ix);
        let queue = self.queue_of(ix);
        self.record_of(ix, change);
        let phase = self.slab[ix].phase;
        self.trim_kept(queue, phase);
    }

    /// The outcome of a started attempt is not known, unless evidence came before.
    pub(super) fn doubt(&mut self, ix: SlotIx) {
        let seq = self.slab[ix].seq;
        match self.verdict_of(ix).cloned() {
            Some(Verdict::Taken) => self.conclude_with(ix, Change::Done { seq }),
            Some(Verdict::Failed { reason }) => self.conclude_with(ix, Change::Died { seq, reason }),
            None => self.record_of(ix, Change::Doubted { seq }),
        }
    }

    /// An unstarted lease ran out.
    pub(super) fn lease_ran_out(&mut self, ix: SlotIx) {
        let seq = self.slab[ix].seq;
        self.probe_is_over(ix);
        if self.slab[ix].strikes() + 1 >= POISON {
            let reason = "poison: three leases in a row ran out before they started".into();
            self.conclude_with(ix, Change::Died { seq, reason });
        } else {
            self.record_of(ix, Change::Returned { seq, strike: true });
        }
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

    /// What an attempt says about its queue.
    fn signal(&mut self, queue: u32, seq: u64, signal: &Signal) {
        let state = self.queue(queue);
        let (config, breaker) = (state.limits.breaker, state.breaker);
        let is_probe = breaker == Breaker::HalfOpen { probe: seq };
        match signal {
            Signal::None => {}
            Signal::Success => match breaker {
                Breaker::HalfOpen { .. } if is_probe => self.record(Change::BreakerClosed { queue }),
                Breaker::Closed { .. } => self.record(Change::Succeeded { queue }),
                _ => {}
            },
            Signal::Failure => {
                let until = self.now.after(config.open_for);
                match breaker {
                    Breaker::HalfOpen { .. } if is_probe => self.record(Change::BreakerOpened { queue, until }),
                    Breaker::Fresh | Breaker::Closed { .. } if config.failures > 0 => {
                        if breaker.failures() + 1 >= config.failures {
                            self.record(Change::BreakerOpened { queue, until });
                        } else {
                            self.record(Change::Faulted { queue });
                        }
                    }
                    _ => {}
                }
            }
            Signal::Throttled { after } => {
                let wait = after.unwrap_or(state.limits.throttle_wait);
                let rate_permille = state.throttle.slowed(self.now, state.limits.throttle_wait);
                let until = self.now.after(wait);
                self.record(Change::Throttled { queue, until, rate_permille });
            }
            Signal::Pause { reason } => {
                if state.paused.is_none() {
                    self.record(Change::Paused { queue, reason: Arc::clone(reason) });
                }
            }
        }
    }

    /// A lease ends. If it was the breaker's probe and told nothing, another job is the probe: at once where the
    /// other side was not called, else when the breaker's time is over again.
    pub(super) fn probe_is_over(&mut self, ix: SlotIx) {
        let (queue, seq) = (self.queue_of(ix), self.slab[ix].seq);
        let state = self.queue(queue);
        if state.breaker == (Breaker::HalfOpen { probe: seq }) {
            let called = self.slab[ix].phase == Phase::Started;
            let wait = if called { state.limits.breaker.open_for } else { Duration::ZERO };
            let until = self.now.after(wait);
            self.record(Change::BreakerOpened { queue, until });
        }
    }

    /// Takes in what was learned of an attempt. The events are logged whatever it changes.
    pub(crate) fn evidence(&mut self, evidence: Evidence, now: Timestamp) -> EvidenceEffect {
        self.tick(now);
        let Some(ix) = self.slab.find(evidence.id) else {
            self.log_events(None, evidence.events);
            return EvidenceEffect::Nothing;
        };
        let seq = self.slab[ix].seq;
        self.log_events(Some(seq), evidence.events);
        self.weigh(ix, evidence.attempt, evidence.verdict)
    }

    fn weigh(&mut self, ix: SlotIx, attempt: u32, verdict: Verdict) -> EvidenceEffect {
        let (seq, phase) = (self.slab[ix].seq, self.slab[ix].phase);
        let newest_start = self.newest_start(ix);
        let newest = newest_start == attempt;
        if attempt == 0 || attempt > newest_start {
            return EvidenceEffect::Nothing;
        }
        match (phase, verdict) {
            (Phase::Started, verdict) if newest => {
                // Its worker will say so itself, or be found silent when the lease ends.
                self.record_of(ix, Change::Vouched { seq, verdict });
                EvidenceEffect::Nothing
            }
            (Phase::Started | Phase::Done, Verdict::Taken) if !newest => {
                if phase == Phase::Started {
                    // Should the newer attempt turn out not to have been taken, the job is done all the same.
                    self.record_of(ix, Change::Vouched { seq, verdict: Verdict::Taken });
                }
                // A provider tells of one send several times: sent, delivered, read.
                if self.duplicated.contains(&ix) {
                    return EvidenceEffect::Nothing;
                }
                self.record_of(ix, Change::DuplicateSend { seq });
                EvidenceEffect::DuplicateSend
            }
            (Phase::Done | Phase::Cancelled | Phase::Expired, _) => EvidenceEffect::Nothing,
            (Phase::Dead, Verdict::Failed { .. }) => EvidenceEffect::Nothing,
            (_, Verdict::Taken) => {
                if !newest {
                    self.record_of(ix, Change::Proved { seq, attempt });
                }
                self.conclude_with(ix, Change::Done { seq });
                EvidenceEffect::Resolved
            }
            (Phase::Doubted | Phase::Aside | Phase::Held, Verdict::Failed { reason }) if newest => {
                self.conclude_with(ix, Change::Died { seq, reason });
                EvidenceEffect::Resolved
            }
            (_, Verdict::Failed { .. }) => EvidenceEffect::Nothing,
        }
    }

    /// The newest token of a job, for tests and tools.
    pub(crate) fn find(&self, id: JobId) -> Option<SlotIx> {
        self.slab.find(id)
    }
}
