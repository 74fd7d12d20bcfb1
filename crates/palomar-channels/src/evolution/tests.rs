//! The channel as a whole, against a server that answers what it is told to.

use std::sync::{Arc, Mutex};

use palomar_model::{ManualClock, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use send::tests::message;

const OPEN: &str = r#"{"instance":{"instanceName":"main-line","state":"open"}}"#;
const CLOSED: &str = r#"{"instance":{"instanceName":"main-line","state":"close"}}"#;
const SENT: &str = r#"{"key":{"remoteJid":"34600111222@s.whatsapp.net","id":"BAE5F1"},"status":"PENDING"}"#;

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Answers the requests in turn, the last answer to all that follow; keeps the requests.
async fn server(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/evo/", listener.local_addr().expect("an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        for n in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut bytes = vec![0; 65536];
            let mut length = 0;
            while let Ok(read @ 1..) = stream.read(&mut bytes[length..]).await {
                length += read;
                if bytes[..length].ends_with(b"}") || bytes.starts_with(b"GET") {
                    break;
                }
            }
            kept.lock().expect("requests").push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            let answer = answers.get(n).or(answers.last()).map_or("", String::as_str);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, requests)
}

fn config(base_url: String) -> EvolutionConfig {
    EvolutionConfig {
        base_url,
        instance: "main line/1".to_owned(),
        api_key: Secret::from("key-1"),
        webhook_secret: Secret::from("shared-secret"),
        typing_ms: 0,
        interactive: Menus::Native,
    }
}

fn channel(base_url: String) -> (Evolution, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_767_225_660)));
    let client = http::client().expect("a client");
    (Evolution::new(config(base_url), client, clock.clone()).expect("settings"), clock)
}

async fn attempt(channel: &Evolution) -> Result<Sent, SendFailure> {
    let message = message("+34600111222", "text", json!({"text": "Hola"}));
    channel.send(&message, Tag { message: message.id, attempt: 1 }).await
}

#[tokio::test]
async fn it_is_looked_at_once_and_then_used() {
    let (address, requests) = server(vec![answer(200, OPEN), answer(201, SENT)]).await;
    let (channel, clock) = channel(address);
    for _ in 0..2 {
        assert_eq!(&*attempt(&channel).await.expect("sent").provider_id.0, "BAE5F1");
    }
    clock.set(Timestamp::from_seconds(1_767_225_660 + 3600));
    // An hour later it is looked at again; the server has nothing but messages to tell.
    assert_eq!(attempt(&channel).await.expect_err("no state").class, ErrorClass::Transient);
    let requests = requests.lock().expect("requests");
    let lines: Vec<_> = requests.iter().map(|request| request.lines().next().unwrap_or_default()).collect();
    let (look, send) = (
        "GET /evo/instance/connectionState/main%20line%2F1 HTTP/1.1",
        "POST /evo/message/sendText/main%20line%2F1 HTTP/1.1",
    );
    assert_eq!(lines, [look, send, send, look]);
    for request in requests.iter() {
        assert!(request.to_ascii_lowercase().contains("\r\napikey: key-1\r\n"), "{request}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent_and_no_attempt_is_burnt() {
    let (address, requests) = server(vec![answer(200, CLOSED)]).await;
    let (channel, clock) = channel(address);
    assert!(matches!(attempt(&channel).await.expect_err("closed").class, ErrorClass::Throttled { .. }));
    clock.set(Timestamp::from_seconds(1_767_225_660 + 30));
    assert_eq!(attempt(&channel).await.expect_err("closed").class, ErrorClass::Account);
    let requests = requests.lock().expect("requests");
    assert!(requests.iter().all(|request| request.starts_with("GET /evo/instance/connectionState/")));
}

#[tokio::test]
async fn a_connection_that_breaks_is_looked_at_again() {
    let closed =
        r#"{"status":400,"error":"Bad Request","response":{"message":["Error: Connection Closed"]}}"#;
    let (address, requests) =
        server(vec![answer(200, OPEN), answer(400, closed), answer(200, OPEN), answer(201, SENT)]).await;
    let (channel, _) = channel(address);
    assert_eq!(attempt(&channel).await.expect_err("closed").class, ErrorClass::Transient);
    attempt(&channel).await.expect("sent");
    assert_eq!(requests.lock().expect("requests").len(), 4);
}

#[tokio::test]
async fn refusals_are_classified() {
    let wrong_key = r#"{"status":401,"error":"Unauthorized","response":{"message":"Unauthorized"}}"#;
    let nobody =
        r#"{"status":400,"error":"Bad Request","response":{"message":[{"jid":"x","exists":false}]}}"#;
    for (answers, class) in [
        (vec![answer(401, wrong_key)], ErrorClass::Auth),
        (vec![answer(502, "<html>")], ErrorClass::Transient),
        (vec![String::new()], ErrorClass::Transient),
        (vec![answer(200, OPEN), answer(400, nobody)], ErrorClass::Recipient),
        (vec![answer(200, OPEN), answer(502, "<html>")], ErrorClass::Unknown),
        (vec![answer(200, OPEN), answer(200, "{}")], ErrorClass::Unknown),
        (vec![answer(200, OPEN), String::new()], ErrorClass::Unknown),
    ] {
        let (address, _) = server(answers.clone()).await;
        let (channel, _) = channel(address);
        assert_eq!(attempt(&channel).await.expect_err("a failure").class, class, "{answers:?}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_up() {
    let kept = json!({"messages": {"records": [{"key": {"id": "BAE5F1", "fromMe": true}, "message": {"conversation": "Hola"},
        "messageTimestamp": 1_767_225_660}]}});
    let (address, requests) = server(vec![answer(200, &kept.to_string()), answer(502, "<html>")]).await;
    let (channel, _) = channel(address);
    let message = message("+34600111222", "text", json!({"text": "Hola"}));
    let tag = Tag { message: message.id, attempt: 1 };
    let found = channel.lookup(&message, tag).await.expect("an answer");
    assert!(matches!(&found, Lookup::Alike(sent) if sent.len() == 1 && &*sent[0].provider_id.0 == "BAE5F1"));
    assert_eq!(channel.lookup(&message, tag).await.expect_err("down").class, ErrorClass::Transient);
    let requests = requests.lock().expect("requests");
    assert!(
        requests[0].starts_with("POST /evo/chat/findMessages/main%20line%2F1 HTTP/1.1"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains("34600111222@s.whatsapp.net"), "{}", requests[0]);
}

#[test]
fn webhooks_are_believed_with_the_secret_and_for_this_instance_only() {
    let (channel, clock) = channel("http://localhost".to_owned());
    let now = clock.now();
    let body = |instance: &str| json!({"event": "x", "instance": instance}).to_string();
    let ours = body("main line/1");
    let verify = |method, header: Option<(&str, &str)>, body: &str| {
        let header =
            |name: &str| header.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
        channel.verify(&WebhookRequest { method, url: "", query: "", header: &header, body: body.as_bytes() })
    };
    let (good, token) = ((sign::HEADER, "shared-secret"), sign::token(&Secret::from("shared-secret"), now));
    for (method, header, body, expected) in [
        ("POST", Some(good), ours.as_str(), Ok(Verified::Delivery)),
        ("POST", Some(("authorization", token.as_str())), &ours, Ok(Verified::Delivery)),
        ("POST", Some(good), "not json", Ok(Verified::Delivery)),
        ("POST", Some(good), "{}", Ok(Verified::Delivery)),
        ("POST", Some(good), &body("another"), Err(WebhookError::Forbidden)),
        ("POST", None, &ours, Err(WebhookError::BadSignature)),
        ("POST", Some((sign::HEADER, "")), &ours, Err(WebhookError::BadSignature)),
        ("POST", Some((sign::HEADER, "key-1")), &ours, Err(WebhookError::BadSignature)),
        ("POST", Some(("authorization", "Bearer shared-secret")), &ours, Err(WebhookError::BadSignature)),
        ("POST", Some(("apikey", "shared-secret")), &ours, Err(WebhookError::BadSignature)),
        ("GET", Some(good), &ours, Err(WebhookError::BadRequest("only POST"))),
    ] {
        assert_eq!(verify(method, header, body), expected, "{method} {header:?} {body}");
    }
    let mute = EvolutionConfig { webhook_secret: Secret::default(), ..config("http://localhost".to_owned()) };
    let mute = Evolution::new(mute, http::client().expect("a client"), clock).expect("settings");
    let none = |_: &str| Some(String::new());
    let request = WebhookRequest { method: "POST", url: "", query: "", header: &none, body: ours.as_bytes() };
    assert_eq!(mute.verify(&request), Err(WebhookError::BadSignature));
}

#[test]
fn settings_are_checked() {
    let clock: Arc<ManualClock> = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let wrong = EvolutionConfig {
        base_url: "evolution.test:8080".to_owned(),
        instance: "..".to_owned(),
        api_key: Secret::from("two\nlines"),
        typing_ms: 60_000,
        ..config(String::new())
    };
    let errors = Evolution::new(wrong, http::client().expect("a client"), clock).err().expect("refused");
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/settings/baseUrl", "/settings/instance", "/settings/typingMs", "/credentials/apiKey"]
    );
}
