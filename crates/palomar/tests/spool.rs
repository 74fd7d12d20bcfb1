//! A node whose Redis is away: it goes on accepting, shows that it does, and everything is done once when Redis is back.
//!
//! `SPOOL_AWAY` (seconds), `SPOOL_WEBHOOKS` and `SPOOL_POSTS` (a second) set the size; what was seen is printed.

#![allow(clippy::print_stderr, reason = "a trial prints its figures")]

mod common;

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Place, exits};
use palomar_channels::cloud_api::sign::sign;
use palomar_model::{Clock, Secret, Timestamp};
use palomar_sim::cloud_api::{CloudApiSim, Config, PairLimit};
use serde_json::{Value, json};
use tempfile::TempDir;

const APP_SECRET: &str = "app-secret-1";
/// Messages to one person go one after the other: many people make it quick.
const RECIPIENTS: u64 = 2_000;
/// How long nothing may move: far longer than it ever should.
const PATIENCE: Duration = Duration::from_secs(60);

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge of a test")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(since.as_micros() as i64)
    }
}

#[expect(clippy::disallowed_methods, reason = "tests wait for real processes")]
fn instant() -> Instant {
    Instant::now()
}

fn size(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A Redis that keeps what it confirms, and can be ended and started again.
struct Redis {
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Redis {
    fn start() -> Redis {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let process = Redis::spawn(dir.path(), port);
        Redis { dir, port, process }
    }

    fn spawn(dir: &Path, port: u16) -> Child {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(["--port", &port.to_string(), "--dir"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let begun = instant();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "Redis listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        process
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is gone");
    }

    fn start_again(&mut self) {
        self.process = Redis::spawn(self.dir.path(), self.port);
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("there is a kill").success());
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server on a Redis, and a client of it.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    async fn get(&self, path: &str) -> (u16, Value) {
        let asked = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.key).send();
        let answer = asked.await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// A webhook of a person who writes.
    async fn hook(&self, number: u64) -> u16 {
        let from = format!("346{:08}", number % 50);
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
            "field": "messages",
            "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "34911222333", "phone_number_id": "100200300400500"},
                "contacts": [{"profile": {"name": "A"}, "wa_id": from}],
                "messages": [{
                    "from": from, "id": format!("wamid.in{number}"), "timestamp": "1767225600", "type": "text",
                    "text": {"body": format!("in {number}")},
                }],
            },
        }]}]})
        .to_string();
        let signature = sign(&Secret::from(APP_SECRET), body.as_bytes());
        let request = self.http.post(format!("{}/webhooks/line", self.url)).body(body);
        let request =
            request.header("x-hub-signature-256", signature).header("content-type", "application/json");
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn send(&self, number: u64, key: Option<&str>) -> (u16, Value) {
        let to = format!("+346{:08}", 10_000 + number % RECIPIENTS);
        let text = format!("out {number}");
        let body = json!({"channel": "line", "to": to, "type": "text", "content": {"text": text}});
        self.post("/api/messages", &body, key).await
    }

    async fn spool(&self) -> Value {
        let (status, stats) = self.get("/api/queue-monitor/stats").await;
        assert_eq!(status, 200, "{stats}");
        stats["spool"].clone()
    }
}

/// Asks until it is so; fails with what was seen last when nothing moves any more.
async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let (mut last, mut moved) = (String::new(), instant());
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(seen) if seen != last => (last, moved) = (seen, instant()),
            Err(_) => {}
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: nothing has moved for {PATIENCE:?}; last seen: {last}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's client, to this machine only")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client")
}

async fn serve(place: &Place, redis: &Redis, environment: &[(&str, &str)]) -> (common::Server, Client) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("PALOMAR__BROKER__REDIS", redis.url()).env("PALOMAR__SERVER__RATE_LIMIT", "1000000/s");
    command.envs(environment.iter().copied());
    let server = place.start(command, "  Address");
    let key = std::fs::read_to_string(place.path().join("palomar-data/admin.key")).expect("a key");
    let client = Client { http: http(), url: server.url.clone(), key: key.trim().to_owned() };
    (server, client)
}

/// A channel on a simulator that limits nothing.
async fn channel(client: &Client) -> palomar_sim::cloud_api::RunningSim {
    let config = Config {
        app_secret: APP_SECRET.into(),
        throughput: palomar_sim::Windows::off(),
        pair: PairLimit::OFF,
        ..Config::default()
    };
    let sim = CloudApiSim::start(config, Arc::new(SystemClock)).await.expect("a simulator");
    let body = json!({
        "name": "line", "provider": "cloud_api",
        "settings": {"phoneNumberId": "100200300400500", "baseUrl": sim.url()},
        "credentials": {"token": "token-1", "appSecret": APP_SECRET, "verifyToken": "verify-1"},
        "limits": {"profile": "unlimited", "pair": {"intervalSeconds": 0.001, "burst": 1000}},
    });
    let (status, answer) = client.post("/api/channels", &body, None).await;
    assert_eq!(status, 201, "{answer}");
    sim
}

/// Ends streams, where a test fails too.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What a stream of requests met.
#[derive(Default)]
struct Met {
    took: Vec<Duration>,
}

/// Asks so often a second until told to stop; every answer must be `wanted`. Numbers go on from 0.
async fn stream(
    client: Client,
    rate: u64,
    stop: Arc<AtomicBool>,
    wanted: u16,
    ask: impl AsyncFn(&Client, u64) -> u16 + Clone + 'static,
) -> Met {
    let local = tokio::task::LocalSet::new();
    let begun = instant();
    let answers = local
        .run_until(async {
            let (mut number, mut asked) = (0, Vec::new());
            while !stop.load(Relaxed) {
                while number * 1_000 < begun.elapsed().as_millis() as u64 * rate {
                    let (client, ask, n) = (client.clone(), ask.clone(), number);
                    asked.push(tokio::task::spawn_local(async move {
                        let begun = instant();
                        (n, ask(&client, n).await, begun.elapsed())
                    }));
                    number += 1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            futures_util::future::join_all(asked).await
        })
        .await;
    let mut met = Met::default();
    for answer in answers {
        let (n, status, took) = answer.expect("no panic");
        assert_eq!(status, wanted, "request {n}");
        met.took.push(took);
    }
    met.took.sort_unstable();
    met
}

impl Met {
    fn figures(&self) -> String {
        let at =
            |share: usize| self.took.get((self.took.len() * share / 1000).min(self.took.len() - 1)).copied();
        format!("{} answered; p50 {:?}, p99 {:?}, longest {:?}", self.took.len(), at(500), at(990), at(1000))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_everything_is_accepted_and_done_once_when_it_is_back() {
    let away = Duration::from_secs(size("SPOOL_AWAY", 3));
    let (hooks, posts) = (size("SPOOL_WEBHOOKS", 40), size("SPOOL_POSTS", 20));
    let (place, mut redis) = (Place::new(), Redis::start());
    let (server, client) = serve(&place, &redis, &[]).await;
    let sim = channel(&client).await;
    let stop = Arc::new(AtomicBool::new(false));
    let _ends = Stop(Arc::clone(&stop));
    let run = |rate, wanted, hooks: bool| {
        // Each on a thread of its own, with connections of its own: those of a runtime end with it.
        let (client, stop) = (Client { http: http(), ..client.clone() }, Arc::clone(&stop));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(stream(client, rate, stop, wanted, async move |client, n| match hooks {
                true => client.hook(n).await,
                false => client.send(n, None).await.0,
            }))
        })
    };
    let (hooking, posting) = (run(hooks, 200, true), run(posts, 202, false));
    until("some was sent", || async {
        let sent = sim.accepted();
        if sent > 3 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await;
    redis.kill();
    let begun = instant();
    until("the spool shows", || async {
        let spool = client.spool().await;
        let used = spool["items"].as_u64() > Some(0) && spool["queuesAway"].is_string();
        if used { Ok(()) } else { Err(spool.to_string()) }
    })
    .await;
    let (status, ready) = client.get("/readyz").await;
    assert_eq!((status, &ready["status"]), (200, &json!("warn")), "{ready}");
    assert_eq!(ready["checks"]["spool"]["status"], "warn", "{ready}");
    assert_eq!(ready["checks"]["broker"]["status"], "warn", "{ready}");
    let metrics = client.http.get(format!("{}/metrics", client.url)).send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    let items = metrics.lines().find_map(|line| line.strip_prefix("palomar_spool_items "));
    assert!(items.is_some_and(|items| items != "0"), "{metrics}");
    tokio::time::sleep(away.saturating_sub(begun.elapsed())).await;
    let waited = client.spool().await;
    redis.start_again();
    let back = instant();
    until("the spool is handed over", || async {
        let spool = client.spool().await;
        if spool["items"] == 0 && spool["queuesAway"].is_null() { Ok(()) } else { Err(spool.to_string()) }
    })
    .await;
    let drained = back.elapsed();
    stop.store(true, Relaxed);
    let join = |thread: std::thread::JoinHandle<Met>| {
        tokio::task::spawn_blocking(move || thread.join().expect("no panic"))
    };
    let (hooked, posted) = (join(hooking).await.expect("joined"), join(posting).await.expect("joined"));
    eprintln!("away {away:?} at {hooks} webhooks/s and {posts} messages/s: {waited}");
    eprintln!("webhooks: {}\nmessages: {}", hooked.figures(), posted.figures());
    eprintln!("handed over within {drained:?} of the start of Redis, while it went on");
    let posted = posted.took.len();
    until("all is sent", || async {
        let sent = sim.accepted();
        if sent >= posted { Ok(()) } else { Err(format!("{sent} of {posted}")) }
    })
    .await;
    eprintln!("all sent after {:?}", back.elapsed());
    sent_once(&sim, posted);
    let metric = || async {
        let answer = client.http.get(format!("{}/metrics", client.url)).send().await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let read = text.lines().find_map(|line| line.strip_prefix("palomar_webhook_lag_seconds_count "));
        read.and_then(|count| count.parse::<usize>().ok()).unwrap_or_default()
    };
    until("all webhooks are read", || async {
        let read = metric().await;
        if read >= hooked.took.len() { Ok(()) } else { Err(format!("{read} of {}", hooked.took.len())) }
    })
    .await;
    let written = until("all that people wrote is recorded", || async {
        let written = inbound(&client).await;
        if written.len() >= hooked.took.len() { Ok(written) } else { Err(written.len().to_string()) }
    })
    .await;
    assert!(written.values().all(|count| *count == 1) && written.len() == hooked.took.len());
    assert_eq!(server.stop(), Some(0));
}

/// Each message once.
fn sent_once(sim: &palomar_sim::cloud_api::RunningSim, posted: usize) {
    assert!(sim.duplicates().is_empty(), "sent twice: {:?}", sim.duplicates());
    let ledger = sim.ledger(0, posted + 10);
    assert_eq!(ledger.len(), posted);
    let mut texts = HashMap::new();
    for entry in &ledger {
        let body: Value = serde_json::from_str(entry.body.as_ref().expect("kept").get()).expect("JSON");
        let text = body["text"]["body"].as_str().expect("a text").to_owned();
        *texts.entry(text).or_insert(0) += 1;
    }
    for number in 0..posted {
        assert_eq!(texts.get(&format!("out {number}")), Some(&1), "message {number}");
    }
}

/// What people wrote, by text, with how often it is there.
async fn inbound(client: &Client) -> HashMap<String, usize> {
    let (mut written, mut cursor) = (HashMap::new(), String::new());
    loop {
        let path = format!("/api/messages?channel=line&direction=inbound&limit=200{cursor}");
        let (status, page) = client.get(&path).await;
        assert_eq!(status, 200, "{page}");
        for item in page["items"].as_array().into_iter().flatten() {
            *written.entry(item["content"].to_string()).or_insert(0) += 1;
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return written,
        }
    }
}

/// A Redis that hangs, keys that are repeated, a node that is killed with a full spool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_while_redis_hangs_hands_over_after_its_next_start() {
    let (place, redis) = (Place::new(), Redis::start());
    let limits = [("PALOMAR__BROKER__SPOOL_LIMIT", "1 MiB")];
    let (server, client) = serve(&place, &redis, &limits).await;
    let sim = channel(&client).await;
    let (status, before) = client.send(0, Some("key-0")).await;
    assert_eq!(status, 202, "{before}");
    until("the first is sent", || async {
        let (_, message) =
            client.get(&format!("/api/messages/{}", before["id"].as_str().expect("an id"))).await;
        // What has been sent has no attempt that the stop of Redis could leave in doubt.
        if message["status"] == "sent" { Ok(()) } else { Err(message.to_string()) }
    })
    .await;
    // Nobody leases what is to come: an attempt that a hung Redis starts for a process that is gone is uncertain until its
    // lease ends, as any that is killed.
    let (status, paused) = client.post("/api/queue-monitor/pause", &json!({}), None).await;
    assert_eq!(status, 200, "{paused}");
    redis.signal("-STOP");
    let (status, first) = client.send(1, Some("key-1")).await;
    assert_eq!(status, 202, "{first}");
    let (status, again) = client.send(1, Some("key-1")).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]), "{again}");
    let (status, other) = client.send(2, Some("key-1")).await;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency_mismatch")), "{other}");
    // What only Redis can know is told when it is back.
    let (status, copy) = client.send(3, Some("key-0")).await;
    assert_eq!(status, 202, "{copy}");
    assert_ne!(copy["id"], before["id"]);
    // Controls need Redis: they are refused, and nobody waits for them.
    let (status, refused) = client.post("/api/queue-monitor/pause", &json!({}), None).await;
    assert_eq!((status, &refused["code"]), (503, &json!("unavailable")), "{refused}");
    // Beyond the bound nothing is accepted.
    let mut accepted = 2;
    let long = "x".repeat(4_000);
    let refused = loop {
        let to = format!("+346{accepted:08}");
        let body = json!({"channel": "line", "to": to, "type": "text", "content": {"text": long}});
        let (status, answer) = client.post("/api/messages", &body, None).await;
        if status != 202 {
            assert_eq!(status, 503, "{answer}");
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1_000, "1 MiB is full by then");
    };
    assert_eq!(refused["code"], "spool_full", "{refused}");
    let (status, ready) = client.get("/readyz").await;
    assert_eq!((status, &ready["checks"]["spool"]["status"]), (503, &json!("fail")), "{ready}");
    server.kill();
    redis.signal("-CONT");

    let (server, client) = serve(&place, &redis, &limits).await;
    until("the spool is handed over", || async {
        let spool = client.spool().await;
        if spool["items"] == 0 { Ok(()) } else { Err(spool.to_string()) }
    })
    .await;
    let (status, again) = client.send(1, Some("key-1")).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]), "{again}");
    let (status, resumed) = client.post("/api/queue-monitor/resume", &json!({}), None).await;
    assert_eq!(status, 200, "{resumed}");
    let failed = until("the copy has failed", || async {
        let id = copy["id"].as_str().expect("an id");
        let (_, message) = client.get(&format!("/api/messages/{id}")).await;
        if message["status"] == "failed" { Ok(message) } else { Err(message.to_string()) }
    })
    .await;
    assert!(failed.to_string().contains("its request had come before with another body"), "{failed}");
    until("all is sent", || async {
        let sent = sim.accepted();
        if sent == accepted { Ok(()) } else { Err(format!("{sent} of {accepted}")) }
    })
    .await;
    assert!(sim.duplicates().is_empty(), "{:?}", sim.duplicates());
    assert_eq!(server.stop(), Some(0));
    exits(&place.command(&["store", "check", "--records"]).output().expect("it runs"), 0);
}
