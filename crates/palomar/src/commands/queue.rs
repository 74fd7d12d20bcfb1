//! `palomar queue`: look at queues and control them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{confirm, dlq, number, row, text};
use crate::cli::Context;
use crate::config::Span;
use crate::failure::Failure;
use crate::output::Output;
use crate::screens::{DeadLetters, Live, Queues, watch};

/// What can be done with queues. A queue is named `outbound/demo`, or by its channel.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show every queue in numbers, live.
    Metrics(Live),
    /// Dead letters: what is not tried again until a person says so. Live, where nothing more is said.
    Dlq(Dlq),
    /// List what waits and what is under way.
    Jobs {
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
        /// In this state [usual: scheduled, queued, sending and uncertain].
        #[arg(long)]
        state: Option<String>,
        /// So many of each state at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Start no further attempt. What is in flight ends.
    Pause {
        /// The queue; all where none is named.
        queue: Option<String>,
        /// Why, for those who wonder later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Go on.
    Resume {
        /// The queue; all where none is named.
        queue: Option<String>,
    },
    /// Cancel everything that waits. What is in flight ends.
    Drain {
        /// The queue; all where none is named.
        queue: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Forget finished jobs. Their messages stay in the records.
    Clean {
        /// Only those that ended longer ago.
        #[arg(long, value_name = "SPAN")]
        older_than: Option<Span>,
        /// Only in these states.
        #[arg(long, value_delimiter = ',', value_parser = ["completed", "failed", "cancelled", "expired"])]
        state: Vec<String>,
        /// Keep so many of each queue and state.
        #[arg(long, value_name = "N")]
        keep: Option<u64>,
        /// Only of this queue.
        #[arg(long)]
        queue: Option<String>,
    },
}

/// `palomar queue dlq`.
#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(flatten)]
    live: Live,
    /// What to do without a screen; `list` where there is none.
    #[command(subcommand)]
    verb: Option<dlq::Verb>,
}

const MONITOR: &str = "/api/queue-monitor";

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    match verb {
        Verb::Metrics(live) if live.is_wanted(context) => watch(context, &live, Queues::new()).await,
        Verb::Metrics(_) => {
            let stats = client.get(&format!("{MONITOR}/stats"), &[]).await?;
            if out.json { out.document(&stats) } else { metrics(out, &stats) }
        }
        Verb::Dlq(Dlq { live, verb: None }) if live.is_wanted(context) => {
            watch(context, &live, DeadLetters::new()).await
        }
        Verb::Dlq(Dlq { verb, .. }) => dlq::run(context, &client, verb.unwrap_or_default()).await,
        Verb::Jobs { channel, state, limit } => {
            let states = match &state {
                Some(state) => vec![state.as_str()],
                None => vec!["sending", "uncertain", "queued", "scheduled"],
            };
            let mut jobs = Vec::new();
            for state in states {
                let query = [("channel", channel.clone()), ("status", Some(state.to_owned()))];
                jobs.extend(client.list("/api/messages", &query, limit.unwrap_or(50)).await?);
            }
            if out.json {
                return out.document(&jobs);
            }
            let keys = ["id", "channel", "to", "status", "priority", "attempts", "createdAt", "scheduledAt"];
            let rows: Vec<_> = jobs.iter().map(|job| row(job, &keys)).collect();
            out.table(
                &["id", "channel", "to", "state", "priority", "attempts", "queued", "due"],
                &rows,
                "nothing waits",
            );
            Ok(())
        }
        Verb::Pause { queue, reason } => {
            let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
            let paused = client.post(&format!("{MONITOR}/pause"), &[("queue", queue)], &body).await?;
            if out.json {
                return out.document(&paused);
            }
            out.line(format_args!("paused: {}; in flight: {}", names(&paused), number(&paused, "inFlight")));
            Ok(())
        }
        Verb::Resume { queue } => {
            let resumed = client.post(&format!("{MONITOR}/resume"), &[("queue", queue)], &json!({})).await?;
            if out.json {
                return out.document(&resumed);
            }
            out.line(format_args!("resumed: {}", names(&resumed)));
            Ok(())
        }
        Verb::Drain { queue, yes } => {
            let what = queue.as_deref().unwrap_or("every queue");
            confirm(context, yes, &format!("cancel everything that waits in {what}"))?;
            let query = [("confirm", Some("true".to_owned())), ("queue", queue)];
            let cleared = client.delete(&format!("{MONITOR}/clear"), &query).await?;
            if out.json {
                return out.document(&cleared);
            }
            out.line(format_args!("cancelled: {}", number(&cleared, "cleared")));
            Ok(())
        }
        Verb::Clean { older_than, state, keep, queue } => {
            let mut body = json!({});
            if let Some(age) = older_than {
                body["olderThan"] = json!(age.to_string());
            }
            if !state.is_empty() {
                body["states"] = json!(state);
            }
            if let Some(keep) = keep {
                body["keep"] = json!(keep);
            }
            if let Some(queue) = queue {
                body["queue"] = json!(queue);
            }
            let cleaned = client.post(&format!("{MONITOR}/clean"), &[], &body).await?;
            if out.json {
                return out.document(&cleaned);
            }
            out.line(format_args!("forgotten: {}", number(&cleaned, "cleaned")));
            Ok(())
        }
    }
}

/// The queues that an answer names.
fn names(answer: &Value) -> String {
    let queues = answer["queues"].as_array().map_or(&[][..], Vec::as_slice);
    queues.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn metrics(out: Output, stats: &Value) -> Result<(), Failure> {
    let queues = stats["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let keys = [
        "queue",
        "waiting",
        "scheduled",
        "active",
        "uncertain",
        "dead",
        "completed",
        "duplicateSends",
        "breaker",
    ];
    let rows: Vec<_> = queues
        .iter()
        .map(|queue| {
            let mut cells = row(queue, &keys);
            cells.push(text(queue, "paused"));
            cells
        })
        .collect();
    let heads = [
        "queue",
        "waiting",
        "scheduled",
        "active",
        "uncertain",
        "dead",
        "completed",
        "twice",
        "breaker",
        "paused",
    ];
    out.table(&heads, &rows, "no queues");
    nodes(out, stats);
    spool(out, stats);
    let deduplication = &stats["deduplication"];
    out.talk(format_args!(
        "\n{} requests are remembered; {} were answered from memory",
        number(deduplication, "cachedMessages"),
        number(deduplication, "hits")
    ));
    Ok(())
}

/// What waits on the node's disk, where something does, and since when the numbers above are old.
fn spool(out: Output, stats: &Value) {
    let spool = &stats["spool"];
    let away = spool["queuesAway"].as_str();
    if let Some(why) = away {
        let as_of = stats["asOf"].as_str().unwrap_or("before");
        out.talk(format_args!("\nThe queues can't be reached ({why}): these are their numbers of {as_of}."));
    }
    if let Some(why) = spool["stuck"].as_str() {
        out.talk(format_args!("\nThe spool can't be handed over: {why}"));
    }
    let items = number(spool, "items");
    if away.is_some() || items > 0 {
        let bytes = number(spool, "bytes");
        out.talk(format_args!(
            "{items} accepted messages and webhooks wait in this node's spool, {bytes} bytes."
        ));
    }
}

/// The processes that share the queues, where they are several.
fn nodes(out: Output, stats: &Value) {
    let nodes = stats["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    if nodes.len() < 2 {
        return;
    }
    let keys = ["id", "name", "role", "version", "startedAt", "heartbeatAt"];
    let rows: Vec<_> = nodes.iter().map(|node| row(node, &keys)).collect();
    out.line("");
    out.table(&["node", "machine", "role", "version", "started", "last heard of"], &rows, "no nodes");
}
