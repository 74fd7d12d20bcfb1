//! The settings, one struct per section of `palomar.default.toml`.
//!
//! That file is the defaults and the documentation of each setting; these structs are its shape. No field has a
//! default here, so the two cannot disagree: a field that the file lacks, or a key that no field has, fails the tests.

use std::net::SocketAddr;
use std::path::PathBuf;

use palomar_app::{NoReportKind, NodeRole, ReportKind};
use palomar_model::Secret;
use serde::{Deserialize, Serialize, Serializer};

use super::units::{Rate, Size, Span};

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) environment: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) server: Server,
    pub(crate) broker: Broker,
    pub(crate) records: Records,
    pub(crate) analytics: Analytics,
    pub(crate) sending: Sending,
    pub(crate) campaigns: Campaigns,
    pub(crate) alerts: Alerts,
    pub(crate) reports: Reports,
    pub(crate) intake: Intake,
    pub(crate) media: Media,
    pub(crate) web: Web,
    pub(crate) demo: Demo,
    pub(crate) log: Log,
}

/// `[server]`: the HTTP side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) cors_origins: String,
    pub(crate) rate_limit: Rate,
    pub(crate) realtime_clients: u32,
    pub(crate) shutdown_grace: Span,
    pub(crate) role: NodeRole,
}

impl Server {
    /// The origins of `cors_origins`.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.cors_origins.split(',').map(str::trim).filter(|origin| !origin.is_empty())
    }
}

/// `[broker]`: the queues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broker {
    #[serde(serialize_with = "exposed")]
    pub(crate) redis: Secret,
    pub(crate) redis_primary: String,
    pub(crate) redis_prefix: String,
    pub(crate) redis_partitions: u16,
    pub(crate) redis_ca: PathBuf,
    pub(crate) confirm: Confirm,
    pub(crate) confirm_replicas: u32,
    pub(crate) allow_data_loss: bool,
    pub(crate) spool_limit: Size,
    pub(crate) payload_memory: Size,
    pub(crate) keep_completed: u32,
    pub(crate) keep_dead: u32,
}

/// When an answer of Redis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confirm {
    /// When it is there.
    Written,
    /// When it was flushed.
    Synced,
    /// When replicas have it.
    Replicated,
}

impl Broker {
    /// Whether queues are in Redis, for other processes as well.
    pub(crate) fn is_redis(&self) -> bool {
        !self.redis.expose().is_empty()
    }

    /// The addresses of Redis.
    pub(crate) fn redis_urls(&self) -> Vec<String> {
        let parts = self.redis.expose().split(',').map(str::trim).filter(|url| !url.is_empty());
        parts.map(str::to_owned).collect()
    }
}

/// `[records]`: the SQL side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    #[serde(serialize_with = "exposed")]
    pub(crate) url: Secret,
    pub(crate) connections: u16,
    pub(crate) journal_for: Span,
}

/// A secret as it is, to be compared with the default file. What is shown comes from `show`, which masks.
fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// `[analytics]`: how long they are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Analytics {
    pub(crate) minutes_for: Span,
    pub(crate) kept_for: Span,
    pub(crate) conversion_window: Span,
}

/// `[sending]`: outbound, over all channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sending {
    pub(crate) concurrency: u32,
    pub(crate) default_region: String,
}

/// `[campaigns]`: how they are fed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Campaigns {
    pub(crate) batch_size: u32,
    pub(crate) concurrent_batches: u32,
    pub(crate) retry_attempts: u32,
    pub(crate) retry_delay: Span,
    pub(crate) look_ahead: u32,
    pub(crate) keep_finished: u32,
    pub(crate) keep_stopped: u32,
    pub(crate) keep_for: Span,
}

/// `[alerts]`: when they fire, and who is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alerts {
    pub(crate) breaker_open: Span,
    pub(crate) failure_percent: u32,
    pub(crate) failure_percent_critical: u32,
    pub(crate) failure_sample: u32,
    pub(crate) failure_window: Span,
    pub(crate) wait: Span,
    pub(crate) inbound_wait: Span,
    pub(crate) saturated: u32,
    pub(crate) saturated_for: Span,
    pub(crate) uncertain: Span,
    pub(crate) disconnected: Span,
    pub(crate) calm: Span,
    pub(crate) hook_url: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) hook_secret: Secret,
    pub(crate) whatsapp_to: String,
    pub(crate) whatsapp_channel: String,
}

/// `[reports]`: those that are told by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reports {
    pub(crate) of: String,
    pub(crate) at: String,
    pub(crate) zone: String,
    pub(crate) dir: PathBuf,
    pub(crate) format: ReportFormat,
    pub(crate) hook_url: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) hook_secret: Secret,
    pub(crate) whatsapp_to: String,
    pub(crate) whatsapp_channel: String,
}

impl Reports {
    /// What they are of.
    pub(crate) fn kinds(&self) -> Result<Vec<ReportKind>, NoReportKind> {
        let words = self.of.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).collect()
    }
}

/// How a report is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReportFormat {
    Html,
    Pdf,
    Csv,
    Json,
}

/// `[intake]`: webhooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intake {
    pub(crate) concurrency: u32,
    pub(crate) opt_out: String,
    pub(crate) opt_in: String,
}

/// `[media]`: what comes with messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Media {
    pub(crate) keep: Span,
    pub(crate) max_size: Size,
    pub(crate) concurrency: u32,
    pub(crate) s3_endpoint: String,
    pub(crate) s3_bucket: String,
    pub(crate) s3_region: String,
    pub(crate) s3_access_key: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) s3_secret_key: Secret,
}

/// `[web]`: browser sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Web {
    pub(crate) enabled: bool,
    pub(crate) url: String,
    pub(crate) chromium: PathBuf,
    pub(crate) headless: bool,
    pub(crate) sandbox: bool,
    pub(crate) language: String,
    pub(crate) page: PathBuf,
    pub(crate) sessions: u32,
    pub(crate) memory: Size,
    pub(crate) step_timeout: Span,
    pub(crate) navigation_timeout: Span,
}

/// `[demo]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Demo {
    pub(crate) enabled: bool,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, JSON else.
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}
