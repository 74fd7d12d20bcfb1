//! Where records are kept, and how they are opened there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use palomar_model::Timestamp;

use crate::error::{RecordsError, Result};
use crate::secret_key::SecretKey;
use crate::store::migrate::{self, Schema};
use crate::store::postgres::{Postgres, PostgresUrl};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Db, Patience, Store};
use crate::tables::{seals, suppressions};
use crate::{FILE, KEY_FILE, PROJECTION, Records, RecordsInfo, check};

/// Where records are kept: in a directory, or in PostgreSQL with the key of the credentials in that directory.
#[derive(Clone, Debug)]
pub struct RecordsPlace {
    dir: PathBuf,
    postgres: Option<(PostgresUrl, usize)>,
}

/// A database as it was found, before anything was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The engine with its version.
    pub engine: String,
    /// The file, or host, port and database.
    pub place: String,
    /// Its schema.
    pub schema: Schema,
}

impl RecordsPlace {
    /// In a directory, in SQLite.
    pub fn in_dir(dir: impl Into<PathBuf>) -> RecordsPlace {
        RecordsPlace { dir: dir.into(), postgres: None }
    }

    /// In PostgreSQL, over so many connections at most.
    #[must_use]
    pub fn in_postgres(self, url: PostgresUrl, connections: usize) -> RecordsPlace {
        RecordsPlace { postgres: Some((url, connections)), ..self }
    }

    /// Opens the records, makes them where there are none, and brings their schema up to date.
    ///
    /// # Errors
    /// Newer data, an old engine, what can't be reached, read or written.
    pub async fn open(&self, now: Timestamp) -> Result<Records> {
        let Some((url, connections)) = &self.postgres else {
            return Records::open(&self.dir, now);
        };
        let postgres = Postgres::connect(url, *connections).await?;
        postgres.migrate(now).await?;
        let key = Arc::new(SecretKey::open_or_create(&self.dir.join(KEY_FILE))?);
        let asked = Arc::clone(&key);
        if !postgres.write(Patience::Request, move |db| seals::fits(db, &asked)).await? {
            return Err(RecordsError::OtherKey { path: self.dir.join(KEY_FILE), place: url.place().into() });
        }
        Ok(Records {
            dir: self.dir.as_path().into(),
            store: Arc::new(Store::Postgres(Box::new(postgres))),
            key,
            // Other nodes write to it too.
            suppressing: Arc::new(AtomicBool::new(true)),
            tellers: Arc::default(),
        })
    }

    /// Looks at the database without changing it; nothing where there is no file yet.
    ///
    /// # Errors
    /// What can't be reached or read.
    pub async fn look(&self) -> Result<Option<Looked>> {
        let read = self.read(Patience::Request, migrate::look).await?;
        Ok(read.map(|(engine, place, schema)| Looked { engine, place, schema }))
    }

    /// The records in numbers, without changing anything; nothing where they have another schema than this version.
    ///
    /// # Errors
    /// What can't be reached or read.
    pub async fn info(&self) -> Result<Option<RecordsInfo>> {
        let info = |db: Db<'_>| {
            let schema = migrate::look(db)?;
            (schema.found == schema.known).then(|| check::info(db, PROJECTION)).transpose()
        };
        Ok(self.read(Patience::Whole, info).await?.and_then(|(_, _, info)| info))
    }

    /// Reads of the database what can be read whatever its schema is; with it the engine and the place.
    async fn read<T, F>(&self, patience: Patience, work: F) -> Result<Option<(String, String, T)>>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        if let Some((url, _)) = &self.postgres {
            let postgres = Postgres::connect(url, 1).await?;
            let read = postgres.read(patience, work).await?;
            let engine = format!("PostgreSQL {}", postgres.version());
            return Ok(Some((engine, postgres.place().to_owned(), read)));
        }
        let file = self.dir.join(FILE);
        if !file.exists() {
            return Ok(None);
        }
        let engine = format!("SQLite {}", rusqlite::version());
        Ok(Some((engine, file.display().to_string(), sqlite::look(&file, work)?)))
    }
}

impl Records {
    /// Opens the records in a directory, in SQLite, makes them where there are none, and brings their schema up to date.
    ///
    /// Blocks on the disk: call it before the server runs.
    ///
    /// # Errors
    /// Newer data, an old SQLite, files that can't be read or written.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Records> {
        let key = SecretKey::open_or_create(&dir.join(KEY_FILE))?;
        let store = Sqlite::open(&dir.join(FILE), now)?;
        let suppressing = sqlite::look(&dir.join(FILE), suppressions::any)?;
        Ok(Records {
            dir: dir.into(),
            store: Arc::new(Store::Sqlite(store)),
            key: Arc::new(key),
            suppressing: Arc::new(AtomicBool::new(suppressing)),
            tellers: Arc::default(),
        })
    }

    /// The directory in which the key of the credentials is, and the database where it is SQLite.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
