//! The built binary under test: started on a directory and a free port of its own, spoken to as a person would.
#![allow(dead_code, reason = "each test takes of it what it needs")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A directory that a server runs in, and commands run in.
pub(crate) struct Place {
    dir: TempDir,
}

/// A server that runs; it is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Its address.
    pub(crate) url: String,
    /// What it said at the start.
    pub(crate) greeting: String,
}

impl Place {
    /// An empty directory.
    pub(crate) fn new() -> Place {
        Place { dir: TempDir::new().expect("a directory") }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The binary, in this directory and with nothing of ours in its environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palomar"));
        command.args(words).current_dir(self.path()).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("it runs")
    }

    /// Runs it against a server.
    pub(crate) fn ask(&self, server: &Server, words: &[&str]) -> Output {
        self.command(words).env("PALOMAR_SERVER", &server.url).output().expect("it runs")
    }

    /// Starts a server on a free port and waits until it says that it is there.
    pub(crate) fn serve(&self) -> Server {
        self.start(self.command(&["serve", "--listen", "127.0.0.1:0"]), "  Address")
    }

    /// Starts something that says an address on a line with `word`.
    pub(crate) fn start(&self, mut command: Command, word: &str) -> Server {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path().join("log"))
            .expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it ended: {}", std::fs::read_to_string(self.path().join("log")).unwrap_or_default());
            };
            greeting.push_str(&line);
            greeting.push('\n');
            if line.contains(word) {
                let begin = line.find("http://").expect("an address");
                break line[begin..].split([' ', ';']).next().unwrap_or_default().to_owned();
            }
        };
        // The rest of the greeting: up to the line that sends a first message.
        while word == "  Address" && !greeting.contains("curl") {
            let Some(Ok(line)) = lines.next() else { break };
            greeting.push_str(&line);
            greeting.push('\n');
        }
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, url, greeting }
    }
}

impl Server {
    /// Asks it to stop, and waits for the end: its exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().expect("it ends").code()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, signal).expect("it is there");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it printed.
pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it said beside that.
pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts the exit status, and shows what was said where it is another.
#[track_caller]
pub(crate) fn exits(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}\n{}", out(output), err(output));
}
