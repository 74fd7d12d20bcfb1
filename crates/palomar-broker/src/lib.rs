//! Durable job queues with leases, fencing tokens, fair turns and exact rate limits.
mod broker;
mod machine;
mod types;

pub use broker::{Broker, BrokerError};
pub use machine::MachineConfig;
pub use types::*;
