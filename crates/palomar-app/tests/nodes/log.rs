//! Who follows the event log.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{App, Caller, MessageStatus};
use palomar_model::{MessageId, MessageState};

use crate::shared::{PATIENCE, Shared, channel, send, until};

async fn all_read(app: &App, ids: &[MessageId]) -> bool {
    for id in ids {
        let found = app.message(*id, &Caller::system()).await;
        if !found.is_ok_and(|found| found.message.status == MessageStatus::Outbound(MessageState::Read)) {
            return false;
        }
    }
    true
}

/// Commits of records that a node has made.
async fn commits(app: &App) -> u64 {
    let metrics = app.metrics_text().await.expect("metrics");
    let sample = "palomar_store_commit_operations_count{store=\"records\"} ";
    let found = metrics.lines().find_map(|line| line.strip_prefix(sample));
    found.expect(sample).parse().expect("a number")
}

async fn send_all(nodes: &[&Arc<App>]) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in 0..30 {
        // Whichever node is asked, whatever partition it comes to.
        let name = ["a", "b", "c"][n % 3];
        ids.push(send(nodes[n % nodes.len()], name, &format!("+346111{n:05}")).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_follows_all_partitions_for_all_and_another_takes_over() {
    let shared = Shared::on_postgres().await;
    let first = shared.node().await;
    for name in ["a", "b", "c"] {
        first.create_channel(channel(name)).await.expect("made");
    }
    // It knows the channels from its start.
    let second = shared.node().await;
    let ids = send_all(&[&first, &second]).await;
    until("all are read, and both nodes see it", async || {
        all_read(&first, &ids).await && all_read(&second, &ids).await
    })
    .await;
    second.caught_up(PATIENCE).await.expect("what the other one writes is awaited too");
    assert!(commits(&first).await > 0);
    assert_eq!(commits(&second).await, 0, "it does nothing that would come to nothing");
    let monitor = second.queue_stats(&Caller::system()).await.expect("stats");
    assert_eq!(monitor.message.completed, 30, "{monitor:?}");

    first.shutdown(Duration::from_secs(5)).await;
    let more = send_all(&[&second]).await;
    until("the other one follows", async || all_read(&second, &more).await).await;
    assert!(commits(&second).await > 0);
    second.caught_up(PATIENCE).await.expect("caught up");
    let check = second.records().check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
    second.shutdown(Duration::from_secs(5)).await;
}

/// Each of two processes on SQLite believes that it follows alone: each fact takes effect once all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_both_follow_apply_each_fact_once() {
    let shared = Shared::on_sqlite();
    let first = shared.node().await;
    for name in ["a", "b", "c"] {
        first.create_channel(channel(name)).await.expect("made");
    }
    let second = shared.node().await;
    let ids = send_all(&[&first, &second]).await;
    until("all are read", async || all_read(&first, &ids).await).await;
    for app in [&first, &second] {
        app.caught_up(PATIENCE).await.expect("caught up");
    }
    let check = second.records().check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
    let sent = second.records().counters(0).await.expect("counters");
    let sent: u64 = sent.iter().filter(|counter| counter.kind == "sent").map(|counter| counter.count).sum();
    assert_eq!(sent, 30);
    for app in [first, second] {
        app.shutdown(Duration::from_secs(5)).await;
    }
}
