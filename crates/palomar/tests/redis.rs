//! Queues in Redis, as a person sets them up: serve, look, every way to get it wrong, and two nodes of which one dies.

mod common;
#[path = "system/harness.rs"]
#[allow(dead_code, clippy::print_stderr, reason = "it is shared, and each test takes of it what it needs")]
mod harness;
#[path = "../../palomar-records/tests/records/postgres.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod postgres;
#[path = "common/redis.rs"]
mod redis;

use std::collections::HashSet;
use std::process::{Command, Output};

use common::{Place, err, exits, out};
use palomar_sim::cloud_api::{Config, Statuses};
use redis::{PASSWORD, Redis};
use serde_json::{Value, json};

const URL: &str = "PALOMAR__BROKER__REDIS";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A command with queues there.
fn with(place: &Place, url: &str, words: &[&str]) -> Command {
    let mut command = place.command(words);
    command.env(URL, url);
    command
}

fn ran(place: &Place, url: &str, words: &[&str]) -> Output {
    with(place, url, words).output().expect("it runs")
}

fn serve(place: &Place, url: &str) -> common::Server {
    place.start(with(place, url, &["serve", "--listen", "127.0.0.1:0"]), "  Address")
}

fn send(place: &Place, server: &common::Server, text: &str) -> String {
    let sent = place.ask(server, &["send", "--to", "+34600111222", "--text", text, "--wait", "--json"]);
    exits(&sent, 0);
    let line = out(&sent).lines().next().expect("a line").to_owned();
    parsed(&line)["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_message_travels_with_queues_in_redis() {
    let (place, redis) = (Place::new(), Redis::start());
    let url = redis.url(0);
    let server = serve(&place, &url);
    let id = send(&place, &server, "Hola");
    assert!(!place.path().join("palomar-data/queue.db").exists());
    let shown = place.ask(&server, &["message", "show", &id, "--json"]);
    exits(&shown, 0);
    assert_eq!(parsed(&out(&shown))["status"], "read", "{}", out(&shown));
    let said = place.ask(&server, &["doctor"]);
    exits(&said, 0);
    assert_eq!(server.stop(), Some(0));

    // It goes on where it was.
    let server = serve(&place, &url);
    send(&place, &server, "Hola otra vez");
    assert_eq!(server.stop(), Some(0));
    exits(&ran(&place, &url, &["store", "check"]), 0);
    let all = format!("{}{}", out(&said), std::fs::read_to_string(place.path().join("log")).expect("a log"));
    assert!(!all.contains(PASSWORD), "{all}");
}

#[test]
fn the_store_tells_of_queues_in_redis() {
    let (place, redis) = (Place::new(), Redis::start());
    let url = redis.url(0);
    let before = ran(&place, &url, &["store", "info"]);
    exits(&before, 0);
    assert!(out(&before).contains("none yet"), "{}", out(&before));
    let server = serve(&place, &url);
    send(&place, &server, "Hola");
    for running in [true, false] {
        let info = ran(&place, &url, &["store", "info", "--json"]);
        exits(&info, 0);
        let queue = &parsed(&out(&info))["queue"];
        assert_eq!(
            (&queue["place"], &queue["prefix"]),
            (&json!(redis.place()), &json!("palomar")),
            "{running}"
        );
        assert!(queue["engine"].as_str().is_some_and(|engine| !engine.is_empty()), "{queue}");
        assert!(queue["jobs"].as_u64().is_some_and(|jobs| jobs > 0), "{queue}");
        let partitions = queue["partitions"].as_array().expect("partitions");
        assert_eq!(partitions.len(), 1, "{queue}");
        assert!(partitions[0]["logEnd"].as_u64().is_some_and(|end| end > 2), "{queue}");
        let shown = ran(&place, &url, &["store", "info"]);
        exits(&shown, 0);
        assert!(out(&shown).contains(&redis.place()) && out(&shown).contains("palomar"), "{}", out(&shown));
        let said = format!("{}{}{}{}", out(&info), err(&info), out(&shown), err(&shown));
        assert!(!said.contains(PASSWORD), "{said}");
        if running {
            continue;
        }
        // Another database is another Redis.
        let other = ran(&place, &redis.url(3), &["store", "info"]);
        exits(&other, 0);
        assert!(out(&other).contains("none yet"), "{}", out(&other));
    }
    assert_eq!(server.stop(), Some(0));
}

/// It is refused with one line that says this, and that holds no password.
#[track_caller]
fn is_refused(place: &Place, url: &str, words: &[&str], expected: &str) {
    let refused = ran(place, url, words);
    exits(&refused, 1);
    let said = format!("{}{}", out(&refused), err(&refused));
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("Redis at")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains(expected), "{said}\nexpected {expected}");
    assert!(!said.contains(PASSWORD) && !said.contains("not-that-one"), "{said}");
}

#[test]
fn what_is_wrong_is_one_line_without_the_password() {
    let (place, redis) = (Place::new(), Redis::start());
    let (url, at) = (redis.url(0), redis.place());
    let wrong = |was: &str, is: &str| url.replace(was, is);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (url, expected) in [
        (wrong(&at, "127.0.0.1:1"), "Redis at 127.0.0.1:1"),
        (wrong(PASSWORD, "not-that-one"), "refuses the user or the password"),
        (format!("redis://{at}"), "asks for a password"),
        (redis.url(99), "has no such database"),
    ] {
        is_refused(&place, &url, &serve, expected);
        is_refused(&place, &url, &["store", "info"], expected);
    }
    for (order, back, expected) in [
        ("CONFIG SET appendonly no", "CONFIG SET appendonly yes", "set appendonly yes"),
        (
            "CONFIG SET maxmemory-policy allkeys-lru",
            "CONFIG SET maxmemory-policy noeviction",
            "maxmemory-policy allkeys-lru",
        ),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read-only replica"),
    ] {
        redis.say(order);
        is_refused(&place, &url, &serve, expected);
        redis.say(back);
    }
    let server = self::serve(&place, &url);
    send(&place, &server, "Hola");
    assert_eq!(server.stop(), Some(0));
}

/// Two nodes share queues and records. One is killed in full flow: the other sends on.
#[tokio::test(flavor = "multi_thread")]
async fn where_one_node_is_killed_the_other_sends_on() {
    const MESSAGES: usize = 600;
    const AT_ONCE: usize = 16;
    let redis = Redis::start();
    let database = postgres::database(postgres::shared_port()).await;
    let settings = vec![(URL, redis.url(0)), ("PALOMAR__RECORDS__URL", database)];
    let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
    let latency = "2ms..20ms".parse().expect("a latency");
    let sim = harness::simulator(Config { latency, statuses, ..harness::quick() }).await;
    let survivor = harness::Server::with(settings).await;
    let mut other = survivor.beside().await;
    // The rate makes the run last longer than both nodes live.
    let limits = json!({ "windows": [{ "max": 200, "perSeconds": 1 }], "concurrency": AT_ONCE });
    survivor.channel("line", &sim, limits).await;

    // Each node accepts a half.
    let mut accepted = HashSet::new();
    for (half, node) in [&survivor, &other].into_iter().enumerate() {
        let row = |n: usize| {
            json!({
                "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": format!("Hola {n}") },
            })
        };
        let rows: Vec<Value> = (0..MESSAGES).filter(|n| n % 2 == half).map(row).collect();
        // A channel that was made on one node is known to the others a moment later: till then each row is refused.
        let ids = harness::until("the node knows the channel", || async {
            let (status, answer) = node.post("/api/messages/bulk", json!(rows)).await;
            assert_eq!(status, 200, "{answer}");
            let answers = answer.as_array().expect("an answer a row");
            let ids: Option<Vec<String>> =
                answers.iter().map(|row| row["id"].as_str().map(str::to_owned)).collect();
            ids.ok_or_else(|| answers[0].to_string())
        })
        .await;
        accepted.extend(ids);
    }
    assert_eq!(accepted.len(), MESSAGES, "every row has a message of its own");

    harness::until("it is under way", || async {
        let sent = sim.accepted();
        if sent >= MESSAGES / 4 { Ok(()) } else { Err(format!("{sent} were taken")) }
    })
    .await;
    other.kill();
    let before = sim.accepted();
    assert!(before < MESSAGES, "the kill came in full flow");

    // What the killed node had started and the provider never saw is not known before its lease is over; all else is read.
    let unseen = harness::until("the other node sends all that is left", || async {
        let taken: HashSet<String> =
            sim.ledger(0, MESSAGES).iter().filter_map(|entry| entry.tag.clone()).collect();
        let mut read: HashSet<String> = survivor.ids("line", "read").await.into_iter().collect();
        let unseen = |id: &&String| !taken.iter().any(|tag| tag.contains(id.as_str()));
        let left = accepted.iter().filter(|id| !read.contains(*id)).count();
        let unknown: Vec<String> =
            accepted.iter().filter(|id| !read.contains(*id)).filter(unseen).cloned().collect();
        let queue = survivor.queue("line").await;
        read.retain(|id| !accepted.contains(id));
        assert!(read.is_empty(), "nobody has accepted these: {read:?}");
        let waiting = queue["waiting"].as_u64().unwrap_or(0) + queue["leased"].as_u64().unwrap_or(0);
        if waiting == 0 && left == unknown.len() {
            Ok(unknown)
        } else {
            Err(format!("{left} are not read; {queue}"))
        }
    })
    .await;
    assert!(unseen.len() <= AT_ONCE, "{} are not known, {AT_ONCE} were in flight at most", unseen.len());
    for id in &unseen {
        let status = survivor.get(&format!("/api/messages/{id}")).await["status"].clone();
        assert!(status == "sending" || status == "uncertain", "{id} is {status}, and was never taken");
    }
    assert_eq!(sim.accepted() + unseen.len(), MESSAGES, "nothing is lost");
    assert!(sim.duplicates().is_empty(), "sent twice: {:?}", sim.duplicates());
}
