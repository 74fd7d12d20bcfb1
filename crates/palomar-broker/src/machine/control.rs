//! What people and programs order: pause, cancel, promote, retry, purge, clean, limits.

use std::sync::Arc;

use palomar_model::Timestamp;

use super::Machine;
use super::change::Change;
use super::filter::Dates;
use super::slab::{Phase, SlotIx};
use crate::types::{
    Control, ControlError, Controlled, JobFilter, JobId, JobState, Limits, QueueName, Resolution, Resolved,
};

impl Machine {
    /// Does what was ordered.
    pub(crate) fn control(
        &mut self,
        control: Control,
        now: Timestamp,
        dates: Dates<'_>,
    ) -> Result<Controlled, ControlError> {
        self.tick(now);
        match control {
            Control::Configure { queue, limits } => self.configure(queue, limits),
            Control::Pause { queue, reason } => {
                let queue = self.existing(&queue)?;
                self.record(Change::Paused { queue, reason });
                Ok(Controlled { changed: 0, in_flight: self.queue(queue).started() })
            }
            Control::Resume { queue } => {
                let queue = self.existing(&queue)?;
                self.record(Change::Resumed { queue });
                Ok(Controlled { changed: 0, in_flight: self.queue(queue).started() })
            }
            Control::Lift { queue, reason } => {
                let queue = self.existing(&queue)?;
                let is_its_own = self.queue(queue).paused.as_ref() == Some(&reason);
                if is_its_own {
                    self.record(Change::Resumed { queue });
                }
                Ok(Controlled { changed: u64::from(is_its_own), in_flight: self.queue(queue).started() })
            }
            Control::PauseGroup { queue, group } => self.pause_group(&queue, &group),
            Control::ResumeGroup { queue, group } => {
                let queue = self.existing(&queue)?;
                self.record(Change::GroupResumed { queue, group });
                Ok(Controlled::default())
            }
            Control::Cancel { id } => self.cancel(id),
            Control::CancelAll(filter) => Ok(self.cancel_all(&filter, dates)),
            Control::Promote { id } => self.promote(id),
            Control::RetryDead { id } => {
                let ix = self.known(id)?;
                let fits = |phase: Phase| {
                    phase.is_final() && phase != Phase::Done
                        || matches!(phase, Phase::Held | Phase::Aside | Phase::Doubted)
                };
                self.revive(ix, fits)
            }
            Control::RetryAll(filter) => Ok(self.retry_all(&filter, dates)),
            Control::Purge(filter) => Ok(self.purge(&filter, dates)),
            Control::Resolve { id, resolution } => self.resolve(id, resolution),
            Control::Clean { filter, keep } => Ok(self.clean(&filter, keep, dates)),
            Control::Remove { queue } => self.remove(&queue),
        }
    }

    fn existing(&self, name: &QueueName) -> Result<u32, ControlError> {
        self.queue_by_name.get(name).copied().ok_or_else(|| ControlError::NoQueue(name.clone()))
    }

    fn known(&self, id: JobId) -> Result<SlotIx, ControlError> {
        self.slab.find(id).ok_or(ControlError::NoJob(id))
    }

    fn configure(&mut self, name: QueueName, limits: Limits) -> Result<Controlled, ControlError> {
        if let Some(problem) = problem_of(&limits) {
            return Err(ControlError::Invalid(problem.into()));
        }
        let queue = match self.queue_by_name.get(&name) {
            Some(&queue) => queue,
            None => self.queues.len() as u32,
        };
        self.record(Change::Configured { queue, name, limits });
        Ok(Controlled { changed: 1, in_flight: self.queue(queue).started() })
    }

    fn pause_group(&mut self, name: &QueueName, group: &Arc<str>) -> Result<Controlled, ControlError> {
        let queue = self.existing(name)?;
        self.record(Change::GroupPaused { queue, group: Arc::clone(group) });
        let group = self.group_named(queue, Some(group));
        Ok(Controlled { changed: 0, in_flight: u64::from(self.group(group).started) })
    }

    fn cancel(&mut self, id: JobId) -> Result<Controlled, ControlError> {
        let ix = self.known(id)?;
        let slot = &self.slab[ix];
        if !slot.phase.waits() && slot.phase != Phase::Leased {
            return Err(ControlError::WrongState(state_of(slot.phase)));
        }
        let seq = slot.seq;
        self.conclude_with(ix, Change::Cancelled { seq });
        Ok(Controlled { changed: 1, in_flight: 0 })
    }

    fn cancel_all(&mut self, filter: &JobFilter, dates: Dates<'_>) -> Controlled {
        let slots = self.slots_that_fit(filter, dates, |phase| phase.waits() || phase == Phase::Leased);
        // Concluding one forgets only jobs that are final already: none of those that are still to come.
        for &ix in &slots {
            let seq = self.slab[ix].seq;
            self.conclude_with(ix, Change::Cancelled { seq });
        }
        Controlled { changed: slots.len() as u64, in_flight: self.in_flight_of(filter) }
    }

    fn in_flight_of(&self, filter: &JobFilter) -> u64 {
        let queues = self.queues.iter().flatten();
        queues
            .filter(|queue| filter.queue.as_ref().is_none_or(|name| *name == queue.name))
            .filter(|queue| filter.pool.as_ref().is_none_or(|pool| **pool == *queue.name.pool()))
            .map(|queue| match &filter.group {
                None => queue.started(),
                Some(_) => {
                    queue.groups.get(&filter.group).map_or(0, |&group| u64::from(self.group(group).started))
                }
            })
            .sum()
    }

    fn promote(&mut self, id: JobId) -> Result<Controlled, ControlError> {
        let ix = self.known(id)?;
        let seq = self.slab[ix].seq;
        match self.slab[ix].phase {
            Phase::Scheduled => self.record_of(ix, Change::Woke { seq }),
            Phase::Backoff => {
                let at = self.now;
                self.record_of(ix, Change::Requeued { seq, at, counts: true, strike: false });
            }
            phase => return Err(ControlError::WrongState(state_of(phase))),
        }
        Ok(Controlled { changed: 1, in_flight: 0 })
    }

    fn revive(&mut self, ix: SlotIx, fits: impl Fn(Phase) -> bool) -> Result<Controlled, ControlError> {
        let slot = &self.slab[ix];
        if !fits(slot.phase) {
            return Err(ControlError::WrongState(state_of(slot.phase)));
        }
        let seq = slot.seq;
        self.record_of(ix, Change::Revived { seq, by_person: true });
        Ok(Controlled { changed: 1, in_flight: 0 })
    }

    fn retry_all(&mut self, filter: &JobFilter, dates: Dates<'_>) -> Controlled {
        let slots = self.slots_that_fit(filter, dates, |phase| phase == Phase::Dead);
        for &ix in &slots {
            let seq = self.slab[ix].seq;
            self.record_of(ix, Change::Revived { seq, by_person: true });
        }
        Controlled { changed: slots.len() as u64, in_flight: 0 }
    }

    fn purge(&mut self, filter: &JobFilter, dates: Dates<'_>) -> Controlled {
        let slots = self.slots_that_fit(filter, dates, |phase| phase == Phase::Dead);
        self.forget_all(&slots);
        Controlled { changed: slots.len() as u64, in_flight: 0 }
    }

    fn forget_all(&mut self, slots: &[SlotIx]) {
        for &ix in slots {
            let seq = self.slab[ix].seq;
            self.record_of(ix, Change::Forgotten { seq });
        }
    }

    fn resolve(&mut self, id: JobId, resolution: Resolution) -> Result<Controlled, ControlError> {
        let ix = self.known(id)?;
        let slot = &self.slab[ix];
        if !matches!(slot.phase, Phase::Doubted | Phase::Aside | Phase::Held) {
            return Err(ControlError::WrongState(state_of(slot.phase)));
        }
        let seq = slot.seq;
        self.was_resolved(ix, Resolved::ByPerson);
        match resolution {
            Resolution::Sent => self.conclude_with(ix, Change::Done { seq }),
            Resolution::Failed => {
                self.conclude_with(ix, Change::Died { seq, reason: "a person settled it as failed".into() });
            }
            Resolution::Retry => self.record_of(ix, Change::Revived { seq, by_person: true }),
        }
        Ok(Controlled { changed: 1, in_flight: 0 })
    }

    fn clean(&mut self, filter: &JobFilter, keep: usize, dates: Dates<'_>) -> Controlled {
        let mut changed = 0;
        for queue in 0..self.queues.len() as u32 {
            for phase in [Phase::Done, Phase::Cancelled, Phase::Expired, Phase::Dead] {
                let Some(state) = &self.queues[queue as usize] else {
                    break;
                };
                let of_queue = JobFilter { queue: Some(state.name.clone()), ..filter.clone() };
                if filter.queue.as_ref().is_some_and(|name| *name != state.name) {
                    break;
                }
                let slots = self.slots_that_fit(&of_queue, dates, |other| other == phase);
                let beyond = slots.len().saturating_sub(keep);
                self.forget_all(&slots[..beyond]);
                changed += beyond as u64;
            }
        }
        Controlled { changed, in_flight: 0 }
    }

    fn remove(&mut self, name: &QueueName) -> Result<Controlled, ControlError> {
        let queue = self.existing(name)?;
        let state = self.queue(queue);
        let finals: u64 = state.kept.iter().map(|list| u64::from(list.len)).sum();
        let all: u64 = state.phases.iter().sum();
        if all > finals {
            return Err(ControlError::NotEmpty(all - finals));
        }
        self.record(Change::Removed { queue });
        Ok(Controlled { changed: finals, in_flight: 0 })
    }
}

/// The state that the outside sees.
pub(super) fn state_of(phase: Phase) -> JobState {
    match phase {
        Phase::Scheduled => JobState::Scheduled,
        Phase::Ready | Phase::Blocked | Phase::Backoff | Phase::Pacing | Phase::Parked | Phase::Leased => {
            JobState::Queued
        }
        Phase::Started => JobState::Started,
        Phase::Doubted | Phase::Aside | Phase::Held => JobState::Uncertain,
        Phase::Dead => JobState::Dead,
        Phase::Done => JobState::Done,
        Phase::Cancelled => JobState::Cancelled,
        Phase::Expired => JobState::Expired,
    }
}

/// Why limits can't be kept, if they can't.
pub(crate) fn problem_of(limits: &Limits) -> Option<&'static str> {
    if limits.windows.iter().any(|window| window.max == 0) {
        return Some("a window must allow at least one start; to stop a queue, pause it");
    }
    if limits.windows.iter().any(|window| window.window.is_zero()) {
        return Some("a window must be longer than zero");
    }
    if limits.windows.len() > 8 {
        return Some("at most 8 windows");
    }
    if limits.concurrency == 0 {
        return Some("the concurrency must be at least 1; to stop a queue, pause it");
    }
    if limits.margin_permille > 500 {
        return Some("the margin must be at most 500 thousandths");
    }
    if limits.pair.is_some_and(|pair| pair.burst == 0 || pair.interval.is_zero()) {
        return Some("a pair limit needs an interval and a burst of at least 1");
    }
    if limits.budget.as_ref().is_some_and(|budget| budget.max == 0 || budget.window.is_zero()) {
        return Some("a budget must allow at least one key in a window longer than zero");
    }
    None
}
