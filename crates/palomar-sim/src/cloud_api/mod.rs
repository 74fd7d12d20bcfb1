//! The Cloud API: its HTTP side put together, and the ways to run it.
//!
//! What it plays: `POST /{version}/{phone_number_id}/messages` (and `/marketing_messages`), `POST …/media`,
//! `GET` and `DELETE /{version}/{media_id}`, the media's address, `GET /{version}/{phone_number_id}`,
//! `GET /{version}/{business_account_id}/message_templates`, and webhooks.
//! A message is accepted (limits, ledger, statuses) before its answer waits or is spoiled by a fault.
//!
//! Its control side is that of every simulator (`palomar_sim::control`); `POST /_sim/inbound` takes an [`Inbound`].

mod config;
mod errors;
mod field;
mod inbound;
mod interactive;
mod limits;
mod magic;
mod media;
mod messages;
mod misbehaviour;
mod payload;
mod state;
mod statuses;
mod template;
mod template_list;
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

pub use config::{Config, PairLimit, PhoneNumber, Template};
pub use inbound::Inbound;
pub use misbehaviour::{Fault, FaultKind, Faults};

pub use crate::behaviour::Statuses;
pub use crate::courier::Webhooks;
pub use crate::stats::{Stats, WebhookStats};

use crate::{control, server};
use errors::GraphError;
use state::Simulator;

/// A change of behaviour; what is missing stays as it is.
pub type BehaviourChange = crate::behaviour::BehaviourChange<FaultKind>;
/// A simulator that runs inside this process; it ends when this is dropped.
pub type RunningSim = server::Running<Simulator>;

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
    let simulator = Arc::new(Simulator::new(config, clock)?);
    server::run(listener, router(Arc::clone(&simulator)), simulator, shutdown).await
}

fn router(simulator: Arc<Simulator>) -> Router {
    let messages = || post(messages::post).layer(DefaultBodyLimit::max(MOST_MESSAGE_BYTES));
    // The form's own fields and boundaries come on top of the file.
    let media = post(media::upload).layer(DefaultBodyLimit::max(media::MOST_BYTES + (1 << 20)));
    Router::new()
        .route("/{version}/{phone_number_id}/messages", messages())
        .route("/{version}/{phone_number_id}/marketing_messages", messages())
        .route("/{version}/{phone_number_id}/media", media)
        .route("/{version}/{business_account_id}/message_templates", get(template_list::list))
        .route("/{version}/{id}", get(media::look_up).delete(media::delete))
        .route("/whatsapp_business/attachments/", get(media::download))
        .merge(control::routes())
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
        RunningSim::start(router, Simulator::new(config, clock)?).await
    }
}
