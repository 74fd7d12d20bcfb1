//! Alerts over HTTP: listed, shown, known by somebody.

use palomar_records::{AlertChange, AlertRecord};
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn alerts_are_listed_shown_and_known() {
    let house = House::open().await;
    assert_eq!(house.get("/api/alerts").await.json()["items"], json!([]));
    let now = house.app.now();
    let alert = |n: u32| AlertRecord {
        id: format!("alert_{n}"),
        rule: "breaker_open".to_owned(),
        subject: format!("outbound/line{n}"),
        severity: "critical".to_owned(),
        detail: "the circuit breaker is open".to_owned(),
        fired_at: now,
        resolved_at: None,
        acked_at: None,
        acked_by: None,
    };
    let over = AlertChange::Resolved("breaker_open".to_owned(), "outbound/line1".to_owned());
    // The second time it is the same.
    let found =
        vec![AlertChange::Fired(alert(1)), over, AlertChange::Fired(alert(2)), AlertChange::Fired(alert(2))];
    house.app.records().note_alerts(found, now).await.expect("kept");
    for (path, ids) in [
        ("/api/alerts", json!(["alert_2", "alert_1"])),
        ("/api/alerts?state=firing", json!(["alert_2"])),
        ("/api/alerts?state=resolved", json!(["alert_1"])),
    ] {
        let list = house.get(path).await.json();
        let found: Vec<_> = list["items"].as_array().expect("items").iter().map(|one| &one["id"]).collect();
        assert_eq!(json!(found), ids, "{path}");
    }
    assert_eq!(house.get("/api/alerts?state=loud").await.status.as_u16(), 400);
    assert_eq!(house.get("/api/alerts/alert_9").await.status.as_u16(), 404);
    assert_eq!(house.get("/api/alerts/alert_2").await.json()["state"], "firing");
    let path = "/api/alerts/alert_2/ack";
    assert_eq!(house.send("POST", path, &house.viewer, None).await.status.as_u16(), 403);
    let known = house.send("POST", path, &house.operator, None).await.json();
    assert_eq!(known["acknowledgedBy"], "shop");
    let again = house.send("POST", path, &house.admin, None).await.json();
    assert_eq!(again["acknowledgedBy"], "shop", "the first stays");
    house.close().await;
}
