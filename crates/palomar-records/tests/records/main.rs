//! What must hold of records, on SQLite and on PostgreSQL alike.

mod analytics;
mod attribution;
mod audience;
mod campaigns;
mod costs;
mod crash;
mod facts;
mod feed;
mod forgetting;
mod half_open;
mod house;
mod inbox;
mod lists;
mod media;
mod nodes;
mod postgres;
mod projection;
mod random;
mod refused;
mod schema;
mod send_jobs;
mod sessions;
mod transfer;
mod written;
