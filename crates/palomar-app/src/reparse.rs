//! What an earlier version kept because it did not know what it was, read again by this one.
//!
//! Messages of types that were not known, fields of webhooks that were not known, and webhooks that could not be read at
//! all become jobs of their channel's inbound queue again, a bounded number with each order, which says how many are left
//! and where the next one goes on. What is still not known stays as it is. Ordering it twice
//! changes nothing more: a message that is known by now is not asked for, and each event takes effect once, by the place
//! of what it was kept as.

use std::fmt;

use palomar_channels::{Kept, Parsed};
use palomar_model::{ChannelEvent, ChannelName, InboundContent, InboundMessage, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intake::{Brought, Envelope};
use crate::{App, AppError};

/// So many are looked at and made durable together.
const BATCH: usize = 200;
/// One order looks at no more than about so many.
const MOST: usize = 5_000;

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reparsed {
    /// Messages whose type was not known.
    pub messages: u64,
    /// Fields of webhooks that were not known.
    pub events: u64,
    /// Failed webhooks that were not replayed yet.
    pub failed_webhooks: u64,
    /// Of these kinds, what came to channels that are gone or do not work: nobody can read it, and it was left as it is.
    pub skipped: u64,
    /// How many are to be looked at yet.
    pub left: u64,
    /// Where the next order goes on, where one did not do all.
    pub next: Option<String>,
}

/// How far an order has come: what came before was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Among the failed webhooks, after a cursor of their list.
    Webhooks(Option<String>),
    /// Among messages, after the one of this id.
    Messages(String),
    /// Among fields of webhooks, after a place of the journal.
    Events(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Webhooks(after) => write!(f, "webhooks:{}", after.as_deref().unwrap_or_default()),
            Place::Messages(after) => write!(f, "messages:{after}"),
            Place::Events(after) => write!(f, "events:{after}"),
        }
    }
}

impl Place {
    /// What [`Place::to_string`] wrote; none for what it did not.
    fn read(text: &str) -> Option<Place> {
        match text.split_once(':')? {
            ("webhooks", after) => Some(Place::Webhooks((!after.is_empty()).then(|| after.to_owned()))),
            ("messages", after) => Some(Place::Messages(after.to_owned())),
            ("events", after) => after.parse().ok().map(Place::Events),
            _ => None,
        }
    }
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
    /// Queues what was not known when it came, up to some thousands of it, and says where to go on. It begins `after` where
    /// an earlier order ended.
    ///
    /// # Errors
    /// Where a store does not answer: what came before is queued, and ordering it again changes nothing more. For a place
    /// that no order told.
    pub async fn reparse(&self, after: Option<&str>) -> Result<Reparsed, AppError> {
        let place = after.map_or(Some(Place::Webhooks(None)), Place::read);
        let nowhere = || AppError::invalid("/after", "is not what an earlier order told as `next`");
        let mut place = place.ok_or_else(nowhere)?;
        let (mut reparsed, mut looked) = (Reparsed::default(), 0);
        loop {
            let (found, next) = match place {
                Place::Webhooks(after) => self.reparse_webhooks(after, &mut reparsed).await?,
                Place::Messages(after) => self.reparse_messages(after, &mut reparsed).await?,
                Place::Events(after) => self.reparse_events(after, &mut reparsed).await?,
            };
            looked += found;
            let Some(next) = next else { return Ok(reparsed) };
            place = next;
            if looked >= MOST {
                reparsed.left = self.left_after(&place).await?;
                reparsed.next = Some(place.to_string());
                return Ok(reparsed);
            }
        }
    }

    /// The next failed webhooks: how many were looked at, and where it goes on.
    async fn reparse_webhooks(
        &self,
        after: Option<String>,
        reparsed: &mut Reparsed,
    ) -> Result<(usize, Option<Place>), AppError> {
        let page = self.records.failed_webhooks(after.as_deref(), BATCH).await?;
        let found = page.items.len();
        let waiting = page.items.into_iter().filter(|webhook| webhook.replayed_at.is_none());
        let (works, gone): (Vec<_>, Vec<_>) = waiting.partition(|webhook| {
            webhook.channel.parse::<ChannelName>().is_ok_and(|name| self.is_read(&name))
        });
        reparsed.skipped += gone.len() as u64;
        reparsed.failed_webhooks += self.replay_some(works).await?;
        let next = page.next_cursor.map(|cursor| Place::Webhooks(Some(cursor)));
        Ok((found, Some(next.unwrap_or(Place::Messages(String::new())))))
    }

    async fn reparse_messages(
        &self,
        after: String,
        reparsed: &mut Reparsed,
    ) -> Result<(usize, Option<Place>), AppError> {
        let found = self.records.unknown_messages(&after, BATCH).await?;
        let Some(last) = found.last() else { return Ok((0, Some(Place::Events(0)))) };
        let (next, looked) = (Place::Messages(last.id.to_string()), found.len());
        let items = found.into_iter().map(|one| {
            let item = KeptItem { message: Some(one.id), field: None, place: 0, raw: one.raw };
            (one.channel, item, one.at)
        });
        let queued = self.queue_kept(items).await?;
        reparsed.messages += queued;
        reparsed.skipped += looked as u64 - queued;
        Ok((looked, Some(next)))
    }

    async fn reparse_events(
        &self,
        after: u64,
        reparsed: &mut Reparsed,
    ) -> Result<(usize, Option<Place>), AppError> {
        let found = self.records.kept_events(after, BATCH).await?;
        let Some(last) = found.last() else { return Ok((0, None)) };
        let (next, looked) = (Place::Events(last.place), found.len());
        let items = found.into_iter().map(|one| {
            let item = KeptItem { message: None, field: Some(one.field), place: one.place, raw: one.raw };
            (one.channel, item, one.at)
        });
        let queued = self.queue_kept(items).await?;
        reparsed.events += queued;
        reparsed.skipped += looked as u64 - queued;
        Ok((looked, Some(next)))
    }

    /// Queues what was kept, together; how many. What a channel that is gone had can be read by nobody.
    async fn queue_kept(
        &self,
        items: impl Iterator<Item = (ChannelName, KeptItem, Timestamp)>,
    ) -> Result<u64, AppError> {
        let mut jobs = Vec::new();
        for (channel, item, at) in items {
            if self.is_read(&channel) {
                let envelope = Envelope::new(Brought::Kept(item), String::new(), at);
                jobs.push(self.entrance.job(&channel, envelope.encode()?.into())?);
            }
        }
        let queued = jobs.len() as u64;
        self.entrance.take_all(jobs).await?;
        Ok(queued)
    }

    fn is_read(&self, channel: &ChannelName) -> bool {
        self.registry.get(channel).is_some()
    }

    async fn left_after(&self, place: &Place) -> Result<u64, AppError> {
        let (webhooks, message, event) = match place {
            Place::Webhooks(_) => (self.records.failed_webhooks_waiting().await?, Some(""), 0),
            Place::Messages(after) => (0, Some(after.as_str()), 0),
            Place::Events(after) => (0, None, *after),
        };
        let messages = match message {
            Some(after) => self.records.unknown_message_count(after).await?,
            None => 0,
        };
        Ok(webhooks + messages + self.records.kept_event_count(event).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_told() {
        for place in [
            Place::Webhooks(None),
            Place::Webhooks(Some("17.a:b".to_owned())),
            Place::Messages("018f".to_owned()),
            Place::Events(u64::MAX),
        ] {
            assert_eq!(Place::read(&place.to_string()), Some(place));
        }
        for other in ["", "events:", "events:-1", "others:1", "7"] {
            assert_eq!(Place::read(other), None, "{other}");
        }
    }
}
