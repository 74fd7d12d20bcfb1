//! Tests of the spool against a broker that loses calls, does them late, and forgets nothing. Those against a real Redis
//! are in `crate::redis::tests`.

mod disk;
mod fickle;
mod routing;
mod walk;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{ManualClock, Timestamp};

use super::envelope::id_of;
use super::lane::Pace;
use super::{Remote, SpoolConfig, SpoolError, Spooled};
use crate::broker::{Broker, BrokerError};
use crate::embedded::StoreError;
use crate::types::{Dedupe, Enqueued, NewJob, QueueName};
use fickle::{Node, Sea};

fn queue(n: u64) -> QueueName {
    QueueName::new("outbound", &format!("line-{n}")).expect("a queue's name")
}

fn job(n: u128, of: u64) -> NewJob {
    NewJob::new(id_of(n), queue(of), format!("payload {n}"))
}

/// A job that a request brings.
fn asked_for(job: NewJob, request: u128, fingerprint: u64) -> NewJob {
    let ttl = Duration::from_secs(48 * 3600);
    NewJob { dedupe: vec![Dedupe { id: request, fingerprint, ttl }], ..job }
}

/// What was refused when it was handed over.
type Told = Arc<Mutex<Vec<(u128, Enqueued)>>>;

/// What stands for job `n` has the number `n` with this bit.
const INSTEAD: u128 = 1 << 100;

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing is waited for that the fickle broker decides at once.
const PACE: Pace = Pace {
    not_answered: Duration::from_secs(60),
    tried_for: Duration::from_secs(60),
    pauses: [Duration::from_micros(100), Duration::from_millis(2)],
    slow: Duration::from_millis(5),
};

struct House {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    sea: Arc<Sea>,
    told: Told,
    limit: u64,
    pace: Pace,
    /// What stands for the next job that is refused fits nowhere.
    stumbles: Arc<AtomicBool>,
}

impl House {
    fn new(sea: Sea) -> House {
        House {
            dir: tempfile::tempdir().expect("a directory"),
            clock: Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000))),
            sea: Arc::new(sea),
            told: Told::default(),
            limit: 1 << 20,
            pace: PACE,
            stumbles: Arc::default(),
        }
    }

    fn config(&self, dir: &Path) -> SpoolConfig {
        let (told, stumbles) = (Arc::clone(&self.told), Arc::clone(&self.stumbles));
        let refused = move |job: &NewJob, answer| {
            let mut told = told.lock().expect("no panic");
            told.push((job.id.0.as_u128(), answer));
            let id = id_of(job.id.0.as_u128() | INSTEAD);
            let payload =
                if stumbles.swap(false, Relaxed) { vec![7; 5 << 20].into() } else { job.payload.clone() };
            Some(NewJob { id, payload, ..job.clone() })
        };
        SpoolConfig { dir: dir.to_owned(), limit: self.limit, refused: Arc::new(refused) }
    }

    /// Starts a process; one before it must have let go of the directory.
    async fn start(&self) -> (Arc<Node>, Spooled) {
        let node = Arc::new(Node::new(Arc::clone(&self.sea)));
        loop {
            let remote = Arc::clone(&node) as Arc<dyn Remote>;
            match Spooled::before(remote, self.config(self.dir.path()), self.clock.clone(), self.pace).await {
                Ok(spooled) => return (node, spooled),
                Err(SpoolError::Store(StoreError::Locked(_))) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn put(spooled: &Spooled, job: NewJob) -> Result<Enqueued, BrokerError> {
    let answers = spooled.enqueue(vec![job]).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers[0])
}

/// Waits until nothing is left in the spool.
async fn handed_over(spooled: &Spooled) {
    while spooled.meters().items > 0 || spooled.meters().away.is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
