//! What stands after a restart: everything but the leases.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::Clock;

use super::super::EmbeddedBroker;
use super::{Fixture, accept, job, lease, line, number, settle};
use crate::broker::Broker;
use crate::types::{Budget, Control, Dedupe, Enqueued, JobState, Key, Limits, NewJob, Outcome, Pair, Window};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Closes and opens, or opens what a kill would have left.
async fn again(
    fixture: Fixture,
    broker: Arc<EmbeddedBroker>,
    closed: bool,
) -> (Fixture, Arc<EmbeddedBroker>) {
    let fixture = if closed {
        broker.close().await.expect("closes");
        fixture
    } else {
        fixture.killed()
    };
    let broker = fixture.open();
    (fixture, broker)
}

async fn started(broker: &EmbeddedBroker) -> Vec<u128> {
    lease(broker, 1_000, true).await.iter().map(number).collect()
}

#[tokio::test]
async fn jobs_come_back_in_order_with_their_payloads() {
    for closed in [true, false] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        accept(&broker, (1..=50).map(job)).await;
        let taken = lease(&broker, 10, true).await;
        settle(&broker, &taken, Outcome::Done).await;
        let (_fixture, broker) = again(fixture, broker, closed).await;
        assert_eq!(broker.opened().jobs, 50);
        let taken = lease(&broker, 100, true).await;
        assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), (11..=50).collect::<Vec<_>>());
        assert!(taken.iter().all(|job| job.payload == format!("payload {}", number(job))));
    }
}

#[tokio::test]
async fn leases_are_over_and_tokens_go_on() {
    for closed in [true, false] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        accept(&broker, (1..=3).map(job)).await;
        let taken = lease(&broker, 1, true).await;
        let leased = lease(&broker, 1, false).await;
        let (_fixture, broker) = again(fixture, broker, closed).await;
        let state = async |n| broker.job(job(n).id).await.expect("job").expect("known").0;
        assert_eq!(state(1).await.state, JobState::Uncertain, "it may have been sent");
        assert_eq!(state(2).await.state, JobState::Queued, "it was not");
        let again = lease(&broker, 9, true).await;
        assert_eq!(again.iter().map(number).collect::<Vec<_>>(), [2, 3]);
        assert!(again[0].lease.token > leased[0].lease.token, "a token is never used again");
        assert_eq!(again[0].tries, 1);
        assert_eq!(broker.start(vec![taken[0].lease]).await.expect("start"), [Err(crate::LeaseError::Stale)]);
    }
}

#[tokio::test]
async fn the_jobs_of_a_key_keep_their_order() {
    for closed in [true, false] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        let keyed = |n| NewJob { key: Some(Key::of("a")), ..job(n) };
        accept(&broker, (1..=4).map(keyed)).await;
        // The first is given back late: it still goes first.
        lease(&broker, 1, false).await;
        fixture.clock.advance(seconds(61));
        broker.stats().await.expect("stats");
        let (fixture, broker) = again(fixture, broker, closed).await;
        let first = lease(&broker, 9, true).await;
        assert_eq!(first.iter().map(number).collect::<Vec<_>>(), [1], "closed: {closed}");
        let later = fixture.clock.now().after(seconds(10));
        settle(&broker, &first, Outcome::Retry { at: later, counts: true }).await;
        let (fixture, broker) = again(fixture, broker, closed).await;
        fixture.clock.advance(seconds(10));
        let (_fixture, broker) = again(fixture, broker, closed).await;
        for n in 1..=4 {
            let taken = lease(&broker, 9, true).await;
            assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), [n], "closed: {closed}");
            settle(&broker, &taken, Outcome::Done).await;
        }
    }
}

#[tokio::test]
async fn limits_windows_pace_and_budget_go_on() {
    for closed in [true, false] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        let limits = Limits {
            windows: vec![Window { max: 5, window: seconds(100) }],
            margin_permille: 0,
            pair: Some(Pair { interval: seconds(50), burst: 1 }),
            budget: Some(Budget { name: "p".into(), max: 2, window: seconds(1000) }),
            ..Limits::default()
        };
        let queue = line();
        broker
            .control(Control::Configure { queue, limits: limits.clone() })
            .await
            .expect("control")
            .expect("valid");
        let keyed = |n, key| NewJob { key: Some(Key::of(key)), ..job(n) };
        accept(&broker, [keyed(1, "a"), keyed(2, "b"), keyed(3, "a"), keyed(4, "c")]).await;
        accept(&broker, (5..=9).map(job)).await;
        let taken = lease(&broker, 3, true).await;
        assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), [1, 2, 5], "4 waits for the budget");
        settle(&broker, &taken, Outcome::Done).await;
        let (fixture, broker) = again(fixture, broker, closed).await;
        assert_eq!(broker.stats().await.expect("stats").queues[0].limits, limits);
        assert_eq!(started(&broker).await, [6, 7], "three of five starts are remembered");
        fixture.clock.advance(seconds(100));
        let (fixture, broker) = again(fixture, broker, closed).await;
        let mut now = started(&broker).await;
        now.sort_unstable();
        assert_eq!(now, [3, 8, 9], "the key may start again, a third key may not");
        fixture.clock.advance(seconds(1200));
        let (_fixture, broker) = again(fixture, broker, closed).await;
        assert_eq!(started(&broker).await, [4]);
    }
}

#[tokio::test]
async fn requests_pauses_and_numbers_are_remembered() {
    for closed in [true, false] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        let request = |n, fingerprint| NewJob {
            dedupe: vec![Dedupe { id: 7, fingerprint, ttl: seconds(100) }],
            group: Some("g".into()),
            ..job(n)
        };
        accept(&broker, [request(1, 1)]).await;
        let taken = lease(&broker, 1, true).await;
        settle(&broker, &taken, Outcome::Done).await;
        accept(&broker, [NewJob { group: Some("g".into()), ..job(2) }, job(3)]).await;
        let (queue, group) = (line(), "g".into());
        broker.control(Control::PauseGroup { queue, group }).await.expect("control").expect("allowed");
        let (fixture, broker) = again(fixture, broker, closed).await;
        for (n, fingerprint, expected) in
            [(10, 1, Enqueued::Duplicate { of: job(1).id }), (11, 2, Enqueued::Conflict { of: job(1).id })]
        {
            assert_eq!(broker.enqueue(vec![request(n, fingerprint)]).await.expect("enqueue"), [expected]);
        }
        assert_eq!(started(&broker).await, [3], "the group is paused");
        let pause = Control::Pause { queue: line(), reason: "lunch".into() };
        broker.control(pause).await.expect("control").expect("allowed");
        fixture.clock.advance(seconds(100));
        let (_fixture, broker) = again(fixture, broker, closed).await;
        let stats = broker.stats().await.expect("stats").queues.remove(0);
        assert_eq!((stats.paused.as_deref(), stats.paused_groups), (Some("lunch"), vec!["g".into()]));
        assert_eq!((stats.accepted, stats.starts, stats.finished[JobState::Done as usize]), (3, 2, 1));
        accept(&broker, [request(12, 2)]).await;
        assert_eq!(started(&broker).await, [0; 0]);
    }
}
