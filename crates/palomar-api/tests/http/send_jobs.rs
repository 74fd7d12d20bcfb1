//! Send jobs over HTTP: every body is what the document says, and what is wrong is said.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn post(house: &House, path: &str, body: Value) -> Answer {
    house.send("POST", path, &house.operator, Some(&body)).await
}

async fn until(house: &House, path: &str, status: &str) -> Value {
    for _ in 0..400 {
        let job = house.get(path).await.json();
        if job["status"] == status && job["progress"]["processed"] == job["progress"]["total"] {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it does not end: {}", house.get(path).await.text());
}

#[tokio::test]
async fn a_send_job_from_its_request_to_its_end() {
    let house = House::open().await;
    let body = json!({ "browserContextId": "demo", "delay": 1, "messages": [
        { "to": "+34600111222", "message": "Mensaje 1" },
        { "to": "+34600111223", "type": "text", "content": { "text": "Mensaje 2" }, "priority": "high" },
    ] });
    let made = post(&house, "/api/send-jobs", body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["kind"], &made["delayMs"], &made["progress"]["total"]),
        (&json!("bulk"), &json!(1), &json!(2))
    );
    let path = format!("/api/send-jobs/{}", made["id"].as_str().expect("an id"));
    let done = until(&house, &path, "completed").await;
    assert_eq!((&done["progress"]["percentage"], &done["progress"]["waiting"]), (&json!(100.0), &json!(0)));
    let single = json!({ "channel": "demo", "to": "+34600111222", "message": "Hola", "metadata": { "priority": "high" } });
    let single = post(&house, "/api/send-jobs", single).await.json();
    assert_eq!(single["kind"], "single");
    until(&house, &format!("/api/send-jobs/{}", single["id"].as_str().expect("an id")), "completed").await;
    let listed = house.get("/api/send-jobs?status=completed,failed&channel=demo&limit=1").await.json();
    assert_eq!((&listed["items"][0]["id"], listed["nextCursor"].is_string()), (&single["id"], true));
    let stats = house.get("/api/send-jobs/stats").await.json();
    assert_eq!(
        (&stats["messageQueue"]["completed"], &stats["bulkMessageQueue"]["concurrency"]),
        (&json!(1), &json!(5))
    );
    let refused = post(&house, &format!("{path}/pause"), json!({})).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text());
    let cleaned = house.send("DELETE", "/api/send-jobs?olderThanMs=0", &house.operator, None).await;
    assert_eq!((cleaned.status.as_u16(), cleaned.json()), (200, json!({ "removed": 2 })));
    assert_eq!(house.get(&path).await.status.as_u16(), 404);
    house.close().await;
}

#[tokio::test]
async fn orders_hold_and_what_is_wrong_is_said() {
    let house = House::open().await;
    let rows: Vec<Value> =
        (0..3).map(|n| json!({ "to": format!("+3460011122{n}"), "message": "x" })).collect();
    let made =
        post(&house, "/api/send-jobs", json!({ "channel": "demo", "delayMs": 60_000, "messages": rows }))
            .await;
    let path = format!("/api/send-jobs/{}", made.json()["id"].as_str().expect("an id"));
    for (order, status) in [("pause", "paused"), ("resume", "pending"), ("cancel", "cancelled")] {
        let answer = post(&house, &format!("{path}/{order}"), json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["status"]),
            (200, &json!(status)),
            "{}",
            answer.text()
        );
    }
    until(&house, &path, "cancelled").await;
    for (body, pointer) in [
        (json!({ "channel": "demo" }), "/messages"),
        (json!({ "channel": "nobody", "to": "+34600111222", "message": "x" }), "/channel"),
        (json!({ "channel": "demo", "messages": [{ "to": "x", "message": "x" }] }), "/messages/0/to"),
    ] {
        let answer = post(&house, "/api/send-jobs", body).await;
        assert_eq!(answer.status.as_u16(), 422, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text());
    }
    assert_eq!(house.get("/api/send-jobs?status=sleeping").await.status.as_u16(), 400);
    house.close().await;
}
