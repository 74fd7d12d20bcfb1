//! Order per recipient under retries and crashes: 100,000 jobs, 1,000 recipients, 8 workers.

use std::collections::BTreeMap;

use palomar_model::Timestamp;

use super::super::{Leasing, Machine, MachineConfig};
use super::store::Store;
use super::{Rng, UNDATED, begin, from_env, job, secs, settle};
use crate::types::{Control, Key, NewJob, Outcome, Resolution, Signal};

const CONFIG: MachineConfig = MachineConfig { keep_finished: 100, keep_dead: 1_000 };
const JOBS: u64 = 100_000;
const KEYS: u64 = 1_000;

/// What started, as its workers know it: after the commit.
#[derive(Default)]
struct Starts {
    last: BTreeMap<u64, u64>,
    count: u64,
}

impl Starts {
    fn of(&mut self, seq: u64) {
        let last = self.last.insert(seq % KEYS, seq);
        assert!(last.is_none_or(|last| last <= seq), "I10: {seq} after {last:?}");
        self.count += 1;
    }
}

#[test]
fn order_per_recipient_holds_across_retries_and_crashes() {
    let mut rng = Rng::new(from_env("SEED", 17));
    let (mut machine, mut store, mut now) = (Machine::new(CONFIG), Store::new(), begin());
    let jobs = (0..JOBS).map(|n| NewJob { key: Some(Key::of(&((n + 1) % KEYS).to_string())), ..job(n) });
    machine.enqueue(jobs.collect(), now);
    store.commit(&mut machine, now);
    let mut starts = Starts::default();
    let mut held: Vec<Vec<Leasing>> = (0..8).map(|_| Vec::new()).collect();
    let (mut crashes, mut idle, mut rounds) = (0, 0, 0_u64);
    while idle < 20 {
        rounds += 1;
        let mut fresh = Vec::new();
        for (worker, held) in held.iter_mut().enumerate() {
            for leasing in std::mem::take(held) {
                let outcome = match rng.below(20) {
                    0 | 1 => Outcome::Retry { at: now.after(secs(rng.below(3))), counts: true },
                    2..5 => {
                        held.push(leasing);
                        continue;
                    }
                    _ => Outcome::Done,
                };
                settle(&mut machine, leasing.lease, outcome, Signal::None, now);
            }
            let ahead = rng.one_in(4);
            for leasing in machine.lease("p", 6 - held.len().min(6), secs(600), !ahead, now) {
                if !ahead || rng.one_in(2) && machine.start(leasing.lease, now).is_ok() {
                    fresh.push((worker, leasing));
                } else {
                    settle(&mut machine, leasing.lease, Outcome::Release, Signal::None, now);
                }
            }
        }
        idle = if fresh.is_empty() { idle + 1 } else { 0 };
        if rng.one_in(150) {
            // All of this round is lost, and so is who held what.
            crashes += 1;
            held.iter_mut().for_each(Vec::clear);
            machine = store.restore(CONFIG, now);
            machine.check();
            resolve_some(&mut machine, &mut rng, now);
            store.commit(&mut machine, now);
            continue;
        }
        // The commit comes a little later than what it writes.
        now = Timestamp::from_micros(now.micros() + rng.below(3_000) as i64);
        store.commit(&mut machine, now);
        for (worker, leasing) in fresh {
            starts.of(leasing.seq);
            held[worker].push(leasing);
        }
        if rng.one_in(40) {
            store.fold(&mut machine);
        }
        let pause = if idle > 0 { 10_000_000 } else { 20_000 };
        now = Timestamp::from_micros(now.micros() + rng.below(pause) as i64);
    }
    machine.check();
    let stats = machine.stats().queues.remove(0);
    assert!(
        crashes >= 5 && starts.count >= JOBS,
        "{crashes} crashes, {} starts, {rounds} rounds",
        starts.count
    );
    assert_eq!(stats.counts[..3], [0; 3], "nothing is left: {stats:?}");
}

/// A person settles some of what the crash left uncertain.
fn resolve_some(machine: &mut Machine, rng: &mut Rng, now: Timestamp) {
    let filter =
        crate::types::JobFilter { states: vec![crate::types::JobState::Uncertain], ..Default::default() };
    for job in machine.jobs(&filter, 0, 100, UNDATED) {
        if rng.one_in(2) {
            let resolution = rng.pick(&[Resolution::Sent, Resolution::Failed]);
            machine
                .control(Control::Resolve { id: job.id, resolution }, now, UNDATED)
                .expect("it was uncertain");
        }
    }
}
