//! `palomar serve`: opens what is kept, starts the application and its HTTP side, and ends both in order.
//!
//! ```text
//! configuration ─> data directory ─> port ─> broker ─> records ─> app ─> API ─> "ready" ... signal ─> drain ─> close
//! ```
//!
//! The application's own tasks run on threads that stand behind those of the API (`background`).
//!
//! What always holds: nothing is opened before the configuration holds together; nothing listens before it can be
//! served, or is refused with one line that says why; after the first signal nothing new starts, what is in flight has
//! its grace, and the broker is closed last.

pub(crate) mod background;
pub(crate) mod data_dir;
mod first;
mod greeting;
mod open;
pub(crate) mod queues;
mod reports;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use palomar_app::{App, Metrics, NodeRole};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::cli::Context;
use crate::config::Loaded;
use crate::failure::Failure;
use crate::logs;
use crate::signals::Stop;
use greeting::Greeting;
use queues::Queues;

pub(crate) use open::{LOG_ROOM, browser, records, records_place};

/// The file of the first admin's API key, in the data directory.
pub(crate) const ADMIN_KEY: &str = "admin.key";

/// What a process may be told to do.
const ROLES: [NodeRole; 4] = [NodeRole::All, NodeRole::Api, NodeRole::Worker, NodeRole::Intake];

/// `palomar serve`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  palomar serve                                        everything at its default, data in ./palomar-data
  palomar serve --data /var/lib/palomar --listen 0.0.0.0:8080
  PALOMAR__LOG__LEVEL=debug palomar serve

A signal (SIGTERM, Ctrl-C) stops it: what is in flight ends, for 30 s at most. A second signal ends it at once.")]
pub(crate) struct Flags {
    /// Where to listen, such as 127.0.0.1:8080; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// What this process does [usual: all]. Splitting it over processes needs stores that they share.
    #[arg(long, value_parser = ROLES.map(NodeRole::as_str))]
    role: Option<String>,
    /// Make a new admin key and write it to admin.key, where the old one is lost.
    #[arg(long)]
    new_admin_key: bool,
}

/// Runs it until it is told to stop; what can wait, on `background`.
pub(crate) async fn run(context: &Context, flags: Flags, background: Handle) -> Result<(), Failure> {
    let Flags { listen, role, new_admin_key } = flags;
    let said = [("--listen", "server.listen", listen), ("--role", "server.role", role)];
    let said = said.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
    let loaded = context.load(said.collect())?;
    let settings = &loaded.settings;
    let level = if context.is_verbose() { "debug" } else { &settings.log.level };
    let metrics = Metrics::default();
    logs::start(level, settings.log.format, metrics.log_lines())?;
    for notice in loaded.seeds.notices() {
        tracing::warn!("{notice}");
    }
    // What is written here holds personal data and keys: it is its owner's only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // From here on a signal is answered in order, not by the end of the process.
    let stop = Stop::listen()?;
    data_dir::prepare(&settings.data_dir)?;
    let (listener, address) = bind(settings.server.listen).await?;
    let engine = open::open(settings, metrics, background).await?;
    let serving = serve(context, &loaded, &engine, listener, address, new_admin_key, &stop).await;
    // Whatever happened: what is kept is closed in order.
    engine.app.shutdown(Duration::ZERO).await;
    let closed = engine.queues.close().await;
    serving?;
    closed?;
    tracing::info!("stopped");
    Ok(())
}

/// What `serve` has opened.
pub(crate) struct Engine {
    /// The queues.
    pub(crate) queues: Queues,
    /// Everything else.
    pub(crate) app: Arc<App>,
    /// Where it is kept.
    pub(crate) dir: PathBuf,
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("can't listen on {listen}: {error}"))
            .help("Name another address with --listen, or stop what listens there.")
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves until a signal comes or the broker fails, then drains.
async fn serve(
    context: &Context,
    loaded: &Loaded,
    engine: &Engine,
    listener: TcpListener,
    address: SocketAddr,
    new_admin_key: bool,
    stop: &Stop,
) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let first = first::prepare(engine, loaded, new_admin_key).await?;
    let (config, token) = open::api(settings)?;
    let router = palomar_api::router(Arc::clone(&engine.app), config);
    let draining = CancellationToken::new();
    let mut served = tokio::spawn(palomar_api::serve(listener, router, draining.clone()));
    let greeting = Greeting { settings, address, token: &token, dir: &engine.dir, first };
    greeting.print(context.out);
    tracing::info!(%address, environment = settings.environment, version = env!("CARGO_PKG_VERSION"), "ready");

    let ended = tokio::select! {
        () = stop.asked() => Ok(()),
        failure = engine.queues.failed() => Err(failure),
        result = &mut served => Err(Failure::new(match result {
            Ok(Ok(())) => "the HTTP server ended by itself".to_owned(),
            Ok(Err(error)) => format!("the HTTP server ended: {error}"),
            Err(error) => format!("the HTTP server ended: {error}"),
        })),
    };
    tracing::info!(grace = %settings.server.shutdown_grace, "stopping: what is in flight ends first");
    engine.app.set_draining();
    draining.cancel();
    let grace = if ended.is_ok() { settings.server.shutdown_grace.0 } else { Duration::ZERO };
    let requests = async {
        if ended.is_ok() {
            let _ = served.await;
        }
    };
    tokio::join!(engine.app.shutdown(grace), requests);
    ended
}
