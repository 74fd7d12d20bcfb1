//! One queue beside its jobs: what it allows, what holds it, whose turn it is.
//!
//! Turns: the most urgent priority goes first, but each less urgent one that waits is owed one start in eighteen
//! (5.5 %), so a flood of urgent jobs never starves the rest. Within a priority, groups go in turn, one job each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::rate_held::RateHeld;
use super::slab::{NONE, Phase, SlotIx};
use super::spread::Spread;
use super::throttle::Throttle;
use super::windows::Windows;
use crate::types::{BreakerState, Hold, JobState, Limits, QueueName};

/// A priority that waits gets one start for so many of the others.
const TURNS_OWED_AFTER: u32 = 17;

/// A list of slots through their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) head: SlotIx,
    pub(super) tail: SlotIx,
    pub(super) len: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NONE, tail: NONE, len: 0 }
    }
}

/// Jobs of a queue that share a turn; the jobs without a group share one too.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) queue: u32,
    pub(super) name: Option<Arc<str>>,
    pub(super) paused: bool,
    /// Ready jobs by priority.
    pub(super) lanes: [List; 4],
    pub(super) in_ring: [bool; 4],
    /// Jobs that refer to the group.
    pub(super) jobs: u64,
    /// Attempts that are under way.
    pub(super) started: u32,
}

/// A breaker, as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Breaker {
    /// Failures in a row so far.
    #[default]
    Fresh,
    Closed {
        failures: u32,
    },
    Open {
        until: Timestamp,
    },
    HalfOpen {
        probe: u64,
    },
}

impl Breaker {
    pub(super) fn view(self) -> BreakerState {
        match self {
            Breaker::Fresh | Breaker::Closed { .. } => BreakerState::Closed,
            Breaker::Open { until } => BreakerState::Open { until },
            Breaker::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(super) fn failures(self) -> u32 {
        if let Breaker::Closed { failures } = self { failures } else { 0 }
    }
}

/// What a queue has counted since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) starts: u64,
    pub(crate) done: u64,
    pub(crate) dead: u64,
    pub(crate) cancelled: u64,
    pub(crate) expired: u64,
    pub(crate) duplicate_sends: u64,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) pool: u32,
    pub(super) limits: Limits,
    pub(super) budget: Option<u32>,
    pub(super) paused: Option<Arc<str>>,
    pub(super) breaker: Breaker,
    pub(super) throttle: Throttle,
    pub(super) windows: Windows,
    pub(super) spread: Spread,
    /// Theoretical arrival time of the next start, by key; only keys that are ahead of the present.
    pub(super) pairs: HashMap<u64, i64>,
    pub(super) groups: HashMap<Option<Arc<str>>, u32>,
    pub(super) paused_groups: u32,
    pub(super) rings: [VecDeque<u32>; 4],
    owed: [u32; 4],
    pub(super) parked: List,
    /// Final jobs that are kept to be looked at: done, cancelled, expired; and the dead.
    pub(super) kept: [List; 4],
    /// Jobs by [`super::slab::Phase`].
    pub(super) phases: [u64; 15],
    pub(super) tally: Tally,
    /// Since the process began, like the next: operations with a stale token.
    pub(super) stale: u64,
    /// Leases that ran out: not started, started.
    pub(super) expired_leases: [u64; 2],
    /// Final jobs that were taken back, by the state that they were in.
    pub(super) taken_back: [u64; 8],
    pub(super) breaker_opens: u64,
    /// Uncertain jobs that were resolved: by evidence, by a person, by the policy.
    pub(super) resolved: [u64; 3],
    pub(super) rate_held: RateHeld,
    pub(super) in_ring: bool,
    pub(super) gated_until: Option<Timestamp>,
    pub(super) dirty: bool,
}

/// What is asked of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Whether one more job may be leased.
    Lease,
    /// Whether a leased job may start: its place, its room in the windows and its turn in them were kept.
    Start,
}

/// Whether a queue may start one more job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Shut until a time that is known.
    Until(Timestamp),
    /// Shut until something happens.
    Shut,
}

impl Queue {
    pub(super) fn new(name: QueueName, pool: u32, limits: Limits) -> Queue {
        let (mut windows, mut spread) = (Windows::default(), Spread::default());
        windows.configure(&limits.windows);
        spread.configure(&limits.windows);
        Queue {
            name,
            pool,
            limits,
            budget: None,
            paused: None,
            breaker: Breaker::Fresh,
            throttle: Throttle::default(),
            windows,
            spread,
            pairs: HashMap::new(),
            groups: HashMap::new(),
            paused_groups: 0,
            rings: Default::default(),
            owed: [0; 4],
            parked: List::default(),
            kept: [List::default(); 4],
            phases: [0; 15],
            tally: Tally::default(),
            stale: 0,
            expired_leases: [0; 2],
            taken_back: [0; 8],
            breaker_opens: 0,
            resolved: [0; 3],
            rate_held: RateHeld::default(),
            in_ring: false,
            gated_until: None,
            dirty: true,
        }
    }

    /// Leases and starts at this time.
    pub(super) fn in_flight(&self) -> u64 {
        self.leased() + self.started()
    }

    /// A final job is not final any more, or not as it was: what was counted for it is taken back.
    pub(super) fn take_back(&mut self, phase: Phase) {
        let (count, state) = match phase {
            Phase::Dead => (&mut self.tally.dead, JobState::Dead),
            Phase::Cancelled => (&mut self.tally.cancelled, JobState::Cancelled),
            Phase::Expired => (&mut self.tally.expired, JobState::Expired),
            _ => return,
        };
        *count -= 1;
        self.taken_back[state as usize] += 1;
    }

    pub(super) fn leased(&self) -> u64 {
        self.phases[Phase::Leased as usize]
    }

    pub(super) fn started(&self) -> u64 {
        self.phases[Phase::Started as usize]
    }

    /// Calls `each` with every restraint that holds the whole queue, and until when, where that is known.
    ///
    /// The one place that knows what holds a queue: the lease decides by it and `explain` tells by it.
    pub(super) fn restraints(
        &self,
        now: Timestamp,
        asks: Asks,
        mut each: impl FnMut(Option<Timestamp>, Hold),
    ) {
        if let Some(reason) = &self.paused {
            each(None, Hold::Paused { reason: Arc::clone(reason) });
        }
        match self.breaker {
            Breaker::Open { until } if until > now => each(Some(until), Hold::Breaker { until }),
            Breaker::HalfOpen { .. } if asks == Asks::Lease => each(None, Hold::Breaker { until: now }),
            _ => {}
        }
        if self.throttle.until > now {
            each(Some(self.throttle.until), Hold::Throttled { until: self.throttle.until });
        }
        if asks == Asks::Lease && self.in_flight() >= u64::from(self.limits.concurrency) {
            each(None, Hold::Concurrency { max: self.limits.concurrency });
        }
        if !self.limits.windows.is_empty() {
            let (reserved, spread) = match asks {
                Asks::Lease => (self.leased(), Some(&self.spread)),
                Asks::Start => (0, None),
            };
            if let (until, Some(window)) = self.window_free_at(&self.windows, spread, reserved, now) {
                let known = (until < Timestamp::MAX).then_some(until);
                each(known, Hold::Window { window, until });
            }
        }
    }

    /// When `windows` and `spread` have room for one more start, at the rate that throttling allows and that recovers
    /// meanwhile; and the window that decides.
    pub(super) fn window_free_at(
        &self,
        windows: &Windows,
        spread: Option<&Spread>,
        reserved: u64,
        now: Timestamp,
    ) -> (Timestamp, Option<crate::types::Window>) {
        let margin = self.limits.margin_permille;
        let (mut at, mut decided) = (now, None);
        loop {
            let rate = self.throttle.rate_permille(at);
            let room = windows.free_at(reserved, rate, margin, at);
            let turn = spread.map_or((at, None), |spread| spread.free_at(rate, at));
            let (free, window) = if turn.0 > room.0 { turn } else { room };
            decided = window.or(decided);
            match self.throttle.next_step(at).filter(|&step| step < free) {
                Some(step) => at = step,
                None => return (free, if free > now { decided } else { None }),
            }
        }
    }

    pub(super) fn gate(&self, now: Timestamp, asks: Asks) -> Gate {
        let mut gate = Gate::Open;
        self.restraints(now, asks, |until, _| {
            gate = match (&gate, until) {
                (Gate::Shut, _) | (_, None) => Gate::Shut,
                (Gate::Until(earlier), Some(until)) => Gate::Until(until.max(*earlier)),
                (Gate::Open, Some(until)) => Gate::Until(until),
            };
        });
        gate
    }

    /// Which priority goes next, of those that wait.
    pub(super) fn next_priority(&self, waiting: [bool; 4]) -> Option<usize> {
        let owed = (0..4).rev().find(|&p| waiting[p] && self.owed[p] >= TURNS_OWED_AFTER);
        owed.or_else(|| (0..4).find(|&p| waiting[p]))
    }

    /// Notes that a job of `priority` went while those of `waiting` waited.
    pub(super) fn took_turn(&mut self, priority: usize, waiting: [bool; 4]) {
        for (p, owed) in self.owed.iter_mut().enumerate() {
            *owed = match (p == priority, waiting[p]) {
                (true, _) => owed.saturating_sub(TURNS_OWED_AFTER),
                (false, true) => (*owed + 1).min(2 * TURNS_OWED_AFTER),
                (false, false) => 0,
            };
        }
        // The most urgent is never owed anything.
        self.owed[0] = 0;
    }

    pub(super) fn pair_free_at(&self, key: u64) -> i64 {
        match (self.limits.pair, self.pairs.get(&key)) {
            (Some(pair), Some(&tat)) => super::windows::pair_free_at(tat, pair.interval, pair.burst),
            _ => i64::MIN,
        }
    }

    /// A job is leased: it takes a turn in the short windows.
    pub(super) fn take_slice(&mut self, now: Timestamp) {
        self.spread.take(self.throttle.rate_permille(now), now);
    }

    pub(super) fn record_start(&mut self, key: u64, now: Timestamp) {
        self.tally.starts += 1;
        self.windows.record(now, self.limits.margin_permille);
        if let (Some(pair), true) = (self.limits.pair, key != 0) {
            let tat = self.pairs.get(&key).copied().unwrap_or(i64::MIN);
            self.pairs.insert(key, super::windows::pair_after_start(tat, pair.interval, now.micros()));
            if self.pairs.len() > 1024 && self.pairs.len().is_power_of_two() {
                self.pairs.retain(|_, tat| *tat > now.micros());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waiting_priority_gets_at_least_five_percent() {
        let mut queue = Queue::new("p/q".parse().expect("a name"), 0, Limits::default());
        let mut starts = [0_u32; 4];
        for _ in 0..10_000 {
            let p = queue.next_priority([true; 4]).expect("all wait");
            queue.took_turn(p, [true; 4]);
            starts[p] += 1;
        }
        assert!(starts[1..].iter().all(|&n| n >= 500), "{starts:?}");
        assert!(starts[0] >= 8_000, "{starts:?}");
    }

    #[test]
    fn a_priority_that_did_not_wait_is_owed_nothing() {
        let mut queue = Queue::new("p/q".parse().expect("a name"), 0, Limits::default());
        for _ in 0..100 {
            queue.took_turn(1, [false, true, false, false]);
        }
        assert_eq!(queue.next_priority([true, false, false, true]), Some(0));
    }
}
