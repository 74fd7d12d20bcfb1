//! Fair turns: between priorities, between groups, and for urgent jobs before a long backlog.

use std::collections::BTreeMap;

use palomar_model::Priority;

use super::{begin, done, id, job, machine_with, secs, start_one};
use crate::types::{Key, Limits, NewJob};

#[test]
fn low_gets_its_share_under_endless_critical() {
    let mut machine = machine_with(Limits::default());
    let low = |n| NewJob { priority: Priority::Low, ..job(n) };
    let critical = |n| NewJob { priority: Priority::Critical, ..job(n) };
    machine.enqueue((0..100_000).map(low).collect(), begin());
    let mut next = 1_000_000;
    let (mut of_low, starts) = (0, 40_000);
    for _ in 0..starts {
        // There are always urgent ones waiting.
        machine.enqueue(vec![critical(next), critical(next + 1)], begin());
        next += 2;
        let leasing = start_one(&mut machine, begin()).expect("a job");
        of_low += u32::from(leasing.priority == Priority::Low);
        done(&mut machine, leasing.lease, begin());
    }
    assert!(of_low * 20 >= starts, "{of_low} of {starts}: at least 5 %");
    assert!(of_low * 10 < starts, "{of_low} of {starts}: the urgent ones still go first");
}

#[test]
fn groups_of_very_different_size_get_equal_turns() {
    let mut machine = machine_with(Limits::default());
    let mut n = 0;
    for group in 0..50_u64 {
        // From 10 to 100,000 jobs, more or less evenly on a logarithmic scale.
        let size = 10.0 * 10_f64.powf(group as f64 * 4.0 / 49.0);
        let jobs = (0..size as u64).map(|_| {
            n += 1;
            NewJob { group: Some(format!("campaign {group}").into()), ..job(n) }
        });
        machine.enqueue(jobs.collect(), begin());
    }
    let mut starts: BTreeMap<_, u32> = BTreeMap::new();
    // As long as every group has jobs, each gets the same; then those that are left do.
    for _ in 0..50 * 10 {
        let leasing = start_one(&mut machine, begin()).expect("a job");
        *starts.entry(leasing.group.expect("a group")).or_default() += 1;
        done(&mut machine, leasing.lease, begin());
    }
    assert!(starts.values().all(|n| *n == 10), "{starts:?}");
    let mut later: BTreeMap<_, u32> = BTreeMap::new();
    for _ in 0..20_000 {
        let leasing = start_one(&mut machine, begin()).expect("a job");
        *later.entry(leasing.group.expect("a group")).or_default() += 1;
        done(&mut machine, leasing.lease, begin());
    }
    // The largest had jobs all the time.
    let large: Vec<u32> =
        (40..50).map(|g| later[&std::sync::Arc::<str>::from(format!("campaign {g}"))]).collect();
    let (least, most) = (large.iter().min().expect("ten"), large.iter().max().expect("ten"));
    assert!(most - least <= most / 20, "{large:?}");
}

#[test]
fn an_urgent_job_is_the_next_before_any_backlog() {
    let mut machine = machine_with(Limits::default());
    let backlog =
        (0..200_000).map(|n| NewJob { priority: Priority::Low, group: Some("bulk".into()), ..job(n) });
    machine.enqueue(backlog.collect(), begin());
    for n in 0..1_000 {
        let urgent = NewJob { priority: Priority::Critical, ..job(1_000_000 + n) };
        machine.enqueue(vec![urgent], begin());
        // Low may be owed one turn, never two in a row.
        let first = start_one(&mut machine, begin()).expect("a job");
        let second = start_one(&mut machine, begin()).expect("a job");
        assert!([first.lease.id, second.lease.id].contains(&id(1_000_000 + n)), "the next, or the one after");
        done(&mut machine, first.lease, begin());
        done(&mut machine, second.lease, begin());
    }
}

#[test]
fn an_urgent_job_lends_its_priority_to_those_before_it() {
    let mut machine = machine_with(Limits::default());
    let of = |n, priority, key: Option<&str>| NewJob { priority, key: key.map(Key::of), ..job(n) };
    machine.enqueue((100..200).map(|n| of(n, Priority::High, None)).collect(), begin());
    machine.enqueue(vec![of(1, Priority::Low, Some("k")), of(2, Priority::Critical, Some("k"))], begin());
    let first = start_one(&mut machine, begin()).expect("a job");
    assert_eq!(
        (first.lease.id, first.priority),
        (id(1), Priority::Low),
        "order first, at the urgent one's turn"
    );
    done(&mut machine, first.lease, begin());
    assert_eq!(start_one(&mut machine, begin()).expect("a job").lease.id, id(2));
    machine.check();
    // What was lent is over when the job comes again.
    let again = NewJob { run_at: Some(begin().after(secs(1))), ..of(3, Priority::Low, Some("other")) };
    machine.enqueue(vec![again], begin());
    assert_eq!(start_one(&mut machine, begin().after(secs(1))).expect("a job").priority, Priority::High);
}
