//! The queues that `serve` works on: this process' own, or those that it shares in Redis.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{App, StoreReading};
use palomar_broker::{
    Broker, BrokerError, Confirm, EmbeddedBroker, EmbeddedConfig, MachineConfig, RedisBroker, RedisConfig,
    RedisServers, SpoolConfig, Spooled,
};
use palomar_model::Clock;
use palomar_records::PROJECTION;

use super::open::{LOG_ROOM, random};
use crate::config::{self, Settings};
use crate::failure::Failure;

/// The spool's directory, in the data directory.
const SPOOL: &str = "spool";
/// How often it is looked whether the queue has failed.
const LOOK: Duration = Duration::from_millis(200);

/// An open broker.
pub(crate) enum Queues {
    /// In the data directory, which it has locked.
    Embedded(Arc<EmbeddedBroker>),
    /// In Redis, with a spool in the data directory before it.
    Redis(Arc<RedisBroker>, Arc<Spooled>),
}

impl Queues {
    /// Opens the queues that the settings name.
    pub(super) async fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Queues, Failure> {
        if settings.broker.is_redis() {
            let opened = RedisBroker::open(redis(settings)?).await;
            let broker =
                opened.map_err(|error| Failure::new(format!("can't open the queues: {}", why(&error))))?;
            let shared = Arc::new(broker);
            let spooled = Spooled::open(Arc::clone(&shared), spool(settings), clock).await;
            let spooled = spooled.map_err(|error| {
                Failure::new(format!("can't open the spool: {error}"))
                    .help("Each node has a data directory of its own: name another with --data.")
            })?;
            return Ok(Queues::Redis(shared, Arc::new(spooled)));
        }
        let broker = EmbeddedBroker::open(embedded(settings), clock)
            .map_err(|error| Failure::new(error.to_string()))?;
        if !broker.opened().damaged.is_empty() {
            tracing::error!(
                rows = broker.opened().damaged.len(),
                "damaged rows were set aside: run `palomar store check`"
            );
        }
        Ok(Queues::Embedded(Arc::new(broker)))
    }

    pub(super) fn broker(&self) -> Arc<dyn Broker> {
        match self {
            Queues::Embedded(broker) => Arc::clone(broker) as _,
            Queues::Redis(_, spooled) => Arc::clone(spooled) as _,
        }
    }

    /// Lets the application see what the stores on this disk count.
    pub(super) fn observed_by(&self, app: &App) {
        match self {
            Queues::Embedded(broker) => {
                let seen = Arc::clone(broker);
                app.observe_store(Box::new(move || StoreReading {
                    meters: seen.meters(),
                    failure: seen.failure(),
                }));
            }
            Queues::Redis(_, spooled) => {
                let seen = Arc::clone(spooled);
                app.observe_spool(Box::new(move || seen.meters()));
            }
        }
    }

    /// Why what is on this disk can't be written any more, where it can't.
    fn failure(&self) -> Option<Arc<str>> {
        match self {
            Queues::Embedded(broker) => broker.failure(),
            Queues::Redis(_, spooled) => spooled.meters().failure,
        }
    }

    /// Ends when the queue can't be written any more: then this process is to start again from what the disk holds.
    /// What is in Redis is tried again for ever.
    pub(super) async fn failed(&self) -> Failure {
        let what = match self {
            Queues::Embedded(_) => "the queue",
            Queues::Redis(..) => "the spool",
        };
        loop {
            if let Some(why) = self.failure() {
                return Failure::new(format!("{what} can't be written any more: {why}")).help(
                    "What was accepted is on the disk. Make sure that it can be written, and start again.",
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), Failure> {
        match self {
            Queues::Embedded(broker) => {
                let closed = broker.close().await;
                closed.map_err(|error| Failure::new(format!("the queue was not closed in order: {error}")))
            }
            Queues::Redis(broker, spooled) => {
                let closed = spooled.close().await;
                broker.close().await;
                closed.map_err(|error| Failure::new(format!("the spool was not closed in order: {error}")))
            }
        }
    }
}

/// What went wrong, without the words that fit a running process alone.
pub(crate) fn why(error: &BrokerError) -> String {
    match error {
        BrokerError::Failed(why) | BrokerError::Lost(why) => why.to_string(),
        other => other.to_string(),
    }
}

/// What an answer survives, in words.
pub(super) fn durability(settings: &Settings) -> String {
    let broker = &settings.broker;
    if !broker.is_redis() {
        return "embedded: SQLite in WAL mode, flushed before every answer".to_owned();
    }
    let confirmed = match broker.confirm {
        config::Confirm::Written => "written: answered when Redis has answered".to_owned(),
        config::Confirm::Synced => {
            "synced: answered when Redis has flushed it to its append-only file".to_owned()
        }
        config::Confirm::Replicated => {
            format!("replicated: answered when {} replicas have it", broker.confirm_replicas)
        }
    };
    let loss = if broker.allow_data_loss { "; a Redis that loses it is allowed" } else { "" };
    format!("Redis, {confirmed}{loss}")
}

fn machine(settings: &Settings) -> MachineConfig {
    MachineConfig { keep_finished: settings.broker.keep_completed, keep_dead: settings.broker.keep_dead }
}

fn embedded(settings: &Settings) -> EmbeddedConfig {
    EmbeddedConfig {
        machine: machine(settings),
        readers: vec![PROJECTION.to_owned()],
        payload_memory: usize::try_from(settings.broker.payload_memory.0).unwrap_or(usize::MAX),
        log_room: LOG_ROOM,
        ..EmbeddedConfig::in_dir(&settings.data_dir)
    }
}

fn spool(settings: &Settings) -> SpoolConfig {
    SpoolConfig {
        dir: settings.data_dir.join(SPOOL),
        limit: settings.broker.spool_limit.0,
        refused: Arc::new(palomar_app::refused_later),
    }
}

/// How queues in Redis are opened, or looked at.
pub(crate) fn redis(settings: &Settings) -> Result<RedisConfig, Failure> {
    let broker = &settings.broker;
    let mut urls = broker.redis_urls();
    let servers = match (broker.redis_primary.as_str(), urls.len()) {
        ("", 1) => RedisServers::One(urls.remove(0)),
        ("", _) => RedisServers::Cluster(urls),
        (primary, _) => RedisServers::Sentinels { urls, primary: primary.to_owned() },
    };
    let ca = match &broker.redis_ca {
        none if none.as_os_str().is_empty() => None,
        file => Some(std::fs::read(file).map_err(|error| {
            Failure::new(format!("can't read {} (broker.redis_ca): {error}", file.display()))
        })?),
    };
    Ok(RedisConfig {
        servers,
        prefix: broker.redis_prefix.clone(),
        partitions: broker.redis_partitions,
        confirm: match broker.confirm {
            config::Confirm::Written => Confirm::Written,
            config::Confirm::Synced => Confirm::Synced,
            config::Confirm::Replicated => Confirm::Replicated(broker.confirm_replicas),
        },
        allow_data_loss: broker.allow_data_loss,
        readers: vec![PROJECTION.to_owned()],
        machine: machine(settings),
        ca,
        ..RedisConfig::new("", random::<8>().map(u64::from_le_bytes)?)
    })
}
