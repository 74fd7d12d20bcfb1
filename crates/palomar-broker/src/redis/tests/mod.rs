//! Tests of the Redis broker against real servers: the contract, refusals, what breaks and comes back.

mod breaks;
mod cluster;
mod conformance;
mod flow;
mod info;
mod left;
mod refusals;
mod sentinel;
#[allow(dead_code, reason = "it is shared, and each binary takes of it what it needs")]
mod server;
#[allow(dead_code, reason = "it is shared, and each binary takes of it what it needs")]
mod servers;
mod spool;
mod tls;

use std::time::Duration;

use super::{Confirm, RedisConfig};
use server::Server;

/// How long a test waits for what must come: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{what}: no answer"))
}

impl Server {
    /// A broker's configuration, with keys and a process number of its own.
    fn config(&self, name: &str, process: u64) -> RedisConfig {
        RedisConfig {
            prefix: name.into(),
            confirm: Confirm::Written,
            ..RedisConfig::new(self.url(), process << 8)
        }
    }
}
