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
    #[error("{place} has schema {found}, this version knows up to {known}: start the newer version again")]
    NewerSchema {
        /// Which database.
        place: Arc<str>,
        /// Its schema.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// The SQLite that was linked is known to damage databases.
    #[error("SQLite {0} is too old: 3.51.3 or later is needed")]
    OldSqlite(&'static str),
    /// PostgreSQL can't be reached.
    #[error("PostgreSQL at {place} can't be reached: {why}")]
    Away {
        /// Host, port and database.
        place: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// PostgreSQL lets nobody in who comes so.
    #[error("PostgreSQL at {place} refuses: {why}")]
    Refused {
        /// Host, port and database.
        place: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// PostgreSQL is there and can't keep records.
    #[error("PostgreSQL at {place} can't keep the records: {why}")]
    Unfit {
        /// Host, port and database.
        place: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL at {0} took too long")]
    Late(Arc<str>),
    /// A read did not end in time.
    #[error("it took too long to read the records: ask for less")]
    TooLong,
    /// All connections are in use.
    #[error("all connections to PostgreSQL that reads may take are in use")]
    Busy,
    /// PostgreSQL refused a statement.
    #[error("records: {message} (SQLSTATE {code})")]
    Postgres {
        /// The code of the error.
        code: Arc<str>,
        /// In the server's words.
        message: Arc<str>,
    },
    /// The records were begun with another key.
    #[error(
        "{} is not the key that the records at {place} were begun with: copy the file {} of the node that began \
         them there", path.display(), crate::KEY_FILE
    )]
    OtherKey {
        /// The key file.
        path: PathBuf,
        /// Host, port and database.
        place: Arc<str>,
    },
    /// Records were to be taken over where there are some.
    #[error("there are records already: what was exported can be taken over into empty ones only")]
    NotEmpty,
    /// What is to be taken over is not what was exported.
    #[error("line {line} of the export: {why}")]
    BadExport {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        why: Arc<str>,
    },
    /// What is exported can't be written.
    #[error("the export can't be written: {0}")]
    Export(Arc<str>),
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

    pub(crate) fn away(place: &Arc<str>, why: impl Into<Arc<str>>) -> RecordsError {
        RecordsError::Away { place: Arc::clone(place), why: why.into() }
    }

    pub(crate) fn silent(place: &Arc<str>) -> RecordsError {
        RecordsError::away(place, "it does not answer")
    }

    pub(crate) fn unfit(place: &str, why: impl Into<Arc<str>>) -> RecordsError {
        RecordsError::Unfit { place: place.into(), why: why.into() }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> RecordsError {
        RecordsError::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl From<rusqlite::Error> for RecordsError {
    fn from(error: rusqlite::Error) -> RecordsError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => RecordsError::Full,
            Some(rusqlite::ErrorCode::OperationInterrupted) => RecordsError::TooLong,
            _ => RecordsError::Sql(Arc::new(error)),
        }
    }
}

pub(crate) type Result<T, E = RecordsError> = std::result::Result<T, E>;
