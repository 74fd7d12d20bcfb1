//! How a lease ends: what its worker says became of it, and what that says about the queue.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;

use super::Machine;
use super::change::Change;
use super::queue::Breaker;
use super::slab::{Phase, SlotIx};
use crate::types::{LeaseError, Outcome, Settle, Signal, Verdict};

/// Leases or panics in a row that make a dead letter.
const POISON: u8 = 3;

impl Machine {
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
            self.conclude_with(
                ix,
                Change::Died { seq, reason: "poison: its handler panicked three times".into() },
            );
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
                    Breaker::HalfOpen { .. } if is_probe => {
                        self.record(Change::BreakerOpened { queue, until });
                    }
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
                let grace = state.limits.throttle_wait;
                let throttle = state.throttle.refused(self.now, after.unwrap_or(grace), grace);
                self.record(Change::Throttled { queue, throttle });
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
}
