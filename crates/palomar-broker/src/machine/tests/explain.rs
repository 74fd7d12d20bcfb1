//! `explain` names what holds a job and when it will go, and on virtual time it goes exactly then.

use palomar_model::Timestamp;

use super::super::Machine;
use super::{UNDATED, begin, done, id, job, machine_with, name, next_time, secs, settle, start_one};
use crate::types::{
    BreakerConfig, Budget, Control, Hold, JobId, Key, Limits, NewJob, Outcome, Pair, Signal, Window,
};

/// Starts whatever may start, as soon as it may, until it is this job's turn.
fn goes_at(machine: &mut Machine, wanted: JobId, from: Timestamp) -> Timestamp {
    let mut now = from;
    for _ in 0..200_000 {
        match start_one(machine, now) {
            Some(leasing) if leasing.lease.id == wanted => return now,
            Some(leasing) => done(machine, leasing.lease, now),
            None => now = next_time(machine, now),
        }
    }
    panic!("{wanted} never went");
}

/// What holds a job as `holds` expects, and that it goes when it was said to.
fn held(machine: &mut Machine, n: u64, now: Timestamp, holds: impl Fn(&Hold) -> bool) {
    machine.tick(now);
    let explanation = machine.explain(id(n)).expect("it is known");
    assert!(explanation.holds.iter().any(holds), "{explanation:?}");
    let expected = explanation.expected_at.expect("a time");
    assert!(expected > now, "it is held: {explanation:?}");
    let at = goes_at(machine, id(n), now);
    let off = at.since(expected).max(expected.since(at));
    assert!(off.as_millis() <= 1, "said {expected}, went {at}: {explanation:?}");
}

fn keyed(n: u64, key: &str) -> NewJob {
    NewJob { key: Some(Key::of(key)), ..job(n) }
}

fn limits_with_window(max: u32, seconds: u64) -> Limits {
    Limits { windows: vec![Window { max, window: secs(seconds) }], ..Limits::default() }
}

#[test]
fn a_window() {
    let mut machine = machine_with(limits_with_window(2, 60));
    machine.enqueue((1..=3).map(job).collect(), begin());
    for n in 0..2 {
        let leasing = start_one(&mut machine, begin().after(secs(n))).expect("a job");
        done(&mut machine, leasing.lease, begin().after(secs(n)));
    }
    held(&mut machine, 3, begin().after(secs(5)), |hold| matches!(hold, Hold::Window { .. }));
}

#[test]
fn the_pace_of_its_key() {
    for asked_before in [false, true] {
        let pair = Some(Pair { interval: secs(6), burst: 1 });
        let mut machine = machine_with(Limits { pair, ..Limits::default() });
        machine.enqueue(vec![keyed(1, "k"), keyed(2, "k")], begin());
        let first = start_one(&mut machine, begin()).expect("a job");
        done(&mut machine, first.lease, begin());
        assert!(!asked_before || start_one(&mut machine, begin()).is_none());
        held(&mut machine, 2, begin().after(secs(1)), |hold| matches!(hold, Hold::Pair { .. }));
    }
}

#[test]
fn the_budget_and_its_place_among_those_that_wait() {
    let budget = || Some(Budget { name: "portfolio".into(), max: 2, window: secs(3600) });
    for waiting in 3..=7 {
        let mut machine = machine_with(Limits { budget: budget(), ..Limits::default() });
        machine.enqueue((1..=7).map(|n| keyed(n, &n.to_string())).collect(), begin());
        for n in 0..2 {
            let now = begin().after(secs(60 * n));
            let leasing = start_one(&mut machine, now).expect("a job");
            done(&mut machine, leasing.lease, now);
        }
        let now = begin().after(secs(120));
        assert!(start_one(&mut machine, now).is_none());
        held(&mut machine, waiting, now, |hold| matches!(hold, Hold::Budget { .. }));
    }
}

#[test]
fn its_time_or_its_next_attempt() {
    let mut machine = machine_with(limits_with_window(1, 60));
    let at = begin().after(secs(90));
    machine.enqueue(vec![NewJob { run_at: Some(at), ..job(1) }], begin());
    held(&mut machine, 1, begin(), |hold| *hold == Hold::Scheduled { at });
    // It is started now; it comes back for another attempt, and the window is not free before that.
    let lease = crate::types::LeaseRef { id: id(1), token: 1 };
    let again = at.after(secs(30));
    settle(&mut machine, lease, Outcome::Retry { at: again, counts: true }, Signal::None, at);
    held(&mut machine, 1, at, |hold| *hold == Hold::Backoff { at: again });
}

#[test]
fn the_breaker() {
    let breaker = BreakerConfig { failures: 1, open_for: secs(60) };
    let mut machine = machine_with(Limits { breaker, ..Limits::default() });
    machine.enqueue(vec![job(1), job(2)], begin());
    let first = start_one(&mut machine, begin()).expect("a job");
    settle(&mut machine, first.lease, Outcome::Dead { reason: "down".into() }, Signal::Failure, begin());
    held(&mut machine, 2, begin().after(secs(1)), |hold| matches!(hold, Hold::Breaker { .. }));
}

#[test]
fn throttling_and_the_rate_that_recovers_after_it() {
    let mut machine = machine_with(limits_with_window(20, 60));
    machine.enqueue((1..=60).map(job).collect(), begin());
    for n in 0..20 {
        let leasing = start_one(&mut machine, begin()).expect("a job");
        let after = Some(secs(7));
        let signal = if n == 19 { Signal::Throttled { after } } else { Signal::Success };
        settle(&mut machine, leasing.lease, Outcome::Done, signal, begin());
    }
    let throttled = machine.explain(id(21)).expect("it is known");
    assert!(throttled.holds.iter().any(|hold| matches!(hold, Hold::Throttled { .. })), "{throttled:?}");
    held(&mut machine, 45, begin().after(secs(1)), |hold| matches!(hold, Hold::Window { .. }));
    // Without a window, throttling alone says when.
    let mut machine = machine_with(Limits::default());
    machine.enqueue(vec![job(1), job(2)], begin());
    let first = start_one(&mut machine, begin()).expect("a job");
    settle(&mut machine, first.lease, Outcome::Done, Signal::Throttled { after: Some(secs(9)) }, begin());
    held(&mut machine, 2, begin(), |hold| matches!(hold, Hold::Throttled { .. }));
}

#[test]
fn its_position_in_a_long_lane() {
    for position in [81, 200, 799, 4_000] {
        let mut machine = machine_with(limits_with_window(80, 60));
        machine.enqueue((1..=5_000).map(job).collect(), begin());
        held(&mut machine, position, begin(), |hold| *hold == Hold::Turn { ahead: position - 1 });
    }
}

#[test]
fn a_short_window_is_named_for_its_slices_too() {
    let limits = limits_with_window(80, 1);
    let window = limits.windows[0];
    for (position, refused) in [(5, false), (79, false), (300, false), (300, true)] {
        let mut machine = machine_with(limits.clone());
        machine.enqueue((1..=400).map(job).collect(), begin());
        let first = start_one(&mut machine, begin()).expect("a job");
        let signal = if refused { Signal::Throttled { after: Some(secs(3)) } } else { Signal::Success };
        settle(&mut machine, first.lease, Outcome::Done, signal, begin());
        held(
            &mut machine,
            position,
            begin(),
            |hold| matches!(hold, Hold::Window { window: of, .. } if *of == window),
        );
    }
}

#[test]
fn what_no_time_can_tell() {
    let mut machine = machine_with(Limits::default());
    machine
        .enqueue(vec![keyed(1, "k"), keyed(2, "k"), NewJob { group: Some("g".into()), ..job(3) }], begin());
    let behind = machine.explain(id(2)).expect("it is known");
    assert_eq!((behind.holds, behind.expected_at), (vec![Hold::Order { behind: id(1) }], None));
    machine
        .control(Control::PauseGroup { queue: name("p/q"), group: "g".into() }, begin(), UNDATED)
        .expect("an answer");
    let paused = machine.explain(id(3)).expect("it is known");
    assert_eq!((paused.holds, paused.expected_at), (vec![Hold::GroupPaused], None));
    machine
        .control(Control::Pause { queue: name("p/q"), reason: "stop".into() }, begin(), UNDATED)
        .expect("an answer");
    let stopped = machine.explain(id(1)).expect("it is known");
    assert_eq!(stopped.holds, vec![Hold::Paused { reason: "stop".into() }]);
    assert_eq!(stopped.expected_at, None);
}
