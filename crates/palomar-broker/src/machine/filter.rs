//! Which jobs are meant.
//!
//! When a job was queued is not kept here: the store has it in the job's row, where it takes no memory. Jobs are
//! numbered in the order in which they were queued, so those that were queued before a time are the first ones, and a
//! few questions find the last of them.

use palomar_model::Timestamp;

use super::Machine;
use super::control::state_of;
use super::slab::{Phase, SlotIx};
use crate::types::JobFilter;

/// Tells when a job was queued, by its number; none where the row can't be read.
pub(crate) type Dates<'a> = &'a dyn Fn(u64) -> Option<Timestamp>;

impl Machine {
    /// Slots of jobs that fit, in the order of arrival.
    pub(super) fn slots_that_fit(
        &self,
        filter: &JobFilter,
        dates: Dates<'_>,
        phase_fits: impl Fn(Phase) -> bool,
    ) -> Vec<SlotIx> {
        let fits = |ix: &SlotIx| phase_fits(self.slab[*ix].phase) && self.fits(*ix, filter);
        let mut slots: Vec<SlotIx> = match filter.id {
            Some(id) => self.slab.find(id).into_iter().filter(fits).collect(),
            None => self.slab.iter().map(|(ix, _)| ix).filter(fits).collect(),
        };
        slots.sort_unstable_by_key(|&ix| self.slab[ix].seq);
        self.keep_queued_before(&mut slots, filter, dates);
        slots
    }

    /// Leaves of slots in the order of arrival those that were queued before the filter's time.
    pub(super) fn keep_queued_before(&self, slots: &mut Vec<SlotIx>, filter: &JobFilter, dates: Dates<'_>) {
        let Some(before) = filter.before else { return };
        let (mut first, mut end) = (0, slots.len());
        while first < end {
            let middle = first + (end - first) / 2;
            // The next one that is known, where a row is damaged.
            let known = (middle..end).find_map(|at| Some((at, self.queued_at(slots[at], dates)?)));
            match known {
                Some((at, queued)) if queued < before => first = at + 1,
                _ => end = middle,
            }
        }
        slots.truncate(end);
    }

    fn queued_at(&self, ix: SlotIx, dates: Dates<'_>) -> Option<Timestamp> {
        let (seq, fresh) = (self.slab[ix].seq, self.accepted());
        match fresh.binary_search_by_key(&seq, |row| row.seq) {
            Ok(at) => Some(fresh[at].spec.enqueued_at),
            Err(_) => dates(seq),
        }
    }

    /// Whether a job fits a filter, whenever it was queued.
    pub(super) fn fits(&self, ix: SlotIx, filter: &JobFilter) -> bool {
        let slot = &self.slab[ix];
        let group = self.group(slot.lane / 4);
        let queue = self.queue(group.queue);
        filter.id.is_none_or(|id| id == slot.job_id())
            && filter.queue.as_ref().is_none_or(|name| *name == queue.name)
            && filter.pool.as_ref().is_none_or(|pool| **pool == *queue.name.pool())
            && (filter.group.is_none() || filter.group == group.name)
            && (filter.states.is_empty() || filter.states.contains(&state_of(slot.phase)))
            && filter.ended_before.is_none_or(|before| slot.phase.is_final() && slot.when < before)
            && filter
                .reason
                .as_ref()
                .is_none_or(|part| self.reasons.get(&ix).is_some_and(|reason| reason.contains(&**part)))
    }
}
