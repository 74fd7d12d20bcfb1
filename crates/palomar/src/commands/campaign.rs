//! `palomar campaign`: write campaigns, look at them beforehand, run them, hold them in the hand.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::campaign_shown::{dry_run, items, list, look, ordered, previews, report, show, span, watch};
use super::{confirm, files, number, row, segment, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;

const CAMPAIGNS: &str = "/api/campaigns";
/// Campaigns of one name that are named where it is not clear which is meant.
const MOST_NAMESAKES: usize = 20;
/// Contacts that go in one request.
const CHUNK: usize = 5_000;

/// What can be done with campaigns.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a campaign. It is sent when it is started, or when its time comes.
    Create(Box<Create>),
    /// List campaigns, the newest first.
    List {
        /// In this state: draft, scheduled, sending, paused, finished or stopped.
        #[arg(long)]
        state: Option<String>,
        /// Of this channel.
        #[arg(long)]
        channel: Option<String>,
        /// So many at most [usual: 50].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a campaign and how far it is.
    Show {
        /// Its id or its name.
        campaign: String,
    },
    /// Show what its first contacts would get.
    Preview {
        /// Its id or its name.
        campaign: String,
        /// So many of them [usual: 10].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show who would get what and who nothing, and how long it would take. Changes nothing.
    DryRun {
        /// Its id or its name.
        campaign: String,
    },
    /// Send its message to some numbers at once.
    Test {
        /// Its id or its name.
        campaign: String,
        /// The numbers.
        #[arg(required = true)]
        to: Vec<String>,
    },
    /// Start it.
    Start {
        /// Its id or its name.
        campaign: String,
    },
    /// Watch it until it ends.
    Watch {
        /// Its id or its name.
        campaign: String,
        /// Show how far it is now, and no more.
        #[arg(long)]
        once: bool,
    },
    /// Hold it: none of its messages starts until it is resumed.
    Pause {
        /// Its id or its name.
        campaign: String,
    },
    /// Let it go on.
    Resume {
        /// Its id or its name.
        campaign: String,
    },
    /// End it for good: what waits is called off.
    Stop {
        /// Its id or its name.
        campaign: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make a campaign for those of an ended one whose message failed; who they are is read when it begins.
    Resend {
        /// Its id or its name.
        campaign: String,
        /// What the new one is called.
        #[arg(long)]
        name: Option<String>,
        /// Those too of whom it is not known whether they got it: they may get it twice.
        #[arg(long)]
        uncertain: bool,
        /// Start it at once.
        #[arg(long)]
        start: bool,
    },
    /// Show what became of it.
    Report {
        /// Its id or its name.
        campaign: String,
    },
    /// List what became of each of its contacts.
    Results {
        /// Its id or its name.
        campaign: String,
        /// So many at most [usual: all].
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Give what became of each of its contacts out as CSV.
    Export {
        /// Its id or its name.
        campaign: String,
        /// Where to [usual: standard output].
        file: Option<PathBuf>,
    },
    /// Forget one that does not run. Its messages stay.
    Delete {
        /// Its id or its name.
        campaign: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// `palomar campaign create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people call it.
    name: String,
    /// The text, with places such as {{name}} or {{name|friend}}.
    #[arg(long, required_unless_present = "file")]
    message: Option<String>,
    /// A file of JSON with more of it, as POST /api/campaigns takes it; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The channel that sends it; the only one there is where it is left out.
    #[arg(long)]
    channel: Option<String>,
    /// A number; may be said several times.
    #[arg(long)]
    to: Vec<String>,
    /// A file of contacts: CSV with a column `phone`, and others that the text may name.
    #[arg(long, value_name = "FILE")]
    contacts: Option<PathBuf>,
    /// Contacts of a segment, by its id or its name, as they are when it begins.
    #[arg(long)]
    segment: Option<String>,
    /// Contacts whom a filter means, as they are when it begins.
    #[arg(long, conflicts_with = "segment")]
    filter: Option<String>,
    /// When it begins by itself (RFC 3339).
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// When it begins again and again, as a cron expression: '0 9 * * MON-FRI'.
    #[arg(long, value_name = "EXPRESSION")]
    repeat: Option<String>,
    /// By the clocks of this zone [usual: UTC].
    #[arg(long, requires = "repeat")]
    zone: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let path = |id: &str, what: &str| format!("{CAMPAIGNS}/{}{what}", segment(id));
    match verb {
        Verb::Create(create) => {
            let made = make(&client, *create).await?;
            if out.json {
                return out.document(&made);
            }
            out.line(text(&made, "id"));
            out.talk(format_args!(
                "{} contacts; `palomar campaign dry-run {}` says what it would do.",
                number(&made, "contacts"),
                text(&made, "id")
            ));
            Ok(())
        }
        Verb::List { state, channel, limit } => {
            let query = [("status", state), ("channel", channel)];
            let found = client.list(CAMPAIGNS, &query, limit.unwrap_or(50)).await?;
            if out.json { out.document(&found) } else { list(out, &found) }
        }
        Verb::Show { campaign } => {
            let id = find(&client, &campaign).await?;
            let status = client.get(&path(&id, "/queue-status"), &[]).await?;
            let found = client.get(&path(&id, ""), &[]).await?;
            if out.json {
                return out.document(&json!({"campaign": found, "status": status["status"]}));
            }
            show(out, &found, &status["status"]);
            Ok(())
        }
        Verb::Preview { campaign, limit } => {
            let id = find(&client, &campaign).await?;
            let body = json!({ "limit": limit.unwrap_or(10) });
            let found = client.post(&path(&id, "/preview"), &[], &body).await?;
            if out.json { out.document(&found) } else { previews(out, &found) }
        }
        Verb::DryRun { campaign } => {
            let id = find(&client, &campaign).await?;
            let found = client.post(&path(&id, "/dry-run"), &[], &json!({})).await?;
            if out.json {
                return out.document(&found);
            }
            dry_run(out, &found);
            Ok(())
        }
        Verb::Test { campaign, to } => {
            let id = find(&client, &campaign).await?;
            let found = client.post(&path(&id, "/test"), &[], &json!({ "to": to })).await?;
            if out.json {
                return out.document(&found);
            }
            let rows: Vec<_> = items(&found).map(|one| row(one, &["to", "id", "status", "error"])).collect();
            out.table(&["to", "message", "state", "error"], &rows, "nobody");
            Ok(())
        }
        Verb::Start { campaign } => {
            let id = find(&client, &campaign).await?;
            start(context, &client, &id).await
        }
        Verb::Resend { campaign, name, uncertain, start: at_once } => {
            let id = find(&client, &campaign).await?;
            let mut body = json!({ "uncertain": uncertain });
            if let Some(name) = name {
                body["name"] = name.into();
            }
            let made = client.post(&path(&id, "/resend"), &[], &body).await?;
            if at_once && text(&made, "status") == "draft" {
                return start(context, &client, &text(&made, "id")).await;
            }
            if out.json {
                return out.document(&made);
            }
            out.line(text(&made, "id"));
            out.talk(format_args!(
                "{} goes to the failed of {id} and is {}; `palomar campaign dry-run {0}` says who they are.",
                text(&made, "id"),
                text(&made, "status")
            ));
            Ok(())
        }
        Verb::Watch { campaign, once } => {
            let id = find(&client, &campaign).await?;
            if once { look(context, &client, &id).await } else { watch(context, &client, &id).await }
        }
        Verb::Pause { campaign } => {
            let id = find(&client, &campaign).await?;
            ordered(out, &client.post(&path(&id, "/queue-pause"), &[], &json!({})).await?)
        }
        Verb::Resume { campaign } => {
            let id = find(&client, &campaign).await?;
            ordered(out, &client.post(&path(&id, "/queue-resume"), &[], &json!({})).await?)
        }
        Verb::Stop { campaign, yes } => {
            let id = find(&client, &campaign).await?;
            confirm(context, yes, &format!("end {id} for good"))?;
            ordered(out, &client.post(&path(&id, "/queue-stop"), &[], &json!({})).await?)
        }
        Verb::Report { campaign } => {
            let id = find(&client, &campaign).await?;
            let found = client.get(&path(&id, "/report"), &[]).await?;
            if out.json {
                return out.document(&found);
            }
            report(out, &found);
            Ok(())
        }
        Verb::Results { campaign, limit } => {
            let id = find(&client, &campaign).await?;
            let path = path(&id, "/recipients");
            let found = client.list(&path, &[], limit.unwrap_or(usize::MAX)).await?;
            if out.json {
                return out.document(&found);
            }
            let keys =
                ["recipient", "status", "reason", "code", "messageId", "sentAt", "deliveredAt", "readAt"];
            let rows: Vec<_> = found.iter().map(|one| row(one, &keys)).collect();
            let heads = ["contact", "state", "reason", "code", "message", "sent", "delivered", "read"];
            out.table(&heads, &rows, "no contacts");
            Ok(())
        }
        Verb::Export { campaign, file } => {
            let id = find(&client, &campaign).await?;
            files::export(context, &client, &path(&id, "/recipients/export"), &[], file.as_ref()).await
        }
        Verb::Delete { campaign, yes } => {
            let id = find(&client, &campaign).await?;
            confirm(context, yes, &format!("forget {id}"))?;
            client.delete(&path(&id, ""), &[]).await?;
            out.talk(format_args!("{id} is forgotten; its messages stay."));
            Ok(())
        }
    }
}

/// The id of a campaign that is named by its id or its name.
async fn find(client: &Client, named: &str) -> Result<String, Failure> {
    if named.strip_prefix("campaign_").is_some_and(|rest| rest.len() == 32) {
        return Ok(named.to_owned());
    }
    let found = client.list(CAMPAIGNS, &[("name", Some(named.to_owned()))], MOST_NAMESAKES).await?;
    match found.as_slice() {
        [] => Err(Failure::new(format!("no campaign is called {named:?}"))
            .help("`palomar campaign list` shows all of them.")),
        [only] => Ok(text(only, "id")),
        several => {
            let of = |one: &Value| format!("  {} ({})", text(one, "id"), text(one, "status"));
            let ids: Vec<_> = several.iter().map(of).collect();
            Err(Failure::wrong_use(format!(
                "{named:?} is the name of several campaigns: say which by its id\n{}",
                ids.join("\n")
            )))
        }
    }
}

async fn start(context: &Context, client: &Client, id: &str) -> Result<(), Failure> {
    let out = context.out;
    let started = client.post(&format!("{CAMPAIGNS}/{}/start", segment(id)), &[], &json!({})).await?;
    if out.json {
        return out.document(&started);
    }
    out.line(format_args!(
        "{}: {} contacts, about {}",
        text(&started, "message"),
        number(&started, "estimatedContacts"),
        span(number(&started, "estimatedTime"))
    ));
    out.talk(format_args!("`palomar campaign watch {id}` shows how it goes."));
    Ok(())
}

/// Makes a campaign, and adds its contacts a few thousand at a time.
async fn make(client: &Client, create: Create) -> Result<Value, Failure> {
    let mut body = match &create.file {
        Some(file) => read_json(file)?,
        None => json!({}),
    };
    body["name"] = create.name.into();
    for (name, value) in [("message", create.message), ("channel", create.channel)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let mut contacts: Vec<Value> = create.to.into_iter().map(Value::from).collect();
    if let Some(file) = &create.contacts {
        contacts.extend(read_contacts(file)?);
    }
    let audience = match (&create.segment, &create.filter) {
        (Some(segment), _) => Some(json!({ "segment": segment })),
        (None, Some(filter)) => Some(json!({ "filter": filter })),
        (None, None) => None,
    };
    let mut begins = json!({});
    if let Some(at) = create.at {
        begins["scheduledAt"] = at.into();
    }
    if let Some(cron) = create.repeat {
        begins["repeat"] = json!({ "cron": cron, "timeZone": create.zone });
    }
    if contacts.is_empty() && audience.is_none() {
        for (name, value) in begins.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        return client.post(CAMPAIGNS, &[], &body).await;
    }
    // Not before everybody is in it.
    let later = body["repeat"].take();
    if let Some(body) = body.as_object_mut() {
        body.remove("repeat");
    }
    if begins["repeat"].is_null() && !later.is_null() {
        begins["repeat"] = later;
    }
    let made = client.post(CAMPAIGNS, &[], &body).await?;
    let path = format!("{CAMPAIGNS}/{}", segment(&text(&made, "id")));
    for chunk in contacts.chunks(CHUNK) {
        client.post(&format!("{path}/contacts"), &[], &json!({ "contacts": chunk })).await?;
    }
    if let Some(audience) = audience {
        client.post(&format!("{path}/contacts"), &[], &json!({ "audience": audience })).await?;
    }
    if begins.as_object().is_some_and(|begins| !begins.is_empty()) {
        client.patch(&path, &begins).await
    } else {
        client.get(&path, &[]).await
    }
}

fn read_json(file: &std::path::Path) -> Result<Value, Failure> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| Failure::new(format!("can't read {}: {error}", file.display())))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", file.display())))?;
    if value.is_object() { Ok(value) } else { Err(Failure::wrong_use("the file must hold a JSON object")) }
}

fn read_contacts(file: &std::path::Path) -> Result<Vec<Value>, Failure> {
    let wrong = |error: csv::Error| Failure::wrong_use(format!("{}: {error}", file.display()));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(wrong)?;
    let heads = reader.headers().map_err(wrong)?.clone();
    if !heads.iter().any(|head| head.trim_start_matches('\u{feff}') == "phone") {
        return Err(Failure::wrong_use(format!("{} has no column `phone`", file.display())));
    }
    let mut contacts = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let fields = heads.iter().zip(&record).filter(|(_, value)| !value.is_empty());
        let fields =
            fields.map(|(head, value)| (head.trim_start_matches('\u{feff}').to_owned(), value.into()));
        contacts.push(Value::Object(fields.collect()));
    }
    Ok(contacts)
}
