//! `failed_webhooks`: what could not be processed, as it came.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, Timestamp};
use serde::Serialize;

use super::page::{Page, Place, page};
use crate::error::Result;
use crate::fact::FailedWebhook;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, key, values};

pub(crate) const FAILED_WEBHOOKS: Table = Table {
    name: "failed_webhooks",
    columns: &[
        text("id"),
        text("request_id"),
        text("channel"),
        text("payload"),
        text("message_id"),
        text("error_message"),
        text("error_stack"),
        int("created_at"),
        int("replayed_at"),
    ],
    key: 1,
};

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

/// One that came, with its channel and its time.
pub(crate) type Came<'a> = (&'a FailedWebhook, &'a ChannelName, Timestamp);

/// Keeps some. One that came before changes nothing but why it failed.
pub(crate) fn add(webhooks: &[Came<'_>]) -> Write {
    let mut newest: BTreeMap<_, (Came<'_>, &FailedWebhook)> = BTreeMap::new();
    for came in webhooks {
        newest.entry(came.0.id).and_modify(|(_, last)| *last = came.0).or_insert((*came, came.0));
    }
    let mut rows = Rows::of(&FAILED_WEBHOOKS.columns[..8]);
    for ((first, channel, at), last) in newest.into_values() {
        rows.push(values![
            first.id,
            key(&first.request_id),
            channel,
            first.payload.as_str(),
            first.message_id.as_deref().map(key),
            last.error_message.as_str(),
            last.error_stack.as_deref(),
            at,
        ]);
    }
    let why = "ON CONFLICT (id) DO UPDATE SET error_message = excluded.error_message,
             error_stack = excluded.error_stack";
    Write::insert(&FAILED_WEBHOOKS, why, rows)
}

/// One of them.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<FailedWebhookView>> {
    db.row("SELECT * FROM failed_webhooks WHERE id = $1", &[Value::from(id)], view)
}

/// Notes that it was queued again.
pub(crate) fn replayed(db: Db<'_>, id: &str, now: Timestamp) -> Result<()> {
    db.execute("UPDATE failed_webhooks SET replayed_at = $2 WHERE id = $1", &values![id, now])?;
    Ok(())
}

/// How many were not queued again yet.
pub(crate) fn waiting(db: Db<'_>) -> Result<u64> {
    let text = "SELECT COUNT(*) AS waiting FROM failed_webhooks WHERE replayed_at IS NULL";
    Ok(db.row(text, &[], |row| row.count("waiting"))?.unwrap_or(0))
}

/// How many there are.
pub(crate) fn count(db: Db<'_>) -> Result<u64> {
    let count = db.row("SELECT COUNT(*) AS kept FROM failed_webhooks", &[], |row| row.get::<i64>("kept"))?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// A page of them, the newest first.
pub(crate) fn list(db: Db<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<FailedWebhookView>> {
    let place = Place::decode(cursor)?;
    let text = "SELECT * FROM failed_webhooks WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
         ORDER BY created_at DESC, id DESC LIMIT $3";
    let found = db.rows(text, &values![place.at, place.id, limit as u64 + 1], view)?;
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
        created_at: row.time("created_at")?,
        replayed_at: row.optional_time("replayed_at")?,
    })
}
