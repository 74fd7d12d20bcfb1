//! What came with messages, as it is handed out: its own bytes, harmless, to whom they belong, as long as they are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palomar_api::ApiConfig;
use palomar_app::{NewKey, Role};
use serde_json::{Value, json};

use crate::house::{Answer, House};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture, more or less";

/// A house with a paired phone: what it brings has its bytes with it.
async fn house() -> House {
    with_phone(House::open().await).await
}

async fn with_phone(house: House) -> House {
    let paired = json!({"name": "paired", "provider": "evolution", "settings": {"baseUrl": "http://127.0.0.1:9"},
        "credentials": {"apiKey": "key-1", "webhookSecret": "secret-1"}});
    let answer = house.send("POST", "/api/channels", &house.admin, Some(&paired)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    house
}

/// Somebody sends media; the message as it is kept.
async fn bring(house: &House, id: &str, kind: &str, part: Value, bytes: &[u8]) -> Value {
    let body = json!({"event": "messages.upsert", "instance": "paired", "data": {
        "key": {"remoteJid": "34600111222@s.whatsapp.net", "fromMe": false, "id": id}, "pushName": "Lucía",
        "message": {kind: part, "base64": STANDARD.encode(bytes)}, "messageType": kind,
        "messageTimestamp": 1_767_225_600}});
    let request = Request::post("/webhooks/paired").header("content-type", "application/json");
    let request = request.header("x-palomar-secret", "secret-1").body(Body::from(body.to_string()));
    assert_eq!(house.raw(request.expect("a request")).await.status, StatusCode::OK);
    for _ in 0..400 {
        let page = house.get("/api/messages?direction=inbound").await.json();
        let found = page["items"]
            .as_array()
            .and_then(|items| items.iter().find(|item| item["providerMessageId"] == id).cloned());
        if let Some(message) = found
            .filter(|message| message["media"][0]["state"] != "pending" && message["media"][0].is_object())
        {
            return message;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{id} did not come: {}", house.get("/api/messages?direction=inbound").await.text());
}

async fn ask(house: &House, id: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("/api/media/{id}"));
    request = request.header("authorization", format!("Bearer {}", house.viewer));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.raw(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn a_picture_is_shown_and_a_page_is_only_saved() {
    let house = house().await;
    let message = bring(&house, "3EB01", "imageMessage", json!({"mimetype": "image/jpeg"}), JPEG).await;
    let media = &message["media"][0];
    assert_eq!(
        (&media["state"], &media["type"], &media["size"]),
        (&json!("stored"), &json!("image/jpeg"), &json!(JPEG.len()))
    );
    // The bytes are kept once: not in the provider's object as well.
    assert!(!message.to_string().contains(&STANDARD.encode(JPEG)), "{message}");
    let id = media["id"].as_str().expect("an id");
    let answer = ask(&house, id, &[]).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, JPEG));
    let tag = format!("\"{}\"", media["sha256"].as_str().expect("a hash"));
    for (name, expected) in [
        ("content-type", "image/jpeg"),
        ("content-disposition", "inline"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "private, max-age=3600"),
        ("etag", &tag),
    ] {
        assert_eq!(answer.header(name), expected, "{name}");
    }
    let shown = house.get(&format!("/api/messages/{}", message["id"].as_str().expect("an id"))).await.json();
    assert_eq!(&shown["media"][0], media);
    // Its bytes may be kept before the message itself is logged.
    let timeline = shown["timeline"].as_array().expect("a timeline").iter();
    let kinds: BTreeSet<_> = timeline.filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["received", "media_stored"]));

    let page = b"<html><script>alert(1)</script>";
    let part = json!({"mimetype": "application/pdf", "fileName": "../fact\"ura.pdf"});
    let message = bring(&house, "3EB02", "documentMessage", part, page).await;
    let answer = ask(&house, message["media"][0]["id"].as_str().expect("an id"), &[]).await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let disposition = "attachment; filename=\"factura.pdf\"; filename*=UTF-8''factura.pdf";
    assert_eq!(answer.header("content-disposition"), disposition);
    assert_eq!(message["media"][0]["type"], "text/html");
    house.close().await;
}

#[tokio::test]
async fn parts_and_what_is_known_already() {
    let house = house().await;
    let message = bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    let id = message["media"][0]["id"].as_str().expect("an id").to_owned();
    let tag = format!("\"{}\"", message["media"][0]["sha256"].as_str().expect("a hash"));
    let size = JPEG.len();
    for (headers, status, range, body) in [
        (vec![("range", "bytes=0-2")], 206, format!("bytes 0-2/{size}"), &JPEG[..3]),
        (
            vec![("range", "bytes=-3")],
            206,
            format!("bytes {}-{}/{size}", size - 3, size - 1),
            &JPEG[size - 3..],
        ),
        (vec![("range", "bytes=0-2"), ("if-range", &tag)], 206, format!("bytes 0-2/{size}"), &JPEG[..3]),
        (vec![("range", "bytes=0-2"), ("if-range", "\"another\"")], 200, String::new(), JPEG),
        (vec![("range", "bytes=0-1,2-3")], 200, String::new(), JPEG),
        (vec![("if-none-match", &tag)], 304, String::new(), b""),
        (vec![("if-none-match", "\"another\"")], 200, String::new(), JPEG),
    ] {
        let answer = ask(&house, &id, &headers).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
    }
    let answer = ask(&house, &id, &[("range", "bytes=1000-")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (416, &json!("bad_range")));
    house.close().await;
}

#[tokio::test]
async fn who_gets_media_and_who_does_not() {
    let house = house().await;
    let message = bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    let id = message["media"][0]["id"].as_str().expect("an id");
    let path = format!("/api/media/{id}");
    let key = async |channel: &str| {
        let channels = Some(vec![channel.parse().expect("a name")]);
        let key = NewKey { name: channel.to_owned(), role: Role::Viewer, channels, expires_at: None };
        house.app.create_key(key).await.expect("a key").secret
    };
    let (theirs, others) = (key("paired").await, key("demo").await);
    assert_eq!(house.send("GET", &path, &theirs, None).await.status, StatusCode::OK);
    assert_eq!(house.send("GET", &path, &others, None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.send("GET", &path, "pk_unknown", None).await.status, StatusCode::UNAUTHORIZED);
    for (path, status) in
        [("/api/media/00000000-0000-0000-0000-000000000000", 404), ("/api/media/..%2Fplace", 400)]
    {
        assert_eq!(house.get(path).await.status.as_u16(), status, "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_not_what_it_says_is_not_kept_and_its_message_is() {
    let house = house().await;
    let part = json!({"mimetype": "image/jpeg", "caption": "la foto"});
    let message = bring(&house, "3EB01", "imageMessage", part, b"<svg onload=alert(1)>").await;
    assert_eq!(message["content"]["text"], "la foto");
    let media = &message["media"][0];
    assert_eq!((&media["state"], &media["sha256"]), (&json!("failed"), &Value::Null));
    let answer = ask(&house, media["id"].as_str().expect("an id"), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("it is not what its type says, but image/svg+xml"), "{}", answer.text());
    let dead = house.get("/api/dead-letters?queue=media/paired").await.json();
    assert_eq!(dead["items"][0]["id"], media["id"], "{dead}");
    house.close().await;
}

#[tokio::test]
async fn media_whose_time_is_over_are_gone_and_the_message_stays() {
    let house = house().await;
    let first = bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    let id = first["media"][0]["id"].as_str().expect("an id").to_owned();
    house.clock.travel(Duration::from_secs(60 * 24 * 3600));
    // The same picture again: it is kept once, for as long as the last message with it.
    let second = bring(&house, "3EB02", "imageMessage", json!({}), JPEG).await;
    let later = second["media"][0]["id"].as_str().expect("an id").to_owned();
    house.clock.travel(Duration::from_secs(31 * 24 * 3600));
    let tidied = house.app.tidy_media().await.expect("tidied");
    assert_eq!((tidied.expired, tidied.removed), (1, 0));
    let answer = ask(&house, &id, &[]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::GONE, &json!("gone")));
    assert_eq!(&*ask(&house, &later, &[]).await.body, JPEG);

    house.clock.travel(Duration::from_secs(60 * 24 * 3600));
    let tidied = house.app.tidy_media().await.expect("tidied");
    assert_eq!((tidied.expired, tidied.removed), (1, 1));
    assert_eq!(ask(&house, &later, &[]).await.status, StatusCode::GONE);
    let page = house.get("/api/messages?direction=inbound").await.json();
    let states: Vec<_> =
        page["items"].as_array().expect("items").iter().map(|item| &item["media"][0]["state"]).collect();
    assert_eq!(states, ["deleted", "deleted"]);
    house.close().await;
}

/// A process that was killed after it kept content and before it said so, and whose job failed then, leaves a file.
#[tokio::test]
async fn a_file_that_nobody_refers_to_goes_after_a_day() {
    let house = house().await;
    let message = bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    let id = message["media"][0]["id"].as_str().expect("an id").to_owned();
    let nobodys = ["ab01", "ab02"].map(|begin| {
        let hash = format!("{begin}{}", "7".repeat(60));
        let file = house.media_dir().join("ab").join(&begin[2..]).join(hash);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        std::fs::write(&file, b"content").expect("written");
        file
    });
    // What is no content is left alone.
    let other = house.media_dir().join("ab/notes.txt");
    std::fs::write(&other, b"?").expect("written");
    house.clock.travel(Duration::from_secs(23 * 3600));
    assert_eq!(house.app.tidy_media().await.expect("tidied").swept, 0, "its row may be on its way");
    house.clock.travel(Duration::from_secs(2 * 3600));
    assert_eq!(house.app.tidy_media().await.expect("tidied").swept, 2);
    assert!(nobodys.iter().all(|file| !file.exists()) && other.exists());
    assert_eq!(&*ask(&house, &id, &[]).await.body, JPEG, "what a message has stays");
    assert_eq!(house.app.tidy_media().await.expect("tidied").swept, 0);
    house.close().await;
}

/// A new database before its transfer, a wrong address, a database that was lost: what they do not speak of is not nobody's.
#[tokio::test]
async fn records_that_did_not_know_the_directory_sweep_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("media/ab/01").join(format!("ab01{}", "7".repeat(60)));
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    std::fs::write(&file, b"content of other records").expect("written");
    let house = with_phone(House::open_in(dir, ApiConfig::new(7), palomar_app::MOST_CLIENTS).await).await;
    house.clock.travel(Duration::from_secs(25 * 3600));
    assert_eq!(house.app.tidy_media().await.expect("tidied").swept, 0);
    // What they keep there themselves makes them know no more of the rest.
    bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    house.clock.travel(Duration::from_secs(25 * 3600));
    assert_eq!(house.app.tidy_media().await.expect("tidied").swept, 0);
    assert!(file.exists());
    house.close().await;
}

/// Without the queues nobody knows what is to be recorded yet: nothing is swept, and all else goes on.
#[tokio::test]
async fn what_hinders_the_sweep_hinders_nothing_else() {
    let house = house().await;
    bring(&house, "3EB01", "imageMessage", json!({}), JPEG).await;
    house.clock.travel(Duration::from_secs(91 * 24 * 3600));
    house.close_queues().await;
    let tidied = house.app.tidy_media().await.expect("tidied");
    assert_eq!((tidied.expired, tidied.removed, tidied.swept), (1, 1, 0));
}
