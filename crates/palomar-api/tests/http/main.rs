//! The API as a client sees it: the real application, broker and records in a temporary directory, requests handed to
//! the router without a socket. Every answer is compared with the OpenAPI document on its way.

mod access;
mod alerts;
mod analytics;
mod bulk;
mod campaigns;
mod contacts;
mod contract;
mod conversations;
mod events;
mod flow;
mod house;
mod media;
mod metrics;
mod monitor;
mod rates;
mod refusals;
mod repeats;
mod send_jobs;
mod socketio;
mod webhooks;
