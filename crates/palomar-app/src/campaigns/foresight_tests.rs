//! What is foreseen, and what then happens in a real queue, on a clock that stands still until it is moved.

use std::collections::HashMap;
use std::sync::Arc;

use palomar_broker::{
    Broker, Control, EmbeddedBroker, EmbeddedConfig, JobId, LeaseRequest, NewJob, Outcome, QueueName, Settle,
    Signal, Window,
};
use palomar_model::{Clock as _, ManualClock};

use super::*;

fn limits(max: u32) -> Limits {
    Limits { windows: vec![Window { max, window: Duration::from_secs(1) }], ..Limits::default() }
}

fn group(left: u64, zone: &str) -> Group {
    Group::new(vec![zone.parse().expect("a zone")], left)
}

fn end(limits: &Limits, hours: Option<&str>, groups: Vec<Group>, in_turn: f64) -> f64 {
    let now: Timestamp = "2026-07-01T10:00:00Z".parse().expect("a time");
    let hours: Option<SendingHours> = hours.map(|hours| serde_json::from_str(hours).expect("hours"));
    let pace = Pace { started_at: now, recipients: 1, spread: None };
    let foreseen = Foreseen { limits: limits.clone(), hours, pace, days: None, before: 0, in_turn };
    foreseen.end(groups, now).since(now).as_secs_f64()
}

#[test]
fn what_is_foreseen() {
    let day = Some(r#"{"from":"09:00","until":"20:00"}"#);
    let hour = 3600.0;
    for (expected, found) in [
        (100.0, end(&limits(10), None, vec![group(1_000, "UTC")], 1.0)),
        // Two campaigns in turn.
        (200.0, end(&limits(10), None, vec![group(1_000, "UTC")], 2.0)),
        // Many: at the same rate.
        (100_000.0, end(&limits(10), None, vec![group(1_000_000, "UTC")], 1.0)),
        // Lima wakes at 14:00.
        (
            4.0 * hour + 10.0,
            end(&limits(10), day, vec![group(100, "America/Lima"), group(100, "Europe/Madrid")], 1.0),
        ),
        // Half of it the next day, from 09:00 on: 360,000 of them until 20:00.
        (23.0 * hour + 2.0 * hour, end(&limits(10), day, vec![group(432_000, "UTC")], 1.0)),
    ] {
        assert!((found / expected - 1.0).abs() < 0.05, "{found} instead of {expected}");
    }
    assert_eq!(end(&limits(10), None, vec![], 1.0), 0.0);
}

#[test]
fn a_lane_that_sleeps_is_looked_at_when_it_wakes() {
    let hours: SendingHours = serde_json::from_str(r#"{"from":"09:00","until":"20:00"}"#).expect("hours");
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let mut lima = group(1, "America/Lima");
    for (now, expected) in [
        ("2026-07-01T10:00:00Z", "2026-07-01T14:00:00Z"),
        ("2026-07-01T13:59:59Z", "2026-07-01T14:00:00Z"),
        ("2026-07-01T14:00:00Z", "2026-07-01T14:00:00Z"),
        ("2026-07-02T00:59:59Z", "2026-07-02T00:59:59Z"),
        ("2026-07-02T01:00:00Z", "2026-07-02T14:00:00Z"),
    ] {
        assert_eq!(lima.opens(Some(&hours), at(now)), at(expected), "at {now}");
    }
}

/// A queue with a clock of its own, and what is still to be fed into it.
struct Trial {
    broker: EmbeddedBroker,
    clock: Arc<ManualClock>,
    queue: QueueName,
    hours: Option<SendingHours>,
    groups: Vec<Group>,
    /// Messages of ours that are queued, by their lanes.
    queued: HashMap<JobId, usize>,
    next: u128,
    last: Timestamp,
}

impl Trial {
    async fn open(dir: &std::path::Path, limits: &Limits, hours: Option<&str>, groups: Vec<Group>) -> Trial {
        let now: Timestamp = "2026-07-01T10:00:00Z".parse().expect("a time");
        let clock = Arc::new(ManualClock::at(now));
        let broker =
            EmbeddedBroker::open(EmbeddedConfig::in_dir(dir), Arc::clone(&clock) as _).expect("a broker");
        let queue = QueueName::new("outbound", "line").expect("a name");
        let configure = Control::Configure { queue: queue.clone(), limits: limits.clone() };
        broker.control(configure).await.expect("answered").expect("configured");
        let hours = hours.map(|hours| serde_json::from_str(hours).expect("hours"));
        Trial { broker, clock, queue, hours, groups, queued: HashMap::new(), next: 0, last: now }
    }

    async fn enqueue(&mut self, group: &str, lane: Option<usize>) {
        self.next += 1;
        let id = palomar_model::MessageId(uuid::Uuid::from_u128(self.next));
        let mut job = NewJob::new(id, self.queue.clone(), b"x".to_vec());
        job.group = Some(group.into());
        self.broker.enqueue(vec![job]).await.expect("queued");
        if let Some(lane) = lane {
            self.queued.insert(id, lane);
        }
    }

    /// Keeps some queued ahead, of the lanes that are awake.
    async fn feed(&mut self, ahead: usize) {
        let now = self.clock.now();
        while self.queued.len() < ahead {
            let hours = self.hours.as_ref();
            let awake =
                self.groups.iter_mut().position(|group| group.left > 0 && group.opens(hours, now) <= now);
            let Some(lane) = awake else { return };
            self.groups[lane].left -= 1;
            self.enqueue("ours", Some(lane)).await;
        }
    }

    /// Whatever may start, starts and is done, unless its hours are over.
    async fn work(&mut self) {
        loop {
            let request = LeaseRequest {
                pool: self.queue.pool().into(),
                max: 50,
                lease: Duration::from_secs(60),
                start: true,
                wait: Duration::ZERO,
            };
            let taken = self.broker.lease(request).await.expect("answered");
            if taken.is_empty() {
                return;
            }
            let now = self.clock.now();
            let mut settled = Vec::new();
            for job in taken {
                let lane = self.queued.get(&job.lease.id).copied();
                let hours = self.hours.as_ref();
                let opens = lane.map_or(now, |lane| self.groups[lane].opens(hours, now));
                let outcome = if opens > now {
                    Outcome::Retry { at: opens, counts: false }
                } else {
                    if self.queued.remove(&job.lease.id).is_some() {
                        self.last = now;
                    }
                    Outcome::Done
                };
                settled.push(Settle {
                    lease: job.lease,
                    outcome,
                    signal: Signal::default(),
                    events: Vec::new(),
                });
            }
            self.broker.settle(settled).await.expect("answered");
        }
    }

    /// In seconds, when the last of ours started.
    async fn run(mut self, limits: &Limits, others: u64) -> f64 {
        let begun = self.clock.now();
        // A twentieth of the time between two starts.
        let fastest = limits.windows.iter().map(|window| window.window / window.max).min().expect("a window");
        let step = fastest / 20;
        for _ in 0..others {
            self.enqueue("others", None).await;
        }
        while self.groups.iter().any(|group| group.left > 0) || !self.queued.is_empty() {
            self.feed(100).await;
            self.work().await;
            let now = self.clock.now();
            let hours = self.hours.as_ref();
            let waking = self.groups.iter_mut().filter(|group| group.left > 0);
            let waking = waking.map(|group| group.opens(hours, now)).min().filter(|at| *at > now);
            match waking.filter(|_| self.queued.is_empty()) {
                // Nobody is awake.
                Some(at) => self.clock.set(at),
                None => self.clock.advance(step),
            }
        }
        self.broker.close().await.expect("closed");
        self.last.since(begun).as_secs_f64()
    }
}

#[tokio::test]
async fn what_was_foreseen_is_what_then_happens() {
    let both = Limits {
        windows: vec![
            Window { max: 10, window: Duration::from_secs(1) },
            Window { max: 100, window: Duration::from_secs(60) },
        ],
        ..Limits::default()
    };
    let day = Some(r#"{"from":"09:00","until":"20:00"}"#);
    let zones = || vec![group(12, "America/Lima"), group(12, "Europe/Madrid"), group(12, "Asia/Tokyo")];
    for (name, limits, hours, groups, others) in [
        ("a window", limits(10), None, vec![group(100, "UTC")], 0),
        ("two windows", both, None, vec![group(130, "UTC")], 0),
        ("beside others", limits(10), None, vec![group(60, "UTC")], 60),
        ("beside fewer", limits(10), None, vec![group(60, "UTC")], 20),
        ("in three zones", limits(10), day, zones(), 0),
        // More than go in the two minutes that are left of the day in Madrid.
        (
            "until tomorrow",
            limits(1),
            Some(r#"{"from":"09:00","until":"12:02"}"#),
            vec![group(180, "Europe/Madrid")],
            0,
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let left: u64 = groups.iter().map(|group| group.left).sum();
        let in_turn = 1.0 + others.min(left) as f64 / left as f64;
        let copy = groups.iter().map(|group| Group::new(group.zones.clone(), group.left)).collect();
        let foreseen = end(&limits, hours, copy, in_turn);
        let happened = Trial::open(dir.path(), &limits, hours, groups).await.run(&limits, others).await;
        let off = (foreseen / happened - 1.0).abs();
        assert!(off < 0.05, "{name}: {foreseen} s were foreseen, {happened} s it took");
    }
}
