//! Durable job queues with leases, fencing tokens, fair turns and exact rate limits.
mod broker;
pub mod conformance;
mod embedded;
mod machine;
mod types;
pub mod worker;

pub use broker::{Broker, BrokerError};
pub use embedded::{
    COMMIT_BUCKETS_MICROS, CheckReport, EmbeddedBroker, EmbeddedConfig, Flush, Opened, QueueCheck,
    StoreError, StoreInfo, StoreMeters, check, store_info,
};
pub use machine::MachineConfig;
pub use types::*;
