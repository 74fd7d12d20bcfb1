//! `palomar conversation`: who wrote, what was answered, who cares for it; and the answer itself.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{number, row, segment, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::Output;

const PATH: &str = "/api/conversations";
/// So much of a text is shown in a list.
const SHORT: usize = 60;

/// What can be done with conversations.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List conversations, that with the newest message first.
    List(Filter),
    /// Show one, with its newest messages.
    Show {
        /// The conversation.
        id: String,
        /// So many messages at most [usual: 20].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Reply with a text.
    Reply {
        /// The conversation.
        id: String,
        /// What to say.
        text: String,
    },
    /// Say who cares for it, what its labels are, that it was read. What is not said stays.
    Update {
        /// The conversation.
        id: String,
        #[command(flatten)]
        change: Change,
    },
}

/// Which conversations are meant; all where nothing is said.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// On this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only those with something unread.
    #[arg(long)]
    unread: bool,
    /// That this person cares for; "none" for nobody.
    #[arg(long)]
    assignee: Option<String>,
    /// With this label.
    #[arg(long)]
    label: Option<String>,
    /// With this in the person's name, number or id, or in a message.
    #[arg(long)]
    text: Option<String>,
    /// So many at most [usual: 50].
    #[arg(long)]
    limit: Option<usize>,
}

/// What is to be so from now on.
#[derive(Clone, Debug, Args)]
pub(crate) struct Change {
    /// Who cares for it.
    #[arg(long)]
    assignee: Option<String>,
    /// Nobody cares for it.
    #[arg(long, conflicts_with = "assignee")]
    no_assignee: bool,
    /// Its labels, all of them; once for each.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// It has no labels.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    /// It was read.
    #[arg(long)]
    read: bool,
}

impl Change {
    /// The body that says so.
    fn body(self) -> Value {
        let mut body = Map::new();
        if self.no_assignee || self.assignee.is_some() {
            body.insert("assignee".to_owned(), json!(self.assignee));
        }
        if self.no_labels || !self.labels.is_empty() {
            body.insert("labels".to_owned(), json!(self.labels));
        }
        if self.read {
            body.insert("read".to_owned(), true.into());
        }
        Value::Object(body)
    }
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let (out, client) = (context.out, context.client()?);
    match verb {
        Verb::List(filter) => {
            let query = [
                ("channel", filter.channel),
                ("unread", filter.unread.then(|| "true".to_owned())),
                ("assignee", filter.assignee),
                ("label", filter.label),
                ("q", filter.text),
            ];
            list(out, &client.list(PATH, &query, filter.limit.unwrap_or(50)).await?)
        }
        Verb::Show { id, limit } => {
            let path = format!("{PATH}/{}", segment(&id));
            let mut conversation = client.get(&path, &[]).await?;
            let messages = client.list(&format!("{path}/messages"), &[], limit.unwrap_or(20)).await?;
            if out.json {
                conversation["messages"] = json!(messages);
                return out.document(&conversation);
            }
            show(out, &conversation, &messages);
            Ok(())
        }
        Verb::Reply { id, text: words } => {
            let body = json!({"type": "text", "content": {"text": words}});
            let sent = client.post(&format!("{PATH}/{}/messages", segment(&id)), &[], &body).await?;
            if out.json {
                return out.document(&sent);
            }
            out.line(format_args!("{} {}", text(&sent, "id"), text(&sent, "status")));
            Ok(())
        }
        Verb::Update { id, change } => {
            let body = change.body();
            if body.as_object().is_some_and(Map::is_empty) {
                return Err(Failure::wrong_use("nothing is to be changed")
                    .help("See `palomar conversation update --help`."));
            }
            let updated = client.patch(&format!("{PATH}/{}", segment(&id)), &body).await?;
            if out.json {
                return out.document(&updated);
            }
            show(out, &updated, &[]);
            Ok(())
        }
    }
}

fn list(out: Output, items: &[Value]) -> Result<(), Failure> {
    if out.json {
        return out.document(&items);
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let last = &item["lastMessage"];
            let arrow = if text(last, "direction") == "inbound" { "←" } else { "→" };
            let words: String = text(last, "text").chars().take(SHORT).collect();
            vec![
                text(item, "id"),
                person(item),
                number(item, "unread").to_string(),
                short_time(last, "at"),
                short_time(item, "windowUntil"),
                text(item, "assignee"),
                format!("{arrow} {words}"),
            ]
        })
        .collect();
    let heads = ["id", "with", "unread", "last", "window until", "assignee", "text"];
    out.table(&heads, &rows, "no conversations");
    Ok(())
}

/// What a person is called: their name, else what they are known by best.
fn person(conversation: &Value) -> String {
    let contact = &conversation["contact"];
    let name = text(contact, "name");
    if name.is_empty() { text(&contact["identities"][0], "value") } else { name }
}

fn show(out: Output, conversation: &Value, messages: &[Value]) {
    let known: Vec<String> = conversation["contact"]["identities"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|identity| format!("{} {}", text(identity, "type"), text(identity, "value")))
        .collect();
    let labels: Vec<&str> =
        conversation["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let pairs = [
        ("id", text(conversation, "id")),
        ("channel", text(conversation, "channel")),
        ("with", person(conversation)),
        ("known by", known.join(", ")),
        ("unread", text(conversation, "unread")),
        ("window until", short_time(conversation, "windowUntil")),
        ("assignee", text(conversation, "assignee")),
        ("labels", labels.join(", ")),
        ("nothing is sent", text(&conversation["suppressed"], "reason")),
    ];
    let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    out.pairs(&pairs);
    if messages.is_empty() {
        return;
    }
    out.line("");
    let rows: Vec<Vec<String>> = messages
        .iter()
        .map(|message| {
            let mut cells = vec![short_time(message, "createdAt")];
            cells.extend(row(message, &["direction", "type", "status"]));
            cells.push(words(message));
            cells.push(text(message, "id"));
            cells
        })
        .collect();
    out.table(&["created", "direction", "type", "status", "text", "id"], &rows, "");
}

/// What a person would read of a message first.
fn words(message: &Value) -> String {
    let content = &message["content"];
    let places = ["/text", "/caption", "/body", "/content/text", "/content/caption"];
    let found = places.iter().find_map(|place| content.pointer(place)?.as_str());
    found.unwrap_or_default().chars().take(SHORT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let none =
            Change { assignee: None, no_assignee: false, labels: vec![], no_labels: false, read: false };
        assert_eq!(none.clone().body(), json!({}));
        let nobody = Change { no_assignee: true, no_labels: true, ..none.clone() };
        assert_eq!(nobody.body(), json!({"assignee": null, "labels": []}));
        let ana =
            Change { assignee: Some("ana".to_owned()), labels: vec!["lead".to_owned()], read: true, ..none };
        assert_eq!(ana.body(), json!({"assignee": "ana", "labels": ["lead"], "read": true}));
    }
}
