//! Messages out: what a worker does with a job of a channel's queue. One attempt: at most one call to the provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{LeasedJob, OnUncertain, Outcome, Signal};
use palomar_channels::{Sent, attempting};
use palomar_model::{
    Clock, Content, ErrorClass, MessageId, Outbound, Phone, RetryPolicy, SendFailure, Tag, TraceId,
};
use palomar_records::{Records, TimelineEntry};

use crate::attempt::Attempt;
use crate::channels::{Line, Registry};
use crate::consent;
use crate::event::encode_all;
use crate::inbound::reference;
use crate::logs::micros;
use crate::metrics::Metrics;
use crate::payload;
use crate::projector::Progress;
use crate::queues::OUTBOUND;
use crate::send_jobs;
use crate::setup::Setup;

/// A message whose history can't be read yet comes back after so long.
const HISTORY_WAIT: Duration = Duration::from_secs(1);

/// A message whose channel can't be looked up comes back after so long.
const SETUP_WAIT: Duration = Duration::from_secs(1);

/// Why a message is not sent that comes after its campaign's end.
const STOPPED: &str = "the campaign was stopped before its turn came";

/// More are not kept in memory; the journal has them all.
const MOST_REPEATS: usize = 10_000;

/// What the broker calls a policy of ours.
pub(crate) const fn policy(policy: palomar_model::OnUncertain) -> OnUncertain {
    match policy {
        palomar_model::OnUncertain::Hold => OnUncertain::Hold,
        palomar_model::OnUncertain::Retry => OnUncertain::Retry,
        palomar_model::OnUncertain::Drop => OnUncertain::Drop,
    }
}

/// Handles jobs of the pool `outbound`.
pub(crate) struct Sender {
    pub(crate) records: Records,
    pub(crate) registry: Arc<Registry>,
    pub(crate) setup: Arc<Setup>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// How far records follow the event log.
    pub(crate) progress: Progress,
    /// Messages whose last attempt ended unknown at a provider that takes a tag once, with that attempt's tag. A
    /// short cut: after a restart the same is read from the journal.
    pub(crate) repeats: Mutex<HashMap<MessageId, u32>>,
    pub(crate) retry: RetryPolicy,
    pub(crate) campaign_attempts: u32,
}

impl Handler for Sender {
    async fn handle(&self, job: LeasedJob) -> Handled {
        let Ok(message) = Outbound::decode(&job.payload).inspect_err(
            |error| tracing::error!(job = %job.lease.id, %error, "a stored message can't be read"),
        ) else {
            return Handled::new(Outcome::Dead { reason: "the stored message can't be read".into() });
        };
        if let Some(reason) = payload::refusal(&job.payload) {
            return Handled::new(Outcome::Dead { reason: reason.into() });
        }
        let line = match self.line(&job).await {
            Ok(line) => line,
            Err(handled) => return handled,
        };
        // The message's own count, over all of its jobs.
        let attempt = payload::earlier_attempts(&job.payload).saturating_add(job.attempt);
        // Hours hold when it goes, however long it waited.
        if let Some(there) = &message.hours {
            let now = self.clock.now();
            if let Some(at) = there.hours.next(now, &there.zones).filter(|at| *at > now) {
                return Handled::new(Outcome::Retry { at, counts: false });
            }
        }
        let Some(tag_number) = self.tag_number(&line, &job, attempt).await else {
            let at = self.clock.now().after(HISTORY_WAIT);
            return Handled::new(Outcome::Retry { at, counts: false });
        };
        let due = message.scheduled_at.map_or(message.accepted_at, |due| due.max(message.accepted_at));
        if attempt == 1 {
            let waited = self.clock.now().since(due);
            self.metrics.waited(OUTBOUND, job.priority, waited);
        }
        let tag = Tag { message: message.id, attempt: tag_number };
        // Whoever asked for no more since it was accepted gets no more. Where that is not known, the message waits.
        let whom = (line.name.clone(), message.to.key());
        let of_campaign = message.campaign_id.is_some();
        match self.was_stopped_before(&message, attempt).await {
            Ok(false) => {}
            Ok(true) => return Handled::new(Outcome::Dead { reason: STOPPED.into() }),
            Err(handled) => return handled,
        }
        let suppressed = match consent::suppressed(&self.records, vec![(whom, of_campaign)]).await {
            Ok(mut found) => found.pop().flatten(),
            Err(error) => return self.waits(&error, "whom nothing is sent to is not known"),
        };
        let (message, result) = match suppressed {
            Some(suppression) => (message, Err(consent::refusal(suppression.reason))),
            None => {
                let message = self.as_dispatched(&line, message).await;
                let began = self.clock.now();
                let sent = attempting(tag_number != attempt, line.channel.send(&message, tag)).await;
                let sent = sent.map(|sent| without_plain_alias(sent, &message));
                let trace = payload::trace(&job.payload, message.id);
                note(&line, tag, trace, self.clock.now().since(began), &sent);
                (message, sent)
            }
        };
        self.metrics.attempt(&line, &message, &result);
        if result.is_ok() {
            let took = self.clock.now().since(due);
            self.metrics.latency(line.provider, "accept_to_sent", took);
        }
        self.remember(&line, tag, &result);
        let policy = RetryPolicy {
            max_attempts: match message.campaign_id.as_deref() {
                Some(id) if !id.starts_with(send_jobs::PREFIX) => self.campaign_attempts,
                _ => self.retry.max_attempts,
            },
            unknown_is_repeatable: line.channel.unknown_is_repeatable(),
            ..self.retry
        };
        let attempt = Attempt {
            channel: &line.name,
            message: message.id,
            number: job.attempt,
            tag: tag_number,
            tries: job.tries,
            policy: &policy,
        };
        let no_more = result.as_ref().err().and_then(|failure| {
            consent::of_failure(&line.name, &message.to, tag, failure, |code| line.channel.is_opt_out(code))
        });
        let mut handled = attempt.handled(result, self.clock.now());
        handled.events.extend(encode_all(no_more.as_slice()));
        handled
    }
}

impl Sender {
    /// The channel of a job. One that is not known here may just have been made on another node.
    async fn line(&self, job: &LeasedJob) -> Result<Arc<Line>, Handled> {
        if let Some(line) = self.registry.of_queue(&job.queue) {
            return Ok(line);
        }
        if let Err(error) = self.setup.take_in().await {
            tracing::debug!(%error, "whether there is such a channel is not known now");
            let at = self.clock.now().after(SETUP_WAIT);
            return Err(Handled::new(Outcome::Retry { at, counts: false }));
        }
        self.registry.of_queue(&job.queue).ok_or_else(|| self.without_channel())
    }

    /// Whether a message that was never tried is of a campaign that was stopped meanwhile. While the campaign moves its
    /// queue holds it; this is for what comes late, out of the spool of a node that was away.
    async fn was_stopped_before(&self, message: &Outbound, attempt: u32) -> Result<bool, Handled> {
        let Some(place) = message.campaign_place.filter(|_| attempt == 1) else { return Ok(false) };
        let found = self.records.campaign_was_stopped(place.campaign).await;
        found.map_err(|error| self.waits(&error, "whether its campaign was stopped is not known"))
    }

    /// What must be known before it is sent is not known now.
    fn waits(&self, error: &palomar_records::RecordsError, what: &str) -> Handled {
        tracing::warn!(%error, "{what}: the message waits");
        Handled::new(Outcome::Retry { at: self.clock.now().after(HISTORY_WAIT), counts: false })
    }

    /// A queue whose channel does not work: it waits, visibly, for a person.
    fn without_channel(&self) -> Handled {
        Handled {
            outcome: Outcome::Retry { at: self.clock.now(), counts: false },
            signal: Signal::Pause { reason: crate::attempt::NO_CHANNEL.into() },
            events: Vec::new(),
        }
    }

    /// The number that the attempt's tag carries: its own, but that of the last one where that ended unknown and the
    /// provider takes a tag only once. `None` while the message's history is not readable.
    async fn tag_number(&self, line: &Line, job: &LeasedJob, attempt: u32) -> Option<u32> {
        if job.attempt <= 1 || !line.channel.unknown_is_repeatable() {
            return Some(attempt);
        }
        let known = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).get(&job.lease.id).copied();
        if known.is_some() {
            return known;
        }
        self.progress.caught_up(HISTORY_WAIT).await.ok()?;
        let timeline = self.records.timeline(job.lease.id).await.ok()?;
        Some(open_tag(&timeline, attempt))
    }

    fn remember(&self, line: &Line, tag: Tag, result: &Result<Sent, SendFailure>) {
        let unknown = matches!(result, Err(failure) if failure.class == ErrorClass::Unknown);
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown && line.channel.unknown_is_repeatable() {
            if repeats.len() >= MOST_REPEATS {
                repeats.clear();
            }
            repeats.insert(tag.message, tag.attempt);
        } else {
            repeats.remove(&tag.message);
        }
    }

    /// Text or template is decided now: outside of the window in which free text is allowed, a message goes as the
    /// template that it brought for that.
    async fn as_dispatched(&self, line: &Line, mut message: Outbound) -> Outbound {
        if !line.provider.has_windows() || matches!(message.content, Content::Template(_)) {
            return message;
        }
        let Some(fallback) = message.fallback.take() else {
            return message;
        };
        let until = self.records.window_until(line.name.clone(), message.to.key()).await;
        // Where the window is not known, the message goes as it was written: the provider decides.
        if until.is_ok_and(|until| until.is_none_or(|until| until <= self.clock.now())) {
            message.content = Content::Template(fallback);
        }
        message
    }
}

/// One line for each attempt: what became of it, and by which reference reports of it will be known.
fn note(line: &Line, tag: Tag, trace: TraceId, took: Duration, sent: &Result<Sent, SendFailure>) {
    let (channel, outbound, attempt, micros) = (&line.name, tag.message, tag.attempt, micros(took));
    match sent {
        Ok(sent) => {
            let reference = reference(channel, &sent.provider_id);
            tracing::debug!(%channel, %outbound, %trace, attempt, micros, %reference, "an attempt was taken");
        }
        Err(failure) => {
            let (class, code) = (failure.class.as_str(), failure.code.as_deref());
            tracing::debug!(%channel, %outbound, %trace, attempt, micros, class, code, "an attempt failed");
        }
    }
}

/// The tag of an attempt whose outcome was never known, by a message's history; `own` where there is none open.
pub(crate) fn open_tag(timeline: &[TimelineEntry], own: u32) -> u32 {
    let mut open = None;
    for entry in timeline {
        let number =
            |name: &str| entry.detail.get(name)?.as_u64().and_then(|number| u32::try_from(number).ok());
        match entry.kind.as_str() {
            "started" => open = open.or(number("attempt")),
            "attempt_failed" => {
                let unknown = entry.detail.get("class").and_then(|class| class.as_str()) == Some("unknown");
                open = if unknown { number("attempt").or(open) } else { None };
            }
            // Taken, or refused after all: what comes next is a new send.
            "sent" | "delivered" | "read" | "failed" => open = None,
            _ => {}
        }
    }
    open.unwrap_or(own)
}

/// An alias that only spells the number without its plus says nothing new.
fn without_plain_alias(sent: Sent, message: &Outbound) -> Sent {
    let plain = message.to.phone().map(Phone::digits);
    Sent { alias: sent.alias.filter(|alias| plain != Some(alias.as_str())), ..sent }
}

#[cfg(test)]
mod tests {
    use palomar_model::Timestamp;
    use serde_json::json;

    use super::*;

    fn timeline(facts: &[(&str, u32, &str)]) -> Vec<TimelineEntry> {
        let entry = |(kind, attempt, class): &(&str, u32, &str)| TimelineEntry {
            cursor: 0,
            at: Timestamp::EPOCH,
            kind: (*kind).to_owned(),
            detail: json!({"attempt": attempt, "class": class}),
        };
        facts.iter().map(entry).collect()
    }

    #[test]
    fn an_unknown_attempt_keeps_its_tag_and_a_refused_one_does_not() {
        for (facts, expected) in [
            (vec![("started", 3, "")], 3),
            (vec![("started", 1, ""), ("attempt_failed", 1, "unknown"), ("started", 3, "")], 1),
            (vec![("started", 1, ""), ("attempt_failed", 1, "transient"), ("started", 3, "")], 3),
            // A crash: the attempt started, and nothing is known of it.
            (vec![("started", 1, ""), ("uncertain", 0, ""), ("retried", 0, ""), ("started", 3, "")], 1),
            (vec![("started", 1, ""), ("failed", 0, ""), ("retried", 0, "")], 3),
        ] {
            assert_eq!(open_tag(&timeline(&facts), 3), expected, "{facts:?}");
        }
    }
}
