//! What can be seen: jobs and numbers.

use palomar_model::Timestamp;

use super::Machine;
use super::control::state_of;
use super::filter::Dates;
use super::slab::{NONE, Phase, SlotIx};
use crate::types::{Cursor, JobFilter, JobId, JobState, JobView, QueueStats, Stats};

impl Machine {
    /// A job as it stands. When it was queued is for the store to say: see its row.
    pub(crate) fn view(&self, id: JobId) -> Option<JobView> {
        self.slab.find(id).map(|ix| self.view_of(ix))
    }

    /// Whether a job is one that may still start: of two with the same id, the one that is known by it now.
    pub(crate) fn may_start(&self, id: JobId, seq: u64) -> bool {
        self.slab
            .find(id)
            .map(|ix| &self.slab[ix])
            .is_some_and(|slot| slot.seq == seq && !slot.phase.is_final())
    }

    pub(super) fn view_of(&self, ix: SlotIx) -> JobView {
        let slot = &self.slab[ix];
        let group = self.group(slot.lane / 4);
        JobView {
            id: slot.job_id(),
            seq: slot.seq,
            queue: self.queue(group.queue).name.clone(),
            group: group.name.clone(),
            priority: slot.priority(),
            state: state_of(slot.phase),
            attempts: u32::from(slot.attempts),
            token: slot.token,
            when: Some(slot.when),
            enqueued_at: Timestamp::EPOCH,
            reason: self.reasons.get(&ix).cloned(),
        }
    }

    /// Jobs in the order of arrival.
    pub(crate) fn jobs(
        &self,
        filter: &JobFilter,
        after: u64,
        limit: usize,
        dates: Dates<'_>,
    ) -> Vec<JobView> {
        // A page is the smallest `limit` sequence numbers that fit: one pass, no order is kept for it.
        let mut page: std::collections::BinaryHeap<(u64, SlotIx)> = std::collections::BinaryHeap::new();
        for (ix, slot) in self.slab.iter() {
            let room = page.len() < limit || page.peek().is_some_and(|&(last, _)| slot.seq < last);
            if slot.seq > after && room && self.fits(ix, filter) {
                page.push((slot.seq, ix));
                if page.len() > limit {
                    page.pop();
                }
            }
        }
        let mut page: Vec<SlotIx> = page.into_sorted_vec().into_iter().map(|(_, ix)| ix).collect();
        self.keep_queued_before(&mut page, filter, dates);
        page.into_iter().map(|ix| self.view_of(ix)).collect()
    }

    /// All in numbers. The end of the log is for the store to say.
    pub(crate) fn stats(&self) -> Stats {
        let queues = (0..self.queues.len() as u32).filter(|&queue| self.queues[queue as usize].is_some());
        Stats {
            queues: queues.map(|queue| self.queue_stats(queue)).collect(),
            dedupe_ids: self.remembered.len() as u64,
            dedupe_hits: self.dedupe_hits,
            log_ends: vec![Cursor(0)],
        }
    }

    fn queue_stats(&self, ix: u32) -> QueueStats {
        let queue = self.queue(ix);
        let mut counts = [0; 8];
        for (phase, count) in PHASES.iter().zip(queue.phases) {
            counts[state_of(*phase) as usize] += count;
        }
        let mut waiting = [0; 4];
        let mut oldest: Option<Timestamp> = None;
        let mut oldest_ready = [None; 4];
        let mut paused_groups = Vec::new();
        for &group in queue.groups.values() {
            let group = self.group(group);
            for ((lane, waits), ready) in group.lanes.iter().zip(&mut waiting).zip(&mut oldest_ready) {
                *waits += u64::from(lane.len);
                if lane.head != NONE {
                    let since = self.slab[lane.head].when;
                    oldest = earlier(oldest, since);
                    if !group.paused {
                        *ready = earlier(*ready, since);
                    }
                }
            }
            if let (true, Some(name)) = (group.paused, &group.name) {
                paused_groups.push(name.clone());
            }
        }
        let mut finished = [0; 8];
        let tally = queue.tally;
        finished[JobState::Done as usize] = tally.done;
        finished[JobState::Dead as usize] = tally.dead;
        finished[JobState::Cancelled as usize] = tally.cancelled;
        finished[JobState::Expired as usize] = tally.expired;
        QueueStats {
            queue: queue.name.clone(),
            limits: queue.limits.clone(),
            paused: queue.paused.clone(),
            paused_groups,
            breaker: queue.breaker.view(),
            rate_permille: queue.throttle.rate_permille(self.now),
            counts,
            leased: queue.leased(),
            waiting,
            accepted: tally.accepted,
            starts: tally.starts,
            finished,
            duplicate_sends: tally.duplicate_sends,
            stale: queue.stale,
            expired_leases: queue.expired_leases,
            taken_back: queue.taken_back,
            breaker_opens: queue.breaker_opens,
            resolved: queue.resolved,
            rate_held: queue.rate_held.total(self.now),
            oldest_waiting: oldest,
            oldest_ready,
            next_start: queue.gated_until,
            budget_used: queue.budget.map(|budget| self.budgets[budget as usize].used(self.now)),
        }
    }
}

fn earlier(known: Option<Timestamp>, since: Timestamp) -> Option<Timestamp> {
    Some(known.map_or(since, |known| known.min(since)))
}

/// All phases, in the order of their numbers.
pub(super) const PHASES: [Phase; 15] = [
    Phase::Scheduled,
    Phase::Ready,
    Phase::Blocked,
    Phase::Backoff,
    Phase::Pacing,
    Phase::Parked,
    Phase::Leased,
    Phase::Started,
    Phase::Doubted,
    Phase::Aside,
    Phase::Held,
    Phase::Dead,
    Phase::Done,
    Phase::Cancelled,
    Phase::Expired,
];
