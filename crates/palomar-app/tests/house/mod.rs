//! An installation in a directory: the real broker and records, a sandbox.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod hook;

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{
    App, AppConfig, Caller, LimitsInput, MessageDetail, MessageStatus, Metrics, NewChannel, NewMessage,
    ProviderFactory, Providers, StoreReading,
};
use palomar_broker::{Broker, EmbeddedBroker, EmbeddedConfig};
use palomar_model::{Clock, IdGenerator, MessageId, MessageState, Provider, Recipient, Timestamp};
use palomar_records::Records;

/// A process on stores that it may share with others.
pub(crate) async fn node(
    config: AppConfig,
    broker: Arc<dyn Broker>,
    records: Records,
    providers: Arc<dyn ProviderFactory>,
) -> Arc<App> {
    let seed = palomar_records::random_bytes().map(u64::from_ne_bytes).expect("random bytes");
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(IdGenerator::new(seed)));
    App::start(config, broker, records, providers, clock, ids, Metrics::default()).await.expect("started")
}

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge of these tests")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before 9999"))
    }
}

/// An installation in a directory, with a channel `demo`.
pub(crate) struct House {
    pub(crate) app: Arc<App>,
    pub(crate) broker: Arc<EmbeddedBroker>,
}

impl House {
    pub(crate) async fn open(dir: &std::path::Path) -> House {
        let providers = Providers::new(Arc::new(SystemClock)).expect("providers");
        House::open_with(dir, Arc::new(providers)).await
    }

    pub(crate) async fn open_with(dir: &std::path::Path, providers: Arc<dyn ProviderFactory>) -> House {
        House::open_as(dir, providers, AppConfig::default()).await
    }

    pub(crate) async fn open_as(
        dir: &std::path::Path,
        providers: Arc<dyn ProviderFactory>,
        config: AppConfig,
    ) -> House {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let readers = vec![palomar_records::PROJECTION.to_owned()];
        let queues = EmbeddedConfig { readers, ..EmbeddedConfig::in_dir(dir) };
        let broker = Arc::new(EmbeddedBroker::open(queues, Arc::clone(&clock)).expect("a broker"));
        let records = Records::open(dir, clock.now()).expect("records");
        let app = node(config, Arc::clone(&broker) as _, records, providers).await;
        let observed = Arc::clone(&broker);
        app.observe_store(Box::new(move || StoreReading {
            meters: observed.meters(),
            failure: observed.failure(),
        }));
        House { app, broker }
    }

    pub(crate) async fn with_demo(dir: &std::path::Path) -> House {
        let house = House::open(dir).await;
        house.app.create_channel(demo()).await.expect("created");
        house
    }

    pub(crate) async fn close(self) {
        self.app.shutdown(Duration::from_secs(5)).await;
        self.broker.close().await.expect("closed");
    }

    pub(crate) async fn send(&self, to: &str, words: &str) -> MessageId {
        let submitted =
            self.app.submit(message(to, words), 0, &Caller::system(), None).await.expect("accepted");
        assert_eq!((submitted.status, submitted.replayed), (MessageState::Queued, false));
        submitted.id
    }

    pub(crate) async fn find(&self, id: MessageId) -> MessageDetail {
        self.app.message(id, &Caller::system()).await.expect("found")
    }

    pub(crate) async fn wait_for(&self, id: MessageId, state: MessageState) -> MessageDetail {
        for _ in 0..400 {
            let detail = self.find(id).await;
            if detail.message.status == MessageStatus::Outbound(state) {
                // The queue may know it a moment before records do.
                self.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
                return self.find(id).await;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not {state} in time: {:?}", self.find(id).await);
    }

    pub(crate) async fn sound(&self) {
        self.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        let check = self.app.records().check().await.expect("checked");
        assert_eq!(check.problems, Vec::<String>::new());
    }
}

pub(crate) fn demo() -> NewChannel {
    NewChannel {
        name: "demo".parse().expect("a name"),
        provider: Provider::Sandbox,
        settings: Some(serde_json::json!({"deliveredAfterMs": 20, "readAfterMs": 40})),
        credentials: std::collections::BTreeMap::new(),
        limits: LimitsInput::default(),
        on_uncertain: None,
    }
}

pub(crate) fn message(to: &str, words: &str) -> NewMessage {
    let to = Recipient::parse(to, None).expect("a number");
    NewMessage::text("demo".parse().expect("a name"), to, words)
}
