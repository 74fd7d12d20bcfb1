//! Fetching from a file server that does its worst: slow, endless, cut off, gone, sending elsewhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{CloudApi, CloudApiConfig, Evolution, EvolutionConfig, Twilio, TwilioConfig};
use palomar_model::{ManualClock, Timestamp};

/// What a server saw of a request: its first line and its headers.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with what `answer` writes for its first line.
async fn server<F, R>(answer: F) -> (SocketAddr, Seen)
where
    F: Fn(String, TcpStream) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let shown = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, seen) = (answer.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut some = [0; 4096];
                    match stream.read(&mut some).await {
                        Ok(length) if length > 0 => head.extend_from_slice(&some[..length]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let line = head.lines().next().unwrap_or_default().to_owned();
                seen.lock().expect("whole").push(head);
                answer(line, stream).await;
            });
        }
    });
    (address, shown)
}

async fn say(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
}

/// Keeps what it takes, and how much it was given at once.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    largest: usize,
}

impl MediaSink for Kept {
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.bytes.extend_from_slice(bytes);
        self.largest = self.largest.max(bytes.len());
        Box::pin(std::future::ready(Ok(())))
    }
}

fn fetcher() -> Fetcher {
    let limits =
        FetchLimits { idle: Duration::from_millis(300), total: Duration::from_secs(20), redirects: 3 };
    Fetcher::new(crate::http::client().expect("a client"), crate::http::outside().expect("a client"), limits)
}

fn cloud(address: SocketAddr) -> CloudApi {
    let config = CloudApiConfig {
        base_url: format!("http://{address}"),
        ..CloudApiConfig::new("100200300400500", "token-1".into())
    };
    CloudApi::new(config, crate::http::client().expect("a client"))
}

fn by_id() -> Wanted {
    let media = InboundMedia { id: Some("4711".to_owned()), ..InboundMedia::default() };
    Wanted { message: "wamid.1".to_owned(), media }
}

fn by_url(url: String) -> Wanted {
    let media = InboundMedia { url: Some(url), ..InboundMedia::default() };
    Wanted { message: "wamid.1".to_owned(), media }
}

async fn fetch(source: &dyn MediaSource, wanted: &Wanted, most: u64) -> Result<Kept, FetchFailure> {
    let mut kept = Kept::default();
    fetcher().fetch(source, wanted, most, &mut kept).await.map(|_| kept)
}

/// A Graph API whose look-up leads to `/file`, which `answer` serves.
async fn graph<F, R>(answer: F) -> (CloudApi, Seen)
where
    F: Fn(TcpStream) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = ()> + Send,
{
    let (address, seen) = server(move |line, mut stream| {
        let answer = answer.clone();
        async move {
            if line.starts_with("GET /file") {
                answer(stream).await;
            } else {
                let host = stream.local_addr().expect("an address");
                let document = format!(
                    "{{\"url\":\"http://{host}/file\",\"mime_type\":\"image/jpeg\",\"id\":\"4711\"}}"
                );
                say(&mut stream, "200 OK", "Content-Type: application/json\r\n", document.as_bytes()).await;
            }
        }
    })
    .await;
    (cloud(address), seen)
}

#[tokio::test]
async fn an_id_leads_to_an_address_and_that_to_the_bytes_with_the_token_both_times() {
    let (source, seen) =
        graph(async |mut stream: TcpStream| say(&mut stream, "200 OK", "", b"bytes").await).await;
    let kept = fetch(&source, &by_id(), 100).await.expect("fetched");
    assert_eq!(kept.bytes, b"bytes");
    let seen = seen.lock().expect("whole");
    assert!(seen[0].starts_with("GET /v25.0/4711?phone_number_id=100200300400500 "), "{}", seen[0]);
    assert!(
        seen.len() == 2 && seen.iter().all(|head| head.contains("authorization: Bearer token-1")),
        "{seen:?}"
    );
    assert!(seen.iter().all(|head| head.contains("user-agent: palomar/")), "{seen:?}");
}

#[tokio::test]
async fn a_hostile_server_is_cut_off() {
    const MOST: u64 = 1 << 20;
    type Serve = fn(TcpStream) -> BoxFuture<'static, ()>;
    let cases: [(&str, Serve, FetchProblem); 8] = [
        (
            "silent",
            |stream| {
                Box::pin(async move {
                    std::future::pending::<()>().await;
                    drop(stream);
                })
            },
            FetchProblem::Passing,
        ),
        (
            "silent in the middle",
            |mut stream| {
                Box::pin(async move {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
                    std::future::pending::<()>().await;
                })
            },
            FetchProblem::Passing,
        ),
        (
            "endless",
            |mut stream| {
                Box::pin(async move {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    while stream.write_all(&[7; 65_536]).await.is_ok() {}
                })
            },
            FetchProblem::TooLarge,
        ),
        (
            "100 MB, announced",
            |mut stream| {
                Box::pin(async move {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n").await;
                    while stream.write_all(&[7; 65_536]).await.is_ok() {}
                })
            },
            FetchProblem::TooLarge,
        ),
        (
            "less than announced",
            |mut stream| {
                Box::pin(async move {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
                })
            },
            FetchProblem::Passing,
        ),
        (
            "an address that is over",
            |mut stream| Box::pin(async move { say(&mut stream, "404 Not Found", "", b"").await }),
            FetchProblem::Passing,
        ),
        (
            "broken",
            |mut stream| Box::pin(async move { say(&mut stream, "503 Busy", "", b"").await }),
            FetchProblem::Passing,
        ),
        (
            "not let in",
            |mut stream| Box::pin(async move { say(&mut stream, "401 No", "", b"").await }),
            FetchProblem::Refused,
        ),
    ];
    for (name, serve, expected) in cases {
        let (source, _) = graph(serve).await;
        let mut kept = Kept::default();
        let failure = fetcher().fetch(&source, &by_id(), MOST, &mut kept).await.expect_err(name);
        assert_eq!(failure.problem, expected, "{name}: {failure}");
        assert!(kept.bytes.len() as u64 <= MOST, "{name}: {} bytes were taken", kept.bytes.len());
        assert!(kept.largest <= 1 << 20, "{name}: {} bytes at once", kept.largest);
        assert!(!failure.detail.contains("127.0.0.1"), "{name}: {failure}");
    }
}

#[tokio::test]
async fn drip_by_drip_it_ends_as_well() {
    let (source, _) = graph(async |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let limits =
        FetchLimits { idle: Duration::from_secs(5), total: Duration::from_millis(500), redirects: 1 };
    let (own, outside) =
        (crate::http::client().expect("a client"), crate::http::outside().expect("a client"));
    let fetched =
        Fetcher::new(own, outside, limits).fetch(&source, &by_id(), 1 << 20, &mut Kept::default()).await;
    assert_eq!(fetched.expect_err("a failure").problem, FetchProblem::Passing);
}

#[tokio::test]
async fn what_the_graph_api_says_of_media_that_are_gone() {
    for (status, body, expected) in [
        ("400 Bad Request", r#"{"error":{"code":100,"error_subcode":33,"message":"x"}}"#, FetchProblem::Gone),
        ("404 Not Found", "", FetchProblem::Gone),
        ("401 Unauthorized", r#"{"error":{"code":190,"message":"x"}}"#, FetchProblem::Refused),
        ("400 Bad Request", r#"{"error":{"code":190,"message":"x"}}"#, FetchProblem::Refused),
        ("500 Oops", "<html>", FetchProblem::Passing),
        ("429 Slow", r#"{"error":{"code":4,"message":"x"}}"#, FetchProblem::Passing),
        ("200 OK", "<html>", FetchProblem::Passing),
        ("200 OK", r#"{"url":"file:///etc/passwd"}"#, FetchProblem::Blocked),
        ("200 OK", r#"{"url":"http://169.254.169.254/latest"}"#, FetchProblem::Blocked),
    ] {
        let (address, _) =
            server(move |_, mut stream| async move { say(&mut stream, status, "", body.as_bytes()).await })
                .await;
        let failure = fetch(&cloud(address), &by_id(), 100).await.map(drop).expect_err(status);
        assert_eq!(failure.problem, expected, "{status} {body}: {failure}");
    }
    let failure = fetch(&cloud(([127, 0, 0, 1], 9).into()), &by_url(String::new()), 100).await.map(drop);
    assert_eq!(failure.expect_err("no address").problem, FetchProblem::Blocked);
    let odd =
        Wanted { media: InboundMedia { id: Some("../me".to_owned()), ..InboundMedia::default() }, ..by_id() };
    let failure = fetch(&cloud(([127, 0, 0, 1], 9).into()), &odd, 100).await.map(drop);
    assert_eq!(failure.expect_err("no id").problem, FetchProblem::Nowhere);
}

fn twilio(address: SocketAddr) -> Twilio {
    let account = "AC00000000000000000000000000000001";
    let config = TwilioConfig {
        base_url: format!("http://{address}"),
        ..TwilioConfig::new(account, "token-1".into(), "+15550100200")
    };
    Twilio::new(config, None, crate::http::client().expect("a client")).expect("a channel")
}

#[tokio::test]
async fn redirects_are_followed_to_where_they_may_lead_and_no_further() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    let (elsewhere, _) = server(move |_, mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { say(&mut stream, "200 OK", "", b"secret").await }
    })
    .await;
    let (address, seen) = server(move |line, mut stream| async move {
        let to = match line.split(' ').nth(1).unwrap_or_default() {
            "/here" => "/there".to_owned(),
            "/there" => return say(&mut stream, "200 OK", "", b"bytes").await,
            "/circle" => "/circle".to_owned(),
            "/port" => format!("http://{elsewhere}/x"),
            "/metadata" => "http://169.254.169.254/latest/meta-data".to_owned(),
            "/tls" => format!("https://{elsewhere}/x"),
            "/file" => "file:///etc/passwd".to_owned(),
            "/user" => format!("http://user@{}/there", stream.local_addr().expect("an address")),
            "/relative" => format!("//{elsewhere}/x"),
            _ => String::new(),
        };
        say(&mut stream, "302 Found", &format!("Location: {to}\r\n"), b"").await;
    })
    .await;
    let source = twilio(address);
    let wanted = |path: &str| by_url(format!("http://{address}{path}"));
    assert_eq!(fetch(&source, &wanted("/here"), 100).await.expect("fetched").bytes, b"bytes");
    for path in ["/circle", "/port", "/metadata", "/tls", "/file", "/user", "/relative"] {
        let failure = fetch(&source, &wanted(path), 100).await.map(drop).expect_err(path);
        assert_eq!(failure.problem, FetchProblem::Blocked, "{path}: {failure}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0, "nobody else was called");
    let seen = seen.lock().expect("whole").clone();
    assert!(seen.iter().all(|head| head.contains("authorization: Basic ")), "{seen:?}");
    // Where another host's address stands in the message, it is not called at all.
    let failure = fetch(&source, &by_url("https://evil.example/x".to_owned()), 100).await.map(drop);
    assert_eq!(failure.expect_err("elsewhere").problem, FetchProblem::Blocked);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to_whenever_it_does() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    let (address, _) = server(move |_, mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { say(&mut stream, "200 OK", "", b"secret").await }
    })
    .await;
    // What it leads to differs from one look to the next, and is never public.
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let client = crate::http::guarded(move |_| {
        let first = counts.fetch_add(1, Ordering::SeqCst) == 0;
        let found = if first {
            vec![[10, 0, 0, 7].into(), [127, 0, 0, 1].into()]
        } else {
            vec![[127, 0, 0, 1].into()]
        };
        Box::pin(std::future::ready(Ok(found)))
    })
    .expect("a client");
    for _ in 0..3 {
        let url = format!("http://media.example.com:{}/x", address.port());
        let error = client.get(url).send().await.expect_err("not connected");
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut blocked = false;
        while let Some(inner) = cause {
            blocked |= inner.downcast_ref::<guard::Blocked>() == Some(&guard::Blocked::NotPublic);
            cause = inner.source();
        }
        assert!(blocked, "{error:?}");
    }
    assert_eq!((asked.load(Ordering::SeqCst), reached.load(Ordering::SeqCst)), (3, 0));
}

#[tokio::test]
async fn credentials_stay_with_the_provider() {
    let meta = CloudApi::new(CloudApiConfig::new("1", "t".into()), crate::http::client().expect("a client"));
    let account = TwilioConfig::new("AC00000000000000000000000000000001", "t".into(), "+15550100200");
    let twilio = Twilio::new(account, None, crate::http::client().expect("a client")).expect("a channel");
    let sources: [(&dyn MediaSource, &str, bool, Option<Whose>); 12] = [
        (&meta, "https://graph.facebook.com/v25.0/1", false, Some(Whose::Own)),
        (
            &meta,
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1",
            false,
            Some(Whose::Provider),
        ),
        (&meta, "https://scontent.fbcdn.net/x", true, Some(Whose::Other)),
        (&meta, "https://evilfbsbx.com/x", true, None),
        (&meta, "https://lookaside.fbsbx.com.evil.com/x", true, None),
        (&meta, "http://lookaside.fbsbx.com/x", true, None),
        (&twilio, "https://api.twilio.com/2010-04-01/x", false, Some(Whose::Own)),
        (&twilio, "https://api.dublin.ie1.twilio.com/x", false, Some(Whose::Provider)),
        (&twilio, "https://mms.twiliocdn.com/x", true, Some(Whose::Other)),
        (&twilio, "https://mms.twiliocdn.com/x", false, None),
        (&twilio, "https://api.twilio.com.evil.com/x", true, Some(Whose::Other)),
        (&twilio, "https://api.eviltwilio.com/x", false, None),
    ];
    for (source, url, redirected, expected) in sources {
        let judged = guard::judge(url, source, redirected).ok().map(|(_, whose)| whose);
        assert_eq!(judged, expected, "{url}");
        assert!(source.credentials().expect("credentials").1.is_sensitive());
    }
}

fn evolution(address: SocketAddr) -> Evolution {
    let config = serde_json::json!({"base_url": format!("http://{address}/wa"), "instance": "main line", "api_key": "key-1"});
    let config: EvolutionConfig = serde_json::from_value(config).expect("settings");
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    Evolution::new(config, crate::http::client().expect("a client"), clock).expect("a channel")
}

#[tokio::test]
async fn evolution_hands_media_over_in_base64_where_its_store_is_out_of_reach() {
    let bytes: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    let document = format!("{{\"mediaType\":\"imageMessage\",\"base64\":\"{}\"}}", BASE64.encode(&bytes));
    let document: Arc<str> = document.into();
    let served = Arc::clone(&document);
    let (address, seen) = server(move |line, mut stream| {
        let document = Arc::clone(&served);
        async move {
            if line.starts_with("POST /wa/chat/getBase64FromMediaMessage/main%20line ") {
                say(&mut stream, "201 Created", "", document.as_bytes()).await;
            } else {
                say(&mut stream, "404 Not Found", "", b"{}").await;
            }
        }
    })
    .await;
    let source = evolution(address);
    for url in [None, Some("http://10.0.0.9:9000/evolution/x.jpeg"), Some("https://minio.local/x")] {
        let media = InboundMedia { url: url.map(str::to_owned), ..InboundMedia::default() };
        let wanted = Wanted { message: "3EB0".to_owned(), media };
        assert!(fetch(&source, &wanted, 1 << 20).await.expect("fetched").bytes == bytes, "{url:?}");
        let failure = fetch(&source, &wanted, 600_000).await.map(drop).expect_err("too large");
        assert_eq!(failure.problem, FetchProblem::TooLarge);
    }
    let seen = seen.lock().expect("whole");
    assert!(seen.iter().all(|head| head.contains("apikey: key-1")), "{seen:?}");
}

#[tokio::test]
async fn what_evolution_says_of_media_that_are_gone() {
    let told = |words: &str| {
        serde_json::json!({"status": 400, "error": "Bad Request", "response": {"message": [words]}})
            .to_string()
    };
    for (status, body, expected) in [
        ("400 Bad Request", told("Message not found"), FetchProblem::Gone),
        ("400 Bad Request", told("The message is not of the media type"), FetchProblem::Gone),
        ("400 Bad Request", told("Error: Connection Closed"), FetchProblem::Passing),
        ("404 Not Found", told("The \"x\" instance does not exist"), FetchProblem::Passing),
        ("401 Unauthorized", String::new(), FetchProblem::Refused),
        ("200 OK", "{}".to_owned(), FetchProblem::Passing),
    ] {
        let told: Arc<str> = body.into();
        let body = Arc::clone(&told);
        let (address, _) = server(move |_, mut stream| {
            let body = Arc::clone(&body);
            async move { say(&mut stream, status, "", body.as_bytes()).await }
        })
        .await;
        let wanted = Wanted { message: "3EB0".to_owned(), media: InboundMedia::default() };
        let failure = fetch(&evolution(address), &wanted, 100).await.map(drop).expect_err(status);
        assert_eq!(failure.problem, expected, "{status} {told}: {failure}");
    }
}

#[tokio::test]
async fn base64_that_came_with_the_message() {
    for (text, most, expected) in [
        ("aG9sYQ==", 100, Ok(b"hola".to_vec())),
        ("data:image/png;base64,aG9sYQ==", 100, Ok(b"hola".to_vec())),
        ("", 100, Ok(Vec::new())),
        ("a*", 100, Err(FetchProblem::Passing)),
        (&BASE64.encode(&[0; 1000]), 900, Err(FetchProblem::TooLarge)),
    ] {
        let mut kept = Kept::default();
        let decoded = decode_into(text, most, &mut kept).await.map_err(|failure| failure.problem);
        assert_eq!(decoded.map(|()| kept.bytes), expected, "{text}");
    }
}
