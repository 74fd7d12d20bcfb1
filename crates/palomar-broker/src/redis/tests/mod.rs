//! Tests of the Redis broker against real servers: the contract, refusals, what breaks and comes back.

mod breaks;
mod cluster;
mod conformance;
mod flow;
mod refusals;
mod sentinel;
mod server;
mod tls;

use std::time::Duration;

use server::Server;

/// How long a test waits for what must come: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{what}: no answer"))
}
