//! Send jobs and campaigns over a pool of browser sessions: the real binary, real Chromium, the page of our own.
//!
//! `SESSIONS` and `MESSAGES` make the trial with kills larger.

use std::collections::{BTreeMap, BTreeSet};

use palomar_sim::web::{Behaviour, Running};
use serde_json::{Value, json};

use crate::harness::{Server, instant, size, until};
use crate::web::{kill_browser, link_with, page, processes, repeat_safely, settings, until_session};

/// Sessions of one business.
async fn pool(server: &Server, page: &Running, sessions: usize) -> Vec<String> {
    let names: Vec<String> = (0..sessions).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        link_with(server, page, name, &format!("+3460000{n:04}"), json!({ "pool": "shop" })).await;
        repeat_safely(server, name).await;
    }
    names
}

async fn begin(server: &Server, channel: &str, words: &str, messages: usize) -> String {
    let row = |n: usize| json!({ "to": format!("+346001{:05}", n % 20), "message": format!("{words} {n}") });
    let rows: Vec<Value> = (0..messages).map(row).collect();
    let (status, job) = server.post("/api/send-jobs", json!({ "channel": channel, "messages": rows })).await;
    assert_eq!(status, 201, "{job}");
    job["id"].as_str().expect("an id").to_owned()
}

async fn until_job(server: &Server, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    until("a send job goes on", || async {
        let job = server.get(&format!("/api/send-jobs/{id}")).await;
        if holds(&job) { Ok(job) } else { Err(job.to_string()) }
    })
    .await
}

async fn order(server: &Server, id: &str, what: &str) -> Value {
    let (status, job) = server.post(&format!("/api/send-jobs/{id}/{what}"), json!({})).await;
    assert_eq!(status, 200, "{job}");
    job
}

async fn gone(page: &Running, least: usize) {
    until("some have gone", || async {
        let accepted = page.simulator().accepted();
        if accepted >= least { Ok(()) } else { Err(format!("{accepted} of {least}")) }
    })
    .await;
}

/// By whom each was written to.
fn writers(page: &Running) -> BTreeMap<String, BTreeSet<String>> {
    let mut writers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in page.simulator().ledger(0, 100_000) {
        writers.entry(entry.recipient).or_default().insert(entry.account);
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what the trial saw")]
async fn a_bulk_job_is_paused_killed_and_finished_and_another_one_called_off() {
    let (sessions, messages) = (size("SESSIONS", 2), size("MESSAGES", 40));
    let page = page(Behaviour::default()).await;
    let mut server = Server::with(settings(&page)).await;
    let names = pool(&server, &page, sessions).await;
    let began = instant();
    let job = begin(&server, "shop", "mensaje", messages).await;
    gone(&page, messages / 5).await;
    order(&server, &job, "pause").await;
    let rested = until_job(&server, &job, |job| job["progress"]["sending"] == 0).await;
    assert_eq!(rested["status"], "paused");
    let so_far = page.simulator().accepted();
    // Nothing begins while it is paused, whoever is killed meanwhile.
    kill_browser(&server, &names[0]).await;
    server.kill();
    server.run().await;
    for name in &names {
        until_session(&server, name, "status", "available").await;
    }
    assert_eq!(page.simulator().accepted(), so_far);
    order(&server, &job, "resume").await;
    gone(&page, messages * 2 / 5).await;
    kill_browser(&server, &names[1 % sessions]).await;
    gone(&page, messages * 3 / 5).await;
    server.kill();
    server.run().await;
    // What a killed browser was about to hand over stays in doubt, and is nothing that the other side has.
    let in_doubt =
        |job: &Value| job["progress"]["uncertain"].as_u64().map_or(usize::MAX, |count| count as usize);
    let done = until_job(&server, &job, |job| {
        job["status"] == "completed" && page.simulator().accepted() + in_doubt(job) == messages
    })
    .await;
    assert_eq!((&done["progress"]["processed"], &done["progress"]["failed"]), (&json!(messages), &json!(0)));
    assert_eq!(page.simulator().duplicates(), []);
    // Two browsers were killed with one message each, and two servers with one for each session.
    let (in_doubt, first) = (in_doubt(&done), page.simulator().accepted());
    assert!(in_doubt <= 2 + 2 * sessions, "{done}");
    let lasted = began.elapsed().as_secs();
    println!(
        "{messages} messages, {sessions} sessions: {first} went once, {in_doubt} in doubt, {lasted} s with 4 kills"
    );

    let job = begin(&server, "shop", "otro", messages).await;
    gone(&page, first + messages / 5).await;
    order(&server, &job, "cancel").await;
    let over = until_job(&server, &job, |job| {
        job["progress"]["processed"] == json!(messages) && job["progress"]["uncertain"] == 0
    })
    .await;
    let cancelled = over["progress"]["cancelled"].as_u64().expect("a count");
    assert_eq!(over["status"], "cancelled");
    assert_eq!(page.simulator().accepted() as u64 + cancelled, (first + messages) as u64, "{over}");
    assert_eq!(page.simulator().duplicates(), []);

    // Whoever was written to by one of the pool was written to by that one alone.
    let writers = writers(&page);
    assert!(writers.values().all(|accounts| accounts.len() == 1), "{writers:?}");
    let used: BTreeSet<_> = writers.values().flatten().collect();
    assert_eq!(used.len(), sessions);
    for name in &names {
        assert_eq!(until_session(&server, name, "status", "available").await["hasQr"], false);
    }
    let told = server.output(&["send-job", "list", "--json"]).await;
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(
        (&told[0]["status"], &told[1]["status"]),
        (&json!("cancelled"), &json!("completed")),
        "{told}"
    );
    assert!(server.terminate().await.success());
    assert_eq!(processes(&server.dir), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_goes_over_a_pool() {
    let page = page(Behaviour::default()).await;
    let mut server = Server::with(settings(&page)).await;
    let names = pool(&server, &page, 2).await;
    let contacts: Vec<Value> =
        (0..12).map(|n| json!({ "phone": format!("+346002{n:05}"), "name": format!("Ana {n}") })).collect();
    let campaign =
        json!({ "name": "Rebajas", "channel": "shop", "message": "Hola {{name}}", "contacts": contacts });
    let (status, campaign) = server.post("/api/campaigns", campaign).await;
    assert_eq!(status, 201, "{campaign}");
    let path = format!("/api/campaigns/{}", campaign["id"].as_str().expect("an id"));
    let (status, started) = server.post(&format!("{path}/start"), json!({})).await;
    assert_eq!((status, &started["estimatedContacts"]), (200, &json!(12)), "{started}");
    gone(&page, 3).await;
    let (status, paused) = server.post(&format!("{path}/queue-pause"), json!({})).await;
    assert_eq!(status, 200, "{paused}");
    // No queue of the pool begins anything of it.
    until("nothing is under way", || async {
        let mut under_way = 0;
        for name in &names {
            under_way += server.count(name, "sending").await;
        }
        if under_way == 0 { Ok(()) } else { Err(format!("{under_way}")) }
    })
    .await;
    let so_far = page.simulator().accepted();
    server.kill();
    server.run().await;
    for name in &names {
        until_session(&server, name, "status", "available").await;
    }
    assert_eq!(page.simulator().accepted(), so_far);
    let (status, resumed) = server.post(&format!("{path}/queue-resume"), json!({})).await;
    assert_eq!(status, 200, "{resumed}");
    until("it is finished", || async {
        let campaign = server.get(&path).await;
        if campaign["status"] == "finished" { Ok(()) } else { Err(campaign.to_string()) }
    })
    .await;
    let writers = writers(&page);
    assert_eq!((writers.len(), page.simulator().accepted()), (12, 12));
    let used: BTreeSet<_> = writers.values().flatten().collect();
    assert_eq!(used.len(), 2, "{writers:?}");
    assert!(page.simulator().ledger(0, 100).iter().any(|entry| entry.text == "Hola Ana 7"));
    assert!(server.terminate().await.success());
    assert_eq!(processes(&server.dir), Vec::<i32>::new());
}
