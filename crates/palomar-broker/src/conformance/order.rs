//! Whose turn it is: order of arrival and of keys, delays, expiry, priorities, groups.

use palomar_model::Priority;

use super::bench::{Bench, LEASE, grouped, id, job, keyed, line, numbers, seconds};
use crate::types::{Control, Hold, JobState, LeaseError, NewJob, Outcome};

pub(super) async fn jobs_leave_in_the_order_of_arrival(bench: Bench) {
    bench.accept((1..=5).map(job)).await;
    bench.accept([job(6)]).await;
    assert_eq!(numbers(&bench.take(2).await), [1, 2]);
    assert_eq!(bench.started().await, [3, 4, 5, 6]);
}

pub(super) async fn jobs_of_a_key_leave_one_at_a_time_in_order(bench: Bench) {
    bench.accept([keyed(1, "a"), keyed(2, "a"), keyed(3, "b"), keyed(4, "a")]).await;
    let first = bench.take(10).await;
    assert_eq!(numbers(&first), [1, 3]);
    bench.done(&first).await;
    let second = bench.take(10).await;
    assert_eq!(numbers(&second), [2]);
    bench.settle(&second[0], Outcome::Dead { reason: "no".into() }).await;
    assert_eq!(bench.started().await, [4], "a dead letter holds nobody");
}

pub(super) async fn a_retrying_job_holds_its_key_until_it_is_final(bench: Bench) {
    bench.accept([keyed(1, "a"), keyed(2, "a")]).await;
    let first = bench.take_one().await;
    bench.settle(&first, Outcome::Retry { at: bench.now().after(seconds(3600)), counts: true }).await;
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.explain(2).await.holds, [Hold::Order { behind: id(1) }]);
    bench.pass(seconds(3600)).await;
    let again = bench.take(10).await;
    assert_eq!(numbers(&again), [1], "the next attempt goes before later jobs");
    bench.done(&again).await;
    assert_eq!(bench.started().await, [2]);
}

pub(super) async fn an_uncertain_job_holds_its_key_for_the_order_wait(bench: Bench) {
    bench.accept([keyed(1, "a"), keyed(2, "a")]).await;
    let first = bench.take_one().await;
    bench.settle(&first, Outcome::Uncertain).await;
    bench.pass(seconds(59)).await;
    assert!(bench.started().await.is_empty(), "within the order wait");
    bench.pass(seconds(1)).await;
    assert_eq!(bench.started().await, [2]);
    assert_eq!(bench.state(1).await, JobState::Uncertain);
}

pub(super) async fn a_returned_job_goes_before_the_later_ones_of_its_key(bench: Bench) {
    bench.accept([keyed(1, "a"), keyed(2, "a")]).await;
    bench.lease_one().await;
    bench.pass(LEASE + seconds(1)).await;
    assert_eq!(bench.started().await, [1]);
}

pub(super) async fn a_delayed_job_waits_for_its_time(bench: Bench) {
    let due = bench.now().after(seconds(10));
    bench.accept([NewJob { run_at: Some(due), ..job(1) }, job(2)]).await;
    assert_eq!(bench.started().await, [2]);
    assert_eq!((bench.state(1).await, bench.view(1).await.when), (JobState::Scheduled, Some(due)));
    bench.pass(seconds(9)).await;
    assert!(bench.started().await.is_empty());
    bench.pass(seconds(1)).await;
    assert_eq!(bench.state(1).await, JobState::Queued);
    assert_eq!(bench.started().await, [1]);
}

pub(super) async fn a_job_that_expires_never_starts(bench: Bench) {
    let end = bench.now().after(seconds(10));
    let late = NewJob { run_at: Some(bench.now().after(seconds(20))), ..job(2) };
    bench
        .accept([NewJob { expires_at: Some(end), ..job(1) }, NewJob { expires_at: Some(end), ..late }])
        .await;
    bench.pass(seconds(10)).await;
    assert!(bench.started().await.is_empty());
    assert_eq!((bench.state(1).await, bench.state(2).await), (JobState::Expired, JobState::Expired));
    bench.accept([NewJob { expires_at: Some(bench.now().after(seconds(10))), ..job(3) }]).await;
    let started = bench.take_one().await;
    bench.pass(seconds(20)).await;
    assert_eq!(bench.state(3).await, JobState::Started, "what has started does not expire");
    bench.done(&[started]).await;
}

pub(super) async fn a_job_that_expires_under_an_unstarted_lease_never_starts(bench: Bench) {
    bench.accept([NewJob { expires_at: Some(bench.now().after(seconds(5))), ..job(1) }]).await;
    let leased = bench.lease_one().await;
    bench.pass(seconds(6)).await;
    let answer = bench.start(leased.lease).await;
    assert!(matches!(answer, Err(LeaseError::TakenBack | LeaseError::Stale)), "{answer:?}");
    assert_eq!(bench.state(1).await, JobState::Expired);
}

pub(super) async fn the_urgent_go_first_and_the_rest_get_their_share(bench: Bench) {
    let of = |priority, n| NewJob { priority, ..job(n) };
    bench.accept((1..=100).map(|n| of(Priority::Low, n))).await;
    bench.accept((101..=500).map(|n| of(Priority::Critical, n))).await;
    assert!(
        numbers(&bench.take(5).await).iter().all(|n| *n > 100),
        "the urgent first, though they came later"
    );
    let mut low = 0;
    for _ in 0..9 {
        let started = bench.take(40).await;
        low += numbers(&started).iter().filter(|n| **n <= 100).count();
        bench.done(&started).await;
    }
    assert!((18..=72).contains(&low), "{low} of 360 starts were of the low priority: at least one in twenty");
}

pub(super) async fn groups_take_turns(bench: Bench) {
    bench.accept((1..=30).map(|n| grouped(n, "large"))).await;
    bench.accept((31..=45).map(|n| grouped(n, "small"))).await;
    bench.accept((46..=60).map(job)).await;
    let started = numbers(&bench.take(30).await);
    let count = |of: std::ops::RangeInclusive<u128>| started.iter().filter(|n| of.contains(n)).count();
    assert_eq!([count(1..=30), count(31..=45), count(46..=60)], [10, 10, 10]);
}

/// Job `n` of `group` for the key `a`.
fn of_group(n: u128, group: &str) -> NewJob {
    NewJob { group: Some(group.into()), ..keyed(n, "a") }
}

fn pause(group: &str) -> Control {
    Control::PauseGroup { queue: line(), group: group.into() }
}

fn resume(group: &str) -> Control {
    Control::ResumeGroup { queue: line(), group: group.into() }
}

pub(super) async fn a_paused_group_holds_no_other_job_of_its_keys(bench: Bench) {
    bench.accept([of_group(1, "g"), of_group(2, "g"), keyed(3, "a"), of_group(4, "h")]).await;
    bench.control(pause("g")).await;
    assert_eq!(bench.explain(1).await.holds.first(), Some(&Hold::GroupPaused));
    // What comes later passes too, in its own order, one at a time.
    bench.accept([keyed(5, "a")]).await;
    for n in [3, 4, 5] {
        let taken = bench.take(9).await;
        assert_eq!(numbers(&taken), [n]);
        bench.done(&taken).await;
    }
    assert!(bench.started().await.is_empty(), "the group is paused");
    bench.accept([of_group(6, "h")]).await;
    bench.control(resume("g")).await;
    for n in [6, 1, 2] {
        let taken = bench.take(9).await;
        assert_eq!(numbers(&taken), [n], "who has passed goes first; a group keeps its own order");
        bench.done(&taken).await;
    }
}

pub(super) async fn groups_that_are_paused_do_not_hold_each_other(bench: Bench) {
    bench.accept([of_group(1, "g"), of_group(2, "h"), keyed(3, "a")]).await;
    for group in ["g", "h"] {
        bench.control(pause(group)).await;
    }
    let taken = bench.take(9).await;
    assert_eq!(numbers(&taken), [3]);
    bench.done(&taken).await;
    assert!(bench.started().await.is_empty());
    bench.control(resume("h")).await;
    let taken = bench.take(9).await;
    assert_eq!(numbers(&taken), [2]);
    bench.done(&taken).await;
    bench.control(resume("g")).await;
    assert_eq!(bench.started().await, [1]);
}

pub(super) async fn a_job_that_was_started_holds_its_key_in_a_paused_group_too(bench: Bench) {
    bench.accept([of_group(1, "g"), keyed(2, "a")]).await;
    let taken = bench.take_one().await;
    bench.control(pause("g")).await;
    bench.settle(&taken, Outcome::Retry { at: bench.now().after(seconds(10)), counts: true }).await;
    bench.pass(seconds(3600)).await;
    assert!(bench.started().await.is_empty(), "behind one that is retried");
    bench.control(resume("g")).await;
    let taken = bench.take_one().await;
    bench.control(pause("g")).await;
    bench.settle(&taken, Outcome::Uncertain).await;
    bench.pass(seconds(59)).await;
    assert!(bench.started().await.is_empty(), "behind one that is uncertain, for the order wait");
    bench.pass(seconds(1)).await;
    assert_eq!(bench.started().await, [2]);
}

pub(super) async fn a_lease_that_a_pause_took_back_lets_others_pass(bench: Bench) {
    bench.accept([of_group(1, "g"), keyed(2, "a")]).await;
    let leased = bench.lease_one().await;
    bench.control(pause("g")).await;
    assert!(bench.started().await.is_empty(), "it is in a worker's hands");
    assert_eq!(bench.start(leased.lease).await, Err(LeaseError::TakenBack));
    let taken = bench.take(9).await;
    assert_eq!(numbers(&taken), [2]);
    bench.control(resume("g")).await;
    assert!(bench.started().await.is_empty(), "one at a time");
    bench.done(&taken).await;
    assert_eq!(bench.started().await, [1]);
}
