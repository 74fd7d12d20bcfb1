//! What nodes share, and nodes on it.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{App, AppConfig, Caller, NewChannel, Providers};
use palomar_broker::Broker;
use palomar_model::{Clock as _, MessageId};
use palomar_records::{PostgresUrl, RecordsPlace};

use crate::house::{SystemClock, demo, message, node};
use crate::partitioned::Partitioned;
use crate::postgres;

/// Long enough for everything that is awaited here, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Shared {
    dir: tempfile::TempDir,
    pub(crate) broker: Arc<dyn Broker>,
    /// The address of the database; in SQLite where there is none.
    pub(crate) database: Option<String>,
}

impl Shared {
    pub(crate) async fn on_postgres() -> Shared {
        Shared::at(Some(postgres::database(postgres::shared_port()).await))
    }

    pub(crate) fn on_sqlite() -> Shared {
        Shared::at(None)
    }

    pub(crate) fn at(database: Option<String>) -> Shared {
        let dir = tempfile::tempdir().expect("a directory");
        let clock: Arc<dyn palomar_model::Clock> = Arc::new(SystemClock);
        Shared { broker: Partitioned::open(dir.path(), 3, &clock), dir, database }
    }

    pub(crate) async fn node(&self) -> Arc<App> {
        self.node_as(AppConfig::default()).await
    }

    pub(crate) async fn node_as(&self, config: AppConfig) -> Arc<App> {
        let place = RecordsPlace::in_dir(self.dir.path());
        let place = match &self.database {
            Some(address) => place.in_postgres(PostgresUrl::parse(address).expect("an address"), 4),
            None => place,
        };
        let records = place.open(SystemClock.now()).await.expect("records");
        let providers = Providers::new(Arc::new(SystemClock)).expect("providers");
        node(config, Arc::clone(&self.broker), records, Arc::new(providers)).await
    }
}

/// A channel of the sandbox.
pub(crate) fn channel(name: &str) -> NewChannel {
    NewChannel { name: name.parse().expect("a name"), ..demo() }
}

pub(crate) async fn send(app: &App, channel: &str, to: &str) -> MessageId {
    let new =
        palomar_app::NewMessage { channel: Some(channel.parse().expect("a name")), ..message(to, "Hola") };
    app.submit(new, 0, &Caller::system(), None).await.expect("accepted").id
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let reached = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "{what}");
}
