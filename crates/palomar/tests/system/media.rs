//! Media that people send, through the whole house: from the provider's own address to the bytes that the API hands out,
//! through outages and kills, in files and in S3.

use std::sync::Arc;

use data_encoding::BASE64;
use palomar_sim::cloud_api::{self, Fault, FaultKind};
use palomar_sim::{evolution, s3, twilio};
use serde_json::{Value, json};

use crate::harness::{APP_SECRET, Server, SystemClock, quick, simulator, until};

/// A picture of so many bytes, each another.
fn picture(seed: u8, size: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.extend((0..size).map(|n| seed.wrapping_add((n % 251) as u8)));
    bytes
}

/// Puts a picture on the provider's shelf; its id.
async fn upload(server: &Server, sim: &cloud_api::RunningSim, bytes: Vec<u8>, kind: &str) -> String {
    let part = reqwest::multipart::Part::bytes(bytes).file_name("x").mime_str(kind).expect("a type");
    let form = reqwest::multipart::Form::new().text("messaging_product", "whatsapp").part("file", part);
    let url = format!("{}/v25.0/100200300400500/media", sim.url());
    let answer =
        server.http.post(url).bearer_auth("token-1").multipart(form).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("a document");
    answer["id"].as_str().unwrap_or_else(|| panic!("no id in {answer}")).to_owned()
}

/// A person sends media by their id.
fn send(sim: &cloud_api::RunningSim, kind: &str, id: &str) -> String {
    let message = json!({"type": kind, kind: {"id": id, "mime_type": "image/jpeg", "caption": "mira"}});
    let message = message.as_object().cloned();
    sim.inbound(cloud_api::Inbound { message, ..cloud_api::Inbound::default() })
        .expect("posted")
        .expect("an id")
}

async fn received(server: &Server, channel: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/messages?channel={channel}&status=received&limit=200")).await;
    page["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until so many messages of a channel have media in a state; the messages.
async fn until_media(server: &Server, channel: &str, count: usize, state: &str) -> Vec<Value> {
    until(&format!("{count} have media that are {state}"), || async {
        let messages = received(server, channel).await;
        let there = messages.iter().filter(|message| message["media"][0]["state"] == state).count();
        if there == count { Ok(messages) } else { Err(json!(messages).to_string()) }
    })
    .await
}

async fn bytes_of(server: &Server, message: &Value) -> Vec<u8> {
    let id = message["media"][0]["id"].as_str().unwrap_or_else(|| panic!("no media in {message}"));
    let (status, headers, bytes) = server.bytes(&format!("/api/media/{id}")).await;
    assert_eq!(status, 200, "{message}: {}", String::from_utf8_lossy(&bytes));
    assert_eq!(headers["content-security-policy"], "sandbox; default-src 'none'");
    bytes
}

fn files(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![server.dir.join("media")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
    }
    found.retain(|name| name != "place");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_comes_as_it_was_sent_and_is_kept_once() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let bytes = picture(1, 3_000_000);
    let id = upload(&server, &sim, bytes.clone(), "image/jpeg").await;
    for _ in 0..2 {
        send(&sim, "image", &id);
    }
    let messages = until_media(&server, "line", 2, "stored").await;
    for message in &messages {
        assert!(bytes_of(&server, message).await == bytes, "{message}");
        assert_eq!(message["media"][0]["type"], "image/jpeg");
    }
    assert_eq!(files(&server), [messages[0]["media"][0]["sha256"].as_str().expect("a hash")]);
    let shown = server.output(&["message", "show", messages[0]["id"].as_str().expect("an id")]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("stored") && shown.contains("image/jpeg"), "{shown}");
    let metrics =
        server.http.get(format!("http://{}/metrics", server.address)).send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("palomar_media_fetches_total{result=\"stored\"} 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_had_costs_no_message() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    // Gone; another thing than a picture; larger than pictures are.
    send(&sim, "image", "1037543291999999");
    let page = upload(&server, &sim, b"<html><script>alert(1)</script>".to_vec(), "text/plain").await;
    send(&sim, "image", &page);
    let large = upload(&server, &sim, picture(1, 20 << 20), "application/pdf").await;
    send(&sim, "image", &large);
    let messages = until_media(&server, "line", 3, "failed").await;
    let errors: Vec<&str> =
        messages.iter().filter_map(|message| message["media"][0]["error"].as_str()).collect();
    for words in ["the provider does not have it any more", "but text/html", "larger than the 16 MiB"] {
        assert!(errors.iter().any(|error| error.contains(words)), "{words}: {errors:?}");
    }
    assert!(messages.iter().all(|message| message["content"]["text"] == "mira"), "{messages:?}");
    assert_eq!(files(&server), Vec::<String>::new());
    // What was too large for a picture is not for a file.
    send(&sim, "document", &large);
    until_media(&server, "line", 1, "stored").await;
}

/// The message is there at once, its media when the provider is back, whatever was killed in between.
#[tokio::test(flavor = "multi_thread")]
async fn media_outlive_an_outage_and_kills() {
    let sim = simulator(quick()).await;
    let mut server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let mut sent = Vec::new();
    for n in 0..20 {
        let bytes = picture(n, 200_000);
        sent.push((upload(&server, &sim, bytes.clone(), "image/jpeg").await, bytes));
    }
    sim.set_faults(vec![Fault::always(FaultKind::Down)]).expect("faults");
    let mut by_message = Vec::new();
    for (id, bytes) in &sent {
        by_message.push((send(&sim, "image", id), bytes));
    }
    until_media(&server, "line", sent.len(), "pending").await;
    server.kill();
    server.run().await;
    sim.set_faults(Vec::new()).expect("no faults");
    for _ in 0..5 {
        server.kill();
        server.run().await;
    }
    let messages = until_media(&server, "line", sent.len(), "stored").await;
    assert_eq!(messages.len(), sent.len());
    for (id, bytes) in by_message {
        let message = messages.iter().find(|message| message["providerMessageId"] == *id).expect("it came");
        assert!(bytes_of(&server, message).await == *bytes, "{message}");
    }
    assert_eq!(files(&server).len(), sent.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn media_in_s3_are_nowhere_else() {
    let config = s3::Config {
        bucket: "media".to_owned(),
        access_key: "key-1".to_owned(),
        secret_key: "secret-1".to_owned(),
        region: "eu-south-2".to_owned(),
    };
    let bucket = s3::start(config, Arc::new(SystemClock)).await.expect("a bucket");
    let settings = vec![
        ("PALOMAR__MEDIA__S3_ENDPOINT", bucket.url()),
        ("PALOMAR__MEDIA__S3_BUCKET", "media".to_owned()),
        ("PALOMAR__MEDIA__S3_REGION", "eu-south-2".to_owned()),
        ("PALOMAR__MEDIA__S3_ACCESS_KEY", "key-1".to_owned()),
        ("PALOMAR__MEDIA__S3_SECRET_KEY", "secret-1".to_owned()),
    ];
    let sim = simulator(quick()).await;
    let server = Server::with(settings).await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let bytes = picture(1, 300_000);
    let id = upload(&server, &sim, bytes.clone(), "image/jpeg").await;
    send(&sim, "image", &id);
    let messages = until_media(&server, "line", 1, "stored").await;
    assert!(bytes_of(&server, &messages[0]).await == bytes);
    let hash = messages[0]["media"][0]["sha256"].as_str().expect("a hash");
    assert_eq!(bucket.keys(), [format!("{}/{}/{hash}", &hash[..2], &hash[2..4])]);
    assert_eq!(files(&server), Vec::<String>::new());
    assert!(!server.printed().contains("secret-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn twilio_sends_on_to_the_bytes_and_evolution_has_them_in_the_phone() {
    let server = Server::start().await;
    let bytes = picture(1, 300_000);

    let desk = twilio::TwilioSim::start(twilio::Config::default(), Arc::new(SystemClock))
        .await
        .expect("a simulator");
    let body = json!({"name": "desk", "provider": "twilio",
        "settings": {"accountSid": "AC00000000000000000000000000000001", "number": "whatsapp:+15550100200", "baseUrl": desk.url(),
            "webhookUrl": format!("http://{}/webhooks/desk", server.address)},
        "credentials": {"authToken": "0123456789abcdef0123456789abcdef"}});
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
    desk.set_webhook_url(Some(&format!("http://{}/webhooks/desk", server.address)));
    let media = || twilio::Media { content_type: "image/jpeg".to_owned(), base64: BASE64.encode(&bytes) };
    let inbound = twilio::Inbound {
        media: vec![media(), media()],
        base_url: Some(desk.url()),
        ..twilio::Inbound::default()
    };
    desk.inbound(inbound).expect("posted");
    let messages = until_media(&server, "desk", 1, "stored").await;
    assert!(bytes_of(&server, &messages[0]).await == bytes);
    let states = until("both of its pictures are there", || async {
        let media = received(&server, "desk").await[0]["media"].clone();
        let states: Vec<_> = media.as_array().into_iter().flatten().map(|one| one["state"].clone()).collect();
        if states.iter().all(|state| state == "stored") { Ok(states) } else { Err(media.to_string()) }
    });
    assert_eq!(states.await.len(), 2);

    let headers = vec![("x-palomar-secret".to_owned(), APP_SECRET.to_owned())];
    let config = evolution::Config { webhook_headers: headers, ..evolution::Config::default() };
    let phone = evolution::start(config, Arc::new(SystemClock)).await.expect("a simulator");
    let body = json!({"name": "main-line", "provider": "evolution", "settings": {"baseUrl": phone.url()},
        "credentials": {"apiKey": "key-1", "webhookSecret": APP_SECRET}});
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
    phone.set_webhook_url(Some(&format!("http://{}/webhooks/main-line", server.address)));
    let message = json!({"imageMessage": {"mimetype": "image/jpeg", "caption": "mira"}});
    let inbound = evolution::Inbound {
        message: message.as_object().cloned(),
        media: Some(BASE64.encode(&bytes)),
        ..evolution::Inbound::default()
    };
    phone.inbound(inbound).expect("posted");
    let messages = until_media(&server, "main-line", 1, "stored").await;
    assert!(bytes_of(&server, &messages[0]).await == bytes);
    assert_eq!(files(&server).len(), 1, "one picture, whoever brought it");
}
