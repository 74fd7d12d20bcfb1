//! What holds a job, and when it will go: asked of the same functions that decide.

use palomar_model::Timestamp;

use super::Machine;
use super::control::state_of;
use super::queue::{Asks, Queue};
use super::slab::{NONE, Phase, SlotIx};
use super::turn::KeyRestraint;
use crate::types::{Explanation, Hold, JobId, Window};

/// A forecast looks at no more starts than this one by one; beyond, it goes on at the rate that it found.
const FORECAST_STARTS: u64 = 20_000;

impl Machine {
    /// What holds a job, and when it will go if nothing else changes.
    pub(crate) fn explain(&self, id: JobId) -> Option<Explanation> {
        let ix = self.slab.find(id)?;
        let slot = &self.slab[ix];
        let mut holds = Vec::new();
        let mut ahead = 0;
        let queue_ix = self.queue_of(ix);
        let expected_at = match slot.phase {
            Phase::Scheduled => {
                holds.push(Hold::Scheduled { at: slot.when });
                when_open(self.queue(queue_ix), self.now, slot.when, 0, &mut holds)
            }
            Phase::Backoff => {
                holds.push(Hold::Backoff { at: slot.when });
                when_open(self.queue(queue_ix), self.now, slot.when, 0, &mut holds)
            }
            Phase::Pacing => {
                holds.push(Hold::Pair { until: slot.when });
                when_open(self.queue(queue_ix), self.now, slot.when, 0, &mut holds)
            }
            Phase::Parked => self.parked(ix, &mut holds),
            Phase::Blocked => {
                if self.group(slot.lane / 4).paused {
                    holds.push(Hold::GroupPaused);
                }
                let behind = self.first_of_chain(ix);
                holds.push(Hold::Order { behind: self.slab[behind].job_id() });
                None
            }
            Phase::Ready => {
                ahead = self.ahead_of(ix);
                self.ready(ix, ahead, &mut holds)
            }
            Phase::Leased => {
                holds.push(Hold::Leased { until: slot.when });
                Some(self.now)
            }
            Phase::Started => {
                holds.push(Hold::Leased { until: slot.when });
                None
            }
            Phase::Doubted | Phase::Aside => {
                holds.push(Hold::Uncertain { until: Some(slot.when) });
                None
            }
            Phase::Held => {
                holds.push(Hold::Uncertain { until: None });
                None
            }
            Phase::Dead | Phase::Done | Phase::Cancelled | Phase::Expired => None,
        };
        Some(Explanation { state: state_of(slot.phase), holds, expected_at, ahead })
    }

    fn parked(&self, ix: SlotIx, holds: &mut Vec<Hold>) -> Option<Timestamp> {
        let queue = self.queue_of(ix);
        let budget = &self.budgets[self.queue(queue).budget? as usize];
        let until = budget.place_after(self.before(ix), self.now);
        holds.push(Hold::Budget { name: budget.config.name.clone(), until });
        when_open(self.queue(queue), self.now, until, 0, holds)
    }

    fn ready(&self, ix: SlotIx, ahead: u64, holds: &mut Vec<Hold>) -> Option<Timestamp> {
        let queue = self.queue_of(ix);
        if self.group(self.slab[ix].lane / 4).paused {
            holds.push(Hold::GroupPaused);
            return None;
        }
        let mut from = self.now;
        match self.key_restraint(ix) {
            KeyRestraint::None => {}
            KeyRestraint::Pair(until) => {
                holds.push(Hold::Pair { until });
                from = until;
            }
            KeyRestraint::Budget => {
                let name = self.queue(queue).limits.budget.as_ref().map(|budget| budget.name.clone());
                let until =
                    self.budgets[self.queue(queue).budget? as usize].free_at(self.slab[ix].key, self.now);
                holds.push(Hold::Budget { name: name?, until });
                from = until;
            }
        }
        let at = when_open(self.queue(queue), self.now, from, ahead, holds);
        if ahead > 0 {
            holds.push(Hold::Turn { ahead });
        }
        at
    }

    /// How many jobs are before it in its list.
    fn before(&self, ix: SlotIx) -> u64 {
        let mut before = 0;
        let mut prev = self.slab[ix].prev;
        while prev != NONE {
            before += 1;
            prev = self.slab[prev].prev;
        }
        before
    }

    /// How many jobs of its queue go before a ready one.
    fn ahead_of(&self, ix: SlotIx) -> u64 {
        let lane = self.slab[ix].lane;
        let priority = (lane % 4) as usize;
        let before = self.before(ix);
        let queue = self.queue(self.queue_of(ix));
        let mut ahead = before;
        for &group in queue.groups.values() {
            let state = self.group(group);
            if state.paused {
                continue;
            }
            ahead += state.lanes[..priority].iter().map(|lane| u64::from(lane.len)).sum::<u64>();
            if group != lane / 4 {
                // Groups take turns: each gets about as many starts as this one before its job.
                ahead += u64::from(state.lanes[priority].len).min(before);
            }
        }
        ahead
    }
}

/// When a queue starts a job after `ahead` others, not before `from`; adds what holds the queue.
pub(super) fn when_open(
    state: &Queue,
    now: Timestamp,
    from: Timestamp,
    ahead: u64,
    holds: &mut Vec<Hold>,
) -> Option<Timestamp> {
    let mut known = true;
    let mut at = from;
    state.restraints(now, Asks::Lease, |until, hold| {
        match until {
            Some(until) => at = at.max(until),
            // A place is free as soon as an attempt ends: that is no reason to give no time.
            None if matches!(hold, Hold::Concurrency { .. }) => {}
            None => known = false,
        }
        holds.push(hold);
    });
    let (at, window) = forecast(state, at, ahead);
    let named = holds.iter().any(|hold| matches!(hold, Hold::Window { .. }));
    if let Some(window) = window.filter(|_| ahead > 0 && !named) {
        holds.push(Hold::Window { window, until: at });
    }
    known.then_some(at)
}

/// When the windows have room for a start after `ahead` others from `at` on, and the window that decides.
fn forecast(queue: &Queue, at: Timestamp, ahead: u64) -> (Timestamp, Option<Window>) {
    let looked_at = ahead.min(FORECAST_STARTS);
    let (end, decided) = fill(queue, at, looked_at);
    let rest = ahead - looked_at;
    if rest == 0 || looked_at == 0 {
        return (end, decided);
    }
    let slowest = queue.limits.windows.iter().map(|window| window.window / window.max).max();
    let rest = slowest.unwrap_or_default().saturating_mul(u32::try_from(rest).unwrap_or(u32::MAX));
    (end.after(rest), decided)
}

/// Fills the windows with `ahead` starts from `at` on: when the next has room, and the window that decided last.
fn fill(queue: &Queue, at: Timestamp, ahead: u64) -> (Timestamp, Option<Window>) {
    if queue.limits.windows.is_empty() {
        return (at, None);
    }
    let (mut windows, mut spread) = (queue.windows.clone(), queue.spread.clone());
    let margin = queue.limits.margin_permille;
    let mut now = at;
    let mut decided = None;
    for start in 0..=ahead {
        let (free, window) = queue.window_free_at(&windows, Some(&spread), 0, now);
        if free == Timestamp::MAX {
            break;
        }
        now = now.max(free);
        decided = window.or(decided);
        if start < ahead {
            windows.record(now, margin);
            spread.take(queue.throttle.rate_permille(now), now);
        }
    }
    (now, decided)
}
