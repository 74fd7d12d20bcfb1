//! `api_keys`: who may call. Of a key's secret only the SHA-256 is kept; it is long and random, so that is enough.

use palomar_model::{ChannelName, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{optional_json, optional_time, time, to_json};
use crate::error::{RecordsError, Result};

const TABLE: &str = "api_keys";

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: String,
    /// The SHA-256 of its secret, in hexadecimal.
    pub hash: String,
    /// What its owner calls it.
    pub name: String,
    /// The word for its role.
    pub role: String,
    /// The channels it is for; all where none are named.
    pub channels: Option<Vec<ChannelName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Keeps a key.
pub(crate) fn insert(connection: &Connection, key: &KeyRecord) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO api_keys (id, hash, name, role, channels, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?;
    let written = statement.execute(params![
        key.id,
        key.hash,
        key.name,
        key.role,
        key.channels.as_ref().map(|channels| to_json(channels, TABLE)).transpose()?,
        key.created_at.micros(),
        key.expires_at.map(Timestamp::micros),
    ])?;
    if written == 1 { Ok(()) } else { Err(RecordsError::Exists("the key")) }
}

/// All keys, in the order in which they were made.
pub(crate) fn list(connection: &Connection) -> Result<Vec<KeyRecord>> {
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys ORDER BY created_at, id")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Revokes a key, for good; the time of an earlier revocation stays.
pub(crate) fn revoke(connection: &Connection, id: &str, now: Timestamp) -> Result<KeyRecord> {
    connection
        .prepare_cached("UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?2) WHERE id = ?1")?
        .execute(params![id, now.micros()])?;
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(read(row))).optional()?;
    found.unwrap_or(Err(RecordsError::NotFound("key")))
}

/// Notes when keys were used.
pub(crate) fn used(connection: &Connection, uses: &[(String, Timestamp)]) -> Result<()> {
    let mut statement = connection.prepare_cached("UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1")?;
    for (id, at) in uses {
        statement.execute(params![id, at.micros()])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<KeyRecord> {
    Ok(KeyRecord {
        id: row.get("id")?,
        hash: row.get("hash")?,
        name: row.get("name")?,
        role: row.get("role")?,
        channels: optional_json(row, TABLE, "channels")?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
    })
}
