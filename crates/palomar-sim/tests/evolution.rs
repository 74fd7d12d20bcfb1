//! The simulated Evolution over real HTTP: what it refuses, takes, tells, and how it fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Receiver, client, until};
use palomar_model::{ManualClock, Timestamp};
use palomar_sim::evolution::{self, Config, Fault, FaultKind, Inbound, InstanceState, RunningSim};
use serde_json::{Value, json};

struct Bench {
    sim: RunningSim,
    http: reqwest::Client,
}

impl Bench {
    async fn new(config: Config) -> Bench {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(common::START)));
        Bench { sim: evolution::start(config, clock).await.unwrap(), http: client() }
    }

    async fn call(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sim.url());
        let request = self.http.request(method.parse().unwrap(), url).header("apikey", key).json(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn send(&self, op: &str, body: &Value) -> (u16, Value) {
        self.call("POST", &format!("/message/{op}/main-line"), "key", body).await
    }

    async fn text(&self, to: &str) -> (u16, Value) {
        self.send("sendText", &json!({"number": to, "text": "Hola"})).await
    }
}

fn words(answer: &Value) -> String {
    answer["response"]["message"].to_string()
}

#[tokio::test]
async fn guards_come_in_evolutions_order() {
    let config =
        Config { api_key: Some("key".into()), instances: vec!["main-line".into()], ..Config::default() };
    let bench = Bench::new(config).await;
    let body = json!({"number": "34600111222", "text": "Hola"});
    for (path, key, status) in [
        ("/message/sendText/another", "wrong", 404),
        ("/message/sendText/main-line", "wrong", 401),
        ("/message/sendText/main-line", "", 401),
        ("/message/sendTextt/main-line", "key", 404),
        ("/message/sendText/main-line", "key", 201),
    ] {
        assert_eq!(bench.call("POST", path, key, &body).await.0, status, "{path} {key}");
    }
    let (status, taken) =
        bench.call("POST", "/instance/create", "wrong", &json!({"instanceName": "main-line"})).await;
    assert_eq!((status, words(&taken).contains("already in use")), (403, true), "{taken}");
    assert_eq!(bench.sim.accepted(), 1);
}

#[tokio::test]
async fn every_golden_request_is_taken_and_broken_ones_are_not() {
    let bench = Bench::new(Config::default()).await;
    for (file, op) in [
        ("send_text", "sendText"),
        ("send_text_quoted", "sendText"),
        ("send_media_image_url", "sendMedia"),
        ("send_media_document_base64", "sendMedia"),
        ("send_whatsapp_audio", "sendWhatsAppAudio"),
        ("send_sticker", "sendSticker"),
        ("send_location", "sendLocation"),
        ("send_contact", "sendContact"),
        ("send_reaction", "sendReaction"),
        ("send_poll", "sendPoll"),
        ("send_list", "sendList"),
        ("send_buttons", "sendButtons"),
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/evolution/send");
        let mut body: Value =
            serde_json::from_slice(&std::fs::read(format!("{folder}/{file}.json")).unwrap()).unwrap();
        if let Some(delay) = body.get_mut("delay") {
            *delay = json!(1);
        }
        let (status, answer) = bench.send(op, &body).await;
        assert_eq!(status, 201, "{file}: {answer}");
        assert_eq!(answer["key"]["remoteJid"], "34600111222@s.whatsapp.net", "{file}");
        assert!(answer["key"]["id"].as_str().is_some_and(|id| id.starts_with("BAE5")), "{file}: {answer}");
    }
    assert_eq!(bench.sim.accepted(), 12);
    for (op, body, said) in [
        ("sendText", json!({}), r#"[["requires property \"number\"","requires property \"text\""]]"#),
        (
            "sendMedia",
            json!({"number": "1", "mediatype": "image", "media": "ftp://x"}),
            "Owned media must be a url or base64",
        ),
        (
            "sendMedia",
            json!({"number": "1", "mediatype": "document", "media": "JVBERi0="}),
            "the file name must be informed",
        ),
        (
            "sendReaction",
            json!({"key": {"remoteJid": "1@s.whatsapp.net", "id": "x"}, "reaction": "ok"}),
            "single emoji",
        ),
        (
            "sendButtons",
            json!({"number": "1", "buttons": [{"type": "reply"}, {"type": "url"}]}),
            "cannot be mixed",
        ),
        (
            "sendButtons",
            json!({"number": "1", "buttons": [{"type": "reply"}, {"type": "reply"}, {"type": "reply"}, {"type": "reply"}]}),
            "Maximum of 3",
        ),
        (
            "sendLocation",
            json!({"number": "1", "latitude": "1", "longitude": 2, "name": "n", "address": "a"}),
            "number",
        ),
    ] {
        let (status, answer) = bench.send(op, &body).await;
        assert_eq!((status, words(&answer).contains(said)), (400, true), "{op}: {answer}");
    }
    assert_eq!(bench.sim.accepted(), 12);
}

#[tokio::test]
async fn magic_numbers() {
    let bench = Bench::new(Config::default()).await;
    for (to, status, said, accepted) in [
        ("34609000001", 400, r#""exists":false"#, false),
        ("34609000002", 400, "Connection Closed", false),
        ("34609000003", 400, "Timed Out", true),
        ("34609000004", 400, "Timed Out", false),
        ("34609000005", 400, "TypeError", false),
        ("34609000006", 500, "Internal", false),
        ("34609000007", 400, "Owned media", false),
        ("34609000008", 401, "Unauthorized", false),
        ("34609000009", 404, "does not exist", false),
        ("34607000005", 201, "", true),
    ] {
        let before = bench.sim.accepted();
        let (got, answer) = bench.text(to).await;
        assert_eq!((got, words(&answer).contains(said) || said.is_empty()), (status, true), "{to}: {answer}");
        assert_eq!(bench.sim.accepted() > before, accepted, "{to}");
    }
    let asked = json!({"numbers": ["34600111222", "34609000001"]});
    let (_, known) = bench.call("POST", "/chat/whatsappNumbers/main-line", "key", &asked).await;
    assert_eq!((&known[0]["exists"], &known[1]["exists"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn events_follow_a_message_and_a_person_writes() {
    let receiver = Receiver::default();
    let headers =
        vec![("x-palomar-secret".to_owned(), "s1".to_owned()), ("jwt_key".to_owned(), "k1".to_owned())];
    let bench = Bench::new(Config {
        webhook_url: Some(receiver.start().await),
        webhook_headers: headers,
        ..Config::default()
    })
    .await;
    let (_, sent) = bench.text("34600111222").await;
    until("all statuses", || receiver.posts.lock().unwrap().len() == 4).await;
    let id = bench
        .sim
        .inbound(Inbound {
            text: Some("Hola".into()),
            lid: Some("123456789012345".into()),
            ..Inbound::default()
        })
        .unwrap();
    until("the message", || receiver.posts.lock().unwrap().len() == 5).await;
    let posts = receiver.posts.lock().unwrap().clone();
    let events: Vec<Value> = posts.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect();
    let statuses: Vec<_> = events.iter().filter_map(|event| event["data"]["status"].as_str()).collect();
    assert_eq!(statuses, ["PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "DELIVERY_ACK"]);
    assert!(events[1..4].iter().all(|event| event["data"]["keyId"] == sent["key"]["id"]), "{events:?}");
    let written = &events[4]["data"];
    assert_eq!(
        (written["key"]["id"].as_str(), &written["key"]["remoteJid"]),
        (id.as_deref(), &json!("123456789012345@lid"))
    );
    assert_eq!(written["key"]["remoteJidAlt"], "34600111222@s.whatsapp.net");
    for (headers, _) in &posts {
        assert_eq!(headers["x-palomar-secret"], "s1");
        assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer ey"));
        assert!(!headers.contains_key("jwt_key"));
    }
}

#[tokio::test]
async fn statuses_can_be_lost_repeated_and_shuffled() {
    let receiver = Receiver::default();
    let bench = Bench::new(Config { webhook_url: Some(receiver.start().await), ..Config::default() }).await;
    let (status, answer) = bench
        .call("POST", "/_sim/faults", "", &json!({"statuses": {"repeat": 1.0, "shuffle": true, "sent": "1ms", "delivered": "1ms", "read": "1ms"}}))
        .await;
    assert_eq!(status, 200, "{answer}");
    bench.text("34600111222").await;
    until("each twice", || receiver.posts.lock().unwrap().len() == 7).await;
    bench.call("POST", "/_sim/faults", "", &json!({"statuses": {"loss": 1.0}})).await;
    bench.text("34600111223").await;
    until("the echo alone", || receiver.posts.lock().unwrap().len() == 8).await;
}

#[tokio::test]
async fn a_refused_webhook_is_not_repeated_and_a_failed_one_is() {
    let receiver = Receiver::default();
    receiver.refuse.store(2, std::sync::atomic::Ordering::SeqCst);
    let url = receiver.start().await;
    let bench = Bench::new(Config { webhook_url: Some(url.clone()), ..Config::default() }).await;
    bench.sim.inbound(Inbound { text: Some("Hola".into()), ..Inbound::default() }).unwrap();
    until("the third try", || bench.sim.stats().webhooks.ok == 1).await;
    bench.sim.set_webhook_url(Some(&url.replace("/webhooks/main", "/nowhere")));
    bench.sim.inbound(Inbound { text: Some("Hola".into()), ..Inbound::default() }).unwrap();
    until("it is given up", || bench.sim.stats().webhooks.abandoned == 1).await;
    assert_eq!(bench.sim.stats().webhooks.posts, 4);
}

#[tokio::test]
async fn an_instance_is_made_connected_and_logged_out() {
    let receiver = Receiver::default();
    let config = Config { instances: vec!["main-line".into()], ..Config::default() };
    let bench = Bench::new(config).await;
    let webhook =
        json!({"enabled": true, "url": receiver.start().await, "headers": {"X-Engine-Token": "t0k3n"}});
    let wanted = json!({"instanceName": "second", "qrcode": true, "webhook": webhook});
    let (status, made) = bench.call("POST", "/instance/create", "key", &wanted).await;
    assert_eq!((status, made["qrcode"]["code"].is_string()), (201, true), "{made}");
    let state = || async {
        let (_, answer) = bench.call("GET", "/instance/connectionState/second", "key", &Value::Null).await;
        answer["instance"]["state"].as_str().map(str::to_owned)
    };
    assert_eq!(state().await.as_deref(), Some("connecting"));
    let body = json!({"number": "34600111222", "text": "Hola"});
    let (status, refused) = bench.call("POST", "/message/sendText/second", "key", &body).await;
    assert_eq!((status, words(&refused).contains("Connection Closed")), (400, true));
    bench.sim.set_instance("second", InstanceState::Open, 200);
    assert_eq!(state().await.as_deref(), Some("open"));
    assert_eq!(bench.call("POST", "/message/sendText/second", "key", &body).await.0, 201);
    assert_eq!(bench.call("DELETE", "/instance/logout/second", "key", &Value::Null).await.0, 200);
    until("its events", || {
        let posts = receiver.posts.lock().unwrap();
        let closed = |(headers, body): &(axum::http::HeaderMap, axum::body::Bytes)| {
            assert_eq!(headers["x-engine-token"], "t0k3n");
            let event: Value = serde_json::from_slice(body).unwrap();
            event["event"] == "connection.update" && event["data"]["statusReason"] == 401
        };
        posts.iter().any(closed)
    })
    .await;
}

#[tokio::test]
async fn faults_strike_and_what_was_taken_can_be_found() {
    let bench = Bench::new(Config::default()).await;
    for (kind, status, accepted) in [
        (FaultKind::TimedOut, 400, true),
        (FaultKind::Http502Html, 502, true),
        (FaultKind::ConnectionClosed, 400, false),
        (FaultKind::Internal, 500, false),
        (FaultKind::Down, 500, false),
        (FaultKind::Auth, 401, false),
        (FaultKind::Throttle, 429, false),
    ] {
        let before = bench.sim.accepted();
        bench.sim.set_faults(vec![Fault::times(kind, 1)]).unwrap();
        assert_eq!(bench.text("34600111222").await.0, status, "{kind}");
        assert_eq!(bench.sim.accepted() > before, accepted, "{kind}");
    }
    for kind in [FaultKind::ResetAfterAccept, FaultKind::Truncated201, FaultKind::Hang] {
        let before = bench.sim.accepted();
        bench.sim.set_faults(vec![Fault::times(kind, 1)]).unwrap();
        let url = format!("{}/message/sendText/main-line", bench.sim.url());
        let body = json!({"number": "34600111222", "text": "Hola"});
        let request =
            bench.http.post(url).header("apikey", "key").json(&body).timeout(Duration::from_secs(2));
        let broken = match request.send().await {
            Ok(response) => response.bytes().await.is_err(),
            Err(_) => true,
        };
        assert!(broken && bench.sim.accepted() == before + 1, "{kind}");
    }
    assert_eq!(bench.sim.duplicates().len(), 1, "the same words to the same person, five times");
    let query =
        json!({"where": {"key": {"remoteJid": "34600111222@s.whatsapp.net"}}, "page": 1, "offset": 3});
    let (_, found) = bench.call("POST", "/chat/findMessages/main-line", "key", &query).await;
    assert_eq!(
        (found["messages"]["total"].as_u64(), found["messages"]["records"].as_array().map(Vec::len)),
        (Some(5), Some(3))
    );
}
