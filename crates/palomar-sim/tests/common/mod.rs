//! What the tests share: a client, a webhook receiver, recorded payloads. All over real HTTP.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use palomar_model::{ManualClock, Timestamp};
use palomar_sim::Windows;
use palomar_sim::cloud_api::{CloudApiSim, Config, PairLimit, RunningSim};
use serde_json::{Value, json};

pub const PHONE: &str = "100200300400500";
pub const START: i64 = 1_767_225_600;

/// A simulator, its clock, and a client.
pub struct Bench {
    pub sim: RunningSim,
    pub clock: Arc<ManualClock>,
    pub http: reqwest::Client,
}

/// No limits: the clock stands still in tests.
pub fn unlimited() -> Config {
    Config { throughput: Windows::off(), pair: PairLimit::OFF, ..Config::default() }
}

#[allow(clippy::disallowed_methods, reason = "a test's own client")]
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Bench {
    pub async fn new(config: Config) -> Bench {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(START)));
        let sim = CloudApiSim::start(config, clock.clone()).await.unwrap();
        Bench { sim, clock, http: client() }
    }

    pub async fn send(&self, body: &Value) -> (u16, Value) {
        self.send_as(PHONE, "token", body).await
    }

    pub async fn send_as(&self, phone: &str, token: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v25.0/{phone}/messages", self.sim.url());
        let response = self.http.post(url).bearer_auth(token).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sim.url());
        self.http.get(url).bearer_auth("token").send().await.unwrap().json().await.unwrap()
    }

    pub async fn control(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sim.url());
        let response = self.http.post(url).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn faults(&self, faults: Value) {
        let (status, answer) = self.control("/_sim/faults", &json!({ "faults": faults })).await;
        assert_eq!(status, 200, "{answer}");
    }
}

pub fn text(to: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "Hola"}})
}

pub fn tagged(to: &str, tag: &str) -> Value {
    let mut message = text(to);
    message["biz_opaque_callback_data"] = json!(tag);
    message
}

/// All recorded payloads of a folder under `tests/fixtures/cloud-api`, by file name.
pub fn recorded(folder: &str) -> Vec<(String, Value)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/cloud-api").join(folder);
    let mut files: Vec<(String, Value)> = std::fs::read_dir(root)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

/// A webhook endpoint that keeps what it gets.
#[derive(Clone, Default)]
pub struct Receiver {
    pub posts: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// So many POSTs are refused with 503 first.
    pub refuse: Arc<AtomicU32>,
}

impl Receiver {
    /// Starts listening; answers its URL.
    pub async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/webhooks/main", listener.local_addr().unwrap());
        let router = Router::new().route("/webhooks/main", post(Receiver::take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn take(State(this): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let refuse = this.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refuse.is_ok() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        this.posts.lock().unwrap().push((headers, body));
        StatusCode::OK
    }

    /// All `statuses[]` so far, in order of arrival.
    pub fn statuses(&self) -> Vec<Value> {
        self.values()
            .iter()
            .flat_map(|value| value["statuses"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// All `value` objects so far.
    pub fn values(&self) -> Vec<Value> {
        let posts = self.posts.lock().unwrap();
        let parsed = posts.iter().map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap());
        parsed
            .flat_map(|post| post["entry"][0]["changes"].as_array().cloned().unwrap_or_default())
            .map(|change| change["value"].clone())
            .collect()
    }
}

/// Waits until `done` holds, at most ten seconds.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}
