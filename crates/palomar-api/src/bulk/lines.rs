//! NDJSON as it arrives: pieces of any size in, whole lines out. Keeps no more than one line.

use palomar_app::fingerprint;

use super::defaults::Defaults;
use super::{MAX_ROW, RawRow, Reader};
use crate::json;
use crate::problem::{Code, Problem};

/// Reads one message a line. Blank lines are no rows.
#[derive(Debug)]
pub(crate) struct Lines {
    defaults: Defaults,
    /// The line so far.
    line: Vec<u8>,
    /// The line is longer than [`MAX_ROW`]: the rest of it is dropped.
    too_long: bool,
    row: u64,
    line_number: u64,
}

impl Lines {
    pub(crate) const fn new(defaults: Defaults) -> Lines {
        Lines { defaults, line: Vec::new(), too_long: false, row: 0, line_number: 0 }
    }

    fn take_in(&mut self, part: &[u8]) {
        if self.too_long || self.line.len() + part.len() > MAX_ROW {
            self.too_long = true;
            self.line.clear();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, rows: &mut Vec<RawRow>) {
        self.line_number += 1;
        let too_long = std::mem::take(&mut self.too_long);
        let line = std::mem::take(&mut self.line);
        let text = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.line_number == 1).unwrap_or(&line);
        if !too_long && text.trim_ascii().is_empty() {
            self.line = reuse(line);
            return;
        }
        self.row += 1;
        let value = if too_long {
            Err(Problem::new(Code::TooLarge, "A row may have 256 KiB."))
        } else {
            json::value(text)
        };
        rows.push(RawRow {
            row: self.row,
            line: self.line_number,
            hash: fingerprint(text) ^ self.defaults.hash(),
            value: value.map(|value| self.defaults.apply(value)),
        });
        self.line = reuse(line);
    }
}

/// The buffer, emptied; a large one is not kept for the sake of small lines.
fn reuse(mut line: Vec<u8>) -> Vec<u8> {
    line.clear();
    line.shrink_to(16 * 1024);
    line
}

impl Reader for Lines {
    fn push(&mut self, piece: &[u8], rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (part, after) = rest.split_at(end);
            self.take_in(part);
            self.end_line(rows);
            rest = &after[1..];
        }
        self.take_in(rest);
        Ok(())
    }

    fn finish(&mut self, rows: &mut Vec<RawRow>) -> Result<(), Problem> {
        if self.too_long || !self.line.is_empty() {
            self.end_line(rows);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn read(pieces: &[&[u8]]) -> Vec<RawRow> {
        let mut lines = Lines::new(Defaults::default());
        let mut rows = Vec::new();
        for piece in pieces {
            lines.push(piece, &mut rows).expect("lines are never refused as a whole");
        }
        lines.finish(&mut rows).expect("nor their end");
        rows
    }

    #[test]
    fn rows_and_lines_are_numbered() {
        let rows = read(&[b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\"", b":2}\nnot json\n\xff\n{\"c\":3}"]);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.row, row.line, row.value.as_ref().map_err(Problem::code).map(ToString::to_string))
            })
            .collect();
        assert_eq!(
            seen,
            vec![
                (1, 1, Ok("{\"a\":1}".into())),
                (2, 4, Ok("{\"b\":2}".into())),
                (3, 5, Err(Code::NotJson)),
                (4, 6, Err(Code::BadUtf8)),
                (5, 7, Ok("{\"c\":3}".into())),
            ]
        );
    }

    #[test]
    fn a_line_too_long_costs_one_row_and_no_memory() {
        let mut lines = Lines::new(Defaults::default());
        let mut rows = Vec::new();
        for _ in 0..1000 {
            lines.push(&[b'x'; 4096], &mut rows).expect("taken");
            assert!(lines.line.capacity() <= 2 * MAX_ROW);
        }
        lines.push(b"\n{}\n", &mut rows).expect("taken");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].value.as_ref().expect_err("too long").code(), Code::TooLarge);
        assert!(rows[1].value.is_ok());
    }

    /// However the stream is broken or cut, the same bytes give the same rows, numbered without a gap.
    #[test]
    fn mutated_streams_are_read_alike_in_any_pieces() {
        let seed = Rng::seed_from_env();
        let mut rng = Rng::new(seed);
        let sample =
            b"{\"to\":\"+34600111222\",\"text\":\"a\"}\n{\"to\":\"+34600111223\",\"text\":\"b\\n\"}\n\n[1]\n";
        for round in 0..50_000 {
            let stream = rng.mutate(sample);
            let whole = read(&[&stream]);
            let pieces = read(&rng.pieces(&stream));
            assert_eq!(whole, pieces, "seed {seed}, round {round}");
            assert!(whole.iter().zip(1..).all(|(row, n)| row.row == n), "seed {seed}, round {round}");
        }
    }
}
