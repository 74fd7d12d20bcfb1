//! What is counted for measures: it never goes back, and time that was held counts once.

use std::time::Duration;

use palomar_model::Timestamp;

use super::super::Machine;
use super::{UNDATED, begin, configure, done, id, job, machine_with, secs, settle, start_one};
use crate::types::{
    Control, EvidenceEffect, JobState, Limits, NewJob, OnUncertain, Outcome, QueueStats, Resolution,
    Resolved, Signal, Verdict, Window,
};

fn stats(machine: &Machine) -> QueueStats {
    machine.stats().queues.remove(0)
}

fn at(seconds: u64) -> Timestamp {
    begin().after(secs(seconds))
}

/// Starts and ends all that may start at a time.
fn work(machine: &mut Machine, now: Timestamp) -> usize {
    let leased = machine.lease("p", 100, secs(60), true, now);
    leased.iter().for_each(|leasing| done(machine, leasing.lease, now));
    leased.len()
}

#[test]
fn time_that_a_window_holds_work_counts_once_and_only_while_there_is_work() {
    let window = Window { max: 2, window: secs(10) };
    let mut machine = machine_with(Limits { windows: vec![window], margin_permille: 0, ..Limits::default() });
    let held = |machine: &Machine| stats(machine).rate_held;
    machine.enqueue((0..2).map(job).collect(), at(0));
    assert_eq!((work(&mut machine, at(0)), work(&mut machine, at(1))), (2, 0));
    assert_eq!(held(&machine), [], "nothing waits");
    machine.enqueue(vec![job(2)], at(4));
    assert_eq!(work(&mut machine, at(4)), 0);
    machine.tick(at(6));
    assert_eq!(held(&machine), [(Some(window), secs(2))], "it is under way");
    // Another job wakes the queue: the time goes on, and is not counted twice.
    machine.enqueue(vec![job(3)], at(7));
    assert_eq!(work(&mut machine, at(7)), 0);
    assert_eq!(work(&mut machine, at(30)), 2);
    let free = held(&machine)[0].1;
    assert!(free >= secs(6) && free < secs(27), "until the window was free, or looked at: {free:?}");
    machine.tick(at(100));
    assert_eq!(held(&machine)[0].1, free);
}

#[test]
fn the_other_sides_wish_counts_apart_and_a_pause_does_not_count() {
    let mut machine = machine_with(Limits::default());
    machine.enqueue((0..3).map(job).collect(), at(0));
    let lease = start_one(&mut machine, at(0)).expect("a job").lease;
    let signal = Signal::Throttled { after: Some(secs(5)) };
    settle(&mut machine, lease, Outcome::Retry { at: at(0), counts: false }, signal, at(0));
    assert_eq!(work(&mut machine, at(0)), 0);
    assert!(work(&mut machine, at(5)) > 0);
    assert_eq!(stats(&machine).rate_held, [(None, secs(5))]);
    configure(&mut machine, "p/q", Limits::default(), at(6));
    machine.enqueue(vec![job(9)], at(6));
    let pause = Control::Pause { queue: super::name("p/q"), reason: "lunch".into() };
    machine.control(pause, at(6), UNDATED).expect("paused");
    assert_eq!(work(&mut machine, at(7)), 0);
    machine.tick(at(60));
    assert_eq!(stats(&machine).rate_held, [(None, Duration::from_secs(5))]);
}

#[test]
fn doubts_are_counted_by_what_ended_them_and_ends_are_never_taken_back() {
    let mut machine = machine_with(Limits::default());
    for (n, on_uncertain) in [(1, OnUncertain::Hold), (2, OnUncertain::Hold), (3, OnUncertain::Drop)] {
        machine.enqueue(vec![NewJob { on_uncertain, ..job(n) }], at(0));
        let lease = start_one(&mut machine, at(0)).expect("a job").lease;
        settle(&mut machine, lease, Outcome::Uncertain, Signal::None, at(0));
    }
    let evidence = |n, verdict| crate::types::Evidence { id: id(n), attempt: 1, verdict, events: Vec::new() };
    assert_eq!(machine.evidence(evidence(1, Verdict::Taken), at(1)), EvidenceEffect::Resolved);
    let resolved = Control::Resolve { id: id(2), resolution: Resolution::Failed };
    machine.control(resolved, at(2), UNDATED).expect("resolved");
    machine.tick(at(10_000));
    assert_eq!(stats(&machine).resolved, [1, 1, 1]);
    assert_eq!(Resolved::ALL.map(|how| how as usize), [0, 1, 2]);

    let ended = |machine: &Machine| {
        let stats = stats(machine);
        stats.finished[JobState::Dead as usize] + stats.taken_back[JobState::Dead as usize]
    };
    assert_eq!(ended(&machine), 2);
    machine.control(Control::RetryDead { id: id(2) }, at(10_000), UNDATED).expect("retried");
    assert_eq!((stats(&machine).finished[JobState::Dead as usize], ended(&machine)), (1, 2));
    // A dead letter that was sent after all is counted as both, as it was both; no doubt was ended by it.
    assert_eq!(machine.evidence(evidence(3, Verdict::Taken), at(10_001)), EvidenceEffect::Resolved);
    assert_eq!((stats(&machine).finished[JobState::Dead as usize], ended(&machine)), (0, 2));
    assert_eq!(stats(&machine).resolved, [1, 1, 1]);
}
