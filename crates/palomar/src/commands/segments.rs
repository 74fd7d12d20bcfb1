//! `palomar segments`: groups of contacts, each said by a filter.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{confirm, row, segment, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;

const PATH: &str = "/api/segments";

/// What can be done with segments.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List segments.
    List,
    /// Show one, and how many are in it now.
    Show {
        /// Its name or id.
        segment: String,
    },
    /// Make one.
    Create {
        /// Its name.
        name: String,
        /// Who is in it, for example 'city = "Madrid" and age >= 30 and not tag = blocked'.
        filter: String,
    },
    /// Change one.
    Change {
        /// Its name or id.
        segment: String,
        /// Its name from now on.
        #[arg(long)]
        name: Option<String>,
        /// Who is in it from now on.
        #[arg(long)]
        filter: Option<String>,
    },
    /// Forget one. Its contacts stay.
    Delete {
        /// Its name or id.
        segment: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let of = |name: &str| format!("{PATH}/{}", segment(name));
    match verb {
        Verb::List => {
            let found = client.list(PATH, &[], usize::MAX).await?;
            if out.json {
                return out.document(&found);
            }
            let rows: Vec<_> = found.iter().map(|one| row(one, &["id", "name", "filter"])).collect();
            out.table(&["id", "name", "filter"], &rows, "no segments");
            Ok(())
        }
        Verb::Show { segment } => {
            let mut found = client.get(&of(&segment), &[]).await?;
            let id = text(&found, "id");
            let counted = client.get("/api/contacts/count", &[("segment", Some(id))]).await?;
            found["contacts"] = counted["count"].clone();
            show(context, &found)
        }
        Verb::Create { name, filter } => {
            show(context, &client.post(PATH, &[], &json!({"name": name, "filter": filter})).await?)
        }
        Verb::Change { segment, name, filter } => {
            show(context, &client.patch(&of(&segment), &json!({"name": name, "filter": filter})).await?)
        }
        Verb::Delete { segment, yes } => {
            confirm(context, yes, &format!("forget the segment {segment}"))?;
            client.delete(&of(&segment), &[]).await?;
            out.talk(format_args!("{segment} is forgotten; its contacts stay"));
            Ok(())
        }
    }
}

fn show(context: &Context, segment: &Value) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        return out.document(segment);
    }
    let mut pairs = vec![
        ("id", text(segment, "id")),
        ("name", text(segment, "name")),
        ("filter", text(segment, "filter")),
        ("changed", short_time(segment, "updatedAt")),
    ];
    if !segment["contacts"].is_null() {
        pairs.push(("contacts", text(segment, "contacts")));
    }
    out.pairs(&pairs);
    Ok(())
}
