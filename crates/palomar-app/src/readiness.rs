//! Whether this process can do its work: for load balancers, and for people.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use palomar_broker::SpoolMeters;
use palomar_records::PROJECTION;
use serde::Serialize;

use crate::disk::DiskRoom;
use crate::metrics::{Moment, Reading, Usage};
use crate::{App, AppError};

/// Records that are further behind the log than this are worth a warning.
const LAG_TO_WARN: u64 = 100_000;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Pass,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// How it came out.
    pub status: Health,
    /// In words.
    pub detail: String,
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The worst of them.
    pub status: Health,
    /// By name.
    pub checks: BTreeMap<&'static str, Check>,
    /// What an answer of this installation survives.
    pub durability: String,
}

fn check(status: Health, detail: impl Into<String>) -> Check {
    Check { status, detail: detail.into() }
}

/// How the spool stands: in use is worth a look, full means that nothing more is accepted.
fn spool_check(spool: &SpoolMeters) -> Check {
    let SpoolMeters { items, bytes, limit, .. } = spool;
    let held = format!("{items} wait, {} MiB of {} MiB", bytes >> 20, limit >> 20);
    if let Some(why) = &spool.failure {
        return check(Health::Fail, format!("it can't be written any more: {why}"));
    }
    match (&spool.away, &spool.stuck) {
        (Some(_), _) if spool.full => {
            check(Health::Fail, format!("full: {held}; nothing more is accepted until the queues are back"))
        }
        (None, Some(why)) if spool.full => {
            check(Health::Fail, format!("full: {held}; nothing more is accepted until they are taken: {why}"))
        }
        (Some(_), _) => check(Health::Warn, format!("{held}, for the queues to be back")),
        (None, Some(why)) => check(Health::Warn, format!("{held}, and can't be handed over: {why}")),
        (None, None) if *items == 0 => check(Health::Pass, "empty"),
        (None, None) => check(Health::Warn, format!("{held}, and are handed over")),
    }
}

impl App {
    /// Whether this process can do its work.
    pub async fn readiness(&self) -> Readiness {
        let stats = self.broker.stats().await;
        let failure = self.store_reading().and_then(|reading| reading.failure);
        let broker = match &stats {
            _ if failure.is_some() => check(Health::Fail, failure.as_deref().unwrap_or_default()),
            Ok(stats) => check(Health::Pass, format!("{} queues", stats.queues.len())),
            // What comes is accepted all the same.
            Err(error) if self.is_spooling(error) => {
                check(Health::Warn, format!("{error}; what comes waits in the spool, nothing is sent"))
            }
            Err(error) => check(Health::Fail, error.to_string()),
        };
        let records = match self.records.ping().await {
            Ok(()) => check(Health::Pass, "can be written"),
            Err(error) => check(Health::Fail, error.to_string()),
        };
        let behind = stats.map_or(0, |stats| self.progress.behind(&stats));
        let lag = if behind > LAG_TO_WARN { Health::Warn } else { Health::Pass };
        let projections = check(lag, format!("{PROJECTION} is {behind} facts behind"));
        let mut checks = BTreeMap::from([
            ("broker", broker),
            ("records", records),
            ("projections", projections),
            ("disk", self.disk_check().await),
        ]);
        if let Some(spool) = self.spool() {
            checks.insert("spool", spool_check(&spool));
        }
        if self.draining.load(Ordering::Relaxed) {
            checks.insert("draining", check(Health::Fail, "this process is stopping"));
        }
        let status = checks.values().map(|check| check.status).max().unwrap_or(Health::Pass);
        Readiness { status, checks, durability: self.config.durability.clone() }
    }

    /// Whether there is room for what comes.
    async fn disk_check(&self) -> Check {
        if self.full.load(Ordering::Relaxed) {
            let detail = "full: nothing more is accepted until there is room; what was accepted goes on";
            return check(Health::Warn, detail);
        }
        match self.disk().await {
            Some(disk) => {
                let detail = format!("{} MiB of {} MiB are free", disk.free >> 20, disk.total >> 20);
                check(if disk.room() == DiskRoom::Enough { Health::Pass } else { Health::Warn }, detail)
            }
            None => check(Health::Warn, "the system does not say how much is free"),
        }
    }

    /// Says that this process is stopping: it is not ready any more, and who follows events goes elsewhere.
    pub fn set_draining(&self) {
        self.live.close();
        self.draining.store(true, Ordering::Relaxed);
    }

    /// All metrics as text, in the format of OpenMetrics.
    ///
    /// # Errors
    /// Where the broker does not answer; while what comes waits in the spool, its numbers stay as they were. What only
    /// the records know is left out while they can't be read.
    pub async fn metrics_text(&self) -> Result<String, AppError> {
        let stats = match self.broker.stats().await {
            Ok(stats) => Some(stats),
            // What this node knows by itself is told all the same.
            Err(error) if self.is_spooling(&error) => None,
            Err(error) => return Err(error.into()),
        };
        let reading = Reading {
            spool: self.spool().unwrap_or_default(),
            workers: self.workers(),
            disk: self.disk().await,
            queue: self.store_reading(),
            failed_webhooks: self.records.failed_webhook_count().await.ok(),
            alerts: self.firing_by_severity().await.ok(),
            media: self.stored_bytes.get(),
            heartbeats: self.nodes.heartbeat_ages(),
            sessions: self.session_readings(),
        };
        // The kernel is quick to answer, but not always.
        let usage = tokio::task::spawn_blocking(Usage::read).await.ok().flatten();
        let queues = match stats {
            Some(stats) => {
                let lag = self.progress.lag(&stats, self.now()).await?;
                Some((stats, lag))
            }
            None => None,
        };
        let channels = self.registry.known();
        self.metrics.refresh(Moment { queues, channels, reading, usage, now: self.now() });
        self.metrics.text().map_err(|error| AppError::Unavailable(error.to_string()))
    }
}
