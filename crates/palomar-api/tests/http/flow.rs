//! What goes well: from a message that is queued to the pages that show it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use palomar_api::{ApiConfig, OneTimeLink};
use serde_json::{Value, json};

use crate::house::{House, message};

async fn state_of(house: &House, id: &str) -> String {
    house.get(&format!("/api/messages/{id}")).await.json()["status"].as_str().unwrap_or_default().to_owned()
}

async fn wait_for(house: &House, id: &str, state: &str) {
    for _ in 0..400 {
        if state_of(house, id).await == state {
            house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not {state} in time but {}", state_of(house, id).await);
}

async fn queued(house: &House, body: &Value) -> String {
    let answer = house.post("/api/messages", body).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("/api/messages/{id}"));
    id
}

#[tokio::test]
async fn both_forms_are_sent_and_shown() {
    let house = House::open().await;
    let older = json!({"instanceName": "demo", "recipientPhone": "34 600 111 222", "messageType": "text",
        "content": {"text": "Hola"}, "metadata": {"priority": "high", "order": 7}});
    for body in [message(), older] {
        let id = queued(&house, &body).await;
        wait_for(&house, &id, "read").await;
        let shown = house.get(&format!("/api/messages/{id}")).await.json();
        assert_eq!((&shown["to"], &shown["direction"]), (&json!("+34600111222"), &json!("outbound")));
        assert!(shown["timeline"].as_array().is_some_and(|timeline| timeline.len() >= 3), "{shown}");
        let why = house.get(&format!("/api/messages/{id}/explain")).await.json();
        assert_eq!((&why["status"], &why["holds"]), (&json!("read"), &json!([])));
        let late = house.send("DELETE", &format!("/api/messages/{id}"), &house.operator, None).await;
        assert_eq!((late.status.as_u16(), &late.json()["code"]), (409, &json!("wrong_state")));
    }
    house.close().await;
}

#[tokio::test]
async fn lists_have_pages_that_link() {
    let house = House::open().await;
    for n in 0..5 {
        queued(&house, &json!({"channel": "demo", "to": "+34600111222", "text": format!("n{n}")})).await;
    }
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    let mut path = "/api/messages?limit=2&channel=demo&direction=out".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = house.get(&path).await;
        let page = answer.json();
        seen.extend(
            page["items"].as_array().expect("items").iter().map(|item| item["content"]["text"].clone()),
        );
        let Some(link) =
            answer.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""))
        else {
            assert_eq!(page["nextCursor"], Value::Null);
            break;
        };
        path = link.to_owned();
    }
    assert_eq!(seen, ["n4", "n3", "n2", "n1", "n0"]);
    assert_eq!(house.get("/api/messages?q=n3").await.json()["items"].as_array().map(Vec::len), Some(1));
    house.close().await;
}

#[tokio::test]
async fn what_waits_is_explained_promoted_and_cancelled() {
    let house = House::open().await;
    let due = house.app.now().after(Duration::from_secs(3600)).to_string();
    let body = json!({"channel": "demo", "to": "+34600111222", "text": "later", "scheduledAt": due});
    let (one, other) = (queued(&house, &body).await, queued(&house, &body).await);
    assert_eq!(state_of(&house, &one).await, "scheduled");
    let why = house.get(&format!("/api/messages/{one}/explain")).await.json();
    assert_eq!(why["holds"][0]["kind"], "scheduled", "{why}");
    let promoted = house.post(&format!("/api/messages/{one}/promote"), &json!({})).await;
    assert_eq!(promoted.status.as_u16(), 200, "{}", promoted.text());
    wait_for(&house, &one, "read").await;
    let cancelled = house.send("DELETE", &format!("/api/messages/{other}"), &house.operator, None).await;
    assert_eq!(cancelled.json(), json!({"id": other, "status": "cancelled"}));
    house.close().await;
}

#[tokio::test]
async fn queues_are_paused_cleared_and_resumed() {
    let house = House::open().await;
    let paused = house
        .send("POST", "/api/queue-monitor/pause?queue=demo", &house.admin, Some(&json!({"reason": "lunch"})))
        .await;
    assert_eq!(paused.json()["queues"], json!(["outbound/demo"]));
    let id = queued(&house, &message()).await;
    let why = house.get(&format!("/api/messages/{id}/explain")).await.json();
    assert_eq!(why["holds"][0]["kind"], "paused", "{why}");
    let stats = house.get("/api/queue-monitor/stats").await.json();
    assert_eq!((&stats["message"]["waiting"], &stats["webhook"]["waiting"]), (&json!(1), &json!(0)));
    let channel = house.get("/api/channels/demo").await.json();
    assert_eq!((&channel["paused"], &channel["state"]), (&json!("lunch"), &json!("paused")));
    let cleared =
        house.send("DELETE", "/api/queue-monitor/clear?queue=demo&confirm=true", &house.admin, None).await;
    assert_eq!(cleared.json()["cleared"], 1);
    wait_for(&house, &id, "cancelled").await;
    let resumed = house.send("POST", "/api/queue-monitor/resume", &house.admin, None).await;
    assert_eq!(resumed.status.as_u16(), 200);
    let cleaned =
        house.send("POST", "/api/queue-monitor/clean", &house.admin, Some(&json!({"olderThan": "0s"}))).await;
    assert_eq!(cleaned.status.as_u16(), 200, "{}", cleaned.text());
    house.close().await;
}

/// Waits until the queue has given up a message; records may say so of an earlier attempt.
async fn wait_for_dead_letter(house: &House, id: &str) {
    for _ in 0..400 {
        let listed = house.get("/api/dead-letters?channel=demo").await.json();
        if listed["items"][0]["id"] == id {
            assert_eq!(listed["items"][0]["state"], "dead", "{listed}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no dead letter in time");
}

#[tokio::test]
async fn dead_letters_are_listed_retried_and_purged() {
    let house = House::open().await;
    let dead = json!({"channel": "demo", "to": "+34600000001", "text": "x"});
    let id = queued(&house, &dead).await;
    wait_for(&house, &id, "failed").await;
    wait_for_dead_letter(&house, &id).await;
    let unknown = "01900000-0000-7000-8000-000000000000";
    let retried = house.post("/api/dead-letters/retry", &json!({"ids": [id, unknown]})).await.json();
    assert_eq!(retried, json!({"retried": 1, "refused": [unknown]}));
    wait_for_dead_letter(&house, &id).await;
    for other in [json!({"reason": "no such words"}), json!({"reason": "recipient", "channel": "meta"})] {
        let retried = house.post("/api/dead-letters/retry", &other).await.json();
        assert_eq!(retried["retried"], 0, "{other}");
    }
    let retried = house.post("/api/dead-letters/retry", &json!({"reason": "recipient: "})).await.json();
    assert_eq!(retried["retried"], 1);
    wait_for_dead_letter(&house, &id).await;
    let retried = house.post("/api/dead-letters/retry", &json!({"queue": "demo"})).await.json();
    assert_eq!(retried["retried"], 1);
    wait_for_dead_letter(&house, &id).await;
    let purge = "/api/dead-letters?confirm=true&queue=demo";
    let purged = house.send("DELETE", &format!("{purge}&reason=nothing"), &house.admin, None).await;
    assert_eq!(purged.json(), json!({"purged": 0}));
    let purged = house.send("DELETE", &format!("{purge}&id={unknown}"), &house.admin, None).await;
    assert_eq!(purged.json(), json!({"purged": 0}));
    let listed = house.get(&format!("/api/dead-letters?id={id}")).await.json();
    assert_eq!(listed["items"][0]["id"], json!(id));
    // One that was queued at its own time was not queued before it.
    let queued = listed["items"][0]["enqueuedAt"].as_str().expect("a time");
    let earlier = house.get(&format!("/api/dead-letters?before={queued}")).await.json();
    assert_eq!(earlier["items"], json!([]));
    let purged = house.send("DELETE", &format!("{purge}&id={id}"), &house.admin, None).await;
    assert_eq!(purged.json(), json!({"purged": 1}));
    let listed = house.get("/api/dead-letters").await.json();
    assert_eq!(listed["items"], json!([]));
    house.close().await;
}

#[tokio::test]
async fn channels_are_changed_and_removed() {
    let house = House::open().await;
    let limits = json!({"limits": {"windows": [{"max": 5, "perSeconds": 1}], "concurrency": 3}});
    let changed = house.send("PATCH", "/api/channels/demo", &house.admin, Some(&limits)).await.json();
    assert_eq!(changed["effectiveLimits"]["concurrency"], 3);
    let meta = house.get("/api/channels/meta").await;
    assert!(!meta.text().contains("app-secret-1"), "credentials never come out");
    let tested = house.send("POST", "/api/channels/demo/test", &house.operator, None).await;
    assert_eq!(tested.json()["ok"], true);
    assert_eq!(house.send("POST", "/api/channels/demo/pause", &house.admin, None).await.status.as_u16(), 200);
    queued(&house, &message()).await;
    let busy = house.send("DELETE", "/api/channels/demo", &house.admin, None).await;
    assert_eq!(busy.status.as_u16(), 409, "{}", busy.text());
    assert_eq!(
        house.send("POST", "/api/channels/demo/resume", &house.admin, None).await.status.as_u16(),
        200
    );
    assert_eq!(house.send("DELETE", "/api/channels/meta", &house.admin, None).await.status.as_u16(), 204);
    assert_eq!(house.get("/api/channels/meta").await.status.as_u16(), 404);
    house.close().await;
}

#[tokio::test]
async fn a_repeated_creation_is_answered_again() {
    let house = House::open().await;
    let create = async |body: &Value| {
        let request = Request::post("/api/keys").header("authorization", format!("Bearer {}", house.admin));
        let request = request.header("content-type", "application/json").header("idempotency-key", "k1");
        house.raw(request.body(Body::from(body.to_string())).expect("a request")).await
    };
    let body = json!({"name": "twice", "role": "viewer"});
    let (first, again) = (create(&body).await, create(&body).await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!((first.body, again.header("idempotency-replayed")), (again.body.clone(), "true"));
    let other = create(&json!({"name": "other", "role": "viewer"})).await;
    assert_eq!(other.json()["code"], "idempotency_mismatch");
    house.close().await;
}

#[tokio::test]
async fn pages_health_and_metrics() {
    let login = Some(Arc::new(OneTimeLink::new("right")) as _);
    let house = House::open_with(ApiConfig { login, ..ApiConfig::new(1) }).await;
    for path in ["/", "/api/docs"] {
        let page = house.get(path).await;
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
    let looked_at = Request::head("/login?token=right").body(Body::empty()).expect("a request");
    assert_eq!(house.raw(looked_at).await.status.as_u16(), 200, "a look does not use the link up");
    for (token, status) in [("wrong", 410), ("right", 200), ("right", 410)] {
        assert_eq!(house.get(&format!("/login?token={token}")).await.status.as_u16(), status, "{token}");
    }
    assert_eq!(house.get("/healthz").await.json(), json!({"status": "pass"}));
    let ready = house.get("/readyz").await;
    assert_eq!(ready.status.as_u16(), 200);
    for check in ["broker", "records", "projections"] {
        assert_eq!(ready.json()["checks"][check]["status"], "pass", "{}", ready.text());
    }
    // The disk that tests run on may be nearly full.
    assert_ne!(ready.json()["checks"]["disk"]["status"], "fail", "{}", ready.text());
    let metrics = house.get("/metrics").await.text();
    for line in [
        "palomar_http_requests_total{route=\"/login\",method=\"GET\",status=\"410\"} 2",
        "palomar_http_requests_in_flight 1",
        "palomar_http_request_duration_seconds_count{route=\"/readyz\",method=\"GET\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let echoed =
        Request::get("/healthz").header("x-request-id", "my-id.1").body(Body::empty()).expect("a request");
    assert_eq!(house.raw(echoed).await.header("x-request-id"), "my-id.1");
    let forged =
        Request::get("/healthz").header("x-request-id", "a b").body(Body::empty()).expect("a request");
    assert_ne!(house.raw(forged).await.header("x-request-id"), "a b");
    house.app.set_draining();
    assert_eq!(house.get("/readyz").await.status.as_u16(), 503);
    assert_eq!(house.get("/healthz").await.status.as_u16(), 200);
    house.close().await;
}
