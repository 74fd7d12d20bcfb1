//! `palomar bench broker`: the embedded broker, durable, by the names and with the message of the peers' scripts.
//!
//! | file | what it measures |
//! |---|---|
//! | `life` | a job's life: adding, draining, both at once, priorities, retries, limits |
//! | `latency` | how soon a job starts |
//! | `scale` | what it costs to hold many: memory, backlogs, a start with them, channels |
//! | `stage` | nothing: the store, the jobs and the worker that each measurement begins with |
//!
//! What always holds: each measurement has a store of its own, which is gone afterwards.

mod latency;
mod life;
mod scale;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use palomar_broker::Flush;
use palomar_model::Clock;

use stage::Bench;

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Operations in a measurement.
    pub(super) n: usize,
    /// Parts to run; all where empty.
    pub(super) only: Vec<String>,
    /// Where the stores are made (each in a folder of its own, removed afterwards).
    pub(super) dir: PathBuf,
    /// Flush at each commit, or once a second.
    pub(super) flush: Flush,
    /// Waiting jobs in the part `backlog`.
    pub(super) backlog: Vec<usize>,
    /// Channels in the part `channels`.
    pub(super) channels: Vec<usize>,
}

const PARTS: [&str; 13] = [
    "fdatasync",
    "add1",
    "add50",
    "bulk",
    "drain",
    "flow",
    "priority",
    "retry",
    "limiter",
    "latency",
    "memory",
    "backlog",
    "channels",
];

/// Runs the parts that are asked for.
pub(super) async fn run(options: Options, clock: Arc<dyn Clock>, seed: u64) -> anyhow::Result<()> {
    if let Some(unknown) = options.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        anyhow::bail!("there is no part {unknown}; the parts are {}", PARTS.join(", "));
    }
    std::fs::create_dir_all(&options.dir)?;
    let bench = Bench::new(options, clock, seed);
    for part in PARTS {
        if !bench.options.only.is_empty() && !bench.options.only.iter().any(|only| only == part) {
            continue;
        }
        match part {
            "fdatasync" => life::fdatasync(&bench)?,
            "add1" => life::add_alone(&bench).await?,
            "add50" => life::add_together(&bench).await?,
            "bulk" => life::bulk(&bench).await?,
            "drain" => life::drain(&bench).await?,
            "flow" => life::flow(&bench).await?,
            "priority" => life::priority(&bench).await?,
            "retry" => life::retry(&bench).await?,
            "limiter" => life::limiter(&bench).await?,
            "latency" => latency::add_to_start(&bench).await?,
            "memory" => scale::memory(&bench).await?,
            "backlog" => scale::backlog(&bench).await?,
            _ => scale::channels(&bench).await?,
        }
    }
    Ok(())
}
