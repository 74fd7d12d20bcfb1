//! The queue monitor as monitors of such queues know it: the shape, field by field, and the hand on the valve.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::house::{House, message};

/// The shape that is known, with what it said one day.
const KNOWN: &str = r#"{
  "webhook": {"waiting": 0, "active": 2, "completed": 1543, "failed": 12, "delayed": 0},
  "message": {"waiting": 5, "active": 1, "completed": 892, "failed": 3, "delayed": 2},
  "deduplication": {"cachedMessages": 145}
}"#;

/// What is ours beside it.
const OURS: [&str; 5] = ["/asOf", "/deduplication/hits", "/nodes", "/queues", "/spool"];

/// The pointers of all that is in a document, down to `depth`.
fn pointers(value: &Value, at: &str, depth: usize, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if depth > 0 => {
            map.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), depth - 1, found));
        }
        _ => found.push(at.to_owned()),
    }
}

async fn stats(house: &House) -> Value {
    let answer = house.send("GET", "/api/queue-monitor/stats", &house.viewer, None).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json()
}

/// The numbers of one kind, as the shape names them.
fn counts(stats: &Value, kind: &str) -> [u64; 5] {
    ["waiting", "active", "completed", "failed", "delayed"]
        .map(|name| stats[kind][name].as_u64().unwrap_or_else(|| panic!("{kind}.{name}: {stats}")))
}

/// Waits until the numbers of one kind are these.
async fn wait_for(house: &House, kind: &str, expected: [u64; 5]) {
    let mut found = Value::Null;
    for _ in 0..400 {
        found = stats(house).await;
        if counts(&found, kind) == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{kind} is not {expected:?} but {:?}: {found}", counts(&found, kind));
}

/// Bodies with their HMAC-SHA256 under `app-secret-1`.
const EMPTY: (&str, &str) = (
    r#"{"object":"whatsapp_business_account","entry":[]}"#,
    "0ca28c0f1996234eb6829e59ad3c11a18161f6eb043943d601e420c312432cdf",
);
const UNREADABLE: (&str, &str) =
    ("no JSON at all", "405dbcc1b3a09cc937b19de727937194a52aea645fac8b15a868f163ab61f4e2");

async fn webhook(house: &House, (body, signature): (&'static str, &str)) {
    let signature = format!("sha256={signature}");
    let request = Request::post("/webhooks/meta").header("x-hub-signature-256", signature);
    let answer = house.raw(request.body(Body::from(body)).expect("a request")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
}

#[tokio::test]
async fn the_shape_is_the_known_one_and_ours_beside_it() {
    let house = House::open().await;
    let known: Value = serde_json::from_str(KNOWN).expect("JSON");
    let (mut expected, mut found) = (OURS.map(str::to_owned).to_vec(), Vec::new());
    pointers(&known, "", 2, &mut expected);
    let stats = stats(&house).await;
    pointers(&stats, "", 2, &mut found);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for pointer in expected.iter().filter(|pointer| known.pointer(pointer).is_some()) {
        assert!(stats.pointer(pointer).is_some_and(Value::is_u64), "{pointer}: {stats}");
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_paused_waits_and_what_webhooks_brought_is_not_cleared() {
    let house = House::open().await;
    let order = async |method: &str, path: &str| {
        let answer = house.send(method, &format!("/api/queue-monitor/{path}"), &house.admin, None).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        answer.json()
    };
    webhook(&house, EMPTY).await;
    wait_for(&house, "webhook", [0, 0, 1, 0, 0]).await;
    let paused = order("POST", "pause").await;
    let queues = paused["queues"].as_array().expect("queues");
    assert!(queues.contains(&json!("inbound/meta")) && queues.contains(&json!("outbound/demo")), "{paused}");

    webhook(&house, UNREADABLE).await;
    house.post("/api/messages", &message()).await;
    let mut later = message();
    later["scheduledAt"] = json!("2999-01-01T00:00:00Z");
    house.post("/api/messages", &later).await;
    wait_for(&house, "webhook", [1, 0, 1, 0, 0]).await;
    wait_for(&house, "message", [1, 0, 0, 0, 1]).await;
    let refused = house.send("DELETE", "/api/queue-monitor/clear", &house.admin, None).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text());
    assert_eq!(order("DELETE", "clear?confirm=true").await["cleared"], 2);
    wait_for(&house, "webhook", [1, 0, 1, 0, 0]).await;
    wait_for(&house, "message", [0, 0, 0, 0, 0]).await;

    order("POST", "resume").await;
    // What can't be read is a failed webhook.
    wait_for(&house, "webhook", [0, 0, 1, 1, 0]).await;
    house.app.caught_up(std::time::Duration::from_secs(5)).await.expect("caught up");
    let failed = house.get("/api/failed-webhooks").await.json();
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(1), "{failed}");
    house.close().await;
}
