//! Keys, roles, channels, allowances.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use palomar_api::{ApiConfig, RateLimit};
use serde_json::{Value, json};

use crate::house::{House, message};

fn code(answer: &crate::house::Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn nobody_gets_in_without_a_key() {
    let house = House::open().await;
    for header in [None, Some("Bearer wrong"), Some("Bearer"), Some("Basic YTpi"), Some("")] {
        let request = Request::get("/api/messages");
        let request =
            header.map_or(Request::get("/api/messages"), |value| request.header("authorization", value));
        let answer = house.raw(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(code(&answer), (401, "unauthenticated".to_owned()), "{header:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    house.close().await;
}

#[tokio::test]
async fn expired_and_revoked_keys() {
    let house = House::open().await;
    let end = house.app.now().after(Duration::from_secs(60));
    let body = json!({"name": "short", "role": "viewer", "expiresAt": end.to_string()});
    let created = house.send("POST", "/api/keys", &house.admin, Some(&body)).await;
    assert_eq!(created.status.as_u16(), 201);
    let secret = created.json()["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(house.send("GET", "/api/messages", &secret, None).await.status.as_u16(), 200);
    house.clock.travel(Duration::from_secs(61));
    assert_eq!(
        code(&house.send("GET", "/api/messages", &secret, None).await),
        (401, "key_expired".to_owned())
    );

    let created = house
        .send("POST", "/api/keys", &house.admin, Some(&json!({"name": "b", "role": "viewer"})))
        .await
        .json();
    let (id, secret) =
        (created["id"].as_str().expect("an id"), created["secret"].as_str().expect("a secret"));
    assert_eq!(house.send("GET", "/api/messages", secret, None).await.status.as_u16(), 200);
    assert_eq!(
        house.send("DELETE", &format!("/api/keys/{id}"), &house.admin, None).await.status.as_u16(),
        200
    );
    assert_eq!(
        code(&house.send("GET", "/api/messages", secret, None).await),
        (401, "key_revoked".to_owned())
    );
    let listed = house.get("/api/keys").await;
    assert!(!listed.text().contains(secret), "secrets are shown once");
    house.close().await;
}

#[tokio::test]
async fn roles() {
    let house = House::open().await;
    for (key, method, path, body, status) in [
        (&house.viewer, "GET", "/api/messages", None, 200),
        (&house.viewer, "GET", "/api/queue-monitor/stats", None, 200),
        (&house.viewer, "POST", "/api/messages", Some(message()), 403),
        (&house.viewer, "POST", "/api/queue-monitor/pause", None, 403),
        (&house.viewer, "GET", "/api/keys", None, 403),
        (&house.operator, "POST", "/api/messages", Some(message()), 202),
        (&house.operator, "POST", "/api/channels", Some(json!({"name": "x", "provider": "sandbox"})), 403),
        (&house.operator, "DELETE", "/api/queue-monitor/clear?confirm=true", None, 403),
        (&house.admin, "POST", "/api/queue-monitor/pause", None, 200),
        (&house.admin, "POST", "/api/queue-monitor/resume", None, 200),
    ] {
        let answer = house.send(method, path, key, body.as_ref()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
    }
    house.close().await;
}

#[tokio::test]
async fn keys_bound_to_a_channel_see_no_other() {
    let house = House::open().await;
    let other = house.post("/api/messages", &message()).await.json();
    let id = other["id"].as_str().expect("an id").to_owned();
    let body = json!({"name": "bound", "role": "admin", "channels": ["meta"]});
    let created = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let key = created["secret"].as_str().expect("a secret");
    for (method, path, body, status) in [
        ("GET", format!("/api/messages/{id}"), None, 404),
        ("DELETE", format!("/api/messages/{id}"), None, 404),
        ("GET", "/api/channels/demo".to_owned(), None, 404),
        ("PATCH", "/api/channels/demo".to_owned(), Some(json!({})), 404),
        ("POST", "/api/channels/demo/pause".to_owned(), None, 404),
        ("POST", "/api/channels/demo/test".to_owned(), None, 404),
        ("POST", "/api/queue-monitor/pause?queue=outbound/demo".to_owned(), None, 404),
        ("POST", "/api/queue-monitor/pause".to_owned(), None, 403),
        ("DELETE", "/api/queue-monitor/clear?queue=demo&confirm=true".to_owned(), None, 404),
        ("POST", "/api/queue-monitor/clean".to_owned(), Some(json!({"queue": "demo"})), 403),
        ("POST", "/api/keys".to_owned(), Some(json!({"name": "more", "role": "admin"})), 403),
        ("POST", "/api/messages".to_owned(), Some(message()), 422),
        ("GET", "/api/channels/meta".to_owned(), None, 200),
        ("POST", "/api/queue-monitor/pause?queue=meta".to_owned(), None, 200),
    ] {
        let answer = house.send(method, &path, key, body.as_ref()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
    }
    let names = |answer: Value, list: &str, name: &str| {
        let items = answer[list].as_array().expect("a list").iter();
        items.map(|item| item[name].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let channels = house.send("GET", "/api/channels", key, None).await.json();
    assert_eq!(names(channels, "items", "name"), ["meta"]);
    let stats = house.send("GET", "/api/queue-monitor/stats", key, None).await.json();
    assert!(names(stats, "queues", "queue").iter().all(|queue| queue.ends_with("/meta")));
    let messages = house.send("GET", "/api/messages?channel=demo", key, None).await.json();
    assert_eq!(messages["items"], json!([]));
    house.close().await;
}

#[tokio::test]
async fn pages_of_other_origins_call_where_they_may() {
    let page = "https://crm.example.org";
    let origins = |all: &[&str]| all.iter().map(|origin| (*origin).to_owned()).collect();
    for (allowed, expected) in
        [(&[][..], ""), (&["https://other.example.org"], ""), (&[page], page), (&["*"], "*")]
    {
        let house = House::open_with(ApiConfig { cors_origins: origins(allowed), ..ApiConfig::new(1) }).await;
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).header("origin", page);
            let request = request.header("access-control-request-method", "POST");
            request
                .header("access-control-request-headers", "authorization")
                .body(Body::empty())
                .expect("a request")
        };
        for request in [
            ask("OPTIONS", "/api/messages"),
            ask("GET", "/healthz"),
            ask("GET", "/socket.io/?EIO=4&transport=polling"),
        ] {
            let what = request.uri().to_string();
            let answer = house.stream(request).await;
            let header =
                |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().expect("text"));
            assert_eq!(header("access-control-allow-origin"), expected, "{what} {allowed:?}");
            assert_eq!(header("access-control-allow-credentials"), "");
            let let_in = expected.is_empty() || answer.status().is_success();
            assert!(let_in, "{what} {allowed:?}: {}", answer.status());
        }
        house.close().await;
    }
}

#[tokio::test]
async fn an_allowance_is_told_and_kept() {
    let rate_limit = Some(RateLimit { requests: 6, per: Duration::from_secs(3600) });
    let house = House::open_with(ApiConfig { rate_limit, ..ApiConfig::new(1) }).await;
    for left in (0..6).rev() {
        let answer = house.send("GET", "/api/channels", &house.viewer, None).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=6;w=3600");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"default\";r={left};t=")),
            "{:?}",
            answer.headers
        );
    }
    let answer = house.send("GET", "/api/channels", &house.viewer, None).await;
    assert_eq!(code(&answer), (429, "rate_limited".to_owned()));
    assert!(
        answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 500),
        "{:?}",
        answer.headers
    );
    assert_eq!(
        house.send("GET", "/api/channels", &house.operator, None).await.status.as_u16(),
        200,
        "keys have their own"
    );
    house.close().await;
}
