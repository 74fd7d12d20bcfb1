//! Opens broker and records and starts the application on them, by the settings.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use palomar_api::{ApiConfig, OneTimeLink, RateLimit};
use palomar_app::{App, AppConfig, ConsentWords, Metrics, Providers, StoreReading};
use palomar_broker::{EmbeddedBroker, EmbeddedConfig, MachineConfig, StoreError};
use palomar_model::{Clock, IdGenerator};
use palomar_records::{PROJECTION, Records, RecordsPlace, random_bytes};

use super::Engine;
use crate::clock::SystemClock;
use crate::config::{Settings, records_url};
use crate::failure::Failure;

/// Opens everything that is kept, and starts what works on it.
pub(super) async fn open(settings: &Settings, metrics: Metrics) -> Result<Engine, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let dir = settings.data_dir.clone();
    // The broker takes the directory's lock: nothing else is touched before.
    let broker = broker(settings, Arc::clone(&clock))?;
    if !broker.opened().damaged.is_empty() {
        tracing::error!(
            rows = broker.opened().damaged.len(),
            "damaged rows were set aside: run `palomar store check`"
        );
    }
    let records = records(settings, clock.as_ref()).await?;
    let providers = Providers::new(Arc::clone(&clock))
        .map_err(|error| Failure::new(format!("can't set up calls to providers: {error}")))?;
    let ids = Arc::new(IdGenerator::new(seed()?));
    let broker = Arc::new(broker);
    let app = App::start(
        app_config(settings),
        Arc::clone(&broker) as _,
        records,
        Arc::new(providers),
        clock,
        ids,
        metrics,
    )
    .await
    .map_err(|error| Failure::new(format!("can't start on {}: {error}", dir.display())))?;
    let seen = Arc::clone(&broker);
    app.observe_store(Box::new(move || StoreReading { meters: seen.meters(), failure: seen.failure() }));
    Ok(Engine { broker, app, dir })
}

/// Bytes of the queue's write-ahead log that are laid out at the start.
pub(crate) const LOG_ROOM: u64 = 16 << 20;

/// Opens the broker of the data directory.
fn broker(settings: &Settings, clock: Arc<dyn Clock>) -> Result<EmbeddedBroker, Failure> {
    let config = EmbeddedConfig {
        machine: MachineConfig {
            keep_finished: settings.broker.keep_completed,
            keep_dead: settings.broker.keep_dead,
        },
        readers: vec![PROJECTION.to_owned()],
        payload_memory: usize::try_from(settings.broker.payload_memory.0).unwrap_or(usize::MAX),
        log_room: LOG_ROOM,
        ..EmbeddedConfig::in_dir(&settings.data_dir)
    };
    EmbeddedBroker::open(config, clock).map_err(|error: StoreError| Failure::new(error.to_string()))
}

/// Where the records are kept.
pub(crate) fn records_place(settings: &Settings) -> Result<RecordsPlace, Failure> {
    let place = RecordsPlace::in_dir(&settings.data_dir);
    let url = records_url(settings.records.url.expose()).map_err(|error| Failure::new(error.to_string()))?;
    Ok(match url {
        Some(url) => place.in_postgres(url, settings.records.connections.into()),
        None => place,
    })
}

/// Opens the records, and brings their schema up to date.
pub(crate) async fn records(settings: &Settings, clock: &dyn Clock) -> Result<Records, Failure> {
    let opened = records_place(settings)?.open(clock.now()).await;
    opened.map_err(|error| Failure::new(format!("can't open the records: {error}")))
}

fn app_config(settings: &Settings) -> AppConfig {
    let region = &settings.sending.default_region;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    AppConfig {
        default_region: (!region.is_empty()).then(|| region.clone()),
        send_concurrency: count(settings.sending.concurrency),
        consent: ConsentWords::new(&settings.intake.opt_out, &settings.intake.opt_in),
        inbound_concurrency: count(settings.intake.concurrency),
        journal_retention: settings.records.journal_for.0,
        role: settings.server.role,
        node_name: machine_name(),
        ..AppConfig::default()
    }
}

/// What this machine is called, to be told apart by people.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// How the HTTP side is set up, and the token of the sign-in link.
pub(super) fn api(settings: &Settings) -> Result<(ApiConfig, String), Failure> {
    let token = HEXLOWER.encode(&random::<32>()?);
    let rate = settings.server.rate_limit;
    let public_url = settings.server.public_url.trim_end_matches('/');
    let config = ApiConfig {
        rate_limit: Some(RateLimit { requests: rate.max, per: rate.window.max(Duration::from_millis(1)) }),
        public_url: (!public_url.is_empty()).then(|| public_url.to_owned()),
        login: Some(Arc::new(OneTimeLink::new(&token))),
        ..ApiConfig::new(seed()?)
    };
    Ok((config, token))
}

fn seed() -> Result<u64, Failure> {
    random::<8>().map(u64::from_le_bytes)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    random_bytes().map_err(|error| Failure::new(format!("the system gives no randomness: {error}")))
}
