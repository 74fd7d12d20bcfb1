//! `palomar bench broker`: the embedded broker, durable, by the names and with the message of the peers' scripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use palomar_broker::worker::{Handled, Worker, WorkerConfig};
use palomar_broker::{
    Broker, Control, EmbeddedBroker, EmbeddedConfig, Flush, Key, LeaseRequest, LeasedJob, Limits, NewJob,
    Outcome, QueueName, Window,
};
use palomar_model::{Clock, IdGenerator, Priority, Timestamp};
use serde_json::json;
use tokio::sync::Notify;

use super::measure::{Measurement, Usage, percentiles, print};

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Operations in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<String>,
    /// Where the stores are made (each in a folder of its own, removed afterwards).
    pub(super) dir: PathBuf,
    /// Flush at each commit, or once a second.
    pub(super) flush: Flush,
    /// Waiting jobs in the parts `backlog` and `restart`.
    pub(super) backlog: Vec<usize>,
    /// Channels in the part `channels`.
    pub(super) channels: Vec<usize>,
}

const PARTS: [&str; 13] = [
    "fdatasync",
    "add1",
    "add50",
    "bulk",
    "drain",
    "flow",
    "priority",
    "retry",
    "limiter",
    "latency",
    "memory",
    "backlog",
    "channels",
];

struct Bench {
    options: Options,
    clock: Arc<dyn Clock>,
    ids: IdGenerator,
    made: AtomicUsize,
}

struct Store {
    broker: Arc<EmbeddedBroker>,
    dir: PathBuf,
}

impl Store {
    async fn remove(self) -> anyhow::Result<()> {
        self.broker.close().await?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options, clock: Arc<dyn Clock>, seed: u64) -> anyhow::Result<()> {
    if let Some(unknown) = options.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        anyhow::bail!("there is no part {unknown}; the parts are {}", PARTS.join(", "));
    }
    std::fs::create_dir_all(&options.dir)?;
    let bench = Arc::new(Bench { options, clock, ids: IdGenerator::new(seed), made: AtomicUsize::new(0) });
    for part in PARTS {
        if !bench.options.only.is_empty() && !bench.options.only.iter().any(|only| only == part) {
            continue;
        }
        match part {
            "fdatasync" => fdatasync(&bench)?,
            "add1" => add(&bench, "add_one_by_one_c1", 1, bench.options.n / 4).await?,
            "add50" => {
                add(&bench, "add_one_by_one_c50", 50, bench.options.n).await?;
                add(&bench, "add_one_by_one_c64", 64, bench.options.n).await?;
            }
            "bulk" => bulk(&bench).await?,
            "drain" => drain(&bench, "drain_c50", |_, _| {}, |_| Outcome::Done).await?,
            "flow" => flow(&bench, "flow_add_c50_work_c50", 1).await?,
            "priority" => {
                drain(
                    &bench,
                    "drain_c50_priority4",
                    |job, i| job.priority = Priority::ALL[i % 4],
                    |_| Outcome::Done,
                )
                .await?;
            }
            "retry" => retry(&bench).await?,
            "limiter" => limiter(&bench).await?,
            "latency" => latency(&bench).await?,
            "memory" => memory(&bench).await?,
            "backlog" => backlog(&bench).await?,
            _ => channels(&bench).await?,
        }
    }
    Ok(())
}

impl Bench {
    fn engine(&self) -> &'static str {
        match self.options.flush {
            Flush::EachCommit => "palomar embedded",
            Flush::EachSecond => "palomar embedded, flushed each second",
        }
    }

    fn open(&self, payload_memory: usize) -> anyhow::Result<Store> {
        let dir = self.options.dir.join(format!("store-{}", self.made.fetch_add(1, Ordering::Relaxed)));
        let _ = std::fs::remove_dir_all(&dir);
        Ok(Store { broker: Arc::new(self.open_at(&dir, payload_memory)?), dir })
    }

    fn open_at(&self, dir: &Path, payload_memory: usize) -> anyhow::Result<EmbeddedBroker> {
        let config = EmbeddedConfig {
            payload_memory,
            flush: self.options.flush,
            log_room: crate::serve::LOG_ROOM,
            ..EmbeddedConfig::in_dir(dir)
        };
        Ok(EmbeddedBroker::open(config, Arc::clone(&self.clock))?)
    }

    /// The peers' message: 256 bytes of JSON.
    fn job(&self, queue: &QueueName, i: usize) -> NewJob {
        let phone = 34_600_000_000_u64 + (i % 1_000_000) as u64;
        let priority = ["critical", "high", "normal", "low"][i % 4];
        let payload = format!(
            "{{\"instanceName\":\"main-line\",\"recipientPhone\":\"{phone}\",\"messageType\":\"text\",\"content\":{{\"text\":\
             \"Hola! Gracias por contactar con Example. Tu cita es el lunes a las 10:30.\"}},\"metadata\":{{\"priority\":\
             \"{priority}\",\"campaignId\":\"campaign_123\",\"userId\":\"user_42\"}}}}"
        );
        let mut job = NewJob::new(self.ids.message_id(self.clock.now()), queue.clone(), Bytes::from(payload));
        job.key = Some(Key::of(&phone.to_string()));
        job
    }
}

fn queue(name: &str) -> QueueName {
    // The names are our own, and fit.
    QueueName::new("bench", name).unwrap_or_else(|_| unreachable!("{name} names a queue"))
}

async fn wide_open(broker: &dyn Broker, queue: &QueueName, concurrency: u32) -> anyhow::Result<()> {
    let limits = Limits { concurrency, ..Limits::default() };
    broker.control(Control::Configure { queue: queue.clone(), limits }).await??;
    Ok(())
}

/// How often this disk can flush an append of 4 KiB: what one caller alone can reach at most.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn fdatasync(bench: &Bench) -> anyhow::Result<()> {
    use std::io::Write;
    let path = bench.options.dir.join("fdatasync");
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

/// `width` callers add `n` jobs, one a call.
async fn add(bench: &Arc<Bench>, what: &str, width: usize, n: usize) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    let measurement = Measurement::begin();
    add_jobs(bench, &store.broker, width, n, |i| bench.job(&queue("wa"), i)).await?;
    measurement.end(bench.engine(), what, n, json!({}));
    store.remove().await
}

async fn add_jobs(
    bench: &Arc<Bench>,
    broker: &Arc<EmbeddedBroker>,
    width: usize,
    n: usize,
    job: impl Fn(usize) -> NewJob,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let callers = (0..width.min(n)).map(|_| async {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return Ok(());
            }
            broker.enqueue(vec![job(i)]).await?;
        }
    });
    let done: Result<Vec<()>, palomar_broker::BrokerError> =
        futures_util::future::try_join_all(callers).await;
    done?;
    let _ = bench;
    Ok(())
}

async fn fill(
    bench: &Bench,
    broker: &EmbeddedBroker,
    n: usize,
    change: impl Fn(&mut NewJob, usize),
) -> anyhow::Result<()> {
    for from in (0..n).step_by(500) {
        let jobs = (from..n.min(from + 500)).map(|i| {
            let mut job = bench.job(&queue("wa"), i);
            change(&mut job, i);
            job
        });
        broker.enqueue(jobs.collect()).await?;
    }
    Ok(())
}

async fn bulk(bench: &Arc<Bench>) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    let measurement = Measurement::begin();
    fill(bench, &store.broker, bench.options.n, |_, _| {}).await?;
    measurement.end(bench.engine(), "add_bulk_500", bench.options.n, json!({}));
    store.remove().await
}

/// Counts completions, and tells when `n` are through: a completion is what the next lease request finds settled.
struct Counter {
    left: AtomicUsize,
    done: Notify,
}

impl Counter {
    fn new(n: usize) -> Arc<Counter> {
        Arc::new(Counter { left: AtomicUsize::new(n), done: Notify::new() })
    }

    fn hit(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
    }
}

/// A worker of 50 places whose handler does nothing; each completion counts when its settle is durable: the worker is
/// stopped, which waits for all settles, inside the measured time.
fn worker(
    broker: &Arc<EmbeddedBroker>,
    concurrency: usize,
    counter: Arc<Counter>,
    outcome: impl Fn(&LeasedJob) -> Outcome + Send + Sync + 'static,
) -> Worker {
    let broker: Arc<dyn Broker> = Arc::clone(broker) as Arc<dyn Broker>;
    Worker::spawn(broker, WorkerConfig::new("bench", concurrency), move |job: LeasedJob| {
        let outcome = outcome(&job);
        if outcome == Outcome::Done {
            counter.hit();
        }
        std::future::ready(Handled::new(outcome))
    })
}

async fn drain(
    bench: &Arc<Bench>,
    what: &str,
    change: impl Fn(&mut NewJob, usize),
    outcome: impl Fn(&LeasedJob) -> Outcome + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    wide_open(&*store.broker, &queue("wa"), 50).await?;
    fill(bench, &store.broker, bench.options.n, change).await?;
    let counter = Counter::new(bench.options.n);
    let measurement = Measurement::begin();
    let worker = worker(&store.broker, 50, Arc::clone(&counter), outcome);
    counter.done.notified().await;
    worker.stop(Duration::from_secs(10)).await;
    measurement.end(bench.engine(), what, bench.options.n, json!({}));
    store.remove().await
}

async fn retry(bench: &Arc<Bench>) -> anyhow::Result<()> {
    let clock = Arc::clone(&bench.clock);
    let tenth = |job: &LeasedJob| job.lease.id.0.as_u128().is_multiple_of(10) && job.tries == 1;
    drain(
        bench,
        "drain_c50_retry10pct",
        |_, _| {},
        move |job| {
            if tenth(job) { Outcome::Retry { at: clock.now(), counts: true } } else { Outcome::Done }
        },
    )
    .await
}

/// Producer and worker at the same time: the whole life of each job.
async fn flow(bench: &Arc<Bench>, what: &str, queues: usize) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    let names: Vec<QueueName> = (0..queues).map(|i| queue(&format!("wa-{i}"))).collect();
    let before = Usage::now().resident;
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let begun = Instant::now();
    let opening: Vec<_> = names.iter().map(|name| wide_open(&*store.broker, name, 50)).collect();
    futures_util::future::try_join_all(opening).await?;
    let opened = begun.elapsed();
    let idle = Usage::now().resident.saturating_sub(before);
    let counter = Counter::new(bench.options.n);
    let worker = worker(&store.broker, 50, Arc::clone(&counter), |_| Outcome::Done);
    let commits = store.broker.meters();
    let measurement = Measurement::begin();
    add_jobs(bench, &store.broker, 50, bench.options.n, |i| bench.job(&names[i % queues], i)).await?;
    counter.done.notified().await;
    worker.stop(Duration::from_secs(10)).await;
    let meters = store.broker.meters();
    let more = json!({
        "commits_per_op": ((meters.commits - commits.commits) as f64 / bench.options.n as f64 * 1e4).round() / 1e4,
        "open_ms": opened.as_millis() as u64,
        "idle_bytes_per_channel": idle / queues as u64,
    });
    measurement.end(bench.engine(), what, bench.options.n, more);
    store.remove().await
}

async fn channels(bench: &Arc<Bench>) -> anyhow::Result<()> {
    for &count in &bench.options.channels {
        flow(bench, &format!("channels_{count}_flow"), count).await?;
    }
    Ok(())
}

/// 3,000 jobs under a limit of 1,000 a second: the most starts in any sliding second, and the rate that is reached.
async fn limiter(bench: &Arc<Bench>) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    let window = Window { max: 1000, window: Duration::from_secs(1) };
    let limits = Limits { windows: vec![window], ..Limits::default() };
    store.broker.control(Control::Configure { queue: queue("wa"), limits }).await??;
    let n = 5_000;
    fill(bench, &store.broker, n, |_, _| {}).await?;
    let starts: Arc<std::sync::Mutex<Vec<Timestamp>>> = Arc::default();
    let counter = Counter::new(n);
    let (seen, clock) = (Arc::clone(&starts), Arc::clone(&bench.clock));
    let worker = worker(&store.broker, 50, Arc::clone(&counter), move |_| {
        if let Ok(mut seen) = seen.lock() {
            seen.push(clock.now());
        }
        Outcome::Done
    });
    counter.done.notified().await;
    worker.stop(Duration::from_secs(10)).await;
    let starts = starts.lock().map(|starts| starts.clone()).unwrap_or_default();
    let mut from = 0;
    let mut most = 0;
    for (to, at) in starts.iter().enumerate() {
        while at.since(starts[from]) >= Duration::from_secs(1) {
            from += 1;
        }
        most = most.max(to - from + 1);
    }
    let took =
        starts.last().zip(starts.first()).map_or(0.0, |(last, first)| last.since(*first).as_secs_f64());
    let fields = json!({ "count": most, "n": n, "per_s": ((n - 1000) as f64 / took).round() });
    if let serde_json::Value::Object(fields) = fields {
        print(bench.engine(), "limiter_1000_per_s_most_in_any_second", fields);
    }
    store.remove().await
}

/// From the call of `enqueue` to the start of the handler, 200 messages a second.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn latency(bench: &Arc<Bench>) -> anyhow::Result<()> {
    let store = bench.open(64 << 20)?;
    let n = 1_000;
    let begun = Instant::now();
    let laps: Arc<std::sync::Mutex<Vec<Duration>>> = Arc::default();
    let counter = Counter::new(n);
    let seen = Arc::clone(&laps);
    let worker = worker(&store.broker, 5, Arc::clone(&counter), move |job| {
        let mut micros = [0; 8];
        micros.copy_from_slice(&job.payload[..8]);
        let sent = Duration::from_micros(u64::from_le_bytes(micros));
        if let Ok(mut seen) = seen.lock() {
            seen.push(begun.elapsed() - sent);
        }
        Outcome::Done
    });
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for i in 0..n {
        tick.tick().await;
        let mut job = bench.job(&queue("wa"), i);
        let mut payload = (begun.elapsed().as_micros() as u64).to_le_bytes().to_vec();
        payload.extend_from_slice(&job.payload);
        job.payload = payload.into();
        let broker = Arc::clone(&store.broker);
        tokio::spawn(async move { broker.enqueue(vec![job]).await });
    }
    counter.done.notified().await;
    worker.stop(Duration::from_secs(10)).await;
    let mut laps = laps.lock().map(|laps| laps.clone()).unwrap_or_default();
    if let serde_json::Value::Object(mut fields) = percentiles(&mut laps[20..]) {
        fields.insert("n".into(), json!(n - 20));
        print(bench.engine(), "latency_add_to_start_200_per_s", fields);
    }
    store.remove().await
}

/// Resident memory per waiting job beside its payload: payloads stay on disk here.
async fn memory(bench: &Arc<Bench>) -> anyhow::Result<()> {
    let hour = Duration::from_secs(3600);
    let due = bench.clock.now().after(hour);
    for (what, scheduled) in [("waiting", false), ("delayed", true)] {
        let store = bench.open(0)?;
        // The page cache and the buffers of the store are not per job: fill them first.
        fill(bench, &store.broker, 150_000, |_, _| {}).await?;
        let before = Usage::now().resident;
        let n = bench.options.n.max(500_000);
        for from in (0..n).step_by(500) {
            let jobs = (from..from + 500).map(|i| {
                let mut job = bench.job(&queue("wa"), i);
                job.run_at = scheduled.then(|| due.after(Duration::from_millis(i as u64)));
                job
            });
            store.broker.enqueue(jobs.collect()).await?;
        }
        let bytes = Usage::now().resident.saturating_sub(before) / n as u64;
        if let serde_json::Value::Object(fields) = json!({ "n": n, "bytes": bytes }) {
            print(bench.engine(), &format!("memory_per_{what}_job"), fields);
        }
        store.remove().await?;
    }
    Ok(())
}

/// Adding to and draining from a queue that holds many jobs already, and starting again with them.
async fn backlog(bench: &Arc<Bench>) -> anyhow::Result<()> {
    for &size in &bench.options.backlog {
        for (kind, priorities) in [("fifo", 1), ("priority4", 4)] {
            let store = bench.open(64 << 20)?;
            wide_open(&*store.broker, &queue("wa"), 50).await?;
            let prioritise = |job: &mut NewJob, i: usize| {
                if priorities > 1 {
                    job.priority = Priority::ALL[i % priorities];
                }
            };
            let before = Usage::now().resident;
            let measurement = Measurement::begin();
            fill(bench, &store.broker, size, prioritise).await?;
            let resident = Usage::now().resident.saturating_sub(before) / size.max(1) as u64;
            measurement.end(
                bench.engine(),
                &format!("backlog_{kind}_{size}_fill"),
                size,
                json!({ "rss_per_job": resident }),
            );
            let n = bench.options.n;
            let measurement = Measurement::begin();
            add_jobs(bench, &store.broker, 50, n, |i| {
                let mut job = bench.job(&queue("wa"), size + i);
                prioritise(&mut job, i);
                job
            })
            .await?;
            measurement.end(bench.engine(), &format!("backlog_{kind}_{size}_add_c50"), n, json!({}));
            let counter = Counter::new(n);
            let measurement = Measurement::begin();
            let worker = worker(&store.broker, 50, Arc::clone(&counter), |_| Outcome::Done);
            counter.done.notified().await;
            measurement.end(bench.engine(), &format!("backlog_{kind}_{size}_drain_c50"), n, json!({}));
            worker.stop(Duration::from_secs(10)).await;
            if kind == "fifo" {
                restart(bench, store, size).await?;
            } else {
                store.remove().await?;
            }
        }
    }
    Ok(())
}

/// Starting on what a killed process left: a copy of its files, until the first job is handed out.
async fn restart(bench: &Arc<Bench>, store: Store, size: usize) -> anyhow::Result<()> {
    let copy = store.dir.with_extension("copy");
    std::fs::create_dir_all(&copy)?;
    for name in ["queue.db", "queue.db-wal"] {
        std::fs::copy(store.dir.join(name), copy.join(name))?;
    }
    store.remove().await?;
    let measurement = Measurement::begin();
    let broker = bench.open_at(&copy, 64 << 20)?;
    let request = LeaseRequest {
        pool: "bench".into(),
        max: 1,
        lease: Duration::from_secs(60),
        start: true,
        wait: Duration::from_secs(60),
    };
    let first = broker.lease(request).await?;
    anyhow::ensure!(!first.is_empty(), "no job was handed out after the restart");
    measurement.end(
        bench.engine(),
        &format!("restart_{size}_to_first_job"),
        size,
        json!({ "jobs": broker.opened().jobs }),
    );
    broker.close().await?;
    std::fs::remove_dir_all(&copy)?;
    Ok(())
}
