//! Alerts on a real broker and real records: found, kept, told to a hook that fails at first, known by somebody, over.

mod house;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use house::{House, SystemClock};
use palomar_app::{AlertConfig, AlertView, AppConfig, Caller, MessageFilter, NoticeNumber, Providers};
use palomar_model::{MessageState, Recipient};

/// Messages that wait; half of them may.
const MANY: u64 = 40;
/// Whoever is told on WhatsApp.
const TOLD: &str = "+34611222333";
async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {what}");
}

async fn alerts(house: &House, firing: bool) -> Vec<AlertView> {
    house.app.alerts(Some(firing), None, 10).await.expect("a page").items
}

/// The alerts that the journal tells of, by this kind.
async fn journal(house: &House, kind: &str) -> Vec<String> {
    let feed = house.app.records().feed(0, 10_000).await.expect("a feed");
    let own = feed.entries.iter().filter(|entry| entry.kind == kind);
    own.map(|entry| entry.detail["id"].as_str().expect("an id").to_owned()).collect()
}

/// What the number was told, in order.
async fn said(house: &House) -> Vec<String> {
    let all = house.app.messages(MessageFilter::default(), None, 200, &Caller::system()).await;
    let mut own: Vec<_> = all.expect("a page").items.into_iter().filter(|one| one.contact == TOLD).collect();
    own.sort_by_key(|one| one.created_at);
    own.iter().map(|one| one.content["text"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_kept_told_known_and_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let (hook, calls) = house::hook::start().await;
    let alerts_config = AlertConfig {
        saturated: MANY / 2,
        saturated_for: Duration::from_secs(1),
        calm: Duration::ZERO,
        hook: Some(hook),
        // Both are told, each under an id of its own.
        number: Some(NoticeNumber {
            to: Recipient::parse(TOLD, None).expect("a number"),
            channel: "demo".parse().expect("a name"),
        }),
        ..AlertConfig::default()
    };
    let config = AppConfig { alerts: alerts_config, ..AppConfig::default() };
    let providers = Arc::new(Providers::new(Arc::new(SystemClock)).expect("providers"));
    let house = House::open_as(dir.path(), providers, config).await;
    house.app.create_channel(house::demo()).await.expect("created");
    let demo = "demo".parse().expect("a name");
    house.app.pause_channel(&demo, "by hand").await.expect("paused");
    let mut waiting = Vec::new();
    for n in 0..MANY {
        waiting.push(house.send(&format!("+346001{n:05}"), "Hola").await);
    }
    let firing = until("it fires", async || alerts(&house, true).await.pop()).await;
    assert_eq!((firing.rule.as_str(), firing.subject.as_str()), ("queue_saturated", "outbound/demo"));
    assert_eq!((firing.severity.as_str(), firing.state), ("warning", "firing"));
    assert_eq!(
        journal(&house, "alert_firing").await,
        std::slice::from_ref(&firing.id),
        "front ends are told of it"
    );
    let metrics = house.app.metrics_text().await.expect("metrics");
    assert!(metrics.contains("palomar_alerts_firing{severity=\"warning\"} 1"), "{metrics}");
    // The hook was away at first: it is told again, as the same.
    let told = |n: usize| {
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.len() >= n).then(|| calls.clone())
    };
    let both = until("it is told", async || told(2)).await;
    assert_eq!(both[0].id, both[1].id);
    for call in &both {
        assert_eq!(
            (&call.body["type"], &call.body["data"]["id"]),
            (&"alert.firing".into(), &firing.id.clone().into())
        );
    }
    let known = house.app.acknowledge_alert(&firing.id, &Caller::system()).await.expect("known");
    assert_eq!(known.acknowledged_by.as_deref(), Some("system"));
    assert_eq!(alerts(&house, true).await.len(), 1, "one, however often it is looked");

    house.app.resume_channel(&demo).await.expect("resumed");
    for message in waiting {
        house.wait_for(message, MessageState::Read).await;
    }
    let over = until("it is over", async || alerts(&house, false).await.pop()).await;
    assert_eq!((&over.id, over.state), (&firing.id, "resolved"));
    assert_eq!(journal(&house, "alert_resolved").await, std::slice::from_ref(&firing.id));
    let all = until("that is told, too", async || told(3)).await;
    assert_eq!(all[2].body["type"], "alert.resolved");
    assert_ne!(all[2].id, all[0].id);
    let said = until("the number has both", async || {
        let said = said(&house).await;
        (said.len() == 2).then_some(said)
    });
    let said = said.await;
    assert!(said[0].starts_with("queue_saturated (outbound/demo): "), "{said:?}");
    assert_eq!(said[1], "queue_saturated (outbound/demo) is over");
    house.sound().await;
    house.close().await;
}
