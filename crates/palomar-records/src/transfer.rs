//! Everything out and everything in: from one engine to another, one JSON document a line.
//!
//! ```text
//! {"palomar":"records","version":1,"schema":3}
//! {"table":"messages","row":{"id":"…","channel":"main",…}}      columns without a value are left out; bytes are base64
//! {"end":true,"rows":1}
//! ```
//!
//! What always holds: what goes out is one moment; what comes in comes in whole, into records that are empty, or not at
//! all. Credentials stay encrypted on the way: they are of use with their key only.

use std::io::BufRead;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::Records;
use crate::error::{RecordsError, Result};
use crate::secret_key::SecretKey;
use crate::store::migrate::KNOWN_SCHEMA;
use crate::store::table::{Kind, names};
use crate::store::{Db, Flush, Patience, Row, Rows, Table, Value, Write};
use crate::tables::{ALL, SCHEMA_STEPS, channels, cursors, followers, nodes, retained, seals};

const VERSION: u32 = 1;
/// So many rows are read or written together.
const BATCH: usize = 1_000;

/// What came out or went in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Begin { palomar: String, version: u32, schema: i64 },
    Row { table: String, row: Map<String, Json> },
    End { end: bool, rows: u64 },
}

impl Records {
    /// Writes everything to `to`.
    ///
    /// # Errors
    /// Where the database can't be read, or `to` not be written.
    pub async fn export(&self, to: impl std::io::Write + Send + 'static) -> Result<Moved> {
        self.store.read(Patience::Whole, move |db| export(db, to)).await
    }

    /// Reads what [`Records::export`] wrote. `follow_on` says whether the event log goes on that the rows were made from;
    /// otherwise they stand at the beginning of a new one.
    ///
    /// # Errors
    /// Where there are records already, `from` is not what was exported, or credentials were encrypted with another
    /// key: nothing is taken over.
    pub async fn import(&self, from: impl BufRead + Send + 'static, follow_on: bool) -> Result<Moved> {
        let key = std::sync::Arc::clone(&self.key);
        self.suppressing.store(true, std::sync::atomic::Ordering::Release);
        self.store.write(Patience::Whole, Flush::Now, move |db| import(db, &key, from, follow_on)).await
    }
}

/// The tables that move. The schema is the other database's own, and so are what shows that its key fits and what its
/// nodes do.
fn tables() -> impl Iterator<Item = &'static Table> {
    let own = [SCHEMA_STEPS.name, seals::SEALS.name, followers::FOLLOWERS.name, nodes::NODES.name];
    ALL.into_iter().filter(move |table| !own.contains(&table.name))
}

fn export(db: Db<'_>, mut to: impl std::io::Write) -> Result<Moved> {
    let mut line = |line: &Line| -> Result<()> {
        let text = serde_json::to_string(line).map_err(|error| RecordsError::damaged("a row", error))?;
        writeln!(to, "{text}").map_err(|error| RecordsError::Export(error.to_string().into()))
    };
    line(&Line::Begin { palomar: "records".to_owned(), version: VERSION, schema: KNOWN_SCHEMA })?;
    let mut moved = Moved::default();
    for table in tables() {
        let mut after: Vec<Value> = Vec::new();
        loop {
            let rows = page(db, table, &after)?;
            for row in &rows {
                let row = table
                    .columns
                    .iter()
                    .zip(row)
                    .filter_map(|(column, value)| Some((column.name.to_owned(), out(value)?)));
                line(&Line::Row { table: table.name.to_owned(), row: row.collect() })?;
            }
            moved.rows += rows.len() as u64;
            match rows.into_iter().nth(BATCH - 1) {
                Some(last) => after = last.into_iter().take(table.key).collect(),
                None => break,
            }
        }
    }
    line(&Line::End { end: true, rows: moved.rows })?;
    to.flush().map_err(|error| RecordsError::Export(error.to_string().into()))?;
    Ok(moved)
}

/// The rows after a key, in its order.
fn page(db: Db<'_>, table: &Table, after: &[Value]) -> Result<Vec<Vec<Value>>> {
    let key = names(&table.columns[..table.key]);
    let beyond = match after.len() {
        0 => String::new(),
        values => {
            let values: Vec<_> = (1..=values).map(|number| format!("${number}")).collect();
            format!("WHERE ({key}) > ({})", values.join(", "))
        }
    };
    let text =
        format!("SELECT {} FROM {} {beyond} ORDER BY {key} LIMIT {BATCH}", names(table.columns), table.name);
    db.rows(&text, after, |row| {
        table.columns.iter().map(|column| read(row, column.name, column.kind)).collect()
    })
}

fn read(row: &Row<'_>, column: &str, kind: Kind) -> Result<Value> {
    Ok(match kind {
        Kind::Int => Value::Int(row.get(column)?),
        Kind::Text => Value::Text(row.get(column)?),
        Kind::Bytes => Value::Bytes(row.get(column)?),
    })
}

fn out(value: &Value) -> Option<Json> {
    match value {
        Value::Int(value) => value.map(Json::from),
        Value::Text(value) => value.as_ref().map(|text| Json::from(text.as_str())),
        Value::Bytes(value) => value.as_ref().map(|bytes| Json::from(BASE64.encode(bytes))),
    }
}

fn import(db: Db<'_>, key: &SecretKey, from: impl BufRead, follow_on: bool) -> Result<Moved> {
    for table in tables() {
        let text = format!("SELECT {} FROM {} LIMIT 1", table.columns[0].name, table.name);
        if db.row(&text, &[], |_| Ok(()))?.is_some() {
            return Err(RecordsError::NotEmpty);
        }
    }
    let mut reader = Reader { moved: Moved::default(), waiting: None, number: 0 };
    let mut ended = None;
    for line in from.lines() {
        reader.number += 1;
        let line = line.map_err(|error| reader.wrong(error))?;
        let line: Line = serde_json::from_str(&line).map_err(|_| reader.wrong("not a line of an export"))?;
        match line {
            Line::Begin { palomar, version, schema } if reader.number == 1 => {
                reader.begin(&palomar, version, schema)?;
            }
            _ if reader.number == 1 => return Err(reader.wrong("it does not begin as an export does")),
            _ if ended.is_some() => return Err(reader.wrong("something follows its end")),
            Line::Begin { .. } => return Err(reader.wrong("it begins twice")),
            Line::Row { table, row } if !follow_on && of_log(&table, &row) => reader.moved.rows += 1,
            Line::Row { table, row } => reader.row(db, &table, row)?,
            Line::End { rows, .. } => ended = Some(rows),
        }
    }
    reader.put(db)?;
    if ended != Some(reader.moved.rows) {
        return Err(reader.wrong("its end is missing: it was not written to the end"));
    }
    // Credentials that nobody can read are better refused now than found when a message is to be sent.
    channels::list(db, key)?;
    Ok(reader.moved)
}

/// Whether a row says how far an event log was read. What has been forgotten of analytics stays so with another log.
fn of_log(table: &str, row: &Map<String, Json>) -> bool {
    table == cursors::CURSORS.name && row.get("projection").and_then(Json::as_str) != Some(retained::MINUTES)
}

/// Reads rows and writes them many at a time.
struct Reader {
    moved: Moved,
    waiting: Option<(&'static Table, Rows)>,
    number: u64,
}

impl Reader {
    fn wrong(&self, why: impl std::fmt::Display) -> RecordsError {
        RecordsError::BadExport { line: self.number, why: why.to_string().into() }
    }

    fn begin(&self, palomar: &str, version: u32, schema: i64) -> Result<()> {
        if palomar != "records" || version != VERSION {
            return Err(self.wrong("it is no export of records that this version can read"));
        }
        if schema == KNOWN_SCHEMA {
            return Ok(());
        }
        Err(self.wrong(format!(
            "it has schema {schema}, this version has {KNOWN_SCHEMA}: export it with this version"
        )))
    }

    fn row(&mut self, db: Db<'_>, table: &str, mut row: Map<String, Json>) -> Result<()> {
        let table =
            tables().find(|known| known.name == table).ok_or_else(|| self.wrong("an unknown table"))?;
        let full = |(waiting, rows): &(&Table, Rows)| waiting.name != table.name || rows.len >= BATCH;
        if self.waiting.as_ref().is_some_and(full) {
            self.put(db)?;
        }
        let mut values = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            let value = value(column.kind, row.remove(column.name));
            values.push(value.ok_or_else(|| self.wrong(format!("{} is of a wrong kind", column.name)))?);
        }
        if let Some(unknown) = row.keys().next() {
            return Err(self.wrong(format!("an unknown column {unknown:?}")));
        }
        self.waiting.get_or_insert_with(|| (table, Rows::of(table.columns))).1.push(values);
        self.moved.rows += 1;
        Ok(())
    }

    fn put(&mut self, db: Db<'_>) -> Result<()> {
        match self.waiting.take() {
            Some((table, rows)) => db.write(vec![Write::insert(table, "", rows)]),
            None => Ok(()),
        }
    }
}

fn value(kind: Kind, value: Option<Json>) -> Option<Value> {
    Some(match (kind, value) {
        (Kind::Int, None) => Value::Int(None),
        (Kind::Text, None) => Value::Text(None),
        (Kind::Bytes, None) => Value::Bytes(None),
        (Kind::Int, Some(Json::Number(number))) => Value::Int(Some(number.as_i64()?)),
        (Kind::Text, Some(Json::String(text))) => Value::from(text),
        (Kind::Bytes, Some(Json::String(text))) => Value::from(BASE64.decode(text.as_bytes()).ok()?),
        _ => return None,
    })
}
