//! The Cloud API: its HTTP side put together, and the ways to run it.
//!
//! What it plays: `POST /{version}/{phone_number_id}/messages` (and `/marketing_messages`), `POST …/media`,
//! `GET` and `DELETE /{version}/{media_id}`, the media's address, `GET /{version}/{phone_number_id}`, and webhooks.
//! A message is accepted (limits, ledger, statuses) before its answer waits or is spoiled by a fault.
//!
//! The control side needs no token:
//!
//! | call | what |
//! |---|---|
//! | `GET /_sim/ledger?count=true` | `{"count": n}` |
//! | `GET /_sim/ledger?after=N&limit=M` | `{"count", "items", "next"}`: each item a [`LedgerEntry`]; `next` is the `after` of the next page or null; at most 10,000 |
//! | `GET /_sim/ledger/duplicates` | `{"count", "items"}`: each item a [`Duplicate`] |
//! | `GET`, `POST /_sim/faults` | [`BehaviourChange`]: what is given replaces what was set; an unknown field is refused |
//! | `POST /_sim/inbound` | [`Inbound`]: a person writes; answers `{"id"}` |
//! | `POST /_sim/webhook` | `{"url": "http://…"}` or null: where webhooks go from now on |
//! | `POST /_sim/reset` | forgets everything, behaves as configured; hanging requests are reset |
//! | `GET /_sim/stats` | [`Stats`] |

mod config;
mod control;
mod errors;
mod faults;
mod field;
mod interactive;
mod limits;
mod magic;
mod media;
mod messages;
mod payload;
mod state;
mod stats;
mod statuses;
mod template;
mod validate;
mod webhook;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use palomar_model::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::{Config, PairLimit, PhoneNumber, Statuses, Template, Webhooks};
pub use control::{BehaviourChange, Inbound};
pub use faults::{Fault, FaultKind, Faults};
pub use stats::{Stats, WebhookStats};

use crate::ledger::{Duplicate, LedgerEntry};
use crate::span::InvalidSetting;
use crate::wire::{CuttableListener, Wire};
use errors::GraphError;
use state::Simulator;

/// How long connections may take to end at the shutdown.
const GRACE: Duration = Duration::from_millis(500);
/// The largest request to `/messages`.
const MOST_MESSAGE_BYTES: usize = 1 << 20;

/// Runs the simulator on `listener` until `shutdown` is ready.
///
/// # Errors
/// Where a setting is out of its range, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    run(listener, Arc::new(Simulator::new(config, clock)?), shutdown).await
}

async fn run(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let for_batch = Arc::clone(&simulator);
    let courier = Arc::clone(&simulator.courier).run(move || for_batch.batch(), stopped.clone());
    let courier = tokio::spawn(courier);
    let service = router(Arc::clone(&simulator)).into_make_service_with_connect_info::<Wire>();
    let server = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(until_true(stopped));
    let mut server = std::pin::pin!(server.into_future());
    let result = tokio::select! {
        result = &mut server => result,
        () = shutdown => {
            stop.send_replace(true);
            simulator.release.notify_waiters();
            // Whoever still holds a connection loses it.
            tokio::time::timeout(GRACE, server).await.unwrap_or(Ok(()))
        }
    };
    courier.abort();
    result
}

async fn until_true(mut flag: watch::Receiver<bool>) {
    // An error means that the other side is gone: then too it is time.
    drop(flag.wait_for(|stop| *stop).await);
}

fn router(simulator: Arc<Simulator>) -> Router {
    let messages = || post(messages::post).layer(DefaultBodyLimit::max(MOST_MESSAGE_BYTES));
    // The form's own fields and boundaries come on top of the file.
    let media = post(media::upload).layer(DefaultBodyLimit::max(media::MOST_BYTES + (1 << 20)));
    Router::new()
        .route("/{version}/{phone_number_id}/messages", messages())
        .route("/{version}/{phone_number_id}/marketing_messages", messages())
        .route("/{version}/{phone_number_id}/media", media)
        .route("/{version}/{id}", get(media::look_up).delete(media::delete))
        .route("/whatsapp_business/attachments/", get(media::download))
        .route("/_sim/ledger", get(control::ledger))
        .route("/_sim/ledger/duplicates", get(control::duplicates))
        .route("/_sim/stats", get(control::stats))
        .route("/_sim/faults", get(control::get_faults).post(control::set_faults))
        .route("/_sim/inbound", post(control::inbound).layer(DefaultBodyLimit::max(4 << 20)))
        .route("/_sim/webhook", post(control::webhook))
        .route("/_sim/reset", post(control::reset))
        .fallback(unknown)
        .with_state(simulator)
}

async fn unknown(State(simulator): State<Arc<Simulator>>) -> Response {
    messages::refuse(&simulator, &GraphError::unknown_path())
}

/// Starts simulators inside this process.
#[derive(Debug, Clone, Copy)]
pub struct CloudApiSim;

impl CloudApiSim {
    /// A simulator on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where a setting is out of its range, or no port can be had.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> io::Result<RunningSim> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let simulator = Arc::new(Simulator::new(config, clock)?);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(listener, Arc::clone(&simulator), until_true(stopped)));
        Ok(RunningSim { addr, simulator, stop, task })
    }
}

/// A simulator that runs inside this process; it ends when this is dropped.
pub struct RunningSim {
    /// Where it listens.
    pub addr: SocketAddr,
    simulator: Arc<Simulator>,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl fmt::Debug for RunningSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSim").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl RunningSim {
    /// Its address as a URL without a slash at the end: the base URL of a channel.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets where webhooks go from now on.
    pub fn set_webhook_url(&self, url: Option<&str>) {
        self.simulator.courier.set_target(url);
    }

    /// Changes how it behaves, as `POST /_sim/faults` does.
    ///
    /// # Errors
    /// Where a setting is out of its range; then nothing changes.
    pub fn change(&self, change: BehaviourChange) -> Result<(), InvalidSetting> {
        control::change_behaviour(&self.simulator, change)
    }

    /// Sets all faults.
    ///
    /// # Errors
    /// Where a setting is out of its range; then nothing changes.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), InvalidSetting> {
        self.change(BehaviourChange { faults: Some(Faults(faults)), ..BehaviourChange::default() })
    }

    /// A person writes; answers the message's id.
    ///
    /// # Errors
    /// Where no webhook URL is set, or there is nothing to write.
    pub fn inbound(&self, inbound: Inbound) -> Result<Option<String>, InvalidSetting> {
        control::receive(&self.simulator, inbound)
    }

    /// How many messages it accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.simulator.ledger_len()
    }

    /// Up to `limit` entries of the ledger behind place `after` (0: from the first).
    #[must_use]
    pub fn ledger(&self, after: u64, limit: usize) -> Vec<LedgerEntry> {
        self.simulator.ledger(after, limit)
    }

    /// The messages it accepted more than once.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.simulator.duplicates()
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.simulator.stats()
    }

    /// Forgets everything and behaves as configured.
    pub fn reset(&self) {
        self.simulator.reset();
    }

    /// Ends it, and waits for the end.
    ///
    /// # Errors
    /// Where the listener had failed.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.task.await.map_err(io::Error::other)?
    }
}
