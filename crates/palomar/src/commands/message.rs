//! `palomar message`: look at messages and decide about them.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{row, segment, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::Output;

/// What can be done with messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List messages, the newest first.
    List {
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
        /// To this person.
        #[arg(long)]
        to: Option<String>,
        /// In this state.
        #[arg(long)]
        status: Option<String>,
        /// Of this campaign.
        #[arg(long)]
        campaign: Option<String>,
        /// Only outbound or inbound ones.
        #[arg(long, value_parser = ["outbound", "inbound"])]
        direction: Option<String>,
        /// Not before (RFC 3339).
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Before (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// With these words in the text.
        #[arg(long)]
        text: Option<String>,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show one message and everything that happened to it.
    Show {
        /// The message.
        id: String,
    },
    /// Say what holds a message and when it will go.
    Explain {
        /// The message.
        id: String,
    },
    /// Cancel a message that waits.
    Cancel {
        /// The message.
        id: String,
    },
    /// Queue a dead letter again: a new attempt.
    Retry {
        /// The message.
        id: String,
    },
    /// Send a scheduled message, or one that waits for its next attempt, now.
    Promote {
        /// The message.
        id: String,
    },
    /// Decide about a message whose outcome is unknown.
    Settle {
        /// The message.
        id: String,
        /// What became of it.
        outcome: Outcome,
    },
}

/// A person's answer to an uncertain message.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Outcome {
    /// It went out.
    Sent,
    /// It did not, and shall not.
    Failed,
    /// It shall be tried again: at worst it goes out twice.
    Retry,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let path = |id: &str, rest: &str| format!("/api/messages/{}{rest}", segment(id));
    let changed = match verb {
        Verb::List { channel, to, status, campaign, direction, from, until, text, limit } => {
            let query = [
                ("channel", channel),
                ("to", to),
                ("status", status),
                ("campaign", campaign),
                ("direction", direction),
                ("from", from),
                ("until", until),
                ("q", text),
            ];
            let items = client.list("/api/messages", &query, limit.unwrap_or(50)).await?;
            return list(out, &items);
        }
        Verb::Show { id } => {
            let message = client.get(&path(&id, ""), &[]).await?;
            return if out.json { out.document(&message) } else { show(out, &message) };
        }
        Verb::Explain { id } => {
            let explained = client.get(&path(&id, "/explain"), &[]).await?;
            return if out.json { out.document(&explained) } else { explain(out, &explained) };
        }
        Verb::Cancel { id } => client.delete(&path(&id, ""), &[]).await?,
        Verb::Retry { id } => client.post(&path(&id, "/retry"), &[], &json!({})).await?,
        Verb::Promote { id } => client.post(&path(&id, "/promote"), &[], &json!({})).await?,
        Verb::Settle { id, outcome } => {
            let outcome = match outcome {
                Outcome::Sent => "sent",
                Outcome::Failed => "failed",
                Outcome::Retry => "retry",
            };
            client.post(&path(&id, "/settle"), &[], &json!({"outcome": outcome})).await?
        }
    };
    if out.json {
        return out.document(&changed);
    }
    out.line(format_args!("{} {}", text(&changed, "id"), text(&changed, "status")));
    Ok(())
}

fn list(out: Output, items: &[Value]) -> Result<(), Failure> {
    if out.json {
        return out.document(&items);
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let other = if text(item, "direction").starts_with("in") { "from" } else { "to" };
            let mut cells = row(item, &["id", "direction", "channel", other, "type", "status"]);
            cells.push(short_time(item, "createdAt"));
            cells
        })
        .collect();
    out.table(&["id", "direction", "channel", "with", "type", "status", "created"], &rows, "no messages");
    Ok(())
}

fn show(out: Output, message: &Value) -> Result<(), Failure> {
    let keys = [
        "id",
        "direction",
        "channel",
        "to",
        "from",
        "type",
        "content",
        "status",
        "reason",
        "priority",
        "attempts",
        "providerMessageId",
        "campaignId",
        "metadata",
        "createdAt",
        "scheduledAt",
        "expiresAt",
    ];
    let pairs: Vec<(&str, String)> = keys
        .iter()
        .map(|key| (*key, text(message, key)))
        .filter(|(_, value)| !value.is_empty() && value != "{}")
        .collect();
    out.pairs(&pairs);
    let media = message["media"].as_array().map_or(&[][..], Vec::as_slice);
    if !media.is_empty() {
        out.line("");
        let columns = ["id", "state", "type", "size", "filename", "error"];
        let rows: Vec<Vec<String>> = media.iter().map(|one| row(one, &columns)).collect();
        out.table(&["media", "state", "type", "size", "name", "error"], &rows, "");
    }
    let timeline = message["timeline"].as_array().map_or(&[][..], Vec::as_slice);
    if !timeline.is_empty() {
        out.line("");
        let rows: Vec<Vec<String>> = timeline
            .iter()
            .map(|entry| {
                let what = if entry["what"].is_null() { text(entry, "kind") } else { text(entry, "what") };
                vec![text(entry, "at"), what, text(entry, "attempt"), text(entry, "detail")]
            })
            .collect();
        out.table(&["at", "what", "attempt", "detail"], &rows, "");
    }
    Ok(())
}

fn explain(out: Output, explained: &Value) -> Result<(), Failure> {
    let expected = text(explained, "expectedAt");
    let status =
        if explained["status"].is_null() { text(explained, "state") } else { text(explained, "status") };
    out.pairs(&[
        ("id", text(explained, "id")),
        ("status", status),
        ("ahead of it", text(explained, "ahead")),
        (
            "expected",
            if expected.is_empty() { "only evidence or a person can tell".to_owned() } else { expected },
        ),
    ]);
    let holds = explained["holds"].as_array().map_or(&[][..], Vec::as_slice);
    if !holds.is_empty() {
        out.line("");
    }
    let rows: Vec<Vec<String>> = holds.iter().map(|hold| row(hold, &["kind", "detail", "until"])).collect();
    out.table(&["held by", "detail", "until"], &rows, "nothing holds it");
    Ok(())
}
