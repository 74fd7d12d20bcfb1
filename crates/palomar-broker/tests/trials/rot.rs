//! Trial 6: bits flip and files are cut. Never a panic, never a wrong payload.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{
    Broker, BrokerError, EmbeddedBroker, EmbeddedConfig, Flush, JobFilter, Outcome, Settle, Signal, check,
};
use palomar_model::{ManualClock, Timestamp};

use crate::process::{id, job, numbers, run, seed, take};

const JOBS: u128 = 2_500;
const FLIPS: usize = 1_000;

/// A payload of its own, which hardly compresses.
fn payload(n: u128) -> String {
    let noise = (0..25_u128).map(|i| (n * 25 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15) as u64);
    noise.map(|noise| format!("{noise:016x}")).collect()
}

/// What a run on a damaged store came to.
#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    named: usize,
    nothing: usize,
    failed_later: usize,
}

#[test]
fn no_damage_makes_a_panic_or_a_wrong_payload() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)));
    let config = EmbeddedConfig { flush: Flush::EachSecond, ..EmbeddedConfig::in_dir(dir.path()) };
    run(async {
        let broker = EmbeddedBroker::open(config.clone(), clock.clone()).expect("opens");
        broker.enqueue((1..=JOBS).map(|n| job(n, payload(n))).collect()).await.expect("enqueue");
        let taken = broker.lease(take(50, Duration::ZERO)).await.expect("lease");
        let done = |job: &palomar_broker::LeasedJob| Settle {
            lease: job.lease,
            outcome: Outcome::Done,
            signal: Signal::None,
            events: Vec::new(),
        };
        broker.settle(taken[..40].iter().map(done).collect()).await.expect("settle");
        broker.close().await.expect("closes");
    });
    let file = dir.path().join("queue.db");
    let whole = std::fs::read(&file).expect("reads");
    let mut rng = seed("rot");
    let mut seen = Seen::default();
    for round in 0..FLIPS {
        let mut bytes = whole.clone();
        if round % 10 == 9 {
            bytes.truncate(rng.below(whole.len() as u64) as usize);
        } else {
            let bit = rng.below(whole.len() as u64 * 8);
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
        }
        for name in ["queue.db-wal", "queue.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        std::fs::write(&file, &bytes).expect("writes");
        let trial = AssertUnwindSafe(|| run(look(&config, &clock, &mut seen)));
        assert!(std::panic::catch_unwind(trial).is_ok(), "round {round}");
    }
    println!("rot: {FLIPS} damages of {} bytes: {seen:?}", whole.len());
}

async fn look(config: &EmbeddedConfig, clock: &Arc<ManualClock>, seen: &mut Seen) {
    let report = check(&config.dir);
    let broker = match EmbeddedBroker::open(config.clone(), clock.clone()) {
        Ok(broker) => broker,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            seen.refused += 1;
            return;
        }
    };
    let sound = report.as_ref().is_ok_and(palomar_broker::CheckReport::is_sound);
    if broker.opened().damaged.is_empty() && sound {
        seen.nothing += 1;
    } else {
        seen.named += 1;
    }
    match serve(&broker).await {
        Ok(()) => {}
        Err(BrokerError::Failed(_)) => seen.failed_later += 1,
        Err(error) => panic!("the broker has ended without a failure: {error}"),
    }
    match broker.close().await {
        Ok(()) | Err(BrokerError::Failed(_)) => {}
        Err(error) => panic!("the broker has ended without a failure: {error}"),
    }
}

/// Leases and looks at some; whatever is handed out is right.
async fn serve(broker: &EmbeddedBroker) -> Result<(), BrokerError> {
    let mut given = std::collections::HashSet::new();
    for _ in 0..2 {
        for leased in broker.lease(take(25, Duration::ZERO)).await? {
            let n = numbers(std::slice::from_ref(&leased))[0];
            assert_eq!(leased.payload, payload(n), "job {n}");
            assert!(n > 50, "job {n} was sent before");
            assert!(given.insert(n), "job {n} was handed out twice");
        }
    }
    for view in broker.jobs(JobFilter::default(), 1_000, 20).await? {
        let n = view.id.0.as_u128();
        if let Some((_, shown)) = broker.job(id(n)).await? {
            assert_eq!(shown, payload(n), "job {n}");
        }
    }
    broker.enqueue(vec![job(JOBS + 1, "new")]).await?;
    broker.stats().await.map(|_| ())
}
