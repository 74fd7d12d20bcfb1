//! `conversations`: the messages with one person on one channel.

use std::time::Duration;

use palomar_model::{ChannelName, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::messages::Direction;
use crate::error::Result;

/// Free text may be sent for so long after a person wrote.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A message that a conversation gets.
pub(crate) struct Turn<'a> {
    pub(crate) channel: &'a ChannelName,
    pub(crate) contact: &'a str,
    pub(crate) message: MessageId,
    pub(crate) direction: Direction,
    pub(crate) at: Timestamp,
}

/// Notes a message. One that is older than the newest changes nothing but, if inbound, the window.
pub(crate) fn note(connection: &Connection, turn: &Turn<'_>) -> Result<()> {
    let inbound = (turn.direction == Direction::Inbound).then_some(turn.at);
    let mut statement = connection.prepare_cached(
        "INSERT INTO conversations (channel, contact_id, created_at, last_inbound_at, window_until, last_message_id,
             last_message_at, last_direction)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3, ?7)
         ON CONFLICT (channel, contact_id) DO UPDATE SET
             last_inbound_at = CASE WHEN excluded.last_inbound_at > COALESCE(conversations.last_inbound_at, 0)
                 THEN excluded.last_inbound_at ELSE conversations.last_inbound_at END,
             window_until = CASE WHEN excluded.window_until > COALESCE(conversations.window_until, 0)
                 THEN excluded.window_until ELSE conversations.window_until END,
             last_message_id = CASE WHEN excluded.last_message_at >= conversations.last_message_at
                 THEN excluded.last_message_id ELSE conversations.last_message_id END,
             last_direction = CASE WHEN excluded.last_message_at >= conversations.last_message_at
                 THEN excluded.last_direction ELSE conversations.last_direction END,
             last_message_at = CASE WHEN excluded.last_message_at >= conversations.last_message_at
                 THEN excluded.last_message_at ELSE conversations.last_message_at END",
    )?;
    statement.execute(params![
        turn.channel.as_str(),
        turn.contact,
        turn.at.micros(),
        inbound.map(Timestamp::micros),
        inbound.map(|at| at.after(WINDOW).micros()),
        turn.message.to_string(),
        turn.direction.as_str(),
    ])?;
    Ok(())
}

/// Until when free text may be sent to whoever has this match key, on this channel.
pub(crate) fn window_until(
    connection: &Connection,
    channel: &ChannelName,
    match_key: &str,
) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT window_until FROM conversations JOIN contact_identities USING (contact_id)
         WHERE channel = ?1 AND match_key = ?2 AND window_until IS NOT NULL",
    )?;
    let found: Option<i64> =
        statement.query_row([channel.as_str(), match_key], |row| row.get(0)).optional()?;
    Ok(found.map(Timestamp::from_micros))
}
