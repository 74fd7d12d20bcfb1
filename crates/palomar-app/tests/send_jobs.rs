//! Send jobs: each message once, in order, however often the process stops in between; pause and cancel hold at once.

mod house;

use std::path::Path;
use std::time::Duration;

use house::{House, demo};
use palomar_app::{AppError, Caller, MessageFilter, NewSendJob, SendJobView};
use serde_json::{Value, json};

fn job(body: Value) -> NewSendJob {
    serde_json::from_value(body).expect("a send job")
}

/// So many texts with so long a pause.
fn bulk(messages: usize, delay: u64) -> NewSendJob {
    let rows: Vec<Value> = (0..messages)
        .map(|n| json!({ "to": format!("+346001{:05}", n), "message": format!("Mensaje {n}") }))
        .collect();
    job(json!({ "channel": "demo", "messages": rows, "delayMs": delay }))
}

async fn until(house: &House, id: &str, holds: impl Fn(&SendJobView) -> bool) -> SendJobView {
    let caller = Caller::system();
    for _ in 0..1200 {
        let job = house.app.send_job(id, &caller).await.expect("it is there");
        if holds(&job) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {:?}", house.app.send_job(id, &caller).await);
}

/// The words of all messages of a job, in the order in which they were queued.
async fn words(house: &House, id: &str) -> Vec<String> {
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    let filter = MessageFilter { campaign: Some(id.to_owned()), ..MessageFilter::default() };
    let page = house.app.messages(filter, None, 500, &Caller::system()).await.expect("listed");
    page.items
        .into_iter()
        .rev()
        .filter_map(|message| message.content["text"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_go_once_and_in_order_whatever_stops_in_between() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut house = House::with_demo(dir.path()).await;
    let made = house.app.create_send_job(bulk(12, 20), None, &Caller::system()).await.expect("made").job;
    assert_eq!((made.status, made.kind.as_str(), made.progress.total), ("pending", "bulk", 12));
    for processed in [3, 7] {
        until(&house, &made.id, |job| job.progress.processed >= processed).await;
        house = reopened(house, dir.path()).await;
    }
    let done = until(&house, &made.id, |job| job.status == "completed").await;
    assert_eq!(
        (done.progress.processed, done.progress.counts.failed, done.progress.percentage),
        (12, 0, 100.0)
    );
    let expected: Vec<String> = (0..12).map(|n| format!("Mensaje {n}")).collect();
    assert_eq!(words(&house, &made.id).await, expected);
    house.sound().await;
    house.close().await;
}

async fn reopened(house: House, dir: &Path) -> House {
    house.close().await;
    House::open(dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_cancel_hold_and_what_was_not_sent_never_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let caller = Caller::system();
    let made = house.app.create_send_job(bulk(40, 10), None, &caller).await.expect("made").job;
    until(&house, &made.id, |job| job.progress.processed >= 2).await;
    let paused = house.app.pause_send_job(&made.id, &caller).await.expect("paused");
    assert_eq!(paused.job.status, "paused");
    // What was under way ends; nothing else begins, also not after a restart.
    let house = reopened(house, dir.path()).await;
    let rested = until(&house, &made.id, |job| job.progress.counts.sending == 0).await.progress.processed;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let still = house.app.send_job(&made.id, &caller).await.expect("there");
    assert_eq!((still.status, still.progress.processed), ("paused", rested));
    let resumed = house.app.resume_send_job(&made.id, &caller).await.expect("resumed");
    assert!(matches!(resumed.job.status, "pending" | "running"), "{resumed:?}");
    until(&house, &made.id, |job| job.progress.processed > rested).await;
    let cancelled = house.app.cancel_send_job(&made.id, &caller).await.expect("cancelled");
    assert_eq!(cancelled.job.status, "cancelled");
    let over = until(&house, &made.id, |job| job.progress.processed == 40).await;
    let went = over.progress.counts.sent + over.progress.counts.delivered + over.progress.counts.read;
    assert_eq!(went + over.progress.counts.cancelled, 40, "{over:?}");
    assert!(over.progress.counts.cancelled > 0, "{over:?}");
    // Once more changes nothing; going on is refused.
    house.app.cancel_send_job(&made.id, &caller).await.expect("cancelled");
    let refused = house.app.resume_send_job(&made.id, &caller).await.expect_err("it has ended");
    assert!(matches!(refused, AppError::Conflict { .. }), "{refused:?}");
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_run_at_once_and_one_message_is_a_job_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let caller = Caller::system();
    // Seven jobs that wait long after their first message: five have places.
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(house.app.create_send_job(bulk(2, 60_000), None, &caller).await.expect("made").job.id);
    }
    let single = json!({ "channel": "demo", "to": "+34600111222", "message": "Hola", "metadata": { "priority": "high" } });
    let single = house.app.create_send_job(job(single), None, &caller).await.expect("made").job;
    let done = until(&house, &single.id, |job| job.status == "completed").await;
    assert_eq!((done.kind.as_str(), done.progress.total), ("single", 1));
    for id in &ids[..5] {
        until(&house, id, |job| job.status == "running").await;
    }
    let stats = house.app.send_job_stats().await.expect("counted");
    let bulk_queue = stats.bulk_message_queue;
    assert_eq!((bulk_queue.active, bulk_queue.waiting, bulk_queue.concurrency), (5, 2, 5));
    assert_eq!((stats.message_queue.completed, stats.message_queue.concurrency), (1, 10));
    // A place that gets free is taken.
    house.app.cancel_send_job(&ids[0], &caller).await.expect("cancelled");
    until(&house, &ids[5], |job| job.status == "running").await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_sent_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    for (body, pointer) in [
        (json!({ "channel": "demo", "messages": [] }), "/messages"),
        (json!({ "channel": "none", "to": "+34600111222", "message": "Hola" }), "/channel"),
        (
            json!({ "channel": "demo", "messages": [{ "to": "+34600111222", "message": "a" }, { "to": "12", "message": "b" }] }),
            "/messages/1/to",
        ),
        (json!({ "channel": "demo", "to": "+34600111222", "message": "" }), "/content/text"),
        (json!({ "channel": "demo", "delay": 90_000_000, "to": "+34600111222", "message": "a" }), "/delayMs"),
        (
            json!({ "channel": "demo", "messages": [{ "to": "+34600111222", "message": "a", "id": "x" }] }),
            "/messages/0/id (the job says it)",
        ),
    ] {
        let refused = house.app.create_send_job(job(body.clone()), None, &Caller::system()).await;
        let Err(AppError::Invalid(errors)) = refused else { panic!("{body}: {refused:?}") };
        assert_eq!(errors[0].pointer, pointer, "{body}");
    }
    let reserved = json!({ "channel": "demo", "to": "+34600111222", "type": "text", "content": { "text": "a" }, "campaignId": "send_job_1" });
    assert!(palomar_app::NewMessage::from_json(&reserved, None).is_err());
    assert_eq!(demo().name.as_str(), "demo");
    house.close().await;
}
