//! PostgreSQL: a few connections, of which reads never take all; each piece of work is one transaction on one of them.
//!
//! The work is the same plain code as on SQLite: it runs on a thread that may block. There are never more such threads
//! than connections, and each of their calls has a limit, so that a server that hangs holds up nothing but what needs
//! it.

mod address;
mod line;
mod session;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use palomar_model::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::error::SqlState;

use super::migrate::{self, Schema};
use super::{Db, Patience};
use crate::error::{RecordsError, Result};
use address::CONNECT;
use line::{Line, Unheard};
use session::Mode;

pub use address::{NotPostgres, PostgresUrl};
pub(crate) use session::Session;

/// Earlier ones are not maintained any more, and not tried here.
const OLDEST: i64 = 14;
/// So many connections are kept from reads: somebody who asks much can't hold up what has happened.
const FOR_WRITES: usize = 2;
/// The fewest connections that leave reads one.
pub const LEAST_CONNECTIONS: usize = FOR_WRITES + 1;
/// So long a read waits for a connection.
const WAIT: Duration = Duration::from_secs(1);
/// So long a statement may take: of a read that somebody waits for, of a write, of work on everything.
const READ: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_secs(1800);
/// Two nodes that start at once bring the schema up to date one after the other. A number of ours among the locks that
/// applications give a meaning to.
const MIGRATION_LOCK: i64 = 0x7061_6c6f_6d61_7201;

/// A database of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: PostgresUrl,
    pool: Pool,
    reads: Semaphore,
    line: Arc<Line>,
    /// The server's version, in its words.
    version: String,
}

impl Postgres {
    /// Connects, and sees that the server can keep records.
    pub(crate) async fn connect(url: &PostgresUrl, connections: usize) -> Result<Postgres> {
        let manager = Manager::from_config(
            url.config().clone(),
            tls::connector(url)?,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let connections = connections.max(LEAST_CONNECTIONS);
        let pool = Pool::builder(manager).max_size(connections).runtime(Runtime::Tokio1).build();
        let pool = pool.map_err(|error| RecordsError::unfit(url.place(), error.to_string()))?;
        let mut postgres = Postgres {
            line: Arc::new(Line::new(url.hosts())),
            reads: Semaphore::new(connections - FOR_WRITES),
            url: url.clone(),
            pool,
            version: String::new(),
        };
        postgres.version = postgres.fit().await?;
        Ok(postgres)
    }

    /// Brings the schema up to date; what was found before.
    pub(crate) async fn migrate(&self, now: Timestamp) -> Result<Schema> {
        let place = self.url.shared_place();
        let work = move |db: Db<'_>| {
            db.batch(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
            migrate::run(db, &place, now)
        };
        self.write(Patience::Whole, work).await
    }

    pub(crate) fn place(&self) -> &str {
        self.url.place()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Runs `work` in a transaction; answers after its commit.
    pub(crate) async fn write<T, F>(&self, patience: Patience, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let limit = if patience == Patience::Whole { WHOLE } else { WRITE };
        self.run(Mode::Write, limit, work).await
    }

    /// Runs `work` where it can't write, in one snapshot.
    pub(crate) async fn read<T, F>(&self, patience: Patience, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let _place = self.place_to_read().await?;
        let limit = if patience == Patience::Whole { WHOLE } else { READ };
        self.run(Mode::Read, limit, work).await
    }

    async fn place_to_read(&self) -> Result<SemaphorePermit<'_>> {
        let place = self.line.hear(WAIT, self.reads.acquire()).await;
        let place = place.map_err(|unheard| match unheard {
            Unheard::Late => RecordsError::Busy,
            Unheard::Silent => self.silent(),
        })?;
        place.map_err(|_| RecordsError::Closed)
    }

    async fn run<T, F>(&self, mode: Mode, limit: Duration, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let client = self.client().await?;
        let session = Session::new(client, Arc::clone(&self.line), self.url.shared_place(), limit);
        let done = tokio::task::spawn_blocking(move || session.transaction(mode, work)).await;
        let done = done.map_err(|_| RecordsError::Closed)?;
        // A connection that did not answer may have died without a word, and those that were kept beside it too: nobody
        // else is to find that out.
        if matches!(done, Err(RecordsError::Late(_) | RecordsError::Away { .. })) {
            self.pool.retain(|_, _| false);
        }
        done
    }

    async fn client(&self) -> Result<Object> {
        let patience = Timeouts { wait: Some(CONNECT), create: Some(CONNECT), recycle: Some(CONNECT) };
        let client = self.line.hear(CONNECT * 3, self.pool.timeout_get(&patience)).await;
        match client {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => Err(self.not_connected(&error)),
            Ok(Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait))) => Err(RecordsError::Busy),
            Ok(Err(PoolError::Timeout(_))) | Err(Unheard::Late) => {
                Err(RecordsError::away(&self.url.shared_place(), "it does not answer"))
            }
            Ok(Err(error)) => Err(RecordsError::away(&self.url.shared_place(), error.to_string())),
            Err(Unheard::Silent) => Err(self.silent()),
        }
    }

    fn silent(&self) -> RecordsError {
        RecordsError::silent(&self.url.shared_place())
    }

    /// Why there is no connection.
    fn not_connected(&self, error: &tokio_postgres::Error) -> RecordsError {
        let refused = |why: String| RecordsError::Refused { place: self.place().into(), why: why.into() };
        match error.code() {
            Some(code) if *code == SqlState::INVALID_PASSWORD => {
                refused(format!("the password of {} is wrong", self.url.user()))
            }
            Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                let said = error.as_db_error().map_or("", |said| said.message());
                refused(format!("{} may not log in: {said}", self.url.user()))
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => refused(
                "there is no such database: make it with `createdb`, or correct the address".to_owned(),
            ),
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                refused(format!("{} may not use this database", self.url.user()))
            }
            _ => RecordsError::postgres(&self.url.shared_place(), error),
        }
    }

    /// Sees that the server is one that can keep records; its version.
    async fn fit(&self) -> Result<String> {
        let place = self.url.shared_place();
        let work = move |db: Db<'_>| {
            let text = "SELECT current_setting('server_version_num') AS number,
                current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
                CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END AS role";
            let found = db.row(text, &[], |row| {
                let number: String = row.get("number")?;
                let (version, encoding): (String, String) = (row.get("version")?, row.get("encoding")?);
                let role: String = row.get("role")?;
                let why = unfit(&number, &version, &encoding, &role);
                why.map_or(Ok(version), |why| Err(RecordsError::unfit(&place, why)))
            })?;
            Ok(found.unwrap_or_default())
        };
        self.run(Mode::Read, WRITE, work).await
    }
}

/// Why a server can't keep records, if so.
fn unfit(number: &str, version: &str, encoding: &str, role: &str) -> Option<String> {
    let major = number.parse::<i64>().unwrap_or(0) / 10_000;
    if major < OLDEST {
        return Some(format!("it is PostgreSQL {version}, and {OLDEST} or later is needed"));
    }
    if role == "replica" {
        return Some("it is a replica, which can only be read: name the primary".to_owned());
    }
    (encoding != "UTF8").then(|| format!("the database keeps texts as {encoding}, and UTF8 is needed"))
}

#[cfg(test)]
mod tests {
    use super::unfit;

    #[test]
    fn servers_that_are_too_old_or_can_not_keep_all_texts_are_refused() {
        assert_eq!(unfit("150018", "15.18", "UTF8", "primary"), None);
        let old = unfit("130022", "13.22", "UTF8", "primary").expect("refused");
        assert_eq!(old, "it is PostgreSQL 13.22, and 14 or later is needed");
        let narrow = unfit("170001", "17.1", "SQL_ASCII", "primary").expect("refused");
        assert_eq!(narrow, "the database keeps texts as SQL_ASCII, and UTF8 is needed");
    }
}
