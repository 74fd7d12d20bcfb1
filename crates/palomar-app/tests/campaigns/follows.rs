//! Whoever did not read, or answer, gets another message; each is decided of once, and nobody before their time.

use std::sync::Arc;

use palomar_app::{AppConfig, CampaignConfig, Providers};
use palomar_broker::{EmbeddedBroker, EmbeddedConfig};
use palomar_model::Clock;
use palomar_records::{Records, SEND};

use super::mortal::Mortal;
use super::*;

fn people() -> Vec<Value> {
    let person = |n: u64, rest: Value| {
        let mut person = json!({"phone": format!("+346002{n:05}")});
        person.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        person
    };
    let answering = (0..20).map(|n| person(n, json!({"name": "Lucía", "answers": true})));
    let silent = (20..40).map(|n| person(n, json!({"name": "Mateo"})));
    let nameless = (40..45).map(|n| person(n, json!({})));
    answering.chain(silent).chain(nameless).chain([json!("12"), json!("x")]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silent_get_another_and_those_who_answer_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open(dir.path()).await;
    let mut demo = house::demo();
    demo.settings = Some(json!({"deliveredAfterMs": 20, "readAfterMs": 3_600_000}));
    house.app.create_channel(demo).await.expect("created");
    let body = json!({
        "name": "Verano", "message": "{{#if answers}}echo {{/if}}Hola", "contacts": people(),
        "followUps": [
            {"afterSeconds": 3, "when": "noAnswer", "message": "¿Sigues ahí, {{name}}?"},
            {"afterSeconds": 1, "when": "notRead", "template": {"name": "promo", "language": "es"}},
        ],
    });
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    let sent = wait_until(&house, &id, |status| status.progress.processed == 47).await;
    assert_eq!((sent.status, sent.progress.success), ("sending", 45), "it waits for who answers");
    let written = palomar_app::MessageFilter {
        direction: Some(palomar_app::Direction::Inbound),
        ..palomar_app::MessageFilter::default()
    };
    while house.app.messages(written.clone(), None, 200, &caller()).await.expect("read").items.len() < 20 {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // A pause holds what follows; another process goes on.
    house.app.pause_campaign(&id, &caller()).await.expect("paused");
    house.close().await;
    let house = House::open(dir.path()).await;
    let starts = starts(&house).await;
    let until = house.app.now().after(Duration::from_secs(4));
    while house.app.now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(self::starts(&house).await, starts, "nobody begins while it is paused");
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!((done.progress.total, done.progress.processed, done.progress.success), (47, 47, 45));
    let report = report(&house, &id).await;
    let [first, second] = &report.follow_ups[..] else { panic!("{:?}", report.follow_ups) };
    assert_eq!(json!(first.decided), json!({"answered": 20, "missing_variable": 5, "send": 20}));
    assert_eq!(
        json!(second.decided),
        json!({"send": 20}),
        "whoever got none of a step gets none of the next"
    );
    let went = |messages: &std::collections::BTreeMap<String, u64>| messages.values().sum::<u64>();
    assert_eq!((went(&first.messages), went(&second.messages)), (20, 20));
    assert_eq!((report.sent, report.variants[0].messages), (45, 45), "the first message is told for itself");
    let page =
        house.app.messages(palomar_app::MessageFilter::default(), None, 200, &caller()).await.expect("read");
    let asked = page.items.iter().filter(|one| one.content["text"] == "¿Sigues ahí, Mateo?").count();
    assert_eq!(asked, 20);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_what_follows() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(10),
        "followUps": [{"afterSeconds": 2, "when": "noAnswer", "message": "¿Sigues ahí?"}]});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.progress.success == 10).await;
    house.app.stop_campaign(&id, &caller()).await.expect("stopped");
    while house.app.records().campaign(&id).await.expect("read").expect("kept").live {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let until = house.app.now().after(Duration::from_secs(3));
    while house.app.now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = report(&house, &id).await;
    assert_eq!((report.campaign.status, &report.follow_ups[0].messages.len()), ("stopped", &0), "{report:?}");
    assert_eq!(starts(&house).await, 10);
    house.sound().await;
    house.close().await;
}

/// A campaign with a step after an hour, all of whose first messages went.
async fn with_a_step(house: &House) -> (String, u64) {
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(3),
        "followUps": [{"afterSeconds": 3_600, "when": "noAnswer", "message": "¿Sigues ahí?"}]});
    let id = create(house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(house, &id, |status| status.progress.success == 3).await;
    let number = house.app.records().campaign(&id).await.expect("read").expect("kept").number;
    (id, number)
}

/// Waits until all campaigns were looked at: one that came later has come and gone.
async fn all_looked_at(house: &House) {
    let later =
        create(house, json!({"name": "later", "message": "Hola", "contacts": ["+34611000009"]})).await;
    house.app.start_campaign(&later, &caller()).await.expect("started");
    wait_until(house, &later, |status| status.status == "finished").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_accounted_for_before_their_message_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let (id, number) = with_a_step(&house).await;
    let records = house.app.records();
    while records.follow_up_totals(number).await.expect("read").looks == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // As another node leaves it that has queued messages which records do not have yet.
    let all = || (0..3).map(|place| (place, SEND)).collect::<Vec<_>>();
    records.decide_follow_ups(number, (1, 0), all()).await.expect("decided");
    records.follow_ups_queued(number, (1, 0), all()).await.expect("kept");
    records.follow_up_looked(number, (1, 0), None).await.expect("kept");
    all_looked_at(&house).await;
    assert_eq!(status(&house, &id).await.status, "sending");
    house.app.pause_campaign(&id, &caller()).await.expect("paused");
    all_looked_at(&house).await;
    assert_eq!(status(&house, &id).await.status, "paused", "nobody undoes a person's pause");
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    house.app.stop_campaign(&id, &caller()).await.expect("stopped");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_is_known_before_somebody_is_decided_of() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let readers = vec![palomar_records::PROJECTION.to_owned()];
    let queues = EmbeddedConfig { readers, ..EmbeddedConfig::in_dir(dir.path()) };
    let whole = Arc::new(EmbeddedBroker::open(queues, Arc::clone(&clock)).expect("a broker"));
    let (died, _lives) = std::sync::mpsc::channel();
    let broker = Arc::new(Mortal::new(Arc::clone(&whole), None, died));
    let records = Records::open(dir.path(), clock.now()).expect("records");
    let providers = Arc::new(Providers::new(clock).expect("providers"));
    let app = house::node(AppConfig::default(), Arc::clone(&broker) as _, records, providers).await;
    let house = House { app, broker: whole };
    let mut demo = house::demo();
    demo.settings = Some(json!({"deliveredAfterMs": 20, "readAfterMs": 1_500}));
    house.app.create_channel(demo).await.expect("created");
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(5),
        "followUps": [{"afterSeconds": 4, "when": "notRead", "message": "¿Lo viste?"}]});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.progress.success == 5).await;
    // All is read before it is due; records learn of it afterwards.
    broker.hold_log(true);
    let until = house.app.now().after(Duration::from_secs(5));
    while house.app.now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    broker.hold_log(false);
    wait_until(&house, &id, |status| status.status == "finished").await;
    let report = report(&house, &id).await;
    assert_eq!(json!(report.follow_ups[0].decided), json!({"read": 5}));
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_of_those_who_are_due_wait_in_the_queue() {
    let dir = tempfile::tempdir().expect("a directory");
    let campaigns = CampaignConfig { batch_size: 2, look_ahead: 4, ..CampaignConfig::default() };
    let config = AppConfig { campaigns, ..AppConfig::default() };
    let providers = Arc::new(Providers::new(Arc::new(SystemClock)).expect("providers"));
    let house = House::open_as(dir.path(), providers, config).await;
    let mut demo = house::demo();
    demo.limits = serde_json::from_value(json!({"windows": [{"max": 4, "perSeconds": 1}]})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    let body = json!({"name": "Verano", "message": "Hola", "contacts": contacts(16),
        "followUps": [{"afterSeconds": 5, "when": "noAnswer", "message": "¿Sigues ahí?"}]});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.progress.success == 16).await;
    // When it goes on, all are due.
    house.app.pause_campaign(&id, &caller()).await.expect("paused");
    let until = house.app.now().after(Duration::from_secs(6));
    while house.app.now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    loop {
        let progress = house.app.records().campaign_progress(&id).await.expect("read").expect("kept");
        assert!(progress.counts.moving() <= 4, "{progress:?}");
        if progress.campaign.state.has_ended() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = report(&house, &id).await;
    assert_eq!(report.follow_ups[0].messages.values().sum::<u64>(), 16, "{report:?}");
    house.sound().await;
    house.close().await;
}
