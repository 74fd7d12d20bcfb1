//! Why records could not do what they were asked.

use std::path::PathBuf;
use std::sync::Arc;

/// An error of the records. Cloned to everybody whose work shared a failed commit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordsError {
    /// The disk is full.
    #[error("out of disk space")]
    Full,
    /// Something like it exists already.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// It does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A page's cursor that was not given out by a list.
    #[error("not a cursor of this list")]
    BadCursor,
    /// A projection's cursor is not where the writer believed: somebody else wrote.
    #[error(
        "the projection {projection} stands at {stored}, not at {expected}: another process wrote these records"
    )]
    CursorMoved {
        /// Which projection.
        projection: &'static str,
        /// Where its rows stand.
        stored: u64,
        /// Where the writer believed them.
        expected: u64,
    },
    /// The data was written by a newer version.
    #[error("{} has schema {found}, this version knows up to {known}: start the newer version again", path.display())]
    NewerSchema {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// The SQLite that was linked is known to damage databases.
    #[error("SQLite {0} is too old: 3.51.3 or later is needed")]
    OldSqlite(&'static str),
    /// The key file does not fit what it encrypted.
    #[error("credentials can't be decrypted: {} is not the key they were encrypted with", path.display())]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// A stored value can't be read.
    #[error("damaged record in {table}: {detail}")]
    Damaged {
        /// Where.
        table: &'static str,
        /// What is wrong with it.
        detail: Arc<str>,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The database refused.
    #[error("records: {0}")]
    Sql(Arc<rusqlite::Error>),
    /// The records are closed.
    #[error("the records are closed")]
    Closed,
}

impl RecordsError {
    pub(crate) fn damaged(table: &'static str, detail: impl std::fmt::Display) -> RecordsError {
        RecordsError::Damaged { table, detail: detail.to_string().into() }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> RecordsError {
        RecordsError::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl From<rusqlite::Error> for RecordsError {
    fn from(error: rusqlite::Error) -> RecordsError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => RecordsError::Full,
            _ => RecordsError::Sql(Arc::new(error)),
        }
    }
}

pub(crate) type Result<T, E = RecordsError> = std::result::Result<T, E>;
