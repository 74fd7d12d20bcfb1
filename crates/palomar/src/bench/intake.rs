//! `palomar bench intake`: signed webhooks against a server of its own: verified, known again and flushed before 200.
//!
//! The load is closed (so many connections, each waits for its answer) or open (so many a second, whatever the server
//! does: latencies count from when a request was due). What a person wrote counts as seen when a client that follows
//! events has it, and the records had it before that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use palomar_channels::cloud_api::sign::sign;
use palomar_model::Secret;
use serde_json::{Value, json};

use super::chosen;
use super::measure::{Measurement, Usage, percentiles, print};
use super::served::{Connection, Served};

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Webhooks in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the server's data lies.
    pub(super) dir: PathBuf,
    /// Webhooks a second, where they come at a fixed rate.
    pub(super) rate: usize,
    /// How often the server is killed, where it is.
    pub(super) kills: usize,
    /// Where queues and records are, where not in the directory.
    pub(super) stores: Vec<(&'static str, String)>,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Part {
    /// Over one connection.
    DurableC1,
    /// Over 10 connections.
    DurableC10,
    /// Over 100 connections.
    DurableC100,
    /// At a fixed rate, until a client that follows events has what was written.
    OpenLoop,
    /// Over 100 connections, the server killed with -9 again and again: what was answered 200 is there, once.
    KilledUnderLoad,
    /// Each webhook three times, the server started again in between: handled once.
    RepeatedOverRestart,
}

const APP_SECRET: &str = "app-secret";
const PHONE_NUMBER_ID: &str = "106540352242922";
const WIDTH: usize = 100;
/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn instant() -> Instant {
    Instant::now()
}

/// The provider's id of what is written in the webhook of this number.
fn id_of(number: usize) -> String {
    format!("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAz{number:010}")
}

/// A webhook as Meta sends it: one text message of one of 50,000 people.
fn body_of(number: usize) -> String {
    let (from, id) = (34_600_000_000 + number % 50_000, id_of(number));
    format!(
        "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"102290129340398\",\"changes\":[{{\"field\":\"messages\",\
         \"value\":{{\"messaging_product\":\"whatsapp\",\"metadata\":{{\"display_phone_number\":\"15550783881\",\"phone_number_id\":\
         \"{PHONE_NUMBER_ID}\"}},\"contacts\":[{{\"profile\":{{\"name\":\"Sheena Nelson\"}},\"wa_id\":\"{from}\"}}],\"messages\":\
         [{{\"from\":\"{from}\",\"id\":\"{id}\",\"timestamp\":\"1749416383\",\"type\":\"text\",\"text\":{{\"body\":\"Does it come in \
         another color?\"}}}}]}}}}]}}]}}"
    )
}

/// The line that webhooks are for.
async fn add_channel(served: &Served) -> anyhow::Result<()> {
    let body = json!({
        "name": "bench", "provider": "cloud_api", "settings": {"phoneNumberId": PHONE_NUMBER_ID},
        "credentials": {"token": "token", "appSecret": APP_SECRET, "verifyToken": "verify"},
    });
    let (status, _) = served.call("POST", "/api/channels", "application/json", &body.to_string()).await?;
    ensure!(status != 409, "there is a channel `bench`: --redis and --records must be empty");
    ensure!(status == 201, "the channel was answered {status}");
    Ok(())
}

/// Who posts webhooks, over one connection.
struct Poster {
    connection: Connection,
    host: String,
    secret: Secret,
}

impl Poster {
    async fn open(served: &Served) -> anyhow::Result<Poster> {
        let connection = Connection::open(&served.address).await?;
        Ok(Poster { connection, host: served.address.clone(), secret: Secret::from(APP_SECRET) })
    }

    /// Posts the webhook of a number: the status.
    async fn post(&mut self, number: usize) -> anyhow::Result<u16> {
        let body = body_of(number);
        let head = format!(
            "POST /webhooks/bench HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nx-hub-signature-256: {}\r\n\
             content-length: {}\r\n\r\n",
            self.host,
            sign(&self.secret, body.as_bytes()),
            body.len()
        );
        Ok(self.connection.exchange(head.as_bytes(), body.as_bytes()).await?.0)
    }
}

/// A client that follows what people write.
struct Follower {
    connection: Connection,
    line: Vec<u8>,
}

impl Follower {
    /// Follows from now on, or all there ever was.
    async fn open(served: &Served, from_the_start: bool) -> anyhow::Result<Follower> {
        let mut connection = Connection::open(&served.address).await?;
        let since = if from_the_start { "&lastEventId=0-0" } else { "" };
        let path = format!("/api/events?types=message.received{since}");
        connection.send(served.head("GET", &path, "text/plain", 0).as_bytes(), b"").await?;
        let status = connection.read_head().await?.status;
        ensure!(status == 200, "following events was answered {status}");
        Ok(Follower { connection, line: Vec::new() })
    }

    /// The providers' ids of what came next.
    async fn next(&mut self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        ensure!(self.connection.read_chunk().await?, "the stream of events ended");
        for part in self.connection.body().split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(data) = self.line.strip_prefix(b"data:") {
                    let event: Value = serde_json::from_slice(data).unwrap_or_default();
                    let id = event["data"]["providerMessageId"].as_str();
                    found.extend(id.map(str::to_owned));
                }
                self.line.clear();
            }
        }
        Ok(found)
    }

    /// How often each was told, until `wanted` are and nothing more comes.
    async fn all(mut self, wanted: &[usize]) -> anyhow::Result<HashMap<String, usize>> {
        let mut missing: std::collections::HashSet<String> = wanted.iter().copied().map(id_of).collect();
        let mut told: HashMap<String, usize> = HashMap::new();
        loop {
            let patience = if missing.is_empty() { Duration::from_secs(1) } else { PATIENCE };
            match tokio::time::timeout(patience, self.next()).await {
                Ok(found) => {
                    for id in found? {
                        missing.remove(&id);
                        *told.entry(id).or_default() += 1;
                    }
                }
                Err(_) => return Ok(told),
            }
        }
    }
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        options.stores.is_empty() || options.only.len() == 1,
        "with --redis or --records exactly one part can be measured, for each needs them empty: name it with --only"
    );
    for part in chosen(&options.only) {
        let dir = options.dir.join(format!("intake-{part:?}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let place = Place { dir: &dir, options: &options };
        match part {
            Part::DurableC1 => place.closed(1, options.n / 4).await?,
            Part::DurableC10 => place.closed(10, options.n).await?,
            Part::DurableC100 => place.closed(WIDTH, options.n).await?,
            Part::OpenLoop => place.open_loop().await?,
            Part::KilledUnderLoad => place.killed().await?,
            Part::RepeatedOverRestart => place.repeated().await?,
        }
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Where a server is measured.
struct Place<'a> {
    dir: &'a Path,
    options: &'a Options,
}

impl Place<'_> {
    fn engine(&self) -> &'static str {
        if self.options.stores.is_empty() { "palomar embedded" } else { "palomar shared stores" }
    }

    async fn serve(&self) -> anyhow::Result<Served> {
        Served::start(self.dir, &self.options.stores).await
    }

    async fn serve_new(&self) -> anyhow::Result<Served> {
        let served = self.serve().await?;
        add_channel(&served).await?;
        Ok(served)
    }

    async fn closed(&self, width: usize, n: usize) -> anyhow::Result<()> {
        let served = self.serve_new().await?;
        let before = served.usage();
        let measurement = Measurement::begin();
        let callers = (0..width).map(|caller| {
            let served = &served;
            async move {
                let (mut poster, mut laps) = (Poster::open(served).await?, Vec::new());
                for number in (caller..n).step_by(width) {
                    let begun = instant();
                    let status = poster.post(number).await?;
                    ensure!(status == 200, "webhook {number} was answered {status}");
                    laps.push(begun.elapsed());
                }
                Ok(laps)
            }
        });
        let mut laps = futures_util::future::try_join_all(callers).await?.concat();
        let measured = measurement.stop();
        let more = joined([json!({ "bench": "webhook" }), percentiles(&mut laps), spent(&served, before, n)]);
        measured.print(self.engine(), &format!("durable_c{width}"), n, more);
        Ok(())
    }

    async fn open_loop(&self) -> anyhow::Result<()> {
        let Options { n, rate, .. } = *self.options;
        let served = self.serve_new().await?;
        let mut follower = Follower::open(&served, false).await?;
        let before = served.usage();
        let begun = instant();
        let due = |number: usize| begun + Duration::from_secs_f64(number as f64 / rate as f64);
        // Enough connections that none is waited for.
        let posting = futures_util::future::try_join_all((0..WIDTH).map(|caller| {
            let served = &served;
            async move {
                let (mut poster, mut laps) = (Poster::open(served).await?, Vec::new());
                for number in (caller..n).step_by(WIDTH) {
                    tokio::time::sleep_until(due(number).into()).await;
                    let status = poster.post(number).await?;
                    ensure!(status == 200, "webhook {number} was answered {status}");
                    laps.push(due(number).elapsed());
                }
                Ok(laps)
            }
        }));
        let following = async {
            let (mut seen, mut laps) = (0, vec![None; n]);
            while seen < n {
                let found = tokio::time::timeout(PATIENCE, follower.next()).await;
                for id in found.with_context(|| format!("{seen} of {n} were told"))?? {
                    let number: Option<usize> =
                        id.get(id.len().saturating_sub(10)..).and_then(|n| n.parse().ok());
                    let number = number.filter(|number| *number < n).context("an id of no webhook")?;
                    ensure!(laps[number].replace(due(number).elapsed()).is_none(), "{id} was told twice");
                    seen += 1;
                }
            }
            Ok(laps.into_iter().flatten().collect::<Vec<Duration>>())
        };
        let (answered, mut seen) = futures_util::future::try_join(posting, following).await?;
        let seen = json!({ "until_seen": percentiles(&mut seen) });
        let figures = json!({ "bench": "webhook", "n": n, "per_s": rate });
        let line = joined([figures, percentiles(&mut answered.concat()), seen, spent(&served, before, n)]);
        print(self.engine(), &format!("open_loop_{rate}_per_s"), line);
        Ok(())
    }

    async fn killed(&self) -> anyhow::Result<()> {
        let mut served = self.serve_new().await?;
        let (mut answered, mut next) = (Vec::new(), 0);
        for kill in 0..self.options.kills {
            // Each time at another moment, from nothing under way to a full second of load.
            let load = Duration::from_millis(1_000 * (kill as u64 + 1) / self.options.kills as u64);
            let posted = std::cell::Cell::new(next);
            let callers = futures_util::future::join_all((0..WIDTH).map(|_| {
                let (served, posted) = (&served, &posted);
                async move {
                    let mut taken = Vec::new();
                    let Ok(mut poster) = Poster::open(served).await else { return taken };
                    loop {
                        let number = posted.replace(posted.get() + 1);
                        match poster.post(number).await {
                            Ok(200) => taken.push(number),
                            _ => return taken,
                        }
                    }
                }
            }));
            let killing = async {
                tokio::time::sleep(load).await;
                served.kill();
            };
            let (taken, ()) = futures_util::future::join(callers, killing).await;
            answered.extend(taken.into_iter().flatten());
            next = posted.get();
            served = self.serve().await?;
        }
        let told = Follower::open(&served, true).await?.all(&answered).await?;
        self.account("durable_killed_under_load", answered.len(), &answered, &told);
        Ok(())
    }

    async fn repeated(&self) -> anyhow::Result<()> {
        let n = self.options.n;
        let mut served = self.serve_new().await?;
        for time in 0..3 {
            if time > 0 {
                drop(served);
                served = self.serve().await?;
            }
            let callers = (0..WIDTH).map(|caller| {
                let served = &served;
                async move {
                    let mut poster = Poster::open(served).await?;
                    for number in (caller..n).step_by(WIDTH) {
                        let status = poster.post(number).await?;
                        ensure!(status == 200, "webhook {number} was answered {status}");
                    }
                    Ok(())
                }
            });
            futures_util::future::try_join_all(callers).await?;
        }
        let posted: Vec<usize> = (0..n).collect();
        let told = Follower::open(&served, true).await?.all(&posted).await?;
        self.account("same_body_3_times_over_restarts", 3 * n, &posted, &told);
        Ok(())
    }

    /// Says what became of webhooks that were answered 200.
    fn account(&self, what: &str, answered: usize, wanted: &[usize], told: &HashMap<String, usize>) {
        let lost = wanted.iter().filter(|number| !told.contains_key(&id_of(**number))).count();
        let twice = told.values().filter(|count| **count > 1).count();
        let line = json!({
            "bench": "webhook", "answered_200": answered, "handled": told.len(), "lost": lost, "handled_twice": twice,
        });
        print(self.engine(), what, line);
    }
}

/// What the server spent.
fn spent(served: &Served, before: Usage, n: usize) -> Value {
    let after = served.usage();
    let cpu = (after.cpu - before.cpu).as_micros() as f64 / n.max(1) as f64;
    json!({ "server_cpu_us_per_req": (cpu * 10.0).round() / 10.0, "rss_mb": after.resident >> 20 })
}

/// The fields of all of them.
fn joined<const N: usize>(parts: [Value; N]) -> Value {
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn with_shared_stores_one_part_is_measured() {
        for only in [vec![], vec![Part::DurableC1, Part::DurableC10]] {
            let stores = vec![("PALOMAR__BROKER__REDIS", "redis://127.0.0.1:1".to_owned())];
            let options = Options { n: 1, only, dir: "/nowhere".into(), rate: 1, kills: 1, stores };
            let refused = run(options).await.expect_err("refused").to_string();
            assert!(refused.contains("name it with --only"), "{refused}");
        }
    }
}
