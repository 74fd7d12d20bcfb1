//! Trial 1: SIGKILL in full flow. What was accepted is sent once, or stands as uncertain and is resolved by its tag.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::json;
use tokio::sync::Mutex;

use crate::harness::{Dice, Server, quick, seed, simulator, until};

/// Kills and messages: more by the environment, for a longer run.
fn size(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

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
    let http = server.http.clone();
    let key = std::fs::read_to_string(server.dir.join("admin.key")).expect("a key").trim().to_owned();
    let url = format!("http://{}/api/messages", server.address);

    // Four callers submit; each repeats a request, with its key, until it is answered.
    let accepted: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (http, key, url) = (http.clone(), key.clone(), url.clone());
            let accepted = Arc::clone(&accepted);
            tokio::spawn(async move {
                for n in (caller..messages).step_by(4) {
                    let body = json!({
                        "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": format!("Hola {n}") },
                    });
                    let id = loop {
                        let request = http.post(&url).bearer_auth(&key).header("Idempotency-Key", format!("row-{n}")).json(&body);
                        match request.send().await {
                            Ok(answer) if answer.status() == 202 => {
                                if let Ok(body) = answer.json::<serde_json::Value>().await {
                                    break body["id"].as_str().expect("an id").to_owned();
                                }
                            }
                            Ok(answer) if answer.status().is_client_error() && answer.status() != 409 => {
                                panic!("{n}: {}", answer.text().await.unwrap_or_default())
                            }
                            // It is being killed, or starts: the same request again.
                            _ => tokio::time::sleep(Duration::from_millis(10)).await,
                        }
                    };
                    let before = accepted.lock().await.insert(id.clone(), n);
                    assert_eq!(before, None, "two requests were given the id {id}");
                }
            })
        })
        .collect();

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
    for caller in callers {
        caller.await.expect("all were accepted");
    }
    let accepted = accepted.lock().await;
    assert_eq!(accepted.len(), messages, "every request has a message of its own");

    // What was killed between its durable start and its first byte is uncertain for good: nobody but a person can
    // tell. The provider's ledger is that person here; the others resolve themselves by the tag in their statuses.
    let settled = until("all that waited is through", || async {
        let queue = server.queue("line").await;
        let left: u64 = ["waiting", "active", "leased", "scheduled"]
            .iter()
            .map(|state| queue[*state].as_u64().unwrap_or(0))
            .sum();
        let taken: HashSet<String> =
            sim.ledger(0, messages).iter().filter_map(|entry| entry.tag.clone()).collect();
        let open = server.ids("line", "uncertain").await;
        let unknown: Vec<String> =
            open.iter().filter(|id| !taken.iter().any(|tag| tag.contains(*id))).cloned().collect();
        if left == 0 && unknown.len() == open.len() {
            Ok(unknown)
        } else {
            Err(format!("{} uncertain; {queue}", open.len()))
        }
    })
    .await;
    for id in &settled {
        let (status, answer) =
            server.post(&format!("/api/messages/{id}/settle"), json!({ "outcome": "retry" })).await;
        assert_eq!(status, 200, "{answer}");
    }
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
