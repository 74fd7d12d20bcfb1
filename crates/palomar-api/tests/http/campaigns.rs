//! Campaigns over HTTP: every body is what the document says, and what is wrong is said.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn post(house: &House, path: &str, body: Value) -> Answer {
    house.send("POST", path, &house.operator, Some(&body)).await
}

async fn done(house: &House, path: &str) -> Value {
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let status = house.get(&format!("{path}/queue-status")).await.json();
        if status["status"]["status"] == "finished" {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it does not end");
}

#[tokio::test]
async fn a_campaign_from_its_draft_to_its_report() {
    let house = House::open().await;
    let body = json!({"name": "Verano", "channel": "demo", "contacts": [{"phone": "+34600111222", "name": "Lucía"}, "12"],
        "variants": [{"name": "corta", "message": "Hola {{name|tú}}"}, {"name": "larga", "message": "Muy buenas {{name|tú}}"}]});
    let answer = post(&house, "/api/campaigns", body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let made = answer.json();
    assert_eq!((&made["status"], &made["contacts"]), (&json!("draft"), &json!(2)));
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    let more =
        post(&house, &format!("{path}/contacts"), json!({"contacts": ["+34600111223", "+34600111222"]}))
            .await;
    assert_eq!(more.json(), json!({"added": 1, "leftOut": 0, "duplicates": 1}));
    let preview = post(&house, &format!("{path}/preview"), json!({"limit": 5})).await.json();
    assert!(
        preview["items"][0]["content"]["text"].as_str().is_some_and(|text| text.contains("Lucía")),
        "{preview}"
    );
    assert_eq!(preview["items"][1]["leftOut"], "invalid_number");
    let dry = post(&house, &format!("{path}/dry-run?limit=3"), json!({})).await.json();
    assert_eq!((&dry["wouldSend"], &dry["leftOut"]), (&json!(2), &json!({"invalid_number": 1})));
    let tried =
        post(&house, &format!("{path}/test"), json!({"to": ["+34600999888"], "variant": "corta"})).await;
    assert_eq!((tried.status.as_u16(), &tried.json()["items"][0]["status"]), (200, &json!("queued")));
    let started = post(&house, &format!("{path}/start"), json!({})).await;
    assert_eq!((started.status.as_u16(), &started.json()["estimatedContacts"]), (200, &json!(2)));
    let status = done(&house, &path).await;
    assert_eq!(status["success"], true);
    assert_eq!(
        status["status"]["progress"],
        json!({"processed": 3, "total": 3, "success": 2, "failed": 0, "percentage": 100})
    );
    let report = house.get(&format!("{path}/report")).await.json();
    assert_eq!((&report["sent"], report["variants"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    let results = house.get(&format!("{path}/recipients?limit=2")).await.json();
    assert!(results["nextCursor"].is_string() && results["items"][1]["status"] == "left_out", "{results}");
    let metrics = house.get("/api/dashboard/campaign-queue-metrics").await.json();
    assert_eq!(metrics["metrics"]["system"]["campaignsProcessed"], 1);
    let list = house.get("/api/campaigns?status=finished&channel=demo").await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let patched = house.send("PATCH", &path, &house.operator, Some(&json!({"name": "Otoño"}))).await;
    assert_eq!((patched.status.as_u16(), &patched.json()["code"]), (409, &json!("wrong_state")));
    assert_eq!(house.send("DELETE", &path, &house.operator, None).await.status.as_u16(), 204);
    assert_eq!(house.get(&path).await.status.as_u16(), 404);
}

#[tokio::test]
async fn an_audience_is_who_the_filter_means() {
    let house = House::open().await;
    for (phone, name) in [("+34600111222", "Lucía"), ("+34600111223", "Mateo")] {
        let body = json!({"channel": "demo", "to": phone, "text": format!("echo soy {name}")});
        assert_eq!(post(&house, "/api/messages", body).await.status.as_u16(), 202);
    }
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let known = house.get("/api/messages?direction=inbound").await.json();
        if known["items"].as_array().is_some_and(|items| items.len() == 2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let made = post(&house, "/api/campaigns", json!({"name": "x", "channel": "demo", "message": "Hola"}))
        .await
        .json();
    let path = format!("/api/campaigns/{}/contacts", made["id"].as_str().expect("an id"));
    let all = post(&house, &path, json!({"audience": {"all": true}})).await;
    assert_eq!(all.json(), json!({"added": 2, "leftOut": 0, "duplicates": 0}), "{}", all.text());
    let some = post(&house, &path, json!({"audience": {"filter": "last_seen >= 1d ago"}})).await;
    assert_eq!(some.json(), json!({"added": 0, "leftOut": 0, "duplicates": 2}), "{}", some.text());
    for body in [
        json!({"audience": {"filter": "city = "}}),
        json!({"audience": {"segment": "nobody"}}),
        json!({"audience": {"all": false}}),
        json!({}),
        json!({"contacts": [], "audience": {"all": true}}),
    ] {
        assert_eq!(post(&house, &path, body.clone()).await.status.as_u16(), 422, "{body}");
    }
}

#[tokio::test]
async fn refusals_say_where_and_why() {
    let house = House::open().await;
    for (body, pointer) in [
        (json!({"message": "Hola"}), "/name"),
        (json!({"name": "x", "mesage": "Hola"}), "/mesage"),
        (json!({"name": "x", "channel": "demo", "message": "Hola {{"}), "/message"),
        (
            json!({"name": "x", "channel": "demo", "message": "Hola", "hours": {"from": "20:00", "until": "09:00"}}),
            "/hours",
        ),
        (
            json!({"name": "x", "channel": "demo", "message": "Hola", "contacts": [{"name": "y"}]}),
            "/contacts/0",
        ),
    ] {
        let answer = post(&house, "/api/campaigns", body.clone()).await;
        let problem = answer.json();
        assert_eq!(answer.status.as_u16(), 422, "{body}: {problem}");
        let found = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(found.is_empty() || found.starts_with(pointer), "{pointer} in {problem}");
    }
    assert_eq!(house.get("/api/campaigns?status=flying").await.status.as_u16(), 400);
    let made = post(&house, "/api/campaigns", json!({"name": "x", "channel": "demo", "message": "Hola"}))
        .await
        .json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    for order in ["start", "queue-pause", "queue-resume", "queue-stop"] {
        let answer = post(&house, &format!("{path}/{order}"), json!({})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (409, &json!("wrong_state")), "{order}");
    }
    let viewer = house.send("POST", &format!("{path}/start"), &house.viewer, Some(&json!({}))).await;
    assert_eq!(viewer.status.as_u16(), 403);
}
