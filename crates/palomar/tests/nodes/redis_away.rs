//! Redis dies and comes back, or another takes its place, while messages travel (trials 27, 28, 29).

use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::json;

use crate::callers::Callers;
use crate::harness::{Dice, Settings, instant, quick, seed, size, until};
use crate::installation::{Installation, Line, redis};
use crate::server::Server as Redis;
use crate::servers::{Cluster, Watched, agreed};

async fn until_taken(lines: &[Line], goal: usize) {
    until("it goes on", || async {
        let taken: usize = lines.iter().map(|line| line.sim.accepted()).sum();
        if taken >= goal { Ok(()) } else { Err(format!("{taken} of {goal} were taken")) }
    })
    .await;
}

async fn lines(all: &Installation, names: &[&'static str], rate: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
        let latency = "2ms..20ms".parse().expect("a latency");
        let config = Config { latency, statuses, ..quick() };
        // The rate makes the run last longer than what happens in it.
        let limits = json!({ "windows": [{ "max": rate, "perSeconds": 1 }], "concurrency": 32 });
        lines.push(all.line(name, config, limits).await);
        all.reports_to(&lines[n], n % all.nodes.len());
    }
    lines
}

fn confirmed(mut settings: Settings, confirm: &str) -> Settings {
    settings.push(("PALOMAR__BROKER__CONFIRM", confirm.into()));
    settings
}

/// Kills Redis again and again while three nodes work.
async fn killed(flush: &str, confirm: &str) {
    let (kills, messages) = (size("KILLS", 3), size("MESSAGES", 600));
    let mut dice = Dice(seed());
    let mut server = Redis::with(&["--appendfsync", flush]).await;
    let all = Installation::start(3, confirmed(redis(&[server.url()]), confirm)).await;
    let lines = lines(&all, &["line"], size("RATE", 100)).await;
    let calls = Callers::start(&all.nodes, &["line"], 6, messages);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        until_taken(&lines, (kill + 1) * messages / (kills + 2)).await;
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
        server.start_again().await;
        let (back, before) = (instant(), lines[0].sim.accepted());
        until_taken(&lines, (before + 1).min(messages)).await;
        longest = longest.max(back.elapsed());
    }
    let accepted = calls.end().await;
    let unsent = all.ends(&accepted, &lines).await;
    eprintln!(
        "{kills} kills of Redis, confirmed when {confirm}, {messages} messages: 0 lost, 0 twice, {} uncertain, {unsent} \
         never taken; it went on within {longest:.1?}",
        all.times("uncertain", None).await.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_loses_nothing_that_it_has_flushed() {
    killed("always", "synced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_loses_nothing_that_it_has_written() {
    killed("everysec", "written").await;
}

/// The replicas hang for a moment, so that they lack what the primary did last; then it dies and one takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_replicated_survives_the_loss_of_the_primary() {
    let (failovers, messages) = (size("FAILOVERS", 2), size("MESSAGES", 600));
    let mut dice = Dice(seed());
    let settings = ["--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"];
    let mut watched = Watched::start(&settings, 3).await;
    let mut settings = confirmed(redis(&[watched.sentinel.url()]), "replicated");
    settings.push(("PALOMAR__BROKER__REDIS_PRIMARY", Watched::NAME.into()));
    let all = Installation::start(2, settings).await;
    let lines = lines(&all, &["line"], size("RATE", 50)).await;
    let calls = Callers::start(&all.nodes, &["line"], 6, messages);
    let mut longest = Duration::ZERO;
    for failover in 0..failovers {
        until_taken(&lines, (failover + 1) * messages / (failovers + 2)).await;
        let old = watched.primary().await;
        for (n, server) in watched.servers.iter().enumerate() {
            if n != old {
                server.signal("-STOP");
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        watched.servers[old].kill();
        for (n, server) in watched.servers.iter().enumerate() {
            if n != old {
                server.signal("-CONT");
            }
        }
        let (lost, before) = (instant(), lines[0].sim.accepted());
        until_taken(&lines, (before + 40).min(messages)).await;
        longest = longest.max(lost.elapsed());
        // What was leased before may have gone on without any.
        let new = watched.primary_after(old).await;
        let port = watched.servers[new].port;
        watched.servers[old].start_as_replica_of(port).await;
        watched.is_whole().await;
    }
    let accepted = calls.end().await;
    let unsent = all.ends(&accepted, &lines).await;
    eprintln!(
        "{failovers} failovers, {messages} messages: 0 lost, 0 twice, {} uncertain, {unsent} never taken; it went on \
         within {longest:.1?}",
        all.times("uncertain", None).await.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_that_dies_is_replaced_by_its_replica() {
    let (failovers, messages) = (size("FAILOVERS", 1), size("MESSAGES", 600));
    seed();
    let settings = [
        "--appendfsync",
        "everysec",
        "--repl-diskless-sync-delay",
        "0",
        "--cluster-require-full-coverage",
        "no",
    ];
    let mut cluster = Cluster::with_replicas(&settings).await;
    // The address of the one that dies is all that nodes are told.
    let mut settings = confirmed(redis(&cluster.urls()[..1]), "replicated");
    settings.push(("PALOMAR__BROKER__REDIS", format!("{0},{0}", cluster.nodes[0].url())));
    settings.push(("PALOMAR__BROKER__REDIS_PARTITIONS", "6".into()));
    let all = Installation::start(2, settings).await;
    let lines = lines(&all, &["line-a", "line-b", "line-c", "line-d"], size("RATE", 15)).await;
    let names: Vec<_> = lines.iter().map(|line| line.name).collect();
    let calls = Callers::start(&all.nodes, &names, 6, messages);
    let mut longest = Duration::ZERO;
    for failover in 0..failovers {
        until_taken(&lines, (failover + 1) * messages / (failovers + 2)).await;
        // Primary and replica change places each time.
        let (old, new) = if failover % 2 == 0 { (0, 3) } else { (3, 0) };
        cluster.nodes[old].kill();
        let lost = instant();
        agreed("the replica takes its place", async || {
            let role: String = cluster.nodes[new].ask(&["INFO", "replication"]).await;
            role.contains("role:master")
        })
        .await;
        longest = longest.max(lost.elapsed());
        cluster.nodes[old].start_again().await;
        agreed("the old one is its replica", async || cluster.nodes[new].replicas().await == 1).await;
    }
    let accepted = calls.end().await;
    let unsent = all.ends(&accepted, &lines).await;
    eprintln!(
        "{failovers} failovers in a cluster, {messages} messages: 0 lost, 0 twice, {} uncertain, {unsent} never taken; a \
         replica took over within {longest:.1?}",
        all.times("uncertain", None).await.len()
    );
}
