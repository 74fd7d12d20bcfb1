//! What was kept because it was not known when it came: to be read again by a later version.

use palomar_model::{ChannelName, MessageId, Timestamp};
use serde_json::Value as Json;

use crate::Records;
use crate::error::Result;
use crate::tables::{failed_webhooks, journal, messages};

/// A message whose type was not known.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownMessage {
    /// Its id.
    pub id: MessageId,
    /// The channel.
    pub channel: ChannelName,
    /// When it came.
    pub at: Timestamp,
    /// The provider's own object.
    pub raw: Json,
}

/// What stood under a field of a webhook that was not known.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptEvent {
    /// Its place in the journal.
    pub place: u64,
    /// The channel.
    pub channel: ChannelName,
    /// When it came.
    pub at: Timestamp,
    /// The field.
    pub field: String,
    /// The provider's own object.
    pub raw: Json,
}

impl Records {
    /// Messages whose type was not known, after the one called `after`.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn unknown_messages(&self, after: &str, limit: usize) -> Result<Vec<UnknownMessage>> {
        let after = after.to_owned();
        self.read(move |db| messages::unknown(db, &after, limit)).await
    }

    /// How many messages there are whose type was not known, after the one called `after`.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn unknown_message_count(&self, after: &str) -> Result<u64> {
        let after = after.to_owned();
        self.read(move |db| messages::unknown_count(db, &after)).await
    }

    /// How many entries of webhooks were kept after a place of the journal.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn kept_event_count(&self, after: u64) -> Result<u64> {
        self.read(move |db| journal::kept_count(db, after)).await
    }

    /// How many failed webhooks were not queued again yet.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn failed_webhooks_waiting(&self) -> Result<u64> {
        self.read(failed_webhooks::waiting).await
    }

    /// What was kept of webhooks after a place of the journal.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn kept_events(&self, after: u64, limit: usize) -> Result<Vec<KeptEvent>> {
        self.read(move |db| journal::kept(db, after, limit)).await
    }
}
