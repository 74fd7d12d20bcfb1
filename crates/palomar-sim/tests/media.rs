//! Media: upload, address, download, deletion.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::time::Duration;

use common::{Bench, PHONE, unlimited};
use palomar_sim::cloud_api::Config;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

async fn upload(bench: &Bench, bytes: Vec<u8>, kind: &str) -> (u16, Value) {
    let part = Part::bytes(bytes).file_name("x").mime_str(kind).unwrap();
    let form = Form::new().text("messaging_product", "whatsapp").part("file", part);
    let url = format!("{}/v25.0/{PHONE}/media", bench.sim.url());
    let response = bench.http.post(url).bearer_auth("token").multipart(form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn media_make_the_round() {
    let bench = Bench::new(Config { check_media: true, ..unlimited() }).await;
    let (status, answer) = upload(&bench, b"picture".to_vec(), "image/jpeg").await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().unwrap();
    let about = bench.get(&format!("/v25.0/{id}?phone_number_id={PHONE}")).await;
    assert_eq!((&about["file_size"], &about["mime_type"]), (&json!("7"), &json!("image/jpeg")));
    assert_eq!(about["sha256"].as_str().unwrap().len(), 64);

    let address = about["url"].as_str().unwrap();
    let without_token = bench.http.get(address).send().await.unwrap();
    assert_eq!(without_token.status(), 401);
    let with_token = bench.http.get(address).bearer_auth("token").send().await.unwrap();
    assert_eq!(with_token.bytes().await.unwrap(), "picture");

    let image = |id: &str| json!({"messaging_product": "whatsapp", "to": "+34600111222", "type": "image", "image": {"id": id}});
    assert_eq!(bench.send(&image(id)).await.0, 200);
    let (status, answer) = bench.send(&image("12345")).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));

    bench.clock.advance(Duration::from_secs(300));
    let late = bench.http.get(address).bearer_auth("token").send().await.unwrap();
    assert_eq!(late.status(), 404);
    let url = format!("{}/v25.0/{id}", bench.sim.url());
    let deleted: Value =
        bench.http.delete(&url).bearer_auth("token").send().await.unwrap().json().await.unwrap();
    assert_eq!(deleted, json!({"success": true}));
    assert_eq!(bench.send(&image(id)).await.0, 400);
}

#[tokio::test]
async fn sizes_and_types_are_checked() {
    let bench = Bench::new(unlimited()).await;
    for (size, kind, expected) in [
        (5 << 20, "image/png", 200),
        ((5 << 20) + 1, "image/png", 400),
        (1, "application/pdf", 200),
        (0, "application/pdf", 400),
        (1, "image/gif", 400),
        (1, "audio/ogg; codecs=opus", 200),
    ] {
        let (status, answer) = upload(&bench, vec![1; size], kind).await;
        assert_eq!(status, expected, "{kind} {size}: {answer}");
    }
}
