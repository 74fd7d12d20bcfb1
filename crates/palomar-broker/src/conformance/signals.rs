//! What attempts say about their queue: breaker, throttling, pause.

use super::bench::{Bench, job, seconds};
use crate::types::{BreakerConfig, BreakerState, Hold, Limits, Outcome, Signal};

fn breaker(failures: u32) -> Limits {
    Limits { breaker: BreakerConfig { failures, open_for: seconds(60) }, ..Limits::default() }
}

/// One attempt that says `signal`.
async fn attempt(bench: &Bench, signal: Signal) {
    let taken = bench.take_one().await;
    bench.signal(&taken, Outcome::Retry { at: bench.now(), counts: true }, signal).await;
}

pub(super) async fn failures_in_a_row_open_the_breaker(bench: Bench) {
    bench.configure(breaker(3)).await;
    bench.accept((1..=5).map(job)).await;
    for _ in 0..3 {
        attempt(&bench, Signal::Failure).await;
    }
    let until = bench.now().after(seconds(60));
    assert_eq!(bench.stats().await.breaker, BreakerState::Open { until });
    assert_eq!(bench.explain(5).await.holds.first(), Some(&Hold::Breaker { until }));
    bench.pass(seconds(59)).await;
    assert!(bench.started().await.is_empty());
}

pub(super) async fn a_success_ends_the_row_of_failures(bench: Bench) {
    bench.configure(breaker(3)).await;
    bench.accept([job(1)]).await;
    for signal in
        [Signal::Failure, Signal::Failure, Signal::Success, Signal::Failure, Signal::None, Signal::Failure]
    {
        attempt(&bench, signal).await;
    }
    assert_eq!(bench.stats().await.breaker, BreakerState::Closed);
}

pub(super) async fn a_probe_closes_or_opens_the_breaker(bench: Bench) {
    bench.configure(breaker(1)).await;
    bench.accept((1..=5).map(job)).await;
    attempt(&bench, Signal::Failure).await;
    bench.pass(seconds(60)).await;
    let probe = bench.take(10).await;
    assert_eq!(probe.len(), 1, "one probe");
    assert_eq!(bench.stats().await.breaker, BreakerState::HalfOpen);
    assert!(bench.started().await.is_empty(), "the rest wait for what it says");
    bench.signal(&probe[0], Outcome::Retry { at: bench.now(), counts: true }, Signal::Failure).await;
    assert_eq!(bench.stats().await.breaker, BreakerState::Open { until: bench.now().after(seconds(60)) });
    bench.pass(seconds(60)).await;
    let probe = bench.take(10).await;
    assert_eq!(probe.len(), 1);
    bench.signal(&probe[0], Outcome::Done, Signal::Success).await;
    assert_eq!(bench.stats().await.breaker, BreakerState::Closed);
    assert_eq!(bench.take(10).await.len(), 4);
}

pub(super) async fn throttling_stops_the_whole_queue(bench: Bench) {
    for after in [Some(seconds(7)), None] {
        bench.accept([job(1), job(2)]).await;
        attempt(&bench, Signal::Throttled { after }).await;
        let wait = after.unwrap_or(Limits::default().throttle_wait);
        let until = bench.now().after(wait);
        assert_eq!(bench.explain(2).await.holds.first(), Some(&Hold::Throttled { until }));
        assert!(bench.stats().await.rate_permille < 1000, "and the rate is lower for a while");
        bench.pass(wait - std::time::Duration::from_millis(1)).await;
        assert!(bench.started().await.is_empty());
        bench.pass(std::time::Duration::from_millis(1)).await;
        let rest = bench.take(10).await;
        assert_eq!(rest.len(), 2);
        bench.done(&rest).await;
        bench.control(crate::types::Control::Clean { filter: Default::default(), keep: 0 }).await;
        bench.pass(seconds(3600)).await;
        assert_eq!(bench.stats().await.rate_permille, 1000, "it recovers");
    }
}

pub(super) async fn refusals_slow_a_queue_in_proportion(bench: Bench) {
    bench.accept((1..=9).map(job)).await;
    let share = async || bench.stats().await.rate_permille;
    let refused = async || attempt(&bench, Signal::Throttled { after: None }).await;
    refused().await;
    assert_eq!(share().await, 900, "one refusal costs little");
    bench.pass(seconds(15)).await;
    assert_eq!(share().await, 1000, "and is soon forgotten");
    let together = bench.take(9).await;
    for taken in &together {
        let again = Outcome::Retry { at: bench.now(), counts: false };
        bench.signal(taken, again, Signal::Throttled { after: None }).await;
    }
    assert_eq!(share().await, 900, "what was under way together counts once");
    let mut before = 900;
    for _ in 0..8 {
        bench.pass(seconds(2)).await;
        refused().await;
        let now = share().await;
        assert!(now < before || now == 50, "refusals go on: {before}, then {now}");
        before = now;
    }
    assert_eq!(before, 50, "somebody goes on asking");
    bench.pass(seconds(60)).await;
    assert_eq!(share().await, 1000);
}

pub(super) async fn a_pause_signal_pauses_with_its_reason(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    attempt(&bench, Signal::Pause { reason: "the token has expired".into() }).await;
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.stats().await.paused.as_deref(), Some("the token has expired"));
    assert_eq!(
        bench.explain(2).await.holds.first(),
        Some(&Hold::Paused { reason: "the token has expired".into() })
    );
    bench.pass(seconds(100_000)).await;
    assert!(bench.started().await.is_empty(), "until a person resumes");
    bench.control(crate::types::Control::Resume { queue: super::bench::line() }).await;
    assert_eq!(bench.take(10).await.len(), 2);
}
