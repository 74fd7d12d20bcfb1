//! Webhooks with the real broker and records: proven, durable, taking effect once, and kept where they can't be read.

mod house;

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use house::House;
use palomar_app::{Caller, IntakeAnswer, MessageFilter, MessageStatus, WebhookRequest};
use palomar_model::ChannelName;
use sha2::Sha256;

const SECRET: &str = "app secret";

fn line() -> ChannelName {
    "line".parse().expect("a name")
}

async fn house_with_line(dir: &std::path::Path) -> House {
    let house = House::open(dir).await;
    let line = serde_json::from_value(serde_json::json!({
        "name": "line", "provider": "cloud_api", "settings": {"phoneNumberId": "106540352242922"},
        "credentials": {"token": "t", "appSecret": SECRET, "verifyToken": "v"},
    }));
    house.app.create_channel(line.expect("a channel")).await.expect("created");
    house
}

fn signed(body: &str) -> WebhookRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    WebhookRequest {
        method: "POST".to_owned(),
        url: "https://example.org/webhooks/line".to_owned(),
        query: String::new(),
        headers: vec![("x-hub-signature-256".to_owned(), format!("sha256={signature}"))],
        body: body.to_owned().into(),
        request_id: "request-1".to_owned(),
    }
}

fn message(id: &str, words: &str) -> String {
    serde_json::json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
    "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "contacts": [{"profile": {"name": "Lucía"}, "wa_id": "34600111222"}],
        "messages": [{"from": "34600111222", "id": id, "timestamp": "1767225600", "type": "text",
            "text": {"body": words}}],
    }}]}]})
    .to_string()
}

async fn received(house: &House) -> usize {
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    let inbound = MessageFilter { status: vec![MessageStatus::Received], ..MessageFilter::default() };
    house.app.messages(inbound, None, 50, &Caller::system()).await.expect("read").items.len()
}

/// Waits until every webhook is through.
async fn idle(house: &House) {
    for _ in 0..200 {
        let webhooks = house.app.queue_stats(&Caller::system()).await.expect("stats").webhook;
        if webhooks.waiting + webhooks.active + webhooks.delayed == 0 {
            return house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("webhooks are still under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_arrives_once_however_often_it_is_delivered() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = house_with_line(dir.path()).await;
    for (id, words) in [("wamid.1", "ok"), ("wamid.1", "ok"), ("wamid.2", "ok"), ("wamid.1", "ok")] {
        assert_eq!(house.app.receive(&line(), signed(&message(id, words))).await, IntakeAnswer::Accepted);
    }
    idle(&house).await;
    assert_eq!(received(&house).await, 2);
    let forged = WebhookRequest { body: message("wamid.3", "x").into(), ..signed("{}") };
    assert_eq!(house.app.receive(&line(), forged).await, IntakeAnswer::BadSignature);
    idle(&house).await;
    assert_eq!(received(&house).await, 2);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_and_can_be_replayed() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = house_with_line(dir.path()).await;
    assert_eq!(house.app.receive(&line(), signed("no JSON at all")).await, IntakeAnswer::Accepted);
    idle(&house).await;
    let failed = house.app.failed_webhooks(None, 10).await.expect("read").items;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].request_id, "request-1");
    assert!(failed[0].payload.contains("no JSON at all"));
    house.app.replay_webhook(&failed[0].id).await.expect("queued again");
    idle(&house).await;
    let again = house.app.failed_webhooks(None, 10).await.expect("read").items;
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].replayed_at.is_some(), "{again:?}");
    house.sound().await;
    house.close().await;
}

/// Everything that is recorded of Meta's webhooks: each message is in the records once, changes are at their messages, and
/// nothing failed.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_recorded_arrives_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = house_with_line(dir.path()).await;
    let folder = format!("{}/../../tests/fixtures/cloud-api", env!("CARGO_MANIFEST_DIR"));
    let mut ids = std::collections::BTreeSet::new();
    for kind in ["inbound", "account", "status"] {
        for file in std::fs::read_dir(format!("{folder}/{kind}")).expect("a folder") {
            let body = std::fs::read_to_string(file.expect("a file").path()).expect("text");
            let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            let changes = document["entry"].as_array().expect("entries").iter();
            let changes = changes.flat_map(|entry| entry["changes"].as_array().expect("changes"));
            let messages = changes
                .flat_map(|change| change["value"]["messages"].as_array().cloned().unwrap_or_default());
            let is_message = |message: &serde_json::Value| {
                !["reaction", "edit", "revoke"].contains(&message["type"].as_str().expect("a type"))
            };
            ids.extend(
                messages.filter(is_message).map(|message| message["id"].as_str().expect("an id").to_owned()),
            );
            for _ in 0..2 {
                assert_eq!(house.app.receive(&line(), signed(&body)).await, IntakeAnswer::Accepted);
            }
        }
    }
    idle(&house).await;
    assert_eq!(house.app.failed_webhooks(None, 10).await.expect("read").items, []);
    assert!(ids.len() > 50, "{}", ids.len());
    for id in &ids {
        let provider_id = palomar_model::ProviderMessageId(id.as_str().into());
        let found = house.app.records().by_provider_id(line(), provider_id).await.expect("read");
        let found = house.find(found.unwrap_or_else(|| panic!("{id} is lost"))).await.message;
        assert_eq!(found.provider_message_id.as_ref(), Some(id));
        assert!(found.content["content"]["type"].is_string() && found.content["raw"].is_object(), "{id}");
    }
    let everything = MessageFilter { status: vec![MessageStatus::Received], ..MessageFilter::default() };
    let found = house.app.messages(everything, None, 200, &Caller::system()).await.expect("read");
    assert_eq!((found.items.len(), found.next_cursor), (ids.len(), None));
    house.sound().await;
    house.close().await;
}

/// Anybody may post to a channel that is not there: however many do, the records are asked once a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_to_no_channel_is_one_look_a_second() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = house_with_line(dir.path()).await;
    let none: ChannelName = "none".parse().expect("a name");
    let begun = tokio::time::Instant::now();
    for looks in 0..2 {
        let posts = (0..500).map(|_| house.app.receive(&none, signed("{}")));
        let posts =
            tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(posts)).await;
        assert!(posts.expect("all share a look").iter().all(|answer| *answer == IntakeAnswer::NoChannel));
        // The first look is made at once, what comes after it waits for the next one.
        assert!(begun.elapsed() >= Duration::from_secs(1) * looks);
    }
    // Whoever is known waits for nobody.
    assert_eq!(house.app.receive(&line(), signed(&message("wamid.1", "Hola"))).await, IntakeAnswer::Accepted);
    house.close().await;
}
