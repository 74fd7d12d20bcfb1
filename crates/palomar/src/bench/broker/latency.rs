//! How soon a job starts after it was added.

use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_broker::Outcome;
use serde_json::json;

use super::stage::{Bench, Counter, PAYLOAD_MEMORY, Seen, queue, stamp, stamped, stop, worker};
use crate::bench::measure::{percentiles, print};

/// From the call of `enqueue` to the start of the handler, 200 messages a second.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) async fn add_to_start(bench: &Bench) -> anyhow::Result<()> {
    const N: usize = 1_000;
    /// The first few find cold caches, here as with the peers.
    const COLD: usize = 20;
    let store = bench.open(PAYLOAD_MEMORY).await?;
    let begun = Instant::now();
    let laps = Seen::new();
    let counter = Counter::new(N);
    let seen = laps.clone();
    let worker = worker(&store.broker, 5, &counter, move |job| {
        seen.push(begun.elapsed() - Duration::from_micros(stamped(job)));
        Outcome::Done
    });
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for i in 0..N {
        tick.tick().await;
        let mut job = bench.job(&queue("wa"), i);
        stamp(&mut job, begun.elapsed().as_micros() as u64);
        let broker = Arc::clone(&store.broker);
        tokio::spawn(async move { broker.enqueue(vec![job]).await });
    }
    counter.all().await;
    stop(worker).await;
    let mut fields = percentiles(&mut laps.take()[COLD..]);
    fields["n"] = json!(N - COLD);
    print(bench.name(), "latency_add_to_start_200_per_s", fields);
    store.remove().await
}
