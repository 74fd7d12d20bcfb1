//! Trial 32: PostgreSQL ends without warning while what happened is written, again and again.

use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::json;

use crate::callers::Callers;
use crate::harness::{Dice, instant, quick, seed, size, until};
use crate::installation::{Installation, redis};
use crate::postgres::Postgres;
use crate::server::Server as Redis;

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_a_recount_after_every_kill_of_postgresql() {
    let (kills, messages) = (size("KILLS", 20), size("MESSAGES", 1_000));
    let mut dice = Dice(seed());
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let postgres = Postgres::start();
    let all = Installation::at(2, postgres.database().await, redis(&[server.url()])).await;
    let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
    let config = Config { latency: "2ms..20ms".parse().expect("a latency"), statuses, ..quick() };
    // The rate makes the run last longer than the kills.
    let limits = json!({ "windows": [{ "max": size("RATE", 50), "perSeconds": 1 }], "concurrency": 32 });
    let line = all.line("line", config, limits).await;
    all.reports_to(&line, 1);
    let calls = Callers::start(&all.nodes, &["line"], 4, messages);
    // More attempts are in the journal than before; or all messages are sent, and no more are to come.
    let goes_on = async |before: usize| {
        let now = all.times("started", None).await.len();
        let done = line.sim.accepted() == messages;
        if now > before || done { Ok(()) } else { Err(now.to_string()) }
    };
    let mut longest = Duration::ZERO;
    for _ in 0..kills {
        let before = all.times("started", None).await.len();
        until("facts are written", || goes_on(before)).await;
        tokio::time::sleep(Duration::from_millis(dice.below(100))).await;
        postgres.command("immediate");
        postgres.command("start");
        let back = instant();
        all.records_add_up().await;
        let before = all.times("started", None).await.len();
        until("what happened is written again", || goes_on(before)).await;
        longest = longest.max(back.elapsed());
    }
    let accepted = calls.end().await;
    all.ends(&accepted, std::slice::from_ref(&line)).await;
    eprintln!(
        "{kills} kills of PostgreSQL, {messages} messages: no drift; it was followed again within {longest:.1?}"
    );
}
