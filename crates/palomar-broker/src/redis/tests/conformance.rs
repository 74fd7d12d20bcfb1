//! The Redis broker keeps the contract, and answers as the reference does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use palomar_model::ManualClock;

use super::Server;
use crate::broker::Broker;
use crate::conformance;
use crate::redis::{RedisBroker, RedisConfig};

/// The seed of a random test: `SEED` where it is set. It is printed, for the test to be run again with it.
#[expect(clippy::print_stdout, reason = "the runner shows it where the test fails")]
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    println!("SEED={seed}");
    seed
}

/// These seeds, and one that is new each time.
pub(super) fn walk_seeds<const N: usize>(seeds: [u64; N]) -> impl Iterator<Item = u64> {
    seeds.into_iter().chain([seed()])
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A new, empty broker on a server.
async fn fresh(server: &Server, clock: Arc<ManualClock>) -> Arc<dyn Broker> {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    // A reader that acknowledges nothing keeps the whole log.
    let config = RedisConfig { readers: vec!["walk".into()], ..server.config(&format!("walk-{n}"), n) };
    Arc::new(RedisBroker::open_with_clock(config, clock).await.expect("opens"))
}

#[tokio::test]
async fn keeps_the_contract() {
    let server = Server::start().await;
    conformance::exercise(async |clock: Arc<ManualClock>| fresh(&server, clock).await).await;
}

/// Walks of so many steps; all of them together take more than 100,000.
const STEPS: u64 = 13_000;

/// Drives a broker and the reference side by side, once for each seed and for one that is new each time.
async fn walks(seeds: [u64; 3]) {
    let server = Server::start().await;
    for seed in walk_seeds(seeds) {
        let clock = Arc::new(conformance::clock());
        let broker = fresh(&server, Arc::clone(&clock)).await;
        conformance::side_by_side(&broker, &clock, seed, STEPS).await;
    }
}

#[tokio::test]
async fn answers_as_the_reference_does_on_odd_seeds() {
    walks([1, 3, 12_036_512_426_902_521_897]).await;
}

#[tokio::test]
async fn answers_as_the_reference_does_on_even_seeds() {
    walks([2, 4, 6]).await;
}

/// What a call leaves loaded in Redis is what the next one would read: it makes no difference how often it is forgotten.
#[tokio::test]
async fn what_is_read_anew_is_what_was_left() {
    let server = Server::start().await;
    for seed in walk_seeds([5, 8]) {
        let clock = Arc::new(conformance::clock());
        let broker = fresh(&server, Arc::clone(&clock)).await;
        // The library is gone with all that it has loaded, and is given to the server again.
        let mut connection = server.connect().await;
        let forgets = async {
            let mut often = tokio::time::interval(std::time::Duration::from_millis(25));
            // The walk goes on in between, however slow the server is.
            often.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut flush = redis::cmd("FUNCTION");
            flush.arg("FLUSH");
            loop {
                often.tick().await;
                // One that is answered late did its part, too.
                let _: Result<(), _> = flush.query_async(&mut connection).await;
            }
        };
        tokio::select! {
            () = conformance::side_by_side(&broker, &clock, seed, STEPS / 4) => {}
            () = forgets => {}
        }
    }
}
