//! Limits as the provider sees them (trial 16 over real HTTP), order per recipient, urgency over bulk, and `explain`.

use palomar_model::Timestamp;
use palomar_sim::cloud_api::{Fault, FaultKind};
use serde_json::json;

use crate::harness::{Server, instant, quick, simulator, until};

/// Our own starts decide: when bytes arrive at a provider is not in our hands, and how much slack that takes is what
/// the margin is for. Real time, so no rate is asserted here: `machine` shows it on virtual time.
#[tokio::test(flavor = "multi_thread")]
async fn no_sliding_window_holds_more_starts_than_are_allowed() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    let limits = json!({ "windows": [{ "max": 20, "perSeconds": 1 }, { "max": 100, "perSeconds": 6 }] });
    server.channel("line", &sim, limits).await;
    let messages = 200;
    let rows: Vec<_> = (0..messages)
        .map(|n| json!({ "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
    until("all are taken", || async {
        if sim.accepted() == messages { Ok(()) } else { Err(format!("{} were taken", sim.accepted())) }
    })
    .await;
    let mut starts = Vec::new();
    for row in answer.as_array().expect("a row each") {
        let message = server.until_status(row["id"].as_str().expect("an id"), "read").await;
        let timeline = message["timeline"].as_array().expect("a timeline");
        let started = timeline.iter().filter(|entry| entry["kind"] == "started");
        starts.extend(
            started.map(|entry| entry["at"].as_str().expect("a time").parse::<Timestamp>().expect("a time")),
        );
    }
    starts.sort_unstable();
    assert_eq!(starts.len(), messages, "one start each");
    for (max, seconds) in [(20_usize, 1.0), (100, 6.0)] {
        for (from, span) in starts.windows(max + 1).enumerate() {
            let took = span[max].since(span[0]).as_secs_f64();
            assert!(took >= seconds, "{} starts within {took} s from {from}", max + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_one_recipient_keep_their_order_when_the_first_is_tried_again() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    sim.set_faults(vec![Fault::times(FaultKind::Error131000, 1)]).expect("faults");
    let first = server.send("line", "+34600111222", "first").await;
    let second = server.send("line", "+34600111222", "second").await;
    let explained = server.get(&format!("/api/messages/{second}/explain")).await;
    server.until_status(&second, "read").await;
    let sent: Vec<String> =
        sim.ledger(0, 10).iter().map(|entry| entry.tag.clone().unwrap_or_default()).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(
        sent[0].contains(&first) && sent[1].contains(&second),
        "{sent:?} for {first}, {second}; {explained}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_message_does_not_wait_behind_bulk_and_explain_keeps_its_word() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "windows": [{ "max": 50, "perSeconds": 1 }] })).await;
    let lines: String = (0..10_000)
        .map(|n| format!("{{\"channel\":\"line\",\"to\":\"+34600{n:06}\",\"type\":\"text\",\"content\":{{\"text\":\"Hola\"}},\"priority\":\"low\"}}\n"))
        .collect();
    let answer = server
        .http
        .post(format!("http://{}/api/messages/bulk", server.address))
        .bearer_auth(std::fs::read_to_string(server.dir.join("admin.key")).expect("a key").trim())
        .header("content-type", "application/x-ndjson")
        .body(lines)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("its lines");
    assert_eq!(answer.lines().filter(|line| line.contains("\"id\"")).count(), 10_000);

    // A low message at the very end: the limit and the time are told, here 200 s away.
    let last = server.get("/api/messages?channel=line&status=queued&limit=1").await["items"][0]["id"]
        .as_str()
        .expect("one")
        .to_owned();
    let explained = server.get(&format!("/api/messages/{last}/explain")).await;
    let holds = explained["holds"].as_array().expect("holds");
    assert!(holds.iter().any(|hold| hold["kind"] == "window"), "{explained}");
    assert!(holds.iter().any(|hold| hold["kind"] == "turn"), "{explained}");
    let expected: Timestamp = explained["expectedAt"].as_str().expect("a time").parse().expect("a time");
    let now: Timestamp = palomar_model::Clock::now(&crate::harness::SystemClock);
    let ahead = explained["ahead"].as_f64().expect("a number");
    let seconds = expected.since(now).as_secs_f64();
    assert!((seconds - ahead / 49.25).abs() < 5.0, "{ahead} ahead at 50/s in {seconds} s: {explained}");

    let begun = instant();
    let body = json!({ "channel": "line", "to": "+34699999000", "type": "text", "content": { "text": "now" }, "priority": "critical" });
    let (status, answer) = server.post("/api/messages", body).await;
    assert_eq!(status, 202, "{answer}");
    let id = answer["id"].as_str().expect("an id").to_owned();
    let place = until("the critical message is taken", || async {
        let entries = sim.ledger(0, 10_000);
        let found =
            entries.iter().position(|entry| entry.tag.as_deref().is_some_and(|tag| tag.contains(&id)));
        found.ok_or_else(|| format!("{} others were taken", entries.len()))
    })
    .await;
    eprintln!("the critical message was number {place}, {:?} after it was sent", begun.elapsed());
    let before = sim.ledger(0, 10_000)[place].at;
    let accepted: Timestamp = server.get(&format!("/api/messages/{id}")).await["createdAt"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let between =
        sim.ledger(0, 10_000).iter().filter(|entry| entry.at > accepted && entry.at < before).count();
    assert!(between <= 100, "{between} others went between");
}
