//! What providers bring in: proven, made durable, then answered (GUARANTEES §7). What it says is read later, by
//! [`crate::inbound`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::future::BoxFuture;
use palomar_broker::{Broker, BrokerError, NewJob};
use palomar_channels::{SandboxSink, Verified, WebhookError};
use palomar_model::{ChannelName, Clock, IdGenerator, MessageId, Received, Timestamp, TraceId};
use palomar_records::{FailedWebhookView, Page};
use serde::{Deserialize, Serialize};

use crate::channels::Line;
use crate::logs::{chain, micros};
use crate::messages::MAX_PAGE;
use crate::metrics::WebhookResult;
use crate::queues::inbound_queue;
use crate::reparse::KeptItem;
use crate::{App, AppError};

/// No provider sends larger ones.
pub const MAX_WEBHOOK: usize = 4 << 20;
/// So many bytes are made durable together, where many things are.
const MOST_TOGETHER: usize = 8 << 20;

/// What a channel itself hears and can't be kept waits for so long, then doubled each time up to the latter.
const SINK_WAIT: Duration = Duration::from_millis(200);
const LONGEST_SINK_WAIT: Duration = Duration::from_secs(10);

/// A request to a webhook, as it came.
#[derive(Clone, Debug)]
pub struct WebhookRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The address that the provider called, as far as it is known.
    pub url: String,
    /// What stands behind the question mark, undecoded.
    pub query: String,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Bytes,
    /// The id that the request has here.
    pub request_id: String,
}

impl WebhookRequest {
    /// A header by its lower-case name. One that is given twice is the list of its values, as HTTP says: two signatures
    /// sign nothing.
    fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = found.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// What to answer to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeAnswer {
    /// It is durable: 200.
    Accepted,
    /// A handshake: 200 with this text, as `text/plain`.
    Handshake(String),
    /// The signature is missing or wrong: 401. Nothing was stored.
    BadSignature,
    /// The handshake does not know the token, or the channel takes no webhooks: 403.
    Forbidden,
    /// There is no such channel: 404.
    NoChannel,
    /// Larger than webhooks are: 413.
    TooLarge,
    /// Not a request that this provider makes: 400.
    Refused(&'static str),
    /// It could not be made durable: 503, and the provider repeats it.
    NotDurable,
}

/// The job of an inbound queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    v: u8,
    pub(crate) received_at: Timestamp,
    pub(crate) request_id: String,
    /// The failed webhook that this is another try at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay_of: Option<MessageId>,
    /// The trace that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceId>,
    #[serde(flatten)]
    pub(crate) how: Manner,
    #[serde(flatten)]
    pub(crate) what: Brought,
}

/// What of a request is needed beside its body, to read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manner {
    /// What stood behind the question mark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) query: String,
    /// What the body is, as its sender said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Brought {
    /// A webhook's body.
    Body(String),
    /// A webhook's body that is no text, in Base64.
    Bytes(String),
    /// Events of a channel that brings them itself.
    Events(Vec<Received>),
    /// What an earlier version kept as it came, to be read again.
    Kept(KeptItem),
}

/// The version of what [`Envelope::encode`] writes.
const VERSION: u8 = 1;

impl Envelope {
    pub(crate) fn new(what: Brought, request_id: String, received_at: Timestamp) -> Envelope {
        let how = Manner::default();
        Envelope { v: VERSION, received_at, request_id, replay_of: None, trace: None, how, what }
    }

    /// The trace of what came, as the job `job`: the one that its request named, else the id of the request, else that
    /// of the job.
    pub(crate) fn trace(&self, job: MessageId) -> TraceId {
        self.trace.or_else(|| self.request_id.parse().ok()).unwrap_or(TraceId::of(job.0))
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, AppError> {
        serde_json::to_vec(self).map_err(|error| AppError::Unavailable(error.to_string()))
    }

    /// Reads what [`Envelope::encode`] wrote; why not, where it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Envelope, String> {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if envelope.v > VERSION {
            return Err(format!("version {} is newer than {VERSION}", envelope.v));
        }
        Ok(envelope)
    }
}

impl Brought {
    fn body(bytes: &[u8]) -> Brought {
        match std::str::from_utf8(bytes) {
            Ok(text) => Brought::Body(text.to_owned()),
            Err(_) => Brought::Bytes(BASE64.encode(bytes)),
        }
    }
}

/// The way into the inbound queues, for webhooks and for channels that need none.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<IdGenerator>,
}

impl Entrance {
    /// Makes something durable that came to a channel.
    pub(crate) async fn take(&self, channel: &ChannelName, envelope: &Envelope) -> Result<(), AppError> {
        self.take_payload(channel, envelope.encode()?.into()).await
    }

    async fn take_payload(&self, channel: &ChannelName, payload: Bytes) -> Result<(), AppError> {
        self.broker.enqueue(vec![self.job(channel, payload)?]).await?;
        Ok(())
    }

    /// Makes many things durable, as many together as one call should carry.
    pub(crate) async fn take_all(&self, mut jobs: Vec<NewJob>) -> Result<(), AppError> {
        while !jobs.is_empty() {
            let mut bytes = 0;
            let fits = |job: &&NewJob| {
                bytes += job.payload.len();
                bytes <= MOST_TOGETHER
            };
            let first = jobs.iter().take_while(fits).count().max(1);
            let later = jobs.split_off(first);
            self.broker.enqueue(std::mem::replace(&mut jobs, later)).await?;
        }
        Ok(())
    }

    /// The job of what came to a channel.
    pub(crate) fn job(&self, channel: &ChannelName, payload: Bytes) -> Result<NewJob, AppError> {
        let id = self.ids.message_id(self.clock.now());
        let mut job = NewJob::new(id, inbound_queue(channel)?, payload);
        // A reader that was killed reads again: every event takes effect by its identity, once.
        job.on_uncertain = palomar_broker::OnUncertain::Retry;
        Ok(job)
    }

    /// Where a channel hands its events in.
    pub(crate) fn sink(&self, channel: &ChannelName) -> Arc<dyn SandboxSink> {
        Arc::new(Sink { entrance: self.clone(), channel: channel.clone() })
    }
}

/// A channel's own way in.
struct Sink {
    entrance: Entrance,
    channel: ChannelName,
}

impl SandboxSink for Sink {
    fn take(&self, received: Received) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let now = self.entrance.clock.now();
            let envelope = Envelope::new(Brought::Events(vec![received]), String::new(), now);
            // There is no provider that would come again: what is not kept now is kept a little later.
            let mut wait = SINK_WAIT;
            while let Err(error) = self.entrance.take(&self.channel, &envelope).await {
                tracing::warn!(channel = %self.channel, %error, "an event of a channel waits to be kept");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_SINK_WAIT);
            }
        })
    }
}

impl App {
    /// Takes a webhook in. [`IntakeAnswer::Accepted`] comes after the body is durable.
    pub async fn receive(&self, channel: &ChannelName, request: WebhookRequest) -> IntakeAnswer {
        let began = self.now();
        let request_id = request.request_id.clone();
        let line = match self.line_of(channel).await {
            Ok(line) => line,
            Err(answer) => return answer,
        };
        let (answer, result) = if request.body.len() > MAX_WEBHOOK {
            (IntakeAnswer::TooLarge, WebhookResult::TooLarge)
        } else {
            match verify(&*line.channel, &request) {
                Ok(Verified::Handshake(text)) => (IntakeAnswer::Handshake(text), WebhookResult::Handshake),
                Ok(Verified::Delivery) => self.keep(channel, request).await,
                Err(WebhookError::BadSignature) => (IntakeAnswer::BadSignature, WebhookResult::BadSignature),
                Err(WebhookError::Forbidden) => (IntakeAnswer::Forbidden, WebhookResult::Refused),
                Err(WebhookError::BadRequest(why)) => (IntakeAnswer::Refused(why), WebhookResult::Refused),
            }
        };
        let took = self.now().since(began);
        self.metrics.webhook(line.provider, result, took);
        let (result, micros) = (result.as_str(), micros(took));
        tracing::debug!(%channel, request = request_id, result, micros, "a webhook came");
        answer
    }

    /// The channel that a webhook is for. One that is not known here may just have been made on another node: a provider
    /// that is told of no such channel does not come again. Anybody may ask: it costs one look a second, whoever does.
    async fn line_of(&self, channel: &ChannelName) -> Result<Arc<Line>, IntakeAnswer> {
        if let Some(line) = self.registry.get(channel) {
            return Ok(line);
        }
        let is_known = self.setup.take_in_for_all().await;
        // One that is broken will work again, and whether there is one may not be known now: its provider is to repeat.
        let may_be = !is_known || self.registry.problem(channel).is_some();
        let none = if may_be { IntakeAnswer::NotDurable } else { IntakeAnswer::NoChannel };
        self.registry.get(channel).ok_or(none)
    }

    async fn keep(&self, channel: &ChannelName, request: WebhookRequest) -> (IntakeAnswer, WebhookResult) {
        let content_type = request.header("content-type");
        let trace = request.header("traceparent").as_deref().and_then(TraceId::from_traceparent);
        let what = Brought::body(&request.body);
        let envelope = Envelope {
            how: Manner { query: request.query, content_type },
            trace,
            ..Envelope::new(what, request.request_id, self.now())
        };
        let taken = self.entrance.take(channel, &envelope).await;
        self.note_room(&taken);
        match taken {
            Ok(()) => (IntakeAnswer::Accepted, WebhookResult::Accepted),
            Err(error) => {
                let error = chain(&error);
                if let Some(more) = self.not_durable.says(self.now()) {
                    let request = &envelope.request_id;
                    tracing::warn!(%channel, request, error, more, "a webhook was not made durable: answered 503");
                }
                (IntakeAnswer::NotDurable, WebhookResult::NotDurable)
            }
        }
    }

    /// A page of webhooks that could not be processed, the newest first.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn failed_webhooks(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<FailedWebhookView>, AppError> {
        Ok(self.records.failed_webhooks(cursor, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// One failed webhook.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn failed_webhook(&self, id: &str) -> Result<FailedWebhookView, AppError> {
        self.records.failed_webhook(id).await?.ok_or(AppError::NotFound("failed webhook"))
    }

    /// Queues all failed webhooks again that were not yet; how many.
    ///
    /// # Errors
    /// Where a store does not answer: those before it are queued.
    pub async fn replay_webhooks(&self) -> Result<u64, AppError> {
        let mut replayed = 0;
        let mut cursor = None;
        loop {
            let page = self.records.failed_webhooks(cursor.as_deref(), MAX_PAGE).await?;
            let waiting = page.items.into_iter().filter(|webhook| webhook.replayed_at.is_none());
            replayed += self.replay_some(waiting.collect()).await?;
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(replayed);
            }
        }
    }

    /// Queues a failed webhook again. What of it took effect before does not take effect again.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn replay_webhook(&self, id: &str) -> Result<(), AppError> {
        let webhook = self.records.failed_webhook(id).await?.ok_or(AppError::NotFound("failed webhook"))?;
        self.replay_some(vec![webhook]).await.map(|_| ())
    }

    /// Queues failed webhooks again, together; how many.
    pub(crate) async fn replay_some(&self, webhooks: Vec<FailedWebhookView>) -> Result<u64, AppError> {
        let (mut jobs, mut ids) = (Vec::new(), Vec::new());
        for webhook in webhooks {
            let channel: ChannelName = webhook.channel.parse().map_err(|_| AppError::NotFound("channel"))?;
            // What is no envelope fails again, visibly, as it is.
            let payload = match Envelope::decode(webhook.payload.as_bytes()) {
                Ok(envelope) => Envelope { replay_of: webhook.id.parse().ok(), ..envelope }.encode()?,
                Err(_) => webhook.payload.into_bytes(),
            };
            jobs.push(self.entrance.job(&channel, payload.into())?);
            ids.push(webhook.id);
        }
        self.entrance.take_all(jobs).await?;
        let replayed = ids.len() as u64;
        for id in ids {
            self.records.webhook_replayed(&id, self.now()).await?;
        }
        Ok(replayed)
    }
}

fn verify(
    channel: &dyn palomar_channels::Channel,
    request: &WebhookRequest,
) -> Result<Verified, WebhookError> {
    channel.verify(&palomar_channels::WebhookRequest {
        method: &request.method,
        url: &request.url,
        query: &request.query,
        header: &|name| request.header(name),
        body: &request.body,
    })
}

impl From<IntakeAnswer> for u16 {
    /// The HTTP status.
    fn from(answer: IntakeAnswer) -> u16 {
        match answer {
            IntakeAnswer::Accepted | IntakeAnswer::Handshake(_) => 200,
            IntakeAnswer::Refused(_) => 400,
            IntakeAnswer::BadSignature => 401,
            IntakeAnswer::Forbidden => 403,
            IntakeAnswer::NoChannel => 404,
            IntakeAnswer::TooLarge => 413,
            IntakeAnswer::NotDurable => 503,
        }
    }
}

/// Whether repeating an operation of the broker can help.
pub(crate) const fn is_passing(error: &BrokerError) -> bool {
    !matches!(error, BrokerError::TooLarge(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_come_back_whatever_the_body() {
        for body in [b"{\"a\":1}".as_slice(), b"", b"\xff\x00"] {
            let what = Brought::body(body);
            let how = Manner { query: "tag=1".to_owned(), content_type: Some("text/plain".to_owned()) };
            let at = Timestamp::from_seconds(1_767_225_600);
            let envelope = Envelope { how, ..Envelope::new(what, "r1".to_owned(), at) };
            let bytes = envelope.encode().expect("json");
            assert_eq!(Envelope::decode(&bytes), Ok(envelope));
        }
        assert!(Envelope::decode(b"{}").is_err());
        let older = br#"{"v":1,"receivedAt":"2026-01-01T00:00:00Z","requestId":"r1","body":"x"}"#;
        assert_eq!(Envelope::decode(older).map(|envelope| envelope.how), Ok(Manner::default()));
    }
}
