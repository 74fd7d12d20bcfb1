//! What of a message is to be fetched, and the jobs that do it.

use std::borrow::Cow;
use std::sync::Arc;

use palomar_broker::{Broker, BrokerError, NewJob, OnUncertain};
use palomar_channels::Channel;
use palomar_model::{ChannelName, InboundMedia, InboundMessage, MediaNews, MediaProgress, MessageId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::AppEvent;
use crate::intake::is_passing;
use crate::queues::media_queue;

/// A message has no more than this.
const MOST_PARTS: usize = 16;

/// The job of a medium.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MediaJob<'j> {
    v: u8,
    /// The message that it came with.
    pub(crate) message: MessageId,
    /// Which of the message's it is.
    pub(crate) part: u32,
    /// What the provider calls the message.
    pub(crate) provider_message: Cow<'j, str>,
    /// The message's word for it.
    pub(crate) kind: Cow<'j, str>,
    /// What the message says of it.
    pub(crate) media: Cow<'j, InboundMedia>,
    /// Its bytes in Base64, where they came with the message.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) inline: Option<Inline<'j>>,
}

/// Bytes in Base64. Megabytes of it are read where they stand.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Inline<'j>(#[serde(borrow)] pub(crate) Cow<'j, str>);

const VERSION: u8 = 1;

impl<'j> MediaJob<'j> {
    /// Reads what was queued; why not, where it is none.
    pub(crate) fn decode(bytes: &'j [u8]) -> Result<MediaJob<'j>, String> {
        let job: MediaJob<'j> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if job.v > VERSION { Err(format!("version {} is newer than {VERSION}", job.v)) } else { Ok(job) }
    }
}

/// Who queues what is to be fetched.
pub(crate) struct Wants {
    pub(crate) broker: Arc<dyn Broker>,
}

impl Wants {
    /// Queues the media of a message, and says so. What came in Base64 goes with its job, and out of the message: it is kept
    /// once. Where nothing can be queued because there is no room, the message goes on without.
    pub(crate) async fn queue(
        &self,
        channel: &ChannelName,
        fetches: &dyn Channel,
        id: MessageId,
        message: &mut InboundMessage,
    ) -> Result<Vec<AppEvent>, BrokerError> {
        let queue = match media_queue(channel) {
            Ok(queue) => queue,
            // Its other queues have names of the same length.
            Err(_) => return Ok(Vec::new()),
        };
        let mut jobs = Vec::new();
        let mut told = Vec::new();
        for (part, (kind, media)) in (0_u32..).zip(message.media()).take(MOST_PARTS) {
            let inline = media.inline_at.as_deref().and_then(|at| message.raw.pointer(at)?.as_str());
            if inline.is_none() && fetches.media().is_none() {
                continue;
            }
            let own = media_id(id, part);
            let filename = media.filename.clone();
            let news = |progress| MediaNews { id: own, message: id, part, filename, progress };
            if let (Some(error), None) = (&media.error, inline) {
                told.push(news(MediaProgress::Failed {
                    error: format!("the provider does not have it: {}", error.title),
                }));
                continue;
            }
            let job = MediaJob {
                v: VERSION,
                message: id,
                part,
                provider_message: Cow::Borrowed(&message.provider_id.0),
                kind: Cow::Borrowed(kind),
                media: Cow::Borrowed(media),
                inline: inline.map(|text| Inline(Cow::Borrowed(text))),
            };
            match serde_json::to_vec(&job) {
                Ok(payload) => {
                    let mut job = NewJob::new(own, queue.clone(), payload);
                    // What was fetched twice is kept once.
                    job.on_uncertain = OnUncertain::Retry;
                    jobs.push(job);
                    told.push(news(MediaProgress::Pending));
                }
                Err(error) => told.push(news(MediaProgress::Failed { error: error.to_string() })),
            }
        }
        let queued = if jobs.is_empty() { Ok(Vec::new()) } else { self.broker.enqueue(jobs).await };
        match queued {
            Ok(_) => take_out(message),
            Err(error) if matches!(error, BrokerError::Full) || !is_passing(&error) => {
                tracing::warn!(%channel, %error, "media of a message are not fetched");
                for news in told.iter_mut().filter(|news| news.progress == MediaProgress::Pending) {
                    news.progress =
                        MediaProgress::Failed { error: format!("it could not be queued: {error}") };
                }
            }
            Err(error) => return Err(error),
        }
        Ok(told.into_iter().map(|news| AppEvent::Media { channel: channel.clone(), news }).collect())
    }
}

/// Takes the Base64 out of the provider's object that went with the jobs.
fn take_out(message: &mut InboundMessage) {
    let places: Vec<String> =
        message.media().filter_map(|(_, media)| media.inline_at.clone()).take(MOST_PARTS).collect();
    for place in places {
        if let Some(text) = message.raw.pointer_mut(&place).filter(|value| value.is_string()) {
            text.take();
        }
    }
}

/// The id of a medium: the same for every delivery of its message.
pub(crate) fn media_id(message: MessageId, part: u32) -> MessageId {
    let hash = Sha256::new()
        .chain_update(message.0.as_bytes())
        .chain_update(b"media")
        .chain_update(part.to_be_bytes())
        .finalize();
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash.iter()).for_each(|(byte, from)| *byte = *from);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_back_and_newer_ones_are_refused() {
        let media = InboundMedia { id: Some("4711".to_owned()), ..InboundMedia::default() };
        let job = MediaJob {
            v: VERSION,
            message: MessageId(uuid::Uuid::from_u128(7)),
            part: 1,
            provider_message: "wamid.1".into(),
            kind: "image".into(),
            media: Cow::Owned(media.clone()),
            inline: Some(Inline("aG9sYQ==".into())),
        };
        let bytes = serde_json::to_vec(&job).expect("json");
        let back = MediaJob::decode(&bytes).expect("read");
        assert_eq!((&*back.kind, back.part, &*back.media), ("image", 1, &media));
        assert!(matches!(back.inline, Some(Inline(Cow::Borrowed("aG9sYQ==")))), "{back:?}");
        let newer = String::from_utf8(bytes).expect("text").replace("\"v\":1", "\"v\":2");
        assert!(MediaJob::decode(newer.as_bytes()).is_err());
    }

    #[test]
    fn ids_follow_from_the_message() {
        let message = |n| MessageId(uuid::Uuid::from_u128(n));
        assert_eq!(media_id(message(1), 0), media_id(message(1), 0));
        assert_ne!(media_id(message(1), 0), media_id(message(1), 1));
        assert_ne!(media_id(message(1), 0), media_id(message(2), 0));
    }
}
