//! Opens broker and records and starts the application on them, by the settings.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use palomar_api::{ApiConfig, OneTimeLink, RateLimit};
use palomar_app::{
    AlertConfig, AnalyticsConfig, App, AppConfig, BrowserConfig, CampaignConfig, ConsentWords, Hook,
    HookSecret, MediaConfig, Metrics, NoticeNumber, Pool, PoolConfig, Providers, S3Config,
};
use palomar_model::{Clock, IdGenerator, Recipient, Secret};
use palomar_records::{Records, RecordsPlace, random_bytes};
use tokio::runtime::Handle;

use super::Engine;
use super::queues::{Queues, durability};
use super::reports::reports;
use crate::clock::SystemClock;
use crate::config::{Alerts, Settings, Web, records_url};
use crate::failure::Failure;

/// Opens everything that is kept, and starts what works on it, on the runtime of what can wait.
pub(super) async fn open(
    settings: &Settings,
    metrics: Metrics,
    background: Handle,
) -> Result<Engine, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let dir = settings.data_dir.clone();
    // An embedded broker takes the directory's lock: nothing else is touched before.
    let queues = Queues::open(settings, Arc::clone(&clock)).await?;
    let records = records(settings, clock.as_ref()).await?;
    let providers = Providers::new(Arc::clone(&clock))
        .map_err(|error| Failure::new(format!("can't set up calls to providers: {error}")))?
        .reached_at(public_url(settings))
        .with_sessions(sessions(settings, Arc::clone(&clock))?);
    let ids = Arc::new(IdGenerator::new(seed()?));
    let config = AppConfig { media: Some(media(settings)?), ..app_config(settings) };
    let broker = queues.broker();
    let started = background.spawn(async move {
        App::start(config, broker, records, Arc::new(providers), clock, ids, metrics).await
    });
    let app = started
        .await
        .map_err(|error| Failure::new(format!("can't start: {error}")))?
        .map_err(|error| Failure::new(format!("can't start on {}: {error}", dir.display())))?;
    queues.observed_by(&app);
    Ok(Engine { queues, app, dir })
}

/// Bytes of the queue's write-ahead log that are laid out at the start.
pub(crate) const LOG_ROOM: u64 = 16 << 20;

/// The directory of media, in the data directory.
const MEDIA: &str = "media";

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
        campaigns: CampaignConfig {
            batch_size: settings.campaigns.batch_size,
            concurrent_batches: settings.campaigns.concurrent_batches,
            retry_attempts: settings.campaigns.retry_attempts,
            retry_delay: settings.campaigns.retry_delay.0,
            keep_finished: settings.campaigns.keep_finished,
            keep_stopped: settings.campaigns.keep_stopped,
            keep_for: settings.campaigns.keep_for.0,
            look_ahead: settings.campaigns.look_ahead.into(),
        },
        alerts: alerts(&settings.alerts),
        reports: reports(settings),
        consent: ConsentWords::new(&settings.intake.opt_out, &settings.intake.opt_in),
        inbound_concurrency: count(settings.intake.concurrency),
        journal_retention: settings.records.journal_for.0,
        analytics: AnalyticsConfig {
            minutes: settings.analytics.minutes_for.0,
            quarters: settings.analytics.kept_for.0,
            conversion_window: settings.analytics.conversion_window.0,
        },
        durability: durability(settings),
        realtime_clients: count(settings.server.realtime_clients),
        role: settings.server.role,
        node_name: machine_name(),
        sessions_dir: Some(settings.data_dir.join(SESSIONS)),
        ..AppConfig::default()
    }
}

/// The directory of browser sessions, in the data directory.
const SESSIONS: &str = "sessions";

/// How browsers are started.
pub(crate) fn browser(web: &Web) -> BrowserConfig {
    BrowserConfig {
        program: named(&web.chromium),
        headless: web.headless,
        sandbox: web.sandbox,
        language: web.language.clone(),
        memory: web.memory.0,
    }
}

/// A path, where one is said.
fn named(path: &std::path::Path) -> Option<std::path::PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

/// Where browser sessions are kept, where they are switched on.
fn sessions(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Option<Arc<Pool>>, Failure> {
    let web = &settings.web;
    if !web.enabled {
        return Ok(None);
    }
    // Chromium runs elsewhere than we do.
    let dir = std::path::absolute(settings.data_dir.join(SESSIONS))
        .map_err(|error| Failure::new(format!("the sessions' directory: {error}")))?;
    let config = PoolConfig {
        dir,
        url: web.url.clone(),
        browser: browser(web),
        page: named(&web.page),
        most: usize::try_from(web.sessions).unwrap_or(usize::MAX),
        navigation: web.navigation_timeout.0,
        step: web.step_timeout.0,
    };
    let pool = Pool::open(config, clock).map_err(|error| {
        Failure::new(format!("browser sessions can't be kept: {error}"))
            .help("See [web] of the configuration.")
    })?;
    if !web.sandbox {
        tracing::warn!(
            "browser sessions run without Chromium's sandbox: a hostile page could reach this machine"
        );
    }
    if pool.program().is_none() {
        tracing::warn!(
            "no Chromium was found: install it (Debian: apt-get install chromium), or name it in [web]"
        );
    }
    Ok(Some(pool))
}

fn alerts(alerts: &Alerts) -> AlertConfig {
    AlertConfig {
        breaker_open: alerts.breaker_open.0,
        failure_percent: alerts.failure_percent,
        failure_percent_critical: alerts.failure_percent_critical,
        failure_sample: alerts.failure_sample.into(),
        failure_window: alerts.failure_window.0,
        wait: alerts.wait.0,
        inbound_wait: alerts.inbound_wait.0,
        saturated: alerts.saturated.into(),
        saturated_for: alerts.saturated_for.0,
        uncertain: alerts.uncertain.0,
        disconnected: alerts.disconnected.0,
        calm: alerts.calm.0,
        hook: hook(&alerts.hook_url, &alerts.hook_secret),
        number: number(&alerts.whatsapp_to, &alerts.whatsapp_channel),
    }
}

/// The hook that is set, if one is: the rules of the configuration have looked at it.
pub(super) fn hook(url: &str, secret: &Secret) -> Option<Hook> {
    let secret = HookSecret::read(secret.clone()).ok().filter(|_| !url.is_empty())?;
    Some(Hook { url: url.to_owned(), secret })
}

/// The number that is set, if one is, likewise.
pub(super) fn number(to: &str, channel: &str) -> Option<NoticeNumber> {
    let to = Recipient::parse(to, None).ok()?;
    Some(NoticeNumber { to, channel: channel.parse().ok()? })
}

/// How media are fetched and kept.
fn media(settings: &Settings) -> Result<MediaConfig, Failure> {
    let media = &settings.media;
    let s3 = (!media.s3_endpoint.is_empty()).then(|| S3Config {
        endpoint: media.s3_endpoint.clone(),
        bucket: media.s3_bucket.clone(),
        region: media.s3_region.clone(),
        access_key: media.s3_access_key.clone(),
        secret_key: media.s3_secret_key.clone(),
    });
    let name = HEXLOWER.encode(&random::<8>()?);
    let opened = MediaConfig::open(&settings.data_dir.join(MEDIA), &name, s3);
    let opened = opened.map_err(|error| Failure::new(error.to_string()))?;
    Ok(MediaConfig {
        concurrency: usize::try_from(media.concurrency).unwrap_or(usize::MAX),
        keep: media.keep.0,
        most_bytes: media.max_size.0,
        ..opened
    })
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
    let config = ApiConfig {
        rate_limit: Some(RateLimit { requests: rate.max, per: rate.window.max(Duration::from_millis(1)) }),
        public_url: public_url(settings),
        cors_origins: settings.server.origins().map(str::to_owned).collect(),
        login: Some(Arc::new(OneTimeLink::new(&token))),
        ..ApiConfig::new(seed()?)
    };
    Ok((config, token))
}

/// The address under which people and providers reach the server, where one is configured.
fn public_url(settings: &Settings) -> Option<String> {
    let url = settings.server.public_url.trim_end_matches('/');
    (!url.is_empty()).then(|| url.to_owned())
}

fn seed() -> Result<u64, Failure> {
    random::<8>().map(u64::from_le_bytes)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    random_bytes().map_err(|error| Failure::new(format!("the system gives no randomness: {error}")))
}
