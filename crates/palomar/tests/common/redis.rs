//! A Redis of a test's own: on a free port of this machine, in a directory of its own, ended with its value.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// What must be in no message.
pub(crate) const PASSWORD: &str = "never-to-be-seen-either";

/// A server that runs, and asks for the password.
pub(crate) struct Redis {
    _dir: TempDir,
    port: u16,
    process: Child,
}

impl Redis {
    /// Starts one that keeps what it confirms.
    pub(crate) fn start() -> Redis {
        let dir = tempfile::tempdir().expect("a directory");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("an address").port()
        };
        let settings =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"];
        let process = Command::new("redis-server")
            .args(settings)
            .args(["--requirepass", PASSWORD, "--port", &port.to_string(), "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Redis { _dir: dir, port, process };
        // It starts within milliseconds; a machine that is busy may take longer.
        for _ in 0..6_000 {
            if redis.try_say("PING").is_some_and(|said| said == "+PONG") {
                return redis;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not answer");
    }

    /// Gives an order that must be carried out.
    pub(crate) fn say(&self, words: &str) {
        assert_eq!(self.try_say(words).as_deref(), Some("+OK"), "{words}");
    }

    /// The first line of an answer, where there is one.
    fn try_say(&self, words: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "AUTH {PASSWORD}\r\n{words}\r\n").ok()?;
        let mut lines = BufReader::new(stream).lines();
        lines.next()?.ok().filter(|said| said == "+OK")?;
        lines.next()?.ok()
    }

    /// Host and port.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: u8) -> String {
        format!("redis://:{PASSWORD}@{}/{database}", self.place())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
