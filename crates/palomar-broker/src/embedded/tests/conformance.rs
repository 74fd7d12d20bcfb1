//! The embedded broker keeps the contract, and answers as the reference does, over restarts too.

use std::sync::{Arc, Mutex};

use palomar_model::ManualClock;

use super::super::{EmbeddedBroker, EmbeddedConfig};
use super::{Fixture, seed};
use crate::broker::Broker;
use crate::conformance::{self, Restart, Walk};

#[tokio::test]
async fn keeps_the_contract() {
    let fixtures = Mutex::new(Vec::new());
    conformance::exercise(async |clock: Arc<ManualClock>| {
        let fixture = Fixture { clock, ..Fixture::new() };
        let broker: Arc<dyn Broker> = fixture.open();
        fixtures.lock().expect("not poisoned").push(fixture);
        broker
    })
    .await;
}

#[tokio::test]
async fn answers_as_the_reference_does() {
    let seed = seed();
    for seed in [1, 2, seed] {
        let fixture = Fixture::new();
        let broker: Arc<dyn Broker> = fixture.open();
        conformance::side_by_side(&broker, &fixture.clock, seed, 4_000).await;
    }
}

/// Walks and restarts the broker every now and then.
async fn walk_over_restarts(seed: u64, how: Restart) {
    let mut fixture = Fixture::new();
    // A reader that acknowledges nothing keeps the whole log.
    let open = |fixture: &Fixture| {
        fixture.open_with(EmbeddedConfig { readers: vec!["walk".into()], ..fixture.config() })
    };
    let mut broker: Arc<EmbeddedBroker> = open(&fixture);
    let mut walk = Walk::new(broker.clone(), Arc::clone(&fixture.clock), seed);
    for _ in 0..20 {
        for _ in 0..100 {
            walk.step().await;
        }
        walk.compare_all().await;
        match how {
            Restart::Closed => broker.close().await.expect("closes"),
            Restart::Killed => fixture = fixture.killed(),
        }
        broker = open(&fixture);
        assert_eq!(broker.opened().damaged, Vec::<String>::new());
        walk.restart(broker.clone(), how);
        walk.compare_all().await;
    }
}

#[tokio::test]
async fn answers_as_the_reference_does_over_restarts() {
    let seed = seed();
    for seed in [1, seed] {
        walk_over_restarts(seed, Restart::Closed).await;
    }
}

#[tokio::test]
async fn answers_as_the_reference_does_after_kills() {
    let seed = seed();
    for seed in [1, seed] {
        walk_over_restarts(seed, Restart::Killed).await;
    }
}
