//! Three nodes on a Redis Cluster: one is killed and comes back, and a primary of Redis is killed and starts again, while
//! messages travel (trials 1, 16 and 29 in one).

use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::json;

use crate::callers::Callers;
use crate::harness::{Dice, instant, quick, seed, size, until};
use crate::installation::{Installation, Line, most_within, redis};
use crate::servers::Cluster;

/// Attempts in flight of a node at most.
const IN_FLIGHT: usize = 16;

fn taken(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.sim.accepted()).sum()
}

async fn until_taken(lines: &[Line], goal: usize) {
    until("it goes on", || async {
        let taken = taken(lines);
        if taken >= goal { Ok(()) } else { Err(format!("{taken} of {goal} were taken")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_and_a_restarted_primary_lose_nothing_and_send_nothing_twice() {
    let (messages, callers, rate) = (size("MESSAGES", 1_500), size("CALLERS", 8), size("RATE", 50));
    let mut dice = Dice(seed());
    let begun = instant();
    let mut cluster =
        Cluster::start(&["--appendfsync", "always", "--cluster-require-full-coverage", "no"]).await;
    let mut settings = redis(&cluster.urls());
    settings.push(("PALOMAR__BROKER__REDIS_PARTITIONS", "6".into()));
    settings.push(("PALOMAR__SENDING__CONCURRENCY", IN_FLIGHT.to_string()));
    let mut all = Installation::start(3, settings).await;
    let mut lines = Vec::new();
    for name in ["line-a", "line-b", "line-c"] {
        let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
        let latency = "2ms..40ms".parse().expect("a latency");
        let config = Config { latency, statuses, keep_bodies: false, ..quick() };
        // The rate makes the run last longer than what happens in it.
        let windows = json!([{ "max": rate, "perSeconds": 1 }, { "max": 8 * rate, "perSeconds": 10 }]);
        lines.push(all.line(name, config, json!({ "windows": windows })).await);
    }
    for (node, line) in lines.iter().enumerate() {
        all.reports_to(line, node);
    }
    let channels: Vec<_> = lines.iter().map(|line| line.name).collect();
    let calls = Callers::start(&all.nodes, &channels, callers, messages);

    until_taken(&lines, messages / 4).await;
    tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
    all.nodes[2].kill();
    until_taken(&lines, messages / 2).await;
    let busiest = busiest(&cluster).await;
    cluster.nodes[busiest].kill();
    tokio::time::sleep(Duration::from_millis(dice.below(1_000))).await;
    cluster.nodes[busiest].start_again().await;
    until_taken(&lines, messages * 3 / 4).await;
    all.nodes[2].run().await;

    let accepted = calls.end().await;
    let unsent = all.ends(&accepted, &lines).await;
    let uncertain = all.times("uncertain", None).await.len();
    assert!(uncertain <= IN_FLIGHT, "{uncertain} became uncertain, with {IN_FLIGHT} in flight");
    for Line { name, sim } in &lines {
        let starts = all.times("started", Some(name)).await;
        for (seconds, max) in [(1, rate), (10, 8 * rate)] {
            let most = most_within(seconds, &starts);
            assert!(most <= max, "{name}: {most} starts within {seconds} s, {max} are allowed");
            // When bytes arrive is not in our hands, so this is told and not asserted.
            let arrivals: Vec<_> = sim.ledger(0, messages).iter().map(|entry| entry.at).collect();
            let arrived = most_within(seconds, &arrivals);
            eprintln!(
                "{name}: at most {most} starts and {arrived} arrivals within {seconds} s, {max} allowed"
            );
        }
    }
    eprintln!(
        "{messages} messages in {:.1?}: 0 lost, 0 twice; {uncertain} became uncertain, {unsent} of all never taken",
        begun.elapsed()
    );
}

/// The primary that has had most to do.
async fn busiest(cluster: &Cluster) -> usize {
    let mut done = Vec::new();
    for node in &cluster.nodes {
        let info: String = node.ask(&["INFO", "stats"]).await;
        let said = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        done.push(said.and_then(|said| said.trim().parse::<u64>().ok()).unwrap_or(0));
    }
    (0..done.len()).max_by_key(|node| done[*node]).expect("a primary")
}
