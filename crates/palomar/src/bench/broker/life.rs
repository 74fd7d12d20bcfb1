//! A job's life: adding, draining, both at once; and what priorities, retries and limits cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_broker::{
    Broker, Control, LeaseRequest, LeasedJob, Limits, NewJob, Outcome, QueueName, Settle, Signal, Window,
};
use serde_json::json;

use super::stage::{
    Bench, Counter, PAYLOAD_MEMORY, Seen, add_jobs, fill, four_priorities, queue, stop, wide_open, worker,
};
use super::store::{Engine, Store};
use crate::bench::measure::{Measurement, percentiles, print};

/// How often this disk can flush an append of 4 KiB: what one caller alone can reach at most.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn fdatasync(bench: &Bench) -> anyhow::Result<()> {
    use std::io::Write;
    let Engine::Embedded { dir, .. } = &bench.engine else { return Ok(()) };
    let path = dir.join("fdatasync");
    let mut file = std::fs::File::create(&path)?;
    let block = [7_u8; 4096];
    let measurement = Measurement::begin();
    let begun = Instant::now();
    let mut laps = Vec::new();
    while begun.elapsed() < Duration::from_secs(2) {
        let lap = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        laps.push(lap.elapsed());
    }
    let more = percentiles(&mut laps);
    measurement.end("this disk", "fdatasync_append_4k", laps.len(), more);
    std::fs::remove_file(path)?;
    Ok(())
}

/// One caller.
pub(super) async fn add_alone(bench: &Bench) -> anyhow::Result<()> {
    add(bench, 1, bench.options.n / 4).await
}

/// Callers who share flushes.
pub(super) async fn add_together(bench: &Bench) -> anyhow::Result<()> {
    add(bench, 50, bench.options.n).await?;
    add(bench, 64, bench.options.n).await
}

async fn add(bench: &Bench, width: usize, n: usize) -> anyhow::Result<()> {
    let store = bench.open(PAYLOAD_MEMORY).await?;
    let measurement = bench.begin().await?;
    add_jobs(&*store.broker, width, n, |i| bench.job(&queue("wa"), i)).await?;
    bench.end(measurement, &format!("add_one_by_one_c{width}"), n, json!({})).await?;
    store.remove().await
}

/// One caller who adds many a call.
pub(super) async fn bulk(bench: &Bench) -> anyhow::Result<()> {
    let store = bench.open(PAYLOAD_MEMORY).await?;
    let measurement = bench.begin().await?;
    fill(bench, &*store.broker, bench.options.n, |_, _| {}).await?;
    bench.end(measurement, "add_bulk_500", bench.options.n, json!({})).await?;
    store.remove().await
}

/// A worker of 50 places takes what waits; callers take it in batches.
pub(super) async fn drain(bench: &Bench) -> anyhow::Result<()> {
    drained(bench, "drain_c50", |_, _| {}, |_| Outcome::Done).await?;
    drained_in_batches(bench).await
}

/// The same with four priorities.
pub(super) async fn priority(bench: &Bench) -> anyhow::Result<()> {
    drained(bench, "drain_c50_priority4", four_priorities, |_| Outcome::Done).await
}

/// The same with a tenth of the jobs failing once.
pub(super) async fn retry(bench: &Bench) -> anyhow::Result<()> {
    let clock = Arc::clone(&bench.clock);
    let fails = |job: &LeasedJob| job.lease.id.0.as_u128().is_multiple_of(10) && job.tries == 1;
    let outcome = move |job: &LeasedJob| {
        if fails(job) { Outcome::Retry { at: clock.now(), counts: true } } else { Outcome::Done }
    };
    drained(bench, "drain_c50_retry10pct", |_, _| {}, outcome).await
}

/// From the start of the worker until all settles are durable.
async fn drained(
    bench: &Bench,
    what: &str,
    change: impl Fn(&mut NewJob, usize),
    outcome: impl Fn(&LeasedJob) -> Outcome + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let store = bench.open(PAYLOAD_MEMORY).await?;
    wide_open(&*store.broker, &queue("wa"), 50).await?;
    fill(bench, &*store.broker, bench.options.n, change).await?;
    let counter = Counter::new(bench.options.n);
    let measurement = bench.begin().await?;
    let worker = worker(&store.broker, 50, &counter, outcome);
    counter.all().await;
    stop(worker).await;
    bench.end(measurement, what, bench.options.n, json!({})).await?;
    store.remove().await
}

/// The way in which the peers drain a table of SQL: each of 8 callers takes 50 and settles them, until none is left.
async fn drained_in_batches(bench: &Bench) -> anyhow::Result<()> {
    const CALLERS: usize = 8;
    const BATCH: usize = 50;
    let n = bench.options.n;
    let store = bench.open(PAYLOAD_MEMORY).await?;
    wide_open(&*store.broker, &queue("wa"), (CALLERS * BATCH) as u32).await?;
    fill(bench, &*store.broker, n, |_, _| {}).await?;
    let measurement = bench.begin().await?;
    let callers = (0..CALLERS).map(|_| take_and_settle(&*store.broker, BATCH));
    let settled: usize = futures_util::future::try_join_all(callers).await?.into_iter().sum();
    bench.end(measurement, &format!("drain_c{CALLERS}_batch{BATCH}"), n, json!({})).await?;
    anyhow::ensure!(settled == n, "{settled} of {n} jobs were settled");
    store.remove().await
}

/// Takes and settles jobs until none is left; answers how many it settled.
async fn take_and_settle(broker: &dyn Broker, batch: usize) -> anyhow::Result<usize> {
    let mut settled = 0;
    loop {
        let request = LeaseRequest {
            pool: "bench".into(),
            max: batch,
            lease: Duration::from_secs(60),
            start: true,
            wait: Duration::ZERO,
        };
        let jobs = broker.lease(request).await?;
        if jobs.is_empty() {
            return Ok(settled);
        }
        let settles = jobs.into_iter().map(|job| Settle {
            lease: job.lease,
            outcome: Outcome::Done,
            signal: Signal::None,
            events: Vec::new(),
        });
        for answer in broker.settle(settles.collect()).await? {
            answer?;
            settled += 1;
        }
    }
}

/// Callers and worker at the same time: the whole life of each job.
pub(super) async fn flow(bench: &Bench) -> anyhow::Result<()> {
    flow_over(bench, "flow_add_c50_work_c50", 1).await
}

/// The same over many queues, with what it costs to have them.
pub(super) async fn flow_over(bench: &Bench, what: &str, queues: usize) -> anyhow::Result<()> {
    let alone = bench.figures().await?;
    let store = bench.open(PAYLOAD_MEMORY).await?;
    let names: Vec<QueueName> = (0..queues).map(|i| queue(&format!("wa-{i}"))).collect();
    let before = bench.memory().await?;
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let begun = Instant::now();
    let opening: Vec<_> = names.iter().map(|name| wide_open(&*store.broker, name, 50)).collect();
    futures_util::future::try_join_all(opening).await?;
    let opened = begun.elapsed();
    let idle = bench.memory().await?.saturating_sub(before);
    let connected = bench.figures().await?;
    let n = bench.options.n;
    let counter = Counter::new(n);
    let worker = worker(&store.broker, 50, &counter, |_| Outcome::Done);
    let commits = commits(&store);
    let measurement = bench.begin().await?;
    add_jobs(&*store.broker, 50, n, |i| bench.job(&names[i % queues], i)).await?;
    counter.all().await;
    stop(worker).await;
    let mut more =
        json!({ "open_ms": opened.as_millis() as u64, "idle_bytes_per_channel": idle / queues as u64 });
    if let Some((alone, connected)) = alone.zip(connected) {
        more["redis_connections"] = json!(connected.clients.saturating_sub(alone.clients));
    }
    if let Some(commits) = self::commits(&store).zip(commits).map(|(after, before)| after - before) {
        more["commits_per_op"] = json!((commits as f64 / n as f64 * 1e4).round() / 1e4);
    }
    bench.end(measurement, what, n, more).await?;
    store.remove().await
}

/// Commits so far, where there are commits.
fn commits(store: &Store) -> Option<u64> {
    store.embedded().map(|(broker, _)| broker.meters().commits)
}

/// 5,000 jobs under a limit of 1,000 a second: the most starts in any sliding second, and the rate that is reached
/// once the first thousand has gone.
pub(super) async fn limiter(bench: &Bench) -> anyhow::Result<()> {
    const N: usize = 5_000;
    const LIMIT: u32 = 1_000;
    const SECOND: Duration = Duration::from_secs(1);
    let store = bench.open(PAYLOAD_MEMORY).await?;
    let limits = Limits { windows: vec![Window { max: LIMIT, window: SECOND }], ..Limits::default() };
    store.broker.control(Control::Configure { queue: queue("wa"), limits }).await??;
    fill(bench, &*store.broker, N, |_, _| {}).await?;
    let starts = Seen::new();
    let counter = Counter::new(N);
    let (seen, clock) = (starts.clone(), Arc::clone(&bench.clock));
    let worker = worker(&store.broker, 50, &counter, move |_| {
        seen.push(clock.now());
        Outcome::Done
    });
    counter.all().await;
    stop(worker).await;
    let starts = starts.take();
    let mut from = 0;
    let mut most = 0;
    for (to, at) in starts.iter().enumerate() {
        while at.since(starts[from]) >= SECOND {
            from += 1;
        }
        most = most.max(to - from + 1);
    }
    // The first thousand goes faster than the rate: nothing went before it.
    let from = starts.get(LIMIT as usize - 1);
    let took = starts.last().zip(from).map_or(0.0, |(last, from)| last.since(*from).as_secs_f64());
    let per_s = (f64::from(N as u32 - LIMIT) / took).round();
    let fields = json!({ "count": most, "n": N, "per_s": per_s });
    print(bench.name(), "limiter_1000_per_s_most_in_any_second", fields);
    store.remove().await
}
