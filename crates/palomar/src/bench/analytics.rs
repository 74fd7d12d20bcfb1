//! `palomar bench analytics`: events told over HTTP, and the report of a week, quiet and while events are told. The shape
//! of the events is that of the script that measures counters in Redis.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use palomar_model::{Clock as _, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::chosen;
use super::measure::{self, Measurement, percentiles};
use super::served::{Connection, Served};
use crate::clock::SystemClock;

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Events in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the server's data lies.
    pub(super) dir: PathBuf,
    /// Where queues and records are, where they are not with the server.
    pub(super) stores: Vec<(&'static str, String)>,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Part {
    /// One event a request, over one connection.
    TrackC1,
    /// One event a request, over 50 connections.
    TrackC50,
    /// 500 events a request, over 4 connections.
    #[value(name = "track_bulk_500")]
    TrackBulk500,
    /// The report of a week over that, with nothing else going on.
    ReportWeekQuiet,
    /// The same while events are told.
    ReportWeekWhileTracking,
}

const KINDS: [&str; 10] =
    ["sent", "sent", "sent", "delivered", "delivered", "read", "received", "failed", "read", "sent"];
const WEEK_MS: u64 = 7 * 86_400_000;

fn event(run: &str, i: usize, now: Timestamp) -> String {
    let age = Duration::from_millis((i as u64).wrapping_mul(104_729) % WEEK_MS);
    format!(
        "{{\"id\":\"{run}-{i}\",\"kind\":\"{}\",\"channel\":\"crm\",\"at\":\"{}\",\"type\":\"text\",\"phone\":\"+346{:08}\",\
         \"campaignId\":\"c{}\"}}",
        KINDS[i % KINDS.len()],
        now.before(age),
        (i * 7_919) % 10_000,
        i % 20
    )
}

const EVENTS: &str = "/api/analytics/events";
const REPORT: &str = "/api/analytics/report?period=week";

/// Runs the parts that are asked for: all on one server, so that reports have something to tell.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let dir = options.dir.join("analytics");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let served = Served::start(&dir, &options.stores).await?;
    let n = options.n;
    for part in chosen(&options.only) {
        match part {
            Part::TrackC1 => track(&served, "c1", 1, 1, n / 4).await?,
            Part::TrackC50 => track(&served, "c50", 50, 1, n).await?,
            Part::TrackBulk500 => {
                track(&served, "bulk_500", 4, 500, n * 10).await?;
                kept(&dir, n * 10);
            }
            Part::ReportWeekQuiet => reports(&served, "report_week_quiet", 300).await?,
            Part::ReportWeekWhileTracking => {
                let stop = CancellationToken::new();
                let telling = stop.run_until_cancelled(endless(&served));
                let reading = async {
                    let read = reports(&served, "report_week_while_tracking", 100).await;
                    stop.cancel();
                    read
                };
                let (_, read) = tokio::join!(telling, reading);
                read?;
            }
        }
    }
    drop(served);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Tells `n` events, `batch` a request over `width` connections.
async fn track(served: &Served, run: &str, width: usize, batch: usize, n: usize) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let before = served.usage();
    let measurement = Measurement::begin();
    let callers = (0..width).map(|caller| async move {
        let mut connection = Connection::open(&served.address).await?;
        for from in (caller * batch..n).step_by(width * batch) {
            tell(served, &mut connection, run, from..n.min(from + batch), now).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(callers).await?;
    let after = served.usage();
    let cpu = (after.cpu - before.cpu).as_micros() as f64 / n.max(1) as f64;
    let more = json!({
        "bench": "analytics",
        "server_cpu_us_per_op": (cpu * 10.0).round() / 10.0,
        "server_rss_mb": after.resident >> 20,
    });
    measurement.end("palomar embedded", &format!("track_{run}"), n, more);
    Ok(())
}

async fn tell(
    served: &Served,
    connection: &mut Connection,
    run: &str,
    which: std::ops::Range<usize>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let events: Vec<_> = which.map(|i| event(run, i, now)).collect();
    let body = format!("{{\"events\":[{}]}}", events.join(","));
    let head = served.head("POST", EVENTS, "application/json", body.len());
    let (status, _) = connection.exchange(head.as_bytes(), body.as_bytes()).await?;
    ensure!(status == 200, "events were answered {status}");
    Ok(())
}

/// Tells events until it is stopped.
async fn endless(served: &Served) -> anyhow::Result<()> {
    let mut connection = Connection::open(&served.address).await?;
    let now = SystemClock.now();
    for from in (0..).step_by(20) {
        tell(served, &mut connection, "endless", from..from + 20, now).await?;
    }
    Ok(())
}

/// Asks for the report of a week so many times.
async fn reports(served: &Served, what: &str, times: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(&served.address).await?;
    let head = served.head("GET", REPORT, "application/json", 0);
    let mut laps = Vec::with_capacity(times);
    for _ in 0..times {
        let lap = Measurement::begin();
        let (status, _) = connection.exchange(head.as_bytes(), &[]).await?;
        ensure!(status == 200, "the report was answered {status}");
        laps.push(lap.stop().took());
    }
    let mut line = percentiles(&mut laps);
    line["bench"] = json!("analytics");
    line["n"] = json!(times);
    measure::print("palomar embedded", what, line);
    Ok(())
}

/// What an event takes on the disk, all that is kept of it together.
fn kept(dir: &std::path::Path, n: usize) {
    let size = |file: &str| std::fs::metadata(dir.join(file)).map_or(0, |file| file.len());
    let bytes = size("records.db") as f64 / n.max(1) as f64;
    let line = json!({"bench": "analytics", "n": n, "bytes": (bytes * 10.0).round() / 10.0});
    measure::print("palomar embedded", "disk_per_event", line);
}
