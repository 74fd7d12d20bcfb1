//! Tells of alerts: to a hook, by a queue, so that nothing is lost while the other side is away; to a WhatsApp number, as a
//! message.
//!
//! Always: what is told twice has the same id both times, `webhook-id` or the message's own; what is told to two has two.

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{Control, Dedupe, LeasedJob, Limits, NewJob, OnUncertain, Outcome, QueueName};
use palomar_model::{ChannelName, Clock, MessageId, Recipient};
use palomar_records::{AlertRecord, ToTell};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::AlertView;
use super::sign::HookSecret;
use crate::request::NewMessage;
use crate::{App, AppError, Caller};

/// The pool of what is told to others.
pub(crate) const HOOKS: &str = "hooks";
/// Calls at once.
pub(crate) const HOOK_CALLS: usize = 4;
/// How long the other side may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// The waits between attempts: about three days in all.
const WAITS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// The broker remembers what is to be told for so long; records know it before.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Where alerts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertHook {
    /// Where it is posted to.
    pub url: String,
    /// What it is signed with.
    pub secret: HookSecret,
}

/// Who is told on WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertNumber {
    /// Whose number.
    pub to: Recipient,
    /// The channel that tells them.
    pub channel: ChannelName,
}

/// What a job of the hook holds.
#[derive(Debug, Serialize, Deserialize)]
struct HookJob {
    v: u8,
    /// `webhook-id`.
    id: String,
    body: String,
}

/// The queue of what is told, as it is set up.
pub(crate) fn hook_queue() -> Result<Control, AppError> {
    Ok(Control::Configure { queue: queue()?, limits: limits() })
}

/// No hook of people has a name that begins so.
fn queue() -> Result<QueueName, AppError> {
    QueueName::new(HOOKS, "_alerts").map_err(|error| AppError::Unavailable(error.to_string()))
}

/// One after the other, in no order; what was told twice has one id.
fn limits() -> Limits {
    let defaults = Limits::default();
    let breaker = palomar_broker::BreakerConfig { failures: 0, ..defaults.breaker };
    Limits {
        concurrency: HOOK_CALLS as u32,
        breaker,
        order_wait: Duration::ZERO,
        uncertain_wait: Duration::ZERO,
        ..defaults
    }
}

/// Whom an id of news is for: queues know all their jobs by one kind of id.
enum Told<'a> {
    Hook,
    Number(&'a AlertNumber),
}

/// The same for the same news to the same, and for no other.
fn news_id(alert: &AlertRecord, what: ToTell, told: &Told<'_>) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(b"alert\0");
    hash.update(alert.id.as_bytes());
    hash.update([u8::from(what == ToTell::Resolved)]);
    match told {
        Told::Hook => hash.update(b"hook"),
        Told::Number(number) => {
            hash.update(b"number\0");
            hash.update(number.channel.as_str());
            hash.update(b"\0");
            hash.update(number.to.key());
        }
    }
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, from)| *byte = from);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn job(alert: &AlertRecord, what: ToTell) -> Result<NewJob, AppError> {
    let (kind, at) = match what {
        ToTell::Firing => ("alert.firing", alert.fired_at),
        ToTell::Resolved => ("alert.resolved", alert.resolved_at.unwrap_or(alert.fired_at)),
    };
    let id = news_id(alert, what, &Told::Hook);
    let body = json!({"type": kind, "timestamp": at, "data": AlertView::from(alert.clone())}).to_string();
    let content = HookJob { v: 1, id: format!("alert_{}", id.0.simple()), body };
    let payload = serde_json::to_vec(&content).map_err(|error| AppError::Unavailable(error.to_string()))?;
    let mut job = NewJob::new(id, queue()?, payload);
    job.on_uncertain = OnUncertain::Retry;
    job.dedupe = vec![Dedupe { id: id.0.as_u128(), fingerprint: 0, ttl: REMEMBERED }];
    Ok(job)
}

impl App {
    /// Queues what is still to be told of alerts.
    pub(super) async fn tell_alerts(&self) -> Result<(), AppError> {
        const PAGE: usize = 100;
        for (alert, what) in self.records.untold_alerts(PAGE).await? {
            let config = &self.config.alerts;
            if config.hook.is_some() {
                self.broker.enqueue(vec![job(&alert, what)?]).await?;
            }
            if let Some(number) = &config.number {
                self.tell_number(number, &alert, what).await?;
            }
            self.records.alert_told(&alert.id, what).await?;
        }
        Ok(())
    }

    async fn tell_number(
        &self,
        number: &AlertNumber,
        alert: &AlertRecord,
        what: ToTell,
    ) -> Result<(), AppError> {
        let words = match what {
            ToTell::Firing => format!("{} ({}): {}", alert.rule, alert.subject, alert.detail),
            ToTell::Resolved => format!("{} ({}) is over", alert.rule, alert.subject),
        };
        let mut message = NewMessage::text(number.channel.clone(), number.to.clone(), &words);
        message.id = Some(news_id(alert, what, &Told::Number(number)));
        message.priority = palomar_model::Priority::High;
        match self.submit(message, 0, &Caller::system(), None).await {
            Ok(_) => Ok(()),
            Err(error @ (AppError::Full | AppError::Unavailable(_) | AppError::SpoolFull)) => Err(error),
            Err(error) => {
                tracing::warn!(alert = alert.id, %error, "an alert can't be told by WhatsApp");
                Ok(())
            }
        }
    }
}

/// Posts what is to be told: what a worker does with a job of the pool `hooks`.
pub(crate) struct HookSender {
    pub(crate) hook: AlertHook,
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Handler for HookSender {
    async fn handle(&self, job: LeasedJob) -> Handled {
        let dead = |reason: &str| Handled::new(Outcome::Dead { reason: reason.into() });
        let Ok(content) = serde_json::from_slice::<HookJob>(&job.payload) else {
            return dead("what is to be told can't be read");
        };
        let seconds = self.clock.now().seconds();
        let request = self
            .client
            .post(&self.hook.url)
            .header("content-type", "application/json")
            .header("webhook-id", &content.id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", self.hook.secret.sign(&content.id, seconds, &content.body))
            .timeout(DEADLINE)
            .body(content.body);
        let reason = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Handled::new(Outcome::Done),
            Ok(answer) if answer.status() == reqwest::StatusCode::GONE => {
                return dead("the hook answered 410: it is no more");
            }
            Ok(answer) => format!("the hook answered {}", answer.status().as_u16()),
            // The address may hold a secret of its own: it is not said.
            Err(error) => format!("the hook can't be reached: {}", error.without_url()),
        };
        let tries = job.tries.max(1) as usize;
        let Some(wait) = WAITS.get(tries - 1) else { return dead(&reason) };
        tracing::warn!(job = %job.lease.id, reason, "an alert could not be told to the hook, trying again");
        let at = self.clock.now().after(Duration::from_secs(*wait));
        Handled::new(Outcome::Retry { at, counts: true })
    }
}
