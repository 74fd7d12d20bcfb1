//! CSV on its way out: what a spreadsheet opens as it stands, and what is read as the same.
//!
//! What always holds: no cell begins as a formula does; one that would gets an apostrophe in front, and so does one that has
//! such an apostrophe already, so that reading takes exactly one away.

use std::borrow::Cow;

use bytes::Bytes;

/// What a spreadsheet may take for the beginning of a formula, full-width forms too.
const LIVE: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\0', '＝', '＋', '－', '＠'];

/// Rows in the making.
#[derive(Default)]
pub(crate) struct Csv(Vec<u8>);

impl Csv {
    /// The beginning of a file.
    pub(crate) fn begin() -> Csv {
        // Without the mark a spreadsheet takes the file for Latin-1.
        Csv(b"\xef\xbb\xbf".to_vec())
    }

    /// A row of names.
    pub(crate) fn head(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.plain(name));
        self.end();
    }

    /// A cell with words, which may be anybody's.
    pub(crate) fn text(&mut self, text: &str) {
        let text = marked(text);
        if text.contains([',', ';', '\t', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
            self.0.push(b'"');
            self.0.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.0.push(b'"');
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b',');
    }

    /// A cell with a number or a word of ours.
    pub(crate) fn plain(&mut self, value: impl std::fmt::Display) {
        self.0.extend_from_slice(value.to_string().as_bytes());
        self.0.push(b',');
    }

    /// A cell with a value of ours, or nothing.
    pub(crate) fn some(&mut self, value: Option<impl std::fmt::Display>) {
        match value {
            Some(value) => self.plain(value),
            None => self.empty(),
        }
    }

    /// A cell with nothing.
    pub(crate) fn empty(&mut self) {
        self.0.push(b',');
    }

    /// The row has ended.
    pub(crate) fn end(&mut self) {
        self.0.pop();
        self.0.extend_from_slice(b"\r\n");
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from(self.0)
    }
}

/// A text that no spreadsheet runs.
fn marked(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(LIVE) { format!("'{text}").into() } else { text.into() }
}

/// The text that was marked.
pub(crate) fn unmarked(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(LIVE) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_as_a_formula_and_each_is_read_as_it_was() {
        let texts = [
            "",
            "=1+1",
            "'=1+1",
            "''=1",
            "'hello",
            "+34",
            "-5",
            "@x",
            "\tx",
            "＝1",
            "\u{0}",
            "hello",
            "'",
            "''",
            "a=b",
            "x\"y",
            "a,b;c",
            "two\nlines",
            " spaced ",
        ];
        for text in texts {
            let marked = marked(text);
            assert!(!marked.starts_with(LIVE), "{text:?} as {marked:?}");
            assert_eq!(unmarked(&marked), text);
        }
    }
}
