//! What an earlier version kept because it did not know what it was, read again by this one.
//!
//! Messages of types that were not known, fields of webhooks that were not known, and webhooks that could not be read at
//! all become jobs of their channel's inbound queue again. What is still not known stays as it is. Ordering it twice
//! changes nothing more: a message that is known by now is not asked for, and each event takes effect once, by the place
//! of what it was kept as.

use palomar_channels::{Kept, Parsed};
use palomar_model::{ChannelEvent, ChannelName, InboundContent, InboundMessage, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intake::{Brought, Envelope};
use crate::{App, AppError};

/// So many are looked at in one go.
const BATCH: usize = 200;

/// Something that was kept as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptItem {
    /// The message; none for a field of a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<MessageId>,
    /// The field that it stood under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Its place in the journal, where it is no message.
    #[serde(default)]
    pub(crate) place: u64,
    /// The provider's own object.
    pub(crate) raw: Value,
}

/// What was queued to be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reparsed {
    /// Messages whose type was not known.
    pub messages: u64,
    /// Fields of webhooks that were not known.
    pub events: u64,
    /// Failed webhooks that were not replayed yet.
    pub failed_webhooks: u64,
}

impl KeptItem {
    pub(crate) fn kept(&self, received_at: Timestamp) -> Kept<'_> {
        Kept { field: self.field.as_deref(), raw: &self.raw, received_at }
    }

    /// The message that it is now, where it was one and is known.
    pub(crate) fn message(&self, parsed: &mut Parsed) -> Option<(MessageId, Box<InboundMessage>)> {
        let id = self.message?;
        let known = parsed.events.drain(..).find_map(|received| match received.event {
            ChannelEvent::Message(message) if !matches!(message.content, InboundContent::Unknown) => {
                Some(message)
            }
            _ => None,
        });
        known.map(|message| (id, message))
    }
}

impl App {
    /// Queues everything again that was not known when it came; how much.
    ///
    /// # Errors
    /// Where a store does not answer: what came before is queued, and ordering it again changes nothing more.
    pub async fn reparse(&self) -> Result<Reparsed, AppError> {
        let mut reparsed = Reparsed { failed_webhooks: self.replay_webhooks().await?, ..Reparsed::default() };
        let mut after = String::new();
        loop {
            let found = self.records.unknown_messages(&after, BATCH).await?;
            let Some(last) = found.last() else { break };
            after = last.id.to_string();
            for one in found {
                let item = KeptItem { message: Some(one.id), field: None, place: 0, raw: one.raw };
                self.queue_kept(&one.channel, item, one.at).await?;
                reparsed.messages += 1;
            }
        }
        let mut after = 0;
        loop {
            let found = self.records.kept_events(after, BATCH).await?;
            let Some(last) = found.last() else { return Ok(reparsed) };
            after = last.place;
            for one in found {
                let item = KeptItem { message: None, field: Some(one.field), place: one.place, raw: one.raw };
                self.queue_kept(&one.channel, item, one.at).await?;
                reparsed.events += 1;
            }
        }
    }

    async fn queue_kept(&self, channel: &ChannelName, item: KeptItem, at: Timestamp) -> Result<(), AppError> {
        // What a channel that is gone had can be read by nobody.
        if self.registry.get(channel).is_none() {
            return Ok(());
        }
        self.entrance.take(channel, &Envelope::new(Brought::Kept(item), String::new(), at)).await
    }
}
