//! The command line: what can be said, and what every command is given.
//!
//! What always holds: no flag has a default of its own that would hide the configuration's; no flag takes a secret as
//! its value, since arguments can be read by every process of the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use palomar_model::Secret;

use crate::bench;
use crate::client::Client;
use crate::commands::{
    alert, analytics, campaign, channel, config, contacts, conversation, key, message, queue, rates,
    segments, send, send_job, session, shell, simulate, store, suppressions, template, top, webhook,
};
use crate::config::{Loaded, Sources, Span, load};
use crate::failure::Failure;
use crate::output::Output;
use crate::serve;

/// How long an answer of the server may take, where `--timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  palomar serve                                          start, with everything at its default
  palomar send --to +34600111222 --text 'Hola' --wait    send one message and watch it arrive
  palomar send --file contacts.csv --text 'Hola'         send to everybody in a file
  palomar queue metrics                                  what waits, what moves, what is stuck
  palomar config init                                    write a commented configuration file

Exit status: 0 done, 1 failed, 2 wrong use, 3 server not reachable, 4 refused.";

/// A self-hosted WhatsApp messaging engine.
#[derive(Debug, Parser)]
#[command(name = "palomar", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// Configuration file [usual: palomar.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE", env = "PALOMAR_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of queues, records and keys [usual: data_dir of the configuration].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of the server [usual: where the configuration listens].
    #[arg(long, global = true, value_name = "URL", env = "PALOMAR_SERVER")]
    server: Option<String>,
    /// File with the API key [usual: $PALOMAR_KEY, else admin.key in the data directory].
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Print rows with tabs, without heads and colours.
    #[arg(long, global = true, conflicts_with = "json")]
    plain: bool,
    /// No colours (NO_COLOR does the same).
    #[arg(long, global = true)]
    no_color: bool,
    /// Ask nothing: what would be asked for is an error.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Say only what was asked for, and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// How long an answer of the server may take, for example "10s".
    #[arg(long, global = true, value_name = "SPAN")]
    timeout: Option<Span>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine: API, webhooks, workers.
    Serve(serve::Flags),
    /// Send one message, or all of a file.
    Send(send::Flags),
    /// Look at messages and decide about them.
    #[command(subcommand)]
    Message(message::Verb),
    /// Look at conversations, and answer.
    #[command(subcommand)]
    Conversation(conversation::Verb),
    /// Look at webhooks that could not be read, and queue them again.
    #[command(subcommand)]
    Webhook(webhook::Verb),
    /// Set up the lines that messages go out on.
    #[command(subcommand)]
    Channel(channel::Verb),
    /// Write to many: campaigns, with live control.
    #[command(subcommand)]
    Campaign(campaign::Verb),
    /// Write down what providers charge: by that campaigns are priced.
    #[command(subcommand)]
    Rates(rates::Verb),
    /// See what is wrong, and say that you know.
    #[command(subcommand)]
    Alert(alert::Verb),
    /// See what was sent, read, answered and earned.
    #[command(subcommand)]
    Analytics(analytics::Verb),
    /// Look at queues and control them.
    #[command(subcommand)]
    Queue(queue::Verb),
    /// See who is busy and how the machine takes it, live.
    Top(top::Flags),
    /// Keep people and what is known of them; take files of them in and give them out.
    #[command(subcommand)]
    Contacts(contacts::Verb),
    /// Group contacts by what is known of them.
    #[command(subcommand)]
    Segments(segments::Verb),
    /// Look at what providers approved to be said, and try texts.
    #[command(subcommand)]
    Template(template::Verb),
    /// Say to whom nothing is sent.
    #[command(subcommand)]
    Suppressions(suppressions::Verb),
    /// Keep browser sessions: WhatsApp Web in Chromium.
    #[command(subcommand)]
    Session(session::Verb),
    /// Send several messages one after the other, with a pause in between.
    #[command(subcommand)]
    SendJob(send_job::Verb),
    /// API keys.
    #[command(subcommand)]
    Key(key::Verb),
    /// The configuration.
    #[command(subcommand)]
    Config(config::Verb),
    /// Run a simulated provider.
    #[command(subcommand)]
    Simulate(simulate::Verb),
    /// Measure this version on this machine.
    #[command(subcommand)]
    Bench(bench::What),
    /// What is kept on disk.
    #[command(subcommand)]
    Store(store::Verb),
    /// Check this machine, the configuration and the server, and say what to do.
    Doctor,
    /// Print the completions of a shell.
    Completions(shell::Completions),
    /// Print the manual page, or write all pages to a directory.
    Man(shell::Man),
    /// Print the version.
    Version,
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Flags that every command has.
    pub(crate) globals: Globals,
    /// How it prints.
    pub(crate) out: Output,
}

impl Context {
    /// By the flags and the environment.
    pub(crate) fn new(globals: Globals) -> Context {
        let out = Output::new(globals.json, globals.plain, globals.quiet, globals.no_color);
        Context { globals, out }
    }

    /// Whether a person may be asked.
    pub(crate) fn may_ask(&self) -> bool {
        !self.globals.no_input && std::io::IsTerminal::is_terminal(&std::io::stdin())
    }

    /// `--timeout`, where it was said.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.globals.timeout.map(|span| span.0)
    }

    /// Whether more is to be said.
    pub(crate) fn is_verbose(&self) -> bool {
        self.globals.verbose
    }

    /// The configuration, with `flags` over it.
    pub(crate) fn load(
        &self,
        mut flags: Vec<(&'static str, &'static str, String)>,
    ) -> Result<Loaded, Failure> {
        if let Some(data) = &self.globals.data {
            flags.push(("--data", "data_dir", data.to_string_lossy().into_owned()));
        }
        let sources =
            Sources::gather(self.globals.config.as_deref(), flags).map_err(|problem| problems(&[problem]))?;
        load(&sources).map_err(|found| problems(&found))
    }

    /// The server that the flags, the environment or the configuration name.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let timeout = self.timeout().unwrap_or(TIMEOUT);
        // With both said, the configuration need not even hold together.
        let loaded = self.load(Vec::new());
        let base = match (&self.globals.server, &loaded) {
            (Some(server), _) => server.clone(),
            (None, Ok(loaded)) => reachable(loaded.settings.server.listen),
            (None, Err(failure)) => return Err(failure.clone()),
        };
        let data = loaded.map_or_else(|_| PathBuf::from("palomar-data"), |loaded| loaded.settings.data_dir);
        let usual = data.join(serve::ADMIN_KEY);
        let key =
            match (&self.globals.key_file, std::env::var("PALOMAR_KEY").ok().filter(|key| !key.is_empty())) {
                (Some(file), _) => Some(read_key(file)?),
                (None, Some(key)) => Some(Secret::new(key.trim())),
                (None, None) if usual.exists() => Some(read_key(&usual)?),
                (None, None) => None,
            };
        Client::new(&base, key, &usual, timeout)
    }
}

/// The address under which this machine reaches what listens on `listen`.
pub(crate) fn reachable(listen: std::net::SocketAddr) -> String {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", std::net::SocketAddr::new(ip, listen.port()))
}

fn read_key(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::wrong_use(format!("can't read the key in {}: {error}", file.display())))?;
    match text.trim() {
        "" => Err(Failure::wrong_use(format!("there is no key in {}", file.display()))),
        key => Ok(Secret::new(key)),
    }
}

/// A configuration's problems as one failure.
pub(crate) fn problems(found: &[crate::config::Problem]) -> Failure {
    let lines: Vec<String> = found.iter().map(|problem| format!("  {problem}")).collect();
    let count = if found.len() == 1 { "a problem".to_owned() } else { format!("{} problems", found.len()) };
    Failure::wrong_use(format!("the configuration has {count}:\n{}", lines.join("\n"))).help(
        "`palomar config show` prints what is in force; `palomar config init` writes a file with every key.",
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flag_hides_the_configuration_or_takes_a_secret() {
        fn visit(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                // A default in front of the configuration would always win over it.
                let simulator = matches!(command.get_name(), "cloud-api" | "twilio" | "evolution" | "web");
                // Measurements have a setting of their own.
                let bench =
                    matches!(command.get_name(), "broker" | "http" | "intake" | "analytics" | "campaign");
                let is_switch = !argument.get_action().takes_values();
                let unset = argument.get_default_values().is_empty();
                assert!(is_switch || simulator || bench || unset, "{name}");
                for secret in ["token", "secret", "password", "key"] {
                    let named = name.ends_with(secret) && !matches!(name, "idempotency_key");
                    assert!(
                        is_switch || !named || simulator,
                        "--{name} of {} takes a secret",
                        command.get_name()
                    );
                }
            }
            command.get_subcommands().for_each(visit);
        }
        visit(&Cli::command());
    }

    #[test]
    fn nothing_said_is_serve_and_flags_go_anywhere() {
        assert!(Cli::try_parse_from(["palomar"]).expect("fine").command.is_none());
        let cli =
            Cli::try_parse_from(["palomar", "queue", "metrics", "--json", "--timeout", "5s"]).expect("fine");
        assert!(cli.globals.json);
        assert_eq!(cli.globals.timeout.map(|span| span.0.as_secs()), Some(5));
        assert!(Cli::try_parse_from(["palomar", "queue", "metrics", "--json", "--plain"]).is_err());
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_here() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.1:1", "http://10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().expect("an address")), url);
        }
    }
}
