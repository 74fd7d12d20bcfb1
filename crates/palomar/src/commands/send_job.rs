//! `palomar send-job`: several messages that a session sends one after the other.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{confirm, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;

const SEND_JOBS: &str = "/api/send-jobs";
/// While somebody waits for the end, it is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// What can be done with send jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Send messages one after the other.
    Create(Create),
    /// List send jobs, the newest first.
    List {
        /// In this state: pending, running, completed, failed, paused or cancelled.
        #[arg(long)]
        status: Option<String>,
        /// Of this channel or pool.
        #[arg(long)]
        channel: Option<String>,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show one and how far it is.
    Show {
        /// The send job.
        id: String,
        /// Until it has ended.
        #[arg(long)]
        wait: bool,
    },
    /// Hold it: none of its messages starts until it is resumed.
    Pause {
        /// The send job.
        id: String,
    },
    /// Let it go on.
    Resume {
        /// The send job.
        id: String,
    },
    /// End it for good: what waits is called off.
    Cancel {
        /// The send job.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show all in numbers: jobs of one message and jobs of many.
    Stats,
    /// Forget those that have ended; their messages stay.
    Clean {
        /// Those that ended longer ago, in milliseconds; 5 seconds where nothing is said.
        #[arg(long, value_name = "MS")]
        older_than_ms: Option<u64>,
    },
}

/// A send job to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The session, or any other channel, or a pool of sessions.
    #[arg(long)]
    channel: String,
    /// What is sent: a file with a JSON array of {"to", "message"}, or of whole messages.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "message"], required_unless_present = "to")]
    file: Option<PathBuf>,
    /// Whom a single message goes to.
    #[arg(long, requires = "message")]
    to: Option<String>,
    /// Its words.
    #[arg(long, requires = "to")]
    message: Option<String>,
    /// The pause between the end of one message and the next, in milliseconds; none where nothing is said.
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
}

fn path(id: &str) -> String {
    format!("{SEND_JOBS}/{}", segment(id))
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    match verb {
        Verb::Create(flags) => shown(context, &client.post(SEND_JOBS, &[], &body(flags)?).await?),
        Verb::List { status, channel, limit } => list(context, &client, status, channel, limit).await,
        Verb::Show { id, wait } => show(context, &client, &id, wait).await,
        Verb::Pause { id } => order(context, &client, &id, "pause").await,
        Verb::Resume { id } => order(context, &client, &id, "resume").await,
        Verb::Cancel { id, yes } => {
            confirm(context, yes, &format!("end the send job {id}"))?;
            order(context, &client, &id, "cancel").await
        }
        Verb::Stats => stats(context, &client.get(&format!("{SEND_JOBS}/stats"), &[]).await?),
        Verb::Clean { older_than_ms } => {
            let older = older_than_ms.map(|older| older.to_string());
            let request = client.request(reqwest::Method::DELETE, SEND_JOBS, &[("olderThanMs", older)])?;
            let answer: Value = client.send(request).await?.json().await.unwrap_or_default();
            if context.out.json {
                return context.out.document(&answer);
            }
            context.out.talk(format_args!("{} send jobs are forgotten", number(&answer, "removed")));
            Ok(())
        }
    }
}

fn body(flags: Create) -> Result<Value, Failure> {
    let mut body = json!({ "channel": flags.channel });
    if let Some(delay) = flags.delay_ms {
        body["delayMs"] = delay.into();
    }
    match flags.file {
        Some(file) => {
            let bad = |error: &dyn std::fmt::Display| {
                Failure::new(format!("can't read messages from {}: {error}", file.display()))
            };
            let text = std::fs::read_to_string(&file).map_err(|error| bad(&error))?;
            body["messages"] = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        }
        None => {
            body["to"] = flags.to.into();
            body["message"] = flags.message.into();
        }
    }
    Ok(body)
}

async fn order(context: &Context, client: &Client, id: &str, what: &str) -> Result<(), Failure> {
    shown(context, &client.post(&format!("{}/{what}", path(id)), &[], &json!({})).await?)
}

async fn show(context: &Context, client: &Client, id: &str, wait: bool) -> Result<(), Failure> {
    loop {
        let job = client.get(&path(id), &[]).await?;
        let ended = matches!(job["status"].as_str(), Some("completed" | "failed" | "cancelled"));
        if ended || !wait {
            return shown(context, &job);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn list(
    context: &Context,
    client: &Client,
    status: Option<String>,
    channel: Option<String>,
    limit: Option<usize>,
) -> Result<(), Failure> {
    let query = [("status", status), ("channel", channel)];
    let jobs = client.list(SEND_JOBS, &query, limit.unwrap_or(50)).await?;
    if context.out.json {
        return context.out.document(&jobs);
    }
    let cells = |job: &Value| {
        let mut cells = row(job, &["id", "channel", "kind", "status"]);
        cells.push(progress(job));
        cells.push(short_time(job, "createdAt"));
        cells
    };
    let rows: Vec<_> = jobs.iter().map(cells).collect();
    context.out.table(&["id", "channel", "kind", "status", "progress", "created"], &rows, "no send jobs");
    Ok(())
}

fn progress(job: &Value) -> String {
    let progress = &job["progress"];
    format!("{} of {}", number(progress, "processed"), number(progress, "total"))
}

fn shown(context: &Context, job: &Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.document(job);
    }
    let keys = ["id", "channel", "kind", "status", "createdAt", "startedAt", "endedAt"];
    let mut pairs: Vec<_> = keys.map(|key| (key, text(job, key))).into();
    pairs.push(("progress", progress(job)));
    let parts = ["sending", "sent", "delivered", "read", "failed", "uncertain", "cancelled"];
    pairs.extend(parts.map(|key| (key, number(&job["progress"], key).to_string())));
    pairs.retain(|(_, value)| !value.is_empty() && value != "0");
    context.out.pairs(&pairs);
    Ok(())
}

fn stats(context: &Context, stats: &Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.document(stats);
    }
    let keys = ["waiting", "active", "completed", "failed", "paused", "cancelled", "concurrency"];
    let rows: Vec<_> = [("single", "messageQueue"), ("bulk", "bulkMessageQueue")]
        .iter()
        .map(|(kind, key)| {
            let mut cells = vec![(*kind).to_owned()];
            cells.extend(keys.map(|name| number(&stats[*key], name).to_string()));
            cells
        })
        .collect();
    let heads = ["kind", "waiting", "running", "completed", "failed", "paused", "cancelled", "at once"];
    context.out.table(&heads, &rows, "no send jobs");
    Ok(())
}
