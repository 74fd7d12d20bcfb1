//! One file a table: its SQL and the way between its rows and our values. Nothing else says SQL about that table.

pub(crate) mod api_keys;
pub(crate) mod channels;
pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod counters;
pub(crate) mod cursors;
pub(crate) mod early_statuses;
pub(crate) mod failed_webhooks;
pub(crate) mod inbound_seen;
pub(crate) mod journal;
pub(crate) mod messages;
pub(crate) mod page;
pub(crate) mod provider_ids;
pub(crate) mod stored;

use palomar_model::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::error::{RecordsError, Result};

/// Reads a text column that must parse.
pub(crate) fn parsed<T>(row: &Row<'_>, table: &'static str, column: &'static str) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// Reads a text column of JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// As [`json`], where the column may be empty.
pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// Writes a value as JSON.
pub(crate) fn to_json(value: &impl serde::Serialize, table: &'static str) -> Result<String> {
    serde_json::to_string(value).map_err(|error| RecordsError::damaged(table, error))
}

/// Reads a time.
pub(crate) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

/// Reads a time that may be missing.
pub(crate) fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

/// Reads a count; a negative one is damage and reads as none.
pub(crate) fn count<I>(row: &Row<'_>, column: I) -> Result<u64>
where
    I: rusqlite::RowIndex,
    i64: FromSql,
{
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A number as SQL keeps it. Cursors and counts stay far below the half that does not fit.
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
