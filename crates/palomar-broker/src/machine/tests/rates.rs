//! Rate limits are exact: every sliding window of every trial is checked, and a backlog uses what is allowed.

use std::collections::{BTreeMap, VecDeque};

use palomar_model::Timestamp;

use super::super::Leasing;
use super::{Rng, UNDATED, begin, configure, done, id, job, machine_with, name, next_time, secs, start_one};
use crate::types::{Budget, Control, Key, Limits, NewJob, Pair, Window};

fn window(max: u32, seconds: u64) -> Window {
    Window { max, window: secs(seconds) }
}

const HOUR: u64 = 3_600;

/// Runs an endless backlog for some seconds of virtual time with `workers` workers, which lease ahead or start at
/// once, and returns when what key started.
fn run(limits: Limits, seconds: u64, workers: usize, ahead: bool, keys: u64) -> Vec<(i64, u64)> {
    let mut machine = machine_with(Limits { concurrency: 5_000, ..limits });
    let end = begin().after(secs(seconds));
    let (mut now, mut rng) = (begin(), Rng::new(workers as u64));
    let mut starts = Vec::new();
    let mut made = 0;
    let mut queued: BTreeMap<crate::types::JobId, u64> = BTreeMap::new();
    let mut held: Vec<VecDeque<Leasing>> = (0..workers).map(|_| VecDeque::new()).collect();
    while now < end {
        if queued.len() < 2_000 {
            let jobs: Vec<NewJob> = (0..2_000)
                .map(|_| {
                    made += 1;
                    let key = 1 + rng.below(keys.max(1));
                    let text = (keys > 0).then(|| Key::of(&key.to_string()));
                    queued.insert(super::id(made), key);
                    NewJob { key: text, ..job(made) }
                })
                .collect();
            machine.enqueue(jobs, now);
        }
        let mut went = false;
        for held in &mut held {
            if !ahead {
                for leasing in machine.lease("p", 20, secs(60), true, now) {
                    starts.push((now.micros(), queued.remove(&leasing.lease.id).expect("its key")));
                    done(&mut machine, leasing.lease, now);
                    went = true;
                }
                continue;
            }
            held.extend(machine.lease("p", 5, secs(60), false, now));
            // It starts some of what it holds, one by one.
            for _ in 0..1 + rng.below(3) {
                let Some(leasing) = held.pop_front() else { break };
                went = true;
                if machine.start(leasing.lease, now).is_ok() {
                    starts.push((now.micros(), queued.remove(&leasing.lease.id).expect("its key")));
                    done(&mut machine, leasing.lease, now);
                }
            }
        }
        if !went {
            now = next_time(&machine, now);
        } else if ahead {
            now = Timestamp::from_micros(now.micros() + 1 + rng.below(2_000) as i64);
        }
    }
    starts
}

/// No window of that length holds more, wherever it begins.
fn never_more(starts: &[(i64, u64)], max: usize, seconds: u64) {
    let span = secs(seconds).as_micros() as i64;
    for (at, pair) in starts.windows(max + 1).enumerate() {
        assert!(pair[max].0 - pair[0].0 >= span, "{} starts within {seconds} s at {at}", max + 1);
    }
}

/// No more than two slices start at once.
fn no_heap(starts: &[(i64, u64)], slice: usize) {
    let most = 2 * slice;
    let heap = starts.windows(most + 1).find(|heap| heap[0].0 == heap[most].0);
    assert!(heap.is_none(), "more than {most} start at once: {heap:?}");
}

fn trial(windows: &[Window], runs_for: u64, cases: &[(usize, bool)]) {
    for &(workers, ahead) in cases {
        let limits = Limits { windows: windows.to_vec(), ..Limits::default() };
        let starts = run(limits, runs_for, workers, ahead, 0);
        let mut allowed = f64::MAX;
        for window in windows {
            let seconds = window.window.as_secs();
            never_more(&starts, window.max as usize, seconds);
            if seconds <= 2 && !ahead {
                no_heap(&starts, window.max.div_ceil(20) as usize);
            }
            allowed = allowed.min(f64::from(window.max) * runs_for as f64 / seconds as f64);
        }
        let used = starts.len() as f64 / allowed;
        assert!(used >= 0.98, "{workers} workers, ahead {ahead}: {:.2} % of {windows:?}", used * 100.0);
    }
}

const ALL: [(usize, bool); 6] = [(1, false), (2, false), (4, false), (1, true), (2, true), (4, true)];

#[test]
fn eighty_a_minute_for_two_days() {
    trial(&[window(80, 60)], 48 * HOUR, &ALL);
}

#[test]
fn ten_a_second_and_a_minute_and_an_hour() {
    trial(&[window(10, 1), window(600, 60), window(36_000, 3_600)], 3 * HOUR, &ALL);
}

#[test]
fn eighty_a_second() {
    trial(&[window(80, 1)], HOUR, &ALL);
}

#[test]
fn short_windows_of_any_size_are_spread_and_used() {
    for max in [2, 3, 7, 20, 21, 80, 999, 1_000] {
        trial(&[window(max, 1), window(2 * max - 1, 2)], 120, &[(1, false), (3, false), (2, true)]);
    }
}

#[test]
fn one_in_six_seconds_to_a_recipient_with_a_burst() {
    for (workers, ahead) in ALL {
        for burst in [1, 45] {
            let pair = Some(Pair { interval: secs(6), burst });
            let starts = run(Limits { pair, ..Limits::default() }, 2 * HOUR, workers, ahead, 10);
            let mut by_key: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
            for (at, key) in starts {
                by_key.entry(key).or_default().push(at);
            }
            for times in by_key.values() {
                // In any span: the burst, and one for each six seconds of it.
                for (first, begun) in times.iter().enumerate() {
                    for (n, at) in times[first..].iter().enumerate().take(100) {
                        let allowed = i64::from(burst) + (at - begun) / 6_000_000;
                        assert!((n as i64) < allowed, "{} starts within {} µs", n + 1, at - begun);
                    }
                }
                assert!(times.len() as f64 >= 0.98 * 1_200.0, "only {} of 1200", times.len());
            }
        }
    }
}

#[test]
fn two_hundred_and_fifty_recipients_in_a_day() {
    for (workers, ahead) in ALL {
        let budget = Some(Budget { name: "portfolio".into(), max: 250, window: secs(24 * 3600) });
        let starts = run_days(Limits { budget, ..Limits::default() }, workers, ahead);
        let day = secs(24 * 3600).as_micros() as i64;
        let mut keys: BTreeMap<u64, u32> = BTreeMap::new();
        let mut first = 0;
        for &(at, key) in &starts {
            *keys.entry(key).or_default() += 1;
            while starts[first].0 <= at - day {
                let oldest = starts[first].1;
                let left = keys.get_mut(&oldest).expect("it is in");
                *left -= 1;
                if *left == 0 {
                    keys.remove(&oldest);
                }
                first += 1;
            }
            assert!(keys.len() <= 250, "{} recipients within a day", keys.len());
        }
        assert!(starts.len() >= 490, "two days reach nearly 500: {}", starts.len());
    }
}

/// A campaign to 2,000 recipients, one job each, for two days.
fn run_days(limits: Limits, workers: usize, ahead: bool) -> Vec<(i64, u64)> {
    let mut machine = machine_with(limits);
    let jobs = (1..=2_000).map(|n| NewJob { key: Some(Key::of(&n.to_string())), ..job(n) });
    machine.enqueue(jobs.collect(), begin());
    let (mut now, mut starts) = (begin(), Vec::new());
    while now < begin().after(secs(48 * 3600)) {
        let mut went = false;
        for _ in 0..workers {
            for leasing in machine.lease("p", 20, secs(60), !ahead, now) {
                if ahead && machine.start(leasing.lease, now).is_err() {
                    continue;
                }
                went = true;
                starts.push((now.micros(), leasing.seq));
                done(&mut machine, leasing.lease, now);
            }
        }
        now = if went { now.after(secs(30)) } else { next_time(&machine, now) };
    }
    starts
}

#[test]
fn a_recipient_who_counts_needs_no_place_in_another_queue() {
    let budget = |max| Some(Budget { name: "portfolio".into(), max, window: secs(3600) });
    let limits = |max| Limits { budget: budget(max), ..Limits::default() };
    let mut machine = machine_with(limits(1));
    configure(&mut machine, "p/other", limits(1), begin());
    let of = |n, key: &str, queue| NewJob { key: Some(Key::of(key)), queue: name(queue), ..job(n) };
    machine.enqueue(vec![of(1, "a", "p/q")], begin());
    let first = start_one(&mut machine, begin()).expect("a job");
    done(&mut machine, first.lease, begin());
    machine.enqueue(vec![of(2, "b", "p/q"), of(4, "c", "p/other"), of(3, "b", "p/other")], begin());
    assert!(start_one(&mut machine, begin()).is_none(), "all wait for a place");
    let other = name("p/other");
    machine
        .control(Control::Pause { queue: other.clone(), reason: "stop".into() }, begin(), UNDATED)
        .expect("an answer");
    configure(&mut machine, "p/q", limits(2), begin());
    assert_eq!(start_one(&mut machine, begin()).expect("the second place").lease.id, id(2));
    machine.control(Control::Resume { queue: other }, begin(), UNDATED).expect("an answer");
    assert_eq!(start_one(&mut machine, begin()).expect("it needs none").lease.id, id(3));
    assert!(start_one(&mut machine, begin()).is_none(), "no place for the other");
}
