//! Bytes in Base64: in one text, or in a document that comes in pieces and is never whole in memory.

use data_encoding::{BASE64, BASE64_NOPAD, DecodeError};

use super::{FetchFailure, FetchProblem, MediaSink};

/// So many letters are read at once: a multiple of four.
const LETTERS: usize = 64 << 10;
/// The name of the text, with its quotes. Inside of a text quotes stand behind a backslash: this stands for a name only.
const NAME: &[u8] = b"\"base64\"";

/// Hands the bytes that a text stands for to `sink`; a `data:` address is read as well.
///
/// # Errors
/// Where it is no Base64, larger than `most`, or `sink` does not take it.
pub async fn decode_into(text: &str, most: u64, sink: &mut dyn MediaSink) -> Result<(), FetchFailure> {
    let letters = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(',').map_or("", |(_, letters)| letters),
        None => text,
    };
    if letters.len() as u64 / 4 * 3 > most.saturating_add(3) {
        return Err(too_large(most));
    }
    for part in letters.trim().trim_end_matches('=').as_bytes().chunks(LETTERS) {
        let bytes = BASE64_NOPAD.decode(part).map_err(broken)?;
        sink.take(&bytes).await.map_err(not_written)?;
    }
    Ok(())
}

pub(super) fn too_large(most: u64) -> FetchFailure {
    let mib = most as f64 / f64::from(1_u32 << 20);
    FetchFailure::new(FetchProblem::TooLarge, format!("larger than the {mib} MiB that are taken of its kind"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
pub(super) fn not_written(error: std::io::Error) -> FetchFailure {
    FetchFailure::new(FetchProblem::NotWritten, format!("can't be written: {error}"))
}

fn broken(_: DecodeError) -> FetchFailure {
    FetchFailure::new(FetchProblem::Passing, "what came is no Base64")
}

/// Reads the text `base64` out of a document, wherever it is cut.
#[derive(Debug, Default)]
pub(super) struct Reader {
    at: At,
    /// Letters that are not a whole group of four yet.
    letters: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    /// So many letters of the name were seen.
    #[default]
    Outside,
    Name(usize),
    /// Behind the name, before its colon.
    Colon,
    /// Behind the colon.
    Quote,
    Text,
    /// Behind a backslash.
    Escape,
    End,
}

impl Reader {
    /// Takes more of the document; the bytes that it held.
    pub(super) fn take(&mut self, document: &[u8]) -> Result<Vec<u8>, FetchFailure> {
        for &byte in document {
            self.at = match std::mem::take(&mut self.at) {
                At::Outside => seek(0, byte),
                At::Name(seen) => seek(seen, byte),
                At::Colon if byte == b':' => At::Quote,
                At::Quote if byte == b'"' => At::Text,
                same @ (At::Colon | At::Quote) if byte.is_ascii_whitespace() => same,
                At::Colon | At::Quote => seek(0, byte),
                At::Text if byte == b'"' => At::End,
                At::Text if byte == b'\\' => At::Escape,
                At::Text => {
                    self.letters.push(byte);
                    At::Text
                }
                // A slash may be written so; line ends say nothing.
                At::Escape => {
                    if byte == b'/' {
                        self.letters.push(byte);
                    } else if !matches!(byte, b'n' | b'r') {
                        return Err(FetchFailure::new(FetchProblem::Passing, "what came is no Base64"));
                    }
                    At::Text
                }
                At::End => At::End,
            };
        }
        let whole = self.letters.len() / 4 * 4;
        // The last group may be padded, and is read at the end.
        let whole = whole.saturating_sub(4);
        let bytes = BASE64.decode(&self.letters[..whole]).map_err(broken)?;
        self.letters.drain(..whole);
        Ok(bytes)
    }

    /// The last bytes.
    pub(super) fn end(self) -> Result<Vec<u8>, FetchFailure> {
        if self.at != At::End {
            return Err(FetchFailure::new(
                FetchProblem::Passing,
                "the answer holds no media, or not all of them",
            ));
        }
        let letters = self.letters.iter().rposition(|letter| *letter != b'=').map_or(0, |last| last + 1);
        BASE64_NOPAD.decode(&self.letters[..letters]).map_err(broken)
    }
}

fn seek(seen: usize, byte: u8) -> At {
    match (NAME.get(seen) == Some(&byte), byte) {
        (true, _) if seen + 1 == NAME.len() => At::Colon,
        (true, _) => At::Name(seen + 1),
        // A quote may be the first of the name.
        (false, b'"') => At::Name(1),
        (false, _) => At::Outside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str, cut: usize) -> Result<Vec<u8>, FetchProblem> {
        let mut reader = Reader::default();
        let mut bytes = Vec::new();
        for part in document.as_bytes().chunks(cut) {
            bytes.extend(reader.take(part).map_err(|failure| failure.problem)?);
        }
        bytes.extend(reader.end().map_err(|failure| failure.problem)?);
        Ok(bytes)
    }

    #[test]
    fn a_document_is_read_wherever_it_is_cut() {
        for (document, expected) in [
            (r#"{"mediaType":"imageMessage","base64":"aG9sYQ==","size":4}"#, Ok(b"hola".to_vec())),
            (r#"{"base64" : "aG9sYQ"}"#, Ok(b"hola".to_vec())),
            (r#"{"base64":""}"#, Ok(Vec::new())),
            (r#"{"fileName":"base64","x":"\"base64\":\"no\"","base64":"aG9s"}"#, Ok(b"hol".to_vec())),
            (r#"{"base64":null,"y":1,"base64":"aG9s"}"#, Ok(b"hol".to_vec())),
            (r#"{"base64":"\/\/\/\/"}"#, Ok(vec![0xff; 3])),
            (r#"{"base64":"aG\n9s"}"#, Ok(b"hol".to_vec())),
            (r#"{"base64":"aG9s"#, Err(FetchProblem::Passing)),
            (r#"{"base64":"a*9saG9s"}"#, Err(FetchProblem::Passing)),
            (r#"{"base64":"aG\u0039s"}"#, Err(FetchProblem::Passing)),
            (r#"{"error":"x"}"#, Err(FetchProblem::Passing)),
            ("", Err(FetchProblem::Passing)),
        ] {
            for cut in [1, 2, 3, 5, 7, 1000] {
                assert_eq!(read(document, cut), expected, "{document} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for length in [0, 1, 2, 3, 4, 5, 1000, 100_001] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
            let document = format!("{{\"base64\":\"{}\"}}", BASE64.encode(&bytes));
            assert_eq!(read(&document, 4096).as_ref(), Ok(&bytes), "{length}");
        }
    }
}
