//! What analytics say against what the simulator and the callers know: after failures, reads, replies, kills, and all
//! webhooks again in any order.
//!
//! `MESSAGES=100000 KILLS=20 cargo test -p palomar --test system every_number`

use palomar_sim::cloud_api::{self, Config, RunningSim, Statuses};
use serde_json::{Value, json};

use crate::callers::{never_taken, try_again};
use crate::harness::{Dice, Server, quick, seed, simulator, size, until};

/// Of ten messages one is refused, one is taken and reported as failed, and the others are read.
fn to(n: usize) -> String {
    match n % 10 {
        // The simulator answers a number with such an ending with the code.
        0 => format!("+1{:03}9131021", 201 + n / 10 % 700),
        1 => format!("+1{:03}9131026", 201 + n / 10 % 700),
        _ => format!("+34622{n:06}"),
    }
}

fn written(n: usize) -> cloud_api::Inbound {
    let message = json!({"type": "text", "text": {"body": "ok"}, "id": format!("wamid.trial.{n}"),
        "timestamp": "1767225600"});
    // Half of those who write were written to.
    let from = Some(format!("34622{:06}", n * 10 + if n.is_multiple_of(2) { 2 } else { 900_002 }));
    cloud_api::Inbound { message: message.as_object().cloned(), from, ..cloud_api::Inbound::default() }
}

async fn counts(server: &Server) -> Value {
    server.get("/api/analytics/messages?period=2d").await
}

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}")) as usize
}

/// All points of a series added up.
async fn sum(server: &Server, query: &str) -> usize {
    let series = server.get(&format!("/api/analytics/timeseries?period=2d&{query}")).await;
    let groups = series["series"].as_array().expect("series").clone();
    let points = groups.iter().flat_map(|group| group["points"].as_array().cloned().unwrap_or_default());
    points.map(|point| point["value"].as_f64().unwrap_or(0.0) as usize).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_what_the_ledger_says() {
    let (messages, kills) = (size("MESSAGES", 300), size("KILLS", 2));
    let inbound = messages / 5;
    let mut dice = Dice(seed());
    let statuses = Statuses { repeat: 0.2, shuffle: true, ..Statuses::default() };
    let sim = simulator(Config { statuses, ..quick() }).await;
    // Chromium's sandbox does not work as root.
    let sandbox = !rustix::process::geteuid().is_root();
    let mut server = Server::with(vec![("PALOMAR__WEB__SANDBOX", sandbox.to_string())]).await;
    server.channel("line", &sim, json!({ "profile": "unlimited", "breakerFailures": 0 })).await;
    let rows: Vec<_> = (0..messages)
        .map(|n| json!({ "channel": "line", "to": to(n), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    let mut people: Vec<usize> = (0..inbound).collect();
    let chunks = rows.chunks(messages.div_ceil(10).min(500)).count();
    let kill_at: Vec<usize> = (0..kills).map(|_| dice.below(chunks as u64) as usize).collect();
    for (place, rows) in rows.chunks(messages.div_ceil(10).min(500)).enumerate() {
        let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
        assert_eq!(status, 200, "{answer}");
        for n in people.iter().skip(place * inbound / chunks).take(inbound / chunks) {
            sim.inbound(written(*n)).expect("posted");
        }
        for _ in kill_at.iter().filter(|at| **at == place) {
            server.kill();
            server.run().await;
        }
    }
    // What was started and never sent is for a person to say; they say: again.
    let settled = never_taken(&server, "line", &sim).await;
    try_again(&server, &settled).await;
    // All that people wrote again, and again, in any order.
    for _ in 0..3 {
        for n in (1..people.len()).rev() {
            people.swap(n, dice.below(n as u64 + 1) as usize);
        }
        people.iter().for_each(|n| drop(sim.inbound(written(*n)).expect("posted")));
    }
    let (refused, reported) = (messages.div_ceil(10), (messages + 8) / 10);
    let read = messages - refused - reported;
    let found = until("all has come to an end", || async {
        let webhooks = sim.stats().webhooks;
        let found = counts(&server).await;
        let ends = number(&found, "read") + number(&found, "failed") - number(&found, "recovered");
        let done = ends == messages && number(&found, "received") == inbound;
        if done && webhooks.waiting + webhooks.in_flight == 0 { Ok(found) } else { Err(found.to_string()) }
    })
    .await;

    // What the callers know, and what the simulator wrote down.
    assert_eq!(number(&found, "accepted"), messages);
    assert_eq!(number(&found, "delivered"), read, "{found}");
    assert_eq!(number(&found, "read"), read, "{found}");
    assert_eq!(number(&found, "failed") - number(&found, "recovered"), refused + reported, "{found}");
    let taken: std::collections::HashSet<_> = sim
        .ledger(0, messages * 2)
        .iter()
        .filter_map(|entry| entry.tag.as_deref()?.split(':').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(taken.len(), read + reported, "by the ledger");
    // One that was reported as failed before its send was known was never seen as sent.
    let mut unseen = 0;
    for id in server.ids("line", "failed").await {
        let message = server.get(&format!("/api/messages/{id}")).await;
        unseen += usize::from(taken.contains(&id) && message["sentAt"].is_null());
    }
    assert_eq!(number(&found, "sent"), taken.len() - unseen, "{found}");
    let by_code = |code: &str| {
        let failures = found["failures"].as_array().expect("failures");
        failures.iter().filter(|one| one["code"] == code).map(|one| number(one, "count")).sum::<usize>()
    };
    // What was ordered again failed again. What was uncertain and is known to have failed by evidence has no code.
    let failures = found["failures"].as_array().expect("failures");
    let all: usize = failures.iter().map(|one| number(one, "count")).sum();
    assert_eq!(all, number(&found, "failed"), "each has a reason: {found}");
    let without: usize =
        failures.iter().filter(|one| one["code"].is_null()).map(|one| number(one, "count")).sum();
    assert_eq!(by_code("131021") + by_code("131026") + without, all, "no other reason: {found}");
    assert!(kills > 0 || (by_code("131021"), by_code("131026")) == (refused, reported), "{found}");

    // Every way to ask says the same.
    for bucket in ["minute", "15m", "hour", "day", "week"] {
        let zone = "zone=Asia/Kolkata";
        assert_eq!(sum(&server, &format!("metric=read&bucket={bucket}&{zone}")).await, read, "{bucket}");
    }
    for by in ["channel", "campaign", "template", "type", "country", "priority"] {
        assert_eq!(sum(&server, &format!("metric=delivered&bucket=day&groupBy={by}")).await, read, "{by}");
        let grouped = server.get(&format!("/api/analytics/messages?period=2d&groupBy={by}")).await;
        let groups = grouped["groups"].as_object().expect("groups");
        assert_eq!(groups.values().map(|group| number(group, "received")).sum::<usize>(), inbound, "{by}");
    }
    let talks = server.get("/api/analytics/conversations?period=2d").await;
    let people: std::collections::HashSet<String> = (0..messages)
        .map(|n| to(n).trim_start_matches('+').to_owned())
        .chain((0..inbound).filter_map(|n| written(n).from))
        .collect();
    assert_eq!((number(&talks, "new"), number(&talks, "active")), (people.len(), people.len()), "{talks}");
    let report = server.get("/api/analytics/report?period=2d&compare=true").await;
    assert_eq!(number(&report["messages"], "read"), read);
    assert_eq!(number(&report["previous"]["messages"], "read"), 0);
    let series = report["series"].as_array().expect("a series");
    assert_eq!(series.iter().map(|stretch| number(stretch, "read")).sum::<usize>(), read);
    let csv = server.output(&["analytics", "report", "--format", "csv", "--period", "2d"]).await;
    let csv = String::from_utf8_lossy(&csv.stdout).into_owned();
    assert!(csv.contains(&format!("messages,,read,{read}\n")), "{csv}");
    let html = server.output(&["analytics", "report", "--format", "html", "--period", "2d"]).await;
    assert!(String::from_utf8_lossy(&html.stdout).contains("<svg"), "a page with charts");
    let pdf = server.output(&["analytics", "report", "--format", "pdf", "--period", "2d"]).await;
    assert!(
        pdf.stdout.starts_with(b"%PDF-") && pdf.stdout.len() > 5_000,
        "{}",
        String::from_utf8_lossy(&pdf.stderr)
    );

    answers_and_conversions(&mut server, &sim, (messages, inbound), &mut dice).await;
    assert!(server.terminate().await.success());
    let checked = server.output(&["store", "check"]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    one_wrong_counter_is_named(&server).await;
}

/// Everybody who wrote and was written to is answered, and half of the others; some buy, each told of twice, with a kill in
/// between: exact again.
async fn answers_and_conversions(
    server: &mut Server,
    sim: &RunningSim,
    (messages, inbound): (usize, usize),
    dice: &mut Dice,
) {
    let before = counts(server).await;
    // Whoever was written to after they wrote has been answered by that; an answer more changes nothing.
    let answered: Vec<usize> = (0..inbound).filter(|n| n.is_multiple_of(2) || n % 4 == 1).collect();
    let rows: Vec<_> = answered
        .iter()
        .map(|n| {
            let to = format!("+{}", written(*n).from.expect("somebody"));
            json!({ "channel": "line", "to": to, "type": "text", "content": { "text": "At once" } })
        })
        .collect();
    let chunks: Vec<_> = rows.chunks(rows.len().div_ceil(4).min(500)).collect();
    let kill_at = dice.below(chunks.len() as u64) as usize;
    for (place, rows) in chunks.into_iter().enumerate() {
        let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
        assert_eq!(status, 200, "{answer}");
        if place == kill_at {
            server.kill();
            server.run().await;
        }
    }
    let settled = never_taken(server, "line", sim).await;
    try_again(server, &settled).await;
    until("all answers are read", || async {
        let found = counts(server).await;
        let read = number(&found, "read") - number(&before, "read");
        if read == answered.len() { Ok(()) } else { Err(format!("{read} of {}: {found}", answered.len())) }
    })
    .await;
    let talks = server.get("/api/analytics/conversations?period=2d").await;
    assert_eq!((number(&talks, "asked"), number(&talks, "answered")), (inbound, answered.len()), "{talks}");
    assert_eq!(number(&talks["response"], "count"), answered.len(), "{talks}");

    // Of ten who buy one was never written to. Sales have a value; what is told twice counts once.
    let buyers = (messages / 20).max(20);
    for round in 0..2 {
        for n in 0..buyers {
            let to =
                if n % 10 == 9 { format!("+34699{n:06}") } else { self::to(n % (messages / 10) * 10 + 2) };
            let mut told = json!({ "id": format!("order-{n}"), "kind": "lead", "to": to, "channel": "line" });
            if n % 2 == 0 {
                told["kind"] = json!("sale");
                told["value"] = json!(10.5);
                told["currency"] = json!("EUR");
            }
            let (status, answer) = server.post("/api/analytics/conversions", told).await;
            assert!(status < 300, "{answer}");
            assert_eq!(answer["repeated"], round > 0, "{answer}");
        }
        server.kill();
        server.run().await;
    }
    let found = server.get("/api/analytics/conversions?period=2d").await;
    let of = |kind: &str| {
        let items = found["items"].as_array().expect("items");
        let one = items.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("{kind} in {found}"));
        (number(one, "count"), number(one, "attributed"), one["value"].as_f64().unwrap_or(0.0))
    };
    // Who was never written to has an odd number: no sale.
    let (sales, strangers) = (buyers.div_ceil(2), (0..buyers).filter(|n| n % 10 == 9).count());
    assert_eq!(of("sale"), (sales, sales, sales as f64 * 10.5), "{found}");
    assert_eq!(of("lead"), (buyers - sales, buyers - sales - strangers, 0.0), "{found}");
    let report = server.get("/api/analytics/report?period=2d").await;
    assert_eq!(report["conversions"], found["items"]);
    assert_eq!(report["conversations"]["answered"], talks["answered"]);
}

/// Each counter that is made wrong by hand is named, and nothing is once it is as it was.
async fn one_wrong_counter_is_named(server: &Server) {
    let verified = || async {
        let output = server.output(&["store", "verify", "--json"]).await;
        let found: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(output.status.code(), Some(i32::from(!found["firstDifference"].is_null())), "{found}");
        found
    };
    let clean = verified().await;
    assert!(clean["firstDifference"].is_null() && number(&clean, "countersCompared") > 100, "{clean}");
    // A counter of a day; a page of counts that has another's; times that lack a series.
    for (wrong, named) in [
        ("UPDATE counters SET count = count + 1 WHERE kind = 'sent' AND channel = 'line'", "counter sent of line"),
        (
            "UPDATE analytics_counts SET counts = (SELECT counts FROM analytics_counts c JOIN analytics_series s
                ON s.id = c.series WHERE c.tier = 1 AND s.depth = 6 LIMIT 1)
                WHERE tier = 1 AND series = (SELECT id FROM analytics_series WHERE depth = 0)",
            " of all (depth 0) at ",
        ),
        (
            "DELETE FROM analytics_times WHERE series = (SELECT id FROM analytics_series WHERE depth = 0)",
            "of all (depth 0) from ",
        ),
    ] {
        let path = server.dir.join("records.db");
        let kept = server.dir.join("records.kept");
        std::fs::copy(&path, &kept).expect("a copy");
        let db = rusqlite::Connection::open(&path).expect("it opens");
        assert!(db.execute(wrong, []).expect("it is made wrong") > 0, "{wrong}");
        // Nothing of it may stay beside the file, which is put back.
        db.close().expect("it closes");
        let found = verified().await;
        let first = found["firstDifference"].as_str().expect("a difference");
        assert!(first.contains(named), "{first}");
        std::fs::copy(&kept, &path).expect("put back");
    }
    assert!(verified().await["firstDifference"].is_null());
}
