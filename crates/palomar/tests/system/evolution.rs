//! A channel of Evolution against the simulated one: to `read` and back, every class of error, forged webhooks, a phone
//! that loses its connection.

use std::sync::Arc;

use palomar_sim::evolution::{self, BehaviourChange, Config, Inbound, InstanceState, RunningSim, Statuses};
use serde_json::{Value, json};

use crate::harness::{Server, SystemClock, until};

const SECRET: &str = "webhook-secret-1";

async fn simulator(config: Config) -> RunningSim {
    evolution::start(config, Arc::new(SystemClock)).await.expect("a simulator")
}

/// A channel on it, by the name of its instance.
async fn channel(server: &Server, name: &str, sim: &RunningSim) {
    let body = json!({
        "name": name,
        "provider": "evolution",
        "settings": { "baseUrl": sim.url() },
        "credentials": { "apiKey": "key-1", "webhookSecret": SECRET },
        "limits": { "profile": "unlimited", "breakerFailures": 0, "pair": { "intervalSeconds": 0.001, "burst": 1000 } },
    });
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
    sim.set_webhook_url(Some(&format!("http://{}/webhooks/{name}", server.address)));
}

async fn received(server: &Server, channel: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/messages?channel={channel}&status=received&limit=50")).await;
    page["items"].as_array().cloned().unwrap_or_default()
}

/// Statuses come twice and in any order, and so does what a person writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_messages_are_read_and_one_comes_back_once() {
    let token = vec![("jwt_key".to_owned(), SECRET.to_owned())];
    let sim = simulator(Config { webhook_headers: token, ..Config::default() }).await;
    let statuses = Statuses { repeat: 0.5, shuffle: true, ..Statuses::default() };
    sim.change(BehaviourChange { statuses: Some(statuses), ..BehaviourChange::default() }).expect("statuses");
    let server = Server::start().await;
    channel(&server, "main-line", &sim).await;
    let rows: Vec<_> = (0..100)
        .map(|n| json!({ "channel": "main-line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
    until("all are read", || async {
        let read = server.count("main-line", "read").await;
        if read == 100 {
            Ok(())
        } else {
            Err(format!("{read} are read; {}", server.queue("main-line").await))
        }
    })
    .await;
    assert_eq!(sim.accepted(), 100);
    assert!(sim.duplicates().is_empty(), "{:?}", sim.duplicates());

    for _ in 0..3 {
        let written =
            Inbound { text: Some("¿Sigue libre?".into()), id: Some("3EB0A1".into()), ..Inbound::default() };
        sim.inbound(written).expect("posted");
    }
    sim.inbound(Inbound { text: Some("¿Hola?".into()), ..Inbound::default() }).expect("posted");
    let messages = until("both are there", || async {
        let messages = received(&server, "main-line").await;
        if messages.len() == 2 { Ok(messages) } else { Err(json!(messages).to_string()) }
    })
    .await;
    until("all webhooks are taken", || async {
        let webhooks = sim.stats().webhooks;
        if webhooks.waiting + webhooks.in_flight == 0 { Ok(()) } else { Err(format!("{webhooks:?}")) }
    })
    .await;
    assert_eq!(received(&server, "main-line").await.len(), 2, "{messages:?}");
    assert!(json!(messages).to_string().contains("¿Sigue libre?"), "{messages:?}");
    let stats = sim.stats().webhooks;
    assert_eq!((stats.failed, stats.abandoned), (0, 0), "{stats:?}");
}

/// Trial 14: final at once, tried as often as the policy says, or not tried again because nobody knows. What is not known
/// is asked for; where there is nothing to find, it stays uncertain.
#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_error_has_its_outcome() {
    let sim = simulator(Config::default()).await;
    let server = Server::start().await;
    channel(&server, "line", &sim).await;
    // The simulator answers numbers with these endings in this way.
    let mut rows = Vec::new();
    for (ending, status, code, attempts, taken) in [
        ("9000001", "failed", "not_on_whatsapp", 1, false),
        ("9000002", "failed", "connection_closed", 3, false),
        // Taken in silence: its reports name no tag, but Evolution has it when it is asked.
        ("9000003", "read", "", 1, true),
        ("9000004", "uncertain", "timed_out", 1, false),
        ("9000005", "failed", "internal", 3, false),
        ("9000006", "failed", "internal", 3, false),
        ("9000007", "failed", "media", 1, false),
        ("7000005", "read", "", 1, true),
        ("8000001", "failed", "", 1, true),
        ("7000003", "read", "", 1, true),
    ] {
        let id = server.send("line", &format!("+3460{ending}"), "Hola").await;
        rows.push((ending, id, status, code, attempts, taken));
    }
    for (ending, id, status, code, attempts, taken) in rows {
        let message = server.until_status(&id, status).await;
        assert_eq!(message["attempts"], attempts, "{ending}: {message}");
        assert!(message.to_string().contains(code), "{ending}: {message}");
        let entries = sim.ledger(0, 100);
        let of_it = entries.iter().filter(|entry| entry.recipient.contains(ending)).count();
        assert_eq!(of_it, usize::from(taken), "{ending}");
    }
    for (name, ending, reason) in [("denied", "9000008", "unauthorized"), ("gone", "9000009", "no_instance")]
    {
        channel(&server, name, &sim).await;
        server.send(name, &format!("+3460{ending}"), "Hola").await;
        until("it stops, and its message waits", || async {
            let (queue, waiting) = (server.queue(name).await, server.count(name, "queued").await);
            let stopped = queue["paused"].as_str().is_some_and(|paused| paused.contains(reason));
            if stopped && waiting == 1 { Ok(()) } else { Err(format!("{waiting} wait; {queue}")) }
        })
        .await;
    }
    let refused = json!({ "channel": "line", "to": "+34600111222", "type": "template", "content": { "name": "t", "language": "es" } });
    let (status, answer) = server.post("/api/messages", refused).await;
    assert_eq!((status, answer["errors"][0]["pointer"].as_str()), (422, Some("/type")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_webhooks_are_refused_and_leave_nothing() {
    let sim = simulator(Config::default()).await;
    let server = Server::start().await;
    channel(&server, "main-line", &sim).await;
    let body = |instance: &str| {
        json!({"event": "messages.upsert", "instance": instance, "data": {"key": {"id": "X", "fromMe": false,
            "remoteJid": "34600111222@s.whatsapp.net"}, "messageType": "conversation", "message": {"conversation": "Hola"},
            "messageTimestamp": 1_767_225_600}})
    };
    let url = format!("http://{}/webhooks/main-line", server.address);
    for (header, value, instance, status) in [
        ("x-palomar-secret", "wrong", "main-line", 401),
        ("x-palomar-secret", "", "main-line", 401),
        ("apikey", SECRET, "main-line", 401),
        ("authorization", "Bearer webhook-secret-1", "main-line", 401),
        ("x-palomar-secret", SECRET, "another", 403),
        ("x-palomar-secret", SECRET, "main-line", 200),
    ] {
        let answer = server
            .http
            .post(&url)
            .header(header, value)
            .json(&body(instance))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{header}: {value} for {instance}");
    }
    until("the good one is there", || async {
        let messages = received(&server, "main-line").await;
        if messages.len() == 1 { Ok(()) } else { Err(json!(messages).to_string()) }
    })
    .await;
    let failed = server.get("/api/failed-webhooks").await;
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(0), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_a_connection_is_waited_for() {
    let sim = simulator(Config { instances: vec!["main-line".into()], ..Config::default() }).await;
    let server = Server::start().await;
    channel(&server, "main-line", &sim).await;
    sim.set_instance("main-line", InstanceState::Connecting, 408);
    let id = server.send("main-line", "+34600111222", "Hola").await;
    until("it was looked at", || async {
        let stats = sim.stats();
        if stats.requests > 0 { Ok(()) } else { Err(format!("{stats:?}")) }
    })
    .await;
    assert_eq!(sim.accepted(), 0);
    sim.set_instance("main-line", InstanceState::Open, 200);
    server.until_status(&id, "read").await;
    assert_eq!(sim.accepted(), 1);
}
