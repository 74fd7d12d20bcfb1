//! The rate card, and what campaigns cost by it: before they run, afterwards, and beside what they earned.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::House;

async fn put(house: &House, items: Value) -> crate::house::Answer {
    house.send("PUT", "/api/rates", &house.operator, Some(&json!({ "items": items }))).await
}

/// The report, once so many messages were delivered and counted.
async fn delivered(house: &House, path: &str, many: u64) -> Value {
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let report = house.get(&format!("{path}/report")).await.json();
        if report["delivered"] == many {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not delivered");
}

#[tokio::test]
async fn a_campaign_costs_what_the_card_says() {
    let house = House::open().await;
    let card = json!([
        {"channel": "demo", "country": "es", "category": "service", "price": 0.01, "currency": "eur"},
        {"channel": "demo", "country": "*", "category": "Service", "price": 0.5, "currency": "USD",
            "validFrom": "2020-01-01T00:00:00Z"},
        {"country": "ES", "category": "*", "price": 7, "currency": "EUR"},
    ]);
    let answer = put(&house, card).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!(answer.json()["items"].as_array().map(Vec::len), Some(3));
    let later = json!({"items": [{"channel": "demo", "country": "ES", "category": "service", "price": 0.02,
        "currency": "EUR"}]});
    let card = house.post("/api/rates", &later).await.json();
    let items = card["items"].as_array().expect("items");
    assert!(items.len() == 3 && items.iter().any(|rate| rate["price"] == 0.02), "{card}");

    let body = json!({"name": "Verano", "channel": "demo", "message": "Hola",
        "contacts": ["+34600111222", "+34600111223", "+34600000001", "12"]});
    let made = house.post("/api/campaigns", &body).await.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    let dry = house.post(&format!("{path}/dry-run"), &json!({})).await.json();
    let line = json!({"country": "ES", "category": "service", "messages": 3, "price": 0.02, "currency": "EUR",
        "amount": 0.06});
    let total = json!([{"currency": "EUR", "amount": 0.06}]);
    assert_eq!(dry["cost"], json!({"total": total, "unpriced": 0, "lines": [line]}));

    house.post(&format!("{path}/start"), &json!({})).await;
    let report = delivered(&house, &path, 2).await;
    let total = json!([{"currency": "EUR", "amount": 0.04}]);
    assert_eq!(report["cost"]["total"], total, "whoever did not get it costs nothing: {report}");
    assert_eq!(report["roi"], -1.0, "{report}");
    let sale = json!({"id": "1", "kind": "sale", "value": 0.1, "currency": "EUR", "campaignId": made["id"]});
    assert_eq!(house.post("/api/analytics/conversions", &sale).await.status.as_u16(), 201);
    let report = house.get(&format!("{path}/report")).await.json();
    assert_eq!((&report["roi"], &report["conversions"][0]["value"]), (&json!(1.5), &json!(0.1)), "{report}");
    let campaigns = house.get("/api/analytics/campaigns?period=day").await.json();
    let own = &campaigns["items"][0];
    assert_eq!(
        (&own["cost"], &own["unpriced"], &own["roi"]),
        (&total, &json!(0), &json!(1.5)),
        "{campaigns}"
    );

    // Earned in another currency: nothing is added up.
    let sale = json!({"id": "2", "kind": "sale", "value": 9, "currency": "USD", "campaignId": made["id"]});
    house.post("/api/analytics/conversions", &sale).await;
    assert_eq!(house.get(&format!("{path}/report")).await.json()["roi"], Value::Null);
    // Nobody knows any more.
    put(&house, json!([])).await;
    let report = house.get(&format!("{path}/report")).await.json();
    assert_eq!((&report["cost"]["total"], &report["cost"]["unpriced"]), (&json!([]), &json!(2)));
}

#[tokio::test]
async fn what_was_sent_costs_the_same_when_its_campaign_is_no_more() {
    let house = House::open().await;
    let promo = palomar_app::ProviderTemplate {
        channel: "demo".parse().expect("a name"),
        name: "promo".to_owned(),
        language: "es".to_owned(),
        provider_id: "1".to_owned(),
        category: "MARKETING".to_owned(),
        status: "APPROVED".to_owned(),
        quality: None,
        reason: None,
        components: json!([]),
        pulled_at: house.app.now(),
    };
    house.app.records().replace_templates(promo.channel.clone(), vec![promo]).await.expect("kept");
    let rate = |category: &str, price: f64| {
        json!({"channel": "demo", "country": "ES", "category": category, "price": price,
            "currency": "EUR"})
    };
    put(&house, json!([rate("marketing", 0.06), rate("service", 0.0)])).await;
    let body = json!({"name": "Verano", "channel": "demo", "message": "Hola", "contacts": ["+34600111222"],
        "fallback": {"name": "promo", "language": "es"}});
    let made = house.post("/api/campaigns", &body).await.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    house.post(&format!("{path}/start"), &json!({})).await;
    delivered(&house, &path, 1).await;
    let cost =
        async || house.get("/api/analytics/campaigns?period=day").await.json()["items"][0]["cost"].clone();
    let total = json!([{"currency": "EUR", "amount": 0.06}]);
    assert_eq!(cost().await, total);
    while house.get(&path).await.json()["status"] != "finished" {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let gone = house.send("DELETE", &path, &house.operator, None).await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.text());
    assert_eq!(cost().await, total);
}

#[tokio::test]
async fn a_price_that_changes_holds_from_its_moment_on() {
    let house = House::open().await;
    let soon = house.app.now().after(Duration::from_secs(3_600));
    let quarter = i64::try_from(Duration::from_secs(900).as_micros()).expect("small");
    let soon = palomar_model::Timestamp::from_micros(soon.micros() / quarter * quarter);
    let rate = |price: f64, from: Option<palomar_model::Timestamp>| {
        json!({"channel": "demo", "country": "ES", "category": "service", "price": price, "currency": "EUR",
            "validFrom": from})
    };
    put(&house, json!([rate(1.0, None), rate(2.0, Some(soon))])).await;
    let body = json!({"name": "Verano", "channel": "demo", "message": "Hola", "contacts": ["+34600111222"]});
    let made = house.post("/api/campaigns", &body).await.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    let cost =
        async || house.post(&format!("{path}/dry-run"), &json!({})).await.json()["cost"]["total"][0].clone();
    assert_eq!(cost().await["amount"], 1.0);
    let later = json!({"scheduledAt": soon.after(Duration::from_secs(60))});
    house.send("PATCH", &path, &house.operator, Some(&later)).await;
    assert_eq!(cost().await["amount"], 2.0);
}

#[tokio::test]
async fn what_is_no_rate_is_refused_with_its_place() {
    let house = House::open().await;
    let good = || json!({"country": "ES", "category": "marketing", "price": 0.0615, "currency": "EUR"});
    let with = |member: &str, value: Value| {
        let mut rate = good();
        rate[member] = value;
        rate
    };
    for (rate, pointer) in [
        (with("country", json!("Spain")), "/items/1/country"),
        (with("category", json!("")), "/items/1/category"),
        (with("currency", json!("€")), "/items/1/currency"),
        (with("price", json!(-1)), "/items/1/price"),
        (with("price", json!(0.000_000_1)), "/items/1/price"),
        (with("validFrom", json!("2026-07-01T00:00:01Z")), "/items/1/validFrom"),
        (good(), "/items/1"),
    ] {
        let answer = put(&house, json!([good(), rate])).await;
        assert_eq!(answer.status.as_u16(), 422, "{rate}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{rate}");
    }
    assert_eq!(house.get("/api/rates").await.json(), json!({"items": []}), "nothing is half done");
    let refused = house.send("PUT", "/api/rates", &house.viewer, Some(&json!({"items": []}))).await;
    assert_eq!(refused.status.as_u16(), 403);
}

#[tokio::test]
async fn a_key_that_is_bound_to_channels_sees_their_rates() {
    let house = House::open().await;
    let rate = |channel: Option<&str>| {
        json!({"channel": channel, "country": "ES", "category": "marketing", "price": 0.0615,
            "currency": "EUR"})
    };
    put(&house, json!([rate(None), rate(Some("demo")), rate(Some("meta"))])).await;
    let body = json!({"name": "bound", "role": "viewer", "channels": ["meta"]});
    let created = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let key = created["secret"].as_str().expect("a secret");
    let seen = house.send("GET", "/api/rates", key, None).await.json();
    let channels: Vec<_> =
        seen["items"].as_array().expect("items").iter().map(|rate| &rate["channel"]).collect();
    assert_eq!(channels, [&Value::Null, &json!("meta")], "{seen}");
    let all = house.get("/api/rates").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3));
}
