//! Events as a front end follows them by SSE: live, from a place on, chosen, and ended with a reason.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use palomar_api::ApiConfig;
use serde_json::{Value, json};

use crate::house::{House, message};

/// A stream as it is read.
struct Reader {
    body: Body,
    text: String,
}

/// What a stream says.
#[derive(Clone, Debug)]
struct Said {
    id: Option<String>,
    event: Option<String>,
    data: Value,
}

impl Said {
    fn id(&self) -> &str {
        self.id.as_deref().expect("an id")
    }

    fn is(&self, event: &str) -> bool {
        self.event.as_deref() == Some(event)
    }
}

impl Reader {
    async fn open(house: &House, query: &str, key: &str, last: Option<&str>) -> Reader {
        let response = house.stream(request(query, key, last)).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        let kind = response.headers().get("content-type").expect("a type");
        assert_eq!(kind, "text/event-stream");
        assert_eq!(response.headers().get("cache-control").expect("how long"), "no-store");
        let mut reader = Reader { body: response.into_body(), text: String::new() };
        let opening = reader.next().await.expect("an opening");
        assert!(opening.event.is_none() && opening.id.is_some(), "{opening:?}");
        reader
    }

    /// The next block; none where the stream has ended.
    async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.strip_prefix(name));
                    lines.map(|value| value.trim_start_matches(": ").to_owned()).next()
                };
                let data =
                    field("data").map_or(Value::Null, |data| serde_json::from_str(&data).expect("JSON"));
                let said = Said { id: field("id"), event: field("event"), data };
                self.text = rest.to_owned();
                return Some(said);
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame());
            let frame = frame.await.expect("something is said")?;
            let bytes = frame.expect("read").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// Everything up to the first that `is` so.
    async fn until(&mut self, is: impl Fn(&Said) -> bool) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next().await.unwrap_or_else(|| panic!("it ended behind {all:?}"));
            all.push(said.clone());
            if is(&said) {
                return all;
            }
        }
    }
}

fn request(query: &str, key: &str, last: Option<&str>) -> Request<Body> {
    let request =
        Request::get(format!("/api/events{query}")).header("authorization", format!("Bearer {key}"));
    let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
    request.body(Body::empty()).expect("a request")
}

/// Sends to the sandbox, which says it back where it begins with `echo`.
async fn send(house: &House, to: &str, text: &str) -> String {
    let answer = house.post("/api/messages", &json!({"channel": "demo", "to": to, "text": text})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn place(id: &str) -> (u64, u64) {
    let (seq, part) = id.split_once('-').expect("a place");
    (seq.parse().expect("a number"), part.parse().expect("a number"))
}

#[tokio::test]
async fn a_front_end_sees_a_message_go_its_way_and_one_come() {
    let house = House::open().await;
    let mut reader = Reader::open(&house, "", &house.viewer, None).await;
    let id = send(&house, "+34600111222", "echo hola").await;
    let mut all = reader.until(|said| said.is("message.read")).await;
    if !all.iter().any(|said| said.is("message.received")) {
        all.extend(reader.until(|said| said.is("message.received")).await);
    }
    let ours: Vec<_> = all.iter().filter(|said| said.data["messageId"] == id.as_str()).collect();
    let types: Vec<_> = ours.iter().map(|said| said.event.clone().expect("a type")).collect();
    let expected = ["accepted", "sending", "sent", "delivered", "read"].map(|word| format!("message.{word}"));
    assert_eq!(types, expected);
    let told = &ours[0].data;
    assert_eq!(
        (&told["channel"], &told["data"]["contact"]),
        (&json!("demo"), &json!("+34600111222")),
        "{told}"
    );
    assert_eq!(
        (&told["data"]["status"], &told["data"]["content"]["text"]),
        (&json!("queued"), &json!("echo hola"))
    );
    assert!(all.iter().map(|said| place(said.id())).is_sorted());
    for said in &all {
        assert_eq!(said.data["id"], said.id());
        assert_eq!(said.data["type"], said.event.as_deref().expect("a type"));
    }
    // Who hears of a message finds it.
    let received = all.iter().find(|said| said.is("message.received")).expect("it came back");
    let found =
        house.get(&format!("/api/messages/{}", received.data["messageId"].as_str().expect("an id"))).await;
    assert_eq!((found.status, &found.json()["direction"]), (StatusCode::OK, &json!("inbound")));
    let conversation = received.data["conversation"].as_str().expect("a conversation");
    assert_eq!(ours[0].data["conversation"], conversation);
    assert_eq!(received.data["data"]["conversation"]["unread"], 1, "{}", received.data);
    assert!(received.data["data"]["content"].get("raw").is_none());
    let found = house.get(&format!("/api/conversations/{conversation}")).await;
    assert_eq!(found.status, StatusCode::OK);

    // What people say of it is told too.
    let patch = json!({"assignee": "ana", "read": true});
    let path = format!("/api/conversations/{conversation}");
    assert_eq!(house.send("PATCH", &path, &house.operator, Some(&patch)).await.status, StatusCode::OK);
    let updated = reader.until(|said| said.is("conversation.updated")).await.pop().expect("it");
    assert_eq!(updated.data["conversation"], conversation);
    assert_eq!(
        updated.data["data"],
        json!({"assignee": "ana", "labels": [], "unread": 0,
        "windowUntil": received.data["data"]["conversation"]["windowUntil"]})
    );
    house.close().await;
}

#[tokio::test]
async fn from_every_place_on_it_is_the_same() {
    let house = House::open().await;
    let mut reader = Reader::open(&house, "?lastEventId=0", &house.viewer, None).await;
    for n in 0..5 {
        send(&house, &format!("+3460011122{n}"), "echo hola").await;
    }
    let mut all: Vec<Said> = Vec::new();
    let count = |all: &[Said], event: &str| all.iter().filter(|said| said.is(event)).count();
    while count(&all, "message.read") < 5 || count(&all, "message.received") < 5 {
        all.extend(reader.next().await);
    }
    all.retain(|said| said.event.is_some());
    let ids: Vec<_> = all.iter().map(|said| said.id().to_owned()).collect();
    let last = ids.last().expect("some").clone();
    for (n, id) in ids.iter().enumerate().take(ids.len() - 1) {
        let mut again = Reader::open(&house, "?lastEventId=0", &house.viewer, Some(id)).await;
        let rest = again.until(|said| said.id() == last).await;
        let rest: Vec<_> = rest.iter().map(|said| said.id().to_owned()).collect();
        assert_eq!(rest, ids[n + 1..], "after {id}");
    }
    // Another order of asking: some types, one conversation.
    let received = all.iter().find(|said| said.is("message.received")).expect("one");
    let conversation = received.data["conversation"].as_str().expect("a conversation");
    let query = format!("?types=message.re*&lastEventId=0&conversation={conversation}");
    let refused = house.stream(request(&query, &house.viewer, None)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "a family ends at a dot");
    let query = format!(
        "?types=message.received,conversation.*&lastEventId=0&channel=demo&conversation={conversation}"
    );
    let mut chosen = Reader::open(&house, &query, &house.viewer, None).await;
    let patch = json!({"labels": ["lead"]});
    let path = format!("/api/conversations/{conversation}");
    assert_eq!(house.send("PATCH", &path, &house.operator, Some(&patch)).await.status, StatusCode::OK);
    let told = chosen.until(|said| said.is("conversation.updated")).await;
    let told: Vec<_> = told.iter().map(|said| said.event.clone().expect("a type")).collect();
    assert_eq!(told, ["message.received", "conversation.updated"]);
    house.close().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_reason() {
    let house = House::open_for(ApiConfig::new(3), 2).await;
    let body = json!({"name": "front", "role": "viewer", "channels": ["meta"]});
    let key = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let (secret, id) = (key["secret"].as_str().expect("a secret"), key["id"].as_str().expect("an id"));
    let mut bound = Reader::open(&house, "", secret, None).await;
    let mut whole = Reader::open(&house, "", &house.viewer, None).await;
    let refused = house.stream(request("", &house.viewer, None)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));

    // A key that is bound sees its channel only.
    send(&house, "+34600111222", "hola").await;
    whole.until(|said| said.is("message.read")).await;
    let paused = house.send("POST", "/api/channels/meta/pause", &house.admin, None).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.text());
    let told = bound.next().await.expect("something");
    assert!(told.is("channel.state"), "{told:?}");
    assert_eq!(
        (&told.data["channel"], &told.data["data"]["state"]),
        (&json!("meta"), &json!("queue_paused"))
    );

    let revoked = house.send("DELETE", &format!("/api/keys/{id}"), &house.admin, None).await;
    assert!(revoked.status.is_success(), "{}", revoked.text());
    let ended = bound.until(|said| said.is("dropped")).await.pop().expect("it");
    assert_eq!(ended.data, json!({"reason": "key_ended"}));
    assert!(bound.next().await.is_none(), "no more");
    drop(bound);
    let mut other = Reader::open(&house, "", &house.viewer, None).await;
    house.app.set_draining();
    for reader in [&mut whole, &mut other] {
        let ended = reader.until(|said| said.is("dropped")).await.pop().expect("it");
        assert_eq!(ended.data, json!({"reason": "shutting_down"}));
        assert!(reader.next().await.is_none(), "no more");
    }
    let refused = house.stream(request("", &house.viewer, None)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let metrics = house.get("/metrics").await.text();
    for line in [
        "palomar_realtime_dropped_total{reason=\"key_ended\"} 1",
        "palomar_realtime_dropped_total{reason=\"shutting_down\"} 2",
        "palomar_realtime_clients{transport=\"socketio\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    house.close().await;
}

#[tokio::test]
async fn what_can_not_be_followed_is_refused() {
    let house = House::open().await;
    let body = json!({"name": "front", "role": "viewer", "channels": ["meta"]});
    let key = house.send("POST", "/api/keys", &house.admin, Some(&body)).await.json();
    let bound = key["secret"].as_str().expect("a secret");
    let (viewer, none) = (house.viewer.as_str(), None);
    for (query, key, last, status, code) in [
        ("", "nobody", none, 401, "unauthenticated"),
        ("?channel=demo", bound, none, 404, "not_found"),
        ("?channel=nowhere", viewer, none, 404, "not_found"),
        ("?conversation=demo.nobody", viewer, none, 404, "not_found"),
        ("?channel=meta&conversation=demo.x", viewer, none, 400, "bad_query"),
        ("?types=message.recieved", viewer, none, 400, "bad_query"),
        ("?types=*", viewer, none, 400, "bad_query"),
        ("?lastEventId=x", viewer, none, 400, "bad_query"),
        ("", viewer, Some("1-2-3"), 400, "bad_query"),
        ("?since=1", viewer, none, 400, "bad_query"),
    ] {
        let request = request(query, key, last);
        let answer = house.raw(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default()),
            (status, code),
            "{query}"
        );
    }
    // A place that this installation never came to.
    let mut reader = Reader::open(&house, "", viewer, Some("999999-0")).await;
    let gap = reader.next().await.expect("something");
    assert!(gap.is("gap"), "{gap:?}");
    assert_eq!((&gap.data["since"], &gap.data["reason"]), (&json!("999999-0"), &json!("unknown")));
    house.post("/api/messages", &message()).await;
    assert!(reader.next().await.expect("something").is("message.accepted"));
    house.close().await;
}
