//! `palomar queue dlq`: dead letters, and with them the messages whose outcome is unknown.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{confirm, message, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;

const PATH: &str = "/api/dead-letters";

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List those that fit, with their reasons.
    List(Filter),
    /// Show one, with everything that happened to it.
    Show {
        /// The message.
        id: String,
    },
    /// Queue one again.
    Retry {
        /// The message.
        id: String,
    },
    /// Queue all that fit again.
    RetryAll {
        #[command(flatten)]
        filter: Filter,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Forget one, or all that fit. Their messages stay in the records, as failed.
    Purge {
        /// The message; all that fit where none is named.
        id: Option<String>,
        #[command(flatten)]
        filter: Filter,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which dead letters are meant; all where nothing is said.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Whose reason contains this.
    #[arg(long)]
    reason: Option<String>,
    /// Queued before (RFC 3339).
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// So many at most, when listing [usual: 50].
    #[arg(long)]
    limit: Option<usize>,
}

impl Default for Verb {
    fn default() -> Verb {
        Verb::List(Filter::default())
    }
}

impl Filter {
    fn pairs(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("channel", self.channel.clone()),
            ("queue", self.queue.clone()),
            ("reason", self.reason.clone()),
            ("before", self.before.clone()),
        ]
    }

    /// As a person reads it: what a question is about.
    fn words(&self) -> String {
        let said: Vec<String> =
            self.pairs().into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
        if said.is_empty() {
            "every dead letter".to_owned()
        } else {
            format!("the dead letters of {}", said.join(", "))
        }
    }
}

/// Runs it.
pub(crate) async fn run(context: &Context, client: &Client, verb: Verb) -> Result<(), Failure> {
    let out = context.out;
    match verb {
        Verb::List(filter) => {
            let items = client.list(PATH, &filter.pairs(), filter.limit.unwrap_or(50)).await?;
            if out.json {
                return out.document(&items);
            }
            let rows: Vec<_> = items
                .iter()
                .map(|item| {
                    let mut cells = row(item, &["id", "queue", "state", "attempts"]);
                    cells.push(short_time(item, "enqueuedAt"));
                    cells.push(text(item, "reason"));
                    cells
                })
                .collect();
            out.table(&["id", "queue", "state", "attempts", "queued", "reason"], &rows, "no dead letters");
            Ok(())
        }
        Verb::Show { id } => message::run(context, message::Verb::Show { id }).await,
        Verb::Retry { id } => {
            let path = format!("/api/messages/{}/retry", segment(&id));
            let retried = client.post(&path, &[], &json!({})).await?;
            if out.json {
                return out.document(&retried);
            }
            out.line(format_args!("{id} {}", text(&retried, "status")));
            Ok(())
        }
        Verb::RetryAll { filter, yes } => {
            confirm(context, yes, &format!("send {} again", filter.words()))?;
            let body: Map<String, Value> = filter
                .pairs()
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
                .collect();
            let retried = client.post(&format!("{PATH}/retry"), &[], &Value::Object(body)).await?;
            if out.json {
                return out.document(&retried);
            }
            out.line(format_args!("queued again: {}", number(&retried, "retried")));
            Ok(())
        }
        Verb::Purge { id, filter, yes } => {
            let what = id.as_ref().map_or_else(|| filter.words(), |id| format!("the dead letter {id}"));
            confirm(context, yes, &format!("forget {what}"))?;
            let mut query = filter.pairs().to_vec();
            query.push(("id", id));
            query.push(("confirm", Some("true".to_owned())));
            let purged = client.delete(PATH, &query).await?;
            if out.json {
                return out.document(&purged);
            }
            out.line(format_args!("forgotten: {}", number(&purged, "purged")));
            Ok(())
        }
    }
}
