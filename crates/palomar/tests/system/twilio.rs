//! A channel of Twilio in the running server: messages to `read`, people who write, silence resolved by the tag, forgeries.

use std::sync::Arc;
use std::time::Duration;

use palomar_channels::twilio::{form::Params, sign};
use palomar_model::Secret;
use palomar_sim::twilio::{Config, Fault, FaultKind, Inbound, RunningSim, SenderQueue, Statuses, TwilioSim};
use palomar_sim::{Latency, Windows};
use serde_json::{Value, json};

use crate::harness::{Dice, Server, SystemClock, seed, until};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const FORM: &str = "application/x-www-form-urlencoded";

/// One that limits nothing, and whose reports come in any order, some of them twice.
async fn simulator() -> RunningSim {
    let soon = Latency::fixed(Duration::from_millis(20));
    let statuses = Statuses {
        sent: soon,
        delivered: soon,
        read: soon,
        repeat: 0.2,
        shuffle: true,
        ..Statuses::default()
    };
    let config = Config { queue: SenderQueue::OFF, account: Windows::off(), statuses, ..Config::default() };
    TwilioSim::start(config, Arc::new(SystemClock)).await.expect("a simulator")
}

/// A channel on it, reached at the server's own address.
async fn channel(server: &Server, name: &str, sim: &RunningSim, settings: Value, limits: Value) {
    let mut whole = json!({"accountSid": ACCOUNT, "number": "whatsapp:+15550100200", "baseUrl": sim.url()});
    whole.as_object_mut().expect("an object").extend(settings.as_object().cloned().unwrap_or_default());
    let body = json!({"name": name, "provider": "twilio", "settings": whole,
        "credentials": {"authToken": TOKEN}, "limits": limits});
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
}

fn webhook(server: &Server, name: &str) -> String {
    format!("http://{}/webhooks/{name}", server.address)
}

async fn bulk(server: &Server, messages: usize) {
    let rows: Vec<_> = (0..messages)
        .map(|n| json!({"channel": "desk", "to": format!("+34600{n:06}"), "type": "text", "content": {"text": format!("Hola {n}")}}))
        .collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
}

async fn until_read(server: &Server, messages: usize) {
    until("all are read", || async {
        let read = server.count("desk", "read").await;
        if read == messages {
            Ok(())
        } else {
            Err(format!("{read} are read; {}", server.queue("desk").await))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_messages_are_read_and_what_a_person_writes_is_a_record() {
    let sim = simulator().await;
    let server = Server::start().await;
    let settings = json!({"webhookUrl": webhook(&server, "desk")});
    channel(&server, "desk", &sim, settings, json!({"profile": "unlimited"})).await;
    sim.set_webhook_url(Some(&webhook(&server, "desk")));
    bulk(&server, 100).await;
    until_read(&server, 100).await;
    assert_eq!(sim.accepted(), 100);
    assert!(sim.duplicates().is_empty(), "{:?}", sim.duplicates());
    let inbound = Inbound { text: Some("¿Sigue libre? 🏡".to_owned()), ..Inbound::default() };
    let sid = sim.inbound(inbound).expect("written").expect("an id");
    let record = until("it is a record", || async {
        let page = server.get("/api/messages?channel=desk&status=received").await;
        page["items"].get(0).cloned().ok_or_else(|| page.to_string())
    })
    .await;
    let whole = server.get(&format!("/api/messages/{}", record["id"].as_str().expect("an id"))).await;
    let shown = whole.to_string();
    assert!(shown.contains(&sid) && shown.contains("¿Sigue libre? 🏡"), "{shown}");
    let (status, refused) = server
        .post(
            "/api/messages",
            json!({"channel": "desk", "to": "+34600111222", "type": "poll",
            "content": {"question": "?", "options": ["a", "b"]}, "replyTo": "SM1"}),
        )
        .await;
    let pointers: Vec<_> =
        refused["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
    assert_eq!((status, pointers), (422, vec![&json!("/type"), &json!("/replyTo")]), "{refused}");
    let told = sim.stats().webhooks;
    assert_eq!((told.failed, told.abandoned), (0, 0), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_and_then_silence_is_resolved_by_the_tag_in_the_callback() {
    let sim = simulator().await;
    let server = Server::start().await;
    let settings = json!({"webhookUrl": webhook(&server, "desk")});
    let limits = json!({"profile": "unlimited", "breakerFailures": 0, "deadlineSeconds": 2});
    channel(&server, "desk", &sim, settings, limits).await;
    let kinds =
        [FaultKind::ResetAfterAccept, FaultKind::Truncated201, FaultKind::Http502Html, FaultKind::Hang];
    sim.set_faults(kinds.map(|kind| Fault::at_rate(kind, 0.05)).to_vec()).expect("faults");
    bulk(&server, 200).await;
    until_read(&server, 200).await;
    assert_eq!(sim.accepted(), 200, "none is lost");
    assert!(sim.duplicates().is_empty(), "none is sent twice: {:?}", sim.duplicates());
    let silent = sim.ledger(0, 200).iter().filter(|entry| entry.fault.is_some()).count();
    assert!(silent > 10, "only {silent} faults struck");
    let queue = server.queue("desk").await;
    assert_eq!((&queue["uncertain"], &queue["duplicateSends"]), (&json!(0), &json!(0)), "{queue}");
}

/// No callback reaches the server: what Twilio's list shows is all that there is to know.
#[tokio::test(flavor = "multi_thread")]
async fn taken_and_then_silence_is_resolved_by_asking() {
    let sim = simulator().await;
    let server = Server::start().await;
    let limits = json!({"profile": "unlimited", "breakerFailures": 0, "deadlineSeconds": 2});
    channel(&server, "desk", &sim, json!({}), limits).await;
    let earlier = server.send("desk", "+34600111222", "Hola").await;
    server.until_status(&earlier, "sent").await;

    // The same words to the same person, taken: the earlier message is known by its own id, so this must be the other.
    sim.set_faults(vec![Fault::times(FaultKind::ResetAfterAccept, 1)]).expect("a fault");
    let silent = server.send("desk", "+34600111222", "Hola").await;
    server.until_status(&silent, "uncertain").await;
    let message = server.until_status(&silent, "sent").await;
    let ids: Vec<_> = sim.ledger(0, 10).iter().map(|taken| taken.sid.clone()).collect();
    assert_eq!((ids.len(), &message["providerMessageId"]), (2, &json!(ids[1])), "{message}");
    let queue = server.queue("desk").await;
    assert_eq!((&queue["uncertain"], &queue["duplicateSends"]), (&json!(0), &json!(0)), "{queue}");
}

/// A webhook as somebody posts it; answers status, type and body of the answer.
async fn post(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Option<String>, String) {
    let mut request = server.http.post(format!("http://{}{path}", server.address)).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
    (answer.status().as_u16(), kind, answer.text().await.expect("a body"))
}

fn signature(token: &str, url: &str, body: &[u8]) -> String {
    sign::sign(&Secret::from(token), url, &Params::read(body).expect("a form"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_twilio_signed_comes_in_also_behind_a_proxy() {
    let sim = simulator().await;
    let server = Server::start().await;
    channel(&server, "desk", &sim, json!({}), json!({})).await;
    let path = "/webhooks/desk?tag=x";
    let body =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/twilio/inbound/text.form"));
    let body = body.expect("a form");
    let here = format!("http://{}{path}", server.address);
    let good = signature(TOKEN, &here, &body);
    // Twilio would send a text on to the person: the answer has none.
    let taken = post(&server, path, &[("content-type", FORM), ("x-twilio-signature", &good)], &body).await;
    assert_eq!((taken.0, taken.2.as_str()), (200, ""), "{taken:?}");
    assert!(taken.1.is_none_or(|kind| !kind.starts_with("text/plain")), "no plain text");
    let outside = format!("https://wa.example.test{path}");
    let proxied = signature(TOKEN, &outside, &body);
    let forwarded = [
        ("content-type", FORM),
        ("x-twilio-signature", proxied.as_str()),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "wa.example.test"),
    ];
    assert_eq!(post(&server, path, &forwarded, &body).await.0, 200);
    let mut dice = Dice(seed());
    for n in 0..300 {
        let mut body = body.clone();
        let (mut headers, mut path) = (vec![("content-type", FORM)], path);
        let wrong_token = signature("ffffffffffffffffffffffffffffffff", &here, &body);
        let (cut, two) = (dice.below(good.len() as u64) as usize, format!("{good}, {good}"));
        let lower = good.to_lowercase();
        match n % 8 {
            0 => {}
            1 => headers.push(("x-twilio-signature", &wrong_token)),
            2 => headers.push(("x-twilio-signature", &good[..cut])),
            3 => headers.push(("x-twilio-signature", &two)),
            4 => {
                path = "/webhooks/desk?tag=y";
                headers.push(("x-twilio-signature", &good));
            }
            5 => headers = vec![("content-type", "application/json"), ("x-twilio-signature", &good)],
            6 => headers.extend([("x-twilio-signature", good.as_str()), ("x-forwarded-proto", "https")]),
            _ => {
                headers.push(("x-twilio-signature", if lower == good { "" } else { &lower }));
                let at = dice.below(body.len() as u64) as usize;
                body.truncate(at);
            }
        }
        let answer = post(&server, path, &headers, &body).await;
        assert_eq!(answer.0, 401, "case {n}: {answer:?}");
    }
    until("the two deliveries are one message", || async {
        let received = server.count("desk", "received").await;
        if received == 1 { Ok(()) } else { Err(format!("{received} messages")) }
    })
    .await;
}
