//! What broken connections mean.

use std::time::Duration;

use palomar_model::ErrorClass;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

async fn call(url: &str) -> SendFailure {
    let client = client().expect("a client");
    exchange(client.post(url), "application/json", b"{}".to_vec()).await.expect_err("a failure")
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    drop(listener);
    assert_eq!(call(&url).await.class, ErrorClass::Transient);
}

#[tokio::test]
async fn no_such_host_and_no_such_url() {
    assert_eq!(call("http://nowhere.invalid/").await.class, ErrorClass::Transient);
    assert_eq!(call("not a url").await.class, ErrorClass::Content);
}

#[tokio::test]
async fn hung_up_after_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let failure = call(&url).await;
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert!(!failure.to_string().contains("127.0.0.1"), "{failure}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    use tokio::io::AsyncWriteExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else {
            return;
        };
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    });
    let client = client().expect("a client");
    let answer = exchange(client.post(url), "text/plain", Vec::new()).await.expect("an answer");
    assert!(!answer.complete && answer.body.len() <= MAX_ANSWER);
}

#[test]
fn retry_after() {
    for (text, seconds) in
        [("7", Some(7)), ("0", Some(0)), ("99999999", Some(86_400)), ("-1", None), ("soon", None)]
    {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().expect("a header"));
        let answer = Answer { status: 429, headers, body: Bytes::new(), complete: true };
        assert_eq!(answer.retry_after(), seconds.map(Duration::from_secs), "{text}");
    }
}
