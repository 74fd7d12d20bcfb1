//! Webhooks: statuses and people who write, signed, repeated, lost and tried again.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Bench, PHONE, Receiver, tagged, text, unlimited, until};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use palomar_sim::Latency;
use palomar_sim::cloud_api::{Config, Statuses, Webhooks};
use serde_json::{Value, json};

fn fast() -> Statuses {
    let soon = Latency::fixed(Duration::from_millis(2));
    Statuses { sent: soon, delivered: soon, read: soon, ..Statuses::default() }
}

async fn bench(config: Config) -> (Bench, Receiver) {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    (Bench::new(Config { webhook_url: Some(url), ..config }).await, receiver)
}

fn names(statuses: &[Value]) -> Vec<&str> {
    statuses.iter().map(|status| status["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_message_is_sent_delivered_and_read() {
    let (bench, receiver) =
        bench(Config { statuses: Statuses { batch: 1, ..fast() }, webhooks: one_by_one(), ..unlimited() })
            .await;
    let (_, answer) = bench.send(&tagged("+5511987654321", "palomar:x:1")).await;
    until("three statuses", || receiver.statuses().len() == 3).await;
    let statuses = receiver.statuses();
    assert_eq!(names(&statuses), ["sent", "delivered", "read"]);
    for status in &statuses {
        assert_eq!(status["id"], answer["messages"][0]["id"]);
        assert_eq!(status["recipient_id"], "551187654321");
        assert_eq!(status["biz_opaque_callback_data"], "palomar:x:1");
        assert_eq!(status["timestamp"], "1767225600");
    }
    assert_eq!(statuses[0]["pricing"]["category"], "service");
    assert!(statuses[0]["conversation"].is_null() && statuses[2]["pricing"].is_null());
    let value = &receiver.values()[0];
    assert_eq!(
        value["metadata"],
        json!({"display_phone_number": "15550100200", "phone_number_id": "100200300400500"})
    );
}

fn one_by_one() -> Webhooks {
    Webhooks { concurrency: 1, retry_pause: Duration::from_millis(5), ..Webhooks::default() }
}

#[tokio::test]
async fn older_versions_tell_of_conversations() {
    let (bench, receiver) = bench(Config { statuses: fast(), webhooks: one_by_one(), ..unlimited() }).await;
    let template = json!({"messaging_product": "whatsapp", "to": "+34600111222", "type": "template",
        "template": {"name": "promo_enero", "language": {"code": "es"}}});
    let url = format!("{}/v21.0/{PHONE}/messages", bench.sim.url());
    bench.http.post(url).bearer_auth("t").json(&template).send().await.unwrap();
    until("three statuses", || receiver.statuses().len() == 3).await;
    let statuses = receiver.statuses();
    assert_eq!(statuses[0]["conversation"]["origin"]["type"], "marketing");
    assert_eq!(statuses[0]["conversation"]["expiration_timestamp"], "1767312000");
    assert!(statuses[1]["conversation"]["expiration_timestamp"].is_null());
    let pricing =
        json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"});
    assert_eq!((&statuses[0]["pricing"], &statuses[1]["pricing"]), (&pricing, &pricing));
}

#[tokio::test]
async fn a_reset_forgets_what_waits() {
    let late = Latency::fixed(Duration::from_secs(600));
    let (bench, receiver) =
        bench(Config { statuses: Statuses { sent: late, ..fast() }, ..unlimited() }).await;
    bench.send(&text("+34600111222")).await;
    assert_eq!(bench.sim.stats().webhooks.waiting, 3);
    bench.control("/_sim/reset", &json!({})).await;
    assert_eq!(bench.sim.stats().webhooks.waiting, 0);
    assert!(receiver.statuses().is_empty());
}

#[tokio::test]
async fn bodies_are_signed_as_they_are() {
    let (bench, receiver) = bench(unlimited()).await;
    let message = json!({"text": "Lucía 🏡 a/b", "name": "Lucía", "from": "+34 600 111 222"});
    let (status, answer) = bench.control("/_sim/inbound", &message).await;
    assert_eq!(status, 202, "{answer}");
    until("the message", || !receiver.values().is_empty()).await;
    let (headers, body) = receiver.posts.lock().unwrap()[0].clone();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"app-secret-1").unwrap();
    mac.update(&body);
    let expected = format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()));
    assert_eq!(headers["x-hub-signature-256"], expected.as_str());
    assert!(body.is_ascii());
    let raw = String::from_utf8(body.to_vec()).unwrap();
    assert!(raw.contains(r#"Luc\u00eda \ud83c\udfe1 a\/b"#), "{raw}");
    let inbound = &receiver.values()[0]["messages"][0];
    assert_eq!((&inbound["id"], &inbound["from"]), (&answer["id"], &json!("34600111222")));
    assert_eq!(inbound["text"]["body"], "Lucía 🏡 a/b");
}

#[tokio::test]
async fn any_message_object_and_any_payload_can_come_in() {
    let (bench, receiver) = bench(unlimited()).await;
    let image =
        json!({"message": {"type": "image", "image": {"id": "1"}}, "user_id": "ES.1", "username": "lucia"});
    bench.control("/_sim/inbound", &image).await;
    until("the image", || receiver.values().len() == 1).await;
    let value = receiver.values().remove(0);
    assert_eq!(value["messages"][0]["from_user_id"], "ES.1");
    assert!(value["messages"][0]["from"].is_null() && value["contacts"][0]["wa_id"].is_null());
    bench.control("/_sim/inbound", &json!({"payload": {"object": "x"}})).await;
    until("the payload", || receiver.posts.lock().unwrap().len() == 2).await;
    assert_eq!(receiver.posts.lock().unwrap()[1].1, r#"{"object":"x"}"#);
    assert_eq!(bench.control("/_sim/inbound", &json!({})).await.0, 400);
    assert_eq!(bench.control("/_sim/inbound", &json!({"txt": ""})).await.0, 400);
}

#[tokio::test]
async fn magic_recipients_fail_as_documented() {
    let (bench, receiver) = bench(Config { statuses: fast(), ..unlimited() }).await;
    for to in ["+34609131026", "+34608131049", "+34607000001"] {
        assert_eq!(bench.send(&text(to)).await.0, 200);
    }
    until("four statuses", || receiver.statuses().len() == 4).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut by_recipient: HashMap<String, HashSet<String>> = HashMap::new();
    for status in receiver.statuses() {
        let code = status["errors"][0]["code"].as_u64().map_or_else(String::new, |code| code.to_string());
        let name = format!("{}{code}", status["status"].as_str().unwrap());
        by_recipient.entry(status["recipient_id"].as_str().unwrap().to_owned()).or_default().insert(name);
    }
    let expect = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
    assert_eq!(by_recipient["34609131026"], expect(&["failed131026"]));
    assert_eq!(by_recipient["34608131049"], expect(&["sent", "failed131049"]));
    assert_eq!(by_recipient["34607000001"], expect(&["sent"]));
}

#[tokio::test]
async fn a_failed_status_equals_the_recorded_one() {
    let (bench, receiver) = bench(Config { statuses: fast(), ..unlimited() }).await;
    for code in ["130403", "130472", "131026", "131042", "131047", "131048", "131049", "131050", "131053"] {
        bench.send(&text(&format!("+34609{code}"))).await;
        until("the status", || !receiver.statuses().is_empty()).await;
        let status = receiver.statuses().remove(0);
        let (_, recorded) = common::recorded("status")
            .into_iter()
            .find(|(name, _)| *name == format!("failed_{code}"))
            .unwrap();
        let expected = &recorded["entry"][0]["changes"][0]["value"]["statuses"][0]["errors"];
        assert_eq!(&status["errors"], expected, "{code}");
        receiver.posts.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn outside_the_window_only_templates_go() {
    let (bench, receiver) = bench(Config { statuses: fast(), enforce_window: true, ..unlimited() }).await;
    bench.send(&text("+34600111222")).await;
    until("the failure", || receiver.statuses().len() == 1).await;
    assert_eq!(receiver.statuses()[0]["errors"][0]["code"], 131_047);
    bench
        .sim
        .inbound(palomar_sim::cloud_api::Inbound { text: Some("Hola".to_owned()), ..Default::default() })
        .unwrap();
    bench.clock.advance(Duration::from_secs(24 * 3600 - 1));
    bench.send(&text("+34600111222")).await;
    until("three more", || receiver.statuses().len() == 4).await;
    bench.clock.advance(Duration::from_secs(1));
    bench.send(&text("+34600111222")).await;
    until("the second failure", || receiver.statuses().len() == 5).await;
}

#[tokio::test]
async fn what_is_refused_is_posted_again() {
    let (bench, receiver) = bench(Config { statuses: fast(), webhooks: one_by_one(), ..unlimited() }).await;
    receiver.refuse.store(4, Ordering::SeqCst);
    bench.send(&text("+34600111222")).await;
    until("three statuses", || receiver.statuses().len() == 3).await;
    until("the counters", || bench.sim.stats().webhooks.in_flight == 0).await;
    let stats = bench.sim.stats().webhooks;
    assert_eq!((stats.failed, stats.statuses, stats.waiting), (4, 3, 0));
    assert_eq!(stats.posts, stats.ok + stats.failed);
}

#[tokio::test]
async fn it_gives_up_in_the_end() {
    let webhooks = Webhooks { retry_for: Duration::from_millis(50), ..one_by_one() };
    let (bench, receiver) = bench(Config { webhooks, statuses: fast(), ..unlimited() }).await;
    receiver.refuse.store(u32::MAX, Ordering::SeqCst);
    bench.send(&text("+34607000001")).await;
    until("given up", || bench.sim.stats().webhooks.abandoned == 1).await;
    assert!(bench.sim.stats().webhooks.posts > 3);
}

#[tokio::test]
async fn statuses_get_lost_repeated_and_shuffled() {
    let statuses = Statuses { loss: 0.2, repeat: 0.2, shuffle: true, ..fast() };
    let (bench, receiver) = bench(Config { statuses, ..unlimited() }).await;
    for _ in 0..300 {
        bench.send(&text("+34600111222")).await;
    }
    until("all are posted", || {
        let stats = bench.sim.stats().webhooks;
        stats.waiting == 0 && stats.in_flight == 0 && stats.ok > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let statuses = receiver.statuses();
    let mut seen: HashMap<(String, String), u32> = HashMap::new();
    for status in &statuses {
        *seen.entry((status["id"].to_string(), status["status"].to_string())).or_default() += 1;
    }
    assert!((650..840).contains(&seen.len()), "{}", seen.len());
    assert!(seen.values().filter(|count| **count == 2).count() > 60);
    let first_of: HashMap<String, String> = statuses
        .iter()
        .rev()
        .map(|status| (status["id"].to_string(), status["status"].to_string()))
        .collect();
    assert!(first_of.values().filter(|name| *name == "\"read\"").count() > 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_and_their_statuses_flow() {
    let (bench, receiver) = bench(Config { statuses: fast(), keep_bodies: false, ..unlimited() }).await;
    let bench = std::sync::Arc::new(bench);
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = std::sync::Arc::clone(&bench);
        senders.spawn(async move {
            for _ in 0..200 {
                assert_eq!(bench.send(&text("+34600111222")).await.0, 200);
            }
        });
    }
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }
    until("all statuses", || bench.sim.stats().webhooks.statuses == 30_000).await;
    let statuses = receiver.statuses();
    let ids: HashSet<String> = statuses.iter().map(|status| status["id"].to_string()).collect();
    assert_eq!((ids.len(), statuses.len()), (10_000, 30_000));
}
