//! CSV as it arrives: pieces of any size in, rows out. Keeps no more than one row.
//!
//! The first record is the header; whichever of `,`, `;` and tab it holds most of separates. A byte order mark is
//! skipped. A quote that is never closed would swallow all that follows: such a row is refused, not sent.

use csv_core::{ReadRecordResult, ReaderBuilder};
use palomar_app::fingerprint;

use super::columns::Columns;
use super::defaults::Defaults;
use super::{MAX_ROW, RawRow, Reader};
use crate::problem::{Code, Problem};

const MAX_COLUMNS: usize = 256;
/// A header that is longer is none.
const MAX_HEADER: usize = 64 * 1024;

/// Reads one message a record.
pub(crate) struct Table {
    defaults: Defaults,
    state: State,
    row: u64,
    /// The line that the next byte stands on.
    line: u64,
}

enum State {
    /// The header's bytes so far.
    Header(Vec<u8>),
    Rows(Box<Rows>),
}

struct Rows {
    columns: Columns,
    salt: u64,
    parser: csv_core::Reader,
    record: Record,
}

/// The record under way.
struct Record {
    /// Its cells one after the other, unquoted, and where each ends.
    cells: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// It has begun, on this line.
    begun_on: Option<u64>,
    quotes: usize,
    too_large: bool,
}

impl Record {
    fn new() -> Record {
        Record {
            cells: vec![0; 1024],
            filled: 0,
            ends: vec![0; 32],
            ended: 0,
            begun_on: None,
            quotes: 0,
            too_large: false,
        }
    }

    fn clear(&mut self) {
        if self.cells.len() > 64 * 1024 {
            self.cells.truncate(1024);
            self.cells.shrink_to_fit();
        }
        (self.filled, self.ended, self.begun_on, self.quotes, self.too_large) = (0, 0, None, 0, false);
    }

    fn cells(&self) -> Result<Vec<&str>, Problem> {
        let bad = |_| Problem::new(Code::BadUtf8, "The row is not UTF-8.");
        let mut start = 0;
        let mut cells = Vec::with_capacity(self.ended);
        for end in &self.ends[..self.ended] {
            cells.push(std::str::from_utf8(&self.cells[start..*end]).map_err(bad)?);
            start = *end;
        }
        Ok(cells)
    }
}

impl Table {
    pub(crate) const fn new(defaults: Defaults) -> Table {
        Table { defaults, state: State::Header(Vec::new()), row: 0, line: 1 }
    }

    /// Takes the header off what has arrived, where it is whole.
    fn header(&mut self, arrived: Vec<u8>, last: bool, rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        let skipped = if arrived.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let blank = arrived[skipped..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = skipped + blank;
        let Some(header) = read_header(&arrived[start..], last)? else {
            if arrived.len() > MAX_HEADER {
                return Err(Problem::new(Code::TooLarge, "The first line may have 64 KiB; is this a CSV?"));
            }
            self.state = State::Header(arrived);
            return Ok(());
        };
        let end = start + header.length;
        self.line += count(&arrived[..end], b'\n');
        let mut state = Rows {
            columns: header.columns,
            salt: fingerprint(arrived[start..end].trim_ascii_end()) ^ self.defaults.hash(),
            parser: header.parser,
            record: Record::new(),
        };
        self.read(&mut state, &arrived[end..], rows);
        self.state = State::Rows(Box::new(state));
        Ok(())
    }

    fn read(&mut self, state: &mut Rows, mut input: &[u8], rows: &mut Vec<RawRow>) {
        loop {
            if state.record.begun_on.is_none() {
                let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.line += count(&input[..blank], b'\n');
                input = &input[blank..];
            }
            // An empty input would mean the end to the parser.
            if input.is_empty() {
                return;
            }
            state.record.begun_on.get_or_insert(self.line);
            let (taken, result) = state.step(input);
            self.line += count(&input[..taken], b'\n');
            state.record.quotes += usize::try_from(count(&input[..taken], b'"')).unwrap_or(0);
            input = &input[taken..];
            if matches!(result, ReadRecordResult::Record) {
                self.end_record(state, false, rows);
            }
        }
    }

    fn end_record(&mut self, state: &mut Rows, at_end: bool, rows: &mut Vec<RawRow>) {
        self.row += 1;
        let line = state.record.begun_on.unwrap_or(self.line);
        let (hash, value) = state.row(at_end);
        let value = value.map(|value| self.defaults.apply(value));
        rows.push(RawRow { row: self.row, line, hash, value });
        state.record.clear();
    }
}

impl Rows {
    /// Hands the parser some input, or the end where it is empty: how much it took, and what it says.
    fn step(&mut self, input: &[u8]) -> (usize, ReadRecordResult) {
        let record = &mut self.record;
        let (result, taken, written, ended) = self.parser.read_record(
            input,
            &mut record.cells[record.filled..],
            &mut record.ends[record.ended..],
        );
        record.filled += written;
        record.ended += ended;
        match &result {
            ReadRecordResult::OutputFull if record.filled >= MAX_ROW => {
                // The rest of it overwrites its beginning; the record is refused when it ends.
                (record.too_large, record.filled) = (true, 0);
            }
            ReadRecordResult::OutputFull => record.cells.resize(record.cells.len() * 2, 0),
            ReadRecordResult::OutputEndsFull if record.ended >= MAX_COLUMNS => {
                (record.too_large, record.ended) = (true, 0);
            }
            ReadRecordResult::OutputEndsFull => record.ends.resize(record.ends.len() * 2, 0),
            ReadRecordResult::Record | ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
        }
        (taken, result)
    }

    fn row(&self, at_end: bool) -> (u64, Result<serde_json::Value, Problem>) {
        let record = &self.record;
        if record.too_large {
            let detail = "A row may have 256 columns and 256 KiB; perhaps a quote is not closed.";
            return (0, Err(Problem::new(Code::TooLarge, detail)));
        }
        let hash = fingerprint(&record.cells[..record.filled]) ^ self.salt;
        if at_end && record.quotes % 2 == 1 {
            return (hash, Err(Problem::invalid_at("", "a quote is opened in this row and never closed")));
        }
        let value = record.cells().and_then(|cells| {
            let excess = cells.get(self.columns.len()..).unwrap_or_default();
            if excess.iter().any(|cell| !cell.trim().is_empty()) {
                let (has, header) = (cells.len(), self.columns.len());
                return Err(Problem::invalid_at(
                    "",
                    format!(
                        "has {has} cells, the header has {header}; is a text with a separator not quoted?"
                    ),
                ));
            }
            self.columns.message(&cells)
        });
        (hash, value)
    }
}

impl Reader for Table {
    fn push(&mut self, piece: &[u8], rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        match std::mem::replace(&mut self.state, State::Header(Vec::new())) {
            State::Header(mut arrived) => {
                arrived.extend_from_slice(piece);
                self.header(arrived, false, rows)
            }
            State::Rows(mut state) => {
                self.read(&mut state, piece, rows);
                self.state = State::Rows(state);
                Ok(())
            }
        }
    }

    fn finish(&mut self, rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        if let State::Header(arrived) = &mut self.state {
            let arrived = std::mem::take(arrived);
            self.header(arrived, true, rows)?;
        }
        if let State::Rows(mut state) = std::mem::replace(&mut self.state, State::Header(Vec::new())) {
            while state.record.begun_on.is_some() {
                match state.step(b"").1 {
                    ReadRecordResult::Record => self.end_record(&mut state, true, rows),
                    ReadRecordResult::End => break,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

struct Header {
    columns: Columns,
    /// Goes on with the rows: a fresh one would take a byte order mark off them.
    parser: csv_core::Reader,
    /// So many bytes of what arrived, its line's end included.
    length: usize,
}

/// Reads the first record, where it is whole. What separates is told by its first line alone, so that it does not
/// depend on how much has arrived.
fn read_header(arrived: &[u8], last: bool) -> Result<Option<Header>, Problem> {
    let line = arrived.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let Some(line) = line.or(last.then_some(arrived.len())) else {
        return Ok(None);
    };
    let mut parser = ReaderBuilder::new().delimiter(delimiter(&arrived[..line])).build();
    let mut record = Record::new();
    record.cells.resize(arrived.len() + 1, 0);
    record.ends.resize(MAX_COLUMNS, 0);
    let (mut result, length, filled, ended) =
        parser.read_record(arrived, &mut record.cells, &mut record.ends);
    (record.filled, record.ended) = (filled, ended);
    if last && matches!(result, ReadRecordResult::InputEmpty) {
        let (at_end, _, filled, ended) =
            parser.read_record(b"", &mut record.cells[record.filled..], &mut record.ends[record.ended..]);
        result = at_end;
        (record.filled, record.ended) = (record.filled + filled, record.ended + ended);
    }
    match result {
        ReadRecordResult::Record | ReadRecordResult::End => {
            Ok(Some(Header { columns: Columns::read(&record.cells()?)?, parser, length }))
        }
        ReadRecordResult::InputEmpty => Ok(None),
        ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
            Err(Problem::new(Code::TooLarge, "A CSV may have 256 columns."))
        }
    }
}

/// The separator that a line holds most of, outside quotes; `,` where it holds none.
fn delimiter(line: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(candidate, _)| !quoted && candidate == byte) {
            *count += 1;
        }
    }
    let [comma, others @ ..] = counts;
    others.into_iter().fold(comma, |best, other| if other.1 > best.1 { other } else { best }).0
}

fn count(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == wanted)).sum()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
