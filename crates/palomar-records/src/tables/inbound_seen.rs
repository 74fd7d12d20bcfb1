//! `inbound_seen`: identities of inbound events that took effect.

use palomar_model::{ChannelName, Timestamp};
use rusqlite::{Connection, params};

use crate::error::Result;

/// Notes an identity; whether it is new.
pub(crate) fn add(
    connection: &Connection,
    channel: &ChannelName,
    identity: &str,
    at: Timestamp,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO inbound_seen (channel, identity, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(statement.execute(params![channel.as_str(), identity, at.micros()])? == 1)
}

/// Forgets what is older.
pub(crate) fn forget_before(connection: &Connection, before: Timestamp) -> Result<usize> {
    let mut statement = connection.prepare_cached("DELETE FROM inbound_seen WHERE at < ?1")?;
    Ok(statement.execute([before.micros()])?)
}
