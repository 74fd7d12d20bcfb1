//! `palomar campaign`: write campaigns, look at them beforehand, run them, hold them in the hand.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{confirm, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Tone};

const CAMPAIGNS: &str = "/api/campaigns";
/// Contacts that go in one request.
const CHUNK: usize = 5_000;

/// What can be done with campaigns.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a campaign. It is sent when it is started, or when its time comes.
    Create(Box<Create>),
    /// List campaigns, the newest first.
    List {
        /// In this state: draft, scheduled, sending, paused, finished or stopped.
        #[arg(long)]
        state: Option<String>,
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a campaign and how far it is.
    Show {
        /// The campaign.
        id: String,
    },
    /// Show what its first contacts would get.
    Preview {
        /// The campaign.
        id: String,
        /// So many of them [usual: 10].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show who would get what and who nothing, and how long it would take. Changes nothing.
    DryRun {
        /// The campaign.
        id: String,
    },
    /// Send its message to some numbers at once.
    Test {
        /// The campaign.
        id: String,
        /// The numbers.
        #[arg(required = true)]
        to: Vec<String>,
    },
    /// Start it.
    Start {
        /// The campaign.
        id: String,
    },
    /// Watch it until it ends.
    Watch {
        /// The campaign.
        id: String,
    },
    /// Hold it: none of its messages starts until it is resumed.
    Pause {
        /// The campaign.
        id: String,
    },
    /// Let it go on.
    Resume {
        /// The campaign.
        id: String,
    },
    /// End it for good: what waits is called off.
    Stop {
        /// The campaign.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show what became of it.
    Report {
        /// The campaign.
        id: String,
    },
    /// List what became of each of its contacts.
    Results {
        /// The campaign.
        id: String,
        /// So many at most [usual: all].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Forget one that does not run. Its messages stay.
    Delete {
        /// The campaign.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// `palomar campaign create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people call it.
    name: String,
    /// The text, with places such as {{name}} or {{name|friend}}.
    #[arg(long, required_unless_present = "file")]
    message: Option<String>,
    /// A file of JSON with more of it, as POST /api/campaigns takes it; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The channel that sends it; the only one there is where it is left out.
    #[arg(long)]
    channel: Option<String>,
    /// A number; may be said several times.
    #[arg(long)]
    to: Vec<String>,
    /// A file of contacts: CSV with a column `phone`, and others that the text may name.
    #[arg(long, value_name = "FILE")]
    contacts: Option<PathBuf>,
    /// Contacts of a segment, by its id or its name, as they are now.
    #[arg(long)]
    segment: Option<String>,
    /// Contacts whom a filter means, as they are now.
    #[arg(long, conflicts_with = "segment")]
    filter: Option<String>,
    /// When it begins by itself (RFC 3339).
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let path = |id: &str, what: &str| format!("{CAMPAIGNS}/{}{what}", segment(id));
    match verb {
        Verb::Create(create) => {
            let made = make(&client, *create).await?;
            if out.json {
                return out.document(&made);
            }
            out.line(text(&made, "id"));
            out.talk(format_args!(
                "{} contacts; `palomar campaign dry-run {}` says what it would do.",
                number(&made, "contacts"),
                text(&made, "id")
            ));
            Ok(())
        }
        Verb::List { state, channel, limit } => {
            let query = [("status", state), ("channel", channel)];
            let found = client.list(CAMPAIGNS, &query, limit.unwrap_or(50)).await?;
            if out.json { out.document(&found) } else { list(out, &found) }
        }
        Verb::Show { id } => {
            let status = client.get(&path(&id, "/queue-status"), &[]).await?;
            let campaign = client.get(&path(&id, ""), &[]).await?;
            if out.json {
                return out.document(&json!({"campaign": campaign, "status": status["status"]}));
            }
            show(out, &campaign, &status["status"]);
            Ok(())
        }
        Verb::Preview { id, limit } => {
            let body = json!({ "limit": limit.unwrap_or(10) });
            let found = client.post(&path(&id, "/preview"), &[], &body).await?;
            if out.json { out.document(&found) } else { previews(out, &found) }
        }
        Verb::DryRun { id } => {
            let found = client.post(&path(&id, "/dry-run"), &[], &json!({})).await?;
            if out.json {
                return out.document(&found);
            }
            dry_run(out, &found);
            Ok(())
        }
        Verb::Test { id, to } => {
            let found = client.post(&path(&id, "/test"), &[], &json!({ "to": to })).await?;
            if out.json {
                return out.document(&found);
            }
            let rows: Vec<_> = items(&found).map(|one| row(one, &["to", "id", "status", "error"])).collect();
            out.table(&["to", "message", "state", "error"], &rows, "nobody");
            Ok(())
        }
        Verb::Start { id } => {
            let started = client.post(&path(&id, "/start"), &[], &json!({})).await?;
            if out.json {
                return out.document(&started);
            }
            out.line(format_args!(
                "{}: {} contacts, about {}",
                text(&started, "message"),
                number(&started, "estimatedContacts"),
                span(number(&started, "estimatedTime"))
            ));
            out.talk(format_args!("`palomar campaign watch {id}` shows how it goes."));
            Ok(())
        }
        Verb::Watch { id } => watch(context, &client, &id).await,
        Verb::Pause { id } => ordered(out, &client.post(&path(&id, "/queue-pause"), &[], &json!({})).await?),
        Verb::Resume { id } => {
            ordered(out, &client.post(&path(&id, "/queue-resume"), &[], &json!({})).await?)
        }
        Verb::Stop { id, yes } => {
            confirm(context, yes, &format!("end {id} for good"))?;
            ordered(out, &client.post(&path(&id, "/queue-stop"), &[], &json!({})).await?)
        }
        Verb::Report { id } => {
            let found = client.get(&path(&id, "/report"), &[]).await?;
            if out.json {
                return out.document(&found);
            }
            report(out, &found);
            Ok(())
        }
        Verb::Results { id, limit } => {
            let path = path(&id, "/recipients");
            let found = client.list(&path, &[], limit.unwrap_or(usize::MAX)).await?;
            if out.json {
                return out.document(&found);
            }
            let keys =
                ["recipient", "status", "reason", "code", "messageId", "sentAt", "deliveredAt", "readAt"];
            let rows: Vec<_> = found.iter().map(|one| row(one, &keys)).collect();
            let heads = ["contact", "state", "reason", "code", "message", "sent", "delivered", "read"];
            out.table(&heads, &rows, "no contacts");
            Ok(())
        }
        Verb::Delete { id, yes } => {
            confirm(context, yes, &format!("forget {id}"))?;
            client.delete(&path(&id, ""), &[]).await?;
            out.talk(format_args!("{id} is forgotten; its messages stay."));
            Ok(())
        }
    }
}

/// Makes a campaign, and adds its contacts a few thousand at a time.
async fn make(client: &Client, create: Create) -> Result<Value, Failure> {
    let mut body = match &create.file {
        Some(file) => read_json(file)?,
        None => json!({}),
    };
    body["name"] = create.name.into();
    for (name, value) in [("message", create.message), ("channel", create.channel)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let mut contacts: Vec<Value> = create.to.into_iter().map(Value::from).collect();
    if let Some(file) = &create.contacts {
        contacts.extend(read_contacts(file)?);
    }
    let audience = match (&create.segment, &create.filter) {
        (Some(segment), _) => Some(json!({ "segment": segment })),
        (None, Some(filter)) => Some(json!({ "filter": filter })),
        (None, None) => None,
    };
    if contacts.is_empty() && audience.is_none() {
        if let Some(at) = create.at {
            body["scheduledAt"] = at.into();
        }
        return client.post(CAMPAIGNS, &[], &body).await;
    }
    let made = client.post(CAMPAIGNS, &[], &body).await?;
    let path = format!("{CAMPAIGNS}/{}", segment(&text(&made, "id")));
    for chunk in contacts.chunks(CHUNK) {
        client.post(&format!("{path}/contacts"), &[], &json!({ "contacts": chunk })).await?;
    }
    if let Some(audience) = audience {
        client.post(&format!("{path}/contacts"), &[], &json!({ "audience": audience })).await?;
    }
    match create.at {
        // Not before everybody is in it.
        Some(at) => client.patch(&path, &json!({ "scheduledAt": at })).await,
        None => client.get(&path, &[]).await,
    }
}

fn read_json(file: &std::path::Path) -> Result<Value, Failure> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| Failure::new(format!("can't read {}: {error}", file.display())))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", file.display())))?;
    if value.is_object() { Ok(value) } else { Err(Failure::wrong_use("the file must hold a JSON object")) }
}

fn read_contacts(file: &std::path::Path) -> Result<Vec<Value>, Failure> {
    let wrong = |error: csv::Error| Failure::wrong_use(format!("{}: {error}", file.display()));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(wrong)?;
    let heads = reader.headers().map_err(wrong)?.clone();
    if !heads.iter().any(|head| head.trim_start_matches('\u{feff}') == "phone") {
        return Err(Failure::wrong_use(format!("{} has no column `phone`", file.display())));
    }
    let mut contacts = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let fields = heads.iter().zip(&record).filter(|(_, value)| !value.is_empty());
        let fields =
            fields.map(|(head, value)| (head.trim_start_matches('\u{feff}').to_owned(), value.into()));
        contacts.push(Value::Object(fields.collect()));
    }
    Ok(contacts)
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn list(out: Output, found: &[Value]) -> Result<(), Failure> {
    let rows: Vec<_> = found
        .iter()
        .map(|campaign| {
            let mut cells = row(campaign, &["id", "name", "channel", "status", "contacts"]);
            cells.push(format!("{} %", number(&campaign["progress"], "percentage")));
            cells.push(short_time(campaign, "createdAt"));
            cells
        })
        .collect();
    out.table(&["id", "name", "channel", "state", "contacts", "done", "made"], &rows, "no campaigns");
    Ok(())
}

fn show(out: Output, campaign: &Value, status: &Value) {
    let (progress, metrics) = (&status["progress"], &status["metrics"]);
    let mut pairs = vec![
        ("id", text(campaign, "id")),
        ("name", text(campaign, "name")),
        ("channel", text(campaign, "channel")),
        ("state", text(campaign, "status")),
    ];
    for (name, key) in [("paused", "pauseReason"), ("begins", "scheduledAt"), ("message", "message")] {
        if !campaign[key].is_null() {
            pairs.push((name, text(campaign, key)));
        }
    }
    pairs.extend([
        ("contacts", text(campaign, "contacts")),
        (
            "done",
            format!(
                "{} of {} ({} %)",
                number(progress, "processed"),
                number(progress, "total"),
                number(progress, "percentage")
            ),
        ),
        ("sent", text(progress, "success")),
        ("failed", text(progress, "failed")),
        ("left out", counted(&metrics["leftOut"])),
        (
            "batches",
            format!(
                "{}: {} done, {} active, {} waiting, {} failed",
                number(status, "totalJobs"),
                number(status, "completedJobs"),
                number(status, "activeJobs"),
                number(status, "waitingJobs"),
                number(status, "failedJobs")
            ),
        ),
        ("ends", text(metrics, "estimatedEnd")),
    ]);
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
}

fn previews(out: Output, found: &Value) -> Result<(), Failure> {
    let rows: Vec<_> = items(found)
        .map(|one| {
            let said = match &one["content"]["text"] {
                Value::String(said) => said.clone(),
                _ if one["content"].is_null() => String::new(),
                _ => one["content"].to_string(),
            };
            vec![text(one, "recipient"), text(one, "variant"), said, text(one, "leftOut")]
        })
        .collect();
    out.table(&["contact", "variant", "gets", "gets nothing"], &rows, "no contacts");
    Ok(())
}

fn dry_run(out: Output, found: &Value) {
    let mut pairs = vec![
        ("contacts", text(found, "contacts")),
        ("given twice", text(found, "duplicates")),
        ("would get it", text(found, "wouldSend")),
        ("left out", counted(&found["leftOut"])),
        ("by variant", counted(&found["byVariant"])),
        ("takes", span(number(found, "estimatedTime"))),
        ("until", text(found, "estimatedEnd")),
    ];
    if number(found, "outsideWindow") > 0 {
        let words = format!(
            "{} did not write in the last 24 hours: free text may be refused",
            number(found, "outsideWindow")
        );
        pairs.push(("beware", words));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
}

fn report(out: Output, found: &Value) {
    let campaign = &found["campaign"];
    let mut pairs = vec![
        ("name", text(campaign, "name")),
        ("state", text(campaign, "status")),
        ("began", text(campaign, "startedAt")),
        ("ended", text(campaign, "endedAt")),
        ("contacts", text(found, "recipients")),
        ("left out", counted(&found["leftOut"])),
        ("not queued", text(found, "notQueued")),
        ("sent", text(found, "sent")),
        ("delivered", text(found, "delivered")),
        ("read", text(found, "read")),
        ("failed", counted(&found["failures"])),
    ];
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
    let variants = found["variants"].as_array().map_or(&[][..], Vec::as_slice);
    if variants.len() > 1 {
        let rows: Vec<_> = variants
            .iter()
            .map(|variant| {
                let mut cells = row(variant, &["name", "messages", "sent", "delivered", "read", "failed"]);
                let between = &variant["readRateBetween"];
                cells.push(format!("{} % ({} to {})", text(variant, "readRate"), between[0], between[1]));
                cells
            })
            .collect();
        out.line("");
        out.table(&["variant", "messages", "sent", "delivered", "read", "failed", "read rate"], &rows, "");
    }
}

fn ordered(out: Output, answer: &Value) -> Result<(), Failure> {
    if out.json {
        return out.document(answer);
    }
    out.line(format_args!("{}; in flight: {}", text(answer, "message"), number(answer, "inFlight")));
    Ok(())
}

/// Names with their counts: `suppressed 2, invalid_number 1`.
fn counted(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// A time in milliseconds, as people say it.
fn span(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How often the screen is drawn anew.
const DRAWN: Duration = Duration::from_millis(500);

/// Shows how far a campaign is, again and again, until it ends. With `--json` a line each time that it came further.
async fn watch(context: &Context, client: &Client, id: &str) -> Result<(), Failure> {
    let out = context.out;
    let path = format!("{CAMPAIGNS}/{}/queue-status", segment(id));
    let name = text(&client.get(&format!("{CAMPAIGNS}/{}", segment(id)), &[]).await?, "name");
    let bar = if out.json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(0) };
    let style = "{prefix}\n{wide_bar:.green/dim} {pos}/{len} {percent:>3} %\n{msg}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let mut last = Value::Null;
    loop {
        let answer = client.get(&path, &[]).await?;
        let status = &answer["status"];
        if out.json && (status["progress"] != last["progress"] || status["status"] != last["status"]) {
            out.document(status)?;
        }
        draw(out, &bar, &name, status);
        let state = text(status, "status");
        last = status.clone();
        if state == "finished" || (state == "stopped" && is_still(status)) {
            bar.abandon();
            // Where nobody sees the screen, its last state is what there is to say.
            if !out.json && bar.is_hidden() {
                out.line(format_args!("{name}: {}", lines(out, status).join("; ")));
            }
            return Ok(());
        }
        tokio::time::sleep(DRAWN).await;
    }
}

/// Whether nothing of a stopped one moves any more.
fn is_still(status: &Value) -> bool {
    let messages = &status["metrics"]["messages"];
    ["queued", "scheduled", "sending"].iter().all(|word| number(messages, word) == 0)
}

fn draw(out: Output, bar: &indicatif::ProgressBar, name: &str, status: &Value) {
    let tone = match text(status, "status").as_str() {
        "sending" | "finished" => Tone::Good,
        "paused" | "scheduled" | "draft" => Tone::Warn,
        _ => Tone::Bad,
    };
    bar.set_prefix(format!("{name}  {}", out.paint(tone, text(status, "status"))));
    bar.set_length(number(&status["progress"], "total"));
    bar.set_position(number(&status["progress"], "processed"));
    bar.set_message(lines(out, status).join("\n"));
}

/// What stands below the bar.
fn lines(out: Output, status: &Value) -> Vec<String> {
    let (progress, metrics) = (&status["progress"], &status["metrics"]);
    let failed = number(progress, "failed");
    let failed_word = format!("{failed} failed");
    let mut lines = vec![format!(
        "{} sent, {}, {} left out, {} not queued yet",
        number(progress, "success"),
        if failed > 0 { out.paint(Tone::Bad, failed_word) } else { failed_word },
        metrics["leftOut"]
            .as_object()
            .map_or(0, |reasons| reasons.values().filter_map(Value::as_u64).sum::<u64>()),
        number(metrics, "notQueued"),
    )];
    let speed = metrics["messagesPerSecond"].as_f64().unwrap_or(0.0);
    let end = short_time(metrics, "estimatedEnd");
    let end = if end.is_empty() { end } else { format!(", done about {end}") };
    lines.push(format!("{speed:.1} a second, for {}{end}", span(number(metrics, "processingTime"))));
    lines.push(format!(
        "batches: {} done, {} active, {} waiting, {} failed",
        number(status, "completedJobs"),
        number(status, "activeJobs"),
        number(status, "waitingJobs"),
        number(status, "failedJobs")
    ));
    let messages = counted(&metrics["messages"]);
    if !messages.is_empty() {
        lines.push(out.paint(Tone::Dim, messages));
    }
    let left_out = counted(&metrics["leftOut"]);
    if !left_out.is_empty() {
        lines.push(out.paint(Tone::Dim, format_args!("left out: {left_out}")));
    }
    let reason = text(metrics, "pauseReason");
    if !reason.is_empty() {
        lines.push(out.paint(Tone::Warn, reason));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_counts_read_well() {
        for (millis, expected) in [
            (0, "0 s"),
            (1, "1 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
            (90_061_000, "25 h 1 min"),
        ] {
            assert_eq!(span(millis), expected);
        }
        assert_eq!(counted(&json!({"a": 1, "b": 2})), "a 1, b 2");
        assert_eq!(counted(&Value::Null), "");
        assert!(is_still(&json!({"metrics": {"messages": {"sent": 3}}})));
        assert!(!is_still(&json!({"metrics": {"messages": {"queued": 3}}})));
    }
}
