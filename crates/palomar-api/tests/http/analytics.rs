//! Analytics as a program asks for them: every answer is what the document says, and what is wrong is told.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::house::{House, message};

/// Waits until a message is counted as sent.
async fn sent(house: &House) -> Value {
    loop {
        let counts = house.get("/api/analytics/messages?period=day").await.json();
        if counts["sent"] == 1 {
            return counts;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_is_in_every_answer() {
    let house = House::open().await;
    assert_eq!(house.post("/api/messages", &message()).await.status, StatusCode::ACCEPTED);
    let counts = sent(&house).await;
    assert_eq!((&counts["accepted"], &counts["attempts"]), (&json!(1), &json!(1)), "{counts}");
    for path in ["messages?groupBy=channel", "conversations?zone=Europe/Madrid", "conversions", "campaigns"] {
        let answer = house.get(&format!("/api/analytics/{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
    let performance = house.get("/api/analytics/performance?period=day").await.json();
    assert_eq!(performance["times"]["accepted_to_sent"]["count"], 1, "{performance}");
    let series = house.get("/api/analytics/timeseries?metric=sent&period=day&bucket=minute").await.json();
    let points = series["series"][0]["points"].as_array().expect("points").clone();
    assert_eq!(points.iter().filter(|point| point["value"] == 1.0).count(), 1, "{series}");
    let times =
        house.get("/api/analytics/timeseries?metric=queue_wait&percentile=50&groupBy=type").await.json();
    assert_eq!((&times["series"][0]["group"], &times["percentile"]), (&json!("text"), &json!(50)), "{times}");
    let top = house.get("/api/analytics/top-conversations?limit=3").await.json();
    assert_eq!((&top["items"][0]["sent"], &top["items"][0]["received"]), (&json!(1), &json!(0)), "{top}");
    let report = house.get("/api/analytics/report?period=month&compare=true").await.json();
    assert_eq!(report["messages"]["sent"], 1, "{report}");
    assert_eq!(report["previous"]["messages"]["sent"], 0, "{report}");
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let house = House::open().await;
    for (path, status, told) in [
        ("timeseries?metric=sents", 422, "is not known: there are accepted, sent,"),
        ("timeseries?period=month&bucket=minute", 422, "the finest is 15m"),
        ("timeseries?period=year&bucket=15m", 422, "more than 10000 stretches"),
        ("timeseries?bucket=fortnight", 400, "must be minute, 15m, hour, day, week or month"),
        ("messages?groupBy=colour", 400, "must be channel, campaign, template, type, country or priority"),
        ("messages?zone=Mars/Olympus", 400, "is not a time zone"),
        ("messages?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "is not before to"),
        ("messages?from=2099-01-01T00:00:00Z", 422, "is in the future"),
        ("report?period=fortnight", 422, "must be day, week, month, year"),
    ] {
        let answer = house.get(&format!("/api/analytics/{path}")).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert!(answer.text().contains(told), "{path}: {}", answer.text());
    }
    let answer = house.send("DELETE", "/api/analytics?confirm=true&olderThan=1", &house.admin, None).await;
    assert!(answer.text().contains("at least 9 days"), "{}", answer.text());
    let cleaned = house.send("DELETE", "/api/analytics?confirm=true", &house.admin, None).await;
    assert_eq!(cleaned.json(), json!({"forgotten": 0}));
}

#[tokio::test]
async fn conversions_and_events_count_once() {
    let house = House::open().await;
    let sale =
        json!({"id": "order-1", "kind": "sale", "value": 49.9, "currency": "eur", "to": "+34600111222"});
    let kept = house.post("/api/analytics/conversions", &sale).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text());
    assert_eq!((&kept.json()["value"], &kept.json()["attributed"]), (&json!(49.9), &json!(false)));
    assert_eq!(house.post("/api/analytics/conversions", &sale).await.json()["repeated"], true);
    let other = json!({"id": "order-1", "kind": "sale", "value": 50, "currency": "EUR"});
    let refused = house.post("/api/analytics/conversions", &other).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("conversion_differs"))
    );
    house.post("/api/analytics/conversions", &json!({"kind": "sale", "value": 10, "currency": "USD"})).await;
    let unknown = json!({"kind": "lead", "messageId": "01890a5d-ac96-774b-bcce-b302099a8057"});
    let lead = house.post("/api/analytics/conversions", &unknown).await.json();
    assert_eq!((&lead["attributed"], &lead["value"]), (&json!(false), &json!(null)), "{lead}");
    assert_eq!(
        (&lead["messageId"], &lead["awaitedMessageId"]),
        (&json!(null), &unknown["messageId"]),
        "{lead}"
    );
    let items = house.get("/api/analytics/conversions?period=day").await.json()["items"].clone();
    let sums: Vec<_> =
        items.as_array().expect("items").iter().map(|one| (&one["currency"], &one["count"])).collect();
    assert_eq!(sums.len(), 3, "currencies are never added up: {items}");
    for (body, pointer) in [
        (json!({"kind": ""}), "/kind"),
        (json!({"kind": "sale", "value": 3}), "/currency"),
        (json!({"kind": "sale", "value": 3, "currency": "euros"}), "/currency"),
        (json!({"kind": "sale", "value": 1e12, "currency": "EUR"}), "/value"),
        (json!({"kind": "sale", "at": "2099-01-01T00:00:00Z"}), "/at"),
        (json!({"kind": "sale", "to": "nobody"}), "/to"),
    ] {
        let refused = house.post("/api/analytics/conversions", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}");
    }

    let event =
        |id: &str, kind: &str| json!({"id": id, "kind": kind, "channel": "crm", "phone": "+34600111222"});
    let events = json!({"events": [event("1", "sent"), event("2", "failed"), event("1", "sent")]});
    let told = house.send("POST", "/api/analytics/events", &house.operator, Some(&events)).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text());
    let told = told.json();
    let status: Vec<_> = (0..3).map(|n| told["items"][n]["status"].clone()).collect();
    assert_eq!(status, ["counted", "counted", "repeated"]);
    let counts = house.get("/api/analytics/messages?period=day&channel=crm&country=ES").await.json();
    assert_eq!((&counts["sent"], &counts["failed"]), (&json!(1), &json!(1)), "{counts}");
    let wrong = json!({"events": [event("3", "sent"), event("4", "eaten")]});
    let refused = house.post("/api/analytics/events", &wrong).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/events/1/kind", "{}", refused.text());
    let long = "x".repeat(256);
    for (field, value) in [
        ("latencyMs", json!(86_400_001)),
        ("campaignId", json!(long)),
        ("template", json!(long)),
        ("type", json!(long)),
    ] {
        let mut told = json!({"id": "5", "kind": "sent", "channel": "crm"});
        told[field] = value;
        let refused = house.post("/api/analytics/events", &json!({ "events": [told] })).await;
        let pointer = format!("/events/0/{field}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer.as_str(), "{}", refused.text());
    }
    let counts = house.get("/api/analytics/messages?period=day&channel=crm").await.json();
    assert_eq!(counts["sent"], 1, "none of them is counted: {counts}");
}

#[tokio::test]
async fn ten_thousand_events_are_taken_at_once() {
    let house = House::open().await;
    let event = |n: usize| {
        json!({"id": format!("{n:0>120}"), "kind": "sent", "channel": "crm", "phone": "+34600111222", "type": "text",
            "campaignId": "a campaign with a name of some length", "template": "a template with a name"})
    };
    let events = json!({"events": (0..10_000).map(event).collect::<Vec<_>>()});
    assert!(events.to_string().len() > 2_000_000, "more than other bodies may have");
    let told = house.send("POST", "/api/analytics/events", &house.operator, Some(&events)).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text());
    let counts = house.get("/api/analytics/messages?period=day&channel=crm").await.json();
    assert_eq!(counts["sent"], 10_000, "{counts}");
}

#[tokio::test]
async fn a_key_of_channels_tells_conversions_of_those() {
    let house = House::open().await;
    let accepted = house.post("/api/messages", &message()).await.json();
    sent(&house).await;
    let theirs =
        json!({"id": "theirs", "kind": "sale", "messageId": accepted["id"], "metadata": {"order": 7}});
    let kept = house.post("/api/analytics/conversions", &theirs).await.json();
    assert_eq!((&kept["channel"], &kept["messageId"]), (&json!("demo"), &accepted["id"]), "{kept}");

    let key = async |channels: &[&str]| {
        let key = json!({"name": "bound", "role": "operator", "channels": channels});
        let made = house.send("POST", "/api/keys", &house.admin, Some(&key)).await;
        made.json()["secret"].as_str().expect("a secret").to_owned()
    };
    let (of_meta, of_both) = (key(&["meta"]).await, key(&["meta", "demo"]).await);
    let tell = async |key: &str, body: Value| {
        house.send("POST", "/api/analytics/conversions", key, Some(&body)).await
    };
    for (id, body) in [
        ("a", json!({"id": "a", "kind": "sale", "messageId": accepted["id"]})),
        ("b", json!({"id": "b", "kind": "sale", "to": message()["to"]})),
    ] {
        let kept = tell(&of_meta, body).await.json();
        assert_eq!((&kept["channel"], &kept["attributed"]), (&json!("meta"), &json!(false)), "{id}: {kept}");
        assert_eq!((&kept["messageId"], &kept["campaignId"]), (&json!(null), &json!(null)), "{id}: {kept}");
    }
    let refused = tell(&of_meta, json!({"id": "theirs", "kind": "sale"})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert!(!refused.text().contains("demo") && !refused.text().contains("order"), "{}", refused.text());
    let several = tell(&of_both, json!({"id": "c", "kind": "sale", "messageId": accepted["id"]})).await;
    assert_eq!(several.json()["errors"][0]["pointer"], "/channel", "{}", several.text());
    let own = json!({"id": "c", "kind": "sale", "channel": "demo", "messageId": accepted["id"]});
    assert_eq!(tell(&of_both, own).await.json()["messageId"], accepted["id"]);
    let again = json!({"id": "theirs", "kind": "sale", "channel": "demo"});
    assert_eq!(tell(&of_both, again).await.json()["repeated"], true);
}

#[tokio::test]
async fn what_narrows_is_heeded_or_refused() {
    let house = House::open().await;
    for (path, pointer) in [
        ("conversations?campaign=verano", "/campaign"),
        ("conversations?channel=demo&country=ES", "/country"),
        ("top-conversations?type=text", "/type"),
        ("conversions?channel=demo&template=hello", "/template"),
        ("timeseries?metric=conversations_new&campaign=verano", "/campaign"),
        ("timeseries?metric=first_response&groupBy=country", "/groupBy"),
    ] {
        let refused = house.get(&format!("/api/analytics/{path}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{path}");
    }
    for path in [
        "conversations?channel=demo",
        "top-conversations?channel=demo",
        "conversions?channel=demo&campaign=verano",
        "timeseries?metric=first_response&groupBy=channel",
    ] {
        let answer = house.get(&format!("/api/analytics/{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
    // A report has those parts that the question tells apart.
    for (query, parts) in
        [("channel=demo", [true, true]), ("campaign=verano", [false, true]), ("country=ES", [false, false])]
    {
        let report = house.get(&format!("/api/analytics/report?compare=true&{query}")).await.json();
        let has = |of: &Value| ["conversations", "conversions"].map(|part| of.get(part).is_some());
        assert_eq!((has(&report), has(&report["previous"])), (parts, parts), "{query}: {report}");
        assert!(report["messages"].is_object(), "{query}");
    }
}
