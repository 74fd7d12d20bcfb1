//! How fast a campaign goes, as it is shown before anybody is read and as it is held while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use palomar_app::{App, AppConfig, ContactChange, Metrics, Providers};
use palomar_broker::{EmbeddedBroker, EmbeddedConfig};
use palomar_model::{Clock, IdGenerator, Recipient, Timestamp, ZoneName};
use palomar_records::Records;
use serde_json::json;

use super::{caller, create, wait_until};
use crate::house::{self, House, SystemClock};

/// A clock that goes as all do, and can be put forward.
struct Ahead(AtomicI64);

impl Ahead {
    /// One that says this time now.
    fn from(time: Timestamp) -> Ahead {
        Ahead(AtomicI64::new(time.micros() - SystemClock.now().micros()))
    }

    fn put_forward(&self, hours: i64) {
        self.0.fetch_add(hours * 3_600_000_000, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().micros() + self.0.load(Ordering::SeqCst))
    }
}

async fn house_on(clock: Arc<Ahead>, dir: &std::path::Path) -> House {
    let (config, clock) = (EmbeddedConfig::in_dir(dir), clock as Arc<dyn Clock>);
    let config = EmbeddedConfig { readers: vec![palomar_records::PROJECTION.to_owned()], ..config };
    let broker = Arc::new(EmbeddedBroker::open(config, Arc::clone(&clock)).expect("a broker"));
    let records = Records::open(dir, clock.now()).expect("records");
    let providers = Arc::new(Providers::new(Arc::clone(&clock)).expect("providers"));
    let (config, queues, ids) = (AppConfig::default(), Arc::clone(&broker), Arc::new(IdGenerator::new(7)));
    let app = App::start(config, queues, records, providers, clock, ids, Metrics::default()).await;
    House { app: app.expect("started"), broker }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_over_midnight_keeps_to_the_cap() {
    let dir = tempfile::tempdir().expect("a directory");
    let noon: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    let clock = Arc::new(Ahead::from(noon));
    let house = house_on(Arc::clone(&clock), dir.path()).await;
    let mut demo = house::demo();
    demo.limits =
        serde_json::from_value(json!({"windows": [{"max": 2, "perSeconds": 7_200}]})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    let body = json!({"name": "Verano", "message": "Hola", "contacts": super::contacts(16), "dailyCap": 8});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    // Of the eight of today two have gone, by the limit of the channel.
    wait_until(&house, &id, |status| {
        status.progress.success == 2 && status.metrics.messages.values().sum::<u64>() == 8
    })
    .await;
    house.app.pause_campaign(&id, &caller()).await.expect("paused");
    clock.put_forward(25);
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    let number = house.app.records().campaign(&id).await.expect("read").expect("there").number;
    let daily = house.app.records().campaign_day(number).await.expect("read");
    let today = ZoneName::utc().day(house.app.now());
    assert_eq!((daily.day, daily.taken), (today, 6), "before anything of it goes");
    // Two more find room on it, and nobody else.
    let second = wait_until(&house, &id, |status| {
        status.progress.success == 4 && status.metrics.messages.values().sum::<u64>() == 10
    });
    assert_eq!(second.await.metrics.not_queued, 6);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spread_is_foreseen_over_those_who_are_not_read_yet() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    for n in 0..4 {
        let to = Recipient::parse(&format!("+3460000007{n}"), None).expect("a number");
        house.app.put_contact(to, ContactChange::default()).await.expect("kept");
    }
    let body =
        json!({"name": "Verano", "message": "Hola", "audience": {"all": true}, "spreadSeconds": 4_000});
    let id = create(&house, body).await;
    let now = house.app.now();
    let shown = house.app.preview_campaign(&id, Vec::new(), 10, &caller()).await.expect("a preview");
    let due: Vec<_> =
        shown.iter().map(|one| one.scheduled_at.map_or(0, |at| at.since(now).as_secs() / 1_000)).collect();
    assert_eq!(due, [0, 1, 2, 3], "evenly, one after the other");
    let dry = house.app.dry_run_campaign(&id, 10, &caller()).await.expect("a dry run");
    let due: Vec<_> = dry.recipients.iter().map(|one| one.scheduled_at).collect();
    assert!(due.is_sorted() && due.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() == 3);
    let seconds = dry.estimated_time / 1_000;
    assert!((2_900..3_100).contains(&seconds), "{seconds} s");
    house.close().await;
}
