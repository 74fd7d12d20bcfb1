//! What it costs to hold many: memory, adding and draining behind a backlog, a start with one, channels.

use std::time::Duration;

use palomar_broker::{Broker, LeaseRequest, NewJob, Outcome};
use serde_json::json;

use super::life;
use super::stage::{
    Bench, Counter, PAYLOAD_MEMORY, Store, add_jobs, fill, four_priorities, queue, stop, wide_open, worker,
};
use crate::bench::measure::{Measurement, Usage, print};

/// Resident memory per job that waits, in each way in which one can, beside its payload: payloads stay on disk here.
pub(super) async fn memory(bench: &Bench) -> anyhow::Result<()> {
    let due = bench.clock.now().after(Duration::from_secs(3600));
    let delay = |job: &mut NewJob, i: usize| job.run_at = Some(due.after(Duration::from_millis(i as u64)));
    // What a store gives back would be there for the next one for nothing: all of them stay until the last is measured.
    let stores = [
        memory_per_job(bench, "waiting", |_, _| {}).await?,
        memory_per_job(bench, "waiting_priority4", four_priorities).await?,
        memory_per_job(bench, "delayed", delay).await?,
    ];
    for store in stores {
        store.remove().await?;
    }
    Ok(())
}

async fn memory_per_job(
    bench: &Bench,
    what: &str,
    change: impl Fn(&mut NewJob, usize),
) -> anyhow::Result<Store> {
    let store = bench.open(0)?;
    // The page cache and the buffers of the store are not per job: fill them first.
    fill(bench, &store.broker, 400_000, |_, _| {}).await?;
    let before = Usage::now().resident;
    let n = bench.options.n.max(1_000_000);
    fill(bench, &store.broker, n, change).await?;
    let bytes = Usage::now().resident.saturating_sub(before) / n as u64;
    print(bench.engine(), &format!("memory_per_{what}_job"), json!({ "n": n, "bytes": bytes }));
    Ok(store)
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
    let store = bench.open(PAYLOAD_MEMORY)?;
    wide_open(&*store.broker, &queue("wa"), 50).await?;
    let before = Usage::now().resident;
    let measurement = Measurement::begin();
    fill(bench, &store.broker, size, &change).await?;
    let resident = Usage::now().resident.saturating_sub(before) / size.max(1) as u64;
    let name = |step: &str| format!("backlog_{kind}_{size}_{step}");
    measurement.end(bench.engine(), &name("fill"), size, json!({ "rss_per_job": resident }));
    let n = bench.options.n;
    let measurement = Measurement::begin();
    let job = |i: usize| {
        let mut job = bench.job(&queue("wa"), size + i);
        change(&mut job, i);
        job
    };
    add_jobs(&store.broker, 50, n, job).await?;
    measurement.end(bench.engine(), &name("add_c50"), n, json!({}));
    let counter = Counter::new(n);
    let measurement = Measurement::begin();
    let worker = worker(&store.broker, 50, &counter, |_| Outcome::Done);
    counter.all().await;
    measurement.end(bench.engine(), &name("drain_c50"), n, json!({}));
    stop(worker).await;
    Ok(store)
}

/// Starting on what a killed process left: a copy of its files, until the first job is handed out.
async fn restart(bench: &Bench, store: Store, size: usize) -> anyhow::Result<()> {
    let copy = store.dir.with_extension("copy");
    std::fs::create_dir_all(&copy)?;
    for name in ["queue.db", "queue.db-wal"] {
        std::fs::copy(store.dir.join(name), copy.join(name))?;
    }
    store.remove().await?;
    let measurement = Measurement::begin();
    let broker = bench.open_at(&copy, PAYLOAD_MEMORY)?;
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
    measurement.end(bench.engine(), &format!("restart_{size}_to_first_job"), size, more);
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
