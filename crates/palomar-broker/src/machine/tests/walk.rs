//! The oracle walk: random operations on the machine and on the naive model, every answer and every state compared.
//!
//! `STEPS` and `SEED` ask for a longer run or another one. A failure names its seed and step and the operations
//! before it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use palomar_model::Timestamp;

use super::super::{Machine, MachineConfig};
use super::model::{At, Model};
use super::random::Walk;
use super::{from_env, secs};
use crate::types::{BreakerState, Control, JobFilter, JobState};

const KEEP: (usize, usize) = (3, 4);
/// Steps of one seed; then a new machine begins.
const STRIDE: u64 = 4_000;

/// One step: the same operation on both, and what they answered compared.
pub(super) fn step(
    walk: &mut Walk,
    machine: &mut Machine,
    model: &mut Model,
    trace: &mut Option<VecDeque<String>>,
) {
    if !walk.still {
        walk.pass_time();
    }
    let now = walk.now;
    let mut tell = |operation: &dyn std::fmt::Debug| {
        if let Some(trace) = trace {
            trace.push_back(format!("{now} {operation:?}"));
            if trace.len() > 30 {
                trace.pop_front();
            }
        }
    };
    match walk.rng.below(100) {
        0..20 if model.jobs.len() < 40 => {
            let jobs = walk.jobs();
            tell(&jobs);
            let expected = model.enqueue(&jobs, now);
            assert_eq!(machine.enqueue(jobs, now), expected, "enqueued");
        }
        0..45 => {
            let pool = walk.rng.pick(&["p", "p", "q", "none"]);
            let (max, start) = (1 + walk.rng.below(4) as usize, walk.rng.one_in(2));
            let lease = secs(walk.rng.pick(&[1, 5, 30]));
            tell(&("lease", pool, max, lease, start));
            let given = machine.lease(pool, max, lease, start, now);
            tell(&given);
            model.leased(pool, max, lease, start, &given, now);
            walk.leases.extend(given.iter().map(|leasing| leasing.lease));
        }
        45..55 => {
            let lease = walk.lease();
            tell(&("start", lease));
            assert_eq!(machine.start(lease, now), model.start(lease, now), "started");
        }
        55..58 => {
            let (lease, by) = (walk.lease(), secs(walk.rng.below(20)));
            tell(&("renew", lease, by));
            assert_eq!(machine.renew(lease, by, now), model.renew(lease, by, now), "renewed");
        }
        58..78 => {
            let settle = walk.settlement();
            tell(&settle);
            assert_eq!(machine.settle(settle.clone(), now), model.settle(&settle, now), "settled");
        }
        78..86 => {
            let evidence = walk.evidence();
            tell(&evidence);
            assert_eq!(machine.evidence(evidence.clone(), now), model.evidence(&evidence, now), "evidence");
        }
        86..96 => {
            let control = walk.control();
            tell(&control);
            order(&control, machine, model, now);
            let (filter, after) = (walk.filter(), walk.rng.below(40));
            let seen = machine.jobs(&filter, after, 5, &|seq| model.queued_at(seq));
            let seen: Vec<u64> = seen.into_iter().map(|job| job.seq).collect();
            assert_eq!(seen, model.page(&filter, after, 5), "{filter:?} after {after}");
        }
        _ if walk.still => {
            // Room for more.
            let control = Control::Clean { filter: JobFilter::default(), keep: 5 };
            order(&control, machine, model, now);
        }
        _ => {
            tell(&"sleep until just before the next tick");
            sleep(walk, machine, model);
        }
    }
    machine.check();
    model.let_pass();
    compare(machine, model);
}

fn order(control: &Control, machine: &mut Machine, model: &mut Model, now: Timestamp) {
    let answer = machine.control(control.clone(), now, &|seq| model.queued_at(seq));
    assert_eq!(answer, model.control(control, now), "{control:?}");
}

/// All pools are asked until they have nothing to give; then nothing may become possible before the next tick.
fn sleep(walk: &mut Walk, machine: &mut Machine, model: &mut Model) {
    for pool in ["p", "q"] {
        loop {
            let given = machine.lease(pool, 1, secs(5), true, walk.now);
            model.leased(pool, 1, secs(5), true, &given, walk.now);
            walk.leases.extend(given.iter().map(|leasing| leasing.lease));
            if given.is_empty() {
                break;
            }
        }
    }
    let mut ticks = 0;
    while machine.next_tick().is_some_and(|at| at <= walk.now) {
        machine.tick(walk.now);
        ticks += 1;
        assert!(ticks < 100, "the next tick never comes");
    }
    let next = machine.next_tick().unwrap_or(walk.now.after(secs(10_000)));
    walk.now = walk.now.max(Timestamp::from_micros(next.micros() - 1));
    for pool in ["p", "q"] {
        let given = machine.lease(pool, 1, secs(5), true, walk.now);
        model.leased(pool, 1, secs(5), true, &given, walk.now);
        // What a tick in the same moment let on may go now; nothing may have become possible meanwhile.
        assert!(given.is_empty() || ticks > 0, "{given:?} could go before the next tick");
        walk.leases.extend(given.iter().map(|leasing| leasing.lease));
    }
}

/// Everything that can be seen.
pub(super) fn compare(machine: &Machine, model: &Model) {
    assert_eq!(machine.len(), model.jobs.len(), "jobs that are known");
    for job in &model.jobs {
        let view = machine.view(job.id).expect("a job that is known");
        assert_eq!(
            (view.state, view.attempts, view.token, view.seq, view.priority),
            (job.at.state(), job.tries, job.token, job.seq, job.priority),
            "{job:?}"
        );
        assert_eq!(view.reason.is_some(), job.at == At::Dead, "{job:?}");
        assert_eq!(view.group.as_deref(), job.group);
    }
    let chains = model.chains().into_iter();
    let ids = |chain: Vec<usize>| chain.into_iter().map(|ix| model.jobs[ix].id).collect();
    assert_eq!(machine.chains(), chains.map(|(key, chain)| (key, ids(chain))).collect(), "order");
    let stats = machine.stats();
    assert_eq!(stats.dedupe_ids, model.requests.len() as u64, "requests that are remembered");
    assert_eq!(stats.dedupe_hits, model.hits);
    assert_eq!(stats.queues.len(), model.queues.iter().flatten().count());
    for seen in &stats.queues {
        let ix = model.named(&seen.queue).expect("a queue that is known");
        let queue = model.queue(ix);
        for state in JobState::ALL {
            let count = model.in_state(ix, |at| at.state() == state);
            assert_eq!(seen.counts[state as usize], count, "{state:?} of {}", queue.name);
        }
        assert_eq!(seen.leased, model.in_state(ix, |at| matches!(at, At::Leased(_))));
        assert_eq!(seen.limits, queue.limits);
        assert_eq!((seen.accepted, seen.starts), (queue.accepted, queue.starts.len() as u64));
        assert_eq!((seen.finished, seen.duplicate_sends), (queue.finished, queue.duplicates));
        assert_eq!((seen.stale, seen.expired_leases), (queue.stale, queue.ran_out));
        assert_eq!(seen.paused.is_some(), queue.paused);
        let mut groups: Vec<&str> = seen.paused_groups.iter().map(|group| &**group).collect();
        let mut expected = queue.paused_groups.clone();
        groups.sort_unstable();
        expected.sort_unstable();
        assert_eq!(groups, expected, "groups that are paused");
        assert_eq!(seen.rate_permille, model.rate(ix));
        let breaker = match queue.breaker {
            super::model::Breaker::Closed(_) => BreakerState::Closed,
            super::model::Breaker::Open(until) => BreakerState::Open { until },
            super::model::Breaker::Probe(_) => BreakerState::HalfOpen,
        };
        assert_eq!(seen.breaker, breaker);
        let used = queue.limits.budget.as_ref().map(|budget| model.keys_of(&budget.name).len() as u64);
        assert_eq!(seen.budget_used, used);
    }
}

fn walk(seed: u64, steps: u64, trace: &mut Option<VecDeque<String>>, at: &mut u64) {
    let mut walk = Walk::new(seed);
    let keep = MachineConfig { keep_finished: KEEP.0 as u32, keep_dead: KEEP.1 as u32 };
    let (mut machine, mut model) = (Machine::new(keep), Model::new(KEEP.0, KEEP.1));
    for n in 0..steps {
        *at = n;
        step(&mut walk, &mut machine, &mut model, trace);
        // Nobody takes the changes here.
        machine.take_changes();
    }
}

/// Walks `share` of all seeds, and tells of a failure with all that is needed to see it again.
fn walks(share: u64) {
    let steps = from_env("STEPS", 1_000_000);
    let seed = from_env("SEED", 1);
    for seed in (seed..).take(steps.div_ceil(STRIDE) as usize).filter(|seed| seed % 2 == share) {
        let mut at = 0;
        let failed = catch_unwind(AssertUnwindSafe(|| walk(seed, STRIDE, &mut None, &mut at)));
        if failed.is_err() {
            let mut trace = Some(VecDeque::new());
            let again = catch_unwind(AssertUnwindSafe(|| walk(seed, STRIDE, &mut trace, &mut at)));
            assert!(again.is_err(), "the same walk fails again");
            let operations: Vec<String> = trace.into_iter().flatten().collect();
            panic!("SEED={seed}, step {at}; the operations before:\n{}", operations.join("\n"));
        }
    }
}

#[test]
fn a_machine_and_a_naive_model_agree_on_even_seeds() {
    walks(0);
}

#[test]
fn a_machine_and_a_naive_model_agree_on_odd_seeds() {
    walks(1);
}
