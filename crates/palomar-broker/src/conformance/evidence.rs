//! Evidence, and what becomes of what stays unknown.

use super::bench::{Bench, LEASE, id, job, seconds};
use crate::types::{
    Control, Evidence, EvidenceEffect, Fact, JobState, NewJob, OnUncertain, Outcome, Resolution, Verdict,
};

fn failed() -> Verdict {
    Verdict::Failed { reason: "131047: the window is closed".into() }
}

pub(super) async fn evidence_resolves_what_is_uncertain(bench: Bench) {
    bench.accept((1..=4).map(job)).await;
    let taken = bench.take(4).await;
    for taken in &taken {
        bench.settle(taken, Outcome::Uncertain).await;
    }
    assert_eq!(bench.evidence(1, 1, Verdict::Taken).await, EvidenceEffect::Resolved);
    assert_eq!(bench.evidence(2, 1, failed()).await, EvidenceEffect::Resolved);
    bench.pass(seconds(120)).await;
    assert_eq!(bench.evidence(3, 1, Verdict::Taken).await, EvidenceEffect::Resolved, "after the order wait");
    bench.pass(seconds(3600)).await;
    assert_eq!(
        bench.evidence(4, 1, Verdict::Taken).await,
        EvidenceEffect::Resolved,
        "after the uncertain wait"
    );
    for (n, state) in [(1, JobState::Done), (2, JobState::Dead), (3, JobState::Done), (4, JobState::Done)] {
        assert_eq!(bench.state(n).await, state, "job {n}");
    }
    assert_eq!(bench.view(2).await.reason.as_deref(), Some("131047: the window is closed"));
    assert_eq!(
        bench.evidence(2, 1, Verdict::Taken).await,
        EvidenceEffect::Resolved,
        "a dead letter that did go out"
    );
    assert_eq!(bench.state(2).await, JobState::Done);
}

pub(super) async fn evidence_spares_a_second_send(bench: Bench) {
    bench.accept([job(1)]).await;
    let taken = bench.take_one().await;
    bench.settle(&taken, Outcome::Uncertain).await;
    bench.control(Control::Resolve { id: id(1), resolution: Resolution::Retry }).await;
    assert_eq!(bench.state(1).await, JobState::Queued);
    assert_eq!(bench.evidence(1, taken.attempt, Verdict::Taken).await, EvidenceEffect::Resolved);
    assert_eq!(bench.state(1).await, JobState::Done);
    assert!(bench.started().await.is_empty());
}

pub(super) async fn early_evidence_speaks_for_a_silent_worker(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    bench.take(2).await;
    assert_eq!(
        bench.evidence(1, 1, Verdict::Taken).await,
        EvidenceEffect::Nothing,
        "its worker has it in hand"
    );
    assert_eq!(bench.evidence(2, 1, failed()).await, EvidenceEffect::Nothing);
    assert_eq!(bench.state(1).await, JobState::Started);
    bench.pass(LEASE).await;
    assert_eq!((bench.state(1).await, bench.state(2).await), (JobState::Done, JobState::Dead));
}

pub(super) async fn early_evidence_leaves_the_worker_its_word(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    let taken = bench.take(2).await;
    for n in [1, 2] {
        bench.evidence(n, 1, Verdict::Taken).await;
    }
    bench.settle(&taken[0], Outcome::Done).await;
    bench.settle(&taken[1], Outcome::Uncertain).await;
    assert_eq!((bench.state(1).await, bench.state(2).await), (JobState::Done, JobState::Done), "it is known");
}

pub(super) async fn evidence_of_an_older_attempt_is_a_duplicate_send(bench: Bench) {
    bench.accept([NewJob { on_uncertain: OnUncertain::Retry, ..job(1) }]).await;
    let first = bench.take_one().await;
    bench.settle(&first, Outcome::Uncertain).await;
    bench.pass(seconds(900)).await;
    let second = bench.take_one().await;
    assert!(second.attempt > first.attempt);
    assert_eq!(bench.evidence(1, first.attempt, Verdict::Taken).await, EvidenceEffect::DuplicateSend);
    assert_eq!(bench.state(1).await, JobState::Started, "the attempt that is under way goes on");
    bench.settle(&second, Outcome::Done).await;
    assert_eq!(bench.stats().await.duplicate_sends, 1);
    assert!(bench.life(1).await.contains(&Fact::DuplicateSend));
}

pub(super) async fn evidence_is_never_refused(bench: Bench) {
    bench.accept([job(1)]).await;
    for (n, attempt) in [(99, 1), (1, 0), (1, 7)] {
        assert_eq!(bench.evidence(n, attempt, Verdict::Taken).await, EvidenceEffect::Nothing, "job {n}");
    }
    assert_eq!(bench.state(1).await, JobState::Queued, "evidence of attempts that never were proves nothing");
    let taken = bench.take_one().await;
    bench.done(std::slice::from_ref(&taken)).await;
    for verdict in [Verdict::Taken, failed()] {
        assert_eq!(bench.evidence(1, taken.attempt, verdict).await, EvidenceEffect::Nothing, "it is settled");
    }
    // Its events are logged whatever it changes, of jobs that are not known too.
    let events = |n| Evidence { id: id(n), attempt: 1, verdict: Verdict::Taken, events: vec!["seen".into()] };
    bench.broker.evidence(vec![events(1), events(99)]).await.expect("evidence");
    let facts = bench.all_facts().await;
    let mut seen: Vec<_> =
        facts.iter().filter(|fact| fact.fact == Fact::Event("seen".into())).map(|fact| fact.job).collect();
    seen.sort_unstable();
    assert_eq!(seen, [None, Some(id(1))]);
}

/// An uncertain job of a policy, after the uncertain wait.
async fn after_the_wait(bench: &Bench, on_uncertain: OnUncertain) {
    bench.accept([NewJob { on_uncertain, ..job(1) }]).await;
    let taken = bench.take_one().await;
    bench.settle(&taken, Outcome::Uncertain).await;
    bench.pass(seconds(15 * 60 - 1)).await;
    assert_eq!(bench.state(1).await, JobState::Uncertain, "evidence has its time");
    bench.pass(seconds(1)).await;
}

pub(super) async fn what_is_held_stays_uncertain(bench: Bench) {
    after_the_wait(&bench, OnUncertain::Hold).await;
    bench.pass(seconds(30 * 86_400)).await;
    assert_eq!(bench.state(1).await, JobState::Uncertain);
    assert!(bench.started().await.is_empty());
}

pub(super) async fn what_is_retried_is_queued_again(bench: Bench) {
    after_the_wait(&bench, OnUncertain::Retry).await;
    assert_eq!(bench.state(1).await, JobState::Queued);
    let again = bench.take_one().await;
    assert_eq!((again.attempt, again.tries), (2, 2), "a further attempt, with a number of its own");
    assert!(bench.life(1).await.contains(&Fact::Retried));
}

pub(super) async fn what_is_dropped_is_dead(bench: Bench) {
    after_the_wait(&bench, OnUncertain::Drop).await;
    let view = bench.view(1).await;
    assert_eq!((view.state, view.reason.as_deref()), (JobState::Dead, Some("uncertain")));
}
