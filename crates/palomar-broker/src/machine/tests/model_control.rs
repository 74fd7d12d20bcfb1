//! What the naive model answers to people's orders.

use palomar_model::Timestamp;

use super::model::{At, Breaker, InForce, Job, Model, Queue};
use super::model_ops::group_name;
use crate::types::{Control, ControlError, Controlled, JobFilter, JobState, Limits, QueueName, Resolution};

impl Model {
    pub(super) fn configure(&mut self, name: QueueName, limits: Limits) {
        if let Some(budget) = &limits.budget {
            let entry =
                self.budgets.entry(budget.name.to_string()).or_insert_with(|| (budget.clone(), Vec::new()));
            entry.0 = budget.clone();
        }
        let now = self.now;
        let fresh = |window, before| InForce { window, before, starts: Vec::new(), slice: (now, 0) };
        let Some(at) = self.named(&name) else {
            self.queues.push(Some(Queue {
                name,
                windows: limits.windows.iter().map(|&window| fresh(window, 0)).collect(),
                limits,
                paused: false,
                paused_groups: Vec::new(),
                breaker: Breaker::Closed(0),
                throttled_until: Timestamp::EPOCH,
                cut: None,
                starts: Vec::new(),
                paced: Vec::new(),
                last_place: Default::default(),
                accepted: 0,
                finished: [0; 8],
                duplicates: 0,
                stale: 0,
                ran_out: [0; 2],
            }));
            return;
        };
        let queue = self.queue_mut(at);
        let mut longest = queue.windows.iter().max_by_key(|window| window.window.window).cloned();
        if let Some(longest) = &mut longest {
            let span = longest.window.window
                + longest.window.window / 1000 * u32::from(queue.limits.margin_permille);
            longest.starts.retain(|at| at.after(span) > now);
        }
        let windows = limits.windows.iter().map(|&window| {
            let same = queue.windows.iter().find(|known| known.window == window).cloned();
            same.unwrap_or_else(|| InForce {
                starts: longest.as_ref().map_or_else(Vec::new, |longest| longest.starts.clone()),
                ..fresh(window, queue.starts.len())
            })
        });
        queue.windows = windows.collect();
        queue.limits = limits;
    }

    fn started_of(&self, queue: usize, group: Option<&str>) -> u64 {
        let of_group = |job: &Job| group.is_none() || job.group == group;
        let started = self.jobs.iter().filter(|job| job.queue == queue && matches!(job.at, At::Started(_)));
        started.filter(|job| of_group(job)).count() as u64
    }

    fn fitting(&self, filter: &JobFilter, fits: impl Fn(At) -> bool) -> Vec<u64> {
        let fits = |job: &&Job| {
            let queue = self.queue(job.queue);
            fits(job.at)
                && filter.queue.as_ref().is_none_or(|name| *name == queue.name)
                && filter.pool.as_ref().is_none_or(|pool| **pool == *queue.name.pool())
                && filter.group.as_ref().is_none_or(|group| job.group == Some(&**group))
                && (filter.states.is_empty() || filter.states.contains(&job.at.state()))
                && filter.id.is_none_or(|id| id == job.id)
                && filter.before.is_none_or(|before| job.queued < before)
                && filter.ended_before.is_none_or(|before| job.at.is_final() && job.ended_at < before)
        };
        self.jobs.iter().filter(fits).map(|job| job.seq).collect()
    }

    /// A page of the jobs that fit.
    pub(super) fn page(&self, filter: &JobFilter, after: u64, limit: usize) -> Vec<u64> {
        let mut seqs = self.fitting(filter, |_| true);
        seqs.retain(|seq| *seq > after);
        seqs.truncate(limit);
        seqs
    }

    pub(super) fn queued_at(&self, seq: u64) -> Option<Timestamp> {
        self.by_seq(seq).map(|ix| self.jobs[ix].queued)
    }

    fn by_seq(&self, seq: u64) -> Option<usize> {
        self.jobs.iter().position(|job| job.seq == seq)
    }

    pub(super) fn control(&mut self, control: &Control, now: Timestamp) -> Result<Controlled, ControlError> {
        self.advance(now);
        let existing = |name: &QueueName| self.named(name).ok_or_else(|| ControlError::NoQueue(name.clone()));
        let of_queue = |queue| Controlled { changed: 0, in_flight: self.started_of(queue, None) };
        let changed = |changed| Controlled { changed, in_flight: 0 };
        match control {
            Control::Configure { queue, limits } => {
                self.configure(queue.clone(), limits.clone());
                let queue = self.named(queue).expect("it was just configured");
                return Ok(Controlled { changed: 1, in_flight: self.started_of(queue, None) });
            }
            Control::Pause { queue, .. } => {
                let queue = existing(queue)?;
                let answer = of_queue(queue);
                self.queue_mut(queue).paused = true;
                return Ok(answer);
            }
            Control::Resume { queue } => {
                let queue = existing(queue)?;
                let answer = of_queue(queue);
                let state = self.queue_mut(queue);
                state.paused = false;
                state.breaker = Breaker::Closed(0);
                state.throttled_until = Timestamp::EPOCH;
                return Ok(answer);
            }
            // The model knows of no reasons: no walk orders it.
            Control::Lift { .. } => unreachable!("the conformance suite tests it"),
            Control::PauseGroup { queue, group } => {
                let queue = existing(queue)?;
                let groups = &mut self.queue_mut(queue).paused_groups;
                if !groups.contains(&group_name(group)) {
                    groups.push(group_name(group));
                }
                return Ok(Controlled { changed: 0, in_flight: self.started_of(queue, Some(group)) });
            }
            Control::ResumeGroup { queue, group } => {
                let queue = existing(queue)?;
                self.queue_mut(queue).paused_groups.retain(|paused| **paused != **group);
                return Ok(Controlled::default());
            }
            Control::CancelAll(filter) => {
                let seqs = self.fitting(filter, |at| at.waits() || matches!(at, At::Leased(_)));
                for seq in &seqs {
                    let ix = self.by_seq(*seq).expect("it waits");
                    self.end(ix, At::Cancelled);
                }
                let queues = (0..self.queues.len()).filter(|queue| {
                    self.queues[*queue].as_ref().is_some_and(|queue| {
                        filter.queue.as_ref().is_none_or(|name| *name == queue.name)
                            && filter.pool.as_ref().is_none_or(|pool| **pool == *queue.name.pool())
                    })
                });
                let in_flight = queues.map(|queue| self.started_of(queue, filter.group.as_deref())).sum();
                return Ok(Controlled { changed: seqs.len() as u64, in_flight });
            }
            Control::RetryAll(filter) => {
                let seqs = self.fitting(filter, |at| at == At::Dead);
                for seq in &seqs {
                    let ix = self.by_seq(*seq).expect("it is kept");
                    self.order_again(ix);
                }
                return Ok(changed(seqs.len() as u64));
            }
            Control::Purge(filter) => {
                let seqs = self.fitting(filter, |at| at == At::Dead);
                self.jobs.retain(|job| !seqs.contains(&job.seq));
                return Ok(changed(seqs.len() as u64));
            }
            Control::Clean { filter, keep } => {
                let mut gone = Vec::new();
                for queue in self.queues.iter().flatten() {
                    let state = |at| {
                        let filter = JobFilter { queue: Some(queue.name.clone()), ..filter.clone() };
                        self.fitting(&filter, |other| other == at)
                    };
                    if filter.queue.as_ref().is_none_or(|name| *name == queue.name) {
                        for seqs in [At::Done, At::Cancelled, At::Expired, At::Dead].map(state) {
                            gone.extend_from_slice(&seqs[..seqs.len().saturating_sub(*keep)]);
                        }
                    }
                }
                self.jobs.retain(|job| !gone.contains(&job.seq));
                return Ok(changed(gone.len() as u64));
            }
            Control::Remove { queue } => {
                let queue = existing(queue)?;
                let live = self.in_state(queue, |at| !at.is_final());
                if live > 0 {
                    return Err(ControlError::NotEmpty(live));
                }
                let finals = self.in_state(queue, At::is_final);
                self.jobs.retain(|job| job.queue != queue);
                self.queues[queue] = None;
                return Ok(changed(finals));
            }
            Control::Cancel { id }
            | Control::Promote { id }
            | Control::RetryDead { id }
            | Control::Resolve { id, .. } => {
                let ix = self.find(*id).ok_or(ControlError::NoJob(*id))?;
                self.control_of(ix, control)?;
            }
        }
        Ok(Controlled { changed: 1, in_flight: 0 })
    }

    fn order_again(&mut self, ix: usize) {
        self.jobs[ix].allowed_again += 1;
        self.jobs[ix].tries = 0;
        self.jobs[ix].expires = None;
        self.revive(ix);
    }

    fn control_of(&mut self, ix: usize, control: &Control) -> Result<(), ControlError> {
        let at = self.jobs[ix].at;
        let uncertain = at.state() == JobState::Uncertain;
        let wrong = Err(ControlError::WrongState(at.state()));
        match (control, at) {
            (Control::Cancel { .. }, _) if at.waits() || matches!(at, At::Leased(_)) => {
                self.end(ix, At::Cancelled);
            }
            (Control::Promote { .. }, At::Scheduled(_)) => self.append(ix),
            (Control::Promote { .. }, At::Waits(from)) if from > self.now => {
                self.jobs[ix].at = At::Waits(self.now);
                self.jobs[ix].strikes = 0;
            }
            (Control::RetryDead { .. }, _) if uncertain || at.is_final() && at != At::Done => {
                self.order_again(ix);
            }
            (Control::Resolve { resolution, .. }, _) if uncertain => match resolution {
                Resolution::Sent => self.end(ix, At::Done),
                Resolution::Failed => self.end(ix, At::Dead),
                Resolution::Retry => self.order_again(ix),
            },
            _ => return wrong,
        }
        Ok(())
    }
}
