//! What time and a crash do to the naive model.

use std::time::Duration;

use palomar_model::Timestamp;

use super::model::{At, Breaker, Job, Model};
use crate::types::{OnUncertain, Verdict};

impl Model {
    /// The process ends and another begins: all leases are over, and what was only counted in memory.
    pub(super) fn crash(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let in_flight = self.jobs.iter().filter(|job| matches!(job.at, At::Started(_))).count();
        let uncertain =
            |model: &Model| model.jobs.iter().filter(|job| matches!(job.at, At::Doubted(_))).count();
        let before = uncertain(self);
        for ix in 0..self.jobs.len() {
            match self.jobs[ix].at {
                At::Leased(_) => {
                    self.probe_over(ix);
                    self.jobs[ix].at = At::Waits(self.now);
                }
                At::Started(_) => {
                    self.probe_over(ix);
                    self.doubt(ix);
                }
                _ => {}
            }
        }
        assert!(
            uncertain(self) - before <= in_flight,
            "I7: a crash makes no more uncertain than were in flight"
        );
        for queue in self.queues.iter_mut().flatten() {
            (queue.stale, queue.ran_out) = (0, [0; 2]);
            queue.windows.iter_mut().for_each(|window| window.slice = (now, 0));
        }
        self.hits = 0;
        self.advance(now);
    }

    fn lease_ran_out(&mut self, ix: usize) {
        self.probe_over(ix);
        if self.jobs[ix].strikes + 1 >= 3 {
            self.end(ix, At::Dead);
        } else {
            self.jobs[ix].strikes += 1;
            self.jobs[ix].at = At::Waits(self.now);
        }
    }

    /// What time does, one thing after the other.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.expire();
        loop {
            let due = |job: &Job| match job.at {
                At::Scheduled(at) | At::Leased(at) | At::Started(at) | At::Doubted(at) | At::Aside(at) => {
                    Some(at)
                }
                _ => None,
            };
            let first = self.jobs.iter().filter_map(|job| Some((due(job)?, job.seq))).min();
            let Some((at, seq)) = first.filter(|(at, _)| *at <= self.now) else {
                break;
            };
            let ix = self.jobs.iter().position(|job| job.seq == seq).expect("it was found");
            self.wake(ix, at);
        }
        self.expire();
        let now = self.now;
        self.requests.retain(|_, (_, _, until)| *until > now);
        self.let_pass();
    }

    fn wake(&mut self, ix: usize, at: Timestamp) {
        let queue = self.jobs[ix].queue;
        match self.jobs[ix].at {
            At::Scheduled(_) => self.append(ix),
            At::Leased(_) => {
                self.queue_mut(queue).ran_out[0] += 1;
                self.lease_ran_out(ix);
            }
            At::Started(_) => {
                self.queue_mut(queue).ran_out[1] += 1;
                self.probe_over(ix);
                self.doubt(ix);
            }
            At::Doubted(until) => {
                let limits = &self.queue(queue).limits;
                let rest = limits.uncertain_wait.saturating_sub(limits.order_wait);
                self.jobs[ix].at = At::Aside(until.after(rest));
            }
            At::Aside(_) => match self.jobs[ix].policy {
                OnUncertain::Hold => self.jobs[ix].at = At::Held,
                OnUncertain::Retry => {
                    self.jobs[ix].policy_again += 1;
                    self.revive(ix);
                }
                OnUncertain::Drop => self.end(ix, At::Dead),
            },
            other => unreachable!("{other:?} is not due at {at}"),
        }
    }

    fn expire(&mut self) {
        loop {
            let due = self.jobs.iter().enumerate().filter(|(_, job)| job.at.waits());
            let first = due.filter_map(|(ix, job)| Some((job.expires?, ix))).min();
            match first {
                Some((at, ix)) if at <= self.now => self.end(ix, At::Expired),
                _ => break,
            }
        }
    }

    pub(super) fn doubt(&mut self, ix: usize) {
        match self.jobs[ix].vouched {
            Some(Verdict::Taken) => self.end(ix, At::Done),
            Some(Verdict::Failed { .. }) => self.end(ix, At::Dead),
            None => {
                let wait = self.queue(self.jobs[ix].queue).limits.order_wait;
                self.jobs[ix].at = At::Doubted(self.now.after(wait));
            }
        }
    }

    /// Queued at the end of its key's order.
    pub(super) fn append(&mut self, ix: usize) {
        self.jobs[ix].place = self.count();
        self.jobs[ix].at = At::Waits(self.now);
    }

    pub(super) fn revive(&mut self, ix: usize) {
        let (queue, at) = (self.jobs[ix].queue, self.jobs[ix].at);
        if at.is_final() {
            self.queue_mut(queue).finished[at.state() as usize] -= 1;
        }
        self.jobs[ix].strikes = 0;
        self.jobs[ix].vouched = None;
        self.append(ix);
    }

    /// Makes a job final, and forgets the oldest of its kind beyond what is kept.
    pub(super) fn end(&mut self, ix: usize, at: At) {
        self.probe_over(ix);
        let (queue, before) = (self.jobs[ix].queue, self.jobs[ix].at);
        if before.is_final() {
            self.queue_mut(queue).finished[before.state() as usize] -= 1;
        }
        self.queue_mut(queue).finished[at.state() as usize] += 1;
        self.jobs[ix].at = at;
        self.jobs[ix].vouched = None;
        self.jobs[ix].ended_at = self.now;
        self.jobs[ix].ended = self.count();
        let keep = if at == At::Dead { self.keep.1 } else { self.keep.0 };
        while self.in_state(queue, |other| other == at) > keep as u64 {
            let kept = self.jobs.iter().filter(|job| job.queue == queue && job.at == at);
            let oldest = kept.min_by_key(|job| job.ended).map(|job| job.seq);
            self.jobs.retain(|job| Some(job.seq) != oldest);
        }
    }

    /// A lease ends: if it was the breaker's probe, another is.
    pub(super) fn probe_over(&mut self, ix: usize) {
        let (id, queue, now) = (self.jobs[ix].id, self.jobs[ix].queue, self.now);
        let called = matches!(self.jobs[ix].at, At::Started(_));
        let state = self.queue_mut(queue);
        if state.breaker == Breaker::Probe(id) {
            let wait = if called { state.limits.breaker.open_for } else { Duration::ZERO };
            state.breaker = Breaker::Open(now.after(wait));
        }
    }
}
