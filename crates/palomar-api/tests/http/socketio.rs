//! Events as a front end gets them by Socket.IO, with the client that front ends use: `socket.io-client`, run by node.

mod client;

use serde_json::{Value, json};

use crate::house::House;
use client::{Client, Said};

async fn send(house: &House, to: &str, text: &str) -> String {
    let answer = house.post("/api/messages", &json!({"channel": "demo", "to": to, "text": text})).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn events(all: &[Said]) -> Vec<&Value> {
    all.iter().filter_map(|said| said.event()).collect()
}

fn types<'a>(all: &[&'a Value]) -> Vec<&'a str> {
    all.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

#[tokio::test]
async fn an_agent_is_written_to_answers_and_sees_the_ticks() {
    let house = House::open().await;
    let url = house.serve().await;
    for transports in [json!(["polling", "websocket"]), json!(["websocket"]), json!(["polling"])] {
        let mut client = Client::start().await;
        client.connect(&url, json!({"auth": {"token": house.viewer}, "transports": transports})).await;
        let upgrades = transports == json!(["polling", "websocket"]);
        let mut before = client.until(|said| said.is("connect")).await;
        if upgrades && !before.iter().any(|said| said.is("upgrade")) {
            before.extend(client.until(|said| said.is("upgrade")).await);
        }
        let upgraded = before.iter().filter(|said| said.is("upgrade")).count();
        assert_eq!(
            (before.len(), upgraded),
            (1 + usize::from(upgrades), usize::from(upgrades)),
            "{before:?}"
        );
        let id = send(&house, "+34600111222", "echo hola").await;
        let mut all = client.until(|said| said.tells("message.read", &id)).await;
        if !all.iter().any(|said| said.is_event("message.received")) {
            all.extend(client.until(|said| said.is_event("message.received")).await);
        }
        let all = events(&all);
        let ours: Vec<_> = all.iter().copied().filter(|event| event["messageId"] == id.as_str()).collect();
        let expected =
            ["accepted", "sending", "sent", "delivered", "read"].map(|word| format!("message.{word}"));
        assert_eq!(types(&ours), expected, "{transports}");
        let received = all.iter().find(|event| event["type"] == "message.received").expect("it came");
        let found =
            house.get(&format!("/api/messages/{}", received["messageId"].as_str().expect("an id"))).await;
        assert_eq!(found.status.as_u16(), 200, "who hears of it finds it");
        client.end().await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_and_goes_on() {
    let house = House::open().await;
    let url = house.serve().await;
    let mut client = Client::start().await;
    let auth = |since: Option<&str>| {
        json!({"auth": {"token": house.viewer, "since": since, "types": ["message.accepted", "message.read"]},
            "transports": ["websocket"]})
    };
    client.connect(&url, auth(None)).await;
    assert!(client.next().await.is("connect"));
    let first = send(&house, "+34600111222", "uno").await;
    let seen = client.until(|said| said.tells("message.read", &first)).await;
    let last = seen.last().and_then(Said::event).expect("an event")["id"].as_str().expect("an id").to_owned();
    client.order(json!({"order": "close"})).await;
    client.until(|said| said.is("disconnect")).await;

    let missed = send(&house, "+34600111222", "dos").await;
    let mut other = Client::start().await;
    other.connect(&url, auth(None)).await;
    assert!(other.next().await.is("connect"));
    let live = send(&house, "+34600111333", "tres").await;
    other.until(|said| said.tells("message.read", &live)).await;
    client.connect(&url, auth(Some(&last))).await;
    assert!(client.next().await.is("connect"));
    let now = send(&house, "+34600111222", "cuatro").await;
    let all = client.until(|said| said.tells("message.read", &now)).await;
    for id in [&missed, &live, &now] {
        let told: Vec<_> =
            events(&all).into_iter().filter(|event| event["messageId"] == id.as_str()).collect();
        assert_eq!(types(&told), ["message.accepted", "message.read"], "{id}");
    }
    assert!(!events(&all).iter().any(|event| event["messageId"] == first.as_str()), "nothing twice");

    // A place that this installation never came to.
    client.connect(&url, auth(Some("999999-0"))).await;
    let gap = client.until(|said| said.is_event("gap")).await.pop().expect("it");
    assert_eq!(gap.0["data"]["reason"], "unknown");
    client.end().await;
    other.end().await;
    house.close().await;
}

#[tokio::test]
async fn rooms_are_joined_left_and_guarded() {
    let house = House::open().await;
    let url = house.serve().await;
    let body = json!({"name": "front", "role": "viewer", "channels": ["meta"]});
    let bound = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let secret = bound["secret"].as_str().expect("a secret");
    let first = send(&house, "+34600111222", "hola").await;
    house.app.caught_up(std::time::Duration::from_secs(10)).await.expect("caught up");
    let conversations = house.get("/api/conversations").await.json();
    let conversation = conversations["items"][0]["id"].as_str().expect("one").to_owned();

    let mut client = Client::start().await;
    let auth = json!({"auth": {"token": house.viewer, "rooms": []}, "transports": ["websocket"]});
    client.connect(&url, auth).await;
    assert!(client.next().await.is("connect"));
    let ask = async |client: &mut Client, event: &str, data: Value| {
        client.order(json!({"order": "emit", "event": event, "data": data})).await;
        client.until(|said| said.is("ack")).await.pop().expect("an answer").0["answer"].clone()
    };
    let room = format!("conversation:{conversation}");
    let answer = ask(&mut client, "subscribe", json!({"room": room})).await;
    assert_eq!(answer, json!({"ok": true, "rooms": [room]}));
    send(&house, "+34600111333", "otra").await;
    let second = send(&house, "+34600111222", "suya").await;
    let all = client.until(|said| said.tells("message.read", &second)).await;
    assert!(
        events(&all)
            .iter()
            .all(|event| event["conversation"] == conversation.as_str()
                && event["messageId"] != first.as_str())
    );
    let answer = ask(&mut client, "subscribe", json!("channel:demo")).await;
    assert_eq!(answer["ok"], true, "{answer}");
    let third = send(&house, "+34600111333", "otra").await;
    client.until(|said| said.tells("message.read", &third)).await;
    for room in [json!("channel:demo"), json!({ "room": room })] {
        assert_eq!(ask(&mut client, "unsubscribe", room).await["ok"], true);
    }
    send(&house, "+34600111333", "nadie").await;
    let answer = ask(&mut client, "subscribe", json!("channel:nowhere")).await;
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("not_found")));
    let answer = ask(&mut client, "subscribe", json!({"rom": 1})).await;
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("bad_request")));
    let answer = ask(&mut client, "subscribe", json!("channel:meta")).await;
    assert_eq!(answer, json!({"ok": true, "rooms": ["channel:meta"]}), "nothing was told between");

    // Another's channel is not there for a key that is bound.
    let mut guest = Client::start().await;
    guest.connect(&url, json!({"auth": {"token": secret, "rooms": ["channel:demo"]}})).await;
    guest.until(|said| said.is("refused")).await;
    guest.connect(&url, json!({"auth": {"token": secret}})).await;
    guest.until(|said| said.is("connect")).await;
    let answer = ask(&mut guest, "subscribe", json!({ "room": room })).await;
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("not_found")));
    house.send("POST", "/api/channels/meta/pause", &house.admin, None).await;
    guest.until(|said| said.is_event("channel.state")).await;
    client.until(|said| said.is_event("channel.state")).await;
    // It is gone when its key is.
    let path = format!("/api/keys/{}", bound["id"].as_str().expect("an id"));
    house.send("DELETE", &path, &house.admin, None).await;
    let ended = guest.until(|said| said.is("disconnect")).await;
    let dropped = ended.iter().find(|said| said.is_event("dropped")).expect("why");
    assert_eq!(dropped.0["data"], json!({"reason": "key_ended"}));
    house.app.set_draining();
    let ended = client.until(|said| said.is("disconnect")).await;
    assert!(ended.iter().any(|said| said.0["data"]["reason"] == "shutting_down"), "{ended:?}");
    guest.end().await;
    client.end().await;
    house.close().await;
}

#[tokio::test]
async fn who_can_not_come_in_hears_why() {
    let house = House::open().await;
    let url = house.serve().await;
    let mut client = Client::start().await;
    for (auth, expected) in [
        (json!({}), "unauthenticated: "),
        (json!({"token": "nobody"}), "unauthenticated: The key is not known."),
        (json!({"token": 5}), "bad_request: "),
        (json!({"token": house.viewer, "rooms": ["channel"]}), "bad_request: `rooms`"),
        (json!({"token": house.viewer, "rooms": ["channel:nowhere"]}), "not_found: "),
        (json!({"token": house.viewer, "types": ["message.recieved"]}), "bad_request: `types`"),
        (json!({"token": house.viewer, "since": "yesterday"}), "bad_request: `since`"),
    ] {
        client.connect(&url, json!({"auth": auth, "transports": ["websocket"]})).await;
        let said = client.until(|said| said.is("refused") || said.is("connect")).await.pop().expect("it");
        let message = said.0["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(expected), "{auth}: {said:?}");
    }
    // A header will do, where a client can send one.
    let headers = json!({"authorization": format!("Bearer {}", house.viewer)});
    client.connect(&url, json!({"extraHeaders": headers})).await;
    client.until(|said| said.is("connect")).await;
    client.end().await;
    house.close().await;
}
