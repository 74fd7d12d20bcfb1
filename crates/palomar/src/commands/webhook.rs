//! `palomar webhook`: what providers brought and could not be read; to be looked at, and queued again.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{confirm, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;

const PATH: &str = "/api/failed-webhooks";

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List those that could not be processed, the newest first.
    Failed {
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show one as it came.
    Show {
        /// The failed webhook.
        id: String,
    },
    /// Queue one again, or with --all every one that was not yet. What took effect before does not again.
    Replay {
        /// The failed webhook.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All that were not queued again yet.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let (out, client) = (context.out, context.client()?);
    match verb {
        Verb::Failed { limit } => {
            let items = client.list(PATH, &[], limit.unwrap_or(50)).await?;
            if out.json {
                return out.document(&items);
            }
            let rows: Vec<Vec<String>> = items
                .iter()
                .map(|item| {
                    let mut cells = row(item, &["id", "channel"]);
                    cells.extend([short_time(item, "createdAt"), short_time(item, "replayedAt")]);
                    cells.extend(row(item, &["requestId", "errorMessage"]));
                    cells
                })
                .collect();
            let heads = ["id", "channel", "came", "replayed", "request", "error"];
            out.table(&heads, &rows, "no failed webhooks");
            Ok(())
        }
        Verb::Show { id } => {
            let webhook = client.get(&format!("{PATH}/{}", segment(&id)), &[]).await?;
            if out.json {
                return out.document(&webhook);
            }
            let keys = [
                "id",
                "channel",
                "requestId",
                "messageId",
                "createdAt",
                "replayedAt",
                "errorMessage",
                "errorStack",
            ];
            let pairs: Vec<_> = keys.map(|key| (key, text(&webhook, key))).into();
            let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            out.pairs(&pairs);
            out.line("");
            out.line(body(&text(&webhook, "payload")));
            Ok(())
        }
        Verb::Replay { id: Some(id), .. } => {
            client.post(&format!("{PATH}/{}/replay", segment(&id)), &[], &json!({})).await?;
            if out.json {
                return out.document(&json!({ "replayed": 1 }));
            }
            out.line(format_args!("queued again: {id}"));
            Ok(())
        }
        Verb::Replay { id: None, yes, .. } => {
            confirm(context, yes, "queue every failed webhook again")?;
            let replayed = client.post(&format!("{PATH}/replay"), &[], &json!({})).await?;
            if out.json {
                return out.document(&replayed);
            }
            out.line(format_args!("queued again: {}", number(&replayed, "replayed")));
            Ok(())
        }
    }
}

/// The body that came, out of what is kept around it; all of it where that can't be read.
fn body(payload: &str) -> String {
    let kept: Value = serde_json::from_str(payload).unwrap_or_default();
    match &kept["body"] {
        Value::String(body) => body.clone(),
        _ => payload.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_came() {
        assert_eq!(body(r#"{"v":1,"body":"no JSON at all"}"#), "no JSON at all");
        assert_eq!(body(r#"{"v":1,"bytes":"/w=="}"#), r#"{"v":1,"bytes":"/w=="}"#);
        assert_eq!(body("?"), "?");
    }
}
