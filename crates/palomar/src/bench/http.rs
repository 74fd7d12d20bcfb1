//! `palomar bench http`: `POST /api/messages`, one by one and in bulk, against a server of its own: durable answers
//! over real HTTP, the server in its own process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::chosen;
use super::measure::{Measurement, Usage};

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

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);

/// A server in a process of its own.
struct Served {
    child: Child,
    address: String,
    key: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    async fn start(dir: &Path) -> anyhow::Result<Served> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", &address, "--data"])
            .arg(dir)
            .env("PALOMAR__SERVER__RATE_LIMIT", "1000000/s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut served = Served { child, address, key: String::new() };
        let ready = async {
            loop {
                if served.key.is_empty() {
                    served.key =
                        std::fs::read_to_string(dir.join("admin.key")).unwrap_or_default().trim().to_owned();
                } else if let Ok((200, _)) = served.call("GET", "/readyz", "", "").await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START, ready).await.context("the server did not start")?;
        Ok(served)
    }

    fn head(&self, method: &str, path: &str, kind: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: \
             {length}\r\n\r\n",
            self.address, self.key
        )
    }

    async fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> anyhow::Result<(u16, usize)> {
        let mut connection = Connection::open(&self.address).await?;
        let head = self.head(method, path, kind, body.len());
        connection.exchange(head.as_bytes(), body.as_bytes()).await
    }

    /// Resident memory and processor time of the server.
    fn usage(&self) -> Usage {
        Usage::of(&self.child.id().to_string())
    }
}

/// One kept-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::with_capacity(16 << 10, stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer: status, and lines of the body.
    async fn exchange(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<(u16, usize)> {
        let mut request = Vec::with_capacity(head.len() + body.len());
        request.extend_from_slice(head);
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request).await?;
        let status = self
            .read_line()
            .await?
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .context("no status")?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.read_line().await?.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line.strip_prefix("transfer-encoding:").is_some_and(|value| value.trim() == "chunked");
        }
        if !chunked {
            self.read_body(length).await?;
            return Ok((status, 1));
        }
        let mut lines = 0;
        loop {
            let size = usize::from_str_radix(self.read_line().await?.trim(), 16)?;
            self.read_body(size).await?;
            lines += self.body.iter().filter(|byte| **byte == b'\n').count();
            self.read_line().await?;
            if size == 0 {
                return Ok((status, lines));
            }
        }
    }

    async fn read_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line).await? > 0, "the server closed the connection");
        Ok(&self.line)
    }

    async fn read_body(&mut self, length: usize) -> anyhow::Result<()> {
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(())
    }
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
        let served = Served::start(&dir).await?;
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
