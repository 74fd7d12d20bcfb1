//! From rows and changes back to a machine.
//!
//! The store keeps, for every job, the row that was written when it was accepted, the standing that the last fold
//! wrote beside it, and the log of all changes since. Restoring places what the fold had seen, lets the log happen
//! again, and then ends every lease: their holders are gone.

use std::collections::VecDeque;
use std::time::Duration;

use palomar_model::Timestamp;

use super::budget::{BudgetRow, BudgetState};
use super::change::{Change, NewRow, PhaseTag, QueueRow, Standing};
use super::fold::RequestRow;
use super::queue::Breaker;
use super::slab::{NONE, Phase, SlotIx};
use super::{Machine, MachineConfig, Remembered};
use crate::types::{Budget, Limits, QueueName};

/// Rebuilds a machine: queues, budgets and requests first, then jobs in the order of their numbers, then the log.
#[derive(Debug)]
pub(crate) struct Restorer {
    machine: Machine,
    folded_until: u64,
    /// Jobs that the fold saw and that wait for their turn, and since when.
    waiting: Vec<(Timestamp, SlotIx)>,
    /// Jobs that the fold saw and that were final, and since when.
    finals: Vec<(Timestamp, SlotIx, Phase)>,
    /// Jobs that were accepted after the fold.
    later: VecDeque<NewRow>,
}

impl Restorer {
    pub(crate) fn new(config: MachineConfig, folded_until: u64) -> Restorer {
        let mut machine = Machine::new(config);
        machine.slab.begin_restoring();
        Restorer { machine, folded_until, waiting: Vec::new(), finals: Vec::new(), later: VecDeque::new() }
    }

    pub(crate) fn budget(&mut self, ix: u32, row: BudgetRow) {
        let machine = &mut self.machine;
        // Budgets are numbered without gaps: one that is missing was damaged. Its queues begin a new one.
        while machine.budgets.len() < ix as usize {
            let name = format!("damaged-{}", machine.budgets.len()).into();
            machine.budgets.push(BudgetState::new(Budget { name, max: 1, window: Duration::from_secs(1) }));
        }
        machine.budget_by_name.insert(row.config.name.clone(), ix);
        let mut state = BudgetState::from_row(row);
        state.dirty = false;
        machine.budgets.push(state);
    }

    pub(crate) fn queue(&mut self, ix: u32, row: QueueRow) {
        let machine = &mut self.machine;
        // Another queue may have changed the budget since this one was configured: the budget's own row is right.
        let budget =
            row.limits.budget.as_ref().and_then(|budget| machine.budget_by_name.get(&budget.name).copied());
        let config = budget.map(|budget| machine.budgets[budget as usize].config.clone());
        machine.enact(&Change::Configured { queue: ix, name: row.name, limits: row.limits }, None);
        if let (Some(budget), Some(config)) = (budget, config) {
            machine.budgets[budget as usize].config = config;
            machine.budgets[budget as usize].dirty = false;
        }
        for group in row.paused_groups {
            machine.enact(&Change::GroupPaused { queue: ix, group }, None);
        }
        let state = machine.queue_mut(ix);
        state.paused = row.paused;
        state.breaker = row.breaker;
        state.throttle = row.throttle;
        state.windows = row.windows;
        state.pairs = row.pairs.into_iter().collect();
        state.tally = row.tally;
        state.dirty = false;
    }

    /// Makes sure that a queue stands that rows speak of: where its own row is lost, an empty one that is paused.
    pub(crate) fn ensure_queue(&mut self, ix: u32) {
        let known = self.machine.queues.get(ix as usize).is_some_and(Option::is_some);
        if !known && let Ok(name) = QueueName::new("damaged", &format!("queue-{ix}")) {
            self.machine.enact(&Change::Configured { queue: ix, name, limits: Limits::default() }, None);
            let reason = "the row of this queue was damaged: its name and limits are lost".into();
            self.machine.enact(&Change::Paused { queue: ix, reason }, None);
        }
    }

    /// Takes in a job whose standing is lost: whether it was sent is not known.
    pub(crate) fn job_in_doubt(&mut self, row: NewRow) {
        let lost = Standing {
            phase: PhaseTag::Held,
            when: row.spec.enqueued_at,
            token: u32::MAX / 2,
            attempts: 1,
            strikes: 0,
            reason: None,
            vouched: None,
            started: u32::MAX / 2,
            expires: true,
            duplicated: false,
        };
        self.folded_until = self.folded_until.max(row.seq + 1);
        self.job(row, Some(lost));
    }

    /// Pauses every queue: something that was lost may have said that jobs were sent.
    pub(crate) fn pause_all(&mut self, reason: &str) {
        for queue in 0..self.machine.queues.len() as u32 {
            if self.machine.queues[queue as usize].is_some() {
                self.machine.record(Change::Paused { queue, reason: reason.into() });
            }
        }
    }

    pub(crate) fn request(&mut self, row: RequestRow) {
        let RequestRow { id, job, fingerprint, until } = row;
        self.machine.remember(id, Remembered { job, fingerprint, until });
        self.machine.unsaved_requests.pop();
    }

    /// Takes a job in; jobs come in the order of their numbers.
    pub(crate) fn job(&mut self, row: NewRow, standing: Option<Standing>) {
        if row.seq >= self.folded_until {
            self.later.push_back(row);
            return;
        }
        self.ensure_queue(row.spec.queue);
        let unsaved = self.machine.unsaved_requests.len();
        let ix = self.machine.admit(&row);
        self.machine.unsaved_requests.truncate(unsaved);
        let standing = standing.unwrap_or_else(|| Standing {
            phase: if row.spec.due().is_some() { PhaseTag::Scheduled } else { PhaseTag::Queued },
            when: row.spec.since(),
            token: 0,
            attempts: 0,
            strikes: 0,
            reason: None,
            vouched: None,
            started: 0,
            expires: true,
            duplicated: false,
        });
        self.place(ix, standing);
    }

    fn place(&mut self, ix: SlotIx, standing: Standing) {
        let machine = &mut self.machine;
        let slot = &mut machine.slab[ix];
        slot.token = standing.token;
        slot.attempts = standing.attempts;
        slot.set_strikes(standing.strikes);
        if let Some(reason) = standing.reason {
            machine.reasons.insert(ix, reason);
        }
        if let Some(verdict) = standing.vouched {
            machine.vouched.insert(ix, verdict);
        }
        if standing.started != standing.token {
            machine.started_under.insert(ix, standing.started);
        }
        if standing.duplicated {
            machine.duplicated.insert(ix);
        }
        if !standing.expires {
            machine.waive_expiry(ix);
        }
        let phase = match standing.phase {
            PhaseTag::Scheduled => Phase::Scheduled,
            PhaseTag::Aside => Phase::Aside,
            PhaseTag::Held => Phase::Held,
            PhaseTag::Queued => return self.waiting.push((standing.when, ix)),
            PhaseTag::First => {
                // It takes its place in its chain now, before all others, and in its lane when all are in.
                self.waiting.push((standing.when, ix));
                if self.machine.slab[ix].has_key() {
                    self.chain_first(ix, Phase::Blocked, standing.when);
                }
                return;
            }
            PhaseTag::Dead => return self.finals.push((standing.when, ix, Phase::Dead)),
            PhaseTag::Done => return self.finals.push((standing.when, ix, Phase::Done)),
            PhaseTag::Cancelled => return self.finals.push((standing.when, ix, Phase::Cancelled)),
            PhaseTag::Expired => return self.finals.push((standing.when, ix, Phase::Expired)),
            PhaseTag::Backoff => return self.chain_first(ix, Phase::Backoff, standing.when),
            PhaseTag::Leased => return self.chain_first(ix, Phase::Leased, standing.when),
            PhaseTag::Started => return self.chain_first(ix, Phase::Started, standing.when),
            PhaseTag::Doubted => return self.chain_first(ix, Phase::Doubted, standing.when),
        };
        machine.enter(ix, phase, standing.when);
        machine.untouch(ix);
    }

    /// A job that is the first of its chain whatever else waits in it.
    fn chain_first(&mut self, ix: SlotIx, phase: Phase, when: Timestamp) {
        self.machine.append(ix, when);
        self.machine.shift(ix, phase, when);
        self.machine.untouch(ix);
    }

    /// All jobs are in: those that wait take their places, in the order in which they began to wait.
    pub(crate) fn jobs_are_in(&mut self) {
        let machine = &mut self.machine;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(|&(since, ix)| (since, machine.slab[ix].seq));
        for (since, ix) in waiting {
            if machine.slab[ix].next_in_key == NONE {
                machine.append(ix, since);
            } else {
                machine.shift(ix, Phase::Ready, since);
            }
            machine.untouch(ix);
        }
        // The oldest of those that are kept is the first that is forgotten.
        let mut finals = std::mem::take(&mut self.finals);
        finals.sort_by_key(|&(since, ix, _)| (since, machine.slab[ix].seq));
        for (since, ix, phase) in finals {
            machine.enter(ix, phase, since);
            machine.untouch(ix);
        }
        self.machine.next_seq = self.machine.next_seq.max(self.folded_until);
    }

    /// Lets a change happen again; answers how many of the jobs that it accepted were not taken in.
    pub(crate) fn change(&mut self, at: Timestamp, change: &Change) -> u32 {
        self.machine.set_now(at);
        match change {
            Change::Enqueued { from, count } => {
                let mut missing = *count;
                while self.later.front().is_some_and(|row| row.seq < from + u64::from(*count)) {
                    self.admit_later();
                    missing = missing.saturating_sub(1);
                }
                return missing;
            }
            Change::Configured { .. } => self.machine.enact(change, None),
            change => {
                if let Some(queue) = change.queue() {
                    self.ensure_queue(queue);
                }
                self.machine.enact(change, None);
            }
        }
        0
    }

    fn admit_later(&mut self) {
        if let Some(row) = self.later.pop_front() {
            self.ensure_queue(row.spec.queue);
            let ix = self.machine.admit(&row);
            self.machine.set_out(ix, &row.spec);
        }
    }

    /// The machine, with every lease of the previous process ended; what that changed is in its changes.
    pub(crate) fn finish(mut self, now: Timestamp) -> Machine {
        while !self.later.is_empty() {
            self.admit_later();
        }
        let mut machine = self.machine;
        machine.slab.end_restoring();
        machine.set_now(now);
        let held: Vec<SlotIx> = machine
            .slab
            .iter()
            .filter(|(_, slot)| matches!(slot.phase, Phase::Leased | Phase::Started))
            .map(|(ix, _)| ix)
            .collect();
        for ix in held {
            machine.probe_is_over(ix);
            if machine.slab[ix].phase == Phase::Leased {
                // It did not run out: whoever held it is gone, which says nothing about the job.
                let seq = machine.slab[ix].seq;
                machine.record_of(ix, Change::Returned { seq, strike: false });
            } else {
                machine.doubt(ix);
            }
        }
        for queue in 0..machine.queues.len() as u32 {
            if let Some(Breaker::HalfOpen { .. }) =
                machine.queues[queue as usize].as_ref().map(|queue| queue.breaker)
            {
                machine.record(Change::BreakerOpened { queue, until: machine.now });
            }
        }
        debug_assert!(
            machine
                .slab
                .iter()
                .all(|(_, slot)| !slot.has_key() || slot.phase.chained() == (slot.next_in_key != NONE))
        );
        machine.tick(now);
        machine
    }
}
