//! At the provider's door (trials 9, 14, 15): it takes a message and says nothing, it is down, it does not let us in,
//! it asks to slow down.

use palomar_sim::cloud_api::{Fault, FaultKind};
use serde_json::json;

use crate::harness::{Server, quick, simulator, until};

#[tokio::test(flavor = "multi_thread")]
async fn taken_and_then_silence_is_uncertain_until_the_status_comes_by_its_tag() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server
        .channel("line", &sim, json!({ "profile": "unlimited", "breakerFailures": 0, "deadlineSeconds": 2 }))
        .await;
    let faults =
        [FaultKind::ResetAfterAccept, FaultKind::Truncated200, FaultKind::Http502Html, FaultKind::Hang];
    sim.set_faults(faults.map(|kind| Fault::at_rate(kind, 0.05)).to_vec()).expect("faults");
    let messages = 400;
    let rows: Vec<_> = (0..messages)
        .map(|n| json!({ "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
    until("all are read", || async {
        let read = server.count("line", "read").await;
        if read == messages {
            Ok(())
        } else {
            Err(format!("{read} are read; {}", server.queue("line").await))
        }
    })
    .await;
    assert_eq!(sim.accepted(), messages, "none is lost");
    assert!(sim.duplicates().is_empty(), "none is sent twice: {:?}", sim.duplicates());
    let silent = sim.ledger(0, messages).iter().filter(|entry| entry.fault.is_some()).count();
    assert!(silent > 20, "only {silent} faults struck");
    let queue = server.queue("line").await;
    assert_eq!((&queue["uncertain"], &queue["duplicateSends"]), (&json!(0), &json!(0)), "{queue}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_opens_the_breaker_after_ten_and_gets_one_probe_at_a_time() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    let limits = json!({ "profile": "unlimited", "concurrency": 1, "breakerSeconds": 2 });
    server.channel("line", &sim, limits).await;
    sim.set_faults(vec![Fault::always(FaultKind::Down)]).expect("faults");
    let ids = futures_util::future::join_all((0..30).map(|n| {
        let server = &server;
        async move { server.send("line", &format!("+34600{n:06}"), "Hola").await }
    }))
    .await;
    let queue = until("the breaker opens", || async {
        let queue = server.queue("line").await;
        if queue["breaker"] == "open" { Ok(queue) } else { Err(queue.to_string()) }
    })
    .await;
    let refused = |stats: &palomar_sim::cloud_api::Stats| {
        stats.answers.iter().filter(|(code, _)| code.starts_with("503")).map(|(_, n)| *n).sum::<u64>()
    };
    assert_eq!(refused(&sim.stats()), 10, "ten in a row, then none: {:?}; {queue}", sim.stats().answers);
    let explained = server.get(&format!("/api/messages/{}/explain", ids[29])).await;
    let holds = explained["holds"].as_array().expect("holds");
    assert!(holds.iter().any(|hold| hold["kind"] == "breaker"), "{explained}");
    until("a probe goes", || async {
        let calls = refused(&sim.stats());
        if calls > 10 { Ok(()) } else { Err(format!("{calls} calls")) }
    })
    .await;
    assert_eq!(refused(&sim.stats()), 11, "one probe");
    sim.set_faults(Vec::new()).expect("no faults");
    for id in &ids {
        server.until_status(id, "read").await;
    }
    let queue = server.queue("line").await;
    assert_eq!(queue["breaker"], "closed", "{queue}");
    assert_eq!(sim.accepted(), 30);
    assert!(sim.duplicates().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_pauses_the_channel_and_burns_nothing() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited", "concurrency": 4 })).await;
    sim.set_faults(vec![Fault::always(FaultKind::Auth)]).expect("faults");
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(server.send("line", &format!("+34600{n:06}"), "Hola").await);
    }
    let queue = until("the channel is paused", || async {
        let queue = server.queue("line").await;
        if queue["paused"].is_string() { Ok(queue) } else { Err(queue.to_string()) }
    })
    .await;
    assert!(
        queue["paused"].as_str().is_some_and(|reason| reason.contains("190")),
        "the reason tells the code: {queue}"
    );
    let refused: u64 =
        sim.stats().answers.iter().filter(|(code, _)| code.contains("190")).map(|(_, n)| *n).sum();
    assert!(refused <= 4, "at most as many as are in flight at once: {refused}");
    assert_eq!(queue["dead"], 0);
    sim.set_faults(Vec::new()).expect("no faults");
    let (status, answer) = server.post("/api/channels/line/resume", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    for id in &ids {
        server.until_status(id, "read").await;
    }
    assert_eq!(sim.accepted(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_down_and_costs_no_attempt() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server
        .channel("line", &sim, json!({ "windows": [{ "max": 50, "perSeconds": 1 }], "concurrency": 1 }))
        .await;
    sim.set_faults(vec![Fault { retry_after: Some(1), ..Fault::times(FaultKind::Throttle, 5) }])
        .expect("faults");
    let id = server.send("line", "+34600111222", "Hola").await;
    let message = server.until_status(&id, "read").await;
    let queue = server.queue("line").await;
    assert!(queue["ratePermille"].as_u64().is_some_and(|rate| rate < 1000), "slowed down: {queue}");
    assert_eq!(queue["dead"], 0, "five refusals cost no attempt: {message}");
    assert_eq!(sim.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_is_a_dead_letter_at_once_and_holds_nobody() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    // The simulator refuses numbers with this ending: 131021, sender and recipient are the same.
    let refused = server.send("line", "+34609131021", "Hola").await;
    let good = server.send("line", "+34600111222", "Hola").await;
    let message = server.until_status(&refused, "failed").await;
    assert!(message.to_string().contains("131021"), "the provider's code is told: {message}");
    server.until_status(&good, "read").await;
    let dead = server.get("/api/dead-letters?channel=line").await;
    assert_eq!(dead["items"].as_array().map(Vec::len), Some(1), "{dead}");
    let calls: u64 =
        sim.stats().answers.iter().filter(|(code, _)| code.contains("131021")).map(|(_, n)| *n).sum();
    assert_eq!(calls, 1, "a permanent error is not tried again");
}
