//! At the provider's door (trials 9, 14, 15): it takes a message and says nothing, it is down, it does not let us in,
//! it asks to slow down.

use std::time::Duration;

use palomar_model::Timestamp;
use palomar_sim::cloud_api::{Config, Fault, FaultKind, RunningSim, Template};
use serde_json::{Value, json};

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
    assert!(calls(&sim, "131016") >= 10, "not before ten: {:?}; {queue}", sim.stats().answers);
    let explained = server.get(&format!("/api/messages/{}/explain", ids[29])).await;
    let holds = explained["holds"].as_array().expect("holds");
    assert!(holds.iter().any(|hold| hold["kind"] == "breaker"), "{explained}");
    until("a probe goes", || async {
        let calls = calls(&sim, "131016");
        if calls > 10 { Ok(()) } else { Err(format!("{calls} calls")) }
    })
    .await;
    sim.set_faults(Vec::new()).expect("no faults");
    let mut starts = Vec::new();
    for id in &ids {
        starts.extend(times(&server.until_status(id, "read").await, "started"));
    }
    starts.sort_unstable();
    // Every start up to the first good one was a call that was refused: ten, and from there one in two seconds.
    let refused = usize::try_from(calls(&sim, "131016")).expect("a few");
    for pair in starts[9..=refused].windows(2) {
        assert!(pair[1].since(pair[0]) >= Duration::from_secs(2), "a probe too soon: {starts:?}");
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
    assert_eq!(queue["dead"], 0);
    sim.set_faults(Vec::new()).expect("no faults");
    let (status, answer) = server.post("/api/channels/line/resume", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    for id in &ids {
        server.until_status(id, "read").await;
    }
    assert_eq!(sim.accepted(), 20);
    let refused = calls(&sim, "190");
    assert!((1..=4).contains(&refused), "at most as many as are in flight at once: {refused}");
}

/// Three throttled attempts, two failed ones and one that is taken: with three attempts that count, only if throttling
/// costs none.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_waits_as_asked_slows_down_and_costs_no_attempt() {
    let asked = 2;
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server
        .channel("line", &sim, json!({ "windows": [{ "max": 50, "perSeconds": 1 }], "concurrency": 1 }))
        .await;
    let throttle = Fault { retry_after: Some(asked), ..Fault::times(FaultKind::Throttle, 3) };
    sim.set_faults(vec![throttle, Fault::times(FaultKind::Error131000, 2)]).expect("faults");
    let id = server.send("line", "+34600111222", "Hola").await;
    let message = server.until_status(&id, "read").await;
    assert_eq!((message["attempts"].as_u64(), sim.accepted()), (Some(6), 1), "{message}");
    assert_eq!((calls(&sim, "130429"), calls(&sim, "131000")), (3, 2));
    let queue = server.queue("line").await;
    assert!(queue["ratePermille"].as_u64().is_some_and(|rate| rate < 1000), "slowed down: {queue}");
    assert_eq!(queue["dead"], 0, "{message}");

    let times = |kind: &str| times(&message, kind);
    let (started, refused) = (times("started"), times("attempt_failed"));
    let mut late = Vec::new();
    for attempt in 0..3 {
        let due = refused[attempt].after(Duration::from_secs(asked));
        assert!(started[attempt + 1].since(started[attempt]) >= Duration::from_secs(asked), "{message}");
        late.push(started[attempt + 1].since(due));
    }
    // How late is up to the machine: one hiccup is allowed.
    late.sort_unstable();
    assert!(late[1] <= Duration::from_secs(1), "late by {late:?}: {message}");
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
    assert_eq!(calls(&sim, "131021"), 1, "a permanent error is not tried again");
}

/// Trial 14, a code or more for each class: final at once, or tried as often as the policy says.
#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_error_is_tried_as_often_as_it_may() {
    let known = Template { name: "known".into(), languages: vec!["es".into()], ..Template::default() };
    let sim = simulator(Config { templates: vec![known], ..quick() }).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited", "breakerFailures": 0 })).await;
    let template = json!({ "channel": "line", "to": "+34600111222", "type": "template",
        "content": { "name": "another", "language": "es" } });
    let (status, answer) = server.post("/api/messages", template).await;
    assert_eq!(status, 202, "{answer}");
    let mut rows = vec![(answer["id"].as_str().expect("an id").to_owned(), "132001", 1, "content")];
    for (code, attempts, class) in [
        ("131021", 1, "recipient"),
        ("131030", 1, "recipient"),
        ("131000", 3, "attempts_exhausted"),
        ("131016", 3, "attempts_exhausted"),
        ("131057", 3, "attempts_exhausted"),
    ] {
        // The simulator answers a number with this ending with the code.
        rows.push((server.send("line", &format!("+34609{code}"), "Hola").await, code, attempts, class));
    }
    // These come as the status of a message that was taken: there is nothing to try again.
    let mut reported = Vec::new();
    for code in ["131026", "131047", "131049", "131051", "999999"] {
        reported.push((server.send("line", &format!("+34609{code}"), "Hola").await, code));
    }
    for (id, code, attempts, class) in rows {
        let message = server.until_status(&id, "failed").await;
        assert_eq!(message["code"], code, "{message}");
        assert_eq!(message["attempts"], attempts, "{message}");
        assert!(message["reason"].as_str().is_some_and(|reason| reason.starts_with(class)), "{message}");
        assert_eq!(calls(&sim, code), attempts, "{code}: {:?}", sim.stats().answers);
    }
    for (id, code) in reported {
        let message = server.until_status(&id, "failed").await;
        assert_eq!((&message["code"], &message["attempts"]), (&json!(code), &json!(1)), "{message}");
        let entries = sim.ledger(0, 100);
        let of_it = entries.iter().filter(|entry| entry.tag.as_deref().is_some_and(|tag| tag.contains(&id)));
        assert_eq!(of_it.count(), 1, "{code}");
    }
}

/// Token, permission, account: the channel stops after at most as many calls as go at once, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_account_stops_the_channel() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    for (channel, code) in [("denied", "131005"), ("locked", "131031"), ("unregistered", "133010")] {
        server.channel(channel, &sim, json!({ "profile": "unlimited", "concurrency": 2 })).await;
        for n in 0..6 {
            server.send(channel, &format!("+346{n}9{code}"), "Hola").await;
        }
        until("it stops, and all wait", || async {
            let (queue, waiting) = (server.queue(channel).await, server.count(channel, "queued").await);
            let stopped = queue["paused"].as_str().is_some_and(|reason| reason.contains(code));
            if stopped && waiting == 6 { Ok(()) } else { Err(format!("{waiting} wait; {queue}")) }
        })
        .await;
        let made = calls(&sim, code);
        assert!((1..=2).contains(&made), "{code}: {made} calls with 2 at once");
    }
    assert_eq!(sim.accepted(), 0);
}

/// How many calls the provider refused with a code.
fn calls(sim: &RunningSim, code: &str) -> u64 {
    let answers = sim.stats().answers;
    answers.iter().filter(|(answer, _)| answer.ends_with(&format!("/{code}"))).map(|(_, n)| n).sum()
}

/// When something happened to a message, each time.
fn times(message: &Value, kind: &str) -> Vec<Timestamp> {
    let timeline = message["timeline"].as_array().expect("a timeline");
    let of_kind = timeline.iter().filter(|entry| entry["kind"] == kind);
    of_kind.map(|entry| entry["at"].as_str().expect("a time").parse().expect("a time")).collect()
}
