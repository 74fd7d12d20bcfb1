//! `early_statuses`: reports whose message is not known yet.

use palomar_model::{ChannelName, ProviderMessageId, StatusReport, Timestamp};
use rusqlite::{Connection, params};

use super::{count, json, sql, to_json};
use crate::error::Result;

const TABLE: &str = "early_statuses";

/// Keeps a report until its message is known.
pub(crate) fn add(
    connection: &Connection,
    channel: &ChannelName,
    cursor: u64,
    at: Timestamp,
    report: &StatusReport,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO early_statuses (channel, provider_id, cursor, at, status) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )?;
    let status = to_json(report, TABLE)?;
    statement.execute(params![channel.as_str(), &*report.provider_id.0, sql(cursor), at.micros(), status])?;
    Ok(())
}

/// Takes the reports on a message that has just become known, in the order of arrival, each with its cursor.
pub(crate) fn take(
    connection: &Connection,
    channel: &ChannelName,
    provider_id: &ProviderMessageId,
) -> Result<Vec<(u64, StatusReport)>> {
    let mut statement = connection.prepare_cached(
        "SELECT cursor, status FROM early_statuses WHERE channel = ?1 AND provider_id = ?2 ORDER BY cursor",
    )?;
    let mut rows = statement.query(params![channel.as_str(), &*provider_id.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((count(row, "cursor")?, json(row, TABLE, "status")?));
    }
    if !found.is_empty() {
        connection
            .prepare_cached("DELETE FROM early_statuses WHERE channel = ?1 AND provider_id = ?2")?
            .execute(params![channel.as_str(), &*provider_id.0])?;
    }
    Ok(found)
}

/// Forgets what is older.
pub(crate) fn forget_before(connection: &Connection, before: Timestamp) -> Result<usize> {
    let mut statement = connection.prepare_cached("DELETE FROM early_statuses WHERE at < ?1")?;
    Ok(statement.execute([before.micros()])?)
}
