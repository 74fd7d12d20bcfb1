//! The oracle walk: random operations on the machine and on the naive model, every answer and every state compared.
//!
//! `STEPS` and `SEED` ask for a longer run or another one. A failure names its seed and step and the operations
//! before it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use palomar_model::{Priority, Timestamp};

use super::super::{Machine, MachineConfig};
use super::model::{At, Model};
use super::{Rng, begin, from_env, id, name, secs};
use crate::types::{
    BreakerConfig, BreakerState, Budget, Control, Dedupe, Evidence, JobFilter, JobState, Key, LeaseRef, Limits, NewJob,
    OnUncertain, Outcome, Pair, QueueName, Resolution, Settle, Signal, Verdict, Window,
};

pub(super) const GROUPS: [&str; 3] = ["spring", "summer", "autumn"];
const QUEUES: [&str; 3] = ["p/a", "p/b", "q/c"];
const KEEP: (usize, usize) = (3, 4);
/// Steps of one seed; then a new machine begins.
const STRIDE: u64 = 4_000;

/// One random walk.
pub(super) struct Walk {
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    pub(super) leases: Vec<LeaseRef>,
    next_id: u64,
    pub(super) margin: u16,
}

impl Walk {
    pub(super) fn new(seed: u64) -> Walk {
        let mut rng = Rng::new(seed);
        let margin = rng.pick(&[0, 15]);
        Walk { rng, now: begin(), leases: Vec::new(), next_id: 0, margin }
    }

    pub(super) fn queue(&mut self) -> QueueName {
        // A queue that is not there, now and then.
        if self.rng.one_in(60) { name("p/none") } else { name(self.rng.pick(&QUEUES)) }
    }

    fn group(&mut self) -> Arc<str> {
        self.rng.pick(&GROUPS).into()
    }

    /// Of those that were made, or unknown.
    fn some_id(&mut self) -> crate::types::JobId {
        let newest = self.next_id;
        id(newest.saturating_sub(self.rng.below(30)))
    }

    pub(super) fn pass_time(&mut self) {
        let step = match self.rng.below(100) {
            0..55 => 0,
            55..65 => self.rng.below(10),
            65..75 => self.rng.below(5_000),
            75..87 => self.rng.below(1_500_000),
            87..95 => self.rng.below(15_000_000),
            95..99 => self.rng.below(200_000_000),
            _ => self.rng.below(5_000_000_000),
        };
        self.now = Timestamp::from_micros(self.now.micros() + step as i64);
    }

    pub(super) fn limits(&mut self) -> Limits {
        let rng = &mut self.rng;
        let mut windows = Vec::new();
        for length in [1, 7, 60, 3600] {
            if rng.one_in(4) {
                windows.push(Window { max: 1 + rng.below(4) as u32, window: secs(length) });
            }
        }
        let pair = rng.one_in(3).then(|| Pair { interval: secs(rng.pick(&[2, 30])), burst: 1 + rng.below(2) as u32 });
        let budget = rng.one_in(3).then(|| {
            let (name, window) = rng.pick(&[("x", 100), ("y", 3600)]);
            Budget { name: name.into(), max: 1 + rng.below(3) as u32, window: secs(window) }
        });
        Limits {
            windows,
            margin_permille: self.margin,
            pair,
            concurrency: rng.pick(&[1, 2, 4, 50]),
            budget,
            breaker: BreakerConfig { failures: rng.below(4) as u32, open_for: secs(rng.pick(&[5, 60])) },
            deadline: secs(1 + rng.below(3)),
            lease_margin: secs(1),
            order_wait: secs(rng.pick(&[0, 3, 60])),
            uncertain_wait: secs(rng.pick(&[10, 100])),
            throttle_wait: secs(1),
        }
    }

    pub(super) fn jobs(&mut self) -> Vec<NewJob> {
        let many = 1 + self.rng.below(4) * self.rng.below(2);
        (0..many).map(|_| self.job()).collect()
    }

    fn job(&mut self) -> NewJob {
        self.next_id += 1;
        let n = if self.rng.one_in(20) { self.next_id - 1 } else { self.next_id };
        let queue = name(self.rng.pick(&QUEUES));
        let mut job = NewJob::new(id(n), queue, &b"payload"[..]);
        let now = self.now;
        // Unique to the microsecond, so that no two jobs expire together.
        let unique = Duration::from_micros(n % 1_000);
        let rng = &mut self.rng;
        job.priority = rng.pick(&Priority::ALL);
        job.group = (!rng.one_in(3)).then(|| rng.pick(&GROUPS).into());
        job.key = (!rng.one_in(4)).then(|| Key::of(rng.pick(&["k1", "k2", "k3", "k4"])));
        if rng.one_in(5) {
            let at = now.after(Duration::from_micros(rng.below(20_000_000)));
            job.run_at = Some(if rng.one_in(4) { now.before(secs(rng.below(20))) } else { at });
        }
        if rng.one_in(6) {
            job.expires_at = Some(now.after(Duration::from_millis(rng.below(60_000)) + unique));
        }
        job.on_uncertain = rng.pick(&[OnUncertain::Hold, OnUncertain::Retry, OnUncertain::Drop]);
        job.spends_budget = !rng.one_in(5);
        if rng.one_in(5) {
            let id = u128::from(rng.below(6));
            job.dedupe = Some(Dedupe { id, fingerprint: rng.below(2), ttl: secs(rng.below(40)) });
        }
        job
    }

    /// Mostly a lease that holds; sometimes an old one, a wrong one, one of an unknown job.
    pub(super) fn lease(&mut self) -> LeaseRef {
        let unknown = LeaseRef { id: self.some_id(), token: self.rng.below(4) as u32 };
        if self.leases.is_empty() || self.rng.one_in(25) {
            return unknown;
        }
        let recent = self.leases.len() as u64 - 1;
        let back = self.rng.below(8).min(recent);
        let mut lease = self.leases[(recent - back) as usize];
        match self.rng.below(30) {
            0 => lease.token += 1,
            1 => lease.token = lease.token.saturating_sub(1),
            _ => {}
        }
        lease
    }

    pub(super) fn settlement(&mut self) -> Settle {
        let lease = self.lease();
        let (now, rng) = (self.now, &mut self.rng);
        let outcome = match rng.below(12) {
            0..4 => Outcome::Done,
            4..6 => {
                let at = now.after(Duration::from_micros(rng.below(10_000_000) * rng.below(2)));
                Outcome::Retry { at, counts: rng.one_in(2) }
            }
            6 => Outcome::Dead { reason: "no such number".into() },
            7..9 => Outcome::Uncertain,
            9..11 => Outcome::Release,
            _ => Outcome::Panicked,
        };
        let signal = match rng.below(20) {
            0..6 => Signal::None,
            6..11 => Signal::Success,
            11..17 => Signal::Failure,
            17 => Signal::Throttled { after: None },
            18 => Signal::Throttled { after: Some(Duration::from_millis(rng.below(5_000))) },
            _ => {
                if rng.one_in(3) { Signal::Pause { reason: "bad key".into() } } else { Signal::Success }
            }
        };
        let events = if rng.one_in(8) { vec![(&b"event"[..]).into()] } else { Vec::new() };
        Settle { lease, outcome, signal, events }
    }

    pub(super) fn evidence(&mut self) -> Evidence {
        let lease = self.lease();
        let attempt = (i64::from(lease.token) + self.rng.below(4) as i64 - 2).max(0) as u32;
        let attempt = if self.rng.one_in(2) { lease.token } else { attempt };
        let verdict =
            if self.rng.one_in(2) { Verdict::Taken } else { Verdict::Failed { reason: "undeliverable".into() } };
        Evidence { id: lease.id, attempt, verdict, events: Vec::new() }
    }

    fn filter(&mut self) -> JobFilter {
        JobFilter {
            queue: self.rng.one_in(2).then(|| self.queue()),
            pool: self.rng.one_in(4).then(|| self.rng.pick(&["p", "q"]).into()),
            group: self.rng.one_in(3).then(|| self.group()),
            states: if self.rng.one_in(3) {
                vec![self.rng.pick(&JobState::ALL), self.rng.pick(&JobState::ALL)]
            } else {
                Vec::new()
            },
            ..JobFilter::default()
        }
    }

    pub(super) fn control(&mut self) -> Control {
        let id = if self.leases.is_empty() || self.rng.one_in(2) { self.some_id() } else { self.lease().id };
        match self.rng.below(40) {
            0..4 => Control::Configure { queue: name(self.rng.pick(&QUEUES)), limits: self.limits() },
            4 => Control::Pause { queue: self.queue(), reason: "a person".into() },
            5..9 => Control::Resume { queue: self.queue() },
            9 => Control::PauseGroup { queue: self.queue(), group: self.group() },
            10..13 => Control::ResumeGroup { queue: self.queue(), group: self.group() },
            13..17 => Control::Cancel { id },
            17 => Control::CancelAll(self.filter()),
            18..22 => Control::Promote { id },
            22..27 => Control::RetryDead { id },
            27 => Control::RetryAll(self.filter()),
            28 => Control::Purge(self.filter()),
            29..35 => {
                let resolution = self.rng.pick(&[Resolution::Sent, Resolution::Failed, Resolution::Retry]);
                Control::Resolve { id, resolution }
            }
            35..38 => Control::Clean { filter: self.filter(), keep: self.rng.below(3) as usize },
            _ => Control::Remove { queue: self.queue() },
        }
    }
}

/// One step: the same operation on both, and what they answered compared.
fn step(walk: &mut Walk, machine: &mut Machine, model: &mut Model, trace: &mut Option<VecDeque<String>>) {
    walk.pass_time();
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
            assert_eq!(machine.control(control.clone(), now), model.control(&control, now), "control");
        }
        _ => {
            tell(&"sleep until just before the next tick");
            sleep(walk, machine, model);
        }
    }
    machine.check();
    compare(machine, model);
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
