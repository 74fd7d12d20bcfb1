//! `palomar doctor`: looks at everything that a start or a send stands on, and says what to do about what is wrong.

mod browser;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use palomar_app::DiskRoom;
use palomar_model::{Clock as _, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::text;
use crate::cli::{Context, reachable};
use crate::clock::SystemClock;
use crate::config::{Loaded, Settings, Span};
use crate::failure::{Exit, Failure};
use crate::output::Tone;

/// No machine's clock is right that shows an earlier time than this: 2026-06-01.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_780_272_000);

/// A key that ends within this time is told beforehand.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// How far our clock and the server's may be apart.
const APART: Duration = Duration::from_secs(5);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
    /// What to do about it.
    help: Option<String>,
}

fn pass(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Pass, detail: detail.into(), help: None }
}

fn wrong(
    what: &'static str,
    verdict: Verdict,
    detail: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    Finding { what, verdict, detail: detail.into(), help: Some(help.into()) }
}

/// Runs it.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let now = SystemClock.now();
    let mut findings = vec![clock(now), open_files()];
    match context.load(Vec::new()) {
        Ok(loaded) => {
            findings.push(configuration(&loaded));
            let data = &loaded.settings.data_dir;
            findings.extend([data_dir(data), disk(data)]);
            findings.extend(shared_records(&loaded.settings).await);
            findings.extend(browser::findings(&loaded.settings.web).await);
            findings.extend(admin_key(&data.join(crate::serve::ADMIN_KEY)));
            findings.extend(server(context, loaded.settings.server.listen, now).await);
        }
        Err(failure) => {
            let help = failure.help.unwrap_or_default();
            findings.push(wrong("configuration", Verdict::Fail, failure.what, help));
        }
    }
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    let out = context.out;
    if out.json {
        out.document(&findings)?;
    } else {
        for finding in &findings {
            let mark = match finding.verdict {
                Verdict::Pass => out.paint(Tone::Good, "ok  "),
                Verdict::Warn => out.paint(Tone::Warn, "warn"),
                Verdict::Fail => out.paint(Tone::Bad, "FAIL"),
            };
            out.line(format_args!("{mark}  {:<15} {}", finding.what, finding.detail));
            if let Some(help) = &finding.help {
                out.line(format_args!("{:23}{}", "", out.paint(Tone::Dim, help)));
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new("one check failed")),
        many => Err(Failure::new(format!("{many} checks failed"))),
    }
}

fn configuration(loaded: &Loaded) -> Finding {
    let notices = loaded.seeds.notices();
    if notices.is_empty() {
        pass("configuration", format!("holds together ({})", loaded.settings.environment))
    } else {
        wrong("configuration", Verdict::Warn, notices.join("; "), "Unset what is not meant for Palomar.")
    }
}

/// PostgreSQL, where records are kept there.
async fn shared_records(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "records";
    if settings.records.url.is_empty() {
        return None;
    }
    Some(match super::records::look(settings).await {
        Ok(Some(looked)) => pass(WHAT, format!("{} ({})", looked.place, looked.engine)),
        Ok(None) => pass(WHAT, "none yet"),
        Err(failure) => {
            wrong(WHAT, Verdict::Fail, failure.what, "Correct records.url, or start the database.")
        }
    })
}

fn clock(now: Timestamp) -> Finding {
    if now < EARLIEST {
        let help = "Set the clock (NTP): due times, expiries and signatures are all judged by it.";
        wrong("clock", Verdict::Fail, format!("{now} is in the past"), help)
    } else {
        pass("clock", now.to_string())
    }
}

fn open_files() -> Finding {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < 1024 => wrong(
            "open files",
            Verdict::Warn,
            format!("{limit} at most"),
            "Raise it: `ulimit -n 65536`, or LimitNOFILE= of the unit.",
        ),
        Some(limit) => pass("open files", format!("{limit} at most")),
        None => pass("open files", "no limit"),
    }
}

fn data_dir(dir: &Path) -> Finding {
    const WHAT: &str = "data directory";
    if !dir.exists() {
        return pass(WHAT, format!("{} is made at the first start", dir.display()));
    }
    match crate::serve::data_dir::try_writing(dir) {
        Ok(()) => pass(WHAT, format!("{} can be written", dir.display())),
        Err(error) => wrong(
            WHAT,
            Verdict::Fail,
            format!("{} can't be written: {error}", dir.display()),
            "Give it to the user that runs Palomar, or name another with --data.",
        ),
    }
}

/// The nearest directory that is there.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."))
}

fn disk(dir: &Path) -> Finding {
    const WHAT: &str = "disk";
    match rustix::fs::statvfs(existing(dir)) {
        Ok(about) => {
            room(about.f_bavail.saturating_mul(about.f_frsize), about.f_blocks.saturating_mul(about.f_frsize))
        }
        Err(error) => wrong(WHAT, Verdict::Warn, format!("can't tell how much room there is: {error}"), ""),
    }
}

fn room(free: u64, whole: u64) -> Finding {
    const WHAT: &str = "disk";
    let percent = free.saturating_mul(100) / whole.max(1);
    let detail = format!("{:.1} GiB free ({percent} %)", free as f64 / f64::from(1 << 30));
    match DiskRoom::of(free, whole) {
        DiskRoom::Short => {
            wrong(WHAT, Verdict::Fail, detail, "Make room: nothing is accepted any more once it is used up.")
        }
        DiskRoom::Low => wrong(WHAT, Verdict::Warn, detail, "Make room before it is used up."),
        DiskRoom::Enough => pass(WHAT, detail),
    }
}

/// Who can read the admin key can do everything.
fn admin_key(file: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        pass("admin key", file.display().to_string())
    } else {
        let help =
            format!("Run `chmod 600 {}`, then make a new key: others may have read it.", file.display());
        wrong("admin key", Verdict::Fail, format!("others can read {} ({mode:o})", file.display()), help)
    })
}

/// The server: reachable, ready, on the same time, its keys not about to end. Where there is none, whether one could
/// listen.
async fn server(context: &Context, listen: SocketAddr, now: Timestamp) -> Vec<Finding> {
    const WHAT: &str = "server";
    let client = match context.client() {
        Ok(client) => client,
        Err(failure) => {
            return vec![wrong(WHAT, Verdict::Fail, failure.what, failure.help.unwrap_or_default())];
        }
    };
    let ready = match client.get("/readyz", &[]).await {
        Ok(ready) => ready,
        Err(failure) if failure.exit == Exit::Unreachable && client.base() == reachable(listen) => {
            return vec![pass(WHAT, "not running"), port(listen)];
        }
        Err(failure) => {
            return vec![wrong(WHAT, Verdict::Fail, failure.what, failure.help.unwrap_or_default())];
        }
    };
    let mut findings = vec![readiness(client.base(), &ready)];
    if let Some(durability) = ready["durability"].as_str() {
        findings.push(pass("durability", durability));
    }
    match client.get("/api/keys", &[]).await {
        Ok(keys) => findings.push(ending_keys(&keys, now)),
        Err(failure) if failure.exit == Exit::Refused => {
            findings.push(wrong("keys", Verdict::Warn, failure.what, failure.help.unwrap_or_default()));
        }
        Err(_) => {}
    }
    if let Some(finding) = server_clock(&client, now).await {
        findings.push(finding);
    }
    findings
}

fn readiness(base: &str, ready: &Value) -> Finding {
    let checks = ready["checks"].as_object();
    let troubled: Vec<String> = checks
        .into_iter()
        .flatten()
        .filter(|(_, check)| text(check, "status") != "pass")
        .map(|(name, check)| format!("{name}: {}", text(check, "detail")))
        .collect();
    match text(ready, "status").as_str() {
        "pass" => pass("server", format!("{base} is ready")),
        status => {
            let verdict = if status == "warn" { Verdict::Warn } else { Verdict::Fail };
            wrong("server", verdict, format!("{base} says {status}: {}", troubled.join("; ")), "See its log.")
        }
    }
}

/// Whether the clocks agree, by the `Date` of an answer.
async fn server_clock(client: &crate::client::Client, now: Timestamp) -> Option<Finding> {
    let request = client.request(reqwest::Method::GET, "/healthz", &[]).ok()?.timeout(client.timeout());
    let response = client.send(request).await.ok()?;
    let date = response.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let theirs = http_date(date)?;
    let apart = theirs.since(now).max(now.since(theirs));
    Some(if apart <= APART {
        pass("server's clock", "agrees with this one")
    } else {
        let apart = Span(Duration::from_secs(apart.as_secs()));
        wrong("server's clock", Verdict::Warn, format!("is {apart} off this one"), "Set both by NTP.")
    })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers write today.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

fn port(listen: SocketAddr) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => pass("port", format!("{listen} is free")),
        Err(error) => {
            let help = "Name another with --listen, or stop what listens there.";
            wrong("port", Verdict::Fail, format!("can't listen on {listen}: {error}"), help)
        }
    }
}

/// Keys that end soon, before they do.
fn ending_keys(keys: &Value, now: Timestamp) -> Finding {
    let items = keys["items"].as_array().map_or(&[][..], Vec::as_slice);
    let ending: Vec<String> = items
        .iter()
        .filter(|key| key["revokedAt"].is_null())
        .filter_map(|key| {
            let at: Timestamp = key["expiresAt"].as_str()?.parse().ok()?;
            (at > now && at.since(now) < SOON).then(|| format!("{} ends {at}", text(key, "name")))
        })
        .collect();
    if ending.is_empty() {
        pass("keys", "none ends within 14 days")
    } else {
        wrong("keys", Verdict::Warn, ending.join("; "), "Make new ones in time: `palomar key create`.")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let now = Timestamp::from_seconds(1_790_000_000);
        assert_eq!(clock(Timestamp::EPOCH).verdict, Verdict::Fail);
        assert_eq!(clock(now).verdict, Verdict::Pass);
        for (free, verdict) in [(1, Verdict::Fail), (5, Verdict::Warn), (50, Verdict::Pass)] {
            assert_eq!(room(free, 100).verdict, verdict, "{free} %");
        }
        assert_eq!(room(0, 0).verdict, Verdict::Fail);
        let keys = |at: Timestamp| json!({"items": [{"name": "ci", "expiresAt": at, "revokedAt": null}]});
        assert_eq!(ending_keys(&keys(now.after(Duration::from_secs(86_400))), now).verdict, Verdict::Warn);
        assert_eq!(
            ending_keys(&keys(now.after(Duration::from_secs(30 * 86_400))), now).verdict,
            Verdict::Pass
        );
        assert_eq!(
            readiness(
                "x",
                &json!({"status": "fail", "checks": {"broker": {"status": "fail", "detail": "disk"}}})
            )
            .verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn dates_of_answers() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(at.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(http_date("yesterday"), None);
    }
}
