//! How much leaves: windows, pace, concurrency, budget.

use std::time::Duration;

use super::bench::{Bench, job, keyed, line, numbers, seconds};
use crate::types::{Budget, Control, ControlError, Hold, Limits, NewJob, Outcome, Pair, Window};

fn window(max: u32, length: u64) -> Window {
    Window { max, window: seconds(length) }
}

fn windows(windows: &[Window]) -> Limits {
    Limits { windows: windows.to_vec(), margin_permille: 0, ..Limits::default() }
}

pub(super) async fn no_window_holds_more_than_it_allows(bench: Bench) {
    let limits = [window(3, 10), window(5, 60)];
    bench.configure(windows(&limits)).await;
    bench.accept((1..=40).map(job)).await;
    let mut starts = Vec::new();
    for _ in 0..200 {
        let taken = bench.take(10).await;
        starts.extend(taken.iter().map(|_| bench.now()));
        bench.done(&taken).await;
        bench.pass(Duration::from_millis(1_700)).await;
    }
    for Window { max, window } in limits {
        let max = max as usize;
        for pair in starts.windows(max + 1) {
            assert!(pair[max].since(pair[0]) >= window, "{} starts within {window:?}", max + 1);
        }
    }
    assert!(starts.len() >= 25, "{} starts: what is allowed is used", starts.len());
}

pub(super) async fn unstarted_leases_take_room_in_windows(bench: Bench) {
    bench.configure(windows(&[window(3, 10)])).await;
    bench.accept((1..=9).map(job)).await;
    let leased = bench.lease(2).await;
    assert_eq!(bench.take(9).await.len(), 1);
    for leased in &leased {
        assert!(bench.start(leased.lease).await.is_ok(), "its room was kept");
    }
    assert!(bench.started().await.is_empty());
}

pub(super) async fn a_short_window_is_spread_over_its_length(bench: Bench) {
    bench.configure(windows(&[window(40, 1)])).await;
    bench.accept((1..=100).map(job)).await;
    let begun = bench.now();
    let (mut starts, mut named) = (Vec::new(), false);
    while starts.len() < 80 {
        let taken = bench.take(100).await;
        assert!(taken.len() <= 2, "a twentieth at once, not {}", taken.len());
        starts.extend(taken.iter().map(|_| bench.now()));
        bench.done(&taken).await;
        let next = starts.len() as u128 + 1;
        let holds = bench.explain(next).await.holds;
        let owners = |hold: &Hold| matches!(hold, Hold::Window { window: of, .. } if *of == window(40, 1));
        named |= holds.iter().any(owners);
        assert!(!holds.iter().any(|hold| matches!(hold, Hold::Window { .. }) && !owners(hold)), "{holds:?}");
        bench.pass(Duration::from_millis(5)).await;
    }
    assert!(named, "what holds a job is the window that was configured");
    for pair in starts.windows(41) {
        assert!(pair[40].since(pair[0]) >= seconds(1), "41 starts within a second");
    }
    let took = bench.now().since(begun);
    assert!(took < Duration::from_millis(2_100), "what is allowed is used: 80 starts took {took:?}");
    let stats = bench.stats().await;
    assert_eq!(stats.limits.windows, [window(40, 1)]);
}

pub(super) async fn limits_change_while_jobs_wait(bench: Bench) {
    bench.configure(windows(&[window(1, 60)])).await;
    bench.accept((1..=9).map(job)).await;
    assert_eq!(bench.started().await, [1]);
    bench.configure(windows(&[window(4, 60)])).await;
    assert_eq!(bench.started().await, [2, 3, 4], "what started before counts");
    bench.configure(windows(&[])).await;
    assert_eq!(bench.started().await, [5, 6, 7, 8, 9], "none has lost its place");
}

pub(super) async fn a_key_keeps_its_pace(bench: Bench) {
    let pair = Pair { interval: seconds(6), burst: 2 };
    bench.configure(Limits { pair: Some(pair), ..Limits::default() }).await;
    bench.accept((1..=5).map(|n| keyed(n, "a"))).await;
    bench.accept([keyed(10, "b")]).await;
    for expected in [vec![1, 10], vec![2], vec![]] {
        let taken = bench.take(9).await;
        assert_eq!(numbers(&taken), expected, "a burst of two");
        bench.done(&taken).await;
    }
    assert_eq!(
        bench.explain(3).await.holds.first(),
        Some(&Hold::Pair { until: bench.now().after(seconds(6)) })
    );
    for n in 3..=5 {
        bench.pass(seconds(5)).await;
        assert!(bench.started().await.is_empty());
        bench.pass(seconds(1)).await;
        let taken = bench.take(9).await;
        assert_eq!(numbers(&taken), [n], "then one in six seconds");
        bench.done(&taken).await;
    }
}

pub(super) async fn no_more_at_once_than_the_concurrency(bench: Bench) {
    bench.configure(Limits { concurrency: 3, ..Limits::default() }).await;
    bench.accept((1..=9).map(job)).await;
    let leased = bench.lease(1).await;
    let taken = bench.take(9).await;
    assert_eq!(numbers(&taken), [2, 3], "leases that have not started count");
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.explain(4).await.holds.first(), Some(&Hold::Concurrency { max: 3 }));
    bench.done(&taken).await;
    bench.settle(&leased[0], Outcome::Release).await;
    assert_eq!(bench.take(9).await.len(), 3);
}

pub(super) async fn a_budget_counts_distinct_keys(bench: Bench) {
    let day = seconds(24 * 3600);
    let budget = Budget { name: "portfolio".into(), max: 2, window: day };
    bench.configure(Limits { budget: Some(budget), ..Limits::default() }).await;
    bench.accept([keyed(1, "a"), keyed(2, "b"), keyed(3, "c"), keyed(4, "a")]).await;
    let taken = bench.take(9).await;
    assert_eq!(numbers(&taken), [1, 2]);
    bench.done(&taken).await;
    assert_eq!(bench.started().await, [4], "a key that counts already costs nothing more");
    assert_eq!(bench.stats().await.budget_used, Some(2));
    let holds = bench.explain(3).await.holds;
    assert!(matches!(holds.first(), Some(Hold::Budget { name, .. }) if &**name == "portfolio"), "{holds:?}");
    bench.accept([NewJob { spends_budget: false, ..keyed(5, "d") }]).await;
    assert_eq!(bench.started().await, [5], "an answer spends none");
    bench.pass(day - seconds(60)).await;
    assert!(bench.started().await.is_empty());
    bench.pass(seconds(600)).await;
    assert_eq!(bench.started().await, [3]);
}

pub(super) async fn limits_that_cant_be_kept_are_refused(bench: Bench) {
    for (what, limits) in [
        ("a window of none", windows(&[window(0, 10)])),
        ("a window of no length", windows(&[window(1, 0)])),
        ("no concurrency", Limits { concurrency: 0, ..Limits::default() }),
        (
            "a pace without a burst",
            Limits { pair: Some(Pair { interval: seconds(1), burst: 0 }), ..Limits::default() },
        ),
    ] {
        let answer = bench.try_control(Control::Configure { queue: line(), limits }).await;
        assert!(matches!(answer, Err(ControlError::Invalid(_))), "{what}: {answer:?}");
    }
    let stats = bench.broker.stats().await.expect("stats");
    assert!(stats.queues.is_empty(), "nothing has changed");
}
