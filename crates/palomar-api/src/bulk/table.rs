//! A CSV as it arrives: one message a row.
//!
//! The first row is the header. The file is UTF-8, so that its rows are answered as they come.

use palomar_app::{CsvFault, CsvReader, CsvRow, Encoding, fingerprint};
use serde_json::Value;

use super::columns::Columns;
use super::defaults::Defaults;
use super::{RawRow, Reader};
use crate::problem::{Code, Problem};

/// Reads one message a row.
pub(crate) struct Table {
    reader: CsvReader,
    rows: Rows,
}

/// What is known after so many rows.
struct Rows {
    defaults: Defaults,
    /// What the columns are about and what the header's bytes come to, or why they can't be read.
    header: Option<Result<(Columns, u64), Problem>>,
    row: u64,
}

impl Table {
    pub(crate) const fn new(defaults: Defaults) -> Table {
        let rows = Rows { defaults, header: None, row: 0 };
        Table { reader: CsvReader::new(Some(Encoding::Utf8)), rows }
    }
}

impl Rows {
    fn take(&mut self, row: CsvRow<'_>, rows: &mut Vec<RawRow>) {
        let (columns, salt) = match &self.header {
            None => {
                let columns = row.cells().map_err(problem).and_then(|cells| Columns::read(&cells));
                let salt = fingerprint(row.bytes) ^ self.defaults.hash();
                self.header = Some(columns.map(|columns| (columns, salt)));
                return;
            }
            Some(Ok(header)) => header,
            // Without its header it is nothing: it is refused as a whole.
            Some(Err(_)) => return,
        };
        self.row += 1;
        let hash = fingerprint(row.bytes) ^ salt;
        let value = row.cells().map_err(problem).and_then(|cells| message(columns, &cells));
        let value = value.map(|value| self.defaults.apply(value));
        rows.push(RawRow { row: self.row, line: row.line, hash, value });
    }

    /// Refuses a file whose header can't be read.
    fn require_header(&mut self) -> Result<(), Problem> {
        match self.header.take() {
            Some(Err(problem)) => Err(problem),
            header => {
                self.header = header;
                Ok(())
            }
        }
    }
}

impl Reader for Table {
    fn push(&mut self, piece: &[u8], rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        self.reader.push(piece, &mut |row| self.rows.take(row, rows)).map_err(problem)?;
        self.rows.require_header()
    }

    fn finish(&mut self, rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        self.reader.finish(&mut |row| self.rows.take(row, rows)).map_err(problem)?;
        if self.rows.header.is_none() {
            // An empty file lacks the columns that every file must have.
            return Columns::read(&[]).map(|_| ());
        }
        self.rows.require_header()
    }
}

fn message(columns: &Columns, cells: &[&str]) -> Result<Value, Problem> {
    let excess = cells.get(columns.len()..).unwrap_or_default();
    if excess.iter().any(|cell| !cell.trim().is_empty()) {
        let (has, header) = (cells.len(), columns.len());
        return Err(Problem::invalid_at(
            "",
            format!("has {has} cells, the header has {header}; is a text with a separator not quoted?"),
        ));
    }
    columns.message(cells)
}

fn problem(fault: CsvFault) -> Problem {
    match fault {
        CsvFault::FirstLine => Problem::new(Code::TooLarge, "The first line may have 64 KiB; is this a CSV?"),
        CsvFault::TooLarge => {
            let detail = "A row may have 256 columns and 256 KiB; perhaps a quote is not closed.";
            Problem::new(Code::TooLarge, detail)
        }
        CsvFault::OpenQuote => Problem::invalid_at("", "a quote is opened in this row and never closed"),
        CsvFault::NotUtf8 => Problem::new(Code::BadUtf8, "The row is not UTF-8."),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
