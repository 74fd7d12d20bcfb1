//! Where records are kept, and how they are opened there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use palomar_model::Timestamp;

use crate::error::{RecordsError, Result};
use crate::secret_key::SecretKey;
use crate::store::migrate::{self, Schema};
use crate::store::postgres::{Postgres, PostgresUrl};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Patience, Store};
use crate::tables::seals;
use crate::{FILE, KEY_FILE, Records};

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
        })
    }

    /// Looks at the database without changing it; nothing where there is no file yet.
    ///
    /// # Errors
    /// What can't be reached or read.
    pub async fn look(&self) -> Result<Option<Looked>> {
        if let Some((url, _)) = &self.postgres {
            let postgres = Postgres::connect(url, 1).await?;
            let schema = postgres.read(Patience::Request, migrate::look).await?;
            return Ok(Some(postgres_looked(&postgres, schema)));
        }
        let file = self.dir.join(FILE);
        if !file.exists() {
            return Ok(None);
        }
        let schema = sqlite::look(&file)?;
        Ok(Some(Looked { engine: sqlite_engine(), place: file.display().to_string(), schema }))
    }
}

fn postgres_looked(postgres: &Postgres, schema: Schema) -> Looked {
    let engine = format!("PostgreSQL {}", postgres.version());
    Looked { engine, place: postgres.place().to_owned(), schema }
}

fn sqlite_engine() -> String {
    format!("SQLite {}", rusqlite::version())
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
        Ok(Records { dir: dir.into(), store: Arc::new(Store::Sqlite(store)), key: Arc::new(key) })
    }

    /// The directory in which the key of the credentials is, and the database where it is SQLite.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
