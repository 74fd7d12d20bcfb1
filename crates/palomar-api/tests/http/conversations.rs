//! Conversations, contacts and suppressions as a front end uses them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Answer, House};

/// Whatever is sent to the sandbox behind `echo ` comes back from that person.
async fn wrote(house: &House, to: &str, words: &str) {
    let before = house.get("/api/messages?direction=inbound&limit=200").await.json();
    let before = before["items"].as_array().expect("items").len();
    let body = json!({"channel": "demo", "to": to, "text": format!("echo {words}")});
    let answer = house.post("/api/messages", &body).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let now = house.get("/api/messages?direction=inbound&limit=200").await.json();
        if now["items"].as_array().expect("items").len() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing came back");
}

async fn list(house: &House, path: &str) -> Vec<Value> {
    let answer = house.get(path).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

async fn patch(house: &House, path: &str, body: Value) -> Answer {
    house.send("PATCH", path, &house.operator, Some(&body)).await
}

#[tokio::test]
async fn an_agent_reads_sorts_and_answers() {
    let house = House::open().await;
    wrote(&house, "+34600111222", "hola").await;
    wrote(&house, "+34600333444", "busco un piso").await;
    let all = list(&house, "/api/conversations").await;
    assert_eq!(all.len(), 2, "{all:?}");
    let found = list(&house, "/api/conversations?q=piso&unread=true&channel=demo").await;
    let [one] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&one["unread"], &one["lastMessage"]["text"]), (&json!(1), &json!("busco un piso")));
    assert!(one["windowUntil"].is_string(), "{one}");
    let path = format!("/api/conversations/{}", one["id"].as_str().expect("an id"));

    let changed =
        patch(&house, &path, json!({"labels": ["lead", "lead"], "assignee": "ana", "read": true})).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!((&changed["labels"], &changed["unread"]), (&json!(["lead"]), &json!(0)));
    assert_eq!(list(&house, "/api/conversations?assignee=ana&label=lead").await.len(), 1);
    assert_eq!(list(&house, "/api/conversations?assignee=none").await.len(), 1);
    let nobody = patch(&house, &path, json!({"assignee": null})).await.json();
    assert_eq!((&nobody["assignee"], &nobody["labels"]), (&Value::Null, &json!(["lead"])));
    for bad in
        [json!({"labels": [""]}), json!({"labels": ["a\"b"]}), json!({"assignee": ""}), json!({"star": 1})]
    {
        assert_eq!(patch(&house, &path, bad.clone()).await.status.as_u16(), 422, "{bad}");
    }

    let messages = list(&house, &format!("{path}/messages")).await;
    assert_eq!(messages[0]["content"]["content"], json!({"type": "text", "text": "busco un piso"}));
    let reply = house.post(&format!("{path}/messages"), &json!({"text": "¿Para cuándo?"})).await;
    assert_eq!(reply.status.as_u16(), 202, "{}", reply.text());
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    let shown = house.get(&format!("/api/messages/{id}")).await.json();
    assert_eq!((&shown["to"], &shown["channel"]), (&json!("+34600333444"), &json!("demo")));
    let elsewhere = json!({"text": "x", "to": "+34600111222"});
    assert_eq!(house.post(&format!("{path}/messages"), &elsewhere).await.status.as_u16(), 422);
    for nowhere in ["/api/conversations/demo.none", "/api/conversations/none"] {
        assert_eq!(house.get(nowhere).await.status.as_u16(), 404);
    }

    let contacts = list(&house, "/api/contacts?q=333").await;
    let [contact] = &contacts[..] else { panic!("{contacts:?}") };
    let path = format!("/api/contacts/{}", contact["id"].as_str().expect("an id"));
    assert_eq!(&house.get(&path).await.json(), contact);
    assert_eq!(house.get("/api/contacts/none").await.status.as_u16(), 404);
    house.close().await;
}

#[tokio::test]
async fn whoever_opts_out_gets_nothing_until_they_come_back() {
    let house = House::open().await;
    let message = |text: &str| json!({"channel": "demo", "to": "+34600111222", "text": text});
    let code = async |body: &Value| {
        let answer = house.post("/api/messages", body).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let suppressed = (422, "recipient_suppressed".to_owned());
    // Accepted before they opt out, due after: the attempt asks again.
    let due = house.app.now().after(Duration::from_secs(3600)).to_string();
    let later = json!({"channel": "demo", "to": "+34600111222", "text": "luego", "scheduledAt": due});
    let later = house.post("/api/messages", &later).await.json()["id"].as_str().expect("an id").to_owned();
    wrote(&house, "+34600111222", "¡Baja!").await;
    assert_eq!(code(&message("hola")).await, suppressed);
    let entries = list(&house, "/api/suppressions").await;
    assert_eq!((&entries[0]["reason"], &entries[0]["detail"]), (&json!("opt_out"), &json!("¡Baja!")));
    assert_eq!(list(&house, "/api/conversations").await[0]["suppressed"]["reason"], "opt_out");

    let promoted = house.send("POST", &format!("/api/messages/{later}/promote"), &house.operator, None).await;
    assert_eq!(promoted.status.as_u16(), 200, "{}", promoted.text());
    let mut shown = Value::Null;
    for _ in 0..400 {
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        shown = house.get(&format!("/api/messages/{later}")).await.json();
        if shown["status"] == "failed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(
        (&shown["status"], &shown["code"]),
        (&json!("failed"), &json!("recipient_suppressed")),
        "{shown}"
    );

    // Nothing can be sent to them, so that the sandbox has nothing to echo: the business takes it back.
    let path = "/api/suppressions?to=%2B34600111222&channel=demo";
    assert_eq!(house.send("DELETE", path, &house.operator, None).await.status.as_u16(), 204);
    assert_eq!(house.send("DELETE", path, &house.operator, None).await.status.as_u16(), 404);
    assert_eq!(code(&message("hola")).await.0, 202);

    let entry = json!({"to": "+34600111222", "reason": "blocked", "detail": "insults"});
    let kept = house.post("/api/suppressions", &entry).await;
    assert_eq!((kept.status.as_u16(), &kept.json()["channel"]), (201, &Value::Null));
    assert_eq!(code(&message("hola")).await, (422, "recipient_blocked".to_owned()));
    let row = house
        .post(
            "/api/messages/bulk",
            &json!([message("uno"), {"channel": "demo", "to": "+34600333444", "text": "x"}]),
        )
        .await;
    assert_eq!(row.json()[0]["error"]["code"], "recipient_blocked", "{}", row.text());
    assert!(row.json()[1]["id"].is_string(), "{}", row.text());
    assert_eq!(house.post("/api/suppressions", &json!({"to": "x"})).await.status.as_u16(), 422);
    house.close().await;
}
