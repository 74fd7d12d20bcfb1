//! `api_keys`: who may call. Of a key's secret only the SHA-256 is kept; it is long and random, so that is enough.

use palomar_model::{ChannelName, Timestamp};

use super::{optional_json, to_json, versions};
use crate::error::{RecordsError, Result};
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const API_KEYS: Table = Table {
    name: TABLE,
    columns: &[
        text("id"),
        text("hash"),
        text("name"),
        text("role"),
        text("channels"),
        int("created_at"),
        int("expires_at"),
        int("revoked_at"),
        int("last_used_at"),
    ],
    key: 1,
};
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
pub(crate) fn insert(db: Db<'_>, key: &KeyRecord) -> Result<()> {
    let text = "INSERT INTO api_keys (id, hash, name, role, channels, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let channels = key.channels.as_ref().map(|channels| to_json(channels, TABLE)).transpose()?;
    let written = db.execute(
        text,
        &values![
            key.id.as_str(),
            key.hash.as_str(),
            key.name.as_str(),
            key.role.as_str(),
            channels,
            key.created_at,
            key.expires_at,
        ],
    )?;
    if written == 1 { versions::raise(db, &API_KEYS) } else { Err(RecordsError::Exists("the key")) }
}

/// All keys, in the order in which they were made.
pub(crate) fn list(db: Db<'_>) -> Result<Vec<KeyRecord>> {
    db.rows("SELECT * FROM api_keys ORDER BY created_at, id", &[], read)
}

/// Revokes a key, for good; the time of an earlier revocation stays.
pub(crate) fn revoke(db: Db<'_>, id: &str, now: Timestamp) -> Result<KeyRecord> {
    let text = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
    db.execute(text, &values![id, now])?;
    versions::raise(db, &API_KEYS)?;
    let found = db.row("SELECT * FROM api_keys WHERE id = $1", &[Value::from(id)], read)?;
    found.ok_or(RecordsError::NotFound("key"))
}

/// Notes when keys were used, the last time of each.
pub(crate) fn used(db: Db<'_>, uses: &[(String, Timestamp)]) -> Result<()> {
    let last: std::collections::BTreeMap<_, _> = uses.iter().map(|(id, at)| (id, at)).collect();
    let mut rows = Rows::of(const { &[text("id"), int("last_used_at")] });
    last.into_iter().for_each(|(id, at)| rows.push(values![id.as_str(), *at]));
    db.write(vec![Write::update(&API_KEYS, rows)])
}

fn read(row: &Row<'_>) -> Result<KeyRecord> {
    Ok(KeyRecord {
        id: row.get("id")?,
        hash: row.get("hash")?,
        name: row.get("name")?,
        role: row.get("role")?,
        channels: optional_json(row, TABLE, "channels")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        last_used_at: row.optional_time("last_used_at")?,
    })
}
