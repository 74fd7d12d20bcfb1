//! `journal`: every fact, for its retention.

use palomar_model::{ChannelName, MessageId, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::{count, json, sql, time, to_json};
use crate::error::Result;

const TABLE: &str = "journal";

/// One fact of a message, as its timeline shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// Its number in the event log.
    pub cursor: u64,
    /// When.
    pub at: Timestamp,
    /// What: the word of [`crate::What::kind`].
    pub kind: String,
    /// More about it.
    pub detail: Value,
}

/// A row to be written.
pub(crate) struct Entry<'a> {
    pub(crate) cursor: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: &'a str,
    pub(crate) channel: Option<&'a ChannelName>,
    pub(crate) message: Option<MessageId>,
    pub(crate) detail: &'a Value,
    pub(crate) counted: &'a [&'static str],
}

/// Writes one.
pub(crate) fn add(connection: &Connection, entry: &Entry<'_>) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (cursor, at, kind, channel, message_id, detail, counted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    statement.execute(params![
        sql(entry.cursor),
        entry.at.micros(),
        entry.kind,
        entry.channel.map(ChannelName::as_str),
        entry.message.map(|id| id.to_string()),
        to_json(entry.detail, TABLE)?,
        entry.counted.join(" "),
    ])?;
    Ok(())
}

/// Says which message an entry is about, now that it is known.
pub(crate) fn name_message(connection: &Connection, cursor: u64, message: MessageId) -> Result<()> {
    let mut statement = connection.prepare_cached("UPDATE journal SET message_id = ?2 WHERE cursor = ?1")?;
    statement.execute(params![sql(cursor), message.to_string()])?;
    Ok(())
}

/// A message's facts, in order. That the queue is done with it says nothing that `sent` does not.
pub(crate) fn timeline(connection: &Connection, message: MessageId) -> Result<Vec<TimelineEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT cursor, at, kind, detail FROM journal WHERE message_id = ?1 AND kind <> 'done' ORDER BY cursor",
    )?;
    collect(statement.query([message.to_string()])?)
}

/// All facts after a cursor, in order.
pub(crate) fn after(connection: &Connection, cursor: u64, limit: usize) -> Result<Vec<TimelineEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT cursor, at, kind, detail FROM journal WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
    )?;
    collect(statement.query(params![sql(cursor), sql(limit as u64)])?)
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<TimelineEntry>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(entry(row)?);
    }
    Ok(found)
}

fn entry(row: &Row<'_>) -> Result<TimelineEntry> {
    Ok(TimelineEntry {
        cursor: count(row, "cursor")?,
        at: time(row, "at")?,
        kind: row.get("kind")?,
        detail: json(row, TABLE, "detail")?,
    })
}

/// Calls `each` with channel, time and counted kinds of every entry that raised a counter, from `from` on.
pub(crate) fn counted(
    connection: &Connection,
    from: Timestamp,
    mut each: impl FnMut(&str, Timestamp, &str),
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, at, counted FROM journal WHERE at >= ?1 AND counted <> '' AND channel IS NOT NULL",
    )?;
    let mut rows = statement.query([from.micros()])?;
    while let Some(row) = rows.next()? {
        let (channel, kinds) = (row.get_ref(0)?, row.get_ref(2)?);
        let at = Timestamp::from_micros(row.get(1)?);
        each(channel.as_str().unwrap_or_default(), at, kinds.as_str().unwrap_or_default());
    }
    Ok(())
}

/// The oldest entry's time.
pub(crate) fn oldest(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT at FROM journal ORDER BY cursor LIMIT 1")?;
    let mut rows = statement.query([])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?.map(Timestamp::from_micros))
}

/// Forgets up to `limit` of the oldest entries, as far as they are older; how many it were.
///
/// Cursors follow time, so the oldest are at the beginning and no index on the time is needed.
pub(crate) fn forget_before(connection: &Connection, before: Timestamp, limit: usize) -> Result<usize> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM journal WHERE cursor IN (
             SELECT cursor FROM (SELECT cursor, at FROM journal ORDER BY cursor LIMIT ?2) AS oldest WHERE at < ?1)",
    )?;
    Ok(statement.execute(params![before.micros(), sql(limit as u64)])?)
}
