//! From memory to rows and back: folding changes into rows, and rebuilding a machine from rows and changes.
//!
//! The store keeps, for every job, the row that was written when it was accepted, the standing that the last fold
//! wrote beside it, and the log of all changes since. Restoring places what the fold had seen, lets the log happen
//! again, and then ends every lease: their holders are gone.

use std::collections::VecDeque;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::budget::{BudgetRow, BudgetState};
use super::change::{Change, NewRow, PhaseTag, QueueRow, Standing};
use super::queue::Breaker;
use super::slab::{NONE, Phase, SlotIx};
use super::{Machine, MachineConfig, Remembered};
use crate::types::{Limits, QueueName};

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
        }
    }

    fn queue_row(&self, queue: u32) -> QueueRow {
        let state = self.queue(queue);
        let paused_groups =
            state.groups.values().filter(|&&group| self.group(group).paused).filter_map(|&group| self.group(group).name.clone());
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

/// Rebuilds a machine: queues, budgets and requests first, then jobs in the order of their numbers, then the log.
#[derive(Debug)]
pub(crate) struct Restorer {
    machine: Machine,
    folded_until: u64,
    /// Jobs that the fold saw and that wait in chains: (first of its chain for certain, since, slot).
    waiting: Vec<(bool, Timestamp, SlotIx)>,
    /// Jobs that were accepted after the fold.
    later: VecDeque<NewRow>,
}

impl Restorer {
    pub(crate) fn new(config: MachineConfig, folded_until: u64) -> Restorer {
        let mut machine = Machine::new(config);
        machine.slab.begin_restoring();
        Restorer { machine, folded_until, waiting: Vec::new(), later: VecDeque::new() }
    }

    pub(crate) fn budget(&mut self, ix: u32, row: BudgetRow) {
        let machine = &mut self.machine;
        machine.budget_by_name.insert(row.config.name.clone(), ix);
        let mut state = BudgetState::from_row(row);
        state.dirty = false;
        debug_assert_eq!(machine.budgets.len(), ix as usize, "budgets are numbered without gaps");
        machine.budgets.push(state);
    }

    pub(crate) fn queue(&mut self, ix: u32, row: QueueRow) {
        let machine = &mut self.machine;
        machine.enact(&Change::Configured { queue: ix, name: row.name, limits: row.limits }, None);
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
        if standing.as_ref().is_some_and(|standing| standing.phase == PhaseTag::Gone) {
            self.machine.gone.push(row.seq);
            return;
        }
        if row.seq >= self.folded_until {
            self.later.push_back(row);
            return;
        }
        self.ensure_queue(row.spec.queue);
        let unsaved = self.machine.unsaved_requests.len();
        let ix = self.machine.admit(&row);
        self.machine.unsaved_requests.truncate(unsaved);
        let due = row.spec.run_at.filter(|&at| at > row.spec.enqueued_at);
        let standing = standing.unwrap_or_else(|| Standing {
            phase: if due.is_some() { PhaseTag::Scheduled } else { PhaseTag::Queued },
            when: due.or(row.spec.run_at).unwrap_or(row.spec.enqueued_at),
            token: 0,
            attempts: 0,
            strikes: 0,
            reason: None,
            vouched: None,
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
        let phase = match standing.phase {
            PhaseTag::Scheduled => Phase::Scheduled,
            PhaseTag::Aside => Phase::Aside,
            PhaseTag::Held => Phase::Held,
            PhaseTag::Dead => Phase::Dead,
            PhaseTag::Done => Phase::Done,
            PhaseTag::Cancelled => Phase::Cancelled,
            PhaseTag::Expired => Phase::Expired,
            PhaseTag::Queued => return self.waiting.push((false, standing.when, ix)),
            PhaseTag::Backoff => return self.chain_first(ix, Phase::Backoff, standing.when),
            PhaseTag::Leased => return self.chain_first(ix, Phase::Leased, standing.when),
            PhaseTag::Started => return self.chain_first(ix, Phase::Started, standing.when),
            PhaseTag::Doubted => return self.chain_first(ix, Phase::Doubted, standing.when),
            PhaseTag::Gone => return,
        };
        machine.enter(ix, phase, standing.when);
        self.clean(ix);
    }

    /// A job that is the first of its chain whatever else waits in it.
    fn chain_first(&mut self, ix: SlotIx, phase: Phase, when: Timestamp) {
        self.machine.append(ix, when);
        self.machine.shift(ix, phase, when);
        self.clean(ix);
    }

    fn clean(&mut self, ix: SlotIx) {
        self.machine.slab[ix].set_dirty(false);
        if self.machine.dirty.last() == Some(&ix) {
            self.machine.dirty.pop();
        }
    }

    /// All jobs are in: those that wait take their places, in the order in which they began to wait.
    pub(crate) fn jobs_are_in(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(|&(_, since, ix)| (since, self.machine.slab[ix].seq));
        for (_, since, ix) in waiting {
            self.machine.append(ix, since);
            self.clean(ix);
        }
        self.machine.next_seq = self.machine.next_seq.max(self.folded_until);
    }

    /// Lets a change happen again.
    pub(crate) fn change(&mut self, at: Timestamp, change: &Change) {
        self.machine.set_now(at);
        match change {
            Change::Enqueued { from, count } => {
                while self.later.front().is_some_and(|row| row.seq < from + u64::from(*count)) {
                    self.admit_later();
                }
            }
            Change::Configured { .. } => self.machine.enact(change, None),
            change => {
                if let Some(queue) = change.queue() {
                    self.ensure_queue(queue);
                }
                self.machine.enact(change, None);
            }
        }
    }

    fn admit_later(&mut self) {
        if let Some(row) = self.later.pop_front() {
            self.ensure_queue(row.spec.queue);
            let ix = self.machine.admit(&row);
            self.machine.set_out(ix, row.spec.run_at);
            self.clean(ix);
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
            let seq = machine.slab[ix].seq;
            let queue = machine.queue_of(ix);
            machine.probe_is_over(queue, seq);
            if machine.slab[ix].phase == Phase::Leased { machine.lease_ran_out(ix) } else { machine.doubt(ix) }
        }
        for queue in 0..machine.queues.len() as u32 {
            if let Some(Breaker::HalfOpen { probe }) = machine.queues[queue as usize].as_ref().map(|queue| queue.breaker) {
                machine.probe_is_over(queue, probe);
            }
        }
        debug_assert!(machine.slab.iter().all(|(_, slot)| !slot.has_key() || slot.phase.chained() == (slot.next_in_key != NONE)));
        machine.tick(now);
        machine
    }
}
