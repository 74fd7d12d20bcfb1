//! Files with rows and columns as they arrive: CSV in whatever encoding, and XLSX.
//!
//! ```text
//! bytes ──> decode (UTF-8) ──> csv ──┐
//!                                     ├──> rows of cells
//! bytes ──> a file ──> xlsx ─────────┘
//! ```
//!
//! What always holds: no more than one row and one piece of the file is held (of an XLSX file also its shared texts, which
//! are bounded); a row that can't be read is one that says so, and the others go on.

mod csv;
mod decode;
mod xlsx;

pub(crate) use csv::CsvSheet;
pub use decode::Encoding;
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
            Cell::Text(text) => super::export::unmarked(text.trim()).to_owned(),
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
