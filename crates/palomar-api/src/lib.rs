//! Palomar over HTTP: the JSON API, providers' webhooks, health, metrics, and the OpenAPI document made of the routes.
//!
//! ```text
//! connection ─> serve ─> layers ─────────────────────────> routes ─> palomar_app::App
//!               limits   id, access, key, allowance,        a file
//!                        problems, headers, metrics, log    a noun
//! ```
//!
//! Beside the routes, `socketio` answers below `/socket.io/`: who connects there proves it in the handshake.
//!
//! What always holds: a route that is not in the access table is not answered; an error is a problem document with a
//! stable code; what a client sent is bounded before it is read and never repeated in an error or a log line; 202 is
//! written only after the application said that the message is durable.

mod access;
mod body;
mod bulk;
mod config;
mod cors;
mod files;
mod html;
mod idempotency;
mod json;
mod layers;
mod limiter;
mod login;
mod message;
mod metrics;
mod openapi;
mod params;
mod problem;
mod replays;
mod routes;
mod schema;
mod serve;
mod socketio;
mod state;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use palomar_app::App;
use palomar_model::IdGenerator;

pub use config::{ApiConfig, LoginLink, RateLimit};
pub use login::OneTimeLink;
pub use serve::serve;

/// All routes, ready to be served. Registers its metrics with the application's: make one router a process.
pub fn router(app: Arc<App>, config: ApiConfig) -> Router {
    // Its document is published as the tests wrote it down.
    let (routes, _) = routes::router().split_for_parts();
    let metrics = metrics::HttpMetrics::new();
    app.metrics().register(|registry| metrics.register(registry));
    let origins = config.cors_origins.clone();
    let api = Arc::new(state::Api {
        metrics,
        limiter: config.rate_limit.map(limiter::Limiter::new),
        replays: replays::Replays::default(),
        request_ids: IdGenerator::new(config.request_id_seed),
        refusals: layers::Refusals::default(),
        app,
        config,
    });
    routes
        // Each route bounds what it reads: see `body` and `bulk`.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), layers::around))
        .layer(socketio::layer(&api))
        .layer(cors::layer(&origins))
        .with_state(api)
}
