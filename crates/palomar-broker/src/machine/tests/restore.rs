//! The restore walk: the oracle walk with a toy store, folds, and crashes that lose what was not committed.
//!
//! After each crash the restored machine is compared with the model as it stood at the last commit, and the walk goes
//! on: order, limits, budgets and remembered requests hold across the crash, or a later step finds out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use palomar_model::Timestamp;

use super::super::{Machine, MachineConfig};
use super::model::Model;
use super::random::Walk;
use super::store::Store;
use super::walk::{compare, step};
use super::{UNDATED, begin, from_env, id, job, secs};
use crate::types::{JobFilter, JobState, JobView};

/// Commits of one seed.
const STRIDE: u64 = 1_500;
const CONFIG: MachineConfig = MachineConfig { keep_finished: 1_000, keep_dead: 1_000 };

fn walk(seed: u64, trace: &mut Option<VecDeque<String>>, at: &mut u64) {
    let mut walk = Walk::new(seed);
    let (mut machine, mut model) = (Machine::new(CONFIG), Model::new(1_000, 1_000));
    let mut store = Store::new();
    let mut committed = model.clone();
    let mut leases = 0;
    for n in 0..STRIDE {
        *at = n;
        walk.still = false;
        walk.pass_time();
        walk.still = true;
        for _ in 0..1 + walk.rng.below(5) {
            step(&mut walk, &mut machine, &mut model, trace);
        }
        if walk.rng.one_in(12) {
            walk.leases.truncate(leases);
            walk.pass_time();
            if let Some(trace) = trace {
                trace.push_back(format!("{} crash", walk.now));
            }
            model = committed.clone();
            model.crash(walk.now);
            if walk.rng.one_in(3) {
                // The new process ends before it has written anything.
                drop(store.restore(CONFIG, walk.now));
            }
            machine = store.restore(CONFIG, walk.now);
            machine.check();
            compare(&machine, &model);
        }
        store.commit(&mut machine, walk.now);
        committed = model.clone();
        leases = walk.leases.len();
        if walk.rng.one_in(6) {
            store.fold(&mut machine);
            if let Some(trace) = trace {
                trace.push_back("fold".into());
            }
        }
    }
}

#[test]
fn a_machine_is_restored_as_the_model_stood_and_goes_on_like_it() {
    let commits = from_env("STEPS", 240_000) / 3;
    let first = from_env("SEED", 1);
    for seed in (first..).take(commits.div_ceil(STRIDE) as usize) {
        let mut at = 0;
        if catch_unwind(AssertUnwindSafe(|| walk(seed, &mut None, &mut at))).is_err() {
            let mut trace = Some(VecDeque::new());
            let again = catch_unwind(AssertUnwindSafe(|| walk(seed, &mut trace, &mut at)));
            assert!(again.is_err(), "the same walk fails again");
            let operations: Vec<String> = trace.into_iter().flatten().collect();
            panic!("SEED={seed}, commit {at}; before:\n{}", operations.join("\n"));
        }
    }
}

/// A state that a job may be found in after a crash.
fn follows(before: JobState, after: JobState) -> bool {
    match before {
        // Its outcome is not known, unless evidence came before.
        JobState::Started => matches!(after, JobState::Uncertain | JobState::Done | JobState::Dead),
        before => before == after,
    }
}

/// The log says of a commit when it was written, which is a little later than what it says happened.
fn walk_with_late_commits(seed: u64) {
    let mut walk = Walk::new(seed);
    let (mut machine, mut store) = (Machine::new(CONFIG), Store::new());
    let mut committed: Vec<JobView> = Vec::new();
    let all = JobFilter::default();
    let mut written = walk.now;
    for _ in 0..STRIDE {
        walk.pass_time();
        for _ in 0..1 + walk.rng.below(5) {
            let now = walk.now;
            match walk.rng.below(9) {
                0..3 if machine.len() < 60 => drop(machine.enqueue(walk.jobs(), now)),
                0..5 => {
                    let start = walk.rng.one_in(2);
                    let given = machine.lease("p", 3, secs(5), start, now);
                    walk.leases.extend(given.iter().map(|leasing| leasing.lease));
                }
                // What is refused is refused.
                5 => drop(machine.start(walk.lease(), now)),
                6 => drop(machine.settle(walk.settlement(), now)),
                7 => drop(machine.evidence(walk.evidence(), now)),
                _ => drop(machine.control(walk.control(), now, UNDATED)),
            }
            machine.check();
        }
        walk.now = Timestamp::from_micros(walk.now.micros() + walk.rng.below(3_000) as i64);
        if walk.rng.one_in(15) {
            machine = store.restore(CONFIG, written);
            machine.check();
            let found = machine.jobs(&all, 0, usize::MAX, UNDATED);
            assert_eq!(found.len(), committed.len(), "the same jobs");
            for (before, after) in committed.iter().zip(found) {
                assert_eq!((before.id, before.token), (after.id, after.token));
                assert!(follows(before.state, after.state), "{before:?} became {after:?}");
            }
        }
        // What is due when it is written is part of it.
        machine.tick(walk.now);
        store.commit(&mut machine, walk.now);
        (committed, written) = (machine.jobs(&all, 0, usize::MAX, UNDATED), walk.now);
        if walk.rng.one_in(6) {
            store.fold(&mut machine);
        }
    }
}

#[test]
fn a_crash_is_no_strike_against_what_was_leased_and_not_started() {
    let (mut machine, mut store, mut now) = (Machine::new(CONFIG), Store::new(), begin());
    machine.enqueue(vec![job(1)], now);
    for _ in 0..5 {
        assert_eq!(machine.lease("p", 1, secs(60), false, now).len(), 1, "not sent: it is sent once");
        store.commit(&mut machine, now);
        machine = store.restore(CONFIG, now);
        now = now.after(secs(1));
    }
    // Nor does it end the row of those that ran out.
    for crash in [true, false, true, false] {
        assert_eq!(machine.lease("p", 1, secs(60), false, now).len(), 1);
        store.commit(&mut machine, now);
        if crash {
            machine = store.restore(CONFIG, now);
        }
        now = now.after(secs(60));
        machine.tick(now);
        store.commit(&mut machine, now);
        store.fold(&mut machine);
    }
    assert_eq!(machine.lease("p", 1, secs(60), false, now).len(), 1);
    machine.tick(now.after(secs(60)));
    assert_eq!(machine.view(id(1)).expect("it is kept").state, JobState::Dead, "the third that ran out");
}

#[test]
fn a_commit_that_is_written_later_than_it_happened_is_restored_as_well() {
    for seed in 0..20 {
        walk_with_late_commits(seed);
    }
}
