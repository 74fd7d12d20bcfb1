//! A Redis of the tests' own: on a free port of this machine, in a directory of its own, ended with its value. The tests
//! of the binary have it too.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// A server that runs.
pub(crate) struct Server {
    dir: TempDir,
    pub(crate) port: u16,
    process: Child,
    settings: Vec<String>,
    password: String,
}

/// A port that stays free while its server is away: none of those that the system gives to connections by itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const MANY: u16 = 8_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes of tests that run at the same time begin far from each other: two that see one port free at the same moment
    // would both take it.
    let begin = (std::process::id().wrapping_mul(61) % u32::from(MANY)) as u16;
    let ports = (0..MANY).map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % MANY);
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port")
}

fn spawn(dir: &Path, port: u16, settings: &[String]) -> Child {
    // A file comes first, where there is one.
    Command::new("redis-server")
        .args(settings)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Server {
    /// Starts a server that flushes its append-only file once a second.
    pub(crate) async fn start() -> Server {
        Server::with(&["--appendfsync", "everysec"]).await
    }

    /// Starts a server with further settings.
    pub(crate) async fn with(settings: &[&str]) -> Server {
        Server::guarded(settings, "").await
    }

    /// Starts a server that asks for a password.
    pub(crate) async fn guarded(settings: &[&str], password: &str) -> Server {
        let dir = tempfile::tempdir().expect("a directory");
        let persistent = ["--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"];
        let guard = ["--requirepass", password];
        let guard = if password.is_empty() { &[][..] } else { &guard[..] };
        let settings = persistent.iter().chain(settings).chain(guard).map(|&one| one.to_owned()).collect();
        Server::spawned(dir, settings, password).await
    }

    /// Starts a sentinel that knows what is in its file.
    pub(crate) async fn sentinel(knows: &str) -> Server {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, knows).expect("a file");
        Server::spawned(dir, vec![file.display().to_string(), "--sentinel".into()], "").await
    }

    async fn spawned(dir: TempDir, settings: Vec<String>, password: &str) -> Server {
        let port = free_port();
        let process = spawn(dir.path(), port, &settings);
        let server = Server { dir, port, process, settings, password: password.to_owned() };
        server.answers().await;
        server
    }

    /// Waits until it answers.
    pub(crate) async fn answers(&self) {
        let client = redis::Client::open(self.url()).expect("an address");
        let up = async {
            loop {
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                    let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
                    if pong.is_ok() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), up).await.expect("redis-server answers");
    }

    pub(crate) fn url(&self) -> String {
        match &*self.password {
            "" => format!("redis://127.0.0.1:{}", self.port),
            password => format!("redis://:{password}@127.0.0.1:{}", self.port),
        }
    }

    /// Sends a command.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        self.send(&command).await
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("an address");
        client.get_multiplexed_async_connection().await.expect("connects")
    }

    /// Sends a command that is put together already.
    pub(crate) async fn send<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        command.query_async(&mut self.connect().await).await.expect("answers")
    }

    /// Replicas that have all that it has sent them.
    pub(crate) async fn replicas(&self) -> usize {
        let info: String = self.ask(&["INFO", "replication"]).await;
        info.lines().filter(|line| line.starts_with("slave") && line.contains("state=online")).count()
    }

    /// Ends it as kill -9 does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("can be killed");
        self.process.wait().expect("has ended");
    }

    /// Stops it as a machine that hangs does, or lets it go on: connections stay, nothing answers.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let ended = Command::new("kill").args([signal, &pid]).status().expect("there is a kill");
        assert!(ended.success(), "kill {signal} {pid}");
    }

    /// Starts it again on the same port as a replica of another, whatever it was.
    pub(crate) async fn start_as_replica_of(&mut self, primary: u16) {
        if let Some(place) = self.settings.iter().position(|setting| setting == "--replicaof") {
            self.settings.drain(place..place + 3);
        }
        self.settings.extend(["--replicaof".into(), "127.0.0.1".into(), primary.to_string()]);
        self.start_again().await;
    }

    /// Starts it again on the same port, with what its files hold.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.dir.path(), self.port, &self.settings);
        self.answers().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
