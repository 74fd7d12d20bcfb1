//! `palomar channel`: set up the lines that messages go out on.
//!
//! Credentials come from files, variables or the keyboard, never from flags; the server never shows them again.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::limits::{LimitFlags, in_force, limits_text};
use super::{confirm, number, row, secret, segment, text};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::Tone;

/// What can be done with channels.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a channel.
    Add(Box<Add>),
    /// List channels.
    List,
    /// Show one channel.
    Show {
        /// The channel.
        name: String,
    },
    /// Ask the provider whether it lets the channel in. Sends nothing.
    Test {
        /// The channel.
        name: String,
    },
    /// Start no further attempt. What is in flight ends.
    Pause {
        /// The channel.
        name: String,
        /// Why, for those who wonder later.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Go on.
    Resume {
        /// The channel.
        name: String,
    },
    /// Show or change what the channel may send. Needs no restart, loses no place.
    Limits {
        /// The channel.
        name: String,
        #[command(flatten)]
        limits: LimitFlags,
    },
    /// Remove a channel whose queue is empty.
    Remove {
        /// The channel.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// A provider that this version speaks to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Provider {
    /// Meta's Cloud API.
    CloudApi,
    /// Twilio's Programmable Messaging.
    Twilio,
    /// Evolution API: a phone that was paired with it.
    Evolution,
    /// Built in, simulated: nothing leaves the machine.
    Sandbox,
}

/// A channel to be added.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar channel add shop --provider cloud-api --phone-number-id 106540352242922 --token-file token.txt
  pass show wa/token | palomar channel add shop --provider cloud-api --phone-number-id 106540352242922 --token-file -
  palomar channel add desk --provider twilio --account-sid AC… --number +14155238886 --token-file token.txt
  palomar channel add main-line --provider evolution --api-url http://localhost:8080 --token-file key.txt")]
pub(crate) struct Add {
    /// Its name: lower-case letters, digits, '-' and '_'.
    name: String,
    /// Who carries it.
    #[arg(long)]
    provider: Provider,
    /// Cloud API: the id of the phone number (not the number).
    #[arg(long, value_name = "ID", required_if_eq("provider", "cloud-api"))]
    phone_number_id: Option<String>,
    /// Twilio: the account, AC….
    #[arg(long, value_name = "SID", required_if_eq("provider", "twilio"))]
    account_sid: Option<String>,
    /// Twilio: the number that sends, in international format.
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Twilio: the Messaging Service that sends, MG…, with a number or in its place.
    #[arg(long, value_name = "SID")]
    messaging_service_sid: Option<String>,
    /// Twilio: where it reaches this channel [usual: server.public_url and the channel's path].
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Evolution: the instance that sends [usual: the one with the channel's name].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Where the provider is: an installation of Evolution, a simulator, a proxy [usual: the provider's own address].
    #[arg(long, value_name = "URL", required_if_eq("provider", "evolution"))]
    api_url: Option<String>,
    /// File with the access token (Twilio: the account's auth token, Evolution: the API key); "-" reads standard input
    /// [else $WHATSAPP_API_TOKEN, $TWILIO_AUTH_TOKEN or $EVOLUTION_API_KEY, else asked for].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Cloud API: file with the app secret that signs webhooks [else $WHATSAPP_APP_SECRET].
    #[arg(long, value_name = "FILE")]
    app_secret_file: Option<PathBuf>,
    /// Cloud API: file with the token of the webhook's handshake [else $WEBHOOK_VERIFY_TOKEN].
    #[arg(long, value_name = "FILE")]
    verify_token_file: Option<PathBuf>,
    /// Evolution: file with the secret that webhooks bring along [else $EVOLUTION_WEBHOOK_SECRET].
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let path = |name: &str, rest: &str| format!("/api/channels/{}{rest}", segment(name));
    match verb {
        Verb::Add(add) => {
            let body = add.body(context)?;
            let channel = client.post("/api/channels", &[], &body).await?;
            show(context, &channel)?;
            out.talk(format_args!("Try it: palomar channel test {}", add.name));
        }
        Verb::List => {
            let channels = client.list("/api/channels", &[], usize::MAX).await?;
            if out.json {
                return out.document(&channels);
            }
            let rows: Vec<_> = channels
                .iter()
                .map(|channel| {
                    let mut cells = row(channel, &["name", "provider", "state", "breaker"]);
                    cells.push(text(channel, "paused"));
                    cells.push(limits_text(channel));
                    cells
                })
                .collect();
            out.table(&["name", "provider", "state", "breaker", "paused", "limits"], &rows, "no channels");
        }
        Verb::Show { name } => show(context, &client.get(&path(&name, ""), &[]).await?)?,
        Verb::Test { name } => {
            let tested = client.post(&path(&name, "/test"), &[], &json!({})).await?;
            let ok = tested["ok"].as_bool().unwrap_or(false);
            if out.json {
                out.document(&tested)?;
            } else if ok {
                out.line(format_args!("{} {}", out.paint(Tone::Good, "ok"), text(&tested, "detail")));
            }
            if !ok {
                let why = text(&tested, "detail");
                return Err(Failure::new(format!("the provider does not let {name} in: {why}")));
            }
        }
        Verb::Pause { name, reason } => {
            let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
            let paused = client.post(&path(&name, "/pause"), &[], &body).await?;
            if out.json {
                return out.document(&paused);
            }
            out.line(format_args!("{name} is paused; in flight: {}", number(&paused, "inFlight")));
        }
        Verb::Resume { name } => {
            let resumed = client.post(&path(&name, "/resume"), &[], &json!({})).await?;
            if out.json {
                return out.document(&resumed);
            }
            out.line(format_args!("{name} goes on"));
        }
        Verb::Limits { name, limits } => {
            let mut channel = client.get(&path(&name, ""), &[]).await?;
            if let Some(said) = limits.to_json() {
                // The server takes limits whole: what is not said now stays as it was said before.
                let mut all = channel["limits"].as_object().cloned().unwrap_or_default();
                all.extend(said);
                channel = client.patch(&path(&name, ""), &json!({"limits": all})).await?;
            }
            if out.json {
                return out.document(in_force(&channel));
            }
            out.line(limits_text(&channel));
        }
        Verb::Remove { name, yes } => {
            confirm(context, yes, &format!("remove the channel {name} and its credentials"))?;
            client.delete(&path(&name, ""), &[]).await?;
            out.talk(format_args!("{name} is removed"));
        }
    }
    Ok(())
}

/// A secret of a channel, and where it may come from.
struct SecretFlag<'a> {
    credential: &'static str,
    file: Option<&'a Path>,
    variable: &'static str,
    what: &'static str,
    needed: bool,
}

impl Provider {
    const fn word(self) -> &'static str {
        match self {
            Provider::CloudApi => "cloud_api",
            Provider::Twilio => "twilio",
            Provider::Evolution => "evolution",
            Provider::Sandbox => "sandbox",
        }
    }
}

impl Add {
    fn secrets(&self) -> Vec<SecretFlag<'_>> {
        let flag = |credential, file, variable, what, needed| SecretFlag {
            credential,
            file: Option::as_deref(file),
            variable,
            what,
            needed,
        };
        match self.provider {
            Provider::CloudApi => vec![
                flag("token", &self.token_file, "WHATSAPP_API_TOKEN", "access token", true),
                flag("appSecret", &self.app_secret_file, "WHATSAPP_APP_SECRET", "app secret", false),
                flag("verifyToken", &self.verify_token_file, "WEBHOOK_VERIFY_TOKEN", "verify token", false),
            ],
            Provider::Twilio => {
                vec![flag("authToken", &self.token_file, "TWILIO_AUTH_TOKEN", "auth token", true)]
            }
            Provider::Evolution => vec![
                flag("apiKey", &self.token_file, "EVOLUTION_API_KEY", "API key", true),
                flag(
                    "webhookSecret",
                    &self.webhook_secret_file,
                    "EVOLUTION_WEBHOOK_SECRET",
                    "webhook secret",
                    false,
                ),
            ],
            Provider::Sandbox => Vec::new(),
        }
    }

    fn body(&self, context: &Context) -> Result<Value, Failure> {
        let mut settings = Map::new();
        let mut credentials = Map::new();
        for SecretFlag { credential, file, variable, what, needed } in self.secrets() {
            match secret(context, file, variable, what)? {
                Some(value) => {
                    credentials.insert(credential.to_owned(), json!(value.expose()));
                }
                None if needed => {
                    let help = format!(
                        "Name a file with --token-file, pipe it in with --token-file -, or set {variable}."
                    );
                    return Err(Failure::wrong_use(format!("the channel needs its {what}")).help(help));
                }
                None => {}
            }
        }
        for (name, value) in [
            ("phoneNumberId", &self.phone_number_id),
            ("accountSid", &self.account_sid),
            ("number", &self.number),
            ("messagingServiceSid", &self.messaging_service_sid),
            ("webhookUrl", &self.webhook_url),
            ("instance", &self.instance),
            ("baseUrl", &self.api_url),
        ] {
            if let Some(value) = value {
                settings.insert(name.to_owned(), json!(value));
            }
        }
        let provider = self.provider.word();
        let mut body = json!({"name": self.name, "provider": provider, "settings": settings});
        if !credentials.is_empty() {
            body["credentials"] = Value::Object(credentials);
        }
        if let Some(limits) = self.limits.to_json() {
            body["limits"] = Value::Object(limits);
        }
        Ok(body)
    }
}

fn show(context: &Context, channel: &Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.document(channel);
    }
    let keys =
        ["name", "provider", "state", "problem", "paused", "breaker", "waiting", "onUncertain", "createdAt"];
    let mut pairs: Vec<(&str, String)> =
        keys.iter().map(|key| (*key, text(channel, key))).filter(|(_, value)| !value.is_empty()).collect();
    pairs.push(("limits", limits_text(channel)));
    if let Some(settings) = channel["settings"].as_object().filter(|settings| !settings.is_empty()) {
        let settings: Vec<String> =
            settings.keys().map(|key| format!("{key}={}", text(&channel["settings"], key))).collect();
        pairs.push(("settings", settings.join(" ")));
    }
    if let Some(credentials) = channel["credentials"].as_array().filter(|names| !names.is_empty()) {
        let names: Vec<&str> = credentials.iter().filter_map(Value::as_str).collect();
        pairs.push(("credentials", names.join(", ")));
    }
    context.out.pairs(&pairs);
    Ok(())
}
