//! Many messages in one request: read as a stream, submitted in chunks, answered row by row.
//!
//! ```text
//! body ──> Reader (lines, table) ──> rows ──> chunks of ≤ 500 ──> App::submit_batch ──> one answer a row, in order
//! ```
//! What always holds: memory does not grow with the number of rows (one row, one piece of the body and one chunk are
//! held); a bad row is answered and the others go on; an answer is written only after its chunk is durable. A header
//! that can't be read, or a first chunk that can't be stored, fails the request as a whole; after that the stream ends
//! with one line that has an `error` and no `row`.

mod answers;
mod array;
mod columns;
mod defaults;
mod lines;
mod stream;
mod table;

use serde_json::Value;

use crate::problem::Problem;

pub(crate) use answers::RowAnswer;
pub(crate) use array::submit_array;
pub(crate) use defaults::Defaults;
pub(crate) use lines::Lines;
pub(crate) use stream::submit_stream;
pub(crate) use table::Table;

/// Bytes of one row at most.
pub(crate) const MAX_ROW: usize = 256 * 1024;
/// Rows of a JSON array at most; longer ones are streamed.
pub(crate) const MAX_ARRAY: usize = 1_000;

/// A row as it was sent.
#[derive(Debug, PartialEq)]
pub(crate) struct RawRow {
    /// Counted from 1.
    pub(crate) row: u64,
    /// The line of the upload on which it begins, counted from 1.
    pub(crate) line: u64,
    /// What its bytes and the request's defaults come to.
    pub(crate) hash: u64,
    /// The message it describes, unchecked, or why it can't be read.
    pub(crate) value: Result<Value, Problem>,
}

/// Turns pieces of a body into rows. An error is one of the whole body.
pub(crate) trait Reader: Send {
    /// Takes a piece; appends the rows that are whole.
    fn push(&mut self, piece: &[u8], rows: &mut Vec<RawRow>) -> Result<(), Problem>;

    /// The body has ended.
    fn finish(&mut self, rows: &mut Vec<RawRow>) -> Result<(), Problem>;
}
