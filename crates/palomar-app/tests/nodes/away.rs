//! Nodes whose database is away: nothing passes, in old connections or new ones, and nothing says so.

use std::net::SocketAddr;
use std::time::Duration;

use palomar_app::{Caller, MessageStatus};
use palomar_model::MessageState;
use palomar_sim::proxy::{Faults, Proxy};

use crate::postgres;
use crate::shared::{PATIENCE, Shared, channel, send, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_waits_and_goes_out_when_it_is_back() {
    let port = postgres::shared_port();
    let address = postgres::database(port).await;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), 4).await.expect("a port");
    let through = address.replace(&format!(":{port}/"), &format!(":{}/", proxy.address().port()));
    let shared = Shared::at(Some(through));
    let nodes = [shared.node().await, shared.node().await];
    nodes[0].create_channel(channel("line")).await.expect("made");
    // Both know it.
    until("the other one knows it", async || {
        let found = nodes[1].metrics_text().await;
        found.is_ok_and(|text| text.contains("palomar_channel_up{provider=\"sandbox\""))
    })
    .await;

    proxy.set(Faults { half_open: 1.0, ..Faults::default() });
    proxy.half_open();
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(send(&nodes[n % 2], "line", &format!("+346113{n:05}")).await);
    }
    // Who asked for no more is not known now: what was accepted waits, and nobody is written to who may not be.
    let stats = nodes[0].queue_stats(&Caller::system()).await.expect("stats need no database");
    assert_eq!((stats.message.completed, stats.message.failed), (0, 0));
    for node in &nodes {
        let text = node.metrics_text().await.expect("metrics need no database");
        assert!(text.contains("palomar_heartbeat_age_seconds{kind=\"outbound\"} "), "{text}");
        assert!(node.records().ping().await.is_err(), "it is away");
    }

    proxy.set(Faults::default());
    for id in ids {
        until("each is read", async || {
            let found = nodes[1].message(id, &Caller::system()).await;
            found.is_ok_and(|found| found.message.status == MessageStatus::Outbound(MessageState::Read))
        })
        .await;
    }
    nodes[0].caught_up(PATIENCE).await.expect("caught up");
    let check = nodes[0].records().check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await;
    }
}
