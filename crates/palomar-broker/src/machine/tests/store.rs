//! A toy store: rows, standings and a log in memory, exactly as changes and folds say; what was not committed is lost.

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{
    BudgetRow, Change, Folded, Machine, MachineConfig, NewRow, QueueRow, RequestRow, Restorer, Spec, Standing,
};

/// Everything is kept as bytes, so that all of it goes through its stored form.
#[derive(Clone, Default)]
pub(super) struct Store {
    jobs: BTreeMap<u64, Vec<u8>>,
    standings: BTreeMap<u64, Vec<u8>>,
    queues: BTreeMap<u32, Vec<u8>>,
    budgets: BTreeMap<u32, Vec<u8>>,
    requests: Vec<Vec<u8>>,
    /// The changes of each commit.
    log: Vec<(Timestamp, Vec<u8>)>,
    next_seq: u64,
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("it can be stored")
}

fn value<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("it can be read back")
}

impl Store {
    pub(super) fn new() -> Store {
        Store { next_seq: 1, ..Store::default() }
    }

    /// Makes what changed durable. `at` is when it is written, not before it happened.
    pub(super) fn commit(&mut self, machine: &mut Machine, at: Timestamp) {
        let changes = machine.take_changes();
        for row in changes.rows {
            self.jobs.insert(row.seq, bytes_of(&row.spec));
        }
        let log = bytes_of(&changes.log);
        assert_eq!(value::<Vec<Change>>(&log), changes.log, "changes are read back as they were written");
        self.log.push((at, log));
    }

    /// Folds the log into rows. Nothing is uncommitted.
    pub(super) fn fold(&mut self, machine: &mut Machine) {
        assert!(!machine.has_changes());
        let Folded { standings, gone, queues, gone_queues, budgets, requests, next_seq } = machine.fold();
        for (seq, standing) in standings {
            assert_eq!(value::<Standing>(&bytes_of(&standing)), standing);
            self.standings.insert(seq, bytes_of(&standing));
        }
        for seq in gone {
            self.jobs.remove(&seq);
            self.standings.remove(&seq);
        }
        for (ix, row) in queues {
            assert_eq!(value::<QueueRow>(&bytes_of(&row)), row);
            self.queues.insert(ix, bytes_of(&row));
        }
        for ix in gone_queues {
            self.queues.remove(&ix);
        }
        self.budgets.extend(budgets.iter().map(|(ix, row)| (*ix, bytes_of(row))));
        self.requests.extend(requests.iter().map(bytes_of));
        self.next_seq = next_seq;
        self.log.clear();
    }

    /// A new process reads what is there.
    pub(super) fn restore(&self, config: MachineConfig, now: Timestamp) -> Machine {
        let mut restorer = Restorer::new(config, self.next_seq);
        for (ix, row) in &self.budgets {
            restorer.budget(*ix, value::<BudgetRow>(row));
        }
        for (ix, row) in &self.queues {
            restorer.queue(*ix, value::<QueueRow>(row));
        }
        for row in &self.requests {
            let row: RequestRow = value(row);
            if row.until > now {
                restorer.request(row);
            }
        }
        for (seq, spec) in &self.jobs {
            let row = NewRow { seq: *seq, spec: value::<Spec>(spec), payload: Default::default() };
            restorer.job(row, self.standings.get(seq).map(|standing| value::<Standing>(standing)));
        }
        restorer.jobs_are_in();
        for (at, changes) in &self.log {
            for change in value::<Vec<Change>>(changes) {
                restorer.change(*at, &change);
            }
        }
        restorer.finish(now)
    }
}
