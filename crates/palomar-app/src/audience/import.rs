//! Files of contacts and of suppressions, taken in row by row.
//!
//! ```text
//! body ──> sheet (rows of cells) ──> columns (who, and what is said of them) ──> records, a thousand together
//! ```
//! What always holds: memory does not grow with the file; a row that is not taken is told with its line, its column and what
//! to do, and the others go on; a row is told of only after what came before it is durable; the same file taken in again
//! changes nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use palomar_model::Timestamp;
use palomar_model::attribute::Tag;
use palomar_records::{ConsentChange, NewContact, Put};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::columns::{BadCell, Columns};
use super::suppression_columns::SuppressionColumns;
use crate::sheet::{Cell, CsvReader, CsvRow, Encoding, LARGEST_XLSX, Portion, SheetRow, read_xlsx};
use crate::{App, AppError};

/// It is said how far the file is, so often at least.
const PROGRESS_EVERY: u64 = 10_000;

/// The bytes of a file as they come.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, AppError>> + Send>>;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Rows of text.
    Csv,
    /// A spreadsheet.
    Xlsx,
}

/// How a file is to be read.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What columns are about, by their names: `phone`, `name`, `tags`, `consent`, an attribute, or nothing.
    pub columns: BTreeMap<String, Option<String>>,
    /// Tags that everybody in the file gets.
    pub tags: Vec<Tag>,
    /// What everybody agreed to of whom the file does not say.
    pub consent: Option<ConsentChange>,
    /// How the characters of a CSV are written, where the bytes do not tell.
    pub encoding: Option<Encoding>,
    /// The sheet of a spreadsheet; the first where not said.
    pub sheet: Option<String>,
    /// Nothing is kept: only what would be refused is told.
    pub dry_run: bool,
}

/// How many rows became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportCounts {
    /// Rows that were read.
    pub rows: u64,
    /// People who were not known.
    pub added: u64,
    /// People of whom something new was said.
    pub changed: u64,
    /// People who were known just so.
    pub unchanged: u64,
    /// Rows about somebody whom an earlier row of the file added or changed; what they say is said too.
    pub duplicates: u64,
    /// Rows that were not taken.
    pub refused: u64,
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRow {
    /// The line of the file on which it begins.
    pub line: u64,
    /// The column, where it is one.
    pub column: Option<String>,
    /// What is wrong and what to do.
    pub detail: String,
}

/// What is told of an import while it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ImportLine {
    /// A row was not taken.
    Refused(RefusedRow),
    /// How far it is.
    Progress(ImportCounts),
    /// All of it was read.
    Done(ImportCounts),
}

/// What is made of the rows of a file.
pub(super) enum Taker {
    Contacts { columns: Option<Columns>, options: ImportOptions },
    Suppressions { columns: Option<SuppressionColumns> },
}

/// An import under way.
pub struct Import {
    app: Arc<App>,
    source: Source,
    taker: Taker,
    counts: ImportCounts,
    /// All that it writes is of one moment.
    at: Timestamp,
    told_at: u64,
    ended: bool,
}

enum Source {
    Csv {
        body: Body,
        reader: Box<CsvReader>,
        rows: Vec<SheetRow>,
        ended: bool,
    },
    /// To be kept whole before it is read: its directory is at its end.
    Xlsx {
        body: Body,
        sheet: Option<String>,
    },
    Reading(mpsc::Receiver<Result<Vec<SheetRow>, String>>),
}

impl Import {
    pub(super) fn begin(app: Arc<App>, kind: FileKind, body: Body, taker: Taker) -> Import {
        let (encoding, sheet) = match &taker {
            Taker::Contacts { options, .. } => (options.encoding, options.sheet.clone()),
            Taker::Suppressions { .. } => (None, None),
        };
        let source = match kind {
            FileKind::Csv => {
                let reader = Box::new(CsvReader::new(encoding));
                Source::Csv { body, reader, rows: Vec::new(), ended: false }
            }
            FileKind::Xlsx => Source::Xlsx { body, sheet },
        };
        let at = app.now();
        Import { app, source, taker, counts: ImportCounts::default(), at, told_at: 0, ended: false }
    }

    /// What there is to tell next; none at the end.
    ///
    /// # Errors
    /// Where the file can't be read on, or records can't be written. What was told before is kept.
    pub async fn next(&mut self) -> Result<Option<Vec<ImportLine>>, AppError> {
        let mut lines = Vec::new();
        while lines.is_empty() {
            if self.ended {
                return Ok(None);
            }
            let rows = self.source.rows().await?;
            if rows.is_empty() {
                self.taker.require_header()?;
                self.ended = true;
                lines.push(ImportLine::Done(self.counts));
                break;
            }
            self.take(rows, &mut lines).await?;
            if self.counts.rows >= self.told_at + PROGRESS_EVERY {
                self.told_at = self.counts.rows;
                lines.push(ImportLine::Progress(self.counts));
            }
        }
        Ok(Some(lines))
    }

    async fn take(&mut self, rows: Vec<SheetRow>, lines: &mut Vec<ImportLine>) -> Result<(), AppError> {
        let rows = self.taker.header(rows)?;
        self.counts.rows += rows.len() as u64;
        let mut refused = Vec::new();
        match &self.taker {
            Taker::Contacts { columns: Some(columns), options } => {
                let (mut contacts, mut places) = (Vec::with_capacity(rows.len()), Vec::new());
                for SheetRow { line, cells } in rows {
                    match contact(&self.app, columns, options, cells) {
                        Ok(contact) => {
                            contacts.push(contact);
                            places.push(line);
                        }
                        Err(bad) => refused.push(bad.on(line)),
                    }
                }
                if !options.dry_run && !contacts.is_empty() {
                    let became = self.app.records.put_contacts(contacts, self.at).await?;
                    let full =
                        became.iter().zip(places).filter_map(|(put, line)| self.counts.note(put, line));
                    refused.extend(full);
                    refused.sort_by_key(|row| row.line);
                }
            }
            Taker::Suppressions { columns: Some(columns) } => {
                let mut suppressions = Vec::with_capacity(rows.len());
                for SheetRow { line, cells } in rows {
                    match columns.row(cells, self.app.default_region(), self.at) {
                        Ok(suppression) => suppressions.push(suppression),
                        Err(bad) => refused.push(bad.on(line)),
                    }
                }
                self.counts.added += suppressions.len() as u64;
                self.app.records.suppress_all(suppressions, self.at).await?;
            }
            // Without a header there were no rows.
            Taker::Contacts { columns: None, .. } | Taker::Suppressions { columns: None } => {}
        }
        self.counts.refused += refused.len() as u64;
        lines.extend(refused.into_iter().map(ImportLine::Refused));
        Ok(())
    }
}

impl ImportCounts {
    /// Counts what became of a row; what is to be told where it was not taken.
    fn note(&mut self, put: &Put, line: u64) -> Option<RefusedRow> {
        match put {
            Put::Added { .. } => self.added += 1,
            Put::Changed { repeated: true, .. } | Put::Unchanged { repeated: true, .. } => {
                self.duplicates += 1;
            }
            Put::Changed { .. } => self.changed += 1,
            Put::Unchanged { .. } => self.unchanged += 1,
            Put::Refused(why) => return Some(RefusedRow { line, column: None, detail: why.to_string() }),
        }
        None
    }
}

impl BadCell {
    fn on(self, line: u64) -> RefusedRow {
        RefusedRow { line, column: self.column, detail: self.detail }
    }
}

fn contact(
    app: &App,
    columns: &Columns,
    options: &ImportOptions,
    cells: Result<Vec<Cell>, String>,
) -> Result<NewContact, BadCell> {
    let (to, mut says) = columns.row(&cells.map_err(BadCell::whole)?, app.default_region())?;
    says.tags.extend(options.tags.iter().cloned());
    says.consent = says.consent.or_else(|| options.consent.clone());
    // In the order of time: the index of contacts grows at its end.
    Ok(NewContact { id: app.ids.uuid(app.now()).to_string(), to, says })
}

impl Taker {
    /// Takes the header off the first rows.
    fn header(&mut self, mut rows: Vec<SheetRow>) -> Result<Vec<SheetRow>, AppError> {
        let known = match self {
            Taker::Contacts { columns, .. } => columns.is_some(),
            Taker::Suppressions { columns } => columns.is_some(),
        };
        if known {
            return Ok(rows);
        }
        let rest = rows.split_off(1);
        let header = rows.pop().map_or(Ok(Vec::new()), |row| row.cells);
        let header =
            header.map_err(|why| AppError::invalid("", format!("the first row can't be read: {why}")))?;
        match self {
            Taker::Contacts { columns, options } => {
                *columns = Some(Columns::read(&header, &options.columns).map_err(AppError::Invalid)?);
            }
            Taker::Suppressions { columns } => *columns = Some(SuppressionColumns::read(&header)?),
        }
        Ok(rest)
    }

    fn require_header(&self) -> Result<(), AppError> {
        match self {
            Taker::Contacts { columns: None, .. } | Taker::Suppressions { columns: None } => {
                Err(AppError::invalid("", "the file is empty: its first row names the columns"))
            }
            _ => Ok(()),
        }
    }
}

impl Source {
    /// The next rows; none at the end.
    async fn rows(&mut self) -> Result<Vec<SheetRow>, AppError> {
        if let Source::Xlsx { body, sheet } = self {
            let file = keep(body).await?;
            *self = Source::Reading(read_beside(file, sheet.take()));
        }
        match self {
            Source::Csv { body, reader, rows, ended } => {
                // A piece of the body brings few rows: what is beyond a portion stays for the next.
                while Portion::first_of(rows) == rows.len() && !*ended {
                    let piece = body.next().await.transpose()?;
                    let mut each = |row: CsvRow<'_>| rows.push(SheetRow::of(row));
                    let read = match piece {
                        Some(piece) => reader.push(&piece, &mut each),
                        None => {
                            *ended = true;
                            reader.finish(&mut each)
                        }
                    };
                    read.map_err(|fault| AppError::invalid("", fault.to_string()))?;
                }
                let rest = rows.split_off(Portion::first_of(rows));
                Ok(std::mem::replace(rows, rest))
            }
            Source::Reading(reading) => loop {
                match reading.recv().await {
                    None => return Ok(Vec::new()),
                    Some(Ok(rows)) if rows.is_empty() => {}
                    Some(Ok(rows)) => return Ok(rows),
                    Some(Err(why)) => return Err(AppError::invalid("", why)),
                }
            },
            Source::Xlsx { .. } => Ok(Vec::new()),
        }
    }
}

/// Keeps a body in a file that goes with its last handle.
async fn keep(body: &mut Body) -> Result<std::fs::File, AppError> {
    let failed =
        |error: std::io::Error| AppError::Unavailable(format!("the file can't be kept to be read: {error}"));
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = file.map_err(std::io::Error::other).and_then(|file| file).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut size = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > LARGEST_XLSX {
            return Err(AppError::TooLarge("a spreadsheet may have 128 MiB: save it as CSV and send that"));
        }
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(file.into_std().await)
}

/// Reads a spreadsheet on a thread that may block, no faster than its rows are taken.
fn read_beside(file: std::fs::File, sheet: Option<String>) -> mpsc::Receiver<Result<Vec<SheetRow>, String>> {
    let (to, rows) = mpsc::channel(2);
    let reading = tokio::task::spawn_blocking({
        let to = to.clone();
        move || {
            let hand_on = |rows| match to.blocking_send(Ok(rows)) {
                Ok(()) => ControlFlow::Continue(()),
                // Nobody waits any more.
                Err(_) => ControlFlow::Break(()),
            };
            read_xlsx(file, sheet.as_deref(), hand_on)
        }
    });
    tokio::spawn(async move {
        let ended = reading.await.unwrap_or_else(|_| Err("it can't be read as an XLSX file".to_owned()));
        if let Err(why) = ended {
            let _ = to.send(Err(why)).await;
        }
    });
    rows
}
