//! Messages whose outcome is not known, and a provider that can be asked: what it proves is told to the queue.
//!
//! ```text
//! records: uncertain ──> ask after 5 s, 15 s, … ──> the provider ──> weigh ──> evidence ──> sent
//! ```
//!
//! What always holds:
//! - Only what a provider has proves something. That it has nothing does not: it may write late (GUARANTEES §5).
//! - Providers without a key of ours show messages that look alike. One of those is the message in doubt only where it
//!   belongs to no other message, and no other message that says the same to the same person is open.
//! - One node asks: the one that follows the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use palomar_broker::{Broker, Evidence, JobFilter, JobState, JobView, Verdict};
use palomar_channels::{Lookup, Sent};
use palomar_model::{Clock, MessageId, MessageState, Outbound, Tag, Timestamp};
use palomar_records::{Direction, Follower, MessageFilter, MessageStatus, MessageView, Records};
use tokio::sync::{Notify, watch};

use crate::AppError;
use crate::channels::{Line, Registry};
use crate::event::{AppEvent, encode_all};
use crate::outbound::open_tag;
use crate::payload;
use crate::projector::Progress;
use crate::queues::OUTBOUND;

/// The waits between one question and the next. All are over before the time at which a channel's policy decides.
const WAITS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(360),
];
/// News of several messages in doubt is taken together.
const GATHER: Duration = Duration::from_millis(500);
/// Where the queue can't be asked.
const BACKOFF: Duration = Duration::from_secs(5);
const PAGE: usize = 500;
/// Questions at once, over all channels.
const AT_ONCE: usize = 4;
/// Records that are further behind say nothing of what else was sent.
const CATCH_UP: Duration = Duration::from_secs(5);
/// Of one person's open messages, more are not compared: it stays in doubt.
const MOST_OPEN: usize = 100;

/// Asks for messages in doubt.
pub(crate) struct Resolver {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) records: Records,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Progress,
    /// Who follows the log.
    pub(crate) right: watch::Receiver<Follower>,
    /// Told when a message has become uncertain.
    pub(crate) doubts: Arc<Notify>,
}

/// How far the questions about one message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    times: usize,
    /// None when there were enough.
    next: Option<Timestamp>,
}

impl Asked {
    fn begin(now: Timestamp) -> Asked {
        Asked { times: 0, next: Some(now.after(WAITS[0])) }
    }

    fn again(self, now: Timestamp) -> Asked {
        let times = self.times + 1;
        Asked { times, next: WAITS.get(times).map(|wait| now.after(*wait)) }
    }

    fn is_due(self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

impl Resolver {
    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut asked = HashMap::new();
        loop {
            if *self.right.borrow_and_update() == Follower::Another {
                asked.clear();
                if self.right.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let wait = match self.round(&mut asked).await {
                Ok(()) => asked.values().filter_map(|asked| asked.next).min(),
                Err(error) => {
                    tracing::debug!(%error, "messages in doubt can't be listed now");
                    Some(self.clock.now().after(BACKOFF))
                }
            };
            let wait = wait.map(|next| next.since(self.clock.now()).max(GATHER));
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.doubts.notified() => tokio::time::sleep(GATHER).await,
                _ = self.right.changed() => {}
            }
        }
    }

    /// Asks for all whose time has come.
    async fn round(&self, asked: &mut HashMap<MessageId, Asked>) -> Result<(), AppError> {
        let jobs = self.in_doubt().await?;
        let now = self.clock.now();
        let known = std::mem::take(asked);
        for job in &jobs {
            asked.insert(job.id, known.get(&job.id).copied().unwrap_or_else(|| Asked::begin(now)));
        }
        let due = jobs.into_iter().filter(|job| asked[&job.id].is_due(now)).collect::<Vec<_>>();
        let questions = stream::iter(due).map(|job| async move {
            if let Err(error) = self.ask(&job).await {
                tracing::debug!(job = %job.id, %error, "what became of a message can't be asked now");
            }
            job.id
        });
        let asked_now: Vec<MessageId> = questions.buffer_unordered(AT_ONCE).collect().await;
        let now = self.clock.now();
        for id in asked_now {
            asked.entry(id).and_modify(|asked| *asked = asked.again(now));
        }
        Ok(())
    }

    /// All messages that are uncertain.
    async fn in_doubt(&self) -> Result<Vec<JobView>, AppError> {
        let filter = JobFilter {
            pool: Some(OUTBOUND.into()),
            states: vec![JobState::Uncertain],
            ..JobFilter::default()
        };
        let (mut jobs, mut after) = (Vec::new(), 0);
        loop {
            let page = self.broker.jobs(filter.clone(), after, PAGE).await?;
            let all = page.len() < PAGE;
            after = page.last().map_or(after, |job| job.seq);
            jobs.extend(page);
            if all {
                return Ok(jobs);
            }
        }
    }

    /// Asks the provider for one message, and tells what that proves.
    async fn ask(&self, job: &JobView) -> Result<(), AppError> {
        let Some(line) = self.registry.of_queue(&job.queue) else { return Ok(()) };
        let Some((now, payload)) = self.broker.job(job.id).await? else { return Ok(()) };
        let Ok(message) = Outbound::decode(&payload) else { return Ok(()) };
        if now.state != JobState::Uncertain {
            return Ok(());
        }
        let attempt = payload::earlier_attempts(&payload).saturating_add(now.token);
        let attempt = if line.channel.unknown_is_repeatable() {
            open_tag(&self.records.timeline(job.id).await?, attempt)
        } else {
            attempt
        };
        let answer = line.channel.lookup(&message, Tag { message: message.id, attempt }).await;
        let found = answer.map_err(|failure| AppError::Unavailable(failure.to_string()))?;
        let sent = match found {
            Lookup::Taken(sent) => Some(sent),
            Lookup::Alike(alike) => self.only_one(&line, &message, alike).await?,
            // A channel's policy or a person decides, not silence.
            Lookup::NotTaken | Lookup::Unknowable => None,
        };
        let Some(sent) = sent else { return Ok(()) };
        let taken =
            AppEvent::Sent { channel: line.name.clone(), provider_id: sent.provider_id, alias: sent.alias };
        let events = encode_all(&[taken]);
        let evidence = Evidence { id: job.id, attempt: now.token, verdict: Verdict::Taken, events };
        let effect = self.broker.evidence(vec![evidence]).await?;
        tracing::info!(job = %job.id, channel = %line.name, ?effect, "the provider has a message that was in doubt");
        Ok(())
    }

    /// The one of several that look alike which can only be this message.
    async fn only_one(
        &self,
        line: &Line,
        message: &Outbound,
        alike: Vec<Sent>,
    ) -> Result<Option<Sent>, AppError> {
        // What was taken before the provider answered is recorded now, or open.
        self.progress.caught_up(CATCH_UP).await?;
        let Some(own) = self.records.message(message.id).await? else { return Ok(None) };
        let mut unclaimed = Vec::new();
        let open = MessageFilter {
            channels: vec![line.name.clone()],
            to: Some(message.to.clone()),
            direction: Some(Direction::Outbound),
            status: OPEN.map(MessageStatus::Outbound).to_vec(),
            ..MessageFilter::default()
        };
        let open = self.records.messages(open, None, MOST_OPEN).await?;
        if open.next_cursor.is_some() || open.items.iter().any(|other| is_twin(&own, other)) {
            return Ok(None);
        }
        for sent in alike {
            let owner = self.records.by_provider_id(line.name.clone(), sent.provider_id.clone()).await?;
            if owner.is_none() {
                unclaimed.push(sent);
            }
        }
        Ok(unclaimed.pop().filter(|_| unclaimed.is_empty()))
    }
}

/// States of a message that a provider may have taken without our knowing its id.
const OPEN: [MessageState; 4] =
    [MessageState::Queued, MessageState::Sending, MessageState::Uncertain, MessageState::Failed];

/// Whether what a provider shows could as well be the other one: it says the same, was tried, and has no id.
fn is_twin(own: &MessageView, other: &MessageView) -> bool {
    other.id != own.id
        && other.attempts > 0
        && other.provider_message_id.is_none()
        && other.r#type == own.r#type
        && other.content == own.content
}

#[cfg(test)]
mod tests {
    use palomar_model::{ProviderMessageId, Recipient};
    use palomar_records::accepted_view;
    use serde_json::json;

    use super::*;

    fn message(id: u128, text: &str, attempts: u32, provider_id: Option<&str>) -> MessageView {
        let to = Recipient::parse("+34600111222", None).expect("a number");
        let payload = json!({
            "v": 1, "id": MessageId(uuid::Uuid::from_u128(id)), "channel": "desk", "to": to,
            "type": "text", "content": { "text": text }, "acceptedAt": "2026-01-01T00:00:00Z",
        });
        let message = Outbound::decode(payload.to_string().as_bytes()).expect("a message");
        let view = accepted_view(&message, MessageState::Sending, Timestamp::EPOCH);
        let provider_message_id = provider_id.map(|id| ProviderMessageId(id.into()).to_string());
        MessageView { attempts, provider_message_id, ..view }
    }

    #[test]
    fn a_message_that_could_be_taken_for_another_keeps_it_in_doubt() {
        let own = message(1, "Hola", 1, None);
        for (other, twin) in [
            (message(2, "Hola", 1, None), true),
            (message(2, "Hola", 0, None), false),
            (message(2, "Hola", 1, Some("SM1")), false),
            (message(2, "Adiós", 1, None), false),
            (message(1, "Hola", 1, None), false),
        ] {
            assert_eq!(is_twin(&own, &other), twin, "{other:?}");
        }
    }

    #[test]
    fn questions_end_before_the_policy_decides() {
        let begin = Timestamp::from_seconds(1_767_225_600);
        let (mut asked, mut times) = (Asked::begin(begin), Vec::new());
        while let Some(next) = asked.next {
            assert!(asked.is_due(next) && !asked.is_due(Timestamp::from_micros(next.micros() - 1)));
            times.push(next.since(begin).as_secs());
            asked = asked.again(next);
        }
        assert_eq!(times, [5, 15, 45, 165, 465, 825]);
        assert!(times.iter().all(|seconds| *seconds < 15 * 60), "{times:?}");
    }
}
