//! The channel as a whole, against a server that answers what it is told to.

use std::sync::{Arc, Mutex};

use palomar_model::{Content, ErrorClass, IdGenerator, Outbound, Priority, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Serves every connection with one answer; keeps the requests.
async fn server(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 65536];
            let mut length = 0;
            while let Ok(n @ 1..) = stream.read(&mut bytes[length..]).await {
                length += n;
                if bytes[..length].ends_with(b"}") || bytes[..length].ends_with(b"--\r\n") {
                    break;
                }
            }
            kept.lock().expect("requests").push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, requests)
}

fn channel(base_url: String) -> CloudApi {
    let config =
        CloudApiConfig { base_url, ..CloudApiConfig::new("100200300400500", Secret::from("token-1")) };
    CloudApi::new(config, http::client().expect("a client"))
}

fn message() -> Outbound {
    Outbound {
        id: IdGenerator::new(1).message_id(Timestamp::EPOCH),
        channel: "main".parse().expect("a name"),
        to: Recipient::parse("+34600111222", None).expect("a number"),
        content: Content::text("Hola"),
        priority: Priority::Normal,
        scheduled_at: None,
        expires_at: None,
        campaign_id: None,
        campaign_place: None,
        hours: None,
        reply_to: None,
        fallback: None,
        on_uncertain: None,
        metadata: serde_json::Map::new(),
        accepted_at: Timestamp::EPOCH,
    }
}

#[tokio::test]
async fn one_call_with_token_tag_and_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{\"messages\":[{\"id\":\"wamid.X\"}]}  \n";
    let (address, requests) = server(answer).await;
    let message = message();
    let tag = Tag { message: message.id, attempt: 1 };
    let sent = channel(address).send(&message, tag).await.expect("sent");
    assert_eq!(&*sent.provider_id.0, "wamid.X");
    let requests = requests.lock().expect("requests");
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let lower = request.to_ascii_lowercase();
    assert!(request.starts_with("POST /v25.0/100200300400500/messages HTTP/1.1\r\n"), "{request}");
    for part in [
        "authorization: bearer token-1",
        "content-type: application/json",
        "content-length: ",
        "user-agent: palomar/",
    ] {
        assert!(lower.contains(part), "{part} in {request}");
    }
    assert!(request.contains(&format!("\"biz_opaque_callback_data\":\"{tag}\"")), "{request}");
}

#[tokio::test]
async fn refusals_are_classified() {
    for (answer, class) in [
        (
            "HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            ErrorClass::Throttled { after: Some(Duration::from_secs(7)), scope: Scope::Channel },
        ),
        ("HTTP/1.1 400 X\r\nContent-Length: 25\r\n\r\n{\"error\":{\"code\":131026}} ", ErrorClass::Recipient),
        ("HTTP/1.1 502 X\r\nContent-Length: 6\r\n\r\n<html>", ErrorClass::Unknown),
        (
            "HTTP/1.1 302 X\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n",
            ErrorClass::Account,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"messages\"", ErrorClass::Unknown),
        ("", ErrorClass::Unknown),
        ("garbage\r\n\r\n", ErrorClass::Unknown),
    ] {
        let (address, _) = server(answer).await;
        let message = message();
        let outcome = channel(address).send(&message, Tag { message: message.id, attempt: 1 }).await;
        assert_eq!(outcome.expect_err("a failure").class, class, "{answer}");
    }
}

#[tokio::test]
async fn media_goes_up_as_a_form() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"id\":\"1037543291000001\"}";
    let (address, requests) = server(answer).await;
    let id = channel(address).upload("a.jpg", "image/jpeg", b"bytes".to_vec()).await.expect("an id");
    assert_eq!(id, "1037543291000001");
    let requests = requests.lock().expect("requests");
    for part in [
        "POST /v25.0/100200300400500/media ",
        "name=\"messaging_product\"",
        "image/jpeg",
        "filename=\"a.jpg\"",
    ] {
        assert!(requests[0].contains(part), "{part} in {}", requests[0]);
    }
}

#[test]
fn webhooks_without_configured_secrets_are_refused() {
    let channel = channel("http://localhost".to_owned());
    let signature = sign::sign(&Secret::default(), b"{}");
    let header = |_: &str| Some(signature.clone());
    let request = |method| WebhookRequest {
        method,
        url: "http://localhost/",
        query: "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        header: &header,
        body: b"{}",
    };
    assert_eq!(channel.verify(&request("POST")), Err(WebhookError::BadSignature));
    assert_eq!(channel.verify(&request("GET")), Err(WebhookError::Forbidden));
    assert_eq!(channel.verify(&request("PUT")).map_err(WebhookError::status), Err(400));
}

#[test]
fn the_usage_header_says_how_long() {
    let header = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-business-use-case-usage", text.parse().expect("a header"));
        usage_wait(&headers)
    };
    let busy = r#"{"777":[{"type":"messaging","call_count":100,"estimated_time_to_regain_access":5}]}"#;
    assert_eq!(header(busy), Some(Duration::from_secs(300)));
    assert_eq!(header(r#"{"777":[{"estimated_time_to_regain_access":0}]}"#), None);
    assert_eq!(header("not json"), None);
}
