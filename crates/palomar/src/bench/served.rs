//! A server of ours in a process of its own, and a plain HTTP client of it that costs little beside it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::measure::Usage;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);

/// A server in a process of its own, killed where it is dropped.
pub(super) struct Served {
    child: Child,
    pub(super) address: String,
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
    /// Starts one on a directory, with these settings beside the usual ones, and waits until it is ready.
    pub(super) async fn start(dir: &Path, settings: &[(&str, String)]) -> anyhow::Result<Served> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", &address, "--data"])
            .arg(dir)
            .env("PALOMAR__SERVER__RATE_LIMIT", "1000000/s")
            .envs(settings.iter().map(|(name, value)| (name, value)))
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

    /// The head of a request with the administrator's key.
    pub(super) fn head(&self, method: &str, path: &str, kind: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: \
             {length}\r\n\r\n",
            self.address, self.key
        )
    }

    /// One request on a connection of its own: the status, and the lines of the answer.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> anyhow::Result<(u16, usize)> {
        let mut connection = Connection::open(&self.address).await?;
        let head = self.head(method, path, kind, body.len());
        connection.exchange(head.as_bytes(), body.as_bytes()).await
    }

    /// Kills it with -9.
    pub(super) fn kill(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Resident memory and processor time of the server.
    pub(super) fn usage(&self) -> Usage {
        Usage::of(&self.child.id().to_string())
    }
}

/// What an answer begins with.
pub(super) struct Head {
    pub(super) status: u16,
    length: usize,
    chunked: bool,
}

/// One kept-alive connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: &str) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::with_capacity(16 << 10, stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer: status, and lines of the body.
    pub(super) async fn exchange(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<(u16, usize)> {
        self.send(head, body).await?;
        let Head { status, length, chunked } = self.read_head().await?;
        if !chunked {
            self.read_body(length).await?;
            return Ok((status, 1));
        }
        let mut lines = 0;
        while self.read_chunk().await? {
            lines += self.body.iter().filter(|byte| **byte == b'\n').count();
        }
        Ok((status, lines))
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<()> {
        let mut request = Vec::with_capacity(head.len() + body.len());
        request.extend_from_slice(head);
        request.extend_from_slice(body);
        Ok(self.stream.get_mut().write_all(&request).await?)
    }

    /// Reads the head of an answer.
    pub(super) async fn read_head(&mut self) -> anyhow::Result<Head> {
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
        Ok(Head { status, length, chunked })
    }

    /// Reads a chunk of a body; whether there was one more.
    pub(super) async fn read_chunk(&mut self) -> anyhow::Result<bool> {
        let size = usize::from_str_radix(self.read_line().await?.trim(), 16)?;
        self.read_body(size).await?;
        self.read_line().await?;
        Ok(size > 0)
    }

    /// The body, or the chunk of it, that was read last.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
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
