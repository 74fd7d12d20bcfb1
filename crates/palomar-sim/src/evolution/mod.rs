//! Evolution API: its HTTP side put together, and the ways to run it.
//!
//! What it plays: `GET /`, `POST /instance/create`, `GET /instance/connect|connectionState/{name}` and
//! `/instance/fetchInstances`, `DELETE /instance/logout|delete/{name}`, `POST /message/{op}/{instance}` for the eleven
//! operations of a paired phone, `POST /chat/findMessages|whatsappNumbers/{instance}`, `POST /webhook/set/{instance}`, and
//! webhooks. A message is accepted (ledger, events) before its answer waits or is spoiled by a fault.
//!
//! Its control side is that of every simulator ([`crate::control`]); `POST /_sim/inbound` takes an [`Inbound`]. Besides,
//! `POST /_sim/instance` with `{"instance", "state", "reason"?}` is what happens to a phone: `open` (its QR is scanned),
//! `connecting`, `close` (401: logged out; 403: banned).

mod config;
mod errors;
mod inbound;
mod instances;
mod magic;
mod messages;
mod misbehaviour;
mod payload;
mod state;
mod validate;
mod webhook;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use palomar_model::Clock;
use tokio::net::TcpListener;

pub use config::Config;
pub use inbound::Inbound;
pub use misbehaviour::{Fault, FaultKind, Faults};
pub use state::{LedgerEntry, State as InstanceState};

pub use crate::behaviour::Statuses;
pub use crate::courier::Webhooks;

use crate::{control, server};
use errors::Refusal;
use state::Simulator;

/// A change of behaviour; what is missing stays as it is.
pub type BehaviourChange = crate::behaviour::BehaviourChange<FaultKind>;
/// A simulator that runs inside this process; it ends when this is dropped.
pub type RunningSim = server::Running<Simulator>;

/// Evolution's own limit.
const MOST_BYTES: usize = 136 << 20;

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

/// A simulator on a free port of 127.0.0.1, inside this process.
///
/// # Errors
/// Where a setting is out of its range, or no port can be had.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> io::Result<RunningSim> {
    RunningSim::start(router, Simulator::new(config, clock)?).await
}

impl RunningSim {
    /// Brings an instance into a state, as `POST /_sim/instance` does.
    pub fn set_instance(&self, name: &str, state: InstanceState, reason: u32) {
        self.simulator().set_instance(name, state, reason);
    }
}

fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/", get(instances::root))
        .route("/instance/create", post(instances::create))
        .route("/instance/connect/{instance}", get(instances::connect))
        .route("/instance/connectionState/{instance}", get(instances::state))
        .route("/instance/fetchInstances", get(instances::list))
        .route("/instance/logout/{instance}", delete(instances::log_out))
        .route("/instance/delete/{instance}", delete(instances::delete))
        .route("/webhook/set/{instance}", post(instances::webhook))
        .route("/message/{op}/{instance}", post(messages::post).layer(DefaultBodyLimit::max(MOST_BYTES)))
        .route("/chat/findMessages/{instance}", post(messages::find))
        .route("/chat/getBase64FromMediaMessage/{instance}", post(messages::media))
        .route("/chat/whatsappNumbers/{instance}", post(messages::numbers))
        .route("/_sim/instance", post(instances::happen))
        .merge(control::routes())
        .fallback(unknown)
        .with_state(simulator)
}

async fn unknown(State(simulator): State<Arc<Simulator>>, method: Method, uri: Uri) -> Response {
    messages::refuse(&simulator, &Refusal::no_route(method.as_str(), uri.path()))
}
