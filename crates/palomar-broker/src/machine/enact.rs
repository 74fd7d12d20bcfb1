//! The one place where a job moves from phase to phase, and a queue from state to state.
//!
//! `enact` decides nothing: it does what a change says, for a change that was just decided and for one that is read
//! back after a crash.

use std::sync::Arc;

use super::budget::BudgetState;
use super::change::{Change, PhaseTag};
use super::queue::{Breaker, Queue};
use super::slab::{NONE, Phase, SlotIx};
use super::turn::kept_list;
use super::{Machine, Pool};
use crate::types::{JobId, Limits, QueueName, Verdict};

impl Machine {
    /// Does what a change says. `at` is the slot of the change's job, where it is at hand.
    pub(super) fn enact(&mut self, change: &Change, at: Option<SlotIx>) {
        match change {
            // The jobs come in by `admit`.
            Change::Enqueued { .. } => {}
            Change::Configured { queue, name, limits } => self.configured(*queue, name, limits),
            Change::Removed { queue } => self.removed(*queue),
            Change::Paused { queue, reason } => self.queue_mut(*queue).paused = Some(Arc::clone(reason)),
            Change::Resumed { queue } => {
                let state = self.queue_mut(*queue);
                state.paused = None;
                state.breaker = Breaker::Fresh;
                state.throttle = state.throttle.resumed();
                self.wake_queue(*queue);
            }
            Change::GroupPaused { queue, group } => self.group_paused(*queue, group),
            Change::GroupResumed { queue, group } => self.group_resumed(*queue, group),
            Change::Succeeded { queue } => self.queue_mut(*queue).breaker = Breaker::Fresh,
            Change::Faulted { queue } => {
                let state = self.queue_mut(*queue);
                state.breaker = Breaker::Closed { failures: state.breaker.failures().saturating_add(1) };
            }
            Change::Throttled { queue, throttle } => self.queue_mut(*queue).throttle = *throttle,
            Change::BreakerOpened { queue, until } => {
                let state = self.queue_mut(*queue);
                state.breaker = Breaker::Open { until: *until };
                state.breaker_opens += 1;
                self.wake_queue(*queue);
            }
            Change::Probing { queue, seq } => {
                self.queue_mut(*queue).breaker = Breaker::HalfOpen { probe: *seq };
            }
            Change::BreakerClosed { queue } => {
                self.queue_mut(*queue).breaker = Breaker::Fresh;
                self.wake_queue(*queue);
            }
            Change::Event { .. } => {}
            Change::Woke { seq }
            | Change::Leased { seq, .. }
            | Change::Started { seq, .. }
            | Change::Returned { seq, .. }
            | Change::Requeued { seq, .. }
            | Change::Done { seq }
            | Change::Died { seq, .. }
            | Change::Doubted { seq }
            | Change::Vouched { seq, .. }
            | Change::Revived { seq, .. }
            | Change::Cancelled { seq }
            | Change::Expired { seq }
            | Change::Forgotten { seq }
            | Change::DuplicateSend { seq }
            | Change::Proved { seq, .. }
            | Change::StoodAside { seq, .. } => {
                if let Some(ix) = at.or_else(|| self.slab.find_seq(*seq)) {
                    self.enact_on(change, ix);
                }
            }
        }
    }

    fn enact_on(&mut self, change: &Change, ix: SlotIx) {
        let queue = self.queue_of(ix);
        match change {
            Change::Woke { .. } => {
                let due = self.slab[ix].when.min(self.now);
                self.leave(ix);
                self.append(ix, due);
            }
            Change::Leased { token, .. } => {
                let before = self.slab[ix].token;
                self.started_under.entry(ix).or_insert(before);
                self.slab[ix].token = *token;
                self.shift(ix, Phase::Leased, self.now);
            }
            Change::Started { token, .. } => {
                self.started_under.remove(&ix);
                self.slab[ix].token = *token;
                self.slab[ix].attempts = self.slab[ix].attempts.saturating_add(1);
                let until = self.slab[ix].when.max(self.now);
                self.shift(ix, Phase::Started, until);
                let (key, now) = (self.slab[ix].key, self.now);
                self.queue_mut(queue).record_start(key, now);
                if !self.queue(queue).limits.windows.is_empty() && self.started_in.last() != Some(&queue) {
                    self.started_in.push(queue);
                }
                if let (Some(budget), true, true) =
                    (self.queue(queue).budget, key != 0, self.slab[ix].spends_budget())
                {
                    self.budgets[budget as usize].record(key, now);
                    self.unpark_key(budget, key);
                }
            }
            Change::Returned { strike, .. } => {
                if *strike {
                    let strikes = self.slab[ix].strikes() + 1;
                    self.slab[ix].set_strikes(strikes);
                }
                self.watch_expiry(ix);
                self.leave(ix);
                self.enter_first(ix, Phase::Ready, self.now);
                self.let_pass(queue, self.slab[ix].key);
            }
            Change::Requeued { at, counts, strike, .. } => {
                if !counts {
                    self.slab[ix].attempts = self.slab[ix].attempts.saturating_sub(1);
                }
                let strikes = if *strike { self.slab[ix].strikes() + 1 } else { 0 };
                self.slab[ix].set_strikes(strikes);
                self.requeue(ix, *at);
            }
            Change::Done { .. } => {
                self.queue_mut(queue).tally.done += 1;
                self.conclude(ix, Phase::Done);
            }
            Change::Died { reason, .. } => {
                self.queue_mut(queue).tally.dead += 1;
                self.reasons.insert(ix, Arc::clone(reason));
                self.conclude(ix, Phase::Dead);
            }
            Change::Cancelled { .. } => {
                self.queue_mut(queue).tally.cancelled += 1;
                self.conclude(ix, Phase::Cancelled);
            }
            Change::Expired { .. } => {
                self.queue_mut(queue).tally.expired += 1;
                self.conclude(ix, Phase::Expired);
            }
            Change::Doubted { .. } => {
                let wait = self.queue(queue).limits.order_wait;
                self.shift(ix, Phase::Doubted, self.now.after(wait));
            }
            Change::StoodAside { until, .. } => {
                self.shift(ix, Phase::Aside, *until);
                self.unchain(ix);
            }
            Change::Vouched { verdict, .. } => {
                self.vouched.insert(ix, verdict.clone());
                self.touch(ix);
            }
            Change::Revived { by_person, .. } => self.revived(ix, *by_person),
            Change::Forgotten { .. } => self.forgotten(ix),
            Change::DuplicateSend { .. } => {
                self.queue_mut(queue).tally.duplicate_sends += 1;
                self.duplicated.insert(ix);
                self.touch(ix);
            }
            Change::Proved { attempt, .. } => {
                self.started_under.insert(ix, *attempt);
                self.touch(ix);
            }
            _ => {}
        }
    }

    /// Known not taken: waits for its next attempt at the head of its chain.
    fn requeue(&mut self, ix: SlotIx, at: palomar_model::Timestamp) {
        self.vouched.remove(&ix);
        self.watch_expiry(ix);
        self.leave(ix);
        if at > self.now {
            self.enter(ix, Phase::Backoff, at);
        } else {
            self.enter_first(ix, Phase::Ready, self.now);
        }
        self.let_pass(self.queue_of(ix), self.slab[ix].key);
    }

    /// A job that may expire waits again.
    fn watch_expiry(&mut self, ix: SlotIx) {
        if let Some(&expiry) = self.expires_at.get(&ix) {
            self.expiries.insert((expiry, self.slab[ix].seq, ix));
        }
    }

    /// Makes a job final.
    fn conclude(&mut self, ix: SlotIx, phase: Phase) {
        // A dead letter that evidence turns into a done job was counted as dead before.
        if self.slab[ix].phase == Phase::Dead {
            let queue = self.queue_of(ix);
            self.queue_mut(queue).take_back(Phase::Dead);
            self.reasons.remove(&ix);
        }
        self.vouched.remove(&ix);
        if let Some(expiry) = self.expires_at.get(&ix) {
            self.expiries.remove(&(*expiry, self.slab[ix].seq, ix));
        }
        self.shift(ix, phase, self.now);
        self.unchain(ix);
    }

    fn revived(&mut self, ix: SlotIx, by_person: bool) {
        let queue = self.queue_of(ix);
        let phase = self.slab[ix].phase;
        self.queue_mut(queue).take_back(phase);
        self.reasons.remove(&ix);
        self.vouched.remove(&ix);
        // A person who retries a job means it to go out, whatever its expiry was.
        if by_person {
            self.waive_expiry(ix);
        }
        self.unchain(ix);
        if by_person {
            self.slab[ix].attempts = 0;
        }
        self.slab[ix].set_strikes(0);
        self.watch_expiry(ix);
        self.leave(ix);
        self.append(ix, self.now);
    }

    /// A job expires no more.
    pub(super) fn waive_expiry(&mut self, ix: SlotIx) {
        if let Some(expiry) = self.expires_at.remove(&ix) {
            self.expiries.remove(&(expiry, self.slab[ix].seq, ix));
        }
    }

    fn forgotten(&mut self, ix: SlotIx) {
        self.leave(ix);
        self.unchain(ix);
        self.reasons.remove(&ix);
        self.vouched.remove(&ix);
        self.started_under.remove(&ix);
        self.duplicated.remove(&ix);
        self.waive_expiry(ix);
        let group = self.slab[ix].lane / 4;
        let slot = self.slab.remove(ix);
        self.gone.push(slot.seq);
        self.group_mut(group).jobs -= 1;
        self.drop_group_if_empty(group);
    }

    fn configured(&mut self, queue: u32, name: &QueueName, limits: &Limits) {
        let at = queue as usize;
        if self.queues.len() <= at {
            self.queues.resize_with(at + 1, || None);
        }
        if self.queues[at].is_none() {
            let pool = self.pool_named(name.pool());
            self.pools[pool as usize].queues += 1;
            self.queues[at] = Some(Queue::new(name.clone(), pool, limits.clone()));
            self.queue_by_name.insert(name.clone(), queue);
        }
        let budget = limits.budget.as_ref().map(|budget| match self.budget_by_name.get(&budget.name) {
            Some(&ix) => {
                self.budgets[ix as usize].config = budget.clone();
                self.budgets[ix as usize].dirty = true;
                ix
            }
            None => {
                self.budgets.push(BudgetState::new(budget.clone()));
                let ix = self.budgets.len() as u32 - 1;
                self.budget_by_name.insert(Arc::clone(&budget.name), ix);
                ix
            }
        });
        let now = self.now;
        let state = self.queue_mut(queue);
        // A fold may have forgotten them already: what is remembered must not depend on it.
        state.windows.forget(now, state.limits.margin_permille);
        state.windows.configure(&limits.windows);
        state.spread.configure(&limits.windows);
        state.limits = limits.clone();
        state.budget = budget;
        self.unpark(queue, usize::MAX);
        self.unpace(queue);
        self.wake_queue(queue);
    }

    pub(super) fn pool_named(&mut self, name: &str) -> u32 {
        if let Some(&pool) = self.pool_by_name.get(name) {
            return pool;
        }
        self.pools.push(Pool::default());
        let pool = self.pools.len() as u32 - 1;
        self.pool_by_name.insert(name.into(), pool);
        pool
    }

    fn removed(&mut self, queue: u32) {
        while let Some(ix) = (0..4).find_map(|list| {
            let head = self.queue(queue).kept[list].head;
            (head != NONE).then_some(head)
        }) {
            self.forgotten(ix);
        }
        let Some(state) = self.queues[queue as usize].take() else {
            return;
        };
        self.queue_by_name.remove(&state.name);
        self.pools[state.pool as usize].queues -= 1;
        self.pools[state.pool as usize].ring.retain(|&other| other != queue);
        if let Some(until) = state.gated_until {
            self.gated.remove(&(until, queue));
        }
        for &group in state.groups.values() {
            self.groups[group as usize] = None;
            self.free_groups.push(group);
        }
        self.gone_queues.push(queue);
    }

    fn group_paused(&mut self, queue: u32, name: &Arc<str>) {
        let group = self.group_named(queue, Some(name));
        if !std::mem::replace(&mut self.group_mut(group).paused, true) {
            self.queue_mut(queue).paused_groups += 1;
            self.let_all_pass(group);
        }
    }

    fn group_resumed(&mut self, queue: u32, name: &Arc<str>) {
        let group = self.group_named(queue, Some(name));
        if std::mem::replace(&mut self.group_mut(group).paused, false) {
            self.queue_mut(queue).paused_groups -= 1;
            for priority in 0..4 {
                self.join_ring(group, priority);
            }
            // They may stand behind jobs of another group that is paused.
            self.let_all_pass(group);
        }
        self.drop_group_if_empty(group);
        self.wake_queue(queue);
    }

    /// Forgets the oldest kept jobs of a queue beyond what is kept.
    pub(super) fn trim_kept(&mut self, queue: u32, phase: Phase) {
        let list = kept_list(phase);
        let keep = if phase == Phase::Dead { self.config.keep_dead } else { self.config.keep_finished };
        while self.queue(queue).kept[list].len > keep {
            let ix = self.queue(queue).kept[list].head;
            let seq = self.slab[ix].seq;
            self.record_of(ix, Change::Forgotten { seq });
        }
    }

    /// What vouches for the outcome of an attempt whose worker is silent.
    pub(super) fn verdict_of(&self, ix: SlotIx) -> Option<&Verdict> {
        self.vouched.get(&ix)
    }

    /// The attempt that evidence is measured by: the newest that started, or the one that is known to be taken.
    pub(super) fn newest_start(&self, ix: SlotIx) -> u32 {
        self.started_under.get(&ix).copied().unwrap_or(self.slab[ix].token)
    }

    pub(super) fn standing_phase(&self, ix: SlotIx) -> PhaseTag {
        self.slab[ix].phase.into()
    }

    pub(super) fn id_of(&self, ix: SlotIx) -> JobId {
        self.slab[ix].job_id()
    }
}
