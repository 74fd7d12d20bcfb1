//! Payloads in bounded memory: the rest is read from disk, right to the byte.

use std::time::Duration;

use bytes::Bytes;
use palomar_model::Timestamp;

use super::super::payloads::Payloads;
use super::super::{EmbeddedConfig, codec};
use super::{Fixture, accept, job, lease, number, settle};
use crate::broker::{Broker, BrokerError};
use crate::types::{Cursor, Fact, NewJob, Outcome, Partition};

/// Payloads of all sizes, compressible and not.
fn payload(n: u128) -> Bytes {
    let size = [0, 1, 100, 1_024, 1_025, 5_000, 70_000][n as usize % 7];
    let noise = |i: usize| ((i as u128 * 2_654_435_761 * (n + 7)) >> 13) as u8;
    let even = n.is_multiple_of(2);
    (0..size).map(|i| if even { b'a' + (n % 26) as u8 } else { noise(i) }).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn every_payload_is_right_whatever_the_budget() {
    for payload_memory in [0, 20_000, 64 << 20] {
        let fixture = Fixture::new();
        let config = || EmbeddedConfig { payload_memory, ..fixture.config() };
        let broker = fixture.open_with(config());
        accept(&broker, (1..=300).map(|n| NewJob { payload: payload(n), ..job(n) })).await;
        let mut seen = 0;
        for reopen in [false, true] {
            let broker = if reopen {
                broker.close().await.expect("closes");
                fixture.open_with(config())
            } else {
                broker.clone()
            };
            for _ in 0..5 {
                let taken = lease(&broker, 30, true).await;
                for job in &taken {
                    assert_eq!(
                        job.payload,
                        payload(number(job)),
                        "job {} with {payload_memory} bytes",
                        number(job)
                    );
                }
                // Read again from disk at the next attempt.
                let retry = Outcome::Retry { at: Timestamp::EPOCH, counts: true };
                settle(&broker, &taken[..5], retry).await;
                settle(&broker, &taken[5..], Outcome::Done).await;
                let again = lease(&broker, 5, true).await;
                for job in &again {
                    assert_eq!(job.payload, payload(number(job)));
                }
                settle(&broker, &again, Outcome::Done).await;
                seen += taken.len();
            }
            for n in [7, 150, 299] {
                if let Some((_, shown)) = broker.job(job(n).id).await.expect("job") {
                    assert_eq!(shown, payload(n));
                }
            }
        }
        assert_eq!(seen, 300);
    }
}

#[tokio::test]
async fn the_log_carries_whole_payloads() {
    let fixture = Fixture::new();
    let broker = fixture.open_with(EmbeddedConfig { payload_memory: 0, ..fixture.config() });
    accept(&broker, (1..=50).map(|n| NewJob { payload: payload(n), ..job(n) })).await;
    let facts = broker.events(Partition::WHOLE, Cursor(0), 1_000, Duration::ZERO).await.expect("events");
    for (entry, n) in facts.iter().zip(1..=50) {
        assert_eq!(entry.fact, Fact::Enqueued { scheduled: false, payload: payload(n) });
    }
}

#[test]
fn memory_stays_within_the_budget() {
    let budget = 100_000;
    let mut payloads = Payloads::new(budget);
    for seq in 0..10_000 {
        payloads.offer(seq, vec![0; 900].into(), Timestamp::EPOCH);
        assert!(payloads.held_bytes() <= budget);
    }
    assert!(payloads.held_bytes() > budget / 2, "it is used");
    for seq in 0..10_000 {
        payloads.forget(seq);
    }
    assert_eq!(payloads.held_bytes(), 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let fixture = Fixture::new();
    let broker = fixture.open();
    let large = NewJob { payload: vec![0; codec::MAX_PAYLOAD + 1].into(), ..job(1) };
    assert!(matches!(broker.enqueue(vec![large]).await, Err(BrokerError::TooLarge(_))));
    let many = (1..=10_001).map(job).collect();
    assert!(matches!(broker.enqueue(many).await, Err(BrokerError::TooLarge(_))));
    let largest = NewJob { payload: vec![7; codec::MAX_PAYLOAD].into(), ..job(1) };
    accept(&broker, [largest.clone()]).await;
    broker.close().await.expect("closes");
    assert_eq!(lease(&fixture.open(), 1, true).await[0].payload, largest.payload);
}
