//! What came in, read: a worker turns a webhook's body into events. At least once; taking effect once is the
//! projection's work, by the events' identities.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{Broker, BrokerError, Evidence, JobState, LeasedJob, Outcome, Verdict};
use palomar_channels::{Delivery, Parsed, Problem};
use palomar_model::{
    ChannelEvent, ChannelName, Clock, MessageId, ProviderMessageId, Received, ReportedStatus, Status,
    StatusReport, TraceId,
};
use sha2::{Digest as _, Sha256};

use crate::channels::{Line, Registry};
use crate::consent::{self, ConsentWords};
use crate::event::{AppEvent, encode_all};
use crate::intake::{Brought, Envelope, is_passing};
use crate::logs::{Quiet, chain, micros};
use crate::media::Wants;
use crate::metrics::Metrics;
use crate::payload;
use crate::queues::INBOUND;
use crate::reparse::KeptItem;

/// Handles jobs of the pool `inbound`.
pub(crate) struct Receiver {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) consent: ConsentWords,
    /// Who queues media; none where they are not kept.
    pub(crate) wants: Option<Wants>,
    /// Attempts at one webhook.
    pub(crate) attempts: u32,
    /// The wait after the first; doubled with each.
    pub(crate) backoff: Duration,
    /// How often it is said that one was given up.
    pub(crate) given_up: Quiet,
}

/// Why a webhook could not be processed this time.
enum Trouble {
    /// It will never be readable.
    Unreadable(String),
    /// It may go better later.
    Passing(String),
    /// The queues can't be asked now: that says nothing of the webhook, and is no try of it.
    Away(String),
}

impl Trouble {
    /// When a webhook that was tried so often is tried again, and whether this time counts; none where it is given up.
    fn again(&self, tries: u32, attempts: u32, backoff: Duration) -> Option<(Duration, bool)> {
        let after = backoff.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
        match self {
            Trouble::Unreadable(_) => None,
            Trouble::Passing(_) => (tries < attempts).then_some((after, true)),
            Trouble::Away(_) => Some((after, false)),
        }
    }

    fn into_words(self) -> String {
        match self {
            Trouble::Unreadable(why) | Trouble::Passing(why) | Trouble::Away(why) => why,
        }
    }
}

impl Handler for Receiver {
    async fn handle(&self, job: LeasedJob) -> Handled {
        if job.attempt == 1 {
            let waited = self.clock.now().since(job.enqueued_at);
            self.metrics.waited(INBOUND, job.priority, waited);
        }
        let began = self.clock.now();
        let read = Envelope::decode(&job.payload);
        let (request, trace) = match &read {
            Ok(envelope) => (envelope.request_id.as_str(), envelope.trace(job.lease.id)),
            Err(_) => ("", TraceId::of(job.lease.id.0)),
        };
        let (queue, webhook) = (&job.queue, job.lease.id);
        let trouble = match self.process(&job, &read, trace).await {
            Ok(events) => {
                let took = self.clock.now().since(began);
                let (waited, micros) = (micros(began.since(job.enqueued_at)), micros(took));
                let n = events.len();
                tracing::debug!(%queue, %webhook, request, %trace, events = n, waited, micros, "a webhook was read");
                return Handled { events: encode_all(&events), ..Handled::new(Outcome::Done) };
            }
            Err(trouble) => trouble,
        };
        let again = trouble.again(job.tries, self.attempts, self.backoff);
        let (tries, error) = (job.tries, trouble.into_words());
        match again {
            Some((delay, counts)) => {
                tracing::debug!(%queue, %webhook, request, %trace, tries, error, "a webhook is tried again");
                Handled::new(Outcome::Retry { at: self.clock.now().after(delay), counts })
            }
            None => {
                if let Some(more) = self.given_up.says(began) {
                    tracing::warn!(%queue, %webhook, request, %trace, error, more, "a webhook failed, and is kept");
                }
                given_up(&job, &error)
            }
        }
    }
}

impl Receiver {
    async fn process(
        &self,
        job: &LeasedJob,
        read: &Result<Envelope, String>,
        trace: TraceId,
    ) -> Result<Vec<AppEvent>, Trouble> {
        let envelope = read.as_ref().map_err(|error| Trouble::Unreadable(error.clone()))?;
        let line = self
            .registry
            .of_queue(&job.queue)
            .ok_or_else(|| Trouble::Passing("the channel does not work".to_owned()))?;
        if let Brought::Kept(item) = &envelope.what {
            return self.reread(&line, envelope, item, trace).await;
        }
        let parsed = parse(&line, envelope)?;
        if parsed.events.is_empty() && parsed.problems.iter().any(|problem| !problem.kept) {
            return Err(Trouble::Unreadable(words(&parsed.problems)));
        }
        let mut events = Vec::with_capacity(parsed.events.len());
        let webhook = envelope.replay_of.unwrap_or(job.lease.id);
        for (n, mut received) in parsed.events.into_iter().enumerate() {
            name(&mut received.event, webhook, n);
            events.extend(self.received(&line, received, trace).await?);
        }
        if parsed.problems.iter().any(|problem| !problem.kept) {
            // What could be read takes effect; the whole is kept, so that the rest is not lost.
            events.push(failed(job, &line.name, Some(envelope), words(&parsed.problems)));
        }
        self.metrics.webhook_processed(self.clock.now().since(envelope.received_at));
        Ok(events)
    }

    /// An event as it is logged. A report that carries our tag resolves what was uncertain first: evidence may come
    /// twice, and changes nothing the second time. Media of a message are queued first, too.
    /// Somebody's wish to get no more messages is a fact of its own.
    async fn received(
        &self,
        line: &Line,
        mut received: Received,
        trace: TraceId,
    ) -> Result<Vec<AppEvent>, Trouble> {
        let channel = self.registry.receiver(&line.name, line.provider, received.line.as_deref());
        if let ChannelEvent::Status(report) = &received.event
            && let Some(evidence) = self.evidence(line, report).await.map_err(|error| trouble(&error))?
        {
            self.broker.evidence(vec![evidence]).await.map_err(|error| trouble(&error))?;
        }
        self.metrics.received(line.provider, &channel, &received.event);
        let id = match &received.event {
            ChannelEvent::Message(message) => Some(inbound_id(&channel, &message.provider_id.0)),
            ChannelEvent::Echo(echo) => Some(inbound_id(&channel, &echo.message.provider_id.0)),
            ChannelEvent::Person(news) => Some(inbound_id(&channel, &news.who.key().unwrap_or_default())),
            _ => None,
        };
        let no_more = |code: &str| line.channel.is_opt_out(code);
        let consent = self.consent.of(&channel, id, &received.event);
        let consent = consent.or_else(|| consent::of_report(&channel, &received.event, no_more));
        let media = self.media(line, &channel, id, &mut received.event).await?;
        note(&channel, id, trace, &received.event);
        let told = AppEvent::Received { channel, id, event: received.event, trace: Some(trace), once: None };
        Ok(std::iter::once(told).chain(consent).chain(media).collect())
    }

    /// Queues the media of a message, before it is told.
    async fn media(
        &self,
        line: &Line,
        channel: &ChannelName,
        id: Option<MessageId>,
        event: &mut ChannelEvent,
    ) -> Result<Vec<AppEvent>, Trouble> {
        let message = match event {
            ChannelEvent::Message(message) => message,
            ChannelEvent::Echo(echo) => &mut echo.message,
            _ => return Ok(Vec::new()),
        };
        let (Some(wants), Some(id)) = (&self.wants, id) else { return Ok(Vec::new()) };
        let queued = wants.queue(channel, &*line.channel, id, message).await;
        queued.map_err(|error| trouble(&error))
    }

    /// What was kept as it came, as far as it is known now: it does all that it would have done when it came.
    async fn reread(
        &self,
        line: &Line,
        envelope: &Envelope,
        item: &KeptItem,
        trace: TraceId,
    ) -> Result<Vec<AppEvent>, Trouble> {
        let channel = line.name.clone();
        let mut parsed = parse(line, envelope)?;
        if item.message.is_none() {
            return self.reread_field(line, item, parsed, trace).await;
        }
        let Some((id, message)) = item.message(&mut parsed) else { return Ok(Vec::new()) };
        let mut event = ChannelEvent::Message(message);
        let consent = self.consent.of(&channel, Some(id), &event);
        let media = self.media(line, &channel, Some(id), &mut event).await?;
        let ChannelEvent::Message(message) = event else { return Ok(media) };
        Ok(std::iter::once(AppEvent::Reread { channel, id, message }).chain(consent).chain(media).collect())
    }

    /// What stood under a field that was not known: each event takes effect once, by its place in what was kept.
    async fn reread_field(
        &self,
        line: &Line,
        item: &KeptItem,
        parsed: Parsed,
        trace: TraceId,
    ) -> Result<Vec<AppEvent>, Trouble> {
        let mut events = Vec::with_capacity(parsed.events.len());
        let kept = inbound_id(&line.name, &format!("kept:{}", item.place));
        for (n, mut received) in parsed.events.into_iter().enumerate() {
            if matches!(received.event, ChannelEvent::Other { .. }) {
                continue;
            }
            name(&mut received.event, kept, n);
            let told = self.received(line, received, trace).await?;
            events.extend(told.into_iter().map(|event| match event {
                AppEvent::Received { channel, id, event, trace, once: None } => {
                    let once = Some(format!("kept:{}:{n}", item.place));
                    AppEvent::Received { channel, id, event, trace, once }
                }
                other => other,
            }));
        }
        Ok(events)
    }

    /// What a report proves of the attempt that it names.
    async fn evidence(&self, line: &Line, report: &StatusReport) -> Result<Option<Evidence>, BrokerError> {
        let (Some(tag), Status::Known(status)) = (report.tag, &report.status) else {
            return Ok(None);
        };
        let verdict = match status {
            ReportedStatus::Failed => Verdict::Failed { reason: reason_of(report).into() },
            ReportedStatus::Sent
            | ReportedStatus::Delivered
            | ReportedStatus::Read
            | ReportedStatus::Played => Verdict::Taken,
        };
        // What the broker has forgotten is settled.
        let Some((job, payload)) = self.broker.job(tag.message).await? else {
            return Ok(None);
        };
        // The tag's number is the message's, the job's attempts are counted from 1. What an earlier job sent says nothing
        // of this one.
        let attempt = match tag.attempt.checked_sub(payload::earlier_attempts(&payload)) {
            None | Some(0) => return Ok(None),
            // One tag goes with several attempts there, and is taken once: it speaks for the newest.
            Some(_) if line.channel.unknown_is_repeatable() => job.token,
            Some(attempt) => attempt,
        };
        if job.state == JobState::Done && attempt == job.token {
            return Ok(None);
        }
        Ok(Some(Evidence { id: tag.message, attempt, verdict, events: Vec::new() }))
    }
}

/// One line for each event, by which messages, reports and the webhooks that brought them are put together. What a
/// provider calls a message may spell somebody's number: it is named by its [`reference`].
fn note(channel: &ChannelName, id: Option<MessageId>, trace: TraceId, event: &ChannelEvent) {
    match event {
        ChannelEvent::Status(report) => {
            let (status, of) = (report.status.as_str(), report.tag.map(|tag| tag.message));
            let (of, reference) = (of.map(tracing::field::display), reference(channel, &report.provider_id));
            tracing::debug!(%channel, of, %reference, %trace, status, "a report came");
        }
        event => {
            let (inbound, kind) = (id.map(tracing::field::display), event.kind());
            tracing::debug!(%channel, inbound, %trace, kind, "an event came");
        }
    }
}

/// What a message of a channel is called in log lines, by the provider's id of it.
pub(crate) fn reference(channel: &ChannelName, provider_id: &ProviderMessageId) -> MessageId {
    inbound_id(channel, &provider_id.0)
}

/// Gives a message an id that the provider gave none.
fn name(event: &mut ChannelEvent, webhook: MessageId, n: usize) {
    let message = match event {
        ChannelEvent::Message(message) => message,
        ChannelEvent::Echo(echo) => &mut echo.message,
        _ => return,
    };
    if message.provider_id.is_none() {
        message.provider_id = ProviderMessageId::made_up(webhook, n);
    }
}

fn trouble(error: &BrokerError) -> Trouble {
    let words = chain(error);
    if is_passing(error) { Trouble::Away(words) } else { Trouble::Unreadable(words) }
}

fn parse(line: &Line, envelope: &Envelope) -> Result<Parsed, Trouble> {
    Ok(match &envelope.what {
        Brought::Body(text) => line.channel.parse(&delivery(envelope, text.as_bytes())),
        Brought::Bytes(base64) => {
            let bytes = BASE64.decode(base64.as_bytes());
            let bytes = bytes.map_err(|error| Trouble::Unreadable(error.to_string()))?;
            line.channel.parse(&delivery(envelope, &bytes))
        }
        Brought::Events(events) => Parsed { events: events.clone(), problems: Vec::new() },
        Brought::Kept(item) => line.channel.reread(&item.kept(envelope.received_at)),
    })
}

fn delivery<'a>(envelope: &'a Envelope, body: &'a [u8]) -> Delivery<'a> {
    Delivery {
        query: &envelope.how.query,
        content_type: envelope.how.content_type.as_deref(),
        body,
        received_at: envelope.received_at,
    }
}

/// A webhook that is not tried again: a dead letter, and kept as it came.
fn given_up(job: &LeasedJob, why: &str) -> Handled {
    let envelope = Envelope::decode(&job.payload).ok();
    let events = match job.queue.name().parse() {
        Ok(channel) => encode_all(&[failed(job, &channel, envelope.as_ref(), why.to_owned())]),
        Err(_) => Vec::new(),
    };
    Handled { events, ..Handled::new(Outcome::Dead { reason: why.into() }) }
}

/// A webhook to be kept as it came. One that was tried again stays the same one.
fn failed(job: &LeasedJob, channel: &ChannelName, envelope: Option<&Envelope>, error: String) -> AppEvent {
    AppEvent::WebhookFailed {
        channel: channel.clone(),
        id: envelope.and_then(|envelope| envelope.replay_of).unwrap_or(job.lease.id),
        request_id: envelope.map(|envelope| envelope.request_id.clone()).unwrap_or_default(),
        payload: String::from_utf8_lossy(&job.payload).into_owned(),
        error,
        detail: None,
    }
}

fn words(problems: &[Problem]) -> String {
    let words: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.detail)).collect();
    words.join("; ")
}

fn reason_of(report: &StatusReport) -> String {
    report.errors.first().map_or_else(
        || "the provider reports that it failed".to_owned(),
        |error| match &error.code {
            Some(code) => format!("{} (code {code})", error.title),
            None => error.title.clone(),
        },
    )
}

/// Our id for an inbound message: the same for every delivery of it.
fn inbound_id(channel: &ChannelName, provider_id: &str) -> MessageId {
    let hash =
        Sha256::new().chain_update(channel.as_str()).chain_update([0]).chain_update(provider_id).finalize();
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash.iter()).for_each(|(byte, from)| *byte = *from);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_given_up_for_its_own_trouble_only() {
        let backoff = Duration::from_secs(2);
        let [unreadable, passing, away] =
            [Trouble::Unreadable, Trouble::Passing, Trouble::Away].map(|trouble| trouble("so".to_owned()));
        for (trouble, tries, expected) in [
            (&unreadable, 1, None),
            (&passing, 1, Some((2, true))),
            (&passing, 2, Some((4, true))),
            (&passing, 3, None),
            (&away, 1, Some((2, false))),
            (&away, 3, Some((8, false))),
        ] {
            let expected = expected.map(|(seconds, counts)| (Duration::from_secs(seconds), counts));
            assert_eq!(trouble.again(tries, 3, backoff), expected, "{tries} tries");
        }
    }
}
