//! Nodes that do different things, how they see each other, and what one that stops leaves to the others.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{App, AppConfig, Caller, MessageStatus, NodeRole, NodeView};
use palomar_broker::JobState;
use palomar_model::{MessageId, MessageState};

use crate::shared::{PATIENCE, Shared, channel, send, until};

const GRACE: Duration = Duration::from_secs(30);

fn role(role: NodeRole) -> AppConfig {
    AppConfig { role, node_name: format!("machine-{}", role.as_str()), ..AppConfig::default() }
}

async fn is(app: &App, id: MessageId, state: MessageState) -> bool {
    let found = app.message(id, &Caller::system()).await;
    found.is_ok_and(|found| found.message.status == MessageStatus::Outbound(state))
}

async fn nodes(app: &App) -> Vec<NodeView> {
    app.queue_stats(&Caller::system()).await.expect("stats").nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_accepts_and_workers_work() {
    let shared = Shared::on_postgres().await;
    for accepting in [NodeRole::Api, NodeRole::Intake] {
        let api = shared.node_as(role(accepting)).await;
        let name = accepting.as_str();
        api.create_channel(channel(name)).await.expect("made");
        let id = send(&api, name, "+34611222333").await;
        api.caught_up(PATIENCE).await.expect("caught up");
        assert!(is(&api, id, MessageState::Queued).await, "it follows the log, and starts nothing");
        assert!(!api.metrics_text().await.expect("metrics").contains("palomar_workers{"));

        let worker = shared.node_as(role(NodeRole::Worker)).await;
        // The sandbox' reports come in on the worker, as webhooks do anywhere.
        until("it is read", async || is(&api, id, MessageState::Read).await).await;
        let text = api.metrics_text().await.expect("metrics");
        assert!(!text.contains("palomar_attempts_total{provider=\"sandbox\",outcome=\"sent\""), "{text}");
        for app in [api, worker] {
            app.shutdown(GRACE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_see_each_other_come_and_go() {
    let shared = Shared::on_postgres().await;
    let api = shared.node_as(role(NodeRole::Api)).await;
    let alone = nodes(&api).await;
    assert_eq!(alone.len(), 1, "{alone:?}");
    assert!(alone[0].answers && alone[0].queues.is_empty() && alone[0].role == "api", "{alone:?}");
    let age = "palomar_heartbeat_age_seconds{kind=\"outbound\"} ";
    assert!(!api.metrics_text().await.expect("metrics").contains(age), "nobody has ever worked it");

    let worker = shared.node_as(role(NodeRole::Worker)).await;
    let both = nodes(&worker).await;
    let told: Vec<_> = both.iter().map(|node| (node.role.as_str(), node.answers)).collect();
    assert_eq!(told, [("api", false), ("worker", true)]);
    assert_eq!(
        (both[1].name.as_str(), &*both[1].queues.concat()),
        ("machine-worker", "outboundinboundmediacampaignshooks")
    );
    assert!(both[1].started_at >= both[0].started_at && both[0].heartbeat_age_seconds >= 0.0);
    until("the other one sees it", async || nodes(&api).await.len() == 2).await;
    assert!(api.metrics_text().await.expect("metrics").contains(age));

    worker.shutdown(GRACE).await;
    until("and that it has gone", async || nodes(&api).await.len() == 1).await;
    assert!(api.metrics_text().await.expect("metrics").contains(age), "its last sign of life grows old");
    // A tenant's key is shown no machines.
    let tenant = Caller { channels: Some(Arc::from([])), ..Caller::system() };
    assert!(api.queue_stats(&tenant).await.expect("stats").nodes.is_empty());
    api.shutdown(GRACE).await;
}

/// Messages that providers took of a node.
async fn sent(app: &App) -> u64 {
    let text = app.metrics_text().await.expect("metrics");
    let sample = "palomar_messages_sent_total{provider=\"sandbox\",channel=\"line\",type=\"text\"} ";
    let found = text.lines().find_map(|line| line.strip_prefix(sample));
    found.map_or(0, |count| count.parse().expect("a number"))
}

/// A node that stops in full flow ends what it has started, and leaves everything else to the others: nothing is lost,
/// uncertain, or sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_that_stops_has_not_started_the_others_do() {
    let shared = Shared::on_postgres().await;
    let first = shared.node_as(AppConfig { send_concurrency: 4, ..role(NodeRole::Worker) }).await;
    let api = shared.node_as(role(NodeRole::Api)).await;
    api.create_channel(channel("line")).await.expect("made");
    let mut ids = Vec::new();
    for n in 0..200 {
        ids.push(send(&api, "line", &format!("+346112{n:05}")).await);
    }
    until("some are sent", async || {
        api.queue_stats(&Caller::system()).await.expect("stats").message.completed > 0
    })
    .await;
    first.shutdown(GRACE).await;
    let stats = shared.broker.stats().await.expect("stats");
    for queue in stats.queues.iter().filter(|queue| queue.queue.pool() == "outbound") {
        let held = [
            queue.leased,
            queue.counts[JobState::Started as usize],
            queue.counts[JobState::Uncertain as usize],
        ];
        assert_eq!(held, [0, 0, 0], "{queue:?}");
    }
    let second = shared.node_as(role(NodeRole::All)).await;
    for id in ids {
        until("each is read", async || is(&api, id, MessageState::Read).await).await;
    }
    let [by_first, by_second] = [sent(&first).await, sent(&second).await];
    assert!(by_first > 0 && by_first + by_second == 200, "{by_first} and {by_second}: each once");
    api.caught_up(PATIENCE).await.expect("caught up");
    let check = api.records().check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
    for app in [api, second] {
        app.shutdown(GRACE).await;
    }
}
