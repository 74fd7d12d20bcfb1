//! Trial 1: SIGKILL in full flow. What was accepted is sent once, or stands as uncertain and is resolved by its tag.

use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::json;

use crate::callers::{Callers, never_taken, try_again};
use crate::harness::{Dice, Server, quick, seed, simulator, size, until};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_it_loses_nothing_and_sends_nothing_twice() {
    let (kills, messages) = (size("KILLS", 8), size("MESSAGES", 2_000));
    let mut dice = Dice(seed());
    let latency = "2ms..20ms".parse().expect("a latency");
    let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
    let sim = simulator(Config { latency, statuses, ..quick() }).await;
    let mut server = Server::start().await;
    // The rate makes the run last longer than the kills.
    let limits = json!({ "windows": [{ "max": 400, "perSeconds": 1 }], "concurrency": 32 });
    server.channel("line", &sim, limits).await;
    let callers = Callers::start(std::slice::from_ref(&server), &["line"], 4, messages);

    let mut uncertain = 0;
    for kill in 0..kills {
        let goal = (kill + 1) * messages / (kills + 2);
        until("it goes on", || async {
            if sim.accepted() >= goal {
                Ok(())
            } else {
                Err(format!("{} of {goal} were taken", sim.accepted()))
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        let before = server.queue("line").await["uncertain"].as_u64().expect("a number");
        server.kill();
        server.run().await;
        let after = server.queue("line").await["uncertain"].as_u64().expect("a number");
        assert!(
            after <= before + 32,
            "{after} are uncertain after a kill with 32 in flight, {before} were before"
        );
        uncertain += after.saturating_sub(before);
    }
    callers.end().await;
    let settled = never_taken(&server, "line", &sim).await;
    try_again(&server, &settled).await;
    until("every message is read", || async {
        let read = server.count("line", "read").await;
        if read == messages {
            return Ok(());
        }
        Err(format!("{read} are read; {}; {:?}", server.queue("line").await, sim.stats().webhooks))
    })
    .await;
    let duplicates = sim.duplicates();
    assert!(duplicates.is_empty(), "sent twice: {duplicates:?}");
    assert_eq!(sim.accepted(), messages, "each was taken once");
    assert_eq!(server.queue("line").await["dead"], 0);
    eprintln!(
        "{kills} kills, {messages} messages: 0 lost, 0 twice; {uncertain} were uncertain, {} of them never taken",
        settled.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_in_full_flow_leaves_nothing_uncertain() {
    let sim = simulator(Config { latency: "2ms..30ms".parse().expect("a latency"), ..quick() }).await;
    let mut server = Server::start().await;
    server
        .channel("line", &sim, json!({ "windows": [{ "max": 200, "perSeconds": 1 }], "concurrency": 16 }))
        .await;
    let messages = 600;
    let rows: Vec<_> = (0..messages)
        .map(|n| json!({ "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
    for stop in 1..=3 {
        until("it is under way", || async {
            let sent = sim.accepted();
            if sent >= stop * 100 { Ok(()) } else { Err(format!("{sent} were taken")) }
        })
        .await;
        let ended = server.terminate().await;
        assert!(ended.success(), "it ends by itself: {ended}");
        server.run().await;
        assert_eq!(server.queue("line").await["uncertain"], 0, "a graceful stop makes nothing uncertain");
    }
    until("all are read", || async {
        let read = server.count("line", "read").await;
        if read == messages { Ok(()) } else { Err(format!("{read} are read")) }
    })
    .await;
    assert_eq!(sim.accepted(), messages);
    assert!(sim.duplicates().is_empty());
}
