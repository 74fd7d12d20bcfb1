//! Random operations: mostly sensible ones, some that are stale, wrong or about what is not there.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{Priority, Timestamp};

use super::{Rng, begin, id, name, secs};
use crate::types::{
    BreakerConfig, Budget, Control, Dedupe, Evidence, JobFilter, JobState, Key, LeaseRef, Limits, NewJob,
    OnUncertain, Outcome, Pair, QueueName, Resolution, Settle, Signal, Verdict, Window,
};

pub(super) const GROUPS: [&str; 3] = ["spring", "summer", "autumn"];
const QUEUES: [&str; 3] = ["p/a", "p/b", "q/c"];

/// One random walk.
pub(super) struct Walk {
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    pub(super) leases: Vec<LeaseRef>,
    next_id: u64,
    margin: u16,
    /// Time stands still while the operations of one commit are done.
    pub(super) still: bool,
}

impl Walk {
    pub(super) fn new(seed: u64) -> Walk {
        let mut rng = Rng::new(seed);
        let margin = rng.pick(&[0, 15]);
        Walk { rng, now: begin(), leases: Vec::new(), next_id: 0, margin, still: false }
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
                // One that is spread in slices of more than one, now and then.
                let max = if length == 1 && rng.one_in(3) { 30 } else { 1 + rng.below(4) as u32 };
                windows.push(Window { max, window: secs(length) });
            }
        }
        let pair = rng
            .one_in(3)
            .then(|| Pair { interval: secs(rng.pick(&[2, 30])), burst: 1 + rng.below(2) as u32 });
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
            let first = u128::from(rng.below(6));
            let ids = if rng.one_in(3) { vec![first, 6 + u128::from(rng.below(3))] } else { vec![first] };
            let request = |id| Dedupe { id, fingerprint: rng.below(2), ttl: secs(rng.below(40)) };
            job.dedupe = ids.into_iter().map(request).collect();
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
                if rng.one_in(3) {
                    Signal::Pause { reason: "bad key".into() }
                } else {
                    Signal::Success
                }
            }
        };
        let events = if rng.one_in(8) { vec![(&b"event"[..]).into()] } else { Vec::new() };
        Settle { lease, outcome, signal, events }
    }

    pub(super) fn evidence(&mut self) -> Evidence {
        let lease = self.lease();
        let attempt = (i64::from(lease.token) + self.rng.below(4) as i64 - 2).max(0) as u32;
        let attempt = if self.rng.one_in(2) { lease.token } else { attempt };
        let verdict = if self.rng.one_in(2) {
            Verdict::Taken
        } else {
            Verdict::Failed { reason: "undeliverable".into() }
        };
        Evidence { id: lease.id, attempt, verdict, events: Vec::new() }
    }

    pub(super) fn filter(&mut self) -> JobFilter {
        let now = self.now;
        JobFilter {
            id: self.rng.one_in(8).then(|| self.some_id()),
            before: self.rng.one_in(4).then(|| now.before(secs(self.rng.below(60)))),
            ended_before: self.rng.one_in(6).then(|| now.before(secs(self.rng.below(60)))),
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
            9..11 => Control::PauseGroup { queue: self.queue(), group: self.group() },
            11..13 => Control::ResumeGroup { queue: self.queue(), group: self.group() },
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
