//! `palomar bench broker`: a broker, durable, by the names and with the message of the peers' scripts.
//!
//! | file | what it measures |
//! |---|---|
//! | `life` | a job's life: adding, draining, both at once, priorities, retries, limits |
//! | `latency` | how soon a job starts after it was added |
//! | `delayed` | how late a job starts that was due later |
//! | `scale` | what it costs to hold many: memory, backlogs, a start with them, channels |
//! | `stage` | nothing: the jobs and the worker that each measurement begins with |
//! | `store`, `server` | nothing: where the queues are, and what Redis spends on them |
//!
//! What always holds: each measurement has a store of its own, which is gone afterwards.

mod delayed;
mod latency;
mod life;
mod scale;
mod server;
mod stage;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use palomar_broker::Flush;
use palomar_model::Clock;

use super::chosen;
use server::Server;
use stage::Bench;
use store::Engine;

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Operations in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<Part>,
    /// Where the queues are.
    pub(super) place: Place,
    /// Waiting jobs in the part `backlog`.
    pub(super) backlog: Vec<usize>,
    /// Delayed jobs in the part `delayed`.
    pub(super) delayed: Vec<usize>,
    /// Channels in the part `channels`.
    pub(super) channels: Vec<usize>,
}

/// Which broker is measured, and where its queues are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a folder each, removed afterwards, in this one.
    Embedded { dir: PathBuf, flush: Flush },
    /// In Redis.
    Redis { url: String, beside_others: bool },
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// How often this disk can flush; nothing where the queues are elsewhere.
    Fdatasync,
    /// One caller adds.
    Add1,
    /// 50 callers add, and 64.
    Add50,
    /// One caller adds 500 a call.
    Bulk,
    /// A worker takes what waits; callers take and settle 50 at a time.
    Drain,
    /// Callers and worker at the same time.
    Flow,
    /// Draining four priorities.
    Priority,
    /// Draining while a tenth fails once.
    Retry,
    /// Starts under a limit of 1,000 a second.
    Limiter,
    /// From add to start, 200 a second.
    Latency,
    /// Memory per job that waits.
    Memory,
    /// Adding, draining and starting with many that wait.
    Backlog,
    /// How late delayed jobs start, few and many.
    Delayed,
    /// The flow over many channels.
    Channels,
}

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options, clock: Arc<dyn Clock>, seed: u64) -> anyhow::Result<()> {
    let engine = match &options.place {
        Place::Embedded { dir, flush } => {
            std::fs::create_dir_all(dir)?;
            Engine::Embedded { dir: dir.clone(), flush: *flush }
        }
        Place::Redis { url, beside_others } => {
            Engine::Redis(Arc::new(Server::connect(url, *beside_others).await?))
        }
    };
    let bench = Bench::new(options, engine, clock, seed);
    for part in chosen(&bench.options.only) {
        match part {
            Part::Fdatasync => life::fdatasync(&bench)?,
            Part::Add1 => life::add_alone(&bench).await?,
            Part::Add50 => life::add_together(&bench).await?,
            Part::Bulk => life::bulk(&bench).await?,
            Part::Drain => life::drain(&bench).await?,
            Part::Flow => life::flow(&bench).await?,
            Part::Priority => life::priority(&bench).await?,
            Part::Retry => life::retry(&bench).await?,
            Part::Limiter => life::limiter(&bench).await?,
            Part::Latency => latency::add_to_start(&bench).await?,
            Part::Memory => scale::memory(&bench).await?,
            Part::Backlog => scale::backlog(&bench).await?,
            Part::Delayed => delayed::run(&bench).await?,
            Part::Channels => scale::channels(&bench).await?,
        }
    }
    Ok(())
}
