//! What a settle makes of a job.

use super::bench::{Bench, job, seconds, settle};
use crate::types::{JobState, LeaseError, LeaseRef, Outcome};

pub(super) async fn done_is_final(bench: Bench) {
    bench.accept([job(1)]).await;
    let taken = bench.take_one().await;
    assert_eq!((taken.started, taken.tries, taken.attempt), (true, 1, taken.lease.token));
    assert_eq!(bench.state(1).await, JobState::Started);
    bench.settle(&taken, Outcome::Done).await;
    bench.pass(seconds(100_000)).await;
    assert_eq!(bench.state(1).await, JobState::Done);
    assert!(bench.started().await.is_empty());
}

pub(super) async fn dead_is_a_dead_letter_with_its_reason(bench: Bench) {
    bench.accept([job(1)]).await;
    let taken = bench.take_one().await;
    bench.settle(&taken, Outcome::Dead { reason: "131026: not on WhatsApp".into() }).await;
    bench.pass(seconds(100_000)).await;
    let view = bench.view(1).await;
    assert_eq!((view.state, view.reason.as_deref()), (JobState::Dead, Some("131026: not on WhatsApp")));
    assert!(bench.started().await.is_empty());
}

pub(super) async fn a_retry_waits_and_counts(bench: Bench) {
    bench.accept([job(1)]).await;
    for tries in 1..=3 {
        let taken = bench.take_one().await;
        assert_eq!((taken.tries, taken.attempt), (tries, tries), "an attempt has a number of its own");
        bench.settle(&taken, Outcome::Retry { at: bench.now().after(seconds(5)), counts: true }).await;
        assert_eq!(bench.state(1).await, JobState::Queued);
        bench.pass(seconds(4)).await;
        assert!(bench.started().await.is_empty(), "not before its time");
        bench.pass(seconds(1)).await;
    }
    assert_eq!(bench.view(1).await.attempts, 3);
}

pub(super) async fn a_retry_may_count_nothing(bench: Bench) {
    bench.accept([job(1)]).await;
    for attempt in 1..=3 {
        let taken = bench.take_one().await;
        assert_eq!(
            (taken.tries, taken.attempt),
            (1, attempt),
            "throttling costs no attempt, yet numbers never repeat"
        );
        bench.settle(&taken, Outcome::Retry { at: bench.now(), counts: false }).await;
    }
}

pub(super) async fn a_release_counts_nothing(bench: Bench) {
    bench.accept([job(1)]).await;
    for _ in 0..5 {
        let leased = bench.lease_one().await;
        bench.settle(&leased, Outcome::Release).await;
        let taken = bench.take_one().await;
        assert_eq!(taken.tries, 1);
        bench.settle(&taken, Outcome::Release).await;
    }
    assert_eq!((bench.state(1).await, bench.view(1).await.attempts), (JobState::Queued, 0));
}

pub(super) async fn three_panics_in_a_row_are_poison(bench: Bench) {
    bench.accept([job(1)]).await;
    for _ in 0..2 {
        for _ in 0..2 {
            let taken = bench.take_one().await;
            bench.settle(&taken, Outcome::Panicked).await;
        }
        let taken = bench.take_one().await;
        bench.settle(&taken, Outcome::Retry { at: bench.now(), counts: true }).await;
        assert_eq!(bench.state(1).await, JobState::Queued, "not three in a row");
    }
    for _ in 0..3 {
        let taken = bench.take_one().await;
        bench.settle(&taken, Outcome::Panicked).await;
    }
    let view = bench.view(1).await;
    assert_eq!(view.state, JobState::Dead);
    assert!(view.reason.is_some_and(|reason| reason.contains("poison")));
}

pub(super) async fn an_unknown_outcome_of_what_did_not_start_is_known(bench: Bench) {
    bench.accept([job(1)]).await;
    let leased = bench.lease_one().await;
    bench.settle(&leased, Outcome::Uncertain).await;
    assert_eq!(bench.state(1).await, JobState::Queued, "no attempt had started: nothing was sent");
    assert_eq!(bench.started().await, [1]);
}

pub(super) async fn a_batch_is_settled_one_by_one(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    let taken = bench.take(2).await;
    let stale = LeaseRef { token: 77, ..taken[0].lease };
    let batch = vec![
        settle(stale, Outcome::Done),
        settle(taken[0].lease, Outcome::Uncertain),
        settle(taken[1].lease, Outcome::Done),
    ];
    let answers = bench.broker.settle(batch).await.expect("settle");
    assert_eq!(answers, [Err(LeaseError::Stale), Ok(()), Ok(())], "one answer each, in order");
    assert_eq!((bench.state(1).await, bench.state(2).await), (JobState::Uncertain, JobState::Done));
}
