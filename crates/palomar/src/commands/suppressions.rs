//! `palomar suppressions`: those to whom nothing is sent.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{files, row, short_time};
use crate::cli::Context;
use crate::failure::Failure;

const PATH: &str = "/api/suppressions";

/// What can be done with the list.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them, the newest first.
    List {
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Send nothing to somebody from now on.
    Add {
        /// The phone number or business-scoped user id.
        to: String,
        /// On this channel [usual: on all].
        #[arg(long)]
        channel: Option<String>,
        /// manual, blocked or opt_out [usual: manual].
        #[arg(long)]
        reason: Option<String>,
        /// More on why.
        #[arg(long)]
        detail: Option<String>,
    },
    /// Take one back.
    Remove {
        /// The phone number or business-scoped user id.
        to: String,
        /// The one on this channel [usual: the one on all].
        #[arg(long)]
        channel: Option<String>,
    },
    /// Take a CSV or XLSX file in: recipient, and where wanted channel, reason, detail, created_at.
    Import {
        /// The file; `-` is standard input.
        file: PathBuf,
    },
    /// Give all of them out as CSV.
    Export {
        /// Where to [usual: standard output].
        file: Option<PathBuf>,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    match verb {
        Verb::List { limit } => {
            let found = client.list(PATH, &[], limit.unwrap_or(50)).await?;
            if out.json {
                return out.document(&found);
            }
            let cells = |one| {
                let mut cells = row(one, &["recipient", "channel", "reason", "detail"]);
                cells.push(short_time(one, "createdAt"));
                cells
            };
            let rows: Vec<_> = found.iter().map(cells).collect();
            out.table(&["recipient", "channel", "reason", "detail", "since"], &rows, "nobody is suppressed");
            Ok(())
        }
        Verb::Add { to, channel, reason, detail } => {
            let body = json!({"to": to, "channel": channel, "reason": reason, "detail": detail});
            let kept = client.post(PATH, &[], &body).await?;
            if out.json {
                return out.document(&kept);
            }
            out.talk("nothing is sent to them from now on");
            Ok(())
        }
        Verb::Remove { to, channel } => {
            client.delete(PATH, &[("to", Some(to)), ("channel", channel)]).await?;
            out.talk("taken back");
            Ok(())
        }
        Verb::Import { file } => {
            files::import(context, &client, "/api/suppressions/import", &[], &file).await
        }
        Verb::Export { file } => {
            files::export(context, &client, "/api/suppressions/export", &[], file.as_ref()).await
        }
    }
}
