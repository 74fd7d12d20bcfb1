//! What is ordered or found out on one node holds on all: pauses (trial 19) and the breaker (trial 15).

use std::time::Duration;

use palomar_model::{Clock as _, Timestamp};
use palomar_sim::cloud_api::{Fault, FaultKind};
use serde_json::json;

use crate::callers::Callers;
use crate::harness::{Dice, SystemClock, quick, seed, size, until};
use crate::installation::{Installation, redis};
use crate::server::Server as Redis;

/// How many of these times lie behind one and before another.
fn between(times: &[Timestamp], after: Timestamp, before: Timestamp) -> usize {
    times.iter().filter(|time| **time > after && **time < before).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_has_answered_on_one_node_none_starts_an_attempt() {
    let (pauses, messages) = (size("PAUSES", 10), size("MESSAGES", 1_500));
    let mut dice = Dice(seed());
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let all = Installation::start(3, redis(&[server.url()])).await;
    let limits = json!({ "windows": [{ "max": size("RATE", 200), "perSeconds": 1 }], "concurrency": 64 });
    let line = all.line("line", quick(), limits).await;
    let calls = Callers::start(&all.nodes, &["line"], 6, messages);
    let mut held = Vec::new();
    for pause in 0..pauses {
        let before = line.sim.accepted();
        until("it goes on", || async {
            let now = line.sim.accepted();
            if now > before || now == messages { Ok(()) } else { Err(format!("{now} were taken")) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
        let (status, answer) =
            all.nodes[pause % 3].post("/api/queue-monitor/pause?queue=line", json!({})).await;
        let answered = SystemClock.now();
        assert_eq!(status, 200, "{answer}");
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        held.push((answered, SystemClock.now()));
        let (status, answer) =
            all.nodes[(pause + 1) % 3].post("/api/queue-monitor/resume?queue=line", json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let accepted = calls.end().await;
    all.ends(&accepted, std::slice::from_ref(&line)).await;
    let starts = all.times("started", None).await;
    assert_eq!(starts.len(), messages, "one start each");
    for (answered, resumed) in held {
        assert_eq!(between(&starts, answered, resumed), 0, "starts between {answered} and {resumed}");
    }
    eprintln!("{pauses} pauses on 3 nodes, {messages} messages: no start after an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_provider_is_down_all_nodes_together_try_one_message_a_time() {
    let (openings, messages) = (size("OPENINGS", 5), 300);
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let all = Installation::start(3, redis(&[server.url()])).await;
    let limits = json!({ "profile": "unlimited", "breakerFailures": 5, "breakerSeconds": 1 });
    let line = all.line("line", quick(), limits).await;
    line.sim.set_faults(vec![Fault::always(FaultKind::Error131000)]).expect("faults");
    let calls = Callers::start(&all.nodes, &["line"], 6, messages);
    let opened = until("the breaker has opened often", || async {
        let opened = all.times("breaker_opened", None).await;
        if opened.len() > openings { Ok(opened) } else { Err(format!("it opened {} times", opened.len())) }
    })
    .await;
    let starts = all.times("started", None).await;
    for (n, pair) in opened.windows(2).enumerate() {
        let probes = between(&starts, pair[0], pair[1]);
        assert!(probes <= 1, "{probes} attempts between opening {n} and the next");
        assert!(pair[1].since(pair[0]) >= Duration::from_secs(1), "it stays open for as long as it says");
    }
    line.sim.set_faults(Vec::new()).expect("faults");
    let accepted = calls.end().await;
    until("what could still be sent is read", || async {
        let statuses = all.statuses().await;
        let over: i64 = ["read", "failed"].iter().filter_map(|status| statuses.get(*status)).sum();
        if over as usize == accepted.len() { Ok(()) } else { Err(format!("{statuses:?}")) }
    })
    .await;
    assert!(line.sim.duplicates().is_empty(), "sent twice: {:?}", line.sim.duplicates());
    all.records_add_up().await;
    eprintln!("{} openings on 3 nodes: at most one attempt in each", opened.len());
}
