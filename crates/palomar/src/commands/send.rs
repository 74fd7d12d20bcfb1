//! `palomar send`: one message, or all of a file.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::follow::{Until, follow};
use super::{bulk, text};
use crate::cli::Context;
use crate::failure::Failure;

/// `palomar send`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar send --to +34600111222 --text 'Hola' --wait
  palomar send --to +34600111222 --template order_ready --language es --var 1=Ana --var 2=A-1043
  palomar send --to +34600111222 --text 'See you tomorrow' --at 2026-12-24T09:00:00Z
  palomar send --file contacts.csv --text 'Hola' --channel shop
  palomar send --file - < messages.ndjson

A file is CSV (a head with the columns `to`, `text`, `channel`, `template`, `template.1`, `priority`, `scheduledAt`, …)
or NDJSON (one message per line, as the API takes it). It is streamed: millions of rows need no memory. Every row is
answered for; refused rows are listed with their lines. The exit status is 0 when every row was answered, refused ones
included: look at the counts, or at --json, for what was refused. With --idempotency-key the same file can be sent
again after an interruption, and no row goes out twice.")]
pub(crate) struct Flags {
    /// The channel; may be left out where there is only one.
    #[arg(long)]
    pub(super) channel: Option<String>,
    /// Whom to: a phone number with its country, or a business-scoped user id.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    to: Option<String>,
    /// What to say.
    #[arg(long, conflicts_with = "template")]
    pub(super) text: Option<String>,
    /// The template to say it with.
    #[arg(long, conflicts_with = "file")]
    template: Option<String>,
    /// The template's language, such as "es".
    #[arg(long, requires = "template")]
    language: Option<String>,
    /// A parameter of the template's body: `1=Ana`, or `name=Ana` where it is named.
    #[arg(long, value_name = "NAME=VALUE", requires = "template", value_parser = variable)]
    var: Vec<(String, String)>,
    /// When (RFC 3339) [usual: now].
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// Not after (RFC 3339): too late is not sent.
    #[arg(long, value_name = "TIME")]
    pub(super) expires: Option<String>,
    /// critical, high, normal or low.
    #[arg(long, value_parser = ["critical", "high", "normal", "low"])]
    pub(super) priority: Option<String>,
    /// The message's id, a UUID of yours: saying it twice sends once.
    #[arg(long, conflicts_with = "file")]
    id: Option<String>,
    /// Send every row of this CSV or NDJSON file; "-" reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// What the file is [usual: by its name, else by its first character].
    #[arg(long, requires = "file")]
    pub(super) format: Option<bulk::Format>,
    /// Makes sending the same again safe.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Wait until it is read (or delivered, or sent), and show every state on the way. Gives up after --timeout, or a
    /// minute.
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "read", conflicts_with = "file")]
    wait: Option<Until>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Runs it.
pub(crate) async fn run(context: &Context, flags: Flags) -> Result<(), Failure> {
    let client = context.client()?;
    if let Some(file) = &flags.file {
        return bulk::run(context, &client, &flags, file).await;
    }
    let request = client.request(reqwest::Method::POST, "/api/messages", &[])?.timeout(client.timeout());
    let request = match &flags.idempotency_key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    };
    let response = client.send(request.json(&flags.message()?)).await?;
    let accepted: Value = response.json().await.map_err(|_| {
        Failure::new(format!("what answers at {} does not talk like a Palomar server", client.base()))
    })?;
    let id = text(&accepted, "id");
    match flags.wait {
        None if context.out.json => context.out.document(&accepted),
        None => {
            context.out.line(format_args!("{id} {}", text(&accepted, "status")));
            Ok(())
        }
        Some(until) => {
            context.out.talk(&id);
            let message = follow(context, &client, &id, until).await?;
            if context.out.json { context.out.document(&message) } else { Ok(()) }
        }
    }
}

impl Flags {
    /// As the API takes it.
    fn message(&self) -> Result<Value, Failure> {
        let (kind, content) = match (&self.text, &self.template) {
            (Some(text), _) => ("text", json!({"text": text})),
            (None, Some(name)) => ("template", self.template_content(name)),
            (None, None) => {
                return Err(Failure::wrong_use("nothing to say").help("Say it with --text or --template."));
            }
        };
        let mut message = json!({"to": self.to, "type": kind, "content": content});
        for (name, value) in [
            ("channel", &self.channel),
            ("id", &self.id),
            ("priority", &self.priority),
            ("scheduledAt", &self.at),
            ("expiresAt", &self.expires),
        ] {
            if let Some(value) = value {
                message[name] = json!(value);
            }
        }
        Ok(message)
    }

    fn template_content(&self, name: &str) -> Value {
        // Numbered parameters go by their numbers, whatever the order they were said in; named ones carry their names.
        let mut variables: Vec<_> = self.var.iter().collect();
        variables.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or(u32::MAX));
        let parameters: Vec<Value> = variables
            .iter()
            .map(|(name, value)| match name.parse::<u32>() {
                Ok(_) => json!({"type": "text", "text": value}),
                Err(_) => json!({"type": "text", "text": value, "parameterName": name}),
            })
            .collect();
        let mut content = json!({"name": name, "language": self.language.as_deref().unwrap_or("en")});
        if !parameters.is_empty() {
            content["components"] = json!([{"type": "body", "parameters": parameters}]);
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn flags(words: &[&str]) -> Result<Flags, clap::Error> {
        let cli = Cli::try_parse_from(["palomar", "send"].iter().chain(words))?;
        match cli.command {
            Some(Command::Send(flags)) => Ok(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_said_becomes_a_message() {
        let said =
            flags(&["--to", "+34600111222", "--text", "Hola", "--priority", "high", "--channel", "demo"]);
        assert_eq!(
            said.expect("fine").message().expect("a message"),
            json!({"to": "+34600111222", "type": "text", "content": {"text": "Hola"}, "priority": "high", "channel": "demo"})
        );
        let said = flags(&[
            "--to",
            "+1",
            "--template",
            "t",
            "--language",
            "es",
            "--var",
            "2=b",
            "--var",
            "1=a=1",
            "--var",
            "who=c",
        ]);
        assert_eq!(
            said.expect("fine").message().expect("a message")["content"],
            json!({"name": "t", "language": "es", "components": [{"type": "body", "parameters": [
                {"type": "text", "text": "a=1"}, {"type": "text", "text": "b"}, {"type": "text", "text": "c", "parameterName": "who"}]}]})
        );
    }

    #[test]
    fn what_does_not_fit_together_is_wrong_use() {
        for words in [
            &["--text", "Hola"][..],
            &["--to", "+1", "--file", "x.csv"],
            &["--to", "+1", "--text", "x", "--template", "t"],
            &["--to", "+1", "--text", "x", "--priority", "urgent"],
            &["--to", "+1", "--template", "t", "--var", "x"],
            &["--file", "x.csv", "--wait"],
        ] {
            assert!(flags(words).is_err(), "{words:?}");
        }
        assert!(flags(&["--to", "+1"]).expect("clap takes it").message().is_err());
        assert_eq!(flags(&["--to", "+1", "--text", "x", "--wait"]).expect("fine").wait, Some(Until::Read));
        assert_eq!(
            flags(&["--to", "+1", "--text", "x", "--wait=sent"]).expect("fine").wait,
            Some(Until::Sent)
        );
    }
}
