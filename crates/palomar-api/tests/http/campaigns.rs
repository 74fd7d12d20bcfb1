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
    let file = house.get(&format!("{path}/recipients/export")).await;
    let text = file.text();
    let rows: Vec<_> = text.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(rows[0], "recipient,status,reason,code,message_id,sent_at,delivered_at,read_at,failed_at");
    assert!(rows.len() == 4 && rows[1].starts_with("'+34600111222,"), "{text}");
    assert!(rows[2].starts_with("12,left_out,invalid_number,,,"), "{text}");
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
async fn the_failed_get_another_by_one_request() {
    let house = House::open().await;
    let body = json!({"name": "Verano", "channel": "demo", "message": "Hola",
        "contacts": ["+34600000001", "+34600111222"]});
    let made = post(&house, "/api/campaigns", body).await.json();
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    post(&house, &format!("{path}/start"), json!({})).await;
    assert_eq!(done(&house, &path).await["status"]["progress"]["failed"], 1);
    let resend = format!("{path}/resend");
    let wrong = post(&house, &resend, json!({"uncertainty": true})).await;
    assert_eq!(wrong.status.as_u16(), 422, "{}", wrong.text());
    let first = post(&house, &resend, json!({})).await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.text());
    let first = first.json();
    assert_eq!(first["plan"]["resend"], json!({"campaign": made["id"]}), "{first}");
    let again = post(&house, &resend, json!({"name": "Otra vez"})).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["id"], first["id"]);
    let second = format!("/api/campaigns/{}", first["id"].as_str().expect("an id"));
    post(&house, &format!("{second}/start"), json!({})).await;
    let progress = &done(&house, &second).await["status"]["progress"];
    assert_eq!((&progress["total"], &progress["failed"]), (&json!(1), &json!(1)), "{progress}");
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
    let some = post(&house, &path, json!({"audience": {"filter": "last_seen >= 1d ago"}})).await;
    let meant = json!({"added": 0, "leftOut": 0, "duplicates": 0, "audience": 2});
    assert_eq!(some.json(), meant, "{}", some.text());
    let all = post(&house, &path, json!({"audience": {"all": true}})).await;
    assert_eq!(all.json(), meant, "{}", all.text());
    for body in [
        json!({"audience": {"filter": "city = "}}),
        json!({"audience": {"segment": "nobody"}}),
        json!({"audience": {"all": false}}),
        json!({}),
        json!({"contacts": [], "audience": {"all": true}}),
    ] {
        assert_eq!(post(&house, &path, body.clone()).await.status.as_u16(), 422, "{body}");
    }
    // Who they are is read when it begins: whoever came meanwhile is among them.
    let body = json!({"to": "+34600111224", "name": "Sol"});
    assert_eq!(post(&house, "/api/contacts", body).await.status.as_u16(), 201);
    let path = path.trim_end_matches("/contacts");
    let dry = post(&house, &format!("{path}/dry-run"), json!({})).await.json();
    assert_eq!((&dry["contacts"], &dry["wouldSend"], &dry["duplicates"]), (&json!(3), &json!(3), &json!(2)));
    let preview = post(&house, &format!("{path}/preview"), json!({})).await.json();
    assert_eq!(preview["items"].as_array().map(Vec::len), Some(2), "{preview}");
    let started = post(&house, &format!("{path}/start"), json!({})).await;
    assert_eq!(started.status.as_u16(), 200, "{}", started.text());
    let status = done(&house, path).await;
    let all = json!({"processed": 3, "total": 3, "success": 3, "failed": 0, "percentage": 100});
    assert_eq!(status["status"]["progress"], all);
}

#[tokio::test]
async fn a_key_that_is_bound_to_a_channel_has_its_campaigns_and_no_others() {
    let house = House::open().await;
    let body = json!({"name": "bound", "role": "admin", "channels": ["meta"]});
    let key = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let key = key["secret"].as_str().expect("a secret");
    let known = post(&house, "/api/contacts", json!({"to": "+34600111222", "name": "Lucía"})).await.json();
    let contact = known["id"].as_str().expect("an id");
    let make = async |channel: &str| {
        let body = json!({"name": "x", "channel": channel, "message": "Hola", "contacts": ["+34600111222"]});
        post(&house, "/api/campaigns", body).await.json()["id"].as_str().expect("an id").to_owned()
    };
    let (own, other) = (make("meta").await, make("demo").await);
    let nothing = Some(json!({}));
    for (method, what, body) in [
        ("GET", "", None),
        ("PATCH", "", nothing.clone()),
        ("DELETE", "", None),
        ("POST", "/contacts", Some(json!({"contacts": ["+34600111223"]}))),
        ("POST", "/start", nothing.clone()),
        ("GET", "/queue-status", None),
        ("POST", "/queue-pause", nothing.clone()),
        ("POST", "/queue-resume", nothing.clone()),
        ("POST", "/queue-stop", nothing.clone()),
        ("POST", "/resend", nothing.clone()),
        ("POST", "/preview", nothing.clone()),
        ("POST", "/test", Some(json!({"to": ["+34600111223"]}))),
        ("POST", "/dry-run", nothing),
        ("GET", "/report", None),
        ("GET", "/recipients", None),
        ("GET", "/recipients/export", None),
    ] {
        let path = format!("/api/campaigns/{other}{what}");
        let answer = house.send(method, &path, key, body.as_ref()).await;
        assert_eq!(answer.status.as_u16(), 404, "{method} {path}: {}", answer.text());
    }
    for (path, items) in [("/api/campaigns", 1), ("/api/campaigns?channel=demo", 0)] {
        let list = house.send("GET", path, key, None).await.json();
        assert_eq!(list["items"].as_array().map(Vec::len), Some(items), "{list}");
    }
    let body = json!({"name": "x", "channel": "demo", "message": "Hola"});
    let answer = house.send("POST", "/api/campaigns", key, Some(&body)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["pointer"]), (422, &json!("/channel")));
    // Contacts are everybody's: it can't read them by way of a campaign.
    let own = format!("/api/campaigns/{own}");
    for (path, body) in [
        (format!("{own}/contacts"), json!({"contacts": [contact]})),
        (format!("{own}/contacts"), json!({"audience": {"all": true}})),
        (format!("{own}/preview"), json!({"contacts": [contact]})),
        (
            "/api/campaigns".to_owned(),
            json!({"name": "x", "message": "Hola", "channel": "meta", "segment": "vip"}),
        ),
    ] {
        let answer = house.send("POST", &path, key, Some(&body)).await;
        assert_eq!(answer.status.as_u16(), 403, "{path} {body}: {}", answer.text());
    }
    let more = Some(json!({"contacts": ["+34600111223"]}));
    let answer = house.send("POST", &format!("{own}/contacts"), key, more.as_ref()).await;
    assert_eq!(answer.json()["added"], 1);
    let metrics = house.send("GET", "/api/dashboard/campaign-queue-metrics", key, None).await;
    assert_eq!(metrics.status.as_u16(), 403);
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
    for order in ["start", "queue-pause", "queue-resume", "queue-stop", "resend"] {
        let answer = post(&house, &format!("{path}/{order}"), json!({})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (409, &json!("wrong_state")), "{order}");
    }
    let viewer = house.send("POST", &format!("{path}/start"), &house.viewer, Some(&json!({}))).await;
    assert_eq!(viewer.status.as_u16(), 403);
}
