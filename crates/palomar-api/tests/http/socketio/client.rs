//! `socket.io-client` in a process of node, told what to do by lines of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

/// What belongs to the client, beside these tests.
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("package.json")),
    ("package-lock.json", include_str!("package-lock.json")),
    ("client.mjs", include_str!("client.mjs")),
];

/// The folder with the client and what it stands on: installed once, kept between runs, made anew when the lock changes.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("socketio-client");
        std::fs::create_dir_all(&dir).expect("a folder");
        // Tests may run in several processes: one installs, the others wait.
        let lock = std::fs::File::create(dir.join("lock")).expect("a lock");
        lock.lock().expect("locked");
        let done = dir.join("installed");
        if std::fs::read_to_string(&done).is_ok_and(|of| of == FILES[1].1) && is_written(&dir) {
            return dir;
        }
        for (name, text) in FILES {
            std::fs::write(dir.join(name), text).expect("written");
        }
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let installed = Command::new("npm").args(install).current_dir(&dir).output();
        let installed = installed.expect("npm runs: install nodejs and npm, as ./test does");
        assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
        std::fs::write(&done, FILES[1].1).expect("written");
        dir
    })
}

fn is_written(dir: &Path) -> bool {
    FILES.iter().all(|(name, text)| std::fs::read_to_string(dir.join(name)).is_ok_and(|found| found == *text))
}

pub(super) struct Client {
    child: Child,
    orders: Option<ChildStdin>,
    says: mpsc::UnboundedReceiver<String>,
}

/// What the client says.
#[derive(Debug)]
pub(super) struct Said(pub(super) Value);

impl Said {
    pub(super) fn is(&self, what: &str) -> bool {
        self.0["said"] == what
    }

    pub(super) fn is_event(&self, name: &str) -> bool {
        self.is("event") && self.0["event"] == name
    }

    /// Whether it is this event of this message.
    pub(super) fn tells(&self, name: &str, message: &str) -> bool {
        self.is_event(name) && self.0["data"]["messageId"] == message
    }

    /// The event that it tells.
    pub(super) fn event(&self) -> Option<&Value> {
        self.is("event").then_some(&self.0["data"])
    }
}

impl Client {
    pub(super) async fn start() -> Client {
        let dir = tokio::task::spawn_blocking(installed).await.expect("installed");
        let mut command = Command::new("node");
        command.arg("client.mjs").current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node runs: install nodejs, as ./test does");
        let orders = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (say, says) = mpsc::unbounded_channel();
        // It ends with the process.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Client { child, orders, says }
    }

    pub(super) async fn order(&mut self, order: Value) {
        let mut orders = self.orders.as_ref().expect("it listens");
        orders.write_all(format!("{order}\n").as_bytes()).expect("told");
    }

    pub(super) async fn connect(&mut self, url: &str, mut options: Value) {
        options["order"] = "connect".into();
        options["url"] = url.into();
        self.order(options).await;
    }

    /// What it says next.
    pub(super) async fn next(&mut self) -> Said {
        let line = tokio::time::timeout(Duration::from_secs(30), self.says.recv()).await;
        let line = line.expect("it says something in time").expect("it is there");
        Said(serde_json::from_str(&line).expect("JSON"))
    }

    /// All that it says, up to the first that `is` so.
    pub(super) async fn until(&mut self, is: impl Fn(&Said) -> bool) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next().await;
            let last = is(&said);
            all.push(said);
            if last {
                return all;
            }
        }
    }

    /// Ends it, and sees that it ended well.
    pub(super) async fn end(mut self) {
        drop(self.orders.take());
        while self.says.recv().await.is_some() {}
        assert!(self.child.wait().expect("it ended").success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
