//! The reference that brokers are compared with: the pure machine, its rows and its log in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use palomar_model::Timestamp;

use crate::embedded::fact_of;
use crate::machine::{
    BudgetRow, Change, Leasing, Machine, MachineConfig, NewRow, QueueRow, RequestRow, Restorer, Standing,
};
use crate::types::{Control, ControlError, Controlled, Fact, JobFilter, JobId, JobView, LeasedJob, Stats};

/// How the process of a broker under test ended.
#[cfg_attr(not(test), expect(dead_code, reason = "a walk over restarts needs a broker that is opened again"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// It was closed: the log was folded into rows.
    Closed,
    /// It was killed: rows and log stand as they were.
    Killed,
}

/// What a store would hold.
#[derive(Default)]
struct Stored {
    rows: BTreeMap<u64, NewRow>,
    standings: BTreeMap<u64, Standing>,
    queues: BTreeMap<u32, QueueRow>,
    budgets: BTreeMap<u32, BudgetRow>,
    requests: Vec<RequestRow>,
    folded_until: u64,
    log: Vec<(Timestamp, Vec<Change>)>,
}

/// The reference.
pub(super) struct Model {
    pub(super) machine: Machine,
    stored: Stored,
    /// All that was ever accepted, by sequence number.
    accepted: BTreeMap<u64, (JobId, Timestamp, Bytes)>,
    /// All facts so far, each with its job.
    pub(super) facts: Vec<(Option<JobId>, Fact)>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            machine: Machine::new(MachineConfig::default()),
            stored: Stored { folded_until: 1, ..Stored::default() },
            accepted: BTreeMap::new(),
            facts: Vec::new(),
        }
    }

    /// Keeps what an operation changed, as a store would.
    pub(super) fn keep(&mut self, now: Timestamp) {
        let changes = self.machine.take_changes();
        for row in changes.rows {
            self.accepted.insert(row.seq, (row.spec.id, row.spec.enqueued_at, row.payload.clone()));
            self.stored.rows.insert(row.seq, row);
        }
        for change in &changes.log {
            self.tell(change);
        }
        if !changes.log.is_empty() {
            self.stored.log.push((now, changes.log));
        }
    }

    fn tell(&mut self, change: &Change) {
        if let Change::Enqueued { from, count } = change {
            for seq in *from..from + u64::from(*count) {
                let (id, _, payload) = self.accepted[&seq].clone();
                let spec = &self.stored.rows[&seq].spec;
                let scheduled = spec.run_at.is_some_and(|at| at > spec.enqueued_at);
                self.facts.push((Some(id), Fact::Enqueued { scheduled, payload }));
            }
        } else if let Some((seq, _, fact)) = fact_of(change) {
            self.facts.push((seq.map(|seq| self.accepted[&seq].0), fact));
        }
    }

    /// What a broker answers to an order.
    pub(super) fn control(&mut self, control: Control, now: Timestamp) -> Result<Controlled, ControlError> {
        let accepted = &self.accepted;
        self.machine.control(control, now, &|seq| accepted.get(&seq).map(|(_, at, _)| *at))
    }

    /// A page of jobs as a broker shows them.
    pub(super) fn jobs(&self, filter: &JobFilter, after: u64, limit: usize) -> Vec<JobView> {
        let dates = |seq| self.accepted.get(&seq).map(|(_, at, _)| *at);
        let page = self.machine.jobs(filter, after, limit, &dates);
        page.into_iter().map(|view| self.shown(view).0).collect()
    }

    /// What a broker answers to a lease.
    pub(super) fn leased(&self, leasing: Leasing) -> LeasedJob {
        let (_, enqueued_at, payload) = self.accepted[&leasing.seq].clone();
        LeasedJob {
            lease: leasing.lease,
            queue: leasing.queue,
            group: leasing.group,
            priority: leasing.priority,
            attempt: leasing.lease.token,
            tries: leasing.tries,
            started: leasing.started,
            enqueued_at,
            until: leasing.until,
            payload,
        }
    }

    /// What a broker shows of a job.
    pub(super) fn shown(&self, view: JobView) -> (JobView, Bytes) {
        let (_, enqueued_at, payload) = self.accepted[&view.seq].clone();
        (JobView { enqueued_at, ..view }, payload)
    }

    pub(super) fn stats(&self) -> Stats {
        comparable(self.machine.stats())
    }

    /// The process ended, and another one opened what it had stored.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a walk over restarts needs a broker that is opened again")
    )]
    pub(super) fn restart(&mut self, how: Restart, now: Timestamp) {
        if how == Restart::Closed {
            self.fold();
        }
        let stored = &mut self.stored;
        let mut restorer = Restorer::new(MachineConfig::default(), stored.folded_until);
        for (ix, budget) in &stored.budgets {
            restorer.budget(*ix, budget.clone());
        }
        for (ix, queue) in &stored.queues {
            restorer.queue(*ix, queue.clone());
        }
        stored.requests.retain(|request| request.until > now);
        for request in &stored.requests {
            restorer.request(*request);
        }
        for (seq, row) in &stored.rows {
            restorer.job(row.clone(), stored.standings.get(seq).cloned());
        }
        restorer.jobs_are_in();
        for (at, changes) in &stored.log {
            for change in changes {
                restorer.change(*at, change);
            }
        }
        self.machine = restorer.finish(now);
        self.keep(now);
    }

    fn fold(&mut self) {
        let folded = self.machine.fold();
        let stored = &mut self.stored;
        stored.standings.extend(folded.standings);
        for seq in folded.gone {
            stored.rows.remove(&seq);
            stored.standings.remove(&seq);
        }
        stored.queues.extend(folded.queues);
        for ix in folded.gone_queues {
            stored.queues.remove(&ix);
        }
        stored.budgets.extend(folded.budgets);
        stored.requests.extend(folded.requests);
        stored.folded_until = folded.next_seq;
        stored.log.clear();
    }
}

/// Numbers in a form in which two brokers' can be compared: sets in order, without the place in the log.
pub(super) fn comparable(mut stats: Stats) -> Stats {
    stats.log_ends.clear();
    stats.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    for queue in &mut stats.queues {
        queue.paused_groups.sort();
    }
    stats
}
