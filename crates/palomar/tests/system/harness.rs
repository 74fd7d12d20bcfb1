//! A running `palomar serve`, a simulated provider beside it, and questions to both.
//!
//! The server is the real binary in a directory of its own; killing it is a real SIGKILL. Nothing sleeps in place of a
//! condition: [`until`] asks again and again, and fails with what it saw last where nothing moves.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use palomar_model::{Clock, Timestamp};
use palomar_sim::cloud_api::{CloudApiSim, Config, RunningSim};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

/// How long a condition may stand still: far longer than it ever should.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take on a machine that is busy otherwise, as long as it comes nearer.
const MOST_PATIENCE: Duration = Duration::from_secs(600);
pub(crate) const APP_SECRET: &str = "app-secret-1";
/// The first of the numbers that channels send from.
const PHONE_NUMBER_ID: u64 = 100_200_300_400_500;

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge of a test")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(since.as_micros() as i64)
    }
}

/// The monotonic present.
#[expect(clippy::disallowed_methods, reason = "tests wait for real processes")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Asks until there is an answer; fails with what was seen last when nothing moves any more.
pub(crate) async fn until<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = instant();
    let (mut last, mut moved) = (String::new(), begun);
    loop {
        let asked = instant();
        match ask().await {
            Ok(found) => return found,
            Err(seen) if seen != last => (last, moved) = (seen, instant()),
            Err(_) => {}
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: nothing has moved for {PATIENCE:?}; last seen: {last}");
        assert!(begun.elapsed() < MOST_PATIENCE, "{what}: not within {MOST_PATIENCE:?}; last seen: {last}");
        // What takes long to ask is asked less often: asking is work for the server too.
        tokio::time::sleep(asked.elapsed().max(Duration::from_millis(20))).await;
    }
}

/// Settings of a server, by their variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// A server under test.
pub(crate) struct Server {
    pub(crate) dir: PathBuf,
    pub(crate) address: String,
    pub(crate) http: reqwest::Client,
    settings: Settings,
    child: Option<Child>,
    key: String,
    _home: tempfile::TempDir,
}

/// The client of the tests: the server is on this machine.
#[expect(clippy::disallowed_methods, reason = "a test's client, to this machine only")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().expect("a client")
}

impl Server {
    /// Starts a server in a new directory and waits until it is ready.
    pub(crate) async fn start() -> Server {
        Server::with(Vec::new()).await
    }

    /// Starts a server that is set up in a certain way.
    pub(crate) async fn with(settings: Settings) -> Server {
        Server::at_home(tempfile::tempdir().expect("a directory"), settings).await
    }

    /// Starts another node on the same stores: set up alike, with the same secrets.
    pub(crate) async fn beside(&self) -> Server {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("data");
        std::fs::create_dir(&dir).expect("a directory");
        for file in ["secret.key", "admin.key"] {
            std::fs::copy(self.dir.join(file), dir.join(file)).expect("a secret");
        }
        Server::at_home(home, self.settings.clone()).await
    }

    async fn at_home(home: tempfile::TempDir, settings: Settings) -> Server {
        // As the binary does, first thing: the clients of the test speak through the same TLS library.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut server = Server {
            dir: home.path().join("data"),
            address: "127.0.0.1:0".into(),
            http: client(),
            settings,
            child: None,
            key: String::new(),
            _home: home,
        };
        server.spawn();
        // It took a free port, and keeps it over its restarts.
        server.address = until("it says where it is", || async {
            assert!(!server.has_ended(), "the server ended; it printed: {}", server.printed());
            server.printed_address().ok_or_else(|| server.printed())
        })
        .await;
        server.ready().await;
        server
    }

    /// Starts the server's process (again) and waits until it is ready.
    pub(crate) async fn run(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts the server's process.
    pub(crate) fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_palomar"))
            .args(["serve", "--data"])
            .arg(&self.dir)
            .args(["--listen", &self.address])
            .current_dir(self._home.path())
            .env("PALOMAR__SERVER__RATE_LIMIT", "1000000/s")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> PathBuf {
        self._home.path().join("serve.log")
    }

    /// What it has printed.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The address that it printed.
    fn printed_address(&self) -> Option<String> {
        let printed = self.printed();
        let (_, after) = printed.split_once("  Address")?;
        let (line, _) = after.split_once('\n')?;
        Some(line.trim().strip_prefix("http://")?.split([' ', ';']).next()?.to_owned())
    }

    /// Waits until it answers that it is ready.
    pub(crate) async fn ready(&mut self) {
        let url = format!("http://{}/readyz", self.address);
        until("the server is ready", || async {
            assert!(!self.has_ended(), "the server ended; it printed: {}", self.printed());
            match self.http.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(format!("{error}; it printed: {}", self.printed())),
            }
        })
        .await;
        self.key =
            std::fs::read_to_string(self.dir.join("admin.key")).expect("an admin key").trim().to_owned();
    }

    fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is killed");
            child.wait().expect("it is gone");
        }
    }

    /// SIGTERM; answers how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let child = self.child.as_mut().expect("it runs");
        let status = until("it ends", || {
            let ended = child.try_wait().expect("it can be waited for");
            std::future::ready(ended.ok_or_else(|| "it still runs".to_owned()))
        })
        .await;
        self.child = None;
        status
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("it runs"));
        rustix::process::kill_process(pid, signal).expect("it is told");
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `palomar` as a person runs it against this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palomar"));
        command
            .args(args)
            .arg("--data")
            .arg(&self.dir)
            .args(["--server", &format!("http://{}", self.address)]);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.current_dir(self._home.path()).stdin(Stdio::null());
        command
    }

    /// Where to post messages, and with which key.
    pub(crate) fn entrance(&self) -> (String, String) {
        (format!("http://{}/api/messages", self.address), self.key.clone())
    }

    /// Runs a command off the runtime's threads.
    pub(crate) async fn output(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("waited")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).await.expect("an answer");
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Sets something for the next start.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    pub(crate) async fn try_get(&self, path: &str) -> Result<(u16, Value), reqwest::Error> {
        let answer =
            self.http.get(format!("http://{}{path}", self.address)).bearer_auth(&self.key).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or(Value::Null)))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.try_post(path, body, None).await.expect("an answer")
    }

    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: Value,
        idempotency_key: Option<&str>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let mut request =
            self.http.post(format!("http://{}{path}", self.address)).bearer_auth(&self.key).json(&body);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or(Value::Null)))
    }

    /// A channel on a simulated Cloud API.
    pub(crate) async fn channel(&self, name: &str, sim: &RunningSim, limits: Value) {
        // Each has a number of its own, whichever it is: what is reported to a number is for its channel.
        let number = PHONE_NUMBER_ID + u64::from(sim.addr.port());
        let body = json!({
            "name": name,
            "provider": "cloud_api",
            "settings": { "phoneNumberId": number.to_string(), "baseUrl": sim.url() },
            "credentials": { "token": "token-1", "appSecret": APP_SECRET, "verifyToken": "verify-1" },
            "limits": limits,
        });
        let (status, answer) = self.post("/api/channels", body).await;
        assert_eq!(status, 201, "{answer}");
        sim.set_webhook_url(Some(&format!("http://{}/webhooks/{name}", self.address)));
    }

    /// Sends a text; answers the message's id.
    pub(crate) async fn send(&self, channel: &str, to: &str, text: &str) -> String {
        let body = json!({ "channel": channel, "to": to, "type": "text", "content": { "text": text } });
        let (status, answer) = self.post("/api/messages", body).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a message has a status.
    pub(crate) async fn until_status(&self, id: &str, wanted: &str) -> Value {
        until(&format!("message {id} is {wanted}"), || async {
            let message = self.get(&format!("/api/messages/{id}")).await;
            if message["status"] == wanted { Ok(message) } else { Err(message.to_string()) }
        })
        .await
    }

    /// Bytes, with the status and the headers that they came with.
    pub(crate) async fn bytes(&self, path: &str) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
        let request = self.http.get(format!("http://{}{path}", self.address)).bearer_auth(&self.key);
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.bytes().await.expect("all of it").to_vec())
    }

    /// How many messages of a channel have a status.
    pub(crate) async fn count(&self, channel: &str, status: &str) -> usize {
        self.ids(channel, status).await.len()
    }

    /// The messages of a channel that have a status: all pages.
    pub(crate) async fn ids(&self, channel: &str, status: &str) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/messages?channel={channel}&status={status}&limit=200{cursor}");
            let page = self.get(&path).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            ids.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// The numbers of a channel's queue.
    pub(crate) async fn queue(&self, channel: &str) -> Value {
        self.listed(channel).await.unwrap_or_else(|stats| panic!("no queue of {channel} in {stats}"))
    }

    /// A channel's queue in numbers, where it is listed: it is not while its partition can't be asked. Else all numbers.
    pub(crate) async fn listed(&self, channel: &str) -> Result<Value, String> {
        let stats = self.get("/api/queue-monitor/stats").await;
        let name = format!("outbound/{channel}");
        let mut queues = stats["queues"].as_array().into_iter().flatten();
        queues.find(|queue| queue["queue"] == name.as_str()).cloned().ok_or_else(|| stats.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let printed = self.printed();
            let tail: Vec<&str> = printed.lines().rev().take(40).collect();
            eprintln!("--- the end of what the server printed");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A simulated Cloud API.
pub(crate) async fn simulator(config: Config) -> RunningSim {
    CloudApiSim::start(Config { app_secret: APP_SECRET.into(), ..config }, Arc::new(SystemClock))
        .await
        .expect("a simulator")
}

/// One that limits nothing and reports at once.
pub(crate) fn quick() -> Config {
    Config {
        throughput: palomar_sim::Windows::off(),
        pair: palomar_sim::cloud_api::PairLimit::OFF,
        ..Config::default()
    }
}

/// How much of something: more by the environment, for a longer run.
pub(crate) fn size(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A seed from the environment, or one that is printed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| SystemClock.now().micros() as u64 % 1_000_000_007);
    eprintln!("SEED={seed}");
    seed
}

/// Numbers from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
