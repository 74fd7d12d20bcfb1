//! `failed_webhooks`: what could not be processed, as it came.

use palomar_model::{ChannelName, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::page::{Page, Place, page};
use super::{optional_time, sql, time};
use crate::error::Result;
use crate::fact::FailedWebhook;

/// A webhook that could not be processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedWebhookView {
    /// Its id.
    pub id: String,
    /// The id of the request that brought it.
    pub request_id: String,
    /// The channel.
    pub channel: String,
    /// What came.
    pub payload: String,
    /// The message it is about, where that can be told.
    pub message_id: Option<String>,
    /// Why it could not be processed.
    pub error_message: Option<String>,
    /// More on that.
    pub error_stack: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it was queued again, the last time.
    pub replayed_at: Option<Timestamp>,
}

/// Keeps one. The same one again changes nothing.
pub(crate) fn add(
    connection: &Connection,
    webhook: &FailedWebhook,
    channel: &ChannelName,
    at: Timestamp,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO failed_webhooks (id, request_id, channel, payload, message_id, error_message, error_stack,
             created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET error_message = excluded.error_message, error_stack = excluded.error_stack",
    )?;
    statement.execute(params![
        webhook.id.to_string(),
        webhook.request_id,
        channel.as_str(),
        webhook.payload,
        webhook.message_id,
        webhook.error_message,
        webhook.error_stack,
        at.micros(),
    ])?;
    Ok(())
}

/// One of them.
pub(crate) fn get(connection: &Connection, id: &str) -> Result<Option<FailedWebhookView>> {
    let mut statement = connection.prepare_cached("SELECT * FROM failed_webhooks WHERE id = ?1")?;
    statement.query_row([id], |row| Ok(view(row))).optional()?.transpose()
}

/// Notes that it was queued again.
pub(crate) fn replayed(connection: &Connection, id: &str, now: Timestamp) -> Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE failed_webhooks SET replayed_at = ?2 WHERE id = ?1")?;
    statement.execute(params![id, now.micros()])?;
    Ok(())
}

/// A page of them, the newest first.
pub(crate) fn list(
    connection: &Connection,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<FailedWebhookView>> {
    let place = Place::decode(cursor)?;
    let mut statement = connection.prepare_cached(
        "SELECT * FROM failed_webhooks WHERE created_at <= ?1 AND (created_at < ?1 OR id < ?2)
         ORDER BY created_at DESC, id DESC LIMIT ?3",
    )?;
    let mut rows = statement.query(params![place.at.micros(), place.id, sql(limit as u64 + 1)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(view(row)?);
    }
    Ok(page(found, limit, |webhook| Place { at: webhook.created_at, id: webhook.id.clone() }))
}

fn view(row: &Row<'_>) -> Result<FailedWebhookView> {
    Ok(FailedWebhookView {
        id: row.get("id")?,
        request_id: row.get("request_id")?,
        channel: row.get("channel")?,
        payload: row.get("payload")?,
        message_id: row.get("message_id")?,
        error_message: row.get("error_message")?,
        error_stack: row.get("error_stack")?,
        created_at: time(row, "created_at")?,
        replayed_at: optional_time(row, "replayed_at")?,
    })
}
