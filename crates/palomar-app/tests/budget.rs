//! A portfolio's budget of new recipients.

mod house;

use std::time::Duration;

use house::House;
use palomar_app::{BudgetInput, Caller, ChannelPatch, LimitsInput, MessageFilter, MessageStatus};
use palomar_model::MessageState;

#[tokio::test(flavor = "multi_thread")]
async fn new_recipients_wait_and_whoever_wrote_lately_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    // The echo opens a window.
    house.send("+34611222001", "echo Hola").await;
    let wrote = MessageFilter { status: vec![MessageStatus::Received], ..MessageFilter::default() };
    for _ in 0..200 {
        let page = house.app.messages(wrote.clone(), None, 1, &Caller::system()).await;
        if !page.expect("read").items.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let patch = ChannelPatch {
        limits: Some(LimitsInput {
            budget: Some(BudgetInput { portfolio: "shop".to_owned(), max: 1, per_hours: 24 }),
            ..LimitsInput::default()
        }),
        ..ChannelPatch::default()
    };
    let demo = "demo".parse().expect("a name");
    house.app.update_channel(&demo, patch).await.expect("updated");

    let new = house.send("+34611222002", "x").await;
    house.wait_for(new, MessageState::Read).await;
    let over = house.send("+34611222003", "x").await;
    let known = house.send("+34611222001", "x").await;
    house.wait_for(known, MessageState::Read).await;
    let why = house.app.explain(over, &Caller::system()).await.expect("explained");
    assert_eq!(why.holds.first().map(|hold| hold.kind), Some("budget"), "{why:?}");

    let metrics = house.app.metrics_text().await.expect("metrics");
    for line in
        ["palomar_recipients_24h{channel=\"demo\"} 1", "palomar_recipients_24h_limit{channel=\"demo\"} 1"]
    {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    house.app.cancel(over, &Caller::system()).await.expect("cancelled");
    house.sound().await;
    house.close().await;
}
