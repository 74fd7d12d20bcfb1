//! What is bound and what is read: values of three kinds, the same for both engines.
//!
//! What always holds: a text has no NUL, which PostgreSQL can't keep; what is looked up by has a bounded length, which
//! its indexes ask for. Both are changed here, on the way in, so that both engines keep the same.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use palomar_model::{ChannelName, MessageId, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::error::{RecordsError, Result};

/// Longer texts are not looked up by themselves but by their hash. No provider's id comes near.
const LONGEST_KEY: usize = 512;

/// A value to be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// Several values: `values![a, b]` is `[Value::from(a), Value::from(b)]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::store::Value::from($value)),*] };
}
pub(crate) use values;

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Int(Some(number.into()))
    }
}

/// Cursors and counts stay far below the half that does not fit.
impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Value {
        Value::Int(Some(at.micros()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(at: Option<Timestamp>) -> Value {
        Value::Int(at.map(Timestamp::micros))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(if text.contains('\0') { clean(&text) } else { text }))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::from(text.to_owned())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Value {
        Value::from(text.into_owned())
    }
}

impl<T> From<Option<T>> for Value
where
    T: Textual,
    Value: From<T>,
{
    fn from(text: Option<T>) -> Value {
        text.map_or(Value::Text(None), Value::from)
    }
}

impl From<&ChannelName> for Value {
    fn from(name: &ChannelName) -> Value {
        Value::from(name.as_str())
    }
}

impl From<MessageId> for Value {
    fn from(id: MessageId) -> Value {
        Value::Text(Some(id.to_string()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(Some(bytes))
    }
}

/// What is kept as text, and may be missing.
pub(crate) trait Textual {}
impl Textual for String {}
impl Textual for &str {}
impl Textual for &ChannelName {}
impl Textual for MessageId {}

/// A text as it is kept.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A text that is looked up by, as it is kept: of a bounded length, and itself where it is within it.
pub(crate) fn key(text: &str) -> String {
    let text = clean(text);
    if text.len() <= LONGEST_KEY {
        return text;
    }
    let begin: String = text.chars().take(64).collect();
    format!("{begin}…{}", HEXLOWER.encode(&Sha256::digest(text.as_bytes())))
}

/// A row that was read.
#[derive(Clone, Copy)]
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

/// What can be read from a column of either engine.
pub(crate) trait Cell: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}
impl<T> Cell for T where T: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}

impl Row<'_> {
    /// The value of a column.
    pub(crate) fn get<T: Cell>(&self, column: &str) -> Result<T> {
        match self {
            Row::Sqlite(row) => Ok(row.get(column)?),
            Row::Postgres(row) => row.try_get(column).map_err(|error| RecordsError::damaged("a row", error)),
        }
    }

    /// A count; a negative one is damage and reads as none.
    pub(crate) fn count(&self, column: &str) -> Result<u64> {
        Ok(u64::try_from(self.get::<i64>(column)?).unwrap_or(0))
    }

    /// A small count.
    pub(crate) fn small(&self, column: &str) -> Result<u32> {
        Ok(u32::try_from(self.get::<i64>(column)?).unwrap_or(0))
    }

    /// A time.
    pub(crate) fn time(&self, column: &str) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    /// A time that may be missing.
    pub(crate) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_engine_refuses_neither_keeps() {
        assert_eq!(Value::from("a\0b"), Value::Text(Some("a\u{fffd}b".to_owned())));
        assert_eq!(key("wamid.1"), "wamid.1");
        assert_eq!(key("a\0"), "a\u{fffd}");
        let (one, other) = (key(&"ñ".repeat(600)), key(&"ñ".repeat(601)));
        assert!(one.len() < 256 && one != other, "{one} {other}");
        let most = "x".repeat(LONGEST_KEY);
        assert_eq!(key(&most), most);
    }
}
