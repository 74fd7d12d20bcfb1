//! `palomar bench campaign`: a campaign of many, against a server of its own: contacts read from a file, the start, the feed
//! into the queue, orders while all of them wait, memory, replies meanwhile; and what was foretold against what then was.
//!
//! Where the queue is to be measured the channel is paused, so that nothing leaves it; everywhere else messages go out, to
//! the sandbox.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::chosen;
use super::measure::{Measurement, percentiles, print};
use super::served::{Connection, Served};

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Contacts of a campaign.
    pub(super) n: usize,
    /// Contacts of the small one that memory is compared with.
    pub(super) few: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the server's data lies.
    pub(super) dir: PathBuf,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Part {
    /// Contacts from a CSV file, the start of a campaign to all of them, and the feed of its messages into a queue from
    /// which nothing leaves; pausing, resuming and stopping it while all of them wait.
    Feed,
    /// What a server takes while it sends to a few, and to many; and replies in the midst of it.
    Memory,
    /// What a dry run and a start foretell, under a limit of 1,000 a second, and what then is.
    Forecast,
}

const CHANNEL: &str = "bench";
const ENGINE: &str = "palomar embedded";
/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);
/// How long sending is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// Orders of each kind.
const ORDERS: usize = 10;
/// Replies in the midst of a campaign.
const REPLIES: usize = 40;
/// Contacts of the campaign that is foretold, and how many of them have no name, which its text needs.
const FORETOLD: usize = 20_000;
const NAMELESS: usize = 200;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn instant() -> Instant {
    Instant::now()
}

fn millis(lap: Duration) -> f64 {
    (lap.as_secs_f64() * 1e6).round() / 1e3
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    for part in chosen(&options.only) {
        let place = options.dir.join(format!("campaign-{part:?}"));
        match part {
            Part::Feed => feed(&place, options.n).await?,
            Part::Memory => memory(&place, options.few, options.n).await?,
            Part::Forecast => forecast(&place).await?,
        }
    }
    Ok(())
}

/// A server with contacts, on a directory of its own that is new.
struct Desk {
    served: Served,
    dir: PathBuf,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.served.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Desk {
    async fn open(dir: &Path, settings: &[(&str, String)]) -> anyhow::Result<Desk> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir)?;
        let served = Served::start(dir, settings).await?;
        Ok(Desk { served, dir: dir.to_owned() })
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut connection = Connection::open(&self.served.address).await?;
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let head = self.served.head(method, path, "application/json", body.len());
        let (status, _) = connection.exchange(head.as_bytes(), body.as_bytes()).await?;
        let answer = String::from_utf8_lossy(connection.body()).into_owned();
        ensure!((200..300).contains(&status), "{method} {path} was answered {status}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("{method} {path} was answered {answer:?}"))
    }

    async fn post(&self, path: &str) -> anyhow::Result<(Value, Duration)> {
        let begun = instant();
        let answer = self.ask("POST", path, &json!({})).await?;
        Ok((answer, begun.elapsed()))
    }

    /// Asks again and again until `wanted` finds what it looks for.
    async fn until<T>(&self, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> anyhow::Result<T> {
        let begun = instant();
        loop {
            let answer = self.ask("GET", path, &Value::Null).await?;
            if let Some(found) = wanted(&answer) {
                return Ok(found);
            }
            ensure!(begun.elapsed() < PATIENCE, "{path} does not come to it: {answer}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads contacts from a CSV file; the first of them have no name.
    async fn import(&self, n: usize, nameless: usize) -> anyhow::Result<()> {
        let mut file = String::with_capacity(n * 48 + 64);
        file.push_str("phone;name;city\n");
        for i in 0..n {
            let name = if i < nameless { String::new() } else { format!("Persona {i}") };
            file.push_str(&format!("+3460{i:07};{name};Vigo\n"));
        }
        let (status, _) = self.served.call("POST", "/api/contacts/import", "text/csv", &file).await?;
        ensure!(status == 200, "the contacts were answered {status}");
        let count = self.ask("GET", "/api/contacts/count", &Value::Null).await?;
        ensure!(count["count"] == n, "{count} contacts instead of {n}");
        Ok(())
    }

    /// A channel of the sandbox with these limits.
    async fn channel(&self, limits: Value) -> anyhow::Result<()> {
        let body = json!({"name": CHANNEL, "provider": "sandbox", "limits": limits});
        self.ask("POST", "/api/channels", &body).await.map(|_| ())
    }

    /// A campaign to all contacts: its path.
    async fn campaign(&self) -> anyhow::Result<String> {
        let body = json!({"name": "Bench", "channel": CHANNEL, "audience": {"all": true}, "message":
            "Hola {{name}}: tu cita es el lunes a las 10:30. Responde SI para confirmar o llama a Example en {{city}}."});
        let made = self.ask("POST", "/api/campaigns", &body).await?;
        Ok(format!("/api/campaigns/{}", made["id"].as_str().context("an id")?))
    }
}

/// Jobs of messages that wait, held or not.
fn waiting(metrics: &Value) -> u64 {
    let queue = &metrics["metrics"]["processingQueue"];
    ["waiting", "delayed", "paused"].iter().filter_map(|name| queue[*name].as_u64()).sum()
}

async fn feed(dir: &Path, n: usize) -> anyhow::Result<()> {
    // All of them ahead: what waits is what was fed.
    let desk = Desk::open(dir, &[("PALOMAR__CAMPAIGNS__LOOK_AHEAD", n.to_string())]).await?;
    let measurement = Measurement::begin();
    desk.import(n, 0).await?;
    let more = json!({"bench": "campaign", "server_rss_mb": desk.served.usage().resident >> 20});
    measurement.end(ENGINE, "import_csv", n, more);

    desk.channel(json!({"profile": "unlimited"})).await?;
    desk.ask("POST", &format!("/api/channels/{CHANNEL}/pause"), &json!({})).await?;
    let path = desk.campaign().await?;
    let (started, answered) = desk.post(&format!("{path}/start")).await?;
    ensure!(started["estimatedContacts"] == n, "{started}");
    let begun = instant();
    let status = format!("{path}/queue-status");
    desk.until(&status, |status| (status["status"]["totalJobs"].as_u64() > Some(0)).then_some(())).await?;
    let line = json!({"bench": "campaign", "n": n, "answered_ms": millis(answered),
        "all_known_ms": millis(begun.elapsed())});
    print(ENGINE, "start", line);

    let (measurement, before) = (Measurement::begin(), desk.served.usage());
    let metrics = "/api/dashboard/campaign-queue-metrics";
    desk.until(metrics, |metrics| (waiting(metrics) >= n as u64).then_some(())).await?;
    let measured = measurement.stop();
    let cpu = (desk.served.usage().cpu - before.cpu).as_micros() as f64 / n as f64;
    let more = json!({"bench": "campaign", "server_cpu_us_per_op": (cpu * 10.0).round() / 10.0});
    measured.print(ENGINE, "feed", n, more);

    let (mut pauses, mut resumes) = (Vec::new(), Vec::new());
    for _ in 0..ORDERS {
        pauses.push(desk.post(&format!("{path}/queue-pause")).await?.1);
        resumes.push(desk.post(&format!("{path}/queue-resume")).await?.1);
    }
    let stop = desk.post(&format!("{path}/queue-stop")).await?.1;
    let line = json!({"bench": "campaign", "waiting": n, "pause": percentiles(&mut pauses),
        "resume": percentiles(&mut resumes), "stop_ms": millis(stop)});
    print(ENGINE, "orders_while_all_wait", line);
    Ok(())
}

/// The most that a server took while it sent to so many contacts, and how long replies took meanwhile.
async fn sending(dir: &Path, n: usize) -> anyhow::Result<(u64, Vec<Duration>)> {
    let desk = Desk::open(dir, &[]).await?;
    desk.import(n, 0).await?;
    desk.channel(json!({"profile": "unlimited"})).await?;
    let path = desk.campaign().await?;
    let begun = instant();
    desk.post(&format!("{path}/start")).await?;
    let (mut most, mut replies) = (0, Vec::new());
    let status = format!("{path}/queue-status");
    loop {
        most = most.max(desk.served.usage().resident);
        let found = desk.ask("GET", &status, &Value::Null).await?["status"].take();
        let sent = found["progress"]["success"].as_u64().unwrap_or(0);
        if found["status"] == "finished" || (begun.elapsed() > WATCHED && replies.len() >= REPLIES) {
            return Ok((most, replies));
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not send: {found}");
        if sent > 0 && replies.len() < REPLIES {
            replies.push(reply(&desk, replies.len()).await?);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How long a single message takes, from being posted to being taken by the provider.
async fn reply(desk: &Desk, n: usize) -> anyhow::Result<Duration> {
    let begun = instant();
    let body = json!({"channel": CHANNEL, "to": format!("+34611{n:06}"), "text": "¡Claro que sí!"});
    let taken = desk.ask("POST", "/api/messages", &body).await?;
    let path = format!("/api/messages/{}", taken["id"].as_str().context("an id")?);
    desk.until(&path, |message| {
        ["sent", "delivered", "read"].iter().any(|word| message["status"] == *word).then_some(())
    })
    .await?;
    Ok(begun.elapsed())
}

async fn memory(dir: &Path, few: usize, many: usize) -> anyhow::Result<()> {
    let (small, _) = sending(dir, few).await?;
    let (large, mut replies) = sending(dir, many).await?;
    let grown = large.saturating_sub(small) as f64 / f64::from(1 << 20);
    let line = json!({"bench": "campaign", "few": few, "many": many, "few_rss_mb": small >> 20,
        "many_rss_mb": large >> 20, "grown_mb": (grown * 10.0).round() / 10.0});
    print(ENGINE, "memory_while_it_sends", line);
    let line = json!({"bench": "campaign", "n": replies.len(), "until_sent": percentiles(&mut replies)});
    print(ENGINE, "replies_meanwhile", line);
    Ok(())
}

async fn forecast(dir: &Path) -> anyhow::Result<()> {
    let desk = Desk::open(dir, &[]).await?;
    desk.import(FORETOLD, NAMELESS).await?;
    desk.channel(json!({"windows": [{"max": 1_000, "perSeconds": 1}]})).await?;
    let path = desk.campaign().await?;
    let dry = desk.ask("POST", &format!("{path}/dry-run"), &json!({})).await?;
    let begun = instant();
    let (started, _) = desk.post(&format!("{path}/start")).await?;
    let status = format!("{path}/queue-status");
    let done = desk
        .until(&status, |status| (status["status"]["status"] == "finished").then(|| status["status"].clone()))
        .await?;
    let took = begun.elapsed();
    let report = desk.ask("GET", &format!("{path}/report"), &Value::Null).await?;
    let off = |foretold: &Value| {
        let share = foretold.as_f64().unwrap_or(0.0) / (took.as_secs_f64() * 1e3) - 1.0;
        (share * 1e4).round() / 1e2
    };
    let line = json!({"bench": "campaign", "n": FORETOLD, "took_ms": millis(took),
        "dry_run_ms": dry["estimatedTime"], "dry_run_off_percent": off(&dry["estimatedTime"]),
        "start_ms": started["estimatedTime"], "start_off_percent": off(&started["estimatedTime"]),
        "would_send": dry["wouldSend"], "sent": done["progress"]["success"],
        "left_out_as_foretold": dry["leftOut"] == report["leftOut"]});
    print(ENGINE, "forecast", line);
    Ok(())
}
