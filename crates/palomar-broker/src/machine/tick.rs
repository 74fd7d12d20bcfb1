//! What time does: due jobs wake, leases run out, doubt ends, budgets free up, requests are forgotten.

use std::cmp::Reverse;

use palomar_model::Timestamp;

use super::Machine;
use super::change::Change;
use super::slab::{Phase, SlotIx};
use crate::types::{OnUncertain, Resolved};

impl Machine {
    /// Moves the present on and does all that is due by then.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.set_now(now);
        self.expire();
        while let Some((when, ix)) = self.sleepers.first(&self.slab)
            && when <= self.now
        {
            self.wake(ix);
        }
        // What a lease or a doubt gave back may have expired meanwhile.
        self.expire();
        self.gave_up = false;
        self.free_budgets();
        while let Some(&(until, queue)) = self.gated.first()
            && until <= self.now
        {
            self.wake_queue(queue);
        }
        while let Some(Reverse((until, id))) = self.forget_at.peek().copied()
            && until <= self.now
        {
            self.forget_at.pop();
            if self.remembered.get(&id).is_some_and(|request| request.until <= self.now) {
                self.remembered.remove(&id);
            }
        }
    }

    /// When something is due by itself, so that [`Machine::tick`] should be called.
    pub(crate) fn next_tick(&self) -> Option<Timestamp> {
        let sleeper = self.sleepers.first(&self.slab).map(|(when, _)| when);
        let gate = self.gated.first().map(|&(until, _)| until);
        let expiry = self.expiries.first().map(|&(at, ..)| at);
        let budget = self
            .budgets
            .iter()
            .filter(|budget| !budget.waiting.is_empty())
            .filter(|budget| budget.next_place(self.now) > self.now || budget.open_places(self.now) > 0)
            .map(|budget| budget.next_place(self.now))
            .min();
        let again = self.gave_up.then_some(self.now);
        [sleeper, gate, expiry, budget, again].into_iter().flatten().min()
    }

    fn expire(&mut self) {
        while let Some(&(at, seq, ix)) = self.expiries.first()
            && at <= self.now
        {
            self.expiries.pop_first();
            if self.slab[ix].phase.waits() {
                self.conclude_with(ix, Change::Expired { seq });
            }
        }
    }

    fn wake(&mut self, ix: SlotIx) {
        let seq = self.slab[ix].seq;
        let queue = self.queue_of(ix);
        match self.slab[ix].phase {
            Phase::Scheduled => self.record_of(ix, Change::Woke { seq }),
            Phase::Backoff | Phase::Pacing => {
                self.leave(ix);
                self.enter_first(ix, Phase::Ready, self.now);
            }
            Phase::Leased => {
                self.queue_mut(queue).expired_leases[0] += 1;
                self.lease_ran_out(ix);
            }
            Phase::Started => {
                self.queue_mut(queue).expired_leases[1] += 1;
                self.probe_is_over(ix);
                self.doubt(ix);
            }
            Phase::Doubted => self.stand_aside(ix),
            Phase::Aside => self.apply_policy(ix),
            // The others are not among the sleepers.
            _ => self.sleepers.remove(&mut self.slab, ix),
        }
    }

    /// Later jobs of the key wait no longer for an uncertain one.
    fn stand_aside(&mut self, ix: SlotIx) {
        let limits = &self.queue(self.queue_of(ix)).limits;
        let rest = limits.uncertain_wait.saturating_sub(limits.order_wait);
        let until = self.slab[ix].when.after(rest);
        let seq = self.slab[ix].seq;
        self.record_of(ix, Change::StoodAside { seq, until });
    }

    /// No evidence came in time.
    fn apply_policy(&mut self, ix: SlotIx) {
        let seq = self.slab[ix].seq;
        match self.slab[ix].policy() {
            OnUncertain::Hold => self.shift(ix, Phase::Held, self.now),
            OnUncertain::Retry => {
                self.was_resolved(ix, Resolved::ByPolicy);
                self.record_of(ix, Change::Revived { seq, by_person: false });
            }
            OnUncertain::Drop => {
                self.was_resolved(ix, Resolved::ByPolicy);
                self.conclude_with(ix, Change::Died { seq, reason: "uncertain".into() });
            }
        }
    }

    /// Counts, where a job is uncertain, what ends that. Called before it does.
    pub(super) fn was_resolved(&mut self, ix: SlotIx, how: Resolved) {
        if matches!(self.slab[ix].phase, Phase::Doubted | Phase::Aside | Phase::Held) {
            let queue = self.queue_of(ix);
            self.queue_mut(queue).resolved[how as usize] += 1;
        }
    }

    /// A lease has looked at all that was let go: what is free now is offered anew.
    pub(super) fn offer_places(&mut self) -> bool {
        for budget in &mut self.budgets {
            budget.let_go = 0;
        }
        self.free_budgets()
    }

    /// Lets parked jobs try again, as many as there are places; whether there were any. Once: what was let go holds
    /// the places until a lease has looked at it, so that time passing twice is as good as once.
    fn free_budgets(&mut self) -> bool {
        let mut moved = false;
        for budget in 0..self.budgets.len() {
            let mut places = self.budgets[budget].open_places(self.now);
            let mut rounds = self.budgets[budget].waiting.len();
            while places > 0 && rounds > 0 {
                let Some(queue) = self.budgets[budget].waiting.pop_front() else {
                    break;
                };
                rounds -= 1;
                // It was removed, or spends another budget now.
                if self.queues[queue as usize]
                    .as_ref()
                    .is_none_or(|queue| queue.budget != Some(budget as u32))
                {
                    continue;
                }
                let unparked = self.unpark(queue, places);
                moved |= unparked > 0;
                places -= unparked;
                self.budgets[budget].let_go += unparked;
                if self.queue(queue).parked.len > 0 {
                    self.budgets[budget].waiting.push_back(queue);
                }
            }
        }
        moved
    }
}
