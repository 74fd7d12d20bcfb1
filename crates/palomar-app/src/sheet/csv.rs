//! CSV as it arrives: pieces of any size in, rows out. Keeps no more than one row.
//!
//! Whichever of `,`, `;` and tab the first line holds most of separates; `sep=;` on a line of its own says it too. Line
//! ends may be quoted. A quotation mark that is never closed would swallow all that follows: such a row is refused.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::decode::{Decode, Encoding};
use super::{MAX_COLUMNS, MAX_ROW};

/// A first line that is longer is none.
const MAX_HEADER: usize = 64 * 1024;

/// What is wrong with a row, or with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvFault {
    /// Of the file: it is no CSV.
    #[error("the first line is longer than 64 KiB: is this a CSV file?")]
    FirstLine,
    /// The row has more columns or bytes than a row may have.
    #[error("a row has at most 256 columns and 256 KiB: is a quotation mark not closed?")]
    TooLarge,
    /// The file ends within a quoted cell.
    #[error("a quotation mark is opened here and never closed")]
    OpenQuote,
    /// The row is no text.
    #[error("it is not UTF-8, as the rest of the file is: save it anew, or say its encoding")]
    NotUtf8,
}

/// A row that was read, as long as the next one is not.
#[derive(Clone, Copy, Debug)]
pub struct CsvRow<'r> {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// Its cells one after the other, unquoted.
    pub bytes: &'r [u8],
    ends: &'r [usize],
    fault: Option<CsvFault>,
}

impl<'r> CsvRow<'r> {
    /// Its cells.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn cells(&self) -> Result<Vec<&'r str>, CsvFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut start = 0;
        let mut cells = Vec::with_capacity(self.ends.len());
        for end in self.ends {
            cells.push(std::str::from_utf8(&self.bytes[start..*end]).map_err(|_| CsvFault::NotUtf8)?);
            start = *end;
        }
        Ok(cells)
    }
}

/// Reads rows, and hands each on.
pub struct CsvReader {
    decode: Decode,
    /// Decoded, and not read yet: until the first line is whole.
    begun: Vec<u8>,
    parser: Option<Box<Parser>>,
    /// The line that the next byte stands on.
    line: u64,
}

struct Parser {
    reader: Reader,
    /// The cells of the record under way one after the other, unquoted, and where each ends.
    cells: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// The record has begun, on this line.
    begun_on: Option<u64>,
    quotes: usize,
    too_large: bool,
}

impl CsvReader {
    /// For a file that is said to be of this encoding; the bytes tell where nothing is said.
    #[must_use]
    pub const fn new(said: Option<Encoding>) -> CsvReader {
        CsvReader { decode: Decode::new(said), begun: Vec::new(), parser: None, line: 1 }
    }

    /// Takes a piece; hands on the rows that are whole.
    ///
    /// # Errors
    /// Where the first line does not end: it is no CSV.
    pub fn push(&mut self, piece: &[u8], each: &mut dyn FnMut(CsvRow<'_>)) -> Result<(), CsvFault> {
        let mut text = std::mem::take(&mut self.begun);
        self.decode.push(piece, &mut text);
        self.read(text, false, each)
    }

    /// The file has ended.
    ///
    /// # Errors
    /// As [`CsvReader::push`].
    pub fn finish(&mut self, each: &mut dyn FnMut(CsvRow<'_>)) -> Result<(), CsvFault> {
        let mut text = std::mem::take(&mut self.begun);
        self.decode.finish(&mut text);
        self.read(text, true, each)?;
        let Some(parser) = &mut self.parser else { return Ok(()) };
        while parser.begun_on.is_some() {
            match parser.step(b"").1 {
                ReadRecordResult::Record => parser.end_row(true, each),
                ReadRecordResult::End => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        mut text: Vec<u8>,
        last: bool,
        each: &mut dyn FnMut(CsvRow<'_>),
    ) -> Result<(), CsvFault> {
        let mut parser = match self.parser.take() {
            Some(parser) => parser,
            None => match self.first_line(&mut text, last)? {
                Some(parser) => Box::new(parser),
                None => {
                    self.begun = text;
                    return Ok(());
                }
            },
        };
        self.rows(&mut parser, &text, each);
        self.parser = Some(parser);
        Ok(())
    }

    /// Tells by the first line what separates; none where it has not ended.
    fn first_line(&mut self, text: &mut Vec<u8>, last: bool) -> Result<Option<Parser>, CsvFault> {
        let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let end = text[blank..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let Some(length) = end.or(last.then_some(text.len() - blank)) else {
            return if text.len() > MAX_HEADER { Err(CsvFault::FirstLine) } else { Ok(None) };
        };
        self.line += lines(&text[..blank]);
        let line = &text[blank..blank + length];
        let said = line.strip_prefix(b"sep=").filter(|said| said.len() == 1).map(|said| said[0]);
        let separator = said.unwrap_or_else(|| separator(line));
        text.drain(..blank + if said.is_some() { length } else { 0 });
        Ok(Some(Parser::new(separator)))
    }

    fn rows(&mut self, parser: &mut Parser, mut text: &[u8], each: &mut dyn FnMut(CsvRow<'_>)) {
        loop {
            if parser.begun_on.is_none() {
                let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.line += lines(&text[..blank]);
                text = &text[blank..];
            }
            // An empty input would mean the end to the parser.
            if text.is_empty() {
                return;
            }
            parser.begun_on.get_or_insert(self.line);
            let (taken, result) = parser.step(text);
            let read = &text[..taken];
            self.line += lines(read);
            parser.quotes += read.iter().filter(|byte| **byte == b'"').count();
            text = &text[taken..];
            if matches!(result, ReadRecordResult::Record) {
                parser.end_row(false, each);
            }
        }
    }
}

impl Parser {
    fn new(separator: u8) -> Parser {
        Parser {
            reader: ReaderBuilder::new().delimiter(separator).build(),
            cells: vec![0; 1024],
            filled: 0,
            ends: vec![0; 32],
            ended: 0,
            begun_on: None,
            quotes: 0,
            too_large: false,
        }
    }

    /// Hands the parser some input, or the end where it is empty: how much it took, and what it says.
    fn step(&mut self, input: &[u8]) -> (usize, ReadRecordResult) {
        let (result, taken, written, ended) =
            self.reader.read_record(input, &mut self.cells[self.filled..], &mut self.ends[self.ended..]);
        self.filled += written;
        self.ended += ended;
        match &result {
            ReadRecordResult::OutputFull if self.filled >= MAX_ROW => {
                // The rest of it overwrites its beginning; the row is refused when it ends.
                (self.too_large, self.filled) = (true, 0);
            }
            ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
            ReadRecordResult::OutputEndsFull if self.ended >= MAX_COLUMNS => {
                (self.too_large, self.ended) = (true, 0);
            }
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::Record | ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
        }
        (taken, result)
    }

    /// The record has ended; the next one may begin.
    fn end_row(&mut self, at_end: bool, each: &mut dyn FnMut(CsvRow<'_>)) {
        let fault = if self.too_large {
            Some(CsvFault::TooLarge)
        } else {
            (at_end && self.quotes % 2 == 1).then_some(CsvFault::OpenQuote)
        };
        let (bytes, ends) = (&self.cells[..self.filled], &self.ends[..self.ended]);
        each(CsvRow { line: self.begun_on.take().unwrap_or(1), bytes, ends, fault });
        if self.cells.len() > 64 * 1024 {
            self.cells.truncate(1024);
            self.cells.shrink_to_fit();
        }
        (self.filled, self.ended, self.quotes, self.too_large) = (0, 0, 0, false);
    }
}

/// The separator that a line holds most of, outside quotation marks; `,` where it holds none.
fn separator(line: &[u8]) -> u8 {
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

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Cell, SheetRow};

    fn read(bytes: &[u8], size: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        read_as(None, bytes, size)
    }

    fn read_as(said: Option<Encoding>, bytes: &[u8], size: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        let (mut reader, mut rows) = (CsvReader::new(said), Vec::new());
        let mut each = |row: CsvRow<'_>| {
            let row = SheetRow::of(row);
            let text = |cells: Vec<Cell>| cells.iter().map(Cell::text).collect();
            rows.push((row.line, row.cells.map(text)));
        };
        bytes.chunks(size).for_each(|piece| reader.push(piece, &mut each).expect("a CSV"));
        reader.finish(&mut each).expect("a CSV");
        rows
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Result<Vec<String>, String>) {
        (line, Ok(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn rows_come_out_however_they_are_cut() {
        let cases: [(&[u8], Vec<_>); 8] = [
            (b"a,b\n1,2\n", vec![row(1, &["a", "b"]), row(2, &["1", "2"])]),
            (b"\xef\xbb\xbfa;b\r\n1;2,3", vec![row(1, &["a", "b"]), row(2, &["1", "2,3"])]),
            (b"a\tb\r1\t\"x\ty\"\r", vec![row(1, &["a", "b"]), row(1, &["1", "x\ty"])]),
            (b"\n\nsep=;\na,b;c\n", vec![row(4, &["a,b", "c"])]),
            (
                b"a,b\n\"one\r\ntwo\",\"say \"\"x\"\"\"\nlast,\n",
                vec![row(1, &["a", "b"]), row(2, &["one\r\ntwo", "say \"x\""]), row(4, &["last", ""])],
            ),
            (b"a\n\n\n x \n", vec![row(1, &["a"]), row(4, &["x"])]),
            (b"a\n'=1+1\n=1+1\n", vec![row(1, &["a"]), row(2, &["=1+1"]), row(3, &["=1+1"])]),
            (b"", vec![]),
        ];
        for (bytes, expected) in cases {
            for size in [1, 2, 3, 5, 1_000] {
                assert_eq!(read(bytes, size), expected, "{:?} by {size}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_others_go_on() {
        let open = read(b"a,b\n1,\"two\n3,4\n", 4);
        assert_eq!(open[1].0, 2);
        assert!(open[1].1.as_ref().is_err_and(|why| why.contains("never closed")), "{open:?}");
        let mixed = read(
            "a,ñ\n1,2\n".as_bytes().iter().chain(b"\xf1,3\n4,5\n").copied().collect::<Vec<_>>().as_slice(),
            3,
        );
        assert!(mixed[2].1.as_ref().is_err_and(|why| why.contains("not UTF-8")), "{mixed:?}");
        assert_eq!(mixed[3], row(4, &["4", "5"]));
        let wide = format!("a,b\n{}\n1,2\n", ",".repeat(300));
        let wide = read(wide.as_bytes(), 64);
        assert!(wide[1].1.as_ref().is_err_and(|why| why.contains("256 columns")), "{wide:?}");
        assert_eq!(wide[2], row(3, &["1", "2"]));
        let long = read(format!("a,b\n\"{}\"\n1,2\n", "x".repeat(MAX_ROW)).as_bytes(), 4_096);
        assert!(long[1].1.is_err());
        assert_eq!(long[2], row(3, &["1", "2"]));
        let mut reader = CsvReader::new(None);
        let endless = reader.push(&[b'x'; MAX_HEADER + 2_000], &mut |_| {});
        assert_eq!(endless, Err(CsvFault::FirstLine));
    }

    #[test]
    fn rows_of_a_known_encoding_come_out_as_soon_as_they_are_whole() {
        let (mut reader, mut rows) = (CsvReader::new(Some(Encoding::Utf8)), 0);
        reader.push(b"to,text\n1,a\n", &mut |_| rows += 1).expect("a CSV");
        assert_eq!(rows, 2);
        assert!(read_as(Some(Encoding::Utf8), b"a\n\xff\n", 1)[1].1.is_err());
        assert_eq!(read(b"a\n\xff\n", 1)[1].1, Ok(vec!["\u{ff}".to_owned()]), "Latin-1");
    }

    /// A small generator with a seed, so that a failure can be repeated.
    #[test]
    fn any_bytes_are_read_or_refused() {
        const PIECES: [&[u8]; 14] = [
            b",",
            b";",
            b"\t",
            b"\"",
            b"\n",
            b"\r\n",
            b"a",
            b"\xc3\xb1",
            b"\xf1",
            b"\0",
            b"sep=;",
            b"=",
            b"\xff\xfe",
            b"  ",
        ];
        let mut dice = 0x5eed_c5f0_u64;
        let mut roll = |sides: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            usize::try_from(dice % sides as u64).expect("small")
        };
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..roll(40)).flat_map(|_| PIECES[roll(PIECES.len())].to_vec()).collect();
            let whole = read(&bytes, bytes.len().max(1));
            assert_eq!(read(&bytes, 1 + roll(9)), whole, "{bytes:?}");
        }
    }
}
