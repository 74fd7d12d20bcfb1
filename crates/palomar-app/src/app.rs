//! The whole: what it is made of, how it starts and how it stops.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use palomar_broker::worker::{OnPanic, Worker, WorkerConfig};
use palomar_broker::{Broker, BrokerError, Control, Limits};
use palomar_model::{Clock, IdGenerator, OnUncertain, RetryPolicy, Timestamp};
use palomar_records::{Follower, LEAST_RETENTION, Records, RecordsError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::AppError;
use crate::alerts::{self, AlertConfig};
use crate::analytics::AnalyticsConfig;
use crate::campaigns::{self, CAMPAIGNS, CampaignConfig, Feeder, Keeper};
use crate::channels::{Defaults, LEASE, ProviderFactory, Registry};
use crate::consent::ConsentWords;
use crate::disk::StoreSource;
use crate::doubt::Resolver;
use crate::events::{Live, MOST_CLIENTS};
use crate::hooks::{HOOK_CALLS, HOOKS, Hook, HookSender, Topic};
use crate::inbound::Receiver;
use crate::intake::Entrance;
use crate::keys::KeyRing;
use crate::logs::Quiet;
use crate::media::{self, MediaConfig, MediaWorker, StoredBytes, Wants};
use crate::metrics::{Metrics, Workers};
use crate::nodes::{NodeRole, Nodes};
use crate::outbound::Sender;
use crate::projector::{Progress, Projector};
use crate::queues::{INBOUND, MEDIA, OUTBOUND};
use crate::reports::{self, ReportConfig};
use crate::send_jobs;
use crate::sessions;
use crate::setup::{self, Setup};
use crate::spool::{LastStats, SpoolSource};

/// How often records forget what is past its retention.
const TRIM_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked whether the system's clock jumped.
const WATCH_CLOCK_EVERY: Duration = Duration::from_secs(5);

/// What the application is told about its surroundings.
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// National numbers are read as of this country (ISO 3166); refused where there is none.
    pub default_region: Option<String>,
    /// Attempts in flight at once, over all channels.
    pub send_concurrency: usize,
    /// How often and how fast a message is tried again. Whether an unknown outcome may be repeated is its provider's.
    pub retry: RetryPolicy,
    /// Attempts at a message of a campaign: nobody waits for it at a screen.
    pub campaign_attempts: u32,
    /// How campaigns are fed.
    pub campaigns: CampaignConfig,
    /// When alerts fire, and who is told.
    pub alerts: AlertConfig,
    /// Which reports are told by themselves, and how.
    pub reports: ReportConfig,
    /// What a channel allows as far as neither its provider nor its owner says.
    pub limits: Limits,
    /// What becomes of messages whose outcome stays unknown, where their channel does not say.
    pub on_uncertain: OnUncertain,
    /// Words by which people say that they want no more messages, or want them again.
    pub consent: ConsentWords,
    /// Webhooks that are processed at once.
    pub inbound_concurrency: usize,
    /// Attempts at a webhook that can't be processed.
    pub inbound_attempts: u32,
    /// The wait after the first of them; doubled with each.
    pub inbound_backoff: Duration,
    /// How media are fetched and kept; without it none are.
    pub media: Option<MediaConfig>,
    /// How long the journal is kept; 8 days at least.
    pub journal_retention: Duration,
    /// How long analytics are kept.
    pub analytics: AnalyticsConfig,
    /// What an answer survives, in words: the broker's level of durability.
    pub durability: String,
    /// Clients that may follow events at once.
    pub realtime_clients: usize,
    /// What this process does.
    pub role: NodeRole,
    /// What its machine is called, to be told apart by people.
    pub node_name: String,
    /// Where browser sessions are kept, whether they are switched on or not.
    pub sessions_dir: Option<PathBuf>,
}

impl Default for AppConfig {
    fn default() -> AppConfig {
        AppConfig {
            default_region: None,
            send_concurrency: 256,
            retry: RetryPolicy::default(),
            campaign_attempts: 5,
            campaigns: CampaignConfig::default(),
            alerts: AlertConfig::default(),
            reports: ReportConfig::default(),
            limits: Limits::default(),
            on_uncertain: OnUncertain::Hold,
            consent: ConsentWords::default(),
            inbound_concurrency: 10,
            inbound_attempts: 3,
            inbound_backoff: Duration::from_secs(2),
            media: None,
            journal_retention: LEAST_RETENTION,
            analytics: AnalyticsConfig::default(),
            durability: "embedded: SQLite in WAL mode, flushed before every answer".to_owned(),
            realtime_clients: MOST_CLIENTS,
            role: NodeRole::All,
            node_name: String::new(),
            sessions_dir: None,
        }
    }
}

/// Why the application can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker does not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Records can't be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Records know facts that the broker's log does not have.
    #[error(
        "the records stand at {records}, the event log ends at {log}: the queue's data is older than the records \
             or another's; restore both from one backup"
    )]
    RecordsAhead {
        /// Where the rows stand.
        records: u64,
        /// Where the log ends.
        log: u64,
    },
    /// Something else that a caller could be told.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Palomar without its front: everything that the API and the command line let people do.
pub struct App {
    pub(crate) config: AppConfig,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) records: Records,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<IdGenerator>,
    pub(crate) metrics: Metrics,
    pub(crate) setup: Arc<Setup>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) entrance: Entrance,
    pub(crate) progress: Progress,
    pub(crate) live: Arc<Live>,
    /// What this process is called among those that share the stores.
    pub(crate) node: Arc<str>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) draining: AtomicBool,
    /// The broker has refused what was to be accepted: its disk is full.
    pub(crate) full: AtomicBool,
    pub(crate) store: OnceLock<StoreSource>,
    pub(crate) stored_bytes: StoredBytes,
    pub(crate) spool: OnceLock<SpoolSource>,
    pub(crate) last_stats: LastStats,
    /// How often it is said that a webhook was not made durable.
    pub(crate) not_durable: Quiet,
    pub(crate) keeper: Keeper,
    pub(crate) send_jobs: send_jobs::Keeper,
    /// Browser sessions, where they are switched on.
    pub(crate) web: Option<Arc<palomar_web::Pool>>,
    /// Who follows the log.
    right: watch::Sender<Follower>,
    running: Mutex<Option<Running>>,
}

/// What runs beside the callers.
struct Running {
    /// The workers of each pool, where this process has any.
    workers: Vec<(&'static str, Worker)>,
    projector: JoinHandle<()>,
    heart: JoinHandle<()>,
    stop: CancellationToken,
}

impl App {
    /// Starts everything: channels, their queues, workers, the projection of records.
    ///
    /// # Errors
    /// Where a store does not answer, or the stores do not belong together. A channel that can't work is no error: it
    /// is shown as broken.
    pub async fn start(
        config: AppConfig,
        broker: Arc<dyn Broker>,
        records: Records,
        providers: Arc<dyn ProviderFactory>,
        clock: Arc<dyn Clock>,
        ids: Arc<IdGenerator>,
        metrics: Metrics,
    ) -> Result<Arc<App>, StartError> {
        let progress = Progress::load(Arc::clone(&broker), records.clone()).await?;
        let stats = broker.stats().await?;
        if let Some((records, log)) = progress.ahead(&stats) {
            return Err(StartError::RecordsAhead { records, log });
        }
        let observer = Arc::new(metrics.clone());
        let web = providers.sessions();
        let defaults = Defaults { limits: config.limits.clone(), on_uncertain: config.on_uncertain };
        let registry = Arc::new(Registry::new(providers, observer, Arc::clone(&clock), defaults));
        let entrance =
            Entrance { broker: Arc::clone(&broker), clock: Arc::clone(&clock), ids: Arc::clone(&ids) };
        let node: Arc<str> = ids.uuid(clock.now()).to_string().into();
        let inbound = config.inbound_concurrency;
        let media = config.media.as_ref().map_or(1, |media| media.concurrency);
        let setup = Setup::new(records.clone(), Arc::clone(&registry), entrance.clone(), inbound, media);
        let live = Live::new(
            records.clone(),
            Arc::clone(setup.keys()),
            Arc::clone(&clock),
            metrics.clone(),
            config.realtime_clients,
        );
        let app = App {
            live: Arc::new(live),
            nodes: Arc::new(Nodes::new(records.clone(), &node, &config.node_name, config.role)),
            node,
            keys: Arc::clone(setup.keys()),
            setup: Arc::new(setup),
            draining: AtomicBool::new(false),
            full: AtomicBool::new(false),
            store: OnceLock::new(),
            stored_bytes: StoredBytes::default(),
            spool: OnceLock::new(),
            last_stats: LastStats::default(),
            not_durable: Quiet::default(),
            keeper: Keeper::default(),
            send_jobs: send_jobs::Keeper::default(),
            web,
            right: watch::Sender::new(Follower::Another),
            running: Mutex::new(None),
            config,
            broker,
            records,
            registry,
            clock,
            ids,
            metrics,
            entrance,
            progress,
        };
        app.setup.begin().await?;
        app.begin_media().await?;
        app.last_stats.set(app.now(), &stats);
        let (queue, limits) = (campaigns::batches_queue()?, campaigns::batches_limits(&app.config.campaigns));
        app.broker.control(Control::Configure { queue, limits }).await?.map_err(AppError::from)?;
        for (topic, _) in app.hooks() {
            app.broker.control(topic.set_up()?).await?.map_err(AppError::from)?;
        }
        app.metrics.begin(stats, app.registry.known());
        let app = Arc::new(app);
        app.nodes.beat().await;
        let running = app.run();
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(setup::look(Arc::downgrade(&app))));
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(media::tidy(Arc::downgrade(&app))));
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(sessions::watch(Arc::downgrade(&app))));
        let keeper = campaigns::watch(Arc::downgrade(&app), app.right.subscribe());
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(keeper));
        let send_jobs = send_jobs::watch(Arc::downgrade(&app), app.right.subscribe());
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(send_jobs));
        let alerts = alerts::watch(Arc::downgrade(&app), app.right.subscribe());
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(alerts));
        let reports = reports::watch(Arc::downgrade(&app), app.right.subscribe());
        tokio::spawn(running.stop.clone().run_until_cancelled_owned(reports));
        *app.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(app)
    }

    /// Stops: leases no more, lets attempts finish within `grace`, and brings records up to the end of the log.
    pub async fn shutdown(&self, grace: Duration) {
        self.set_draining();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        let stopping =
            running.workers.into_iter().map(async |(pool, worker)| (pool, worker.stop(grace).await));
        for (pool, given_up) in join_all(stopping).await.into_iter().filter(|(_, given_up)| *given_up > 0) {
            if pool == OUTBOUND {
                tracing::warn!(
                    attempts = given_up,
                    "attempts were given up: their messages become uncertain"
                );
            } else {
                tracing::info!(
                    jobs = given_up,
                    pool,
                    "webhooks or media were given back: they are processed at the next start"
                );
            }
        }
        running.stop.cancel();
        if let Some(web) = &self.web {
            web.close().await;
        }
        // It only says that this node ends.
        let _ = running.heart.await;
        if running.projector.await.is_err() {
            tracing::error!("the projection of records ended in a panic; it goes on at the next start");
        }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// National numbers are read as of this country.
    #[must_use]
    pub fn default_region(&self) -> Option<&str> {
        self.config.default_region.as_deref()
    }

    /// The metrics, to register more.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The records, to be looked at.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// Waits until records have all that was logged by now.
    ///
    /// # Errors
    /// Where the broker does not answer, or records have not caught up in time.
    pub async fn caught_up(&self, within: Duration) -> Result<(), AppError> {
        self.progress.caught_up(within).await
    }

    fn run(&self) -> Running {
        let (right, doubts) = (self.right.clone(), Arc::new(Notify::new()));
        let resolver = Resolver {
            broker: Arc::clone(&self.broker),
            records: self.records.clone(),
            registry: Arc::clone(&self.registry),
            clock: Arc::clone(&self.clock),
            progress: self.progress.clone(),
            right: right.subscribe(),
            doubts: Arc::clone(&doubts),
        };
        let projector = Projector {
            broker: Arc::clone(&self.broker),
            records: self.records.clone(),
            clock: Arc::clone(&self.clock),
            registry: Arc::clone(&self.registry),
            metrics: self.metrics.clone(),
            progress: self.progress.clone(),
            live: Arc::clone(&self.live),
            node: Arc::clone(&self.node),
            right,
            doubts,
        };
        let stop = CancellationToken::new();
        let trimmer =
            trim(self.records.clone(), Arc::clone(&self.node), Arc::clone(&self.clock), self.config.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(trimmer));
        let watch = watch_clock(self.metrics.clone(), Arc::clone(&self.clock));
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch));
        tokio::spawn(stop.clone().run_until_cancelled_owned(resolver.run()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&self.live).run()));
        Running {
            workers: self
                .config
                .role
                .pools()
                .iter()
                .filter_map(|pool| Some((*pool, self.worker(pool)?)))
                .collect(),
            heart: tokio::spawn(Arc::clone(&self.nodes).run(stop.clone())),
            projector: tokio::spawn(projector.run(stop.clone())),
            stop,
        }
    }

    /// Starts the worker of a pool; none where what it needs is not set up.
    fn worker(&self, pool: &str) -> Option<Worker> {
        match pool {
            OUTBOUND => Some(self.sender()),
            MEDIA => Some(self.fetcher(self.config.media.as_ref()?)),
            CAMPAIGNS => Some(self.feeder()),
            HOOKS => self.teller(),
            _ => Some(self.receiver()),
        }
    }

    fn fetcher(&self, config: &MediaConfig) -> Worker {
        let worker = MediaWorker {
            config: config.clone(),
            registry: Arc::clone(&self.registry),
            records: self.records.clone(),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            stored_bytes: self.stored_bytes.clone(),
        };
        // What was fetched twice is kept once.
        let config =
            WorkerConfig { on_panic: OnPanic::Retry, ..WorkerConfig::new(MEDIA, config.concurrency) };
        Worker::spawn(Arc::clone(&self.broker), config, worker)
    }

    fn sender(&self) -> Worker {
        let sender = Sender {
            records: self.records.clone(),
            registry: Arc::clone(&self.registry),
            setup: Arc::clone(&self.setup),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            progress: self.progress.clone(),
            repeats: Mutex::new(HashMap::new()),
            retry: self.config.retry,
            campaign_attempts: self.config.campaign_attempts,
        };
        let config =
            WorkerConfig { lease: LEASE, ..WorkerConfig::new(OUTBOUND, self.config.send_concurrency) };
        Worker::spawn(Arc::clone(&self.broker), config, sender)
    }

    fn feeder(&self) -> Worker {
        let config = &self.config.campaigns;
        let feeder = Feeder {
            config: config.clone(),
            broker: Arc::clone(&self.broker),
            records: self.records.clone(),
            registry: Arc::clone(&self.registry),
            setup: Arc::clone(&self.setup),
            clock: Arc::clone(&self.clock),
            progress: self.progress.clone(),
            wake: Arc::clone(&self.keeper.wake),
        };
        let places = config.concurrent_batches.max(1) as usize;
        // What was fed twice is there once.
        let config = WorkerConfig { on_panic: OnPanic::Retry, ..WorkerConfig::new(CAMPAIGNS, places) };
        Worker::spawn(Arc::clone(&self.broker), config, feeder)
    }

    /// The hooks that are set up.
    fn hooks(&self) -> Vec<(Topic, Hook)> {
        let (alerts, reports) = (&self.config.alerts.hook, &self.config.reports.hook);
        let all = [(Topic::Alerts, alerts), (Topic::Reports, reports)];
        all.into_iter().filter_map(|(topic, hook)| Some((topic, hook.clone()?))).collect()
    }

    fn teller(&self) -> Option<Worker> {
        let hooks = self.hooks();
        if hooks.is_empty() {
            return None;
        }
        let client = match palomar_channels::http::client() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "hooks can't be told: calls can't be set up");
                return None;
            }
        };
        let sender = HookSender { hooks, client, clock: Arc::clone(&self.clock) };
        // What is told twice has one id.
        let config = WorkerConfig { on_panic: OnPanic::Retry, ..WorkerConfig::new(HOOKS, HOOK_CALLS) };
        Some(Worker::spawn(Arc::clone(&self.broker), config, sender))
    }

    fn receiver(&self) -> Worker {
        let receiver = Receiver {
            broker: Arc::clone(&self.broker),
            registry: Arc::clone(&self.registry),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            consent: self.config.consent.clone(),
            wants: self.config.media.is_some().then(|| Wants { broker: Arc::clone(&self.broker) }),
            attempts: self.config.inbound_attempts,
            backoff: self.config.inbound_backoff,
            given_up: Quiet::default(),
        };
        // Reading a webhook again changes nothing more.
        let config = WorkerConfig {
            on_panic: OnPanic::Retry,
            ..WorkerConfig::new(INBOUND, self.config.inbound_concurrency)
        };
        Worker::spawn(Arc::clone(&self.broker), config, receiver)
    }

    /// The workers of each kind; none before the start and after the end.
    pub(crate) fn workers(&self) -> Vec<Workers> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map_or_else(Vec::new, |running| {
            let all = |pool| match pool {
                OUTBOUND => self.config.send_concurrency,
                MEDIA => self.config.media.as_ref().map_or(0, |media| media.concurrency),
                CAMPAIGNS => self.config.campaigns.concurrent_batches as usize,
                HOOKS => HOOK_CALLS,
                _ => self.config.inbound_concurrency,
            };
            let workers = running.workers.iter();
            workers
                .map(|(pool, worker)| Workers { kind: pool, busy: worker.busy(), all: all(pool) })
                .collect()
        })
    }
}

async fn trim(records: Records, node: Arc<str>, clock: Arc<dyn Clock>, config: AppConfig) {
    let AnalyticsConfig { minutes, quarters, .. } = config.analytics;
    loop {
        if let Err(error) = records.analytics_forget(&node, minutes, quarters, clock.now()).await {
            tracing::warn!(%error, "analytics: what is past its retention was not forgotten");
        }
        match records.trim(config.journal_retention, clock.now()).await {
            Ok(rows) => tracing::debug!(rows, "records: forgot what is past its retention"),
            Err(error) => tracing::warn!(%error, "records: what is past its retention was not forgotten"),
        }
        tokio::time::sleep(TRIM_EVERY).await;
    }
}

async fn watch_clock(metrics: Metrics, clock: Arc<dyn Clock>) {
    loop {
        metrics.look_at_clock(clock.now());
        tokio::time::sleep(WATCH_CLOCK_EVERY).await;
    }
}
