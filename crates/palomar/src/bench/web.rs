//! `palomar bench web`: browser sessions of a server of its own, in real Chromium, on the simulated page.
//!
//! Nothing is paced here: the figures are those of queue, browser and page, on a machine that they share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use palomar_sim::web::{self, Behaviour, Running};
use serde_json::{Value, json};

use super::chosen;
use super::measure::{Measurement, percentiles, print};
use super::served::{Connection, Served};
use crate::clock::SystemClock;

const ENGINE: &str = "palomar web";
/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(120);
/// An idle session is looked at for so long.
const IDLE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Messages in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the server's data lies.
    pub(super) dir: PathBuf,
    /// Sessions, where there are several.
    pub(super) sessions: usize,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Part {
    /// One message after the other, from its request until it is shown as sent.
    Latency,
    /// Many messages, one session.
    Drain,
    /// Many messages, several sessions.
    DrainSessions,
    /// A browser killed with -9, until its session is available.
    Recovery,
    /// A session that has nothing to do: processor time and memory.
    Idle,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn instant() -> Instant {
    Instant::now()
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    for part in chosen(&options.only) {
        let dir = options.dir.join(format!("web-{part:?}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let sessions = if part == Part::DrainSessions { options.sessions } else { 1 };
        let place = Place::open(&dir, sessions).await?;
        match part {
            Part::Latency => place.latency(options.n).await?,
            Part::Drain => place.drain("drain", options.n).await?,
            Part::DrainSessions => place.drain(&format!("drain_sessions_{sessions}"), options.n).await?,
            Part::Recovery => place.recovery().await?,
            Part::Idle => place.idle().await?,
        }
        drop(place);
        clear(&dir).await?;
    }
    Ok(())
}

/// Removes what a part has left. Browsers end with their server, and write until then.
async fn clear(dir: &Path) -> anyhow::Result<()> {
    let begun = instant();
    while let Err(error) = std::fs::remove_dir_all(dir) {
        ensure!(begun.elapsed() < PATIENCE, "{}: {error}", dir.display());
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A server with sessions that are linked.
struct Place {
    served: Served,
    page: Running,
    sessions: usize,
}

impl Place {
    async fn open(dir: &Path, sessions: usize) -> anyhow::Result<Place> {
        let page = web::start(Behaviour::default(), 1, Arc::new(SystemClock)).await?;
        // As root the sandbox can't work; the page is our own.
        let sandbox = !rustix::process::geteuid().is_root();
        let settings = [
            ("PALOMAR__WEB__ENABLED", "true".to_owned()),
            ("PALOMAR__WEB__URL", page.url()),
            ("PALOMAR__WEB__SANDBOX", sandbox.to_string()),
            ("PALOMAR__WEB__SESSIONS", sessions.to_string()),
        ];
        let place = Place { served: Served::start(dir, &settings).await?, page, sessions };
        for number in 0..sessions {
            place.link(number).await?;
        }
        Ok(place)
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let mut connection = Connection::open(&self.served.address).await?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = self.served.head(method, path, "application/json", body.len());
        let (status, _) = connection.exchange(head.as_bytes(), body.as_bytes()).await?;
        Ok((status, serde_json::from_slice(connection.body()).unwrap_or_default()))
    }

    async fn session(&self, number: usize) -> anyhow::Result<Value> {
        Ok(self.call("GET", &format!("/api/sessions/s{number}"), &Value::Null).await?.1)
    }

    /// Asks again and again until there is an answer.
    async fn until<T>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let begun = instant();
        loop {
            if let Some(found) = ask().await? {
                return Ok(found);
            }
            ensure!(begun.elapsed() < PATIENCE, "{what} did not come");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn link(&self, number: usize) -> anyhow::Result<()> {
        let limits = json!({
            "profile": "unlimited", "concurrency": 1, "breakerFailures": 0,
            "pair": { "intervalSeconds": 0.001, "burst": 1000 },
        });
        let body = json!({ "name": format!("s{number}"), "limits": limits });
        let (status, answer) = self.call("POST", "/api/sessions", &body).await?;
        ensure!(status == 201, "a session was answered {status}: {answer}");
        self.until("a code", async || {
            let (_, qr) = self.call("GET", &format!("/api/sessions/s{number}/qr"), &Value::Null).await?;
            // No code is no reason to scan another's.
            let Some(code) = qr["qr"].as_str() else { return Ok(None) };
            Ok(self.page.simulator().scan(Some(code), &format!("+34600{number:06}")).then_some(()))
        })
        .await?;
        self.until("a session", async || {
            Ok((self.session(number).await?["status"] == "available").then_some(()))
        })
        .await
    }

    fn message(&self, number: usize) -> Value {
        json!({
            "channel": format!("s{}", number % self.sessions), "to": format!("+3460011{:04}", number % 50),
            "type": "text", "content": { "text": format!("Message number {number} of a measurement") },
        })
    }

    async fn latency(&self, n: usize) -> anyhow::Result<()> {
        let mut laps = Vec::with_capacity(n);
        let measured = Measurement::begin();
        for number in 0..n {
            let begun = instant();
            let (status, accepted) = self.call("POST", "/api/messages", &self.message(number)).await?;
            ensure!(status == 202, "a message was answered {status}: {accepted}");
            let path = format!("/api/messages/{}", accepted["id"].as_str().context("no id")?);
            self.until("a tick", async || {
                let (_, message) = self.call("GET", &path, &Value::Null).await?;
                Ok(matches!(message["status"].as_str(), Some("sent" | "delivered" | "read")).then_some(()))
            })
            .await?;
            laps.push(begun.elapsed());
        }
        measured.end(ENGINE, "latency_queued_to_tick", n, percentiles(&mut laps));
        Ok(())
    }

    async fn drain(&self, what: &str, n: usize) -> anyhow::Result<()> {
        let rows: Vec<Value> = (0..n).map(|number| self.message(number)).collect();
        let measured = Measurement::begin();
        let begun = instant();
        let (status, answer) = self.call("POST", "/api/messages/bulk", &json!(rows)).await?;
        ensure!(status == 200, "the messages were answered {status}: {answer}");
        let mut seen = 0;
        while seen < n {
            seen = self
                .until("a message", async || {
                    Ok(Some(self.page.simulator().accepted()).filter(|now| *now > seen))
                })
                .await?;
        }
        let per_session = n as f64 / begun.elapsed().as_secs_f64() / self.sessions as f64;
        let twice = self.page.simulator().duplicates().len();
        let more = json!({
            "sessions": self.sessions, "per_s_per_session": (per_session * 10.0).round() / 10.0, "sent_twice": twice,
            "memory_mib": self.memory().await?,
        });
        measured.end(ENGINE, what, n, more);
        Ok(())
    }

    /// Memory of all browsers, in MiB.
    async fn memory(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for number in 0..self.sessions {
            bytes += self.session(number).await?["memoryBytes"].as_u64().unwrap_or(0);
        }
        Ok(bytes >> 20)
    }

    async fn recovery(&self) -> anyhow::Result<()> {
        let mut laps = Vec::new();
        for _ in 0..5 {
            let old = self.session(0).await?["pid"].as_i64().context("no browser")?;
            let pid =
                i32::try_from(old).ok().and_then(rustix::process::Pid::from_raw).context("no process")?;
            let begun = instant();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            self.until("the session", async || {
                let session = self.session(0).await?;
                let back =
                    session["status"] == "available" && session["pid"].as_i64().is_some_and(|pid| pid != old);
                Ok(back.then_some(()))
            })
            .await?;
            laps.push(begun.elapsed());
        }
        print(ENGINE, "recovery_after_kill", percentiles(&mut laps));
        Ok(())
    }

    async fn idle(&self) -> anyhow::Result<()> {
        let spent = async || anyhow::Ok(self.session(0).await?["cpuMs"].as_u64().unwrap_or(0));
        // What a start costs is over by then.
        tokio::time::sleep(IDLE / 2).await;
        let (before, begun) = (spent().await?, instant());
        tokio::time::sleep(IDLE).await;
        let share = (spent().await? - before) as f64 / begun.elapsed().as_millis() as f64 * 100.0;
        let line = json!({ "cpu_percent_of_a_core": (share * 100.0).round() / 100.0, "memory_mib": self.memory().await? });
        print(ENGINE, "idle_session", line);
        Ok(())
    }
}
