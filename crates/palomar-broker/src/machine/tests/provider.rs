//! A queue before a provider that counts what arrives in a sliding window of its own and refuses the rest.

use std::collections::{BTreeMap, VecDeque};

use palomar_model::Timestamp;

use super::super::{Leasing, Machine};
use super::{Rng, begin, done, job, machine_with, secs, settle};
use crate::types::{Limits, Outcome, Signal, Window};

/// What is on its way to the provider, and back.
enum Event {
    Arrives(Leasing),
    Taken(Leasing),
    Refused(Leasing),
}

/// A queue with an endless backlog, its workers, the way and the provider, on virtual time.
struct World {
    machine: Machine,
    rng: Rng,
    now: Timestamp,
    /// In the order of time; the number keeps apart what comes together.
    events: BTreeMap<(Timestamp, u64), Event>,
    made: u64,
    /// What the provider takes in any second, and when it took the last ones.
    limit: usize,
    arrived: VecDeque<Timestamp>,
    taken: u64,
    refused: u64,
}

fn micros(after: Timestamp, micros: u64) -> Timestamp {
    Timestamp::from_micros(after.micros() + micros as i64)
}

impl World {
    fn new(ours: u32, limit: usize) -> World {
        let windows = vec![Window { max: ours, window: secs(1) }];
        World {
            machine: machine_with(Limits { windows, concurrency: 1_000, ..Limits::default() }),
            rng: Rng::new(5),
            now: begin(),
            events: BTreeMap::new(),
            made: 0,
            limit,
            arrived: VecDeque::new(),
            taken: 0,
            refused: 0,
        }
    }

    fn plan(&mut self, at: Timestamp, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    /// Starts what may start. What starts together leaves one after the other, sometimes faster, sometimes slower.
    fn send(&mut self) {
        if self.machine.len() < 500 {
            let jobs = (0..500).map(|n| job(self.made + n)).collect();
            self.made += 500;
            self.machine.enqueue(jobs, self.now);
        }
        let each = 20 + self.rng.below(180);
        for (n, leasing) in self.machine.lease("p", 1_000, secs(60), true, self.now).into_iter().enumerate() {
            let way = 20_000 + self.rng.below(4_000);
            self.plan(micros(self.now, way + each * n as u64), Event::Arrives(leasing));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(leasing) => {
                let second_ago = self.now.before(secs(1));
                while self.arrived.front().is_some_and(|at| *at <= second_ago) {
                    self.arrived.pop_front();
                }
                let back = micros(self.now, 20_000);
                if self.arrived.len() < self.limit {
                    self.arrived.push_back(self.now);
                    self.plan(back, Event::Taken(leasing));
                } else {
                    self.plan(back, Event::Refused(leasing));
                }
            }
            Event::Taken(leasing) => {
                self.taken += 1;
                done(&mut self.machine, leasing.lease, self.now);
            }
            Event::Refused(leasing) => {
                self.refused += 1;
                let again = Outcome::Retry { at: self.now.after(secs(2)), counts: false };
                settle(&mut self.machine, leasing.lease, again, Signal::Throttled { after: None }, self.now);
            }
        }
    }

    /// Passes some seconds; how many were taken and refused meanwhile.
    fn pass(&mut self, seconds: u64) -> (u64, u64) {
        let (end, taken, refused) = (self.now.after(secs(seconds)), self.taken, self.refused);
        while self.now < end {
            self.send();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let tick = self.machine.next_tick().filter(|at| *at > self.now);
            self.now = event.into_iter().chain(tick).min().unwrap_or(end).min(end);
            while let Some(entry) = self.events.first_entry()
                && entry.key().0 <= self.now
            {
                let event = entry.remove();
                self.happen(event);
            }
        }
        (self.taken - taken, self.refused - refused)
    }
}

#[test]
fn a_limit_that_is_known_is_used_and_not_met() {
    for limit in [10, 80, 1_000] {
        let (taken, refused) = World::new(limit, limit as usize).pass(120);
        assert_eq!(refused, 0, "of {limit} a second");
        let used = taken as f64 / f64::from(limit * 120);
        assert!(used >= 0.975, "{limit} a second: {:.2} % are used", used * 100.0);
    }
}

#[test]
fn a_limit_that_is_lower_than_configured_is_found() {
    for limit in [8, 20, 40, 70] {
        let mut world = World::new(80, limit);
        world.pass(60);
        let (taken, refused) = world.pass(600);
        let used = taken as f64 / (limit * 600) as f64;
        let share = refused as f64 / (taken + refused) as f64;
        assert!(used >= 0.85, "of {limit} a second {:.1} % are used", used * 100.0);
        assert!(share <= 0.02, "{:.1} % of what goes to {limit} a second is refused", share * 100.0);
    }
}

#[test]
fn a_limit_that_rises_again_is_used_within_a_minute() {
    for low in [0, 4, 40] {
        let mut world = World::new(80, low);
        world.pass(120);
        world.limit = 80;
        world.pass(40);
        let (taken, refused) = world.pass(60);
        assert!(taken >= 60 * 78 && refused == 0, "after {low}: {taken} in a minute, {refused} refused");
    }
}

#[test]
fn one_refusal_costs_less_than_two_seconds() {
    let mut world = World::new(80, 80);
    world.pass(60);
    let (quiet, _) = world.pass(30);
    world.limit = 0;
    while world.refused == 0 {
        world.pass(1);
    }
    world.limit = 80;
    let (after, _) = world.pass(30);
    assert!(quiet - after <= 2 * 80, "{quiet} in half a minute before, {after} after");
}
