//! Campaigns that repeat: a run for each occurrence, whatever was missed, by the clocks of a zone.

use std::time::Duration;

use palomar_model::Timestamp;
use serde_json::{Value, json};

use crate::house::House;

const HOUR: Duration = Duration::from_secs(3600);

/// All campaigns but the one that repeats, once there are so many and all are as `status` says; the newest first.
async fn runs(house: &House, of: &Value, many: usize, status: &str) -> Vec<Value> {
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let list = house.get("/api/campaigns").await.json();
        let mut runs = list["items"].as_array().expect("items").clone();
        runs.retain(|one| one["id"] != *of);
        if runs.len() == many && runs.iter().all(|run| run["status"] == status) {
            return runs;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {}", house.get("/api/campaigns").await.text());
}

fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

#[tokio::test]
async fn each_occurrence_is_a_campaign_and_what_was_missed_is_made_up_for_once() {
    let house = House::open().await;
    let body = json!({"name": "Cada hora", "channel": "demo", "message": "Hola {{name|tú}}",
        "contacts": [{"phone": "+34600111222", "name": "Lucía"}, "12"], "repeat": {"cron": "0 * * * *"}});
    let made = house.post("/api/campaigns", &body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    let made = made.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    assert_eq!(made["status"], "scheduled", "{made}");
    let first = time(&made["scheduledAt"]);
    assert!(first > house.app.now() && first.since(house.app.now()) <= HOUR);
    let refused = house.post(&format!("{path}/start"), &json!({})).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text());

    house.clock.travel(HOUR);
    let one = runs(&house, &made["id"], 1, "finished").await.remove(0);
    assert_eq!(one["plan"]["runOf"], json!({"campaign": made["id"], "at": first}), "{one}");
    assert_eq!((&one["contacts"], &one["plan"]["repeat"]), (&json!(2), &Value::Null));
    let report =
        house.get(&format!("/api/campaigns/{}/report", one["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&report["sent"], &report["leftOut"]), (&json!(1), &json!({"invalid_number": 1})));

    // Nothing ran for two days.
    house.clock.travel(48 * HOUR);
    let two = runs(&house, &made["id"], 2, "finished").await;
    let newest = two.iter().map(|run| time(&run["plan"]["runOf"]["at"])).max().expect("one");
    assert!(house.app.now().since(newest) <= HOUR, "that of the newest: {newest}");
    let waits = house.get(&path).await.json();
    assert_eq!(waits["status"], "scheduled");
    assert_eq!(time(&waits["scheduledAt"]), newest.after(HOUR));
    let ended = json!({"repeat": null});
    let patched = house.send("PATCH", &path, &house.operator, Some(&ended)).await.json();
    assert_eq!((&patched["status"], &patched["plan"]["repeat"]), (&json!("draft"), &Value::Null));
    house.clock.travel(5 * HOUR);
    runs(&house, &made["id"], 2, "finished").await;
}

#[tokio::test]
async fn one_that_is_too_late_waits_for_a_person_and_the_last_is_the_last() {
    let house = House::open().await;
    let until = house.app.now().after(30 * HOUR);
    let body = json!({"name": "Cada día", "channel": "demo", "message": "Hola", "contacts": ["+34600111222"],
        "maxLatenessSeconds": 60, "repeat": {"cron": "30 */6 * * *", "timeZone": "America/Lima", "until": until}});
    let made = house.post("/api/campaigns", &body).await.json();
    // Between two occurrences, an hour after the last of them.
    let first = time(&made["scheduledAt"]);
    house.clock.travel(first.since(house.app.now()) + HOUR);
    let late = runs(&house, &made["id"], 1, "paused").await.remove(0);
    assert_eq!(late["pauseCause"], "late", "{late}");
    house.clock.travel(48 * HOUR);
    runs(&house, &made["id"], 2, "paused").await;
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    assert_eq!(house.get(&path).await.json()["status"], "draft", "there is no occurrence any more");
    let again = json!({"repeat": {"at": "09:00", "until": "2020-01-01T00:00:00Z"}});
    let refused = house.send("PATCH", &path, &house.operator, Some(&again)).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/repeat/until", "{}", refused.text());
}

#[tokio::test]
async fn a_time_stays_where_nothing_ever_repeated() {
    let house = House::open().await;
    let at = house.app.now().after(5 * HOUR);
    let body = json!({"name": "Una vez", "channel": "demo", "message": "Hola", "contacts": ["+34600111222"],
        "scheduledAt": at});
    let made = house.post("/api/campaigns", &body).await.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    let nothing = json!({"repeat": null, "name": "Una sola vez"});
    let patched = house.send("PATCH", &path, &house.operator, Some(&nothing)).await.json();
    assert_eq!((&patched["status"], &patched["scheduledAt"]), (&json!("scheduled"), &json!(at)), "{patched}");
}
