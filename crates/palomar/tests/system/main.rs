//! Whole-system tests: the real binary, a simulated provider over real HTTP, real signals.

#![allow(
    clippy::print_stderr,
    reason = "a test that fails shows what the server printed, and each its seed and figures"
)]

mod analytics;
mod broken;
mod callers;
mod campaigns;
mod crash;
mod evolution;
mod first_minute;
#[allow(dead_code, reason = "it is shared, and each binary takes of it what it needs")]
mod harness;
mod intake;
mod limits;
mod logs;
mod media;
mod metrics;
mod provider;
mod screens;
mod send_jobs;
mod twilio;
mod web;
