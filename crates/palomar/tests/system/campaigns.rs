//! Campaigns in the running server, by the addresses and bodies that operators know: simple, scheduled, live control;
//! killed again and again; beside others; against a provider that turns hostile.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::Clock as _;
use palomar_sim::cloud_api::{Config, Fault, FaultKind, Statuses};
use palomar_sim::{Latency, twilio};
use serde_json::{Value, json};

use crate::harness::{Dice, Server, SystemClock, instant, quick, seed, simulator, size, until};

fn contacts(from: usize, n: usize) -> Vec<Value> {
    (from..from + n)
        .map(|n| json!({"phone": format!("+346{n:06}99"), "name": format!("Persona {n}")}))
        .collect()
}

async fn create(server: &Server, body: Value) -> String {
    let (status, answer) = server.post("/api/campaigns", body).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

/// A campaign of more contacts than one request takes.
async fn create_large(server: &Server, body: Value, n: usize) -> String {
    let id = create(server, body).await;
    for from in (0..n).step_by(5_000) {
        let body = json!({"contacts": contacts(from, (n - from).min(5_000))});
        let (status, answer) = server.post(&format!("/api/campaigns/{id}/contacts"), body).await;
        assert_eq!((status, answer["duplicates"].as_u64()), (200, Some(0)), "{answer}");
    }
    id
}

async fn order(server: &Server, id: &str, what: &str) -> Value {
    let (status, answer) = server.post(&format!("/api/campaigns/{id}/{what}"), json!({})).await;
    assert_eq!(status, 200, "{what}: {answer}");
    answer
}

async fn queue_status(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/campaigns/{id}/queue-status")).await["status"].clone()
}

async fn until_status(server: &Server, id: &str, wanted: &str) -> Value {
    until(&format!("campaign {id} is {wanted}"), || async {
        let status = queue_status(server, id).await;
        if status["status"] == wanted { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

/// A Twilio that sends ten a second, as every new sender does.
async fn twilio_channel(server: &Server) -> twilio::RunningSim {
    let soon = Latency::fixed(Duration::from_millis(20));
    let statuses = Statuses { sent: soon, delivered: soon, read: soon, ..Statuses::default() };
    let config = twilio::Config { statuses, ..twilio::Config::default() };
    let sim = twilio::TwilioSim::start(config, Arc::new(SystemClock)).await.expect("a simulator");
    let webhook = format!("http://{}/webhooks/twilio", server.address);
    let body = json!({"name": "twilio", "provider": "twilio",
        "settings": {"accountSid": "AC00000000000000000000000000000001", "number": "whatsapp:+15550100200",
            "baseUrl": sim.url(), "webhookUrl": webhook},
        "credentials": {"authToken": "0123456789abcdef0123456789abcdef"}});
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
    sim.set_webhook_url(Some(&format!("http://{}/webhooks/twilio", server.address)));
    sim
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_scheduled_and_live_control_on_twilio() {
    let server = Server::start().await;
    let sim = twilio_channel(&server).await;
    // Free text goes to people who wrote in the last 24 hours: these did.
    let people = [(0, 35), (100, 5), (200, 60)].map(|(from, n)| contacts(from, n)).concat();
    for person in &people {
        let from = person["phone"].as_str().map(str::to_owned);
        sim.inbound(twilio::Inbound { from, text: Some("Hola".into()), ..twilio::Inbound::default() })
            .expect("written")
            .expect("an id");
    }
    until("all wrote", || async {
        let known = server.get("/api/conversations?channel=twilio&limit=200").await;
        let all = known["items"].as_array().map(Vec::len) == Some(people.len());
        if all { Ok(()) } else { Err(known.to_string()) }
    })
    .await;
    // Simple; and somebody who never wrote.
    let everybody = [contacts(0, 35), contacts(999, 1)].concat();
    let body = json!({"name": "Test Campaign", "message": "Hola, esto es una prueba", "channel": "twilio",
        "contacts": everybody});
    let id = create(&server, body).await;
    let started = order(&server, &id, "start").await;
    assert!(started["jobId"].as_str().expect("an id").starts_with(&format!("{id}_")), "{started}");
    assert_eq!(started["estimatedContacts"], 36);
    let foreseen = started["estimatedTime"].as_u64().expect("a time");
    assert!((3_000..5_000).contains(&foreseen), "35 at ten a second: {started}");
    assert_eq!(order(&server, &id, "start").await["jobId"], started["jobId"], "the one that runs");
    let done = until_status(&server, &id, "finished").await;
    let expected = json!({"processed": 36, "total": 36, "success": 35, "failed": 0, "percentage": 100});
    assert_eq!(done["progress"], expected);
    assert_eq!(done["metrics"]["leftOut"], json!({"outside_window": 1}));
    let jobs = ["totalJobs", "activeJobs", "waitingJobs", "completedJobs", "failedJobs"];
    assert_eq!(jobs.map(|name| done[name].as_u64().expect("a number")), [1, 0, 0, 1, 0]);
    assert_eq!(sim.accepted(), 35);

    // Scheduled.
    let at = SystemClock.now().after(Duration::from_secs(2));
    let body = json!({"name": "Campaña Programada", "message": "Mensaje programado", "channel": "twilio",
        "contacts": contacts(100, 5), "scheduledAt": at});
    let scheduled = create(&server, body).await;
    assert_eq!(queue_status(&server, &scheduled).await["status"], "scheduled");
    let done = until_status(&server, &scheduled, "finished").await;
    let begun: palomar_model::Timestamp =
        done["metrics"]["startTime"].as_str().expect("a time").parse().expect("a time");
    assert!(begun >= at, "{begun} is before {at}");

    // Live control.
    let body = json!({"name": "En vivo", "message": "Hola {{name}}", "channel": "twilio", "contacts": contacts(200, 60)});
    let live = create(&server, body).await;
    order(&server, &live, "start").await;
    until("ten are sent", || async {
        let sent = sim.accepted();
        if sent >= 50 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await;
    let paused = order(&server, &live, "queue-pause").await;
    assert_eq!((&paused["success"], &paused["campaign"]["status"]), (&json!(true), &json!("paused")));
    let metrics = server.get("/api/dashboard/campaign-queue-metrics").await;
    let in_flight = paused["inFlight"].as_u64().expect("a number") as usize;
    let before = sim.accepted();
    // Replies pass on the same channel meanwhile, one after the other: whoever might begin has room to.
    for n in 0..3 {
        let reply = server.send("twilio", &format!("+3461100000{n}"), "¡Claro!").await;
        server.until_status(&reply, "read").await;
    }
    let before = before + 3;
    assert!(sim.accepted() <= before + in_flight, "nobody begins while it is paused");
    assert_eq!(metrics["success"], true);
    let metrics = &metrics["metrics"];
    assert_eq!(metrics["system"]["campaignsProcessed"], 2, "{metrics}");
    assert_eq!(metrics["system"]["circuitBreakerStatus"], "closed");
    assert!(metrics["processingQueue"]["waiting"].as_u64() >= Some(40), "{metrics}");
    assert!(metrics["campaignQueue"]["completed"].as_u64() >= Some(3), "{metrics}");
    order(&server, &live, "queue-resume").await;
    until("it goes on", || async {
        let sent = sim.accepted();
        if sent > before + 10 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await;
    let stopped = order(&server, &live, "queue-stop").await;
    assert_eq!(stopped["campaign"]["status"], "stopped");
    let status = until("nothing moves", || async {
        let status = queue_status(&server, &live).await;
        let messages = &status["metrics"]["messages"];
        let still = ["queued", "scheduled", "sending"].iter().all(|word| messages[*word].is_null());
        if still { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    let all: u64 =
        status["metrics"]["messages"].as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    assert_eq!(all + status["metrics"]["notQueued"].as_u64().expect("a number"), 60, "{status}");
    let (refused, answer) = server.post(&format!("/api/campaigns/{live}/queue-resume"), json!({})).await;
    assert_eq!((refused, answer["code"].as_str()), (409, Some("wrong_state")), "{answer}");
    assert!(sim.duplicates().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_it_skips_nobody_and_writes_to_nobody_twice() {
    let (kills, n) = (size("KILLS", 6), size("CONTACTS", 4_000));
    let mut dice = Dice(seed());
    let latency = "2ms..20ms".parse().expect("a latency");
    let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
    let sim = simulator(Config { latency, statuses, ..quick() }).await;
    let mut server = Server::with(vec![("PALOMAR__CAMPAIGNS__BATCH_SIZE", "100".to_owned())]).await;
    let rate = size("RATE", 400);
    let limits =
        json!({"windows": [{"max": rate, "perSeconds": 1}], "concurrency": 32, "uncertainWaitSeconds": 5});
    server.channel("line", &sim, limits).await;
    let body = json!({"name": "Verano", "message": "Hola {{name}}", "channel": "line", "onUncertain": "hold", "outsideWindow": "send"});
    let id = create_large(&server, body, n).await;
    order(&server, &id, "start").await;
    for kill in 0..kills {
        let goal = (kill + 1) * n / (kills + 2);
        until("it goes on", || async {
            let sent = sim.accepted();
            if sent >= goal {
                Ok(())
            } else {
                Err(format!("{sent} of {goal}; {}", queue_status(&server, &id).await))
            }
        })
        .await;
        let status = queue_status(&server, &id).await;
        assert_eq!(status["status"], "sending", "not before its end: {status}");
        order(&server, &id, "queue-pause").await;
        order(&server, &id, "queue-resume").await;
        tokio::time::sleep(Duration::from_millis(dice.below(80))).await;
        server.kill();
        server.run().await;
    }
    let done = until_status(&server, &id, "finished").await;
    let metrics = &done["metrics"];
    let uncertain = metrics["messages"]["uncertain"].as_u64().unwrap_or(0);
    assert_eq!(done["progress"]["processed"], n, "{done}");
    assert_eq!(done["progress"]["success"].as_u64().expect("a number") + uncertain, n as u64, "{done}");
    let duplicates = sim.duplicates();
    assert!(duplicates.is_empty(), "sent twice: {duplicates:?}");
    // Each contact has one message, and its own.
    let mut reached = HashSet::new();
    let mut after = 0;
    loop {
        let page = sim.ledger(after, 1_000);
        let Some(last) = page.last() else { break };
        after = last.order;
        for entry in &page {
            assert!(reached.insert(entry.recipient.clone()), "{} got two", entry.recipient);
        }
    }
    assert!(reached.len() as u64 + uncertain >= n as u64, "{} of {n} were reached", reached.len());
    eprintln!(
        "{kills} kills, {n} contacts: {} reached once, {uncertain} uncertain, none twice",
        reached.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_campaigns_share_a_channel_and_replies_go_first() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server
        .channel("line", &sim, json!({"windows": [{"max": 100, "perSeconds": 1}], "concurrency": 32}))
        .await;
    let body = |name: &str, from| {
        json!({"name": name, "message": name, "channel": "line",
        "contacts": contacts(from, 900), "outsideWindow": "send"})
    };
    let ids = [create(&server, body("uno", 0)).await, create(&server, body("dos", 10_000)).await];
    for id in &ids {
        order(&server, id, "start").await;
    }
    let success =
        async |id: &str| queue_status(&server, id).await["progress"]["success"].as_u64().expect("a number");
    until("both send", || async {
        let sent = [success(&ids[0]).await, success(&ids[1]).await];
        if sent.iter().all(|sent| *sent > 20) { Ok(()) } else { Err(format!("{sent:?}")) }
    })
    .await;
    // Replies meanwhile.
    let mut slowest = Duration::ZERO;
    for n in 0..10 {
        let begun = instant();
        let reply = server.send("line", &format!("+3461000{n:04}"), "¡Claro!").await;
        server.until_status(&reply, "read").await;
        slowest = slowest.max(begun.elapsed());
    }
    until("much is sent", || async {
        let sent = success(&ids[0]).await + success(&ids[1]).await;
        if sent > 800 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await;
    let sent = [success(&ids[0]).await as f64, success(&ids[1]).await as f64];
    let share = sent[0] / (sent[0] + sent[1]);
    eprintln!("shares {share:.3} of {sent:?}; the slowest of 10 replies took {slowest:?}");
    assert!((0.45..0.55).contains(&share), "{sent:?}");
    // At 100 a second the 1,800 take 18 s: whoever had to wait for them would not be read now.
    let waiting = server.queue("line").await["waiting"].as_u64().expect("a number");
    assert!(waiting > 0, "the replies did not wait for the campaigns");
    for id in &ids {
        order(&server, id, "queue-stop").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_turns_hostile_pauses_it_and_loses_nobody() {
    let sim = simulator(quick()).await;
    // One batch after the other: who stands first is written to first.
    let one = vec![("PALOMAR__CAMPAIGNS__CONCURRENT_BATCHES", "1".to_owned())];
    let server = Server::with(one).await;
    let limits = json!({"windows": [{"max": 200, "perSeconds": 1}], "concurrency": 8, "breakerFailures": 10,
        "breakerSeconds": 1});
    server.channel("line", &sim, limits).await;
    // Twenty numbers that are on WhatsApp no more stand together in the midst of the others.
    let mut all = contacts(0, 600);
    all.extend((60..80).map(|n| json!({"phone": format!("+34{n}9131026")})));
    all.extend(contacts(1_000, 300));
    let total = all.len();
    let body = json!({"name": "Otoño", "message": "Hola", "channel": "line", "contacts": all,
        "outsideWindow": "send", "autoPause": {"failureRate": 0.2, "sample": 15}});
    let id = create(&server, body).await;
    order(&server, &id, "start").await;
    let sent = async |least: usize| {
        until("it goes on", || async {
            if sim.accepted() >= least { Ok(()) } else { Err(sim.accepted().to_string()) }
        })
        .await;
    };
    sent(200).await;
    sim.set_faults(vec![Fault::always(FaultKind::Down)]).expect("faults");
    let breaker = async || {
        let metrics = server.get("/api/dashboard/campaign-queue-metrics").await;
        metrics["metrics"]["system"]["circuitBreakerStatus"].as_str().expect("a word").to_owned()
    };
    until("the breaker opens", || async {
        let breaker = breaker().await;
        if breaker == "open" { Ok(()) } else { Err(breaker) }
    })
    .await;
    let held = queue_status(&server, &id).await;
    assert_eq!(
        (&held["status"], &held["progress"]["failed"]),
        (&json!("sending"), &json!(0)),
        "it waits: {held}"
    );
    sim.set_faults(Vec::new()).expect("no faults");
    let paused = until_status(&server, &id, "paused").await;
    let reason = paused["metrics"]["pauseReason"].as_str().expect("a reason");
    assert!(reason.contains("messages failed; 20 % may"), "{reason}");
    assert_eq!(breaker().await, "closed");
    let campaign = server.get(&format!("/api/campaigns/{id}")).await;
    assert_eq!(campaign["pauseCause"], "failure_rate");
    order(&server, &id, "queue-resume").await;
    let done = until("it ends", || async {
        let status = queue_status(&server, &id).await;
        if status["status"] == "paused" {
            order(&server, &id, "queue-resume").await;
        }
        if status["status"] == "finished" { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    let progress = &done["progress"];
    assert_eq!(
        (progress["processed"].as_u64(), progress["failed"].as_u64()),
        (Some(total as u64), Some(20)),
        "{done}"
    );
    assert_eq!(progress["success"], total - 20);
    let report = server.get(&format!("/api/campaigns/{id}/report")).await;
    assert_eq!(report["failures"], json!({"131026": 20}));
    assert!(sim.duplicates().is_empty());
}
