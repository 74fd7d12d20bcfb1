//! Alerts: what is wrong is found by rules, kept from its firing to its end, told to a hook or a number, and listed.
//!
//! ```text
//! queues, sessions ─> rules: what is wrong now ─> board: for long enough? ─> records ─> tell: hook, WhatsApp
//! ```
//!
//! Always: an alert is kept before it is told; whoever dies in between tells it at the next look. The node that follows the
//! log looks, for all.

mod board;
mod rules;
mod tell;

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use palomar_model::analytics::{Bucket, Dimension, Tier, floor};
use palomar_model::{Provider, Timestamp, ZoneName};
use palomar_records::{AlertRecord, AnalyticsQuery, Counts, Follower, Page};
use serde::Serialize;
use tokio::sync::watch as channel;

use board::Board;
use rules::{Seen, Severity};

use crate::hooks::{Hook, NoticeNumber};
use crate::messages::MAX_PAGE;
use crate::{App, AppError, Caller};

/// The class of failures that a provider reports after it took a message.
const REPORTED: &str = "reported";
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(2);
/// Alerts that are over are kept for so long.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How often those are forgotten that are older, in looks.
const TRIM_EVERY: u32 = 1_800;

/// When alerts fire, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertConfig {
    /// A breaker may be open for so long.
    pub breaker_open: Duration,
    /// Percent of messages that may fail: a warning beyond.
    pub failure_percent: u32,
    /// Critical beyond.
    pub failure_percent_critical: u32,
    /// Of so many at least.
    pub failure_sample: u64,
    /// That came to an end within so long.
    pub failure_window: Duration,
    /// How long a critical or high message may wait.
    pub wait: Duration,
    /// How long a webhook may.
    pub inbound_wait: Duration,
    /// How many jobs of a queue may wait.
    pub saturated: u64,
    /// More of them for so long are too many.
    pub saturated_for: Duration,
    /// How long it may not be known whether messages were sent.
    pub uncertain: Duration,
    /// How long a browser session that is wanted may not be ready.
    pub disconnected: Duration,
    /// What was wrong must be well for so long.
    pub calm: Duration,
    /// The hook that is told.
    pub hook: Option<Hook>,
    /// The number that is told.
    pub number: Option<NoticeNumber>,
}

impl Default for AlertConfig {
    fn default() -> AlertConfig {
        AlertConfig {
            breaker_open: Duration::from_secs(120),
            failure_percent: 5,
            failure_percent_critical: 20,
            failure_sample: 20,
            failure_window: Duration::from_secs(300),
            wait: Duration::from_secs(60),
            inbound_wait: Duration::from_secs(10),
            saturated: 100_000,
            saturated_for: Duration::from_secs(300),
            uncertain: Duration::from_secs(60),
            disconnected: Duration::from_secs(120),
            calm: Duration::from_secs(60),
            hook: None,
            number: None,
        }
    }
}

/// An alert as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// Its id.
    pub id: String,
    /// What was found: `breaker_open`, `failure_rate_high`, `queue_wait_high`, `queue_saturated`, `channel_paused`,
    /// `messages_uncertain` or `channel_disconnected`.
    pub rule: String,
    /// The queue that it is about: `outbound/<channel>`.
    pub subject: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// `firing` or `resolved`.
    pub state: &'static str,
    /// For people.
    pub detail: String,
    /// Since when.
    pub fired_at: Timestamp,
    /// Until when.
    pub resolved_at: Option<Timestamp>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

impl From<AlertRecord> for AlertView {
    fn from(alert: AlertRecord) -> AlertView {
        AlertView {
            id: alert.id,
            rule: alert.rule,
            subject: alert.subject,
            severity: alert.severity,
            state: if alert.resolved_at.is_none() { "firing" } else { "resolved" },
            detail: alert.detail,
            fired_at: alert.fired_at,
            resolved_at: alert.resolved_at,
            acknowledged_at: alert.acked_at,
            acknowledged_by: alert.acked_by,
        }
    }
}

/// Looks for what is wrong as long as there is an application, wherever this node follows the log.
pub(crate) async fn watch(app: Weak<App>, right: channel::Receiver<Follower>) {
    let (mut seen, mut board, mut failing) = (Seen::default(), Board::default(), false);
    for look in 0_u32.. {
        tokio::time::sleep(LOOK).await;
        let Some(app) = app.upgrade() else { return };
        if *right.borrow() == Follower::Another {
            // Whoever looks on begins anew.
            (seen, board) = (Seen::default(), Board::default());
            continue;
        }
        let looked = app.look_for_alerts(&mut seen, &mut board).await;
        match &looked {
            Err(error) if !failing => tracing::warn!(%error, "alerts can't be looked for now, trying again"),
            _ => {}
        }
        failing = looked.is_err();
        if look.is_multiple_of(TRIM_EVERY) {
            // What is not forgotten now is forgotten later.
            let _ = app.records.trim_alerts(app.now().before(KEPT)).await;
        }
    }
}

impl App {
    async fn look_for_alerts(&self, seen: &mut Seen, board: &mut Board) -> Result<(), AppError> {
        let stats = self.broker.stats().await?;
        let now = self.now();
        let mut sessions = self.records.sessions().await?;
        sessions.retain(|session| self.registry.provider(&session.channel) == Some(Provider::Web));
        let reported = self.reported_failures(now).await?;
        let found = seen.look(&self.config.alerts, &stats, &sessions, &reported, now);
        let firing = self.records.firing_alerts().await?;
        let id = || format!("alert_{}", self.ids.uuid(now).simple());
        let changes = board.look(&self.config.alerts, found, &firing, now, id);
        for change in &changes {
            tracing::warn!(?change, "an alert");
        }
        if !changes.is_empty() {
            self.records.note_alerts(changes, now).await?;
            self.live.wake();
        }
        self.tell_alerts().await
    }

    /// How many alerts fire, by how bad they are.
    pub(crate) async fn firing_by_severity(&self) -> Result<[(&'static str, usize); 2], AppError> {
        let firing = self.records.firing_alerts().await?;
        Ok([Severity::Warning, Severity::Critical].map(|severity| {
            let word = severity.as_str();
            (word, firing.iter().filter(|alert| alert.severity == word).count())
        }))
    }

    /// How many messages of each channel were reported as failed, after the provider took them, within the window of the rule.
    async fn reported_failures(&self, now: Timestamp) -> Result<HashMap<String, u64>, AppError> {
        let window = self.config.alerts.failure_window;
        let minute = Tier::Minute.slot();
        let from = floor(now.before(window), Bucket::Minute, &ZoneName::utc()).after(minute);
        let to = floor(now, Bucket::Minute, &ZoneName::utc()).after(minute);
        if from >= to {
            return Ok(HashMap::new());
        }
        let query = AnalyticsQuery { by: Some(Dimension::Channel), ..AnalyticsQuery::default() };
        let counted = self.records.analytics_counts(query, Tier::Minute, vec![from, to]).await?;
        let reasons = self.records.failure_reasons().await?;
        let is_reported = |code: u64| reasons.get(&code).is_some_and(|reason| reason.class == REPORTED);
        let of = |counts: Vec<Counts>| -> u64 {
            let all = counts.iter().flat_map(Counts::reasons);
            all.filter(|(code, _)| is_reported(*code)).map(|(_, count)| count).sum()
        };
        Ok(counted.into_iter().map(|(channel, counts)| (channel, of(counts))).collect())
    }

    /// A page of alerts, the newest first; those that fire, those that are over, or all.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn alerts(
        &self,
        firing: Option<bool>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AlertView>, AppError> {
        Ok(self.records.alerts(firing, cursor, limit.clamp(1, MAX_PAGE)).await?.map(AlertView::from))
    }

    /// One alert.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn alert(&self, id: &str) -> Result<AlertView, AppError> {
        Ok(self.records.alert(id).await?.ok_or(AppError::NotFound("alert"))?.into())
    }

    /// Notes that the caller knows of an alert. The first who says so is kept.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn acknowledge_alert(&self, id: &str, caller: &Caller) -> Result<AlertView, AppError> {
        Ok(self.records.acknowledge_alert(id, &caller.name, self.now()).await?.into())
    }
}
