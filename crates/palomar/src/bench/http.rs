//! `palomar bench http`: `POST /api/messages`, one by one and in bulk, against a server of its own: durable answers
//! over real HTTP, the server in its own process.

use std::path::PathBuf;

use anyhow::ensure;
use serde_json::json;

use super::chosen;
use super::measure::{Measurement, Usage};
use super::served::{Connection, Served};

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Messages in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the server's data lies.
    pub(super) dir: PathBuf,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Part {
    /// One message a request, over one connection.
    PostC1,
    /// One message a request, over 64 connections.
    PostC64,
    /// One request with a line for each message.
    BulkNdjson,
    /// 500 messages a request.
    #[value(name = "bulk_json_500")]
    BulkJson500,
}

fn message(i: usize) -> String {
    format!(
        "{{\"channel\":\"demo\",\"to\":\"+34600{:06}\",\"type\":\"text\",\"content\":{{\"text\":\"Hola! Gracias por contactar \
         con Example. Tu cita es el lunes a las 10:30.\"}},\"priority\":\"normal\",\"metadata\":{{\"userId\":\"user_42\"}}}}",
        i % 1_000_000
    )
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let n = options.n;
    for part in chosen(&options.only) {
        let dir = options.dir.join(format!("http-{part:?}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let served = Served::start(&dir, &[]).await?;
        match part {
            Part::PostC1 => posts(&served, 1, n / 4).await?,
            Part::PostC64 => posts(&served, 64, n).await?,
            Part::BulkNdjson => stream(&served, n).await?,
            Part::BulkJson500 => arrays(&served, n).await?,
        }
        drop(served);
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

async fn posts(served: &Served, width: usize, n: usize) -> anyhow::Result<()> {
    let before = served.usage();
    let measurement = Measurement::begin();
    let callers = (0..width).map(|caller| async move {
        let mut connection = Connection::open(&served.address).await?;
        for i in (caller..n).step_by(width) {
            let body = message(i);
            let head = served.head("POST", "/api/messages", "application/json", body.len());
            let (status, _) = connection.exchange(head.as_bytes(), body.as_bytes()).await?;
            ensure!(status == 202, "message {i} was answered {status}");
        }
        Ok(())
    });
    futures_util::future::try_join_all(callers).await?;
    finish(served, before, measurement, &format!("http_post_c{width}"), n);
    Ok(())
}

async fn stream(served: &Served, n: usize) -> anyhow::Result<()> {
    let body: String = (0..n).map(|i| message(i) + "\n").collect();
    let before = served.usage();
    let measurement = Measurement::begin();
    let (status, lines) = served.call("POST", "/api/messages/bulk", "application/x-ndjson", &body).await?;
    ensure!((status, lines) == (200, n), "{n} rows were answered {status} with {lines} lines");
    finish(served, before, measurement, "http_bulk_ndjson", n);
    Ok(())
}

async fn arrays(served: &Served, n: usize) -> anyhow::Result<()> {
    let before = served.usage();
    let measurement = Measurement::begin();
    for from in (0..n).step_by(500) {
        let rows: Vec<String> = (from..n.min(from + 500)).map(message).collect();
        let body = format!("[{}]", rows.join(","));
        let (status, _) = served.call("POST", "/api/messages/bulk", "application/json", &body).await?;
        ensure!(status == 200, "rows from {from} were answered {status}");
    }
    finish(served, before, measurement, "http_bulk_json_500", n);
    Ok(())
}

fn finish(served: &Served, before: Usage, measurement: Measurement, what: &str, n: usize) {
    let after = served.usage();
    let cpu = (after.cpu - before.cpu).as_micros() as f64 / n.max(1) as f64;
    let more = json!({
        "bench": "http",
        "server_cpu_us_per_op": (cpu * 10.0).round() / 10.0,
        "server_rss_mb": after.resident >> 20,
    });
    measurement.end("palomar embedded", what, n, more);
}
