//! The binary of Palomar: command line, configuration, wiring.
//!
//! ```text
//! main ── cli ──┬── serve      opens broker and records, starts app and API, waits for a signal
//!               ├── commands   one file each; they talk to a server through `client`
//!               └── config     what is in force, and where it was said
//! ```
//!
//! What always holds: the clock, the environment, standard output and the exit status are touched here and nowhere
//! below; everything else is given in.

mod bench;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod failure;
mod logs;
mod output;
mod screens;
mod serve;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use cli::{Cli, Command, Context};
use failure::{Exit, Failure};

/// Three to four times the speed of the system's where a body is freed on another thread than its maker's. Not in debug
/// builds, where it is built to look for errors of its own and is slower than what it replaces.
#[cfg(not(debug_assertions))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for pages of 2 MiB, of which a process that is idle fills little: they double what it takes. An error
    // means a kernel without them.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Before anything can make a connection. An error means that one is installed already: as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(Exit::WrongUse as u8) };
        }
    };
    let Cli { globals, command } = cli;
    let context = Context::new(globals);
    match run(&context, command.unwrap_or_else(|| Command::Serve(serve::Flags::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.out.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Runs a command, on a runtime where it needs one.
fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Config(verb) => commands::config::run(context, verb),
        Command::Completions(flags) => {
            commands::shell::completions(context, &flags);
            Ok(())
        }
        Command::Man(flags) => commands::shell::man(context, &flags),
        Command::Version => commands::shell::version(context),
        Command::Bench(what) => {
            runtime(tokio::runtime::Builder::new_multi_thread())?.block_on(bench::run(what))
        }
        Command::Serve(flags) => {
            // Dropped last, when nothing runs on it any more.
            let background = runtime(serve::background::builder())?;
            let answering = runtime(tokio::runtime::Builder::new_multi_thread())?;
            answering.block_on(serve::run(context, flags, background.handle().clone()))
        }
        // The rest waits for one server: a single thread starts sooner.
        command => runtime(tokio::runtime::Builder::new_current_thread())?.block_on(talk(context, command)),
    }
}

/// Runs a command that talks to a server, or is one that needs a single thread.
async fn talk(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Send(flags) => commands::send::run(context, flags).await,
        Command::Message(verb) => commands::message::run(context, verb).await,
        Command::Conversation(verb) => commands::conversation::run(context, verb).await,
        Command::Webhook(verb) => commands::webhook::run(context, verb).await,
        Command::Channel(verb) => commands::channel::run(context, verb).await,
        Command::Rates(verb) => commands::rates::run(context, verb).await,
        Command::Alert(verb) => commands::alert::run(context, verb).await,
        Command::Campaign(verb) => commands::campaign::run(context, verb).await,
        Command::Analytics(verb) => commands::analytics::run(context, verb).await,
        Command::Queue(verb) => commands::queue::run(context, verb).await,
        Command::Top(flags) => commands::top::run(context, flags).await,
        Command::Contacts(verb) => commands::contacts::run(context, verb).await,
        Command::Segments(verb) => commands::segments::run(context, verb).await,
        Command::Template(verb) => commands::template::run(context, verb).await,
        Command::Suppressions(verb) => commands::suppressions::run(context, verb).await,
        Command::Session(verb) => commands::session::run(context, verb).await,
        Command::SendJob(verb) => commands::send_job::run(context, verb).await,
        Command::Key(verb) => commands::key::run(context, verb).await,
        Command::Simulate(verb) => commands::simulate::run(context, verb).await,
        Command::Store(verb) => commands::store::run(context, verb).await,
        Command::Doctor => commands::doctor::run(context).await,
        Command::Serve(_)
        | Command::Bench(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Version => Ok(()),
    }
}

fn runtime(mut builder: tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    builder.enable_all().build().map_err(|error| Failure::new(format!("can't start the runtime: {error}")))
}
