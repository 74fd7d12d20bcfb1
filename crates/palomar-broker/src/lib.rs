//! Durable job queues with leases, fencing tokens, fair turns and exact rate limits.
//!
//! A [`Broker`] keeps queues of jobs. A job is accepted once it is on disk; a worker leases it, marks durably that an
//! attempt *starts*, acts on the outside, and settles what became of it together with its events, in one step. What
//! was started and not settled when a process died is *uncertain*: it is never tried again on that ground alone.
//!
//! ```
//! use std::sync::Arc;
//! use palomar_broker::worker::{Handled, Worker, WorkerConfig};
//! use palomar_broker::{Broker, EmbeddedBroker, EmbeddedConfig, LeasedJob, NewJob, Outcome, QueueName};
//! use palomar_model::{IdGenerator, ManualClock, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let now = Timestamp::from_seconds(1_767_225_600);
//! let clock = Arc::new(ManualClock::at(now));
//! let broker = Arc::new(EmbeddedBroker::open(EmbeddedConfig::in_dir(dir.path()), clock)?);
//!
//! let job = NewJob::new(IdGenerator::new(1).message_id(now), QueueName::new("mail", "welcome")?, "hola");
//! broker.enqueue(vec![job]).await?; // it is on disk now
//!
//! let worker = Worker::spawn(broker.clone(), WorkerConfig::new("mail", 8), |job: LeasedJob| async move {
//!     assert_eq!(job.payload, "hola");
//!     Handled::new(Outcome::Done)
//! });
//! while broker.stats().await?.queues[0].finished[palomar_broker::JobState::Done as usize] == 0 {
//!     tokio::task::yield_now().await;
//! }
//! worker.stop(std::time::Duration::from_secs(5)).await;
//! broker.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`Broker`] | the contract: a few operations, each on a batch |
//! | [`EmbeddedBroker`] | the broker of one process: a state machine in memory, its changes in SQLite, one flush a batch |
//! | [`RedisBroker`] | the same inside Redis, shared by any number of processes |
//! | [`Spooled`] | a broker that stands before it, and takes jobs in on this node's disk while Redis can't be reached |
//! | [`worker`] | the runtime that leases, handles, renews and settles |
//! | [`conformance`] | what the contract means, in tests that every broker passes |

mod broker;
pub mod conformance;
mod embedded;
mod machine;
mod redis;
mod spool;
mod types;
pub mod worker;

pub use broker::{Broker, BrokerError};
pub use embedded::{
    COMMIT_BUCKETS_MICROS, CheckReport, EmbeddedBroker, EmbeddedConfig, Flush, Opened, QueueCheck,
    StoreError, StoreInfo, StoreMeters, check, store_info,
};
pub use machine::{Forecast, MachineConfig};
pub use redis::{Confirm, PartitionInfo, RedisBroker, RedisConfig, RedisInfo, RedisServers, redis_info};
pub use spool::{Refused, SpoolConfig, SpoolError, SpoolMeters, Spooled};
pub use types::*;
