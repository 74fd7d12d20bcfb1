//! Trials of several nodes: real processes on one Redis and one PostgreSQL, which are killed, stopped and cut off while
//! messages travel. What callers were told is compared with what simulated providers took.

#![allow(
    clippy::print_stderr,
    reason = "a test that fails shows what the servers printed, and each its seed and figures"
)]

#[path = "../system/callers.rs"]
mod callers;
mod campaigns;
mod cluster;
mod frozen;
#[path = "../system/harness.rs"]
#[allow(dead_code, reason = "it is shared, and each binary takes of it what it needs")]
mod harness;
mod hung;
mod installation;
mod orders;
#[path = "../../../palomar-records/tests/records/postgres.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod postgres;
mod records;
mod redis_away;
#[path = "../../../palomar-broker/src/redis/tests/server.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod server;
#[path = "../../../palomar-broker/src/redis/tests/servers.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod servers;
