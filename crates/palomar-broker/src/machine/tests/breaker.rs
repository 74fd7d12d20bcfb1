//! Breaker, pause and cancel on virtual time.

use palomar_model::Timestamp;

use super::super::{Machine, MachineConfig};
use super::{
    Rng, UNDATED, begin, configure, done, id, job, machine_with, name, next_time, secs, settle, start_one,
};
use crate::types::{BreakerState, Control, JobFilter, LeaseError, Limits, Outcome, Signal};

fn breaker_of(machine: &Machine, queue: &str) -> BreakerState {
    let stats = machine.stats();
    stats.queues.into_iter().find(|stats| stats.queue.as_str() == queue).expect("the queue").breaker
}

fn fails(machine: &mut Machine, lease: crate::types::LeaseRef, now: Timestamp) {
    settle(machine, lease, Outcome::Retry { at: now, counts: true }, Signal::Failure, now);
}

#[test]
fn opens_after_ten_in_a_row_probes_once_a_minute_and_closes_on_success() {
    let mut machine = machine_with(Limits::default());
    configure(&mut machine, "p/other", Limits::default(), begin());
    let others = (1000..2000).map(|n| crate::types::NewJob { queue: name("p/other"), ..job(n) });
    machine.enqueue((0..100).map(job).chain(others).collect(), begin());
    let (end, mut now) = (begin().after(secs(600)), begin());
    let (mut calls, mut probes, mut other) = (0, Vec::new(), 0);
    while now < end {
        let mut went = false;
        // The other queue goes on as if nothing were.
        for leasing in machine.lease("p", 10, secs(60), true, now) {
            went = true;
            if leasing.queue.as_str() == "p/other" {
                other += 1;
                done(&mut machine, leasing.lease, now);
                continue;
            }
            calls += 1;
            if calls > 10 {
                assert_eq!(breaker_of(&machine, "p/q"), BreakerState::HalfOpen);
                probes.push(now);
            }
            if now < begin().after(secs(300)) {
                fails(&mut machine, leasing.lease, now);
            } else {
                done(&mut machine, leasing.lease, now);
                assert_eq!(breaker_of(&machine, "p/q"), BreakerState::Closed);
                assert_eq!((other, probes.len()), (1000, 5));
                assert_eq!(
                    machine.stats().queues[0].breaker_opens,
                    5,
                    "once, and again after each probe but the last"
                );
                assert!(probes.windows(2).all(|pair| pair[1].since(pair[0]) >= secs(60)), "{probes:?}");
                return;
            }
        }
        now = if went { now.after(secs(1)) } else { next_time(&machine, now) };
    }
    panic!("it never closed");
}

#[test]
fn what_was_leased_before_it_opened_is_no_second_probe() {
    let mut machine = machine_with(Limits::default());
    machine.enqueue((0..30).map(job).collect(), begin());
    let ahead = machine.lease("p", 5, secs(600), false, begin());
    for _ in 0..10 {
        let leasing = start_one(&mut machine, begin()).expect("a job");
        fails(&mut machine, leasing.lease, begin());
    }
    assert_eq!(machine.start(ahead[0].lease, begin()), Err(LeaseError::TakenBack), "it is open");
    let later = begin().after(secs(60));
    assert!(machine.start(ahead[1].lease, later).is_ok(), "the probe");
    assert_eq!(machine.start(ahead[2].lease, later), Err(LeaseError::TakenBack), "one probe at a time");
    assert!(machine.lease("p", 5, secs(60), true, later).is_empty());
    // A probe that was called and told nothing is not followed by another at once.
    settle(&mut machine, ahead[1].lease, Outcome::Uncertain, Signal::None, later);
    assert!(machine.lease("p", 5, secs(60), true, later.after(secs(59))).is_empty());
    assert_eq!(machine.lease("p", 5, secs(60), true, later.after(secs(60))).len(), 1);
}

#[test]
fn a_probe_that_expires_or_is_settled_by_evidence_makes_way_for_another() {
    let mut machine = machine_with(Limits::default());
    let mut first = job(1);
    first.expires_at = Some(begin().after(secs(70)));
    machine.enqueue((10..20).map(job).collect(), begin());
    for _ in 0..10 {
        let leasing = start_one(&mut machine, begin()).expect("a job");
        settle(
            &mut machine,
            leasing.lease,
            Outcome::Dead { reason: "down".into() },
            Signal::Failure,
            begin(),
        );
    }
    machine.enqueue(vec![first, job(2)], begin());
    let probe = machine.lease("p", 1, secs(300), false, begin().after(secs(60))).pop().expect("the probe");
    assert_eq!(probe.lease.id, id(1));
    let late = begin().after(secs(80));
    assert_eq!(machine.start(probe.lease, late), Err(LeaseError::TakenBack), "it expired");
    assert_eq!(start_one(&mut machine, late).expect("the next probe").lease.id, id(2));
}

#[test]
fn nothing_starts_after_pause_or_cancel_has_answered() {
    let mut rng = Rng::new(19);
    for round in 0..1_000 {
        let mut machine = machine_with(Limits::default());
        let mut now = begin();
        let grouped = (0..60).map(|n| crate::types::NewJob { group: Some("g".into()), ..job(n) });
        machine.enqueue(grouped.collect(), now);
        let mut ahead = machine.lease("p", rng.below(20) as usize, secs(600), false, now);
        let running = machine.lease("p", rng.below(20) as usize, secs(600), true, now);
        let (queue, group) = (name("p/q"), std::sync::Arc::<str>::from("g"));
        let order = match round % 3 {
            0 => Control::Pause { queue: queue.clone(), reason: "stop".into() },
            1 => Control::PauseGroup { queue: queue.clone(), group: group.clone() },
            _ => Control::CancelAll(JobFilter { group: Some(group.clone()), ..JobFilter::default() }),
        };
        let answer = machine.control(order, now, UNDATED).expect("an answer");
        assert_eq!(answer.in_flight, running.len() as u64, "how many are in flight");
        for _ in 0..20 {
            now = now.after(secs(rng.below(20)));
            assert!(machine.lease("p", 10, secs(60), rng.one_in(2), now).is_empty(), "I13");
            if let Some(leasing) = ahead.pop() {
                assert!(machine.start(leasing.lease, now).is_err(), "I13: a lease from before");
            }
            machine.check();
        }
        for leasing in running {
            done(&mut machine, leasing.lease, now);
        }
        machine.control(Control::Resume { queue: queue.clone() }, now, UNDATED).expect("an answer");
        machine.control(Control::ResumeGroup { queue, group }, now, UNDATED).expect("an answer");
        assert_eq!(
            start_one(&mut machine, now).is_some(),
            round % 3 < 2,
            "it goes on, but for what was cancelled"
        );
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures how long it takes")]
fn pausing_a_long_queue_takes_no_longer_than_a_short_one() {
    let mut machine = Machine::new(MachineConfig::default());
    machine.enqueue((0..200_000).map(job).collect(), begin());
    let begun = std::time::Instant::now();
    for _ in 0..1_000 {
        machine
            .control(Control::Pause { queue: name("p/q"), reason: "stop".into() }, begin(), UNDATED)
            .expect("an answer");
        assert!(start_one(&mut machine, begin()).is_none());
        machine.control(Control::Resume { queue: name("p/q") }, begin(), UNDATED).expect("an answer");
    }
    // A pass over all jobs would take seconds.
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
}
