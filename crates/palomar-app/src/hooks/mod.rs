//! What is told to an address of somebody's: by a queue, so that nothing is lost while the other side is away, and signed.
//!
//! Always: what is told twice has the same `webhook-id` both times.

mod sign;

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{Control, Dedupe, LeasedJob, Limits, NewJob, OnUncertain, Outcome, QueueName};
use palomar_model::{ChannelName, Clock, MessageId, Recipient};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::AppError;

pub use sign::HookSecret;

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

/// An address that is told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Where it is posted to.
    pub url: String,
    /// What it is signed with.
    pub secret: HookSecret,
}

/// Who is told something on WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeNumber {
    /// Whose number.
    pub to: Recipient,
    /// The channel that tells them.
    pub channel: ChannelName,
}

/// What is told. Each has a queue of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Alerts,
    Reports,
}

impl Topic {
    /// No hook of people has a name that begins so.
    const fn name(self) -> &'static str {
        match self {
            Topic::Alerts => "_alerts",
            Topic::Reports => "_reports",
        }
    }

    /// What a `webhook-id` begins with.
    const fn prefix(self) -> &'static str {
        match self {
            Topic::Alerts => "alert",
            Topic::Reports => "report",
        }
    }

    fn queue(self) -> Result<QueueName, AppError> {
        QueueName::new(HOOKS, self.name()).map_err(|error| AppError::Unavailable(error.to_string()))
    }

    /// Its queue, as it is set up.
    pub(crate) fn set_up(self) -> Result<Control, AppError> {
        Ok(Control::Configure { queue: self.queue()?, limits: limits() })
    }

    /// A job that tells `body` under an id.
    pub(crate) fn job(self, id: MessageId, body: String) -> Result<NewJob, AppError> {
        let content = HookJob { v: 1, id: format!("{}_{}", self.prefix(), id.0.simple()), body };
        let payload =
            serde_json::to_vec(&content).map_err(|error| AppError::Unavailable(error.to_string()))?;
        let mut job = NewJob::new(id, self.queue()?, payload);
        job.on_uncertain = OnUncertain::Retry;
        job.dedupe = vec![Dedupe { id: id.0.as_u128(), fingerprint: 0, ttl: REMEMBERED }];
        Ok(job)
    }
}

/// What a job of a hook holds.
#[derive(Debug, Serialize, Deserialize)]
struct HookJob {
    v: u8,
    /// `webhook-id`.
    id: String,
    body: String,
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

/// An id that follows from what is told and to whom: queues know all their jobs by one kind of id.
pub(crate) fn news_id(parts: &[&str]) -> MessageId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(b"\0");
    }
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, from)| *byte = from);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Posts what is to be told: what a worker does with a job of the pool `hooks`.
pub(crate) struct HookSender {
    pub(crate) hooks: Vec<(Topic, Hook)>,
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Handler for HookSender {
    async fn handle(&self, job: LeasedJob) -> Handled {
        let dead = |reason: &str| Handled::new(Outcome::Dead { reason: reason.into() });
        let Ok(content) = serde_json::from_slice::<HookJob>(&job.payload) else {
            return dead("what is to be told can't be read");
        };
        let meant = self.hooks.iter().find(|(topic, _)| topic.name() == job.queue.name());
        let Some((_, hook)) = meant else { return dead("the hook is no longer set up") };
        let seconds = self.clock.now().seconds();
        let request = self
            .client
            .post(&hook.url)
            .header("content-type", "application/json")
            .header("webhook-id", &content.id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", hook.secret.sign(&content.id, seconds, &content.body))
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
        tracing::warn!(job = %job.lease.id, queue = %job.queue, reason, "a hook could not be told, trying again");
        let at = self.clock.now().after(Duration::from_secs(*wait));
        Handled::new(Outcome::Retry { at, counts: true })
    }
}
