//! `provider_ids`: every id that a provider knows a message by. An inbound message's is its identity, for good.

use palomar_model::{ChannelName, MessageId, ProviderMessageId};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{RecordsError, Result};

/// The message that a provider calls so.
pub(crate) fn message(
    connection: &Connection,
    channel: &ChannelName,
    provider_id: &ProviderMessageId,
) -> Result<Option<MessageId>> {
    let mut statement = connection
        .prepare_cached("SELECT message_id FROM provider_ids WHERE channel = ?1 AND provider_id = ?2")?;
    let found: Option<String> =
        statement.query_row(params![channel.as_str(), &*provider_id.0], |row| row.get(0)).optional()?;
    found.map(|id| id.parse()).transpose().map_err(|error| RecordsError::damaged("provider_ids", error))
}

/// Notes an id; whether it is new. The first message that had it keeps it.
pub(crate) fn add(
    connection: &Connection,
    channel: &ChannelName,
    provider_id: &ProviderMessageId,
    message: MessageId,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO provider_ids (channel, provider_id, message_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(statement.execute(params![channel.as_str(), &*provider_id.0, message.to_string()])? == 1)
}
