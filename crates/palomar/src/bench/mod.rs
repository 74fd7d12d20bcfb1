//! `palomar bench`: measurements that can be laid beside the peers'. Each prints one JSON line.
//!
//! Absolute figures move by tens of percent between machines and minutes; only ratios taken in one run count.

pub mod broker;
pub mod http;
mod measure;
