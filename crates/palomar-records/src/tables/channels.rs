//! `channels`: sender lines and what they need to send. Credentials never leave this file but decrypted, and never
//! enter the database but encrypted, bound to their channel's name.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, OnUncertain, Provider, Secret, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::{json, parsed, time, to_json};
use crate::error::{RecordsError, Result};
use crate::secret_key::SecretKey;

const TABLE: &str = "channels";

/// A channel as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelRecord {
    /// Its name.
    pub name: ChannelName,
    /// Who carries it.
    pub provider: Provider,
    /// What is not secret of its configuration.
    pub settings: Value,
    /// What is.
    pub credentials: BTreeMap<String, Secret>,
    /// What it allows, as its owner wrote it.
    pub limits: Value,
    /// What becomes of messages whose outcome stays unknown.
    pub on_uncertain: Option<OnUncertain>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Keeps a channel; one of that name must not exist.
pub(crate) fn insert(connection: &Connection, key: &SecretKey, channel: &ChannelRecord) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO channels (name, provider, settings, credentials, limits, on_uncertain, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?;
    let written = statement.execute(params![
        channel.name.as_str(),
        channel.provider.as_str(),
        to_json(&channel.settings, TABLE)?,
        seal(key, channel)?,
        to_json(&channel.limits, TABLE)?,
        channel.on_uncertain.map(OnUncertain::as_str),
        channel.created_at.micros(),
        channel.updated_at.micros(),
    ])?;
    if written == 1 { Ok(()) } else { Err(RecordsError::Exists("the channel")) }
}

/// Changes a channel. Its name and provider stay.
pub(crate) fn update(connection: &Connection, key: &SecretKey, channel: &ChannelRecord) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE channels SET settings = ?2, credentials = ?3, limits = ?4, on_uncertain = ?5, updated_at = ?6
         WHERE name = ?1",
    )?;
    let written = statement.execute(params![
        channel.name.as_str(),
        to_json(&channel.settings, TABLE)?,
        seal(key, channel)?,
        to_json(&channel.limits, TABLE)?,
        channel.on_uncertain.map(OnUncertain::as_str),
        channel.updated_at.micros(),
    ])?;
    if written == 1 { Ok(()) } else { Err(RecordsError::NotFound("channel")) }
}

/// Forgets a channel. Its messages stay.
pub(crate) fn delete(connection: &Connection, name: &ChannelName) -> Result<()> {
    let written =
        connection.prepare_cached("DELETE FROM channels WHERE name = ?1")?.execute([name.as_str()])?;
    if written == 1 { Ok(()) } else { Err(RecordsError::NotFound("channel")) }
}

/// One channel.
pub(crate) fn get(
    connection: &Connection,
    key: &SecretKey,
    name: &ChannelName,
) -> Result<Option<ChannelRecord>> {
    let mut statement = connection.prepare_cached("SELECT * FROM channels WHERE name = ?1")?;
    statement.query_row([name.as_str()], |row| Ok(read(row, key))).optional()?.transpose()
}

/// All channels, by name.
pub(crate) fn list(connection: &Connection, key: &SecretKey) -> Result<Vec<ChannelRecord>> {
    let mut statement = connection.prepare_cached("SELECT * FROM channels ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row, key)?);
    }
    Ok(found)
}

fn seal(key: &SecretKey, channel: &ChannelRecord) -> Result<Vec<u8>> {
    let exposed: BTreeMap<&str, &str> =
        channel.credentials.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    key.seal(to_json(&exposed, TABLE)?.as_bytes(), channel.name.as_str())
}

fn read(row: &Row<'_>, key: &SecretKey) -> Result<ChannelRecord> {
    let name: ChannelName = parsed(row, TABLE, "name")?;
    let on_uncertain: Option<String> = row.get("on_uncertain")?;
    let sealed: Vec<u8> = row.get("credentials")?;
    let opened = key.open(&sealed, name.as_str())?;
    let credentials = serde_json::from_slice(&opened).map_err(|error| RecordsError::damaged(TABLE, error))?;
    Ok(ChannelRecord {
        name,
        provider: parsed(row, TABLE, "provider")?,
        settings: json(row, TABLE, "settings")?,
        credentials,
        limits: json(row, TABLE, "limits")?,
        on_uncertain: on_uncertain
            .map(|word| word.parse())
            .transpose()
            .map_err(|error: palomar_model::UnknownWord| RecordsError::damaged(TABLE, error))?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}
