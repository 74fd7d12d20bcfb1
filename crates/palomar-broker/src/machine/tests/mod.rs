//! The trials of the machine: against a naive model, across crashes, every interleaving, and on virtual time.

mod breaker;
mod explain;
mod fairness;
mod interleave;
mod measures;
mod model;
mod model_control;
mod model_ops;
mod model_order;
mod model_time;
mod order;
mod provider;
mod random;
mod rates;
mod restore;
mod store;
mod stored;
mod walk;

use std::time::Duration;

use palomar_model::{MessageId, Timestamp};
use uuid::Uuid;

use super::filter::Dates;
use super::{Leasing, Machine, MachineConfig};
use crate::types::{Control, JobId, LeaseRef, Limits, NewJob, Outcome, QueueName, Settle, Signal};

/// Random numbers that depend on nothing but the seed (splitmix64).
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A number from the environment, so that a long run or one seed can be asked for.
pub(super) fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// For orders that do not ask when jobs were queued.
pub(super) const UNDATED: Dates<'static> = &|_| None;

pub(super) fn id(n: u64) -> JobId {
    MessageId(Uuid::from_u128(u128::from(n) + 1))
}

pub(super) fn name(text: &str) -> QueueName {
    text.parse().expect("a queue's name")
}

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Some time at which trials begin.
pub(super) fn begin() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

/// A machine with one queue, `p/q`.
pub(super) fn machine_with(limits: Limits) -> Machine {
    let mut machine = Machine::new(MachineConfig { keep_finished: 10, keep_dead: 1000 });
    configure(&mut machine, "p/q", limits, begin());
    machine
}

pub(super) fn configure(machine: &mut Machine, queue: &str, limits: Limits, now: Timestamp) {
    machine
        .control(Control::Configure { queue: name(queue), limits }, now, UNDATED)
        .expect("limits that can be kept");
}

/// A job of `p/q`.
pub(super) fn job(n: u64) -> NewJob {
    NewJob::new(id(n), name("p/q"), &b"x"[..])
}

pub(super) fn settle(
    machine: &mut Machine,
    lease: LeaseRef,
    outcome: Outcome,
    signal: Signal,
    now: Timestamp,
) {
    machine.settle(Settle { lease, outcome, signal, events: Vec::new() }, now).expect("a lease that holds");
}

pub(super) fn done(machine: &mut Machine, lease: LeaseRef, now: Timestamp) {
    settle(machine, lease, Outcome::Done, Signal::Success, now);
}

/// Leases one job of pool `p` and starts it.
pub(super) fn start_one(machine: &mut Machine, now: Timestamp) -> Option<Leasing> {
    machine.lease("p", 1, secs(60), true, now).pop()
}

/// The next time at which the machine wants to be asked, after `now`.
pub(super) fn next_time(machine: &Machine, now: Timestamp) -> Timestamp {
    let at = machine.next_tick().expect("something is due by itself");
    at.max(Timestamp::from_micros(now.micros() + 1))
}
