//! What people order.

use super::bench::{Bench, grouped, id, job, keyed, line, named, numbers, seconds};
use crate::types::{Control, ControlError, JobFilter, JobState, NewJob, Outcome, Resolution};

/// Jobs `n` that are dead letters, each with the reason that `reason` gives it.
async fn dead(bench: &Bench, n: std::ops::RangeInclusive<u128>, reason: impl Fn(u128) -> &'static str) {
    bench.accept(n.map(job)).await;
    for taken in bench.take(100).await {
        let reason = reason(taken.lease.id.0.as_u128()).into();
        bench.settle(&taken, Outcome::Dead { reason }).await;
    }
}

pub(super) async fn a_pause_is_lifted_by_its_reason_alone(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    let pause = |reason: &str| Control::Pause { queue: line(), reason: reason.into() };
    let lift = |reason: &str| Control::Lift { queue: line(), reason: reason.into() };
    bench.control(pause("no session")).await;
    assert_eq!(bench.control(lift("another")).await.changed, 0);
    // A person's pause takes the place of the other.
    bench.control(pause("closed for today")).await;
    assert_eq!(bench.control(lift("no session")).await.changed, 0);
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.stats().await.paused.as_deref(), Some("closed for today"));
    assert_eq!(bench.control(lift("closed for today")).await.changed, 1);
    assert_eq!(bench.control(lift("closed for today")).await.changed, 0);
    assert_eq!(bench.take(10).await.len(), 2);
}

pub(super) async fn nothing_starts_while_a_queue_is_paused(bench: Bench) {
    bench.accept((1..=4).map(job)).await;
    bench.accept([NewJob::new(id(10), named("other"), "x")]).await;
    let running = bench.take_one().await;
    let answer = bench.control(Control::Pause { queue: line(), reason: "lunch".into() }).await;
    assert_eq!(answer.in_flight, 1);
    assert_eq!(bench.started().await, [10], "other queues go on");
    bench.done(&[running]).await;
    bench.accept([job(5)]).await;
    assert!(bench.started().await.is_empty(), "accepting goes on, starting does not");
    bench.control(Control::Resume { queue: line() }).await;
    assert_eq!(bench.started().await, [2, 3, 4, 5]);
}

pub(super) async fn nothing_of_a_group_starts_while_it_is_paused(bench: Bench) {
    bench.accept([grouped(1, "g"), grouped(2, "g"), grouped(3, "h")]).await;
    let running = bench.take_one().await;
    let pause = Control::PauseGroup { queue: line(), group: "g".into() };
    assert_eq!(bench.control(pause).await.in_flight, 1);
    assert_eq!(bench.stats().await.paused_groups, [std::sync::Arc::<str>::from("g")]);
    bench.accept([grouped(4, "g")]).await;
    assert_eq!(bench.started().await, [3]);
    bench.done(&[running]).await;
    assert!(bench.started().await.is_empty());
    bench.control(Control::ResumeGroup { queue: line(), group: "g".into() }).await;
    assert_eq!(bench.started().await, [2, 4]);
    // A group can be paused before it has a job.
    bench.control(Control::PauseGroup { queue: line(), group: "later".into() }).await;
    bench.accept([grouped(5, "later")]).await;
    assert!(bench.started().await.is_empty());
}

pub(super) async fn what_is_not_there_is_said_to_be_so(bench: Bench) {
    let (queue, group) = (line(), "g".into());
    for control in [
        Control::Pause { queue: queue.clone(), reason: "x".into() },
        Control::Resume { queue: queue.clone() },
        Control::PauseGroup { queue: queue.clone(), group },
        Control::Remove { queue: queue.clone() },
    ] {
        assert_eq!(bench.try_control(control).await, Err(ControlError::NoQueue(queue.clone())));
    }
    let id = id(7);
    for control in [
        Control::Cancel { id },
        Control::Promote { id },
        Control::RetryDead { id },
        Control::Resolve { id, resolution: Resolution::Sent },
    ] {
        assert_eq!(bench.try_control(control).await, Err(ControlError::NoJob(id)));
    }
}

pub(super) async fn what_waits_can_be_cancelled_and_nothing_else(bench: Bench) {
    let later = NewJob { run_at: Some(bench.now().after(seconds(60))), ..job(2) };
    bench.accept([keyed(1, "a"), keyed(6, "a"), later, job(3), job(4), job(5)]).await;
    let taken = bench.take(2).await;
    assert_eq!(numbers(&taken), [1, 3]);
    bench.lease_one().await;
    for n in [2, 4, 5, 6] {
        assert_eq!(bench.control(Control::Cancel { id: id(n) }).await.changed, 1);
        assert_eq!(bench.state(n).await, JobState::Cancelled);
    }
    let cancel = |n| bench.try_control(Control::Cancel { id: id(n) });
    assert_eq!(cancel(1).await, Err(ControlError::WrongState(JobState::Started)));
    assert_eq!(cancel(2).await, Err(ControlError::WrongState(JobState::Cancelled)));
    bench.settle(&taken[0], Outcome::Uncertain).await;
    assert_eq!(cancel(1).await, Err(ControlError::WrongState(JobState::Uncertain)));
    bench.done(&taken[1..]).await;
    assert_eq!(cancel(3).await, Err(ControlError::WrongState(JobState::Done)));
    bench.pass(seconds(100_000)).await;
    assert!(bench.started().await.is_empty());
}

pub(super) async fn all_that_fits_is_cancelled(bench: Bench) {
    bench.accept((1..=5).map(|n| grouped(n, "g"))).await;
    bench.accept((6..=9).map(job)).await;
    let running = bench.take(2).await;
    let filter = JobFilter { queue: Some(line()), group: Some("g".into()), ..JobFilter::default() };
    let waiting = 5 - numbers(&running).iter().filter(|n| **n <= 5).count() as u64;
    let answer = bench.control(Control::CancelAll(filter.clone())).await;
    assert_eq!((answer.changed, answer.in_flight), (waiting, 5 - waiting), "all but what is in flight");
    assert_eq!(bench.control(Control::CancelAll(filter)).await.changed, 0);
    bench.done(&running).await;
    assert!(bench.started().await.iter().all(|n| *n > 5), "the others go on");
}

pub(super) async fn what_waits_for_a_time_can_be_promoted(bench: Bench) {
    let later = bench.now().after(seconds(1000));
    bench.accept([job(1), NewJob { run_at: Some(later), ..job(2) }]).await;
    let taken = bench.take_one().await;
    bench.settle(&taken, Outcome::Retry { at: later, counts: true }).await;
    assert!(bench.started().await.is_empty());
    for n in [1, 2] {
        bench.control(Control::Promote { id: id(n) }).await;
    }
    let taken = bench.take(9).await;
    assert_eq!(taken.iter().map(|job| job.tries).max(), Some(2), "the attempt that was made still counts");
    let mut started = numbers(&taken);
    started.sort_unstable();
    assert_eq!(started, [1, 2]);
    let again = bench.try_control(Control::Promote { id: id(1) }).await;
    assert_eq!(again, Err(ControlError::WrongState(JobState::Started)));
}

pub(super) async fn dead_letters_are_retried_by_filter_and_anew(bench: Bench) {
    dead(&bench, 1..=4, |n| if n % 2 == 0 { "131026: not on WhatsApp" } else { "time-out" }).await;
    let of = |reason: &str| JobFilter { reason: Some(reason.into()), ..JobFilter::default() };
    assert_eq!(bench.control(Control::RetryAll(of("131026"))).await.changed, 2);
    let again = bench.take(9).await;
    assert_eq!(numbers(&again), [2, 4]);
    assert!(
        again.iter().all(|job| job.tries == 1 && job.attempt == 2),
        "counted anew, with a number of its own"
    );
    assert_eq!(again[0].payload, super::bench::payload(2));
    bench.control(Control::RetryDead { id: id(1) }).await;
    assert_eq!(bench.started().await, [1]);
    let answer = bench.try_control(Control::RetryDead { id: id(1) }).await;
    assert_eq!(answer, Err(ControlError::WrongState(JobState::Started)));
}

pub(super) async fn dead_letters_are_purged(bench: Bench) {
    dead(&bench, 1..=3, |n| if n == 1 { "keep" } else { "away" }).await;
    let filter = JobFilter { reason: Some("away".into()), ..JobFilter::default() };
    assert_eq!(bench.control(Control::Purge(filter)).await.changed, 2);
    let one = |n| JobFilter { id: Some(id(n)), ..JobFilter::default() };
    assert_eq!(bench.control(Control::Purge(one(2))).await.changed, 0, "it is forgotten already");
    assert_eq!(bench.jobs(JobFilter::default()).await, [1]);
    assert_eq!(bench.broker.job(id(2)).await, Ok(None));
    assert_eq!(bench.stats().await.finished[JobState::Dead as usize], 3, "what happened is counted still");
}

pub(super) async fn finished_jobs_are_cleaned_but_for_the_newest(bench: Bench) {
    bench.accept((1..=5).map(job)).await;
    let taken = bench.take(5).await;
    bench.done(&taken).await;
    bench.accept([job(6)]).await;
    assert_eq!(bench.control(Control::Clean { filter: JobFilter::default(), keep: 2 }).await.changed, 3);
    assert_eq!(bench.jobs(JobFilter::default()).await, [4, 5, 6], "what lives is not touched");
    // A job that is forgotten may come again.
    bench.accept([job(1)]).await;
}

pub(super) async fn a_person_resolves_what_is_uncertain(bench: Bench) {
    bench.accept((1..=4).map(job)).await;
    for taken in bench.take(3).await {
        bench.settle(&taken, Outcome::Uncertain).await;
    }
    let resolve = |n, resolution| Control::Resolve { id: id(n), resolution };
    bench.control(resolve(1, Resolution::Sent)).await;
    bench.control(resolve(2, Resolution::Failed)).await;
    bench.control(resolve(3, Resolution::Retry)).await;
    for (n, state) in [(1, JobState::Done), (2, JobState::Dead), (3, JobState::Queued)] {
        assert_eq!(bench.state(n).await, state, "job {n}");
    }
    let again = bench.try_control(resolve(1, Resolution::Retry)).await;
    assert_eq!(again, Err(ControlError::WrongState(JobState::Done)));
    let mut started = bench.started().await;
    started.sort_unstable();
    assert_eq!(started, [3, 4]);
}

pub(super) async fn a_queue_is_removed_when_it_is_empty(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    let remove = Control::Remove { queue: line() };
    assert_eq!(bench.try_control(remove.clone()).await, Err(ControlError::NotEmpty(2)));
    let taken = bench.take(2).await;
    bench.done(&taken).await;
    bench.control(remove.clone()).await;
    assert_eq!(bench.try_control(remove).await, Err(ControlError::NoQueue(line())));
    assert_eq!(bench.broker.job(id(1)).await, Ok(None));
    // A queue of that name begins anew.
    bench.accept([job(3)]).await;
    assert_eq!((bench.stats().await.accepted, bench.started().await), (1, vec![3]));
}
