//! Several processes on the same stores: one PostgreSQL, and one broker whose event log has several partitions.

mod away;
#[path = "../house/mod.rs"]
mod house;
mod log;
mod partitioned;
#[path = "../../../palomar-records/tests/records/postgres.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod postgres;
mod realtime;
mod roles;
mod setup;
mod shared;
