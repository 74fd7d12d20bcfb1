//! Trial 12: a node that is stopped beyond its leases, with calls to the provider open, and goes on afterwards.

use std::time::Duration;

use palomar_sim::cloud_api::Config;
use rustix::process::Signal;
use serde_json::json;

use crate::callers::Callers;
use crate::harness::{SystemClock, instant, quick, size, until};
use crate::installation::{Installation, redis};
use crate::server::Server as Redis;

/// Attempts in flight of each node.
const IN_FLIGHT: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_wakes_after_its_leases_sends_nothing_again_and_tells_what_it_knows() {
    let frozen_for = Duration::from_secs(size("FROZEN", 0) as u64);
    let messages = 3 * IN_FLIGHT;
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let mut settings = redis(&[server.url()]);
    settings.push(("PALOMAR__SENDING__CONCURRENCY", IN_FLIGHT.to_string()));
    let all = Installation::start(2, settings).await;
    // Each call is open for long enough that the node is stopped in it. Nobody reports: what its calls were answered is
    // known to that node alone.
    let config = Config { latency: "3s".parse().expect("a latency"), ..quick() };
    let line = all.line("line", config, json!({ "profile": "unlimited" })).await;
    line.sim.set_webhook_url(None);
    let calls = Callers::start(&all.nodes, &["line"], 8, messages);
    let accepted = calls.end().await;
    until("the calls of both nodes are open", || async {
        let open = line.sim.stats().in_flight as usize;
        if open == 2 * IN_FLIGHT { Ok(()) } else { Err(format!("{open} are open")) }
    })
    .await;
    let begun = instant();
    all.nodes[0].signal(Signal::STOP);

    let uncertain = until("the leases of the node are over, and the other has sent the rest", || async {
        let queue = all.nodes[1].queue("line").await;
        let left: u64 =
            ["waiting", "active", "leased"].iter().map(|state| queue[*state].as_u64().unwrap_or(0)).sum();
        let uncertain = queue["uncertain"].as_u64().expect("a number") as usize;
        if left == 0 && begun.elapsed() >= frozen_for { Ok(uncertain) } else { Err(queue.to_string()) }
    })
    .await;
    assert_eq!(uncertain, IN_FLIGHT, "what the stopped node had in flight, and nothing else");
    assert_eq!(line.sim.accepted(), messages);

    let (slept, woke) = (begun.elapsed(), palomar_model::Clock::now(&SystemClock));
    all.nodes[0].signal(Signal::CONT);
    until("what the node was answered has come", || async {
        let statuses = all.statuses().await;
        let sent = statuses.get("sent").is_some_and(|sent| *sent as usize == accepted.len());
        if sent { Ok(()) } else { Err(format!("{statuses:?}")) }
    })
    .await;
    let took = all.times("sent", None).await.last().expect("sent").since(woke);
    assert!(line.sim.duplicates().is_empty(), "sent twice: {:?}", line.sim.duplicates());
    assert_eq!(line.sim.accepted(), messages);
    assert_eq!(all.nodes[1].queue("line").await["duplicateSends"], 0);
    all.records_add_up().await;
    eprintln!(
        "stopped for {slept:.1?} with {uncertain} calls open: 0 twice; their answers came within {took:.1?}"
    );
}
