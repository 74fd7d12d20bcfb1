//! `palomar alert`: what was found to be wrong, and who knows.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{row, segment, short_time};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::Output;

const PATH: &str = "/api/alerts";

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them, the newest first.
    List {
        /// Only those that are firing, or resolved.
        #[arg(long, value_parser = ["firing", "resolved"])]
        state: Option<String>,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show one.
    Show {
        /// The alert.
        id: String,
    },
    /// Say that you know of one.
    Ack {
        /// The alert.
        id: String,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    match verb {
        Verb::List { state, limit } => {
            let found = client.list(PATH, &[("state", state)], limit.unwrap_or(50)).await?;
            if out.json {
                return out.document(&found);
            }
            table(out, &found);
            Ok(())
        }
        Verb::Show { id } => {
            let found = client.get(&format!("{PATH}/{}", segment(&id)), &[]).await?;
            shown(out, found)
        }
        Verb::Ack { id } => {
            let found = client.post(&format!("{PATH}/{}/ack", segment(&id)), &[], &json!({})).await?;
            shown(out, found)
        }
    }
}

fn shown(out: Output, found: Value) -> Result<(), Failure> {
    if out.json {
        return out.document(&found);
    }
    table(out, &[found]);
    Ok(())
}

fn table(out: Output, found: &[Value]) {
    let cells = |one: &Value| {
        let mut cells = row(one, &["id", "severity", "state", "rule", "subject", "detail"]);
        cells.extend([short_time(one, "firedAt"), short_time(one, "resolvedAt")]);
        cells.extend(row(one, &["acknowledgedBy"]));
        cells
    };
    let rows: Vec<_> = found.iter().map(cells).collect();
    let heads = ["alert", "severity", "state", "rule", "about", "detail", "since", "until", "known by"];
    out.table(&heads, &rows, "nothing is wrong");
}
