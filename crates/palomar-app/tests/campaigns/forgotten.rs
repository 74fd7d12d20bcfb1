//! Campaigns that ended long ago are forgotten, the newest not; what their messages are is known all the same.

use std::sync::Arc;

use palomar_app::{AppConfig, CampaignConfig, Providers};

use super::*;

fn keeping(finished: u32, keep_for: Duration) -> AppConfig {
    let campaigns =
        CampaignConfig { keep_finished: finished, keep_stopped: 0, keep_for, ..CampaignConfig::default() };
    AppConfig { campaigns, ..AppConfig::default() }
}

async fn open(dir: &std::path::Path, config: AppConfig) -> House {
    let providers = Arc::new(Providers::new(Arc::new(SystemClock)).expect("providers"));
    House::open_as(dir, providers, config).await
}

/// A campaign to some numbers of its own that has finished; one of its messages.
async fn finished(house: &House, n: u64) -> (String, palomar_model::MessageId) {
    let numbers: Vec<_> = (0..4).map(|at| json!(format!("+346001{n}{at:04}"))).collect();
    let id = create(house, json!({"name": format!("{n}"), "message": "Hola", "contacts": numbers})).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(house, &id, |status| status.status == "finished").await;
    settled(house, &id).await;
    let message = results(house, &id).await.remove(0).message_id.expect("a message");
    (id, message)
}

/// Waits until nothing of a campaign that ended may move.
async fn settled(house: &House, id: &str) {
    while house.app.records().campaign(id).await.expect("read").expect("kept").live {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn is_kept(house: &House, id: &str) -> bool {
    house.app.records().campaign(id).await.expect("read").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_are_kept_and_late_reports_find_their_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = open(dir.path(), keeping(1, Duration::from_secs(3_600))).await;
    let mut demo = house::demo();
    // They are read long after their campaign has ended.
    demo.settings = Some(json!({"deliveredAfterMs": 20, "readAfterMs": 3_000}));
    house.app.create_channel(demo).await.expect("created");
    let (old, _) = finished(&house, 0).await;
    let (newer, _) = finished(&house, 1).await;
    let body =
        json!({"name": "stopped", "message": "Hola", "contacts": ["+34600111222"], "spreadSeconds": 9_000});
    let stopped = create(&house, body).await;
    house.app.start_campaign(&stopped, &caller()).await.expect("started");
    house.app.stop_campaign(&stopped, &caller()).await.expect("stopped");
    settled(&house, &stopped).await;
    assert_eq!(house.app.clean_campaigns().await.expect("looked"), 0, "they are too young");
    house.close().await;

    let house = open(dir.path(), keeping(1, Duration::ZERO)).await;
    for id in [&old, &stopped] {
        while is_kept(&house, id).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(is_kept(&house, &newer).await, "the newest that finished");
    let (forgotten, message) = finished(&house, 2).await;
    let (newest, _) = finished(&house, 3).await;
    assert_eq!(house.app.clean_campaigns().await.expect("forgot"), 2);
    assert!(!is_kept(&house, &forgotten).await && is_kept(&house, &newest).await);
    let read = house.wait_for(message, MessageState::Read).await.message;
    assert_eq!(read.campaign_id.as_deref(), Some(forgotten.as_str()), "it says what it was sent for");
    house.sound().await;
    house.close().await;
}
