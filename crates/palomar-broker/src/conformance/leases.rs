//! Leases: tokens, starts, ends, renewals, waiting for work.

use palomar_model::MessageId;

use super::bench::{Bench, LEASE, grouped, id, job, line, numbers, request, seconds, settle, soon};
use crate::types::{Control, JobState, LeaseError, LeaseRef, LeaseRequest, NewJob, Outcome, QueueName};

pub(super) async fn a_lease_takes_from_its_pool_only_and_at_most_what_it_asks(bench: Bench) {
    let elsewhere = QueueName::new("hooks", "line").expect("a queue's name");
    bench.accept([job(1), NewJob::new(id(2), elsewhere, "x"), job(3), job(4)]).await;
    let leased = bench.lease(2).await;
    assert_eq!(numbers(&leased), [1, 3]);
    let (first, now) = (&leased[0], bench.now());
    assert_eq!((first.queue.clone(), first.started, first.tries), (line(), false, 1));
    assert_eq!(
        (first.enqueued_at, first.until, &first.payload[..]),
        (now, now.after(LEASE), &b"payload 1"[..])
    );
    assert_eq!(bench.state(1).await, JobState::Queued, "a lease that has not started is still queued");
    assert_eq!(bench.started().await, [4]);
    let hooks = LeaseRequest { pool: "hooks".into(), ..request(9, true) };
    assert_eq!(numbers(&bench.ask(hooks).await), [2]);
    let none = LeaseRequest { pool: "nobody".into(), ..request(9, true) };
    assert!(bench.ask(none).await.is_empty());
}

pub(super) async fn tokens_rise_and_a_stale_one_changes_nothing(bench: Bench) {
    bench.accept([job(1)]).await;
    let old = bench.lease_one().await;
    bench.pass(LEASE).await;
    let new = bench.lease_one().await;
    assert!(new.lease.token > old.lease.token, "{} then {}", old.lease.token, new.lease.token);
    let before = bench.view(1).await;
    for stale in [old.lease, LeaseRef { token: new.lease.token + 1, ..new.lease }] {
        assert_eq!(bench.start(stale).await, Err(LeaseError::Stale));
        assert_eq!(bench.renew(stale).await, Err(LeaseError::Stale));
        assert_eq!(bench.settle_with(settle(stale, Outcome::Done)).await, Err(LeaseError::Stale));
    }
    assert_eq!(bench.view(1).await, before);
    assert_eq!(bench.stats().await.stale, 6);
    assert_eq!(bench.start(new.lease).await.map(|started| started.attempt), Ok(new.attempt));
    bench.done(std::slice::from_ref(&new)).await;
    assert_eq!(
        bench.settle_with(settle(new.lease, Outcome::Done)).await,
        Err(LeaseError::Stale),
        "settled once"
    );
    let unknown = LeaseRef { id: MessageId(uuid::Uuid::from_u128(999)), token: 1 };
    assert_eq!(bench.start(unknown).await, Err(LeaseError::Stale));
}

pub(super) async fn an_unstarted_lease_that_ends_puts_the_job_back(bench: Bench) {
    bench.accept([job(1)]).await;
    bench.lease_one().await;
    bench.pass(LEASE - seconds(1)).await;
    assert!(bench.lease(1).await.is_empty(), "it lasts");
    bench.pass(seconds(1)).await;
    let again = bench.lease_one().await;
    assert_eq!(again.tries, 1, "no attempt was counted");
    assert_eq!(bench.view(1).await.attempts, 0);
    assert_eq!(bench.stats().await.expired_leases, [1, 0]);
}

pub(super) async fn three_unstarted_leases_in_a_row_are_poison(bench: Bench) {
    bench.accept([job(1)]).await;
    for _ in 0..3 {
        bench.lease_one().await;
        bench.pass(LEASE).await;
    }
    let view = bench.view(1).await;
    assert_eq!((view.state, view.attempts), (JobState::Dead, 0));
    assert!(view.reason.as_ref().is_some_and(|reason| reason.contains("poison")), "{:?}", view.reason);
}

pub(super) async fn a_start_ends_the_row_of_unstarted_leases(bench: Bench) {
    bench.accept([job(1)]).await;
    for _ in 0..2 {
        for _ in 0..2 {
            bench.lease_one().await;
            bench.pass(LEASE).await;
        }
        let leased = bench.take_one().await;
        bench.settle(&leased, Outcome::Retry { at: bench.now(), counts: true }).await;
    }
    assert_eq!(bench.state(1).await, JobState::Queued);
}

pub(super) async fn a_started_lease_that_ends_is_uncertain_and_never_leased_again(bench: Bench) {
    bench.accept([job(1)]).await;
    bench.take_one().await;
    bench.pass(LEASE).await;
    assert_eq!(bench.state(1).await, JobState::Uncertain);
    for _ in 0..4 {
        bench.pass(seconds(3600)).await;
        assert!(bench.started().await.is_empty());
    }
    assert_eq!(bench.state(1).await, JobState::Uncertain);
    assert_eq!(bench.stats().await.expired_leases, [0, 1]);
}

pub(super) async fn a_start_needs_time_for_the_call(bench: Bench) {
    // By default a call may take 30 s, and 5 s more must be left of the lease.
    bench.accept([job(1), job(2)]).await;
    let leased = bench.lease(2).await;
    bench.pass(seconds(25)).await;
    assert!(bench.start(leased[0].lease).await.is_ok(), "35 s are left");
    bench.pass(seconds(1)).await;
    assert_eq!(bench.start(leased[1].lease).await, Err(LeaseError::TooLate));
    assert_eq!(bench.state(2).await, JobState::Queued);
    assert_eq!(bench.renew(leased[1].lease).await, Ok(()));
    assert!(bench.start(leased[1].lease).await.is_ok());
}

pub(super) async fn a_start_after_a_pause_is_taken_back(bench: Bench) {
    bench.accept([job(1), grouped(2, "g")]).await;
    let leased = bench.lease(2).await;
    bench.control(Control::PauseGroup { queue: line(), group: "g".into() }).await;
    assert_eq!(bench.start(leased[1].lease).await, Err(LeaseError::TakenBack));
    bench.control(Control::Pause { queue: line(), reason: "lunch".into() }).await;
    assert_eq!(bench.start(leased[0].lease).await, Err(LeaseError::TakenBack));
    assert_eq!(bench.start(leased[0].lease).await, Err(LeaseError::Stale), "the lease is over");
    bench.control(Control::Resume { queue: line() }).await;
    bench.control(Control::ResumeGroup { queue: line(), group: "g".into() }).await;
    let mut again = bench.started().await;
    again.sort_unstable();
    assert_eq!(again, [1, 2]);
}

pub(super) async fn a_start_after_a_cancel_is_refused(bench: Bench) {
    bench.accept([job(1)]).await;
    let leased = bench.lease_one().await;
    bench.control(Control::Cancel { id: id(1) }).await;
    let answer = bench.start(leased.lease).await;
    assert!(matches!(answer, Err(LeaseError::TakenBack | LeaseError::Stale)), "{answer:?}");
    assert_eq!(bench.state(1).await, JobState::Cancelled);
}

pub(super) async fn a_start_that_is_repeated_begins_one_attempt(bench: Bench) {
    bench.accept([job(1)]).await;
    let leased = bench.lease_one().await;
    let first = bench.start(leased.lease).await;
    assert_eq!(first.map(|started| started.attempt), Ok(leased.attempt));
    assert_eq!(bench.start(leased.lease).await, first);
    assert_eq!((bench.view(1).await.attempts, bench.stats().await.starts), (1, 1));
}

pub(super) async fn a_renewed_lease_lasts(bench: Bench) {
    bench.accept([job(1)]).await;
    let taken = bench.take_one().await;
    for _ in 0..10 {
        bench.pass(LEASE - seconds(1)).await;
        assert_eq!(bench.renew(taken.lease).await, Ok(()));
    }
    bench.done(&[taken]).await;
    assert_eq!(bench.state(1).await, JobState::Done);
}

pub(super) async fn a_waiting_lease_is_answered_by_an_enqueue(bench: Bench) {
    let mut waiting = bench.broker.lease(LeaseRequest { wait: seconds(3600), ..request(5, true) });
    Bench::waits(&mut waiting);
    bench.accept([job(1), job(2)]).await;
    let leased = soon("a lease that waited for work", waiting).await.expect("lease");
    assert!(numbers(&leased).starts_with(&[1]), "{leased:?}");
}

pub(super) async fn a_waiting_lease_is_answered_when_its_wait_is_over(bench: Bench) {
    let mut waiting = bench.broker.lease(LeaseRequest { wait: seconds(5), ..request(5, true) });
    Bench::waits(&mut waiting);
    // The broker has seen the request before the clock moves.
    bench.pass(seconds(0)).await;
    bench.pass(seconds(4)).await;
    Bench::waits(&mut waiting);
    bench.pass(seconds(1)).await;
    assert!(soon("a lease whose wait is over", waiting).await.expect("lease").is_empty());
}

pub(super) async fn a_dropped_lease_loses_nothing(bench: Bench) {
    for n in 1..=30 {
        let mut dropped = bench.broker.lease(LeaseRequest { wait: seconds(3600), ..request(5, true) });
        let _ = futures_util::FutureExt::now_or_never(&mut dropped);
        // Dropped before, while and after the work comes.
        if n % 3 == 0 {
            drop(dropped);
            bench.accept([job(n)]).await;
        } else {
            bench.accept([job(n)]).await;
            if n % 3 == 1 {
                bench.broker.stats().await.expect("stats");
            }
            drop(dropped);
        }
        let lease = bench.broker.lease(LeaseRequest { wait: seconds(3600), ..request(5, true) });
        let leased = soon("the job that nobody took", lease).await.expect("lease");
        assert_eq!(numbers(&leased), [n]);
        assert_eq!(leased[0].tries, 1, "nothing was done under the dropped lease: no attempt counts");
        bench.done(&leased).await;
    }
}
