//! Durable job queues with leases, fencing tokens, fair turns and exact rate limits.
mod broker;
pub mod conformance;
mod embedded;
mod machine;
mod types;
pub mod worker;

pub use broker::{Broker, BrokerError};
pub use embedded::{COMMIT_BUCKETS_MICROS, EmbeddedBroker, EmbeddedConfig, Flush, Opened, StoreError, StoreMeters};
pub use machine::MachineConfig;
pub use types::*;
