//! Records on either engine, for tests that say what must hold on both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use palomar_records::{PostgresUrl, Records, RecordsError, RecordsPlace};

use crate::facts::START;
use crate::postgres;

/// Runs each of these tests on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::house::House::on_sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::house::House::on_postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// A place for records, and all that a test does to it from the outside.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    /// The address of the database, where it is one of PostgreSQL.
    pub(crate) address: Option<String>,
}

impl House {
    pub(crate) fn on_sqlite() -> House {
        House { dir: tempfile::tempdir().expect("a directory"), address: None }
    }

    pub(crate) async fn on_postgres() -> House {
        House::at(postgres::database(postgres::shared_port()).await)
    }

    pub(crate) fn at(address: String) -> House {
        House { dir: tempfile::tempdir().expect("a directory"), address: Some(address) }
    }

    pub(crate) fn place(&self) -> RecordsPlace {
        let place = RecordsPlace::in_dir(self.dir.path());
        match &self.address {
            None => place,
            Some(address) => place.in_postgres(PostgresUrl::parse(address).expect("an address"), 6),
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Records, RecordsError> {
        self.place().open(START).await
    }

    /// Opens the records; a second time: as another node that shares them.
    pub(crate) async fn open(&self) -> Records {
        self.try_open().await.expect("records")
    }

    /// Changes the database behind everybody's back.
    pub(crate) async fn tamper(&self, sql: &str) {
        match &self.address {
            None => self.sqlite().execute_batch(sql).expect("changed"),
            Some(address) => postgres::run(address, sql).await,
        }
    }

    /// How many rows there are, of a table and a condition.
    pub(crate) async fn count(&self, of: &str) -> i64 {
        let text = format!("SELECT COUNT(*) FROM {of}");
        match &self.address {
            None => self.sqlite().query_row(&text, [], |row| row.get(0)).expect("counted"),
            Some(address) => {
                let client = postgres::connect(address).await;
                client.query_one(&text, &[]).await.expect("counted").get(0)
            }
        }
    }

    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join(palomar_records::FILE)).expect("opened")
    }
}

/// All that is exported, but for the first line and the last.
pub(crate) async fn exported(records: &Records) -> Vec<String> {
    let (to, written) = Shared::new();
    records.export(to).await.expect("exported");
    let written = written.lock().expect("whole");
    let text = String::from_utf8(written.clone()).expect("text");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines.drain(..1);
    lines
}

/// A place to write to that can be looked at afterwards.
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn new() -> (Shared, Arc<Mutex<Vec<u8>>>) {
        let written = Arc::default();
        (Shared(Arc::clone(&written)), written)
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How often what happened, over all channels and days.
pub(crate) async fn totals(records: &Records) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for counter in records.counters(0).await.expect("counters") {
        *totals.entry(counter.kind).or_insert(0) += counter.count;
    }
    totals
}

/// The same, as a test says it.
pub(crate) fn counts(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

/// Sees that the records are what they should be.
pub(crate) async fn sound(records: &Records) {
    let check = records.check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
}
