//! Every bad input has its answer: a table.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::house::{House, message};

/// The good message with some members changed.
fn but(changes: Value) -> String {
    let mut message = message();
    let (Value::Object(members), Value::Object(changes)) = (&mut message, changes) else {
        unreachable!("objects")
    };
    members.extend(changes);
    message.to_string()
}

#[tokio::test]
async fn bad_messages() {
    let house = House::open().await;
    let three_too_many: Vec<_> =
        (0..6).map(|n| json!({"id": n.to_string(), "title": format!("B{n}")})).collect();
    let buttons = json!({"type": "interactive", "channel": "meta",
        "content": {"type": "button", "body": "?", "action": {"buttons": three_too_many}}});
    let deep = format!("{{\"metadata\":{}{}", "[".repeat(200), "]".repeat(200));
    let oversized = but(json!({"content": {"text": "x".repeat(1024 * 1024)}}));
    let long = json!({"channel": "meta", "content": {"text": "x".repeat(5000)}});
    let cases: Vec<(&str, Vec<u8>, u16, &str, &str)> = vec![
        ("nothing", b"".into(), 400, "not_json", ""),
        ("not JSON", b"to=1&text=2".into(), 400, "not_json", ""),
        ("half a document", b"{\"to\":".into(), 400, "not_json", ""),
        ("bad UTF-8", b"{\"to\":\"\xff\"}".into(), 400, "bad_utf8", ""),
        ("deep nesting", deep.into(), 400, "too_deep", ""),
        ("oversized", oversized.into(), 413, "too_large", ""),
        ("an array", b"[]".into(), 422, "invalid", ""),
        ("wrong type", but(json!({"content": {"text": 7}})).into(), 422, "invalid", "/content/text"),
        ("wrong type of a name", but(json!({"channel": 7})).into(), 422, "invalid", "/channel"),
        ("an unknown field", but(json!({"chanel": "demo"})).into(), 422, "invalid", "/chanel"),
        (
            "an unknown field inside",
            but(json!({"content": {"text": "a", "txet": "b"}})).into(),
            422,
            "invalid",
            "/content/txet",
        ),
        ("an unknown channel", but(json!({"channel": "nowhere"})).into(), 422, "invalid", "/channel"),
        ("no channel among several", but(json!({"channel": null})).into(), 422, "invalid", "/channel"),
        ("a bad number", but(json!({"to": "12"})).into(), 422, "invalid", "/to"),
        ("no recipient", but(json!({"to": null})).into(), 422, "invalid", "/to"),
        ("no words", but(json!({"content": {"text": " "}})).into(), 422, "invalid", "/content/text"),
        ("text too long", but(long).into(), 422, "invalid", "/content/text"),
        ("too many buttons", but(buttons).into(), 422, "invalid", "/content/action/buttons"),
        ("an unknown priority", but(json!({"priority": "now"})).into(), 422, "invalid", "/priority"),
        ("no time", but(json!({"scheduledAt": "tomorrow"})).into(), 422, "invalid", "/scheduledAt"),
        (
            "an end in the past",
            but(json!({"expiresAt": "2020-01-01T00:00:00Z"})).into(),
            422,
            "invalid",
            "/expiresAt",
        ),
        ("an id that is none", but(json!({"id": "7"})).into(), 422, "invalid", "/id"),
        (
            "the older form, bad priority",
            json!({"instanceName": "demo", "recipientPhone": "+34600111222",
            "content": {"text": "a"}, "metadata": {"priority": "urgent"}})
            .to_string()
            .into(),
            422,
            "invalid",
            "/metadata/priority",
        ),
    ];
    for (name, body, status, code, pointer) in cases {
        let answer = house.upload("/api/messages", "application/json", body).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), &problem["code"]), (status, &json!(code)), "{name}: {problem}");
        if !pointer.is_empty() {
            let errors = problem["errors"].as_array().expect("errors");
            assert!(errors.iter().any(|error| error["pointer"] == pointer), "{name}: {problem}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn bad_requests() {
    let house = House::open().await;
    let id = "01900000-0000-7000-8000-000000000000";
    let secret = json!({"name": "x", "provider": "cloud_api", "settings": {"phoneNumberId": 1}, "credentials": {"token": "hunter2"}});
    for (method, path, body, status, code) in [
        ("GET", "/nowhere", None, 404, "no_route"),
        ("GET", "/api/nowhere", None, 404, "no_route"),
        ("PUT", "/api/messages", Some(message()), 405, "method_not_allowed"),
        ("POST", "/api/messages?dryRun=1", Some(message()), 400, "bad_query"),
        ("GET", "/api/messages?limit=0", None, 400, "bad_query"),
        ("GET", "/api/messages?limit=201", None, 400, "bad_query"),
        ("GET", "/api/messages?staus=sent", None, 400, "bad_query"),
        ("GET", "/api/messages?status=gone", None, 400, "bad_query"),
        ("GET", "/api/messages?to=12", None, 400, "bad_query"),
        ("GET", "/api/messages?from=yesterday", None, 400, "bad_query"),
        ("GET", "/api/messages?cursor=%F0%9F%95%8A", None, 422, "invalid"),
        ("GET", "/api/messages/7", None, 400, "bad_id"),
        ("GET", "/api/messages/..%2F..%2Fetc%2Fpasswd", None, 400, "bad_id"),
        ("GET", "/api/messages/%FF", None, 400, "bad_id"),
        ("GET", &format!("/api/messages/{id}"), None, 404, "not_found"),
        ("GET", &format!("/api/messages/{id}/explain"), None, 404, "not_found"),
        ("DELETE", &format!("/api/messages/{id}"), None, 404, "not_found"),
        ("POST", &format!("/api/messages/{id}/settle"), Some(json!({"outcome": "lost"})), 422, "invalid"),
        ("POST", &format!("/api/messages/{id}/settle"), Some(json!({})), 422, "invalid"),
        ("DELETE", "/api/queue-monitor/clear", None, 400, "confirm_required"),
        ("DELETE", "/api/queue-monitor/clear?confirm=perhaps", None, 400, "bad_query"),
        ("POST", "/api/queue-monitor/pause?queue=nowhere", None, 404, "not_found"),
        ("POST", "/api/queue-monitor/pause", Some(json!({"reson": "x"})), 422, "invalid"),
        ("POST", "/api/queue-monitor/clean", Some(json!({"olderThan": "soon"})), 422, "invalid"),
        ("DELETE", "/api/dead-letters", None, 400, "confirm_required"),
        ("POST", "/api/dead-letters/retry", Some(json!({"ids": [id], "queue": "demo"})), 422, "invalid"),
        ("GET", "/api/channels/Nowhere!", None, 404, "not_found"),
        ("POST", "/api/channels", Some(json!({"name": "x", "provider": "pigeon"})), 422, "invalid"),
        ("POST", "/api/channels", Some(json!({"name": "demo", "provider": "sandbox"})), 409, "exists"),
        ("POST", "/api/channels", Some(secret.clone()), 422, "invalid"),
        ("PATCH", "/api/channels/demo", Some(json!({"limits": {"windows": [{"max": 1}]}})), 422, "invalid"),
        ("POST", "/api/keys", Some(json!({"name": "x", "role": "king"})), 422, "invalid"),
        (
            "POST",
            "/api/keys",
            Some(json!({"name": "x", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"})),
            422,
            "invalid",
        ),
        ("DELETE", "/api/keys/none", None, 404, "not_found"),
        ("DELETE", "/api/keys/..", None, 400, "bad_id"),
    ] {
        let answer = house.send(method, path, &house.admin, body.as_ref()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (status, &json!(code)),
            "{method} {path}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("hunter2"), "{method} {path}");
    }
    let allowed = house.send("PUT", "/api/messages", &house.admin, None).await;
    assert_eq!(allowed.header("allow"), "POST, GET, HEAD");
    let form = house.upload("/api/messages", "application/x-www-form-urlencoded", "to=1").await;
    assert_eq!((form.status.as_u16(), &form.json()["code"]), (415, &json!("unsupported_media_type")));
    house.close().await;
}

#[tokio::test]
async fn refusals_of_types_name_what_was_meant() {
    let house = House::open().await;
    for (path, body, pointer, detail) in [
        (
            "/api/channels",
            json!({"name": "x", "provder": "sandbox"}),
            "/provder",
            "is not known here; did you mean `provider`?",
        ),
        (
            "/api/keys",
            json!({"name": "x", "role": "operater"}),
            "/role",
            "must be one of viewer, operator, admin; did you mean `operator`?",
        ),
        ("/api/keys", json!({"name": "x"}), "/role", "is missing"),
        (
            "/api/channels",
            json!({"name": "x", "provider": "sandbox", "limits": {"windows": [{"max": "1", "perSeconds": 1}]}}),
            "/limits/windows/0/max",
            "must be a whole number within bounds, not a string",
        ),
    ] {
        let answer = house.send("POST", path, &house.admin, Some(&body)).await;
        assert_eq!(answer.json()["errors"], json!([{"pointer": pointer, "detail": detail}]), "{path} {body}");
    }
    house.close().await;
}

#[tokio::test]
async fn idempotency_keys() {
    let house = House::open().await;
    let send = async |key: &str, body: String| {
        let request = Request::post("/api/messages").header("content-type", "application/json");
        let request = request
            .header("authorization", format!("Bearer {}", house.operator))
            .header("idempotency-key", key);
        house.raw(request.body(Body::from(body)).expect("a request")).await
    };
    let first = send("\"order-1\"", but(json!({}))).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (202, ""));
    let again = send("order-1", but(json!({}))).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(first.body, again.body);
    let other = send("order-1", but(json!({"content": {"text": "other"}}))).await;
    assert_eq!((other.status.as_u16(), &other.json()["code"]), (422, &json!("idempotency_mismatch")));
    let long = "k".repeat(256);
    for bad in ["\"open", "", &*long] {
        assert_eq!(send(bad, but(json!({}))).await.json()["code"], "bad_idempotency_key", "{bad}");
    }
    // What was refused is not remembered: put right, it goes through.
    assert_eq!(send("order-2", but(json!({"to": "12"}))).await.status.as_u16(), 422);
    assert_eq!(send("order-2", but(json!({}))).await.status.as_u16(), 202);
    house.close().await;
}
