//! `channels`: sender lines and what they need to send. Credentials never leave this file but decrypted, and never
//! enter the database but encrypted, bound to their channel's name.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, OnUncertain, Provider, Secret, Timestamp};
use serde_json::Value as Json;

use super::{json, optional, parsed, to_json, versions};
use crate::error::{RecordsError, Result};
use crate::secret_key::SecretKey;
use crate::store::table::{bytes, int, text};
use crate::store::{Db, Row, Table, Value, values};

pub(crate) const CHANNELS: Table = Table {
    name: TABLE,
    columns: &[
        text("name"),
        text("provider"),
        text("settings"),
        bytes("credentials"),
        text("limits"),
        text("on_uncertain"),
        int("created_at"),
        int("updated_at"),
    ],
    key: 1,
};
const TABLE: &str = "channels";

/// A channel as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelRecord {
    /// Its name.
    pub name: ChannelName,
    /// Who carries it.
    pub provider: Provider,
    /// What is not secret of its configuration.
    pub settings: Json,
    /// What is.
    pub credentials: BTreeMap<String, Secret>,
    /// What it allows, as its owner wrote it.
    pub limits: Json,
    /// What becomes of messages whose outcome stays unknown.
    pub on_uncertain: Option<OnUncertain>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Keeps a channel; one of that name must not exist.
pub(crate) fn insert(db: Db<'_>, key: &SecretKey, channel: &ChannelRecord) -> Result<()> {
    let text =
        "INSERT INTO channels (name, provider, settings, credentials, limits, on_uncertain, created_at,
             updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let written = db.execute(
        text,
        &values![
            &channel.name,
            channel.provider.as_str(),
            to_json(&channel.settings, TABLE)?,
            seal(key, channel)?,
            to_json(&channel.limits, TABLE)?,
            channel.on_uncertain.map(OnUncertain::as_str),
            channel.created_at,
            channel.updated_at,
        ],
    )?;
    if written == 1 { versions::raise(db, &CHANNELS) } else { Err(RecordsError::Exists("the channel")) }
}

/// Changes a channel. Its name and provider stay.
pub(crate) fn update(db: Db<'_>, key: &SecretKey, channel: &ChannelRecord) -> Result<()> {
    let text =
        "UPDATE channels SET settings = $2, credentials = $3, limits = $4, on_uncertain = $5, updated_at = $6
         WHERE name = $1";
    let written = db.execute(
        text,
        &values![
            &channel.name,
            to_json(&channel.settings, TABLE)?,
            seal(key, channel)?,
            to_json(&channel.limits, TABLE)?,
            channel.on_uncertain.map(OnUncertain::as_str),
            channel.updated_at,
        ],
    )?;
    if written == 1 { versions::raise(db, &CHANNELS) } else { Err(RecordsError::NotFound("channel")) }
}

/// Forgets a channel. Its messages stay.
pub(crate) fn delete(db: Db<'_>, name: &ChannelName) -> Result<()> {
    let written = db.execute("DELETE FROM channels WHERE name = $1", &[Value::from(name)])?;
    if written == 1 { versions::raise(db, &CHANNELS) } else { Err(RecordsError::NotFound("channel")) }
}

/// One channel.
pub(crate) fn get(db: Db<'_>, key: &SecretKey, name: &ChannelName) -> Result<Option<ChannelRecord>> {
    db.row("SELECT * FROM channels WHERE name = $1", &[Value::from(name)], |row| read(row, key))
}

/// All channels, by name.
pub(crate) fn list(db: Db<'_>, key: &SecretKey) -> Result<Vec<ChannelRecord>> {
    db.rows("SELECT * FROM channels ORDER BY name", &[], |row| read(row, key))
}

fn seal(key: &SecretKey, channel: &ChannelRecord) -> Result<Vec<u8>> {
    let exposed: BTreeMap<&str, &str> =
        channel.credentials.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    key.seal(to_json(&exposed, TABLE)?.as_bytes(), channel.name.as_str())
}

fn read(row: &Row<'_>, key: &SecretKey) -> Result<ChannelRecord> {
    let name: ChannelName = parsed(row, TABLE, "name")?;
    let sealed: Vec<u8> = row.get("credentials")?;
    let opened = key.open(&sealed, name.as_str())?;
    let credentials = serde_json::from_slice(&opened).map_err(|error| RecordsError::damaged(TABLE, error))?;
    Ok(ChannelRecord {
        name,
        provider: parsed(row, TABLE, "provider")?,
        settings: json(row, TABLE, "settings")?,
        credentials,
        limits: json(row, TABLE, "limits")?,
        on_uncertain: optional(row, TABLE, "on_uncertain")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
