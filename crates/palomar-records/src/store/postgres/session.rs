//! One transaction on a connection, for code that is not async: it runs on a thread that may block, and waits there for
//! the answers.
//!
//! What always holds: a transaction in which anything failed is never committed, whatever the code made of the failure
//! (PostgreSQL would answer its commit without an error, and do nothing); a connection whose state is not known is
//! closed and not used again.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::line::{Line, Unheard};
use crate::error::{RecordsError, Result};
use crate::store::table::{List, Rows, Write};
use crate::store::{Db, Value};

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Read, all of one moment.
    Read,
    /// Write.
    Write,
}

/// A connection in a transaction.
pub(crate) struct Session {
    /// None once the connection is closed.
    client: Option<Object>,
    runtime: Handle,
    line: Arc<Line>,
    place: Arc<str>,
    /// How long one statement may take.
    limit: Duration,
    failed: RefCell<Option<RecordsError>>,
}

/// The server gives a statement up before we do, so that it does not go on for nobody.
const MARGIN: Duration = Duration::from_millis(500);

impl Session {
    pub(super) fn new(client: Object, line: Arc<Line>, place: Arc<str>, limit: Duration) -> Session {
        let failed = RefCell::new(None);
        Session { client: Some(client), runtime: Handle::current(), line, place, limit, failed }
    }

    /// Runs `work` in a transaction and ends it: committed where `work` and all of its statements went well.
    pub(super) fn transaction<T>(mut self, mode: Mode, work: impl FnOnce(Db<'_>) -> Result<T>) -> Result<T> {
        // Dropped in a transaction, by a panic too, the connection is closed.
        self.batch(&begin(mode, self.limit))?;
        let answer = work(Db::Postgres(&self));
        let failed = self.failed.take();
        let answer = match (answer, failed) {
            (Ok(_), Some(failed)) => Err(failed),
            (answer, _) => answer,
        };
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.batch(end);
        if ended.is_ok() {
            // Back to the others.
            drop(self.client.take());
        }
        match (answer, ended) {
            (Ok(answer), Ok(())) => Ok(answer),
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Runs statements that take no values.
    pub(crate) fn batch(&self, text: &str) -> Result<()> {
        self.wait(async { self.client()?.batch_execute(text).await.map_err(|error| self.refused(&error)) })
    }

    pub(crate) fn execute(&self, text: &str, values: &[Value]) -> Result<u64> {
        let values: Vec<_> = values.iter().map(parameter).collect();
        self.wait(async {
            self.client()?.execute_typed(text, &values).await.map_err(|error| self.refused(&error))
        })
    }

    pub(crate) fn rows(&self, text: &str, values: &[Value]) -> Result<Vec<Row>> {
        let values: Vec<_> = values.iter().map(parameter).collect();
        self.query(text, &values)
    }

    /// Runs a query with lists.
    pub(crate) fn find(&self, text: &str, wanted: &Rows) -> Result<Vec<Row>> {
        self.query(text, &lists(wanted))
    }

    /// Runs all statements, on their way together: they cost one round trip.
    pub(crate) fn write(&self, writes: &[Write]) -> Result<()> {
        self.wait(async {
            let client = self.client()?;
            let each = writes
                .iter()
                .map(async |write| client.execute_typed(&write.for_all(), &lists(&write.rows)).await);
            let done = try_join_all(each).await;
            done.map(drop).map_err(|error| self.refused(&error))
        })
    }

    fn query(&self, text: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>> {
        self.wait(async {
            self.client()?.query_typed(text, values).await.map_err(|error| self.refused(&error))
        })
    }

    fn client(&self) -> Result<&Object> {
        self.client.as_ref().ok_or(RecordsError::Closed)
    }

    fn refused(&self, error: &tokio_postgres::Error) -> RecordsError {
        RecordsError::postgres(&self.place, error)
    }

    /// Waits for an answer, on this thread. After one that did not come nothing more is asked.
    fn wait<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if let Some(failed) = &*self.failed.borrow() {
            return Err(failed.clone());
        }
        let heard = self.runtime.block_on(self.line.hear(self.limit, call));
        let answer = heard.unwrap_or_else(|unheard| {
            Err(match unheard {
                Unheard::Late => RecordsError::Late(Arc::clone(&self.place)),
                Unheard::Silent => RecordsError::silent(&self.place),
            })
        });
        if let Err(error) = &answer {
            self.failed.replace(Some(error.clone()));
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Out of the pool, and closed.
            drop(Object::take(client));
        }
    }
}

fn begin(mode: Mode, limit: Duration) -> String {
    let mode = match mode {
        Mode::Read => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Mode::Write => "ISOLATION LEVEL READ COMMITTED READ WRITE",
    };
    // For the transaction alone: a pooler may give the connection to others between two of ours. A node that vanishes
    // within a transaction holds up the others for no longer than that.
    let limit = limit.saturating_sub(MARGIN).as_millis();
    format!(
        "BEGIN {mode}; SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}"
    )
}

fn parameter(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Int(value) => (value, Type::INT8),
        Value::Text(value) => (value, Type::TEXT),
        Value::Bytes(value) => (value, Type::BYTEA),
    }
}

fn lists(rows: &Rows) -> Vec<(&(dyn ToSql + Sync), Type)> {
    let each = rows.lists.iter().map(|list| -> (&(dyn ToSql + Sync), Type) {
        match list {
            List::Int(list) => (list, Type::INT8_ARRAY),
            List::Text(list) => (list, Type::TEXT_ARRAY),
            List::Bytes(list) => (list, Type::BYTEA_ARRAY),
        }
    });
    each.collect()
}

impl RecordsError {
    /// What an error of the library means. Of what the server says, only its message is taken: its details may quote
    /// values.
    pub(super) fn postgres(place: &Arc<str>, error: &tokio_postgres::Error) -> RecordsError {
        let Some(said) = error.as_db_error() else {
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
            return RecordsError::away(place, why);
        };
        match said.code() {
            code if *code == SqlState::DISK_FULL => RecordsError::Full,
            code if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => {
                RecordsError::Late(Arc::clone(place))
            }
            code if is_away(code) => RecordsError::away(place, said.message()),
            // Nobody may make tables there, or there is no schema to make them in.
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE || *code == SqlState::INVALID_SCHEMA_NAME => {
                RecordsError::unfit(place, said.message())
            }
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                RecordsError::unfit(place, "it is a replica that can't be written")
            }
            code => RecordsError::Postgres { code: code.code().into(), message: said.message().into() },
        }
    }
}

/// The server is going, is not there yet, or has no place for us.
fn is_away(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
}
