//! What it costs to hold many: memory, adding and draining behind a backlog, a start with one, channels.

use std::time::Duration;

use palomar_broker::{Broker, LeaseRequest, NewJob, Outcome};
use serde_json::json;

use super::life;
use super::stage::{
    Bench, Counter, PAYLOAD_MEMORY, add_jobs, fill, four_priorities, queue, stop, wide_open, worker,
};
use super::store::{Store, open_at};
use crate::bench::measure::print;

/// Memory per job that waits, in each way in which one can: resident, beside its payload, which stays on disk; in Redis,
/// with its payload.
pub(super) async fn memory(bench: &Bench) -> anyhow::Result<()> {
    let due = bench.clock.now().after(Duration::from_secs(3600));
    let delay = |job: &mut NewJob, i: usize| job.run_at = Some(due.after(Duration::from_millis(i as u64)));
    // What a store gives back to the process would be there for the next one for nothing: all of them stay until the last
    // is measured. Redis tells what it has allocated, and is emptied each time.
    let stores = [
        memory_per_job(bench, "waiting", |_, _| {}).await?,
        memory_per_job(bench, "waiting_priority4", four_priorities).await?,
        memory_per_job(bench, "delayed", delay).await?,
    ];
    for store in stores.into_iter().flatten() {
        store.remove().await?;
    }
    Ok(())
}

/// Measures, and gives back the store where it has to stay.
async fn memory_per_job(
    bench: &Bench,
    what: &str,
    change: impl Fn(&mut NewJob, usize),
) -> anyhow::Result<Option<Store>> {
    let store = bench.open(0).await?;
    let stays = store.embedded().is_some();
    let mut n = bench.options.n;
    if stays {
        // The page cache and the buffers of the store are not per job: fill them first.
        fill(bench, &*store.broker, 400_000, |_, _| {}).await?;
        n = n.max(1_000_000);
    }
    let before = bench.memory().await?;
    fill(bench, &*store.broker, n, change).await?;
    let bytes = bench.memory().await?.saturating_sub(before) / n as u64;
    print(bench.name(), &format!("memory_per_{what}_job"), json!({ "n": n, "bytes": bytes }));
    if stays {
        return Ok(Some(store));
    }
    store.remove().await?;
    Ok(None)
}

/// Adding to and draining from a queue that holds many jobs already, and starting again with them.
pub(super) async fn backlog(bench: &Bench) -> anyhow::Result<()> {
    for &size in &bench.options.backlog {
        let store = behind(bench, "fifo", size, |_, _| {}).await?;
        restart(bench, store, size).await?;
        behind(bench, "priority4", size, four_priorities).await?.remove().await?;
    }
    Ok(())
}

async fn behind(
    bench: &Bench,
    kind: &str,
    size: usize,
    change: impl Fn(&mut NewJob, usize),
) -> anyhow::Result<Store> {
    let store = bench.open(PAYLOAD_MEMORY).await?;
    wide_open(&*store.broker, &queue("wa"), 50).await?;
    let before = bench.memory().await?;
    let measurement = bench.begin().await?;
    fill(bench, &*store.broker, size, &change).await?;
    let held = bench.memory().await?.saturating_sub(before) / size.max(1) as u64;
    let name = |step: &str| format!("backlog_{kind}_{size}_{step}");
    let more = if store.embedded().is_some() {
        json!({ "rss_per_job": held })
    } else {
        json!({ "redis_bytes_per_job": held })
    };
    bench.end(measurement, &name("fill"), size, more).await?;
    let n = bench.options.n;
    let measurement = bench.begin().await?;
    let job = |i: usize| {
        let mut job = bench.job(&queue("wa"), size + i);
        change(&mut job, i);
        job
    };
    add_jobs(&*store.broker, 50, n, job).await?;
    bench.end(measurement, &name("add_c50"), n, json!({})).await?;
    let counter = Counter::new(n);
    let measurement = bench.begin().await?;
    let worker = worker(&store.broker, 50, &counter, |_| Outcome::Done);
    counter.all().await;
    bench.end(measurement, &name("drain_c50"), n, json!({})).await?;
    stop(worker).await;
    Ok(store)
}

/// Starting on what a killed process left: a copy of its files, until the first job is handed out.
async fn restart(bench: &Bench, store: Store, size: usize) -> anyhow::Result<()> {
    let Some((_, dir)) = store.embedded() else {
        // Redis starts by itself: this is of its file, not of the broker.
        return store.remove().await;
    };
    let copy = dir.with_extension("copy");
    std::fs::create_dir_all(&copy)?;
    for name in ["queue.db", "queue.db-wal"] {
        std::fs::copy(dir.join(name), copy.join(name))?;
    }
    store.remove().await?;
    let measurement = bench.begin().await?;
    let broker = open_at(bench, &copy, PAYLOAD_MEMORY)?;
    let request = LeaseRequest {
        pool: "bench".into(),
        max: 1,
        lease: Duration::from_secs(60),
        start: true,
        wait: Duration::from_secs(60),
    };
    let first = broker.lease(request).await?;
    anyhow::ensure!(!first.is_empty(), "no job was handed out after the restart");
    let more = json!({ "jobs": broker.opened().jobs });
    bench.end(measurement, &format!("restart_{size}_to_first_job"), size, more).await?;
    broker.close().await?;
    std::fs::remove_dir_all(&copy)?;
    Ok(())
}

/// The whole life of jobs that are spread over many channels.
pub(super) async fn channels(bench: &Bench) -> anyhow::Result<()> {
    for &count in &bench.options.channels {
        life::flow_over(bench, &format!("channels_{count}_flow"), count).await?;
    }
    Ok(())
}
