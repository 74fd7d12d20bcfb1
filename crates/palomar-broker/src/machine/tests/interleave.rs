//! Every interleaving of what three workers, time, evidence and a person can do to one job, ten operations deep.
//!
//! Ways that lead to the same state are followed once. A stale token changes nothing, an attempt starts once, a token
//! is given once.

use std::collections::HashSet;

use palomar_model::Timestamp;

use super::super::Machine;
use super::super::slab::Phase;
use super::{UNDATED, begin, from_env, id, job, machine_with, secs};
use crate::types::{
    BreakerConfig, Control, Evidence, LeaseError, LeaseRef, Limits, OnUncertain, Outcome, Settle, Signal,
    Verdict,
};

const WORKERS: usize = 3;

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Lease { worker: usize, start: bool },
    Start(usize),
    Renew(usize),
    Settle(usize, u8),
    Sleep,
    Evidence { newest: bool, taken: bool },
    Cancel,
    Retry,
}

fn all() -> Vec<Op> {
    let mut all = vec![Op::Sleep, Op::Cancel, Op::Retry];
    for newest in [true, false] {
        all.extend([true, false].map(|taken| Op::Evidence { newest, taken }));
    }
    for worker in 0..WORKERS {
        all.extend([true, false].map(|start| Op::Lease { worker, start }));
        all.extend([Op::Start(worker), Op::Renew(worker)]);
        all.extend((0..6).map(|outcome| Op::Settle(worker, outcome)));
    }
    all
}

/// A machine with one job, and who holds what.
struct World {
    machine: Machine,
    now: Timestamp,
    held: [Option<LeaseRef>; WORKERS],
    tokens: Vec<u32>,
    started: Vec<u32>,
    stale: u64,
}

/// All of a job that decides what happens to it: what a stale operation leaves as it is.
type Seen = (u8, u32, u16, u8, i64, Option<bool>, u32);

impl World {
    fn new(policy: OnUncertain) -> World {
        let breaker = BreakerConfig { failures: 0, open_for: secs(60) };
        let limits = Limits { breaker, deadline: secs(2), lease_margin: secs(1), ..Limits::default() };
        let mut machine = machine_with(limits);
        let mut new = job(1);
        new.on_uncertain = policy;
        machine.enqueue(vec![new], begin());
        World { machine, now: begin(), held: [None; WORKERS], tokens: vec![0], started: Vec::new(), stale: 0 }
    }

    fn seen(&self) -> Option<Seen> {
        let ix = self.machine.slab.find(id(1))?;
        let slot = &self.machine.slab[ix];
        let when = if slot.phase.sleeps() { slot.when.micros() - self.now.micros() } else { 0 };
        let vouched = self.machine.vouched.get(&ix).map(|verdict| *verdict == Verdict::Taken);
        let newest = self.machine.newest_start(ix);
        Some((slot.phase as u8, slot.token, slot.attempts, slot.strikes(), when, vouched, newest))
    }

    fn phase(&self) -> Option<Phase> {
        self.machine.slab.find(id(1)).map(|ix| self.machine.slab[ix].phase)
    }

    /// What one worker does with its lease; whether that is refused as stale.
    fn with_lease(&mut self, worker: usize, op: Op) -> Option<bool> {
        let lease = self.held[worker]?;
        let now = self.now;
        let answer = match op {
            Op::Start(_) => self.machine.start(lease, now).map(|_| ()),
            Op::Renew(_) => self.machine.renew(lease, secs(9), now),
            Op::Settle(_, outcome) => {
                let outcome = match outcome {
                    0 => Outcome::Done,
                    1 => Outcome::Retry { at: now.after(secs(1)), counts: true },
                    2 => Outcome::Dead { reason: "no".into() },
                    3 => Outcome::Uncertain,
                    4 => Outcome::Release,
                    _ => Outcome::Panicked,
                };
                self.machine.settle(Settle { lease, outcome, signal: Signal::None, events: Vec::new() }, now)
            }
            _ => return None,
        };
        Some(answer == Err(LeaseError::Stale))
    }

    /// Does one thing; none where it can't be done here.
    fn act(&mut self, op: Op) -> Option<()> {
        let (before, phase) = (self.seen(), self.phase());
        match op {
            Op::Lease { worker, start } => {
                let given = self.machine.lease("p", 1, secs(5), start, self.now).pop()?;
                assert!(self.tokens.iter().all(|token| *token < given.lease.token), "a token is given once");
                self.tokens.push(given.lease.token);
                self.held[worker] = Some(given.lease);
            }
            Op::Start(worker) | Op::Renew(worker) | Op::Settle(worker, _) => {
                let newest = self.held[worker].map(|lease| lease.token) == self.tokens.last().copied();
                let holds = newest && matches!(phase, Some(Phase::Leased | Phase::Started));
                let stale = self.with_lease(worker, op)?;
                assert_eq!(
                    stale,
                    !holds,
                    "{op:?} of a lease that {}",
                    if holds { "holds" } else { "is over" }
                );
                if stale {
                    assert_eq!(self.seen(), before, "I5: a stale token changes nothing");
                    self.stale += 1;
                    return None;
                }
            }
            Op::Sleep => {
                self.now = self.machine.next_tick()?;
                self.machine.tick(self.now);
            }
            Op::Evidence { newest, taken } => {
                let attempt = if newest { *self.tokens.last()? } else { *self.tokens.iter().rev().nth(1)? };
                let verdict = if taken { Verdict::Taken } else { Verdict::Failed { reason: "no".into() } };
                self.machine.evidence(Evidence { id: id(1), attempt, verdict, events: Vec::new() }, self.now);
            }
            Op::Cancel => {
                self.machine.control(Control::Cancel { id: id(1) }, self.now, UNDATED).ok()?;
            }
            Op::Retry => {
                self.machine.control(Control::RetryDead { id: id(1) }, self.now, UNDATED).ok()?;
            }
        }
        if self.phase() == Some(Phase::Started) && phase != Some(Phase::Started) {
            let token = *self.tokens.last()?;
            assert!(!self.started.contains(&token), "I3: an attempt starts once");
            self.started.push(token);
        }
        self.machine.check();
        Some(())
    }
}

fn explore(policy: OnUncertain, depth: usize) -> (usize, u64) {
    let all = all();
    let mut known = HashSet::new();
    let mut frontier: Vec<Vec<Op>> = vec![Vec::new()];
    let mut stale = 0;
    for _ in 0..depth {
        let mut next = Vec::new();
        for way in &frontier {
            for &op in &all {
                let mut world = World::new(policy);
                for &before in way {
                    world.act(before);
                }
                let went = world.act(op);
                stale += world.stale;
                if went.is_none() {
                    continue;
                }
                let mut held = world.held.map(|lease| lease.map(|lease| lease.token));
                held.sort_unstable();
                if known.insert((world.seen(), held)) {
                    let mut way = way.clone();
                    way.push(op);
                    next.push(way);
                }
            }
        }
        frontier = next;
    }
    (known.len(), stale)
}

#[test]
fn every_interleaving_of_three_workers_on_one_job() {
    let depth = from_env("DEPTH", 10) as usize;
    for policy in [OnUncertain::Hold, OnUncertain::Retry] {
        let (states, stale) = explore(policy, depth);
        assert!(states > 1_000 && stale > 1_000, "{states} states, {stale} stale operations");
    }
}
