//! The machine: queues and their semantics as one deterministic state machine.
//!
//! No clock, no threads, no I/O: every operation is told the present and answers at once; what must survive a crash
//! comes out as [`Change`]s ([`Machine::take_changes`]), in order, and a machine that is given the stored rows and
//! changes ([`Machine::restore`]) stands where the first one stood.
//!
//! An operation *decides*, and then *enacts* changes; [`Machine::enact`] is the only function that moves a job from
//! phase to phase, for the living and for the restored alike.
//!
//! What always holds (asserted by [`Machine::check`] after every step of the random walks):
//! - a job is in one phase, and in the list that the phase says, once;
//! - of the jobs of one key in one queue at most one is ready, leased, started or waiting for its next attempt: the
//!   first of the key's chain, which stands in the order of arrival, but for jobs that passed those of a paused group;
//! - accepted = live + final, for every queue;
//! - tokens only grow; an operation with another token than the newest changes nothing;
//! - starts are within every window, the pace of the key, the budget, the concurrency and the breaker.

mod admit;
mod budget;
mod chain;
mod change;
#[cfg(test)]
mod check;
mod control;
mod enact;
mod evidence;
mod explain;
mod filter;
mod fold;
mod forecast;
mod operate;
mod queue;
mod rate_held;
mod restore;
mod settle;
mod sight;
mod slab;
mod sleepers;
mod spread;
#[cfg(test)]
mod tests;
mod throttle;
mod tick;
mod turn;
mod view;
mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use palomar_model::Timestamp;

pub(crate) use budget::BudgetRow;
#[cfg(test)]
pub(crate) use change::PhaseTag;
pub(crate) use change::{Change, NewRow, QueueRow, Spec, Standing};
pub(crate) use control::problem_of;
pub use forecast::Forecast;

pub(crate) use fold::{Folded, RequestRow};
pub(crate) use operate::Leasing;
pub(crate) use restore::Restorer;
pub(crate) use sight::{Sight, WindowSight};

use crate::types::{Limits, QueueName, Verdict};
use budget::BudgetState;
use queue::{Group, Queue};
use slab::{Slab, SlotIx};
use sleepers::Sleepers;

/// What the machine keeps of final jobs, and how much work one operation may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// Done, cancelled and expired jobs that are kept to be looked at, each, per queue.
    pub keep_finished: u32,
    /// Dead letters that are kept per queue; beyond it the oldest is forgotten (records keep what they were).
    pub keep_dead: u32,
}

impl Default for MachineConfig {
    fn default() -> MachineConfig {
        MachineConfig { keep_finished: 100, keep_dead: 100_000 }
    }
}

/// Queues that workers lease from together.
#[derive(Debug, Default)]
struct Pool {
    /// Queues that may have a job to start now, in turn.
    ring: VecDeque<u32>,
    queues: u32,
}

/// A request that is remembered.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    job: u128,
    fingerprint: u64,
    until: Timestamp,
}

/// The changes of the operations since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Jobs that were accepted.
    pub(crate) rows: Vec<NewRow>,
    /// What changed, in order.
    pub(crate) log: Vec<Change>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.log.is_empty()
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    config: MachineConfig,
    now: Timestamp,
    next_seq: u64,
    slab: Slab,
    sleepers: Sleepers,
    queues: Vec<Option<Queue>>,
    queue_by_name: HashMap<QueueName, u32>,
    pools: Vec<Pool>,
    pool_by_name: HashMap<Arc<str>, u32>,
    groups: Vec<Option<Group>>,
    free_groups: Vec<u32>,
    budgets: Vec<BudgetState>,
    budget_by_name: HashMap<Arc<str>, u32>,
    /// Queues with ready jobs that may go on at a time.
    gated: BTreeSet<(Timestamp, u32)>,
    /// Jobs that expire while they wait, by when: what is due together leaves in the order of arrival.
    expiries: BTreeSet<(Timestamp, u64, SlotIx)>,
    expires_at: HashMap<SlotIx, Timestamp>,
    reasons: HashMap<SlotIx, Arc<str>>,
    vouched: HashMap<SlotIx, Verdict>,
    /// The attempt that evidence is measured by, where it is not the newest lease's: see [`Machine::newest_start`].
    started_under: HashMap<SlotIx, u32>,
    /// Jobs that are known to have gone out twice.
    duplicated: HashSet<SlotIx>,
    remembered: HashMap<u128, Remembered>,
    forget_at: BinaryHeap<Reverse<(Timestamp, u128)>>,
    /// Requests that are remembered only here and in the rows of their jobs.
    unsaved_requests: Vec<u128>,
    dedupe_hits: u64,
    changes: Changes,
    /// Slots whose standing differs from their row.
    dirty: Vec<SlotIx>,
    /// Jobs that are no more, whose rows still stand.
    gone: Vec<u64>,
    /// Queues that are no more, whose rows still stand.
    gone_queues: Vec<u32>,
    /// Queues with windows in which attempts began since changes were last flushed.
    started_in: Vec<u32>,
    /// The last lease set aside as many jobs as one may, and found none: it is to be asked again.
    gave_up: bool,
}

impl Machine {
    /// An empty machine.
    pub(crate) fn new(config: MachineConfig) -> Machine {
        Machine {
            config,
            now: Timestamp::EPOCH,
            next_seq: 1,
            slab: Slab::default(),
            sleepers: Sleepers::default(),
            queues: Vec::new(),
            queue_by_name: HashMap::new(),
            pools: Vec::new(),
            pool_by_name: HashMap::new(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            budgets: Vec::new(),
            budget_by_name: HashMap::new(),
            gated: BTreeSet::new(),
            expiries: BTreeSet::new(),
            expires_at: HashMap::new(),
            reasons: HashMap::new(),
            vouched: HashMap::new(),
            started_under: HashMap::new(),
            duplicated: HashSet::new(),
            remembered: HashMap::new(),
            forget_at: BinaryHeap::new(),
            unsaved_requests: Vec::new(),
            dedupe_hits: 0,
            changes: Changes::default(),
            dirty: Vec::new(),
            gone: Vec::new(),
            gone_queues: Vec::new(),
            started_in: Vec::new(),
            gave_up: false,
        }
    }

    /// The changes since they were last taken; they are to be durable before any answer leaves.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// What was taken is durable, as late as `at`: attempts that began with the last operation can reach the other
    /// side only from then on, and their windows end later by as much.
    pub(crate) fn flushed(&mut self, at: Timestamp) {
        for queue in std::mem::take(&mut self.started_in) {
            if let Some(queue) = &mut self.queues[queue as usize] {
                queue.windows.put_off(self.now, at);
            }
        }
    }

    /// The jobs that were accepted since changes were last taken.
    pub(crate) fn accepted(&self) -> &[NewRow] {
        &self.changes.rows
    }

    /// Jobs that are no more since the last fold.
    pub(crate) fn gone(&self) -> usize {
        self.gone.len()
    }

    /// Whether there is something to make durable.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Jobs that the machine knows.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    fn queue(&self, queue: u32) -> &Queue {
        match &self.queues[queue as usize] {
            Some(queue) => queue,
            None => unreachable!("queue {queue} was removed"),
        }
    }

    fn queue_mut(&mut self, queue: u32) -> &mut Queue {
        match &mut self.queues[queue as usize] {
            Some(state) => {
                state.dirty = true;
                state
            }
            None => unreachable!("queue {queue} was removed"),
        }
    }

    fn group(&self, group: u32) -> &Group {
        match &self.groups[group as usize] {
            Some(group) => group,
            None => unreachable!("group {group} was removed"),
        }
    }

    fn group_mut(&mut self, group: u32) -> &mut Group {
        match &mut self.groups[group as usize] {
            Some(group) => group,
            None => unreachable!("group {group} was removed"),
        }
    }

    fn queue_of(&self, ix: SlotIx) -> u32 {
        self.group(self.slab[ix].lane / 4).queue
    }

    /// The queue of that name, created with default limits where there is none.
    fn queue_named(&mut self, name: &QueueName) -> u32 {
        match self.queue_by_name.get(name) {
            Some(&queue) => queue,
            None => {
                let queue = self.queues.len() as u32;
                self.record(Change::Configured { queue, name: name.clone(), limits: Limits::default() });
                queue
            }
        }
    }

    /// Moves the present on; it never goes back.
    fn set_now(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Enacts a change and keeps it for the log.
    fn record(&mut self, change: Change) {
        self.enact(&change, None);
        self.changes.log.push(change);
    }

    /// As [`Machine::record`], for a change of the job in a slot that is at hand.
    fn record_of(&mut self, ix: SlotIx, change: Change) {
        self.enact(&change, Some(ix));
        self.changes.log.push(change);
    }
}
