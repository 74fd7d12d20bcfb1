//! `palomar template`: what providers approved to be said, and what a text becomes for somebody.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{row, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;

const PATH: &str = "/api/templates";

/// What can be done with templates.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List templates as their providers last told of them.
    List {
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
    },
    /// Show one, in all its languages, with its parts.
    Show {
        /// Its name.
        name: String,
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
    },
    /// Ask a channel's provider how its templates stand now.
    Pull {
        /// The channel.
        channel: String,
    },
    /// Show what a text with variables becomes.
    Preview {
        /// The text, for example 'Hola {{name|amigo}}'.
        text: String,
        /// For this contact, by its id.
        #[arg(long)]
        contact: Option<String>,
        /// A value over the contact's; may be said several times.
        #[arg(long, value_name = "NAME=VALUE")]
        value: Vec<String>,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    match verb {
        Verb::List { channel } => list(context, &client.get(PATH, &[("channel", channel)]).await?),
        Verb::Show { name, channel } => {
            let found = client.get(PATH, &[("channel", channel), ("name", Some(name.clone()))]).await?;
            show(context, &name, &found)
        }
        Verb::Pull { channel } => {
            list(context, &client.post("/api/templates/pull", &[], &json!({"channel": channel})).await?)
        }
        Verb::Preview { text, contact, value } => {
            let mut values = Map::new();
            for said in &value {
                let wrong = || Failure::wrong_use(format!("--value {said:?}: say it as NAME=VALUE"));
                let (name, value) = said.split_once('=').ok_or_else(wrong)?;
                values.insert(name.to_owned(), json!(value));
            }
            let body = json!({"text": text, "contact": contact, "values": values});
            preview(context, &client.post("/api/templates/preview", &[], &body).await?)
        }
    }
}

fn items(found: &Value) -> &[Value] {
    found["items"].as_array().map_or(&[][..], Vec::as_slice)
}

fn list(context: &Context, found: &Value) -> Result<(), Failure> {
    let out = context.out;
    let found = items(found);
    if out.json {
        return out.document(&found);
    }
    let cells = |one| {
        let mut cells = row(one, &["channel", "name", "language", "category", "status", "quality", "reason"]);
        cells.push(short_time(one, "pulledAt"));
        cells
    };
    let rows: Vec<_> = found.iter().map(cells).collect();
    let heads = ["channel", "name", "language", "category", "status", "quality", "reason", "as of"];
    out.table(&heads, &rows, "no templates: ask for them with `palomar template pull CHANNEL`");
    Ok(())
}

fn show(context: &Context, name: &str, found: &Value) -> Result<(), Failure> {
    let out = context.out;
    let found = items(found);
    if found.is_empty() {
        return Err(Failure::new(format!("no template {name:?} is known"))
            .help("Ask the provider with `palomar template pull CHANNEL`."));
    }
    if out.json {
        return out.document(&found);
    }
    for one in found {
        let parts = one["components"].as_array().map_or(&[][..], Vec::as_slice);
        let mut pairs: Vec<_> = ["channel", "name", "language", "category", "status", "quality", "reason"]
            .into_iter()
            .map(|key| (key, text(one, key)))
            .collect();
        let part = |part: &Value| {
            let words = [text(part, "format"), text(part, "text")];
            let words: Vec<_> = words.into_iter().filter(|words| !words.is_empty()).collect();
            format!("{} {}", text(part, "type").to_lowercase(), words.join(" "))
        };
        pairs.extend(parts.iter().map(|one| ("part", part(one))));
        out.pairs(&pairs);
    }
    Ok(())
}

fn preview(context: &Context, tried: &Value) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        return out.document(tried);
    }
    match tried["content"]["content"]["text"].as_str() {
        Some(said) => out.line(crate::output::visible(said)),
        None => return Err(Failure::new(format!("it can't be given to them: {}", text(tried, "problem")))),
    }
    Ok(())
}
