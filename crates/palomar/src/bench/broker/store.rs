//! Where the queues of a measurement are: in a folder of their own, or under a prefix of their own in Redis.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use palomar_broker::{Broker, EmbeddedBroker, EmbeddedConfig, Flush, RedisBroker};
use serde_json::Value;

use super::server::{Figures, Server};
use super::stage::Bench;
use crate::bench::measure::{Measurement, Usage};

/// The broker that is measured.
pub(super) enum Engine {
    /// That of one process, with its folders in this one.
    Embedded { dir: PathBuf, flush: Flush },
    /// The one in this Redis.
    Redis(Arc<Server>),
}

/// A broker with nothing in it.
pub(super) struct Store {
    pub(super) broker: Arc<dyn Broker>,
    made: Made,
}

enum Made {
    Embedded(Arc<EmbeddedBroker>, PathBuf),
    Redis(Arc<RedisBroker>, Arc<Server>),
}

impl Store {
    /// The broker of one process, and its folder.
    pub(super) fn embedded(&self) -> Option<(&EmbeddedBroker, &Path)> {
        match &self.made {
            Made::Embedded(broker, dir) => Some((broker, dir)),
            Made::Redis(..) => None,
        }
    }

    pub(super) async fn remove(self) -> anyhow::Result<()> {
        match self.made {
            Made::Embedded(broker, dir) => {
                broker.close().await?;
                std::fs::remove_dir_all(&dir)?;
            }
            Made::Redis(broker, server) => {
                broker.close().await;
                server.clear().await?;
            }
        }
        Ok(())
    }
}

/// The broker that lies in a folder.
pub(super) fn open_at(bench: &Bench, dir: &Path, payload_memory: usize) -> anyhow::Result<EmbeddedBroker> {
    let flush = match &bench.engine {
        Engine::Embedded { flush, .. } => *flush,
        Engine::Redis(_) => Flush::EachCommit,
    };
    let config = EmbeddedConfig {
        payload_memory,
        flush,
        log_room: crate::serve::LOG_ROOM,
        ..EmbeddedConfig::in_dir(dir)
    };
    Ok(EmbeddedBroker::open(config, Arc::clone(&bench.clock))?)
}

impl Bench {
    /// Who is measured, as the lines name it.
    pub(super) fn name(&self) -> &'static str {
        match &self.engine {
            Engine::Embedded { flush: Flush::EachCommit, .. } => "palomar embedded",
            Engine::Embedded { flush: Flush::EachSecond, .. } => "palomar embedded, flushed each second",
            Engine::Redis(server) => server.engine(),
        }
    }

    /// A new, empty store.
    pub(super) async fn open(&self, payload_memory: usize) -> anyhow::Result<Store> {
        let number = self.next_store();
        match &self.engine {
            Engine::Embedded { dir, .. } => {
                let dir = dir.join(format!("store-{number}"));
                let _ = std::fs::remove_dir_all(&dir);
                let broker = Arc::new(open_at(self, &dir, payload_memory)?);
                Ok(Store { broker: Arc::clone(&broker) as _, made: Made::Embedded(broker, dir) })
            }
            Engine::Redis(server) => {
                server.clear().await?;
                let broker = Arc::new(RedisBroker::open(server.config(self.process(number))).await?);
                Ok(Store { broker: Arc::clone(&broker) as _, made: Made::Redis(broker, Arc::clone(server)) })
            }
        }
    }

    /// Memory that the queues take: of this process, or of Redis.
    pub(super) async fn memory(&self) -> anyhow::Result<u64> {
        Ok(self.figures().await?.map_or_else(|| Usage::now().resident, |figures| figures.memory))
    }

    /// What the server says of itself, where the queues are on one.
    pub(super) async fn figures(&self) -> anyhow::Result<Option<Figures>> {
        match &self.engine {
            Engine::Embedded { .. } => Ok(None),
            Engine::Redis(server) => server.figures().await.map(Some),
        }
    }

    /// Begins to measure.
    pub(super) async fn begin(&self) -> anyhow::Result<Run> {
        let before = self.figures().await?;
        Ok(Run { before, measurement: Measurement::begin() })
    }

    /// Ends a measurement of `n` operations, and prints it with what is `more` to say.
    pub(super) async fn end(&self, run: Run, what: &str, n: usize, more: Value) -> anyhow::Result<()> {
        let mut measured = run.measurement.stop();
        let after = self.figures().await?;
        measured.elsewhere = after.zip(run.before).map(|(after, before)| after.since(before));
        measured.print(self.name(), what, n, more);
        Ok(())
    }
}

/// A measurement that runs.
pub(super) struct Run {
    before: Option<Figures>,
    measurement: Measurement,
}
