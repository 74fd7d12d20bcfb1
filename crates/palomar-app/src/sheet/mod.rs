//! Files with rows and columns as they arrive: CSV in whatever encoding, and XLSX.
//!
//! ```text
//! bytes ──> decode (UTF-8) ──> csv ──┐
//!                                     ├──> rows of cells
//! bytes ──> a file ──> xlsx ─────────┘
//! ```
//!
//! What always holds: no more than a few portions of rows ([`Portion`]) and one piece of the file are held (of an XLSX file
//! also its shared texts, which are bounded); a row that can't be read is one that says so, and the others go on.

mod csv;
mod decode;
mod write;
mod xlsx;

pub use csv::{CsvFault, CsvReader, CsvRow};
pub use decode::Encoding;
pub(crate) use write::{Csv, unmarked};
pub(crate) use xlsx::{LARGEST_XLSX, read_xlsx};

/// Bytes of one row.
pub(crate) const MAX_ROW: usize = 256 * 1024;
/// Columns.
pub(crate) const MAX_COLUMNS: usize = 256;

/// What a cell holds. A formula is what it came to, or a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    Flag(bool),
}

impl Cell {
    /// The cell as a text, without the space around it and the mark that keeps a text from being a formula.
    pub(crate) fn text(&self) -> String {
        match self {
            Cell::Text(text) => unmarked(text.trim()).to_owned(),
            Cell::Number(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Cell::Text(text) if text.trim().is_empty())
    }
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SheetRow {
    /// The line of the file on which it begins, from 1.
    pub(crate) line: u64,
    /// Its cells, or why they can't be read.
    pub(crate) cells: Result<Vec<Cell>, String>,
}

/// Rows that are handed on together: so many, and not too large.
const MOST_ROWS: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// How much of rows is in a portion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Portion {
    rows: usize,
    bytes: usize,
}

impl Portion {
    /// With one row more; whether it is full with that.
    pub(crate) fn fills(&mut self, row: &SheetRow) -> bool {
        self.rows += 1;
        self.bytes += row.size();
        self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES
    }

    /// How many of these rows are the first portion.
    pub(crate) fn first_of(rows: &[SheetRow]) -> usize {
        let mut portion = Portion::default();
        rows.iter().position(|row| portion.fills(row)).map_or(rows.len(), |last| last + 1)
    }
}

impl SheetRow {
    /// A row of a CSV: texts.
    pub(crate) fn of(row: CsvRow<'_>) -> SheetRow {
        let text = |cells: Vec<&str>| cells.into_iter().map(|cell| Cell::Text(cell.to_owned())).collect();
        SheetRow { line: row.line, cells: row.cells().map(text).map_err(|fault| fault.to_string()) }
    }

    /// Bytes that it takes, more or less.
    fn size(&self) -> usize {
        let of = |cell: &Cell| match cell {
            Cell::Text(text) => text.len() + size_of::<Cell>(),
            Cell::Number(_) | Cell::Flag(_) => size_of::<Cell>(),
        };
        size_of::<SheetRow>() + self.cells.as_ref().map_or(0, |cells| cells.iter().map(of).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_full_by_rows_or_by_bytes() {
        let row = |bytes: usize| SheetRow { line: 1, cells: Ok(vec![Cell::Text("x".repeat(bytes))]) };
        for (rows, expected) in [
            (vec![], 0),
            (vec![row(1); 999], 999),
            (vec![row(1); 2_500], 1_000),
            (vec![row(MAX_ROW); 100], 16),
            (vec![row(MOST_BYTES), row(1)], 1),
        ] {
            assert_eq!(Portion::first_of(&rows), expected);
        }
    }
}
