//! The simulated Twilio over real HTTP: what it takes, refuses, reports and lists.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Receiver, START, client, until};
use palomar_model::{ManualClock, Timestamp};
use palomar_sim::twilio::{Config, Inbound, Media, RunningSim, SenderQueue, Statuses, TwilioSim};
use palomar_sim::{Latency, Windows};
use serde_json::{Value, json};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const FROM: (&str, &str) = ("From", "whatsapp:+15550100200");

struct Bench {
    sim: RunningSim,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
}

impl Bench {
    async fn new(config: Config) -> Bench {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(START)));
        let sim = TwilioSim::start(config, clock.clone()).await.unwrap();
        Bench { sim, clock, http: client() }
    }

    async fn send(&self, pairs: &[(&str, &str)]) -> (u16, Value) {
        self.send_as(TOKEN, pairs).await
    }

    async fn send_as(&self, token: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", self.sim.url());
        let request = self.http.post(url).basic_auth(ACCOUNT, Some(token));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn text(&self, to: &str) -> (u16, Value) {
        self.send(&[FROM, ("To", &format!("whatsapp:{to}")), ("Body", "Hola")]).await
    }
}

/// No limits, and reports at once: the clock stands still in tests.
fn quick() -> Config {
    let soon = Latency::fixed(Duration::from_millis(2));
    let statuses = Statuses { sent: soon, delivered: soon, read: soon, ..Statuses::default() };
    Config { queue: SenderQueue::OFF, account: Windows::off(), statuses, ..Config::default() }
}

/// The forms that a receiver got, decoded.
fn forms(receiver: &Receiver) -> Vec<Vec<(String, String)>> {
    let posts = receiver.posts.lock().unwrap();
    let decoded = |body: &[u8]| form_urlencoded::parse(body).map(|(k, v)| (k.into(), v.into())).collect();
    posts.iter().map(|(_, body)| decoded(body)).collect()
}

fn value<'f>(form: &'f [(String, String)], name: &str) -> &'f str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

#[tokio::test]
async fn recorded_requests_are_taken() {
    let bench = Bench::new(quick()).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/twilio/send");
    for (file, status, kind) in [
        ("text", "queued", "text"),
        ("media", "queued", "media"),
        ("location", "queued", "location"),
        ("content_template", "accepted", "content"),
        ("scheduled", "scheduled", "content"),
    ] {
        let form = std::fs::read(format!("{folder}/{file}.form")).unwrap();
        let pairs: Vec<_> = form_urlencoded::parse(&form).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (answered, document) = bench.send(&pairs).await;
        assert_eq!((answered, &document["status"]), (201, &json!(status)), "{file}: {document}");
        let prefix = if kind == "media" { "MM" } else { "SM" };
        assert!(document["sid"].as_str().unwrap().starts_with(prefix), "{file}");
        let entry = bench.sim.ledger(0, 100).pop().unwrap();
        assert_eq!((entry.kind.as_str(), document["sid"].as_str()), (kind, Some(entry.sid.as_str())));
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let bench = Bench::new(Config { senders: vec!["+15550100200".to_owned()], ..quick() }).await;
    let to = ("To", "whatsapp:+34600111222");
    let body = ("Body", "Hola");
    let long = "ñ".repeat(1601);
    let hx = ("ContentSid", "HX00000000000000000000000000000001");
    let mg = ("MessagingServiceSid", "MG00000000000000000000000000000001");
    let fixed = ("ScheduleType", "fixed");
    let media = ("MediaUrl", "https://cdn.example.test/a.jpg");
    for (pairs, code) in [
        (vec![FROM, body], 21_604),
        (vec![to, body], 21_603),
        (vec![FROM, to], 21_619),
        (vec![FROM, to, ("PersistentAction", "geo:1,2|x")], 21_619),
        (vec![FROM, to, ("Body", &long)], 21_617),
        (vec![FROM, to, media, media], 21_623),
        (vec![FROM, to, ("MediaUrl", "file:///etc/passwd")], 21_620),
        (vec![FROM, to, ("ContentSid", "hello_world")], 21_655),
        (vec![FROM, to, ("ContentVariables", "{}"), body], 21_654),
        (vec![FROM, to, hx, ("ContentVariables", "[1]")], 21_656),
        (vec![FROM, to, hx, ("ContentVariables", r#"{"1":"a\nb"}"#)], 21_656),
        (vec![FROM, ("To", "+34600111222"), body], 21_910),
        (vec![FROM, ("To", "whatsapp:34600111222"), body], 21_211),
        (vec![FROM, ("To", FROM.1), body], 63_031),
        (vec![("From", "whatsapp:+15550100999"), to, body], 63_007),
        (vec![("MessagingServiceSid", "x"), to, body], 21_705),
        (vec![mg, to, hx, fixed], 35_111),
        (vec![mg, to, hx, fixed, ("SendAt", "tomorrow")], 35_115),
        (vec![FROM, to, hx, fixed, ("SendAt", "2026-01-02T10:00:00Z")], 35_118),
    ] {
        let (status, document) = bench.send(&pairs).await;
        assert_eq!((status, &document["code"]), (400, &json!(code)), "{pairs:?}");
        assert_eq!(document["more_info"], format!("https://www.twilio.com/docs/errors/{code}"));
    }
    assert_eq!(bench.send_as("wrong", &[FROM, to, body]).await.0, 401);
    assert_eq!(bench.sim.accepted(), 0);
}

#[tokio::test]
async fn reports_go_to_each_messages_own_address_signed() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let bench = Bench::new(quick()).await;
    let callback = format!("{url}?tag=palomar%3Ax%3A1");
    let (_, document) = bench
        .send(&[FROM, ("To", "whatsapp:+34600111222"), ("Body", "Hola"), ("StatusCallback", &callback)])
        .await;
    until("three reports", || forms(&receiver).len() == 3).await;
    let words: Vec<String> =
        forms(&receiver).iter().map(|form| value(form, "MessageStatus").to_owned()).collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
    for form in forms(&receiver) {
        assert_eq!(value(&form, "MessageSid"), document["sid"].as_str().unwrap());
    }
    assert!(receiver.posts.lock().unwrap().iter().all(|(headers, _)| {
        headers.contains_key("x-twilio-signature")
            && headers["content-type"] == "application/x-www-form-urlencoded"
    }));
    let entry = bench.sim.ledger(0, 1).pop().unwrap();
    assert_eq!((entry.tag.as_deref(), entry.recipient.as_str()), (Some("palomar:x:1"), "+34600111222"));
    // Twilio tries once, and again as often as the address asks for.
    for (fragment, posts, abandoned) in [("", 3, 3), ("#rc=2", 5, 0)] {
        bench.sim.reset();
        receiver.posts.lock().unwrap().clear();
        let refused = if fragment.is_empty() { 3 } else { 2 };
        receiver.refuse.store(refused, std::sync::atomic::Ordering::SeqCst);
        let callback = format!("{url}{fragment}");
        bench
            .send(&[FROM, ("To", "whatsapp:+34600111222"), ("Body", "Hola"), ("StatusCallback", &callback)])
            .await;
        until("all are told or given up", || {
            let told = bench.sim.stats().webhooks;
            told.ok + told.abandoned == 3
        })
        .await;
        let told = bench.sim.stats().webhooks;
        assert_eq!(told.abandoned, abandoned, "{fragment}");
        assert_eq!(told.posts, posts, "{fragment}");
    }
}

#[tokio::test]
async fn failures_come_as_their_codes_usually_do() {
    let receiver = Receiver::default();
    let bench = Bench::new(Config { webhook_url: Some(receiver.start().await), ..quick() }).await;
    for (to, answered, words) in [
        ("+34609063024", 201, &["undelivered"][..]),
        ("+34608063024", 201, &["sent", "undelivered"]),
        ("+34609030008", 201, &["failed"]),
        ("+34609999999", 201, &["undelivered"]),
        ("+34609021211", 400, &[]),
        ("+34606063016", 400, &[]),
        ("+34606020429", 429, &[]),
        ("+34607000002", 201, &["sent", "delivered"]),
        ("+34607000004", 201, &[]),
    ] {
        receiver.posts.lock().unwrap().clear();
        let (status, document) = bench.text(to).await;
        assert_eq!(status, answered, "{to}: {document}");
        until("its reports", || forms(&receiver).len() == words.len()).await;
        let told: Vec<String> =
            forms(&receiver).iter().map(|form| value(form, "MessageStatus").to_owned()).collect();
        assert_eq!(told, words, "{to}");
    }
    let (status, document) = bench.text("+34607000005").await;
    assert_eq!((status, document), (201, json!({})));
}

#[tokio::test]
async fn queues_and_limits() {
    let queue = SenderQueue { every: Duration::from_secs(1), holds: Duration::from_secs(2) };
    let bench = Bench::new(Config { queue, daily: "5/24h".parse().unwrap(), ..quick() }).await;
    let code = |(_, document): (u16, Value)| document["code"].as_u64();
    for expected in [None, None, None, Some(21_611)] {
        assert_eq!(code(bench.text("+34600111222").await), expected);
    }
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(code(bench.text("+34600111222").await), None);
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(code(bench.text("+34600111222").await), None, "what was refused counts nowhere");
    assert_eq!(code(bench.text("+34600111222").await), Some(63_038));
    bench.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(code(bench.text("+34600111222").await), None);
    let account = Bench::new(Config { account: "2/1s".parse().unwrap(), ..quick() }).await;
    for expected in [None, None, Some(63_017)] {
        assert_eq!(code(account.text("+34600111222").await), expected);
    }
}

#[tokio::test]
async fn the_window_and_the_sandbox() {
    let receiver = Receiver::default();
    let config = Config { webhook_url: Some(receiver.start().await), enforce_window: true, ..quick() };
    let bench = Bench::new(config).await;
    let sandbox = ("From", "whatsapp:+14155238886");
    let person = ("To", "whatsapp:+34600111222");
    let last = |receiver: &Receiver| forms(receiver).pop().map(|form| value(&form, "ErrorCode").to_owned());
    for (from, code) in [(FROM, "63016"), (sandbox, "63015")] {
        bench.send(&[from, person, ("Body", "Hola")]).await;
        until(code, || last(&receiver).as_deref() == Some(code)).await;
    }
    let written = Inbound { text: Some("Hola".to_owned()), ..Inbound::default() };
    let sid = bench.sim.inbound(written).unwrap().unwrap();
    until("it is there", || forms(&receiver).iter().any(|form| value(form, "MessageSid") == sid)).await;
    receiver.posts.lock().unwrap().clear();
    bench.send(&[FROM, person, ("Body", "Hola")]).await;
    until("it is read", || forms(&receiver).len() == 3).await;
    assert_eq!(last(&receiver).as_deref(), Some(""));
}

#[tokio::test]
async fn people_send_media_that_can_be_fetched_with_the_token_alone() {
    let receiver = Receiver::default();
    let bench = Bench::new(Config { webhook_url: Some(receiver.start().await), ..quick() }).await;
    let inbound = Inbound {
        text: Some("Fachada".to_owned()),
        media: vec![Media { content_type: "image/jpeg".to_owned(), base64: "Ynl0ZXM=".to_owned() }],
        base_url: Some(bench.sim.url()),
        ..Inbound::default()
    };
    bench.sim.inbound(inbound).unwrap();
    until("it is there", || forms(&receiver).len() == 1).await;
    let form = forms(&receiver).remove(0);
    assert_eq!((value(&form, "NumMedia"), value(&form, "MessageType")), ("1", "image"));
    let url = value(&form, "MediaUrl0");
    assert_eq!(bench.http.get(url).send().await.unwrap().status().as_u16(), 401);
    let fetched = bench.http.get(url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    assert_eq!(fetched.headers()["content-type"], "image/jpeg");
    assert_eq!(&fetched.bytes().await.unwrap()[..], b"bytes");
    for wrong in [
        Inbound::default(),
        Inbound { media: vec![Media { base64: "?".to_owned(), ..Media::default() }], ..Inbound::default() },
    ] {
        assert!(bench.sim.inbound(wrong).is_err());
    }
}

#[tokio::test]
async fn the_list_shows_what_was_accepted() {
    let bench = Bench::new(quick()).await;
    for to in ["+34600111222", "+34600111333", "+34600111222"] {
        bench.text(to).await;
    }
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", bench.sim.url());
    let list = async |query: &str| {
        let request = bench.http.get(format!("{url}?{query}")).basic_auth(ACCOUNT, Some(TOKEN));
        let document: Value = request.send().await.unwrap().json().await.unwrap();
        document["messages"].as_array().map(Vec::len)
    };
    assert_eq!(list("").await, Some(3));
    assert_eq!(list("To=whatsapp%3A%2B34600111222&From=whatsapp%3A%2B15550100200").await, Some(2));
    assert_eq!(list("DateSent%3E=2026-01-01&PageSize=1").await, Some(1));
    assert_eq!(list("DateSent%3E=2026-01-02").await, Some(0));
    assert_eq!(bench.http.get(&url).send().await.unwrap().status().as_u16(), 401);
}
