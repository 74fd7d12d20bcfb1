//! Twilio's Programmable Messaging: its HTTP side put together, and the ways to run it.
//!
//! What it plays: `POST` and `GET /2010-04-01/Accounts/{sid}/Messages.json`, the addresses of media that people sent, reports
//! to each message's `StatusCallback`, and people's messages to the webhook, all signed. A message is accepted (limits,
//! queue, ledger, reports) before its answer waits or is spoiled by a fault.
//!
//! Its control side is that of every simulator (`palomar_sim::control`); `POST /_sim/inbound` takes an [`Inbound`].

mod config;
mod errors;
mod inbound;
mod messages;
mod misbehaviour;
mod state;
mod validate;
mod webhook;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use palomar_model::Clock;
use tokio::net::TcpListener;

pub use config::{Config, SenderQueue};
pub use inbound::{Inbound, Media};
pub use misbehaviour::{Fault, FaultKind, Faults};
pub use state::LedgerEntry;

pub use crate::behaviour::Statuses;
pub use crate::courier::Webhooks;
pub use crate::stats::{Stats, WebhookStats};

use crate::{control, server};
use errors::ApiError;
use state::Simulator;

/// A change of behaviour; what is missing stays as it is.
pub type BehaviourChange = crate::behaviour::BehaviourChange<FaultKind>;
/// A simulator that runs inside this process; it ends when this is dropped.
pub type RunningSim = server::Running<Simulator>;

/// The largest request.
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
    let simulator = Arc::new(Simulator::new(config, clock)?);
    server::run(listener, router(Arc::clone(&simulator)), simulator, shutdown).await
}

fn router(simulator: Arc<Simulator>) -> Router {
    let messages = post(messages::post).get(messages::list).layer(DefaultBodyLimit::max(MOST_MESSAGE_BYTES));
    Router::new()
        .route("/2010-04-01/Accounts/{account}/Messages.json", messages)
        .route("/2010-04-01/Accounts/{account}/Messages/{message}/Media/{id}", get(inbound::look_up))
        .route("/_cdn/{id}", get(inbound::download))
        .merge(control::routes())
        .fallback(unknown)
        .with_state(simulator)
}

async fn unknown(State(simulator): State<Arc<Simulator>>) -> Response {
    messages::refuse(&simulator, &ApiError::of(20_404))
}

/// Starts simulators inside this process.
#[derive(Debug, Clone, Copy)]
pub struct TwilioSim;

impl TwilioSim {
    /// A simulator on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where a setting is out of its range, or no port can be had.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> io::Result<RunningSim> {
        RunningSim::start(router, Simulator::new(config, clock)?).await
    }
}
