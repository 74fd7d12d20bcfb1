//! Tests of the embedded broker: the contract, restarts, the event log, memory, what goes wrong.

mod conformance;
mod directory;
mod log;
mod payloads;
mod restart;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::{ManualClock, MessageId, Timestamp};
use tempfile::TempDir;

use super::{EmbeddedBroker, EmbeddedConfig};
use crate::broker::Broker;
use crate::types::{LeaseRequest, LeasedJob, NewJob, Outcome, QueueName, Settle, Signal};

/// A broker in a directory of its own, with a clock that is moved by hand.
struct Fixture {
    dir: TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            dir: tempfile::tempdir().expect("a temporary directory"),
            clock: Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000))),
        }
    }

    fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig::in_dir(self.dir.path())
    }

    fn open(&self) -> Arc<EmbeddedBroker> {
        self.open_with(self.config())
    }

    fn open_with(&self, config: EmbeddedConfig) -> Arc<EmbeddedBroker> {
        Arc::new(EmbeddedBroker::open(config, self.clock.clone()).expect("opens"))
    }

    /// The directory as a kill would leave it now: its files are copied while the broker runs.
    fn killed(&self) -> Fixture {
        let copy = Fixture {
            dir: tempfile::tempdir().expect("a temporary directory"),
            clock: Arc::clone(&self.clock),
        };
        copy_store(self.dir.path(), copy.dir.path());
        copy
    }
}

/// Copies database and write-ahead log. Between two commits nothing changes in them.
fn copy_store(from: &Path, to: &Path) {
    for name in ["queue.db", "queue.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("copies");
        }
    }
}

fn line() -> QueueName {
    QueueName::new("outbound", "line").expect("a queue's name")
}

fn job(n: u128) -> NewJob {
    NewJob::new(MessageId(uuid::Uuid::from_u128(n)), line(), format!("payload {n}"))
}

fn number(job: &LeasedJob) -> u128 {
    job.lease.id.0.as_u128()
}

async fn accept(broker: &EmbeddedBroker, jobs: impl IntoIterator<Item = NewJob>) {
    let answers = broker.enqueue(jobs.into_iter().collect()).await.expect("enqueue");
    assert!(answers.iter().all(|answer| *answer == crate::Enqueued::Accepted), "{answers:?}");
}

async fn lease(broker: &EmbeddedBroker, max: usize, start: bool) -> Vec<LeasedJob> {
    let request = LeaseRequest {
        pool: "outbound".into(),
        max,
        lease: Duration::from_secs(60),
        start,
        wait: Duration::ZERO,
    };
    broker.lease(request).await.expect("lease")
}

async fn settle(broker: &EmbeddedBroker, jobs: &[LeasedJob], outcome: Outcome) {
    let settles = jobs
        .iter()
        .map(|job| Settle {
            lease: job.lease,
            outcome: outcome.clone(),
            signal: Signal::None,
            events: Vec::new(),
        })
        .collect();
    let answers = broker.settle(settles).await.expect("settle");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// The seed of a random test: `SEED` where it is set. It is printed, for the test to be run again with it.
#[expect(clippy::print_stdout, reason = "the runner shows it where the test fails")]
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    println!("SEED={seed}");
    seed
}
