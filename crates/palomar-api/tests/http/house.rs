//! An installation with a sandbox channel `demo`, a Cloud API channel `meta`, and a key of each role.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use palomar_api::{ApiConfig, router};
use palomar_app::{
    App, AppConfig, ConsentWords, MediaConfig, Metrics, NewKey, Providers, Role, StoreReading,
};
use palomar_broker::{Broker, EmbeddedBroker, EmbeddedConfig};
use palomar_model::{Clock, IdGenerator, Timestamp};
use palomar_records::Records;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::contract::Contract;

/// The system's time, and an offset to travel with.
#[derive(Default)]
pub(crate) struct TravelClock(AtomicI64);

impl TravelClock {
    pub(crate) fn travel(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).expect("a short way"), Ordering::SeqCst);
    }
}

impl Clock for TravelClock {
    #[expect(clippy::disallowed_methods, reason = "the edge of these tests")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(
            i64::try_from(since.as_micros()).expect("before 9999") + self.0.load(Ordering::SeqCst),
        )
    }
}

pub(crate) struct House {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<TravelClock>,
    pub(crate) admin: String,
    pub(crate) operator: String,
    pub(crate) viewer: String,
    broker: Arc<EmbeddedBroker>,
    router: Router,
    contract: Contract,
    _dir: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl House {
    pub(crate) async fn open() -> House {
        House::open_with(ApiConfig::new(7)).await
    }

    pub(crate) async fn open_with(config: ApiConfig) -> House {
        House::open_for(config, palomar_app::MOST_CLIENTS).await
    }

    /// With so many that may follow events at once.
    pub(crate) async fn open_for(config: ApiConfig, realtime_clients: usize) -> House {
        House::open_in(tempfile::tempdir().expect("a directory"), config, realtime_clients).await
    }

    /// With what is in a directory already.
    pub(crate) async fn open_in(dir: tempfile::TempDir, config: ApiConfig, realtime_clients: usize) -> House {
        let travel = Arc::new(TravelClock::default());
        let clock: Arc<dyn Clock> = travel.clone();
        let readers = vec![palomar_records::PROJECTION.to_owned()];
        let settings = EmbeddedConfig { readers, ..EmbeddedConfig::in_dir(dir.path()) };
        let broker = Arc::new(EmbeddedBroker::open(settings, clock.clone()).expect("a broker"));
        let records = Records::open(dir.path(), clock.now()).expect("records");
        let providers = Arc::new(Providers::new(clock.clone()).expect("providers"));
        let shared: Arc<dyn Broker> = broker.clone();
        let ids = Arc::new(IdGenerator::new(7));
        let media = MediaConfig::open(&dir.path().join("media"), "here", None).expect("a media directory");
        let consent = ConsentWords::new("baja", "alta");
        let settings = AppConfig { consent, media: Some(media), realtime_clients, ..AppConfig::default() };
        let app = App::start(settings, shared, records, providers, clock, ids, Metrics::default());
        let app = app.await.expect("started");
        let seen = broker.clone();
        app.observe_store(Box::new(move || StoreReading { meters: seen.meters(), failure: seen.failure() }));
        let key = async |name: &str, role| {
            let key = NewKey { name: name.to_owned(), role, channels: None, expires_at: None };
            app.create_key(key).await.expect("a key").secret
        };
        let admin = key("boss", Role::Admin).await;
        let operator = key("shop", Role::Operator).await;
        let viewer = key("guest", Role::Viewer).await;
        let router = router(app.clone(), config);
        let house = House {
            contract: Contract::of(&router).await,
            app,
            clock: travel,
            admin,
            operator,
            viewer,
            broker,
            router,
            _dir: dir,
        };
        house.add_channels().await;
        house
    }

    /// Where media are kept.
    pub(crate) fn media_dir(&self) -> std::path::PathBuf {
        self._dir.path().join("media")
    }

    async fn add_channels(&self) {
        let demo = json!({"name": "demo", "provider": "sandbox", "settings": {"deliveredAfterMs": 20, "readAfterMs": 40}});
        let meta = json!({"name": "meta", "provider": "cloud_api", "settings": {"phoneNumberId": "100200300400500"},
            "credentials": {"token": "t", "appSecret": "app-secret-1", "verifyToken": "word"}});
        for channel in [demo, meta] {
            let answer = self.send("POST", "/api/channels", &self.admin, Some(&channel)).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        }
    }

    /// Takes the queues away.
    pub(crate) async fn close_queues(&self) {
        self.broker.close().await.expect("closed");
    }

    pub(crate) async fn close(self) {
        self.app.shutdown(Duration::from_secs(5)).await;
        self.broker.close().await.expect("closed");
    }

    /// A request with a key and, where there is one, a JSON body.
    pub(crate) async fn send(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        self.raw(request.expect("a request")).await
    }

    /// A request with the operator's key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &self.operator, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &self.admin, None).await
    }

    /// Any request with the operator's key.
    pub(crate) async fn upload(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", kind);
        let request = request.header("authorization", format!("Bearer {}", self.operator));
        self.raw(request.body(body.into()).expect("a request")).await
    }

    /// Serves on a port of this machine, until the house is dropped; its address.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(palomar_api::serve(
            listener,
            self.router.clone(),
            tokio_util::sync::CancellationToken::new(),
        ));
        format!("http://{address}")
    }

    /// A request whose answer does not end.
    pub(crate) async fn stream(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    /// Any request. What every answer must have is checked here.
    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body").to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        self.check(&method, &path, &answer);
        answer
    }

    fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let kind = answer.header("content-type");
        if answer.status.as_u16() >= 400 && !kind.starts_with("text/html") && path != "/readyz" {
            assert_eq!(kind, "application/problem+json", "{method} {path}: {}", answer.text());
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status.as_u16());
            assert_eq!(problem["instance"], path);
            assert_eq!(problem["requestId"], answer.header("x-request-id"));
            assert!(
                problem["code"].is_string() && problem["detail"].is_string() && problem["title"].is_string()
            );
        } else if kind == "application/json" && path != "/api/openapi.json" {
            self.contract.check(method, path, answer.status, &answer.json());
        }
    }
}

/// A message that is good.
pub(crate) fn message() -> Value {
    json!({"channel": "demo", "to": "+34600111222", "type": "text", "content": {"text": "Hola"}})
}
