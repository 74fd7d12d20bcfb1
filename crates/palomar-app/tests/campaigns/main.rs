//! Campaigns on a real broker, real records and a sandbox: everybody gets one message or a reason, whatever is ordered
//! meanwhile.

mod follows;
mod forgotten;
#[path = "../house/mod.rs"]
mod house;
mod mortal;
mod pace;
mod resend;
mod unwelcome;
mod walk;

use std::time::Duration;

use house::{House, SystemClock};
use palomar_app::{
    AppError, Caller, CampaignPatch, CampaignReport, NewCampaign, ProviderTemplate, QueueStatus,
};
use palomar_model::{Clock as _, MessageState};
use serde_json::{Value, json};

/// Single messages that pass while a campaign is paused, one after the other: whoever might begin has room to.
const REPLIES: u64 = 5;

fn new(body: Value) -> NewCampaign {
    serde_json::from_value(body).expect("a campaign")
}

fn contacts(n: usize) -> Vec<Value> {
    (0..n).map(|n| json!({"phone": format!("+3460{n:05}77"), "name": format!("Persona {n}")})).collect()
}

fn caller() -> Caller {
    Caller::system()
}

async fn create(house: &House, body: Value) -> String {
    house.app.create_campaign(new(body), None, &caller()).await.expect("created").campaign.id
}

async fn status(house: &House, id: &str) -> QueueStatus {
    house.app.campaign_status(id, &caller()).await.expect("a status")
}

/// Waits until a campaign is as `wanted` says.
async fn wait_until(house: &House, id: &str, wanted: impl Fn(&QueueStatus) -> bool) -> QueueStatus {
    for _ in 0..2_400 {
        let status = status(house, id).await;
        if wanted(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {:?}", status(house, id).await);
}

async fn report(house: &House, id: &str) -> CampaignReport {
    house.app.campaign_report(id, &caller()).await.expect("a report")
}

/// A page after another, what became of each recipient.
async fn results(house: &House, id: &str) -> Vec<palomar_app::RecipientResult> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = house.app.campaign_results(id, cursor.as_deref(), 100, &caller()).await.expect("a page");
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_one_message_or_a_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let mut all = contacts(1_203);
    all.push(json!({"phone": "12"}));
    all.push(json!({"phone": "+34600000777", "name": "again"}));
    all.push(json!({"phone": "+34611000001"}));
    let stopped = palomar_app::NewSuppression {
        to: palomar_model::Recipient::parse("+34600004277", None).expect("a number"),
        channel: None,
        reason: palomar_app::SuppressionReason::Manual,
        detail: None,
    };
    house.app.suppress(stopped).await.expect("kept");
    let id = create(&house, json!({"name": "Verano", "message": "Hola {{name}}", "contacts": all})).await;
    let dry = house.app.dry_run_campaign(&id, 3, &caller()).await.expect("a dry run");
    assert_eq!((dry.contacts, dry.duplicates, dry.would_send), (1_205, 1, 1_202));

    let answer = house.app.start_campaign(&id, &caller()).await.expect("started");
    assert_eq!((answer.estimated_contacts, answer.campaign.status), (1_204, "sending"));
    let again = house.app.start_campaign(&id, &caller()).await.expect("answered");
    assert_eq!(again.job_id, answer.job_id, "the one that runs");
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!((done.total_jobs, done.completed_jobs, done.active_jobs, done.waiting_jobs), (3, 3, 0, 0));
    assert_eq!((done.progress.processed, done.progress.total, done.progress.success), (1_205, 1_205, 1_202));
    assert_eq!(done.progress.percentage, 100);
    let report = report(&house, &id).await;
    assert_eq!(json!(report.left_out), json!(dry.left_out), "what was foreseen is what happened");
    assert_eq!(json!(report.left_out), json!({"invalid_number": 1, "missing_variable": 1, "suppressed": 1}));
    assert_eq!((report.sent, report.not_queued, report.variants[0].messages), (1_202, 0, 1_202));
    let results = results(&house, &id).await;
    assert_eq!(results.len(), 1_205);
    let with = |word: &str| results.iter().filter(|result| result.status == word).count();
    assert_eq!(with("left_out"), 3);
    let ids: std::collections::HashSet<_> = results.iter().filter_map(|result| result.message_id).collect();
    assert_eq!(ids.len(), 1_202);
    // All of them said the right thing to the right one.
    let page =
        house.app.messages(palomar_app::MessageFilter::default(), None, 200, &caller()).await.expect("read");
    for message in &page.items {
        let n: usize = message.contact[5..10].parse().expect("a number");
        assert_eq!(message.content["text"], format!("Hola Persona {n}"));
    }
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_resume_and_stop_hold_when_they_are_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open(dir.path()).await;
    let mut demo = house::demo();
    demo.limits =
        serde_json::from_value(json!({"windows": [{"max": 200, "perSeconds": 1}]})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    let id = create(&house, json!({"name": "Verano", "message": "Hola", "contacts": contacts(1_500)})).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    for _ in 0..3 {
        wait_until(&house, &id, |status| status.status == "sending" && status.progress.processed > 0).await;
        let paused = house.app.pause_campaign(&id, &caller()).await.expect("paused");
        assert_eq!((paused.campaign.status, paused.success), ("paused", true));
        // Those in flight come to their end; nobody else begins, though others do on the same channel.
        let starts = starts(&house).await;
        house.app.pause_campaign(&id, &caller()).await.expect("answered again");
        for n in 0..REPLIES {
            let reply = house.send(&format!("+3461100000{n}"), "¡Claro!").await;
            house.wait_for(reply, MessageState::Read).await;
        }
        assert_eq!(starts + REPLIES, self::starts(&house).await, "nobody begins while it is paused");
        assert!(matches!(house.app.start_campaign(&id, &caller()).await, Err(AppError::Conflict { .. })));
        assert!(matches!(house.app.delete_campaign(&id, &caller()).await, Err(AppError::Conflict { .. })));
        house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    }
    let stopped = house.app.stop_campaign(&id, &caller()).await.expect("stopped");
    assert_eq!(stopped.campaign.status, "stopped");
    let status = wait_until(&house, &id, |status| {
        let words = ["sending", "queued", "scheduled"];
        !words.iter().any(|word| status.metrics.messages.contains_key(*word))
    })
    .await;
    let metrics = &status.metrics;
    let all: u64 = metrics.messages.values().sum::<u64>() + metrics.left_out.values().sum::<u64>();
    assert_eq!(all + metrics.not_queued, 1_500, "{metrics:?}");
    assert!(metrics.messages.get("cancelled").is_some_and(|n| *n > 0), "{metrics:?}");
    house.app.stop_campaign(&id, &caller()).await.expect("answered again");
    assert!(matches!(house.app.resume_campaign(&id, &caller()).await, Err(AppError::Conflict { .. })));
    let results = results(&house, &id).await;
    assert_eq!(results.len(), 1_500);
    // When nothing of it moves any more, it can be deleted.
    for _ in 0..400 {
        match house.app.delete_campaign(&id, &caller()).await {
            Ok(()) => break,
            Err(AppError::Conflict { .. }) => tokio::time::sleep(Duration::from_millis(25)).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(matches!(house.app.campaign(&id, &caller()).await, Err(AppError::NotFound(_))));
    house.sound().await;
    house.close().await;
}

/// As out of the spool of a node that was away when the campaign was stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_stop_is_not_sent() {
    use palomar_broker::{Broker as _, JobState, NewJob};
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(2), "spreadSeconds": 7_200});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.progress.success == 1).await;
    // It may be delivered meanwhile.
    let went = |status: &str| ["sent", "delivered", "read"].contains(&status);
    let sent = results(&house, &id).await.into_iter().find(|one| went(&one.status)).expect("one was sent");
    let (job, payload) =
        house.broker.job(sent.message_id.expect("an id")).await.expect("read").expect("kept");
    house.app.stop_campaign(&id, &caller()).await.expect("stopped");
    wait_until(&house, &id, |status| status.metrics.messages.get("cancelled") == Some(&1)).await;
    let held = async || {
        let stats = house.broker.stats().await.expect("stats");
        stats.queues.iter().any(|queue| queue.paused_groups.iter().any(|group| **group == *id))
    };
    while held().await {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let mut message = palomar_model::Outbound::decode(&payload).expect("a message");
    message.id = palomar_model::IdGenerator::new(9).message_id(house.app.now());
    let mut late = NewJob::new(message.id, job.queue, message.encode().expect("json"));
    late.group = Some(id.as_str().into());
    house.broker.enqueue(vec![late]).await.expect("queued");
    let ended = loop {
        let (job, _) = house.broker.job(message.id).await.expect("read").expect("kept");
        if !matches!(job.state, JobState::Queued | JobState::Started) {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    };
    // A message under an id that no campaign gives: it is one more than its recipients.
    assert_eq!(ended.state, JobState::Dead, "{ended:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_repeated_makes_no_other_campaign() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let key =
        |key: &str| palomar_app::IdempotencyKey { key: key.to_owned(), path: "/api/campaigns".to_owned() };
    let soon = house.app.now().after(Duration::from_millis(300));
    let body = || json!({"name": "Verano", "message": "Hola", "contacts": contacts(2), "scheduledAt": soon});
    let make = async |house: &House, name: &str, hash| {
        house.app.create_campaign(new(body()), Some((&key(name), hash)), &caller()).await
    };
    let first = make(&house, "k", 1).await.expect("created");
    assert!(!first.replayed);
    wait_until(&house, &first.campaign.id, |status| status.status == "finished").await;
    // Also by another process, and when its time has passed.
    house.close().await;
    let house = House::open(dir.path()).await;
    let again = make(&house, "k", 1).await.expect("answered");
    assert_eq!((again.replayed, &again.campaign.id), (true, &first.campaign.id));
    assert_eq!(again.campaign.status, "finished");
    assert!(matches!(make(&house, "k", 2).await, Err(AppError::OtherBody)));
    assert!(matches!(make(&house, "other", 1).await, Err(AppError::Invalid(_))), "its time has passed");
    house.app.delete_campaign(&first.campaign.id, &caller()).await.expect("deleted");
    assert!(matches!(make(&house, "k", 1).await, Err(AppError::Conflict { .. })), "it is not made anew");
    house.close().await;
}

async fn starts(house: &House) -> u64 {
    use palomar_broker::Broker as _;
    let stats = house.broker.stats().await.expect("stats");
    stats.queues.iter().filter(|queue| queue.queue.pool() == "outbound").map(|queue| queue.starts).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_and_nothing_is_half_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let refused = async |body: Value| match house.app.create_campaign(new(body), None, &caller()).await {
        Err(AppError::Invalid(errors)) => errors[0].pointer.clone(),
        other => panic!("{other:?}"),
    };
    for (body, pointer) in [
        (json!({"name": "", "message": "Hola"}), "/name"),
        (json!({"name": "x"}), "/message"),
        (json!({"name": "x", "message": "Hola {{"}), "/message"),
        (json!({"name": "x", "message": "Hola", "channel": "nowhere"}), "/channel"),
        (json!({"name": "x", "message": "Hola", "contacts": [true]}), "/contacts/0"),
        (json!({"name": "x", "message": "Hola", "contacts": [{"name": "nobody"}]}), "/contacts/0"),
        (json!({"name": "x", "message": "Hola", "scheduledAt": "2020-01-01T00:00:00Z"}), "/scheduledAt"),
        (json!({"name": "x", "message": "Hola", "timeZone": "Mars"}), "/timeZone"),
    ] {
        assert_eq!(refused(body.clone()).await, pointer, "{body}");
    }
    let conflict = async |answer: Result<_, AppError>| match answer.map(|_: palomar_app::StartAnswer| ()) {
        Err(AppError::Conflict { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    let empty = create(&house, json!({"name": "x", "message": "Hola"})).await;
    let detail = conflict(house.app.start_campaign(&empty, &caller()).await).await;
    assert!(detail.contains("no contacts"), "{detail}");
    let out =
        create(&house, json!({"name": "x", "message": "Hola", "contacts": ["12", "not a contact"]})).await;
    let detail = conflict(house.app.start_campaign(&out, &caller()).await).await;
    assert!(detail.contains("left out"), "{detail}");
    assert!(matches!(house.app.pause_campaign(&out, &caller()).await, Err(AppError::Conflict { .. })));
    assert!(matches!(house.app.stop_campaign(&out, &caller()).await, Err(AppError::Conflict { .. })));
    assert!(matches!(house.app.campaign("campaign_x", &caller()).await, Err(AppError::NotFound(_))));

    // What is open may be changed, contacts too.
    let patch = |body: Value| serde_json::from_value::<CampaignPatch>(body).expect("a patch");
    let body = json!({"name": "Otoño", "message": "Adiós {{name|amigo}}", "contacts": ["+34600111222", "+34600111222"]});
    let changed = house.app.update_campaign(&out, patch(body), &caller()).await.expect("changed");
    assert_eq!((changed.name.as_str(), changed.contacts, changed.duplicates), ("Otoño", 1, 1));
    let preview = house.app.preview_campaign(&out, Vec::new(), 5, &caller()).await.expect("a preview");
    assert_eq!(preview[0].content, Some(json!({"text": "Adiós amigo"})));
    house.app.start_campaign(&out, &caller()).await.expect("started");
    let late = house.app.update_campaign(&out, patch(json!({"message": "x"})), &caller()).await;
    assert!(matches!(late, Err(AppError::Conflict { .. })), "{late:?}");
    wait_until(&house, &out, |status| status.status == "finished").await;
    house.app.delete_campaign(&out, &caller()).await.expect("deleted");

    // A change is made whole, or not at all.
    let later = house.app.now().after(Duration::from_secs(3_600));
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(2), "spreadSeconds": 7_200});
    let runs = create(&house, body).await;
    let body = json!({"name": "Otoño", "contacts": contacts(3), "scheduledAt": later});
    let changed = house.app.update_campaign(&runs, patch(body), &caller()).await.expect("changed");
    assert_eq!((changed.status, changed.contacts, changed.scheduled_at), ("scheduled", 3, Some(later)));
    house.app.start_campaign(&runs, &caller()).await.expect("started");
    let body = json!({"name": "Invierno", "scheduledAt": later});
    let late = house.app.update_campaign(&runs, patch(body), &caller()).await;
    assert!(matches!(late, Err(AppError::Conflict { .. })), "{late:?}");
    assert_eq!(house.app.campaign(&runs, &caller()).await.expect("found").name, "Otoño");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_one_begins_by_itself_and_a_late_one_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let soon = house.app.now().after(Duration::from_millis(1_500));
    let body = json!({"name": "Mañana", "message": "Hola", "contacts": contacts(3), "scheduledAt": soon});
    let id = create(&house, body).await;
    let before = status(&house, &id).await;
    assert_eq!((before.status, before.progress.processed), ("scheduled", 0));
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!(done.progress.success, 3);
    let started = done.metrics.start_time.expect("it began");
    assert!(started >= soon, "{started} before {soon}");
    // Nothing ran when its time came, and it is too late by then.
    let soon = house.app.now().after(Duration::from_millis(300));
    let body = json!({"name": "Tarde", "message": "Hola", "contacts": contacts(3), "scheduledAt": soon,
        "maxLatenessSeconds": 0});
    let late = create(&house, body).await;
    house.close().await;
    while SystemClock.now() <= soon {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let house = House::open(dir.path()).await;
    let paused = wait_until(&house, &late, |status| status.status == "paused").await;
    assert!(paused.metrics.pause_reason.is_some_and(|reason| reason.contains("it was to begin at")));
    house.app.resume_campaign(&late, &caller()).await.expect("resumed");
    wait_until(&house, &late, |status| status.status == "finished" && status.progress.success == 3).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_the_provider_would_refuse_is_not_sent() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open(dir.path()).await;
    let mut demo = house::demo();
    demo.limits = serde_json::from_value(json!({"windows": [{"max": 50, "perSeconds": 1}]})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    let told = async |status: &str| {
        let told = ProviderTemplate {
            channel: "demo".parse().expect("a name"),
            name: "promo".to_owned(),
            language: "es".to_owned(),
            provider_id: "1".to_owned(),
            category: "MARKETING".to_owned(),
            status: status.to_owned(),
            quality: None,
            reason: None,
            components: json!([]),
            pulled_at: house.app.now(),
        };
        house.app.records().replace_templates(told.channel.clone(), vec![told]).await.expect("kept");
    };
    let body =
        json!({"name": "Verano", "template": {"name": "promo", "language": "es"}, "contacts": contacts(300)});
    let id = create(&house, body).await;
    told("REJECTED").await;
    let dry = house.app.dry_run_campaign(&id, 0, &caller()).await.expect("a dry run");
    assert!(dry.refused.is_some_and(|why| why.contains("promo (es) is REJECTED")));
    let refused = house.app.start_campaign(&id, &caller()).await;
    assert!(
        matches!(&refused, Err(AppError::Conflict { detail, .. }) if detail.contains("REJECTED")),
        "{refused:?}"
    );
    told("APPROVED").await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.progress.success > 0).await;
    told("PAUSED").await;
    let paused = wait_until(&house, &id, |status| status.status == "paused").await;
    assert!(paused.metrics.pause_reason.is_some_and(|why| why.contains("promo (es) is PAUSED")));
    let view = house.app.campaign(&id, &caller()).await.expect("found");
    assert_eq!(view.pause_cause, Some("template"));
    assert!(matches!(house.app.resume_campaign(&id, &caller()).await, Err(AppError::Conflict { .. })));
    told("APPROVED").await;
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!((done.progress.success, done.progress.failed), (300, 0));
    house.sound().await;
    house.close().await;
}
