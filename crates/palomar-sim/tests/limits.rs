//! The provider's limits over HTTP, with a clock that stands still.

mod common;

use std::time::Duration;

use common::{Bench, text, unlimited};
use palomar_sim::Windows;
use palomar_sim::cloud_api::{Config, PairLimit};

async fn send_many(bench: &Bench, count: usize) -> Vec<u64> {
    let mut codes = Vec::new();
    for n in 0..count {
        let (_, answer) = bench.send(&text(&format!("+3460000{n:04}"))).await;
        codes.push(answer["error"]["code"].as_u64().unwrap_or(0));
    }
    codes
}

#[tokio::test]
async fn throughput_is_an_exact_sliding_window() {
    let bench = Bench::new(Config { throughput: "10/1s+15/60s".parse().unwrap(), ..unlimited() }).await;
    assert_eq!(send_many(&bench, 11).await, [&[0; 10][..], &[130_429]].concat());
    bench.clock.advance(Duration::from_millis(999));
    assert_eq!(send_many(&bench, 1).await, [130_429]);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(send_many(&bench, 6).await, [0, 0, 0, 0, 0, 130_429]);
    bench.clock.advance(Duration::from_secs(59));
    assert_eq!(send_many(&bench, 11).await, [&[0; 10][..], &[130_429]].concat());
    let stats = bench.sim.stats();
    assert_eq!((stats.over_throughput, stats.accepted), (4, 25));
    assert_eq!(stats.answers["429/130429"], 4);
    assert_eq!(bench.sim.accepted(), 25);
}

#[tokio::test]
async fn each_number_has_its_own_throughput() {
    let bench =
        Bench::new(Config { throughput: Windows::per(1, Duration::from_secs(1)), ..unlimited() }).await;
    for (phone, expected) in [("100200300400500", 200), ("100200300400500", 429), ("100200300400600", 200)] {
        assert_eq!(bench.send_as(phone, "token", &text("+34600111222")).await.0, expected);
    }
}

#[tokio::test]
async fn one_person_gets_a_message_every_six_seconds() {
    let pair = PairLimit { every: Duration::from_secs(6), burst: 2 };
    let bench = Bench::new(Config { pair, ..unlimited() }).await;
    for (wait, expected) in [(0, 200), (0, 200), (0, 400), (11, 400), (1, 200)] {
        bench.clock.advance(Duration::from_secs(wait));
        let (status, answer) = bench.send(&text("+34600111222")).await;
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(bench.send(&text("+34600111333")).await.0, 200);
    assert_eq!(bench.sim.stats().over_pair_limit, 2);
}
