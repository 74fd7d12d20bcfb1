//! From memory to rows: what the store writes now and then, so that its log stays short.

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::budget::BudgetRow;
use super::change::{QueueRow, Standing};
use super::slab::SlotIx;
use super::{Machine, Remembered};

/// What a fold writes, in one transaction: afterwards the log up to here is not needed to rebuild the machine.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Jobs whose standing changed.
    pub(crate) standings: Vec<(u64, Standing)>,
    /// Jobs that are no more.
    pub(crate) gone: Vec<u64>,
    /// Queues that changed.
    pub(crate) queues: Vec<(u32, QueueRow)>,
    /// Queues that are no more.
    pub(crate) gone_queues: Vec<u32>,
    /// Budgets that changed, by number.
    pub(crate) budgets: Vec<(u32, BudgetRow)>,
    /// Requests to remember.
    pub(crate) requests: Vec<RequestRow>,
    /// Jobs from here on are not part of the fold.
    pub(crate) next_seq: u64,
}

/// A remembered request, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestRow {
    pub(crate) id: u128,
    pub(crate) job: u128,
    pub(crate) fingerprint: u64,
    pub(crate) until: Timestamp,
}

impl Machine {
    /// What differs from the rows since the last fold.
    pub(crate) fn fold(&mut self) -> Folded {
        let mut folded = Folded { next_seq: self.next_seq, ..Folded::default() };
        for ix in std::mem::take(&mut self.dirty) {
            if self.slab.get(ix).is_some_and(super::slab::Slot::dirty) {
                self.slab[ix].set_dirty(false);
                folded.standings.push((self.slab[ix].seq, self.standing(ix)));
            }
        }
        folded.standings.sort_unstable_by_key(|(seq, _)| *seq);
        folded.gone = std::mem::take(&mut self.gone);
        folded.gone.sort_unstable();
        folded.gone_queues = std::mem::take(&mut self.gone_queues);
        for ix in 0..self.queues.len() {
            let now = self.now;
            if let Some(queue) = self.queues[ix].as_mut().filter(|queue| queue.dirty) {
                queue.dirty = false;
                queue.windows.forget(now, queue.limits.margin_permille);
                queue.pairs.retain(|_, tat| *tat > now.micros());
                folded.queues.push((ix as u32, self.queue_row(ix as u32)));
            }
        }
        for (ix, budget) in self.budgets.iter_mut().enumerate().filter(|(_, budget)| budget.dirty) {
            budget.dirty = false;
            folded.budgets.push((ix as u32, budget.row()));
        }
        for id in std::mem::take(&mut self.unsaved_requests) {
            if let Some(request) = self.remembered.get(&id) {
                let Remembered { job, fingerprint, until } = *request;
                folded.requests.push(RequestRow { id, job, fingerprint, until });
            }
        }
        folded
    }

    fn standing(&self, ix: SlotIx) -> Standing {
        let slot = &self.slab[ix];
        Standing {
            phase: self.standing_phase(ix),
            when: slot.when,
            token: slot.token,
            attempts: slot.attempts,
            strikes: slot.strikes(),
            reason: self.reasons.get(&ix).cloned(),
            vouched: self.vouched.get(&ix).cloned(),
            started: self.newest_start(ix),
            expires: self.expires_at.contains_key(&ix),
            duplicated: self.duplicated.contains(&ix),
        }
    }

    fn queue_row(&self, queue: u32) -> QueueRow {
        let state = self.queue(queue);
        let paused_groups = state
            .groups
            .values()
            .filter(|&&group| self.group(group).paused)
            .filter_map(|&group| self.group(group).name.clone());
        QueueRow {
            name: state.name.clone(),
            limits: state.limits.clone(),
            paused: state.paused.clone(),
            paused_groups: paused_groups.collect(),
            breaker: state.breaker,
            throttle: state.throttle,
            windows: state.windows.clone(),
            pairs: state.pairs.iter().map(|(&key, &tat)| (key, tat)).collect(),
            tally: state.tally,
        }
    }
}
