//! `palomar contacts`: people, what is known of them, files of them in and out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{files, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;

const PATH: &str = "/api/contacts";

/// What can be done with contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take a CSV or XLSX file in, of any length; the same file may be sent again.
    Import(ImportFlags),
    /// Give contacts out as CSV, which imports as the same.
    Export {
        /// Where to [usual: standard output].
        file: Option<PathBuf>,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// List contacts, those that changed last first.
    List {
        /// With this in their name, a number or an id.
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        chosen: Chosen,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Count contacts.
    Count {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Show one.
    Show {
        /// The contact's id or phone number.
        contact: String,
    },
    /// Keep one: a new one, or what is new of one who is known.
    Add {
        /// The phone number.
        phone: String,
        #[command(flatten)]
        says: Says,
    },
    /// Change what is said of one.
    Set {
        /// The contact's id or phone number.
        contact: String,
        #[command(flatten)]
        says: Says,
        /// A tag to be taken away; may be said several times.
        #[arg(long)]
        untag: Vec<String>,
    },
    /// Give tags to many, or take them away.
    Tag {
        /// A tag that they get; may be said several times.
        #[arg(long)]
        add: Vec<String>,
        /// A tag that is taken from them.
        #[arg(long)]
        remove: Vec<String>,
        /// Ids of contacts.
        ids: Vec<String>,
        #[command(flatten)]
        chosen: Chosen,
    },
}

/// How a file is read.
#[derive(Debug, Args)]
pub(crate) struct ImportFlags {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// What a column is about: COLUMN=phone, name, tags, consent, an attribute, or nothing. May be said several times.
    #[arg(long, value_name = "COLUMN=WHAT")]
    map: Vec<String>,
    /// A tag for all; may be said several times.
    #[arg(long)]
    tag: Vec<String>,
    /// What all agreed to of whom the file does not say: granted, denied or unknown.
    #[arg(long)]
    consent: Option<String>,
    /// Where they did.
    #[arg(long)]
    source: Option<String>,
    /// utf-8, latin-1, utf-16le or utf-16be [usual: told by the bytes].
    #[arg(long)]
    encoding: Option<String>,
    /// The sheet of a spreadsheet [usual: the first].
    #[arg(long)]
    sheet: Option<String>,
    /// Keep nothing, only tell what would be refused.
    #[arg(long)]
    dry_run: bool,
}

/// Which contacts are meant; all where nothing is said.
#[derive(Debug, Default, Args)]
pub(crate) struct Chosen {
    /// Whom a filter means, for example 'city = "Madrid" and tag = vip'.
    #[arg(long)]
    filter: Option<String>,
    /// Of this segment: its name or id.
    #[arg(long)]
    segment: Option<String>,
}

impl Chosen {
    fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        vec![("filter", self.filter.clone()), ("segment", self.segment.clone())]
    }
}

/// What is said of somebody.
#[derive(Debug, Args)]
pub(crate) struct Says {
    /// What you call them.
    #[arg(long)]
    name: Option<String>,
    /// An attribute; without a value it is taken away. Numbers, true and false are taken as such; may be said several times.
    #[arg(long, value_name = "NAME=VALUE")]
    attr: Vec<String>,
    /// A tag; may be said several times.
    #[arg(long)]
    tag: Vec<String>,
    /// granted, denied or unknown.
    #[arg(long)]
    consent: Option<String>,
    /// Where they agreed, or who says so.
    #[arg(long)]
    source: Option<String>,
}

impl Says {
    /// As the API takes it; `tags` is what it calls the tags.
    fn document(&self, tags: &str) -> Result<Map<String, Value>, Failure> {
        let mut document = Map::new();
        if let Some(name) = &self.name {
            document.insert("name".to_owned(), json!(name));
        }
        let mut attributes = Map::new();
        for said in &self.attr {
            let (name, value) = pair("--attr", said)?;
            attributes.insert(name.to_owned(), typed(value));
        }
        document.insert("attributes".to_owned(), Value::Object(attributes));
        document.insert(tags.to_owned(), json!(self.tag));
        if let Some(state) = &self.consent {
            document.insert("consent".to_owned(), json!({"state": state, "source": self.source}));
        }
        Ok(document)
    }
}

fn pair<'t>(flag: &str, said: &'t str) -> Result<(&'t str, &'t str), Failure> {
    let what = || Failure::wrong_use(format!("{flag} {said:?}: say it as NAME=VALUE"));
    said.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(what)
}

/// A value as a person types it: what is a number when written back the same is one; nothing is null.
fn typed(value: &str) -> Value {
    match value {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match value.parse::<serde_json::Number>() {
            Ok(number) if number.to_string() == value => Value::Number(number),
            _ => Value::String(value.to_owned()),
        },
    }
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    match verb {
        Verb::Import(flags) => import(context, &client, &flags).await,
        Verb::Export { file, chosen } => {
            files::export(context, &client, "/api/contacts/export", &chosen.pairs(), file.as_ref()).await
        }
        Verb::List { text: words, chosen, limit } => {
            let mut query = chosen.pairs();
            query.push(("q", words));
            let found = client.list(PATH, &query, limit.unwrap_or(50)).await?;
            if out.json {
                return out.document(&found);
            }
            let rows: Vec<_> = found.iter().map(cells).collect();
            out.table(&["id", "name", "phone", "tags", "consent", "changed"], &rows, "no contacts");
            Ok(())
        }
        Verb::Count { chosen } => {
            let counted = client.get("/api/contacts/count", &chosen.pairs()).await?;
            if out.json {
                return out.document(&counted);
            }
            out.line(text(&counted, "count"));
            Ok(())
        }
        Verb::Show { contact } => show(context, &find(&client, &contact).await?),
        Verb::Add { phone, says } => {
            let mut document = says.document("tags")?;
            document.insert("phone".to_owned(), json!(phone));
            show(context, &client.post(PATH, &[], &Value::Object(document)).await?)
        }
        Verb::Set { contact, says, untag } => {
            let mut document = says.document("addTags")?;
            document.insert("removeTags".to_owned(), json!(untag));
            let id = text(&find(&client, &contact).await?, "id");
            let path = format!("{PATH}/{}", segment(&id));
            show(context, &client.patch(&path, &Value::Object(document)).await?)
        }
        Verb::Tag { add, remove, ids, chosen } => {
            let body = json!({"ids": ids, "filter": chosen.filter, "segment": chosen.segment, "add": add, "remove": remove});
            let tagged = client.post("/api/contacts/tags", &[], &body).await?;
            if out.json {
                return out.document(&tagged);
            }
            out.line(format_args!("{} changed", text(&tagged, "count")));
            Ok(())
        }
    }
}

async fn import(context: &Context, client: &Client, flags: &ImportFlags) -> Result<(), Failure> {
    let mut columns = Map::new();
    for said in &flags.map {
        let (column, what) = pair("--map", said)?;
        columns.insert(column.to_owned(), if what.is_empty() { Value::Null } else { json!(what) });
    }
    let query = [
        ("columns", (!columns.is_empty()).then(|| Value::Object(columns).to_string())),
        ("tags", (!flags.tag.is_empty()).then(|| flags.tag.join(","))),
        ("consent", flags.consent.clone()),
        ("source", flags.source.clone()),
        ("encoding", flags.encoding.clone()),
        ("sheet", flags.sheet.clone()),
        ("dryRun", flags.dry_run.then(|| "true".to_owned())),
    ];
    files::import(context, client, "/api/contacts/import", &query, &flags.file).await
}

/// A contact by its id, else by its number.
async fn find(client: &Client, contact: &str) -> Result<Value, Failure> {
    let is_number = contact.starts_with('+') || contact.bytes().all(|c| c.is_ascii_digit());
    if !is_number {
        return client.get(&format!("{PATH}/{}", segment(contact)), &[]).await;
    }
    let digits = contact.trim_start_matches('+');
    let filter = format!("phone = \"+{digits}\"");
    let found = client.list(PATH, &[("filter", Some(filter))], 1).await?;
    found.into_iter().next().ok_or_else(|| Failure::new(format!("nobody with the number {contact} is known")))
}

fn words(value: &Value) -> String {
    let words = value.as_array().map_or(&[][..], Vec::as_slice);
    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// What they are known by first.
fn known_by(contact: &Value) -> String {
    text(&contact["identities"][0], "value")
}

fn cells(contact: &Value) -> Vec<String> {
    vec![
        text(contact, "id"),
        text(contact, "name"),
        known_by(contact),
        words(&contact["tags"]),
        text(&contact["consent"], "state"),
        short_time(contact, "updatedAt"),
    ]
}

fn show(context: &Context, contact: &Value) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        return out.document(contact);
    }
    let identities = contact["identities"].as_array().map_or(&[][..], Vec::as_slice);
    let identities: Vec<_> =
        identities.iter().map(|one| format!("{} {}", text(one, "type"), text(one, "value"))).collect();
    let consent = &contact["consent"];
    let consent = [text(consent, "state"), text(consent, "source"), short_time(consent, "at")];
    let consent: Vec<_> = consent.into_iter().filter(|part| !part.is_empty()).collect();
    let mut pairs = vec![
        ("id", text(contact, "id")),
        ("name", text(contact, "name")),
        ("known by", identities.join(", ")),
        ("tags", words(&contact["tags"])),
        ("consent", consent.join(", ")),
        ("since", short_time(contact, "createdAt")),
    ];
    let attributes = contact["attributes"].as_object().cloned().unwrap_or_default();
    pairs.extend(attributes.keys().map(|name| (name.as_str(), text(&contact["attributes"], name))));
    out.pairs(&pairs);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_typed_as_they_are_written() {
        for (value, expected) in [
            ("Madrid", json!("Madrid")),
            ("30", json!(30)),
            ("-1.5", json!(-1.5)),
            ("00123", json!("00123")),
            ("1e3", json!("1e3")),
            ("true", json!(true)),
            ("", Value::Null),
        ] {
            assert_eq!(typed(value), expected, "{value}");
        }
        assert_eq!(pair("--map", "a=b=c").expect("a pair"), ("a=b", "c"));
        assert!(pair("--map", "=c").is_err());
    }
}
