//! Sending: what is accepted, what is refused and how, what the ledger says.

mod common;

use common::{Bench, PHONE, START, recorded, tagged, text, unlimited};
use palomar_sim::cloud_api::{Config, PhoneNumber};
use serde_json::{Value, json};

#[tokio::test]
async fn every_recorded_request_is_accepted() {
    let bench = Bench::new(unlimited()).await;
    let requests = recorded("send");
    assert!(requests.len() >= 25);
    let mut accepted = 0;
    for (name, request) in &requests {
        let (status, answer) = bench.send(request).await;
        assert_eq!(status, 200, "{name}: {answer}");
        if request.get("status").is_some() {
            assert_eq!(answer, json!({"success": true}), "{name}");
        } else {
            assert!(answer["messages"][0]["id"].as_str().unwrap().starts_with("wamid."), "{name}");
            accepted += 1;
        }
    }
    assert_eq!(bench.sim.accepted(), accepted);
}

#[tokio::test]
async fn answers_have_the_recorded_shape() {
    let bench = Bench::new(unlimited()).await;
    let template = |name: &str| {
        json!({"messaging_product": "whatsapp", "to": "+34600111222", "type": "template",
            "template": {"name": name, "language": {"code": "es"}}})
    };
    let bsuid = json!({"messaging_product": "whatsapp", "recipient": "ES.918273645546372819",
        "type": "text", "text": {"body": "Hola"}});
    for (name, request) in [
        ("200_text", text("+34600111222")),
        ("200_brazil_wa_id_differs", text("+5511987654321")),
        ("200_bsuid", bsuid),
        ("200_template_accepted", template("hello_world")),
        ("200_template_held", template("held")),
        ("200_template_paused", template("paused")),
        ("200_empty_messages", text("+34607000005")),
    ] {
        let (status, mut answer) = bench.send(&request).await;
        let expected = recorded("response").into_iter().find(|(recorded, _)| recorded == name).unwrap().1;
        if let Some(id) = expected.pointer("/messages/0/id") {
            answer["messages"][0]["id"] = id.clone();
        }
        assert_eq!((status, answer), (200, expected), "{name}");
    }
}

#[tokio::test]
async fn what_meta_refuses_is_refused() {
    let bench = Bench::new(unlimited()).await;
    let with = |kind: &str, content: Value| json!({"messaging_product": "whatsapp", "to": "+34600111222", "type": kind, kind: content});
    let button = |title: &str| json!({"type": "reply", "reply": {"id": title, "title": title}});
    let buttons = |titles: &[&str]| {
        let buttons: Vec<Value> = titles.iter().map(|title| button(title)).collect();
        with("interactive", json!({"type": "button", "body": {"text": "?"}, "action": {"buttons": buttons}}))
    };
    let rows =
        |count: usize| -> Value { (0..count).map(|n| json!({"id": n.to_string(), "title": "x"})).collect() };
    let list = |counts: &[usize]| {
        let section = |(place, count): (usize, &usize)| {
            let rows: Vec<Value> = rows(*count)
                .as_array()
                .unwrap()
                .iter()
                .map(|row| json!({"id": format!("{place}-{}", row["id"]), "title": "x"}))
                .collect();
            json!({"title": "s", "rows": rows})
        };
        let sections: Vec<Value> = counts.iter().enumerate().map(section).collect();
        with(
            "interactive",
            json!({"type": "list", "body": {"text": "?"}, "action": {"button": "b", "sections": sections}}),
        )
    };
    let wamid = "wamid.HBgL";
    let cases = [
        (json!({"to": "+34600111222"}), 100, "messaging_product"),
        (json!([]), 100, "messaging_product"),
        (
            json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": "x"}}),
            131_008,
            "Parameter to is required",
        ),
        (text("not a number"), 131_009, "Phone number is not valid"),
        (text("+34"), 131_009, "Phone number is not valid"),
        (with("text", json!({})), 131_008, "text['body']"),
        (
            with("text", json!({"body": "é".repeat(4097)})),
            100,
            "Param text['body'] must be at most 4096 characters long.",
        ),
        (with("text", json!({"body": 5})), 100, "text['body'] must be a string"),
        (with("text", json!("x")), 100, "text must be a JSON object"),
        (with("poll", json!({})), 131_051, "poll"),
        (with("image", json!({})), 131_008, "image['id']"),
        (with("image", json!({"link": "ftp://x"})), 131_009, "URL"),
        (with("image", json!({"id": "1", "link": "https://x"})), 100, "either"),
        (with("audio", json!({"id": "1", "caption": "x"})), 100, "Unexpected key \"caption\""),
        (with("sticker", json!({"id": "abc"})), 100, "attachment ID"),
        (with("document", json!({"id": "1", "caption": "x".repeat(1025)})), 100, "1024"),
        (with("location", json!({"latitude": 91, "longitude": 0})), 131_009, "latitude"),
        (with("contacts", json!([])), 100, "between 1 and 5"),
        (with("contacts", json!([{"name": {"formatted_name": "Marta"}}])), 100, "at least one more"),
        (with("reaction", json!({"message_id": wamid})), 131_008, "emoji"),
        (with("reaction", json!({"message_id": "5", "emoji": ""})), 100, "wamid."),
        (buttons(&[]), 100, "between 1 and 3"),
        (buttons(&["a", "b", "c", "d"]), 100, "between 1 and 3"),
        (buttons(&["a", "a"]), 131_009, "Duplicated"),
        (buttons(&["123456789012345678901"]), 100, "interactive['action']['buttons'][0]['reply']['title']"),
        (list(&[6, 5]), 131_009, "Total row count"),
        (list(&[11]), 100, "between 1 and 10"),
        (with("interactive", json!({"type": "menu"})), 131_009, "interactive['type']"),
        (with("template", json!({"name": "x"})), 131_008, "template['language']"),
        (
            with("template", json!({"name": "unknown", "language": {"code": "es"}})),
            132_001,
            "does not exist in es",
        ),
        (
            with("template", json!({"name": "takes_2", "language": {"code": "es"}})),
            132_000,
            "(0) does not match the expected number of params (2)",
        ),
        (
            with("template", json!({"name": "takes_image", "language": {"code": "es"}})),
            132_012,
            "expected IMAGE, received UNKNOWN",
        ),
        (text("+15550100200"), 131_021, "same"),
        (text("+34609131030"), 131_030, "allowed list"),
        (json!({"messaging_product": "whatsapp", "status": "read"}), 131_008, "message_id"),
    ];
    for (request, code, part) in cases {
        let (status, answer) = bench.send(&request).await;
        let error = &answer["error"];
        assert_eq!(error["code"], code, "{request}: {answer}");
        assert!((400..500).contains(&status), "{request}: {status}");
        assert!(error["error_data"]["details"].as_str().unwrap().contains(part), "{request}: {answer}");
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp");
        assert!(error["fbtrace_id"].is_string() && error["type"].is_string());
    }
    assert_eq!(bench.sim.accepted(), 0);
}

#[tokio::test]
async fn tokens_and_numbers_are_checked() {
    let number = PhoneNumber { id: PHONE.to_owned(), display: "15550100200".to_owned() };
    let config =
        Config { access_token: Some("secret".to_owned()), phone_numbers: vec![number], ..unlimited() };
    let bench = Bench::new(config).await;
    let message = text("+34600111222");
    let (status, answer) = bench.send_as(PHONE, "wrong", &message).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(190)));
    let (status, answer) = bench.send_as("999", "secret", &message).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));
    assert_eq!(answer["error"]["error_subcode"], 33);
    assert_eq!(bench.send_as(PHONE, "secret", &message).await.0, 200);
    assert_eq!(bench.get("/nowhere").await["error"]["code"], 2500);
}

#[tokio::test]
async fn the_ledger_tells_what_was_accepted() {
    let bench = Bench::new(unlimited()).await;
    let uuid = "0197a1b2-0000-7000-8000-000000000001";
    for attempt in 1..=2 {
        bench.send(&tagged("+34 600-111-222", &format!("palomar:{uuid}:{attempt}"))).await;
    }
    bench.send(&tagged("600111222", "other")).await;
    assert_eq!(bench.get("/_sim/ledger?count=true").await, json!({"count": 3}));
    let page = bench.get("/_sim/ledger?after=1&limit=1").await;
    let entry = &page["items"][0];
    assert_eq!(page["next"], 2);
    assert_eq!(entry["order"], 2);
    assert_eq!(entry["recipient"], "+34600111222");
    assert_eq!(entry["tag"], format!("palomar:{uuid}:2"));
    assert_eq!(entry["at"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["atMicros"], START * 1_000_000);
    assert_eq!(entry["body"]["text"]["body"], "Hola");
    let last = &bench.get("/_sim/ledger?after=2").await;
    // Without a plus the business number's country code comes in front.
    assert_eq!(last["items"][0]["recipient"], "+1600111222");
    assert!(last["next"].is_null());
    let duplicates = bench.get("/_sim/ledger/duplicates").await;
    assert_eq!(duplicates, json!({"count": 1, "items": [{"message": uuid, "count": 2, "orders": [1, 2]}]}));
    bench.control("/_sim/reset", &json!({})).await;
    assert_eq!(bench.get("/_sim/ledger?count=true").await, json!({"count": 0}));
}
