//! A campaign on two nodes with Redis and PostgreSQL: a node is killed again and again, and it is paused and resumed at the
//! other (trial 18). Each contact is written to once, none is skipped.

use std::collections::HashSet;
use std::time::Duration;

use palomar_sim::cloud_api::{Config, Statuses};
use serde_json::{Value, json};

use crate::harness::{Dice, quick, seed, size, until};
use crate::installation::{Installation, redis};
use crate::server::Server as Redis;

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_outlives_its_nodes_and_writes_to_nobody_twice() {
    let (kills, n, rate) = (size("KILLS", 3), size("CONTACTS", 1_200), size("RATE", 100));
    let mut dice = Dice(seed());
    let store = Redis::with(&["--appendfsync", "always"]).await;
    let mut settings = redis(&[store.url()]);
    settings.push(("PALOMAR__CAMPAIGNS__BATCH_SIZE", "50".into()));
    settings.push(("PALOMAR__SENDING__CONCURRENCY", "16".into()));
    let mut all = Installation::start(2, settings).await;
    let statuses = Statuses { sent: "5ms..50ms".parse().expect("a latency"), ..Statuses::default() };
    let latency = "2ms..20ms".parse().expect("a latency");
    let limits = json!({"windows": [{"max": rate, "perSeconds": 1}], "uncertainWaitSeconds": 5});
    let line = all.line("line", Config { latency, statuses, ..quick() }, limits).await;
    let (status, made) = all.nodes[0]
        .post("/api/campaigns", json!({"name": "Verano", "message": "Hola", "outsideWindow": "send"}))
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/campaigns/{}", made["id"].as_str().expect("an id"));
    let people: Vec<_> = (0..n).map(|n| json!(format!("+346{n:06}99"))).collect();
    for chunk in people.chunks(5_000) {
        let (status, added) =
            all.nodes[1].post(&format!("{path}/contacts"), json!({"contacts": chunk})).await;
        assert_eq!((status, added["added"].as_u64()), (200, Some(chunk.len() as u64)), "{added}");
    }
    let order = async |node: &crate::harness::Server, what: &str| {
        let (status, answer) = node.post(&format!("{path}/{what}"), json!({})).await;
        assert_eq!(status, 200, "{what}: {answer}");
    };
    order(&all.nodes[0], "start").await;
    for kill in 0..kills {
        let goal = (kill + 1) * n / (kills + 2);
        until("it goes on", || async {
            let taken = line.sim.accepted();
            if taken >= goal { Ok(()) } else { Err(format!("{taken} of {goal}")) }
        })
        .await;
        let (victim, other) = (kill % 2, (kill + 1) % 2);
        tokio::time::sleep(Duration::from_millis(dice.below(80))).await;
        all.nodes[victim].kill();
        order(&all.nodes[other], "queue-pause").await;
        all.reports_to(&line, other);
        order(&all.nodes[other], "queue-resume").await;
        all.nodes[victim].run().await;
    }
    let done: Value = until("it has finished", || async {
        let answer = all.nodes[0].get(&format!("{path}/queue-status")).await;
        if answer["status"]["status"] == "finished" {
            Ok(answer["status"].clone())
        } else {
            Err(answer.to_string())
        }
    })
    .await;
    let uncertain = done["metrics"]["messages"]["uncertain"].as_u64().unwrap_or(0);
    let success = done["progress"]["success"].as_u64().expect("a number");
    assert_eq!(
        (success + uncertain, done["progress"]["processed"].as_u64()),
        (n as u64, Some(n as u64)),
        "{done}"
    );
    let ledger = line.sim.ledger(0, line.sim.accepted());
    let reached: HashSet<_> = ledger.iter().map(|entry| &entry.recipient).collect();
    assert_eq!(reached.len(), ledger.len(), "somebody was written to twice");
    assert!(reached.len() as u64 + uncertain >= n as u64);
    all.records_add_up().await;
    eprintln!(
        "{kills} kills, {n} contacts on two nodes: {} reached once, {uncertain} uncertain",
        reached.len()
    );
}
