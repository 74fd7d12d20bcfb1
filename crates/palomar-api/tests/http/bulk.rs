//! Many messages in one request.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::Request;
use futures_util::stream;
use serde_json::{Value, json};

use crate::house::{House, message};

const BULK: &str = "/api/messages/bulk";

fn rows(lines: &[Value]) -> Vec<(u64, Value)> {
    lines.iter().map(|line| (line["row"].as_u64().unwrap_or(0), line["error"]["code"].clone())).collect()
}

#[tokio::test]
async fn an_array_is_answered_by_an_array() {
    let house = House::open().await;
    let bad = json!({"channel": "demo", "to": "12", "text": "x"});
    let answer = house.post(BULK, &json!([message(), bad, message()])).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let lines = answer.json();
    let lines = lines.as_array().expect("an array");
    assert_eq!(rows(lines), [(1, Value::Null), (2, json!("invalid")), (3, Value::Null)]);
    assert_eq!(lines[1]["error"]["errors"][0]["pointer"], "/to");
    let many: Vec<_> = (0..1001).map(|_| message()).collect();
    let answer = house.post(BULK, &json!(many)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (413, &json!("too_large")));
    house.close().await;
}

#[tokio::test]
async fn csv_rows_are_answered_with_their_lines() {
    let house = House::open().await;
    let csv = "\u{feff}recipientPhone;content.text;priority\r\n+34600111222;\"Hola; tú\";high\r\n\r\n12;x;\r\n+34600111223;y;soon\r\n+34600111224;z;low\r\n";
    let answer = house.upload(&format!("{BULK}?channel=demo"), "text/csv; charset=utf-8", csv).await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let lines = answer.lines();
    assert_eq!(
        rows(&lines),
        [(1, Value::Null), (2, json!("invalid")), (3, json!("invalid")), (4, Value::Null)]
    );
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().expect("a line")).collect();
    assert_eq!(numbers, [2, 4, 5, 6]);
    assert_eq!(lines[2]["error"]["errors"][0]["pointer"], "/priority");
    assert!(!answer.text().contains("soon"), "values are not repeated");
    let id = lines[0]["id"].as_str().expect("an id");
    let shown = house.get(&format!("/api/messages/{id}")).await.json();
    assert_eq!((&shown["content"]["text"], &shown["priority"]), (&json!("Hola; tú"), &json!("high")));
    house.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_whole_upload() {
    let house = House::open().await;
    for (kind, path, body, status, code) in [
        ("text/csv", BULK, "text\nHola\n", 422, "missing_column"),
        ("text/csv", BULK, "", 422, "missing_column"),
        ("text/csv", BULK, "to,txt\n1,Hola\n", 422, "unknown_column"),
        ("text/csv", "/api/messages/bulk?chanel=demo", "to,text\n1,Hola\n", 400, "bad_query"),
        ("application/json", BULK, "{}", 422, "invalid"),
        ("application/json", BULK, "[", 400, "not_json"),
        ("text/plain", BULK, "Hola", 415, "unsupported_media_type"),
    ] {
        let answer = house.upload(path, kind, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{kind} {body}");
    }
    assert_eq!(house.upload(BULK, "application/x-ndjson", "").await.lines(), Vec::<Value>::new());
    house.close().await;
}

#[tokio::test]
async fn a_long_stream_goes_through_and_may_be_repeated() {
    let house = House::open().await;
    let paused = house.send("POST", "/api/channels/demo/pause", &house.admin, None).await;
    assert_eq!(paused.status.as_u16(), 200);
    let upload = async |bad: &'static str| {
        let line = move |n: usize| match n {
            700 => format!("{bad}\n"),
            n => format!("{{\"to\":\"+34600{:06}\",\"text\":\"n{n}\"}}\n", 111_000 + n),
        };
        let pieces = stream::iter((0..1300).map(move |n| Ok::<_, Infallible>(line(n))));
        let request =
            Request::post(format!("{BULK}?channel=demo")).header("content-type", "application/x-ndjson");
        let request = request
            .header("authorization", format!("Bearer {}", house.operator))
            .header("idempotency-key", "up-1");
        house.raw(request.body(Body::from_stream(pieces)).expect("a request")).await.lines()
    };
    let first = upload("{\"to\":").await;
    assert_eq!(first.len(), 1300);
    assert!(first.iter().zip(1..).all(|(line, n)| line["row"] == n), "in order");
    let refused: Vec<_> =
        first.iter().filter(|line| line["id"].is_null()).map(|line| line["row"].clone()).collect();
    assert_eq!(refused, [701]);
    // The same again, with the bad row put right: nothing is queued twice, the row is taken.
    let again = upload("{\"to\":\"+34600222333\",\"text\":\"right\"}").await;
    let same =
        first.iter().zip(&again).filter(|(one, other)| one["id"] == other["id"] && other["replayed"] == true);
    assert_eq!(same.count(), 1299);
    assert!(again[700]["id"].is_string() && again[700]["replayed"].is_null());
    let stats = house.get("/api/queue-monitor/stats").await.json();
    assert_eq!(stats["message"]["waiting"], 1300);
    house.close().await;
}

#[tokio::test]
async fn a_whole_upload_may_be_repeated_and_a_changed_row_is_refused() {
    let house = House::open().await;
    let csv = |second: &str| format!("to;text\n+34600111222;Hola\n+34600111223;{second}\n+34600111224;Hey\n");
    let ndjson = |second: &str| {
        let row = |to: &str, text: &str| json!({"to": to, "text": text}).to_string();
        [row("+34600111232", "Hola"), row("+34600111233", second), row("+34600111234", "Hey")].join("\n")
    };
    for (kind, bodies) in
        [("text/csv", [csv("Aló"), csv("Otra")]), ("application/x-ndjson", [ndjson("Aló"), ndjson("Otra")])]
    {
        let upload = async |body: &str| {
            let request = Request::post(format!("{BULK}?channel=demo"))
                .header("content-type", kind)
                .header("authorization", format!("Bearer {}", house.operator))
                .header("idempotency-key", format!("upload {kind}"));
            let request = request.body(Body::from(body.to_owned())).expect("a request");
            house.raw(request).await.lines()
        };
        let ids = |lines: &[Value]| lines.iter().map(|line| line["id"].clone()).collect::<Vec<_>>();
        let first = upload(&bodies[0]).await;
        assert!(ids(&first).iter().all(Value::is_string), "{first:?}");
        let again = upload(&bodies[0]).await;
        assert_eq!(ids(&again), ids(&first));
        assert!(again.iter().all(|line| line["replayed"] == true), "{again:?}");

        let changed = upload(&bodies[1]).await;
        assert_eq!(rows(&changed), [(1, Value::Null), (2, json!("idempotency_mismatch")), (3, Value::Null)]);
        assert_eq!(changed[1]["error"]["status"], 422, "{changed:?}");
        assert_eq!((&changed[0]["id"], &changed[2]["id"]), (&first[0]["id"], &first[2]["id"]));
    }
    let caught_up = house.app.caught_up(std::time::Duration::from_secs(5)).await;
    caught_up.expect("caught up");
    let all = house.get("/api/messages?limit=50").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(6));
    house.close().await;
}
