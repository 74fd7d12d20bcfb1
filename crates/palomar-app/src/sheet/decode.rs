//! Bytes in whatever encoding → UTF-8, piece by piece.
//!
//! A byte order mark decides. Without one, bytes of 0 in the first of them say UTF-16; else the first character beyond ASCII
//! decides whether it is UTF-8 or Windows-1252 (what old spreadsheets write, and all that is called Latin-1).

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// So many bytes are looked at before it is said what they are.
const HEAD: usize = 1024;
/// A byte order mark has so many at most.
const MARK: usize = 3;

/// How characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// Latin-1, as Windows writes it.
    Latin1,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
}

impl std::str::FromStr for Encoding {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Encoding, &'static str> {
        match text.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "utf8" => Ok(Encoding::Utf8),
            "latin1" | "iso88591" | "iso885915" | "windows1252" | "cp1252" => Ok(Encoding::Latin1),
            "utf16" | "utf16le" => Ok(Encoding::Utf16Le),
            "utf16be" => Ok(Encoding::Utf16Be),
            _ => Err("is none of utf-8, latin-1, utf-16le and utf-16be"),
        }
    }
}

/// What came so far, and what it is.
pub(super) struct Decode {
    state: State,
}

enum State {
    /// The first bytes.
    Head(Vec<u8>, Option<Encoding>),
    /// Nothing but ASCII yet; the bytes are those of a character that has not ended.
    Ascii(Vec<u8>),
    /// Passed on as it is: rows are looked at one by one.
    Utf8,
    Other(Box<Decoder>),
}

impl Decode {
    /// For a file that is said to be of this encoding; the bytes tell where nothing is said.
    pub(super) const fn new(said: Option<Encoding>) -> Decode {
        Decode { state: State::Head(Vec::new(), said) }
    }

    /// Takes a piece, and appends what it says as UTF-8.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Head(head, said) => {
                head.extend_from_slice(piece);
                if head.len() >= if said.is_some() { MARK } else { HEAD } {
                    let (head, said) = (std::mem::take(head), *said);
                    self.begin(&head, said, out);
                }
            }
            State::Ascii(begun) => {
                let mut bytes = std::mem::take(begun);
                bytes.extend_from_slice(piece);
                self.ascii(&bytes, out);
            }
            State::Utf8 => out.extend_from_slice(piece),
            State::Other(decoder) => decode(decoder, piece, false, out),
        }
    }

    /// The file has ended.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let State::Head(head, said) = &mut self.state {
            let (head, said) = (std::mem::take(head), *said);
            self.begin(&head, said, out);
        }
        match &mut self.state {
            State::Other(decoder) => decode(decoder, b"", true, out),
            // A character that never ended was none of UTF-8.
            State::Ascii(begun) if !begun.is_empty() => {
                decode(&mut WINDOWS_1252.new_decoder_without_bom_handling(), begun, true, out);
            }
            _ => {}
        }
    }

    fn begin(&mut self, head: &[u8], said: Option<Encoding>, out: &mut Vec<u8>) {
        let (marked, length) = match head {
            [0xef, 0xbb, 0xbf, ..] => (Some(Encoding::Utf8), 3),
            [0xff, 0xfe, ..] => (Some(Encoding::Utf16Le), 2),
            [0xfe, 0xff, ..] => (Some(Encoding::Utf16Be), 2),
            _ => (None, 0),
        };
        let rest = &head[length..];
        let encoding = marked.or(said).or_else(|| by_zeros(rest));
        self.state = match encoding {
            None => return self.ascii(rest, out),
            Some(Encoding::Utf8) => State::Utf8,
            Some(Encoding::Latin1) => other(WINDOWS_1252),
            Some(Encoding::Utf16Le) => other(UTF_16LE),
            Some(Encoding::Utf16Be) => other(UTF_16BE),
        };
        self.push(rest, out);
    }

    /// Passes on what is ASCII; the first other character decides.
    fn ascii(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let plain = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len());
        let (ascii, rest) = bytes.split_at(plain);
        out.extend_from_slice(ascii);
        let first = rest.utf8_chunks().next();
        self.state = match first {
            None => State::Ascii(Vec::new()),
            Some(chunk) if !chunk.valid().is_empty() => State::Utf8,
            // Three bytes at most: the next piece tells whether they begin a character.
            Some(chunk) if chunk.invalid().len() == rest.len() && may_go_on(rest) => {
                self.state = State::Ascii(rest.to_vec());
                return;
            }
            Some(_) => other(WINDOWS_1252),
        };
        if !rest.is_empty() {
            self.push(rest, out);
        }
    }
}

/// Whether these bytes may be the beginning of a character of UTF-8.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Text in UTF-16 has a byte of 0 beside nearly every letter; other text has none.
fn by_zeros(head: &[u8]) -> Option<Encoding> {
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if (even + odd) * 4 < head.len() || head.len() < 2 {
        return None;
    }
    Some(if odd > even { Encoding::Utf16Le } else { Encoding::Utf16Be })
}

fn other(encoding: &'static encoding_rs::Encoding) -> State {
    State::Other(Box::new(encoding.new_decoder_without_bom_handling()))
}

fn decode(decoder: &mut Decoder, mut piece: &[u8], last: bool, out: &mut Vec<u8>) {
    loop {
        let filled = out.len();
        let room = decoder.max_utf8_buffer_length(piece.len()).unwrap_or(usize::MAX / 2).min(1 << 20);
        out.resize(filled + room.max(16), 0);
        let (result, read, written, _) = decoder.decode_to_utf8(piece, &mut out[filled..], last);
        out.truncate(filled + written);
        piece = &piece[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], said: Option<Encoding>, size: usize) -> String {
        let (mut decode, mut out) = (Decode::new(said), Vec::new());
        bytes.chunks(size.max(1)).for_each(|piece| decode.push(piece, &mut out));
        decode.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn encodings_are_told_by_their_bytes_however_they_are_cut() {
        let text =
            format!("phone;name\r\n{}+34600111222;Mu\u{f1}oz \u{20ac} \u{1f44b}\r\n", "x;y\r\n".repeat(400));
        let latin = text.replace('\u{1f44b}', "");
        let bytes: Vec<u8> = WINDOWS_1252.encode(&latin).0.into_owned();
        let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
        let cases = [
            (text.clone().into_bytes(), None, &text),
            (marked(b"\xef\xbb\xbf", text.clone().into_bytes()), None, &text),
            (marked(b"\xff\xfe", utf16(&text, true)), None, &text),
            (marked(b"\xfe\xff", utf16(&text, false)), None, &text),
            (utf16(&text, true), None, &text),
            (utf16(&text, false), None, &text),
            (utf16(&text, false), Some(Encoding::Utf16Be), &text),
            (bytes.clone(), None, &latin),
            (bytes, Some(Encoding::Latin1), &latin),
        ];
        for (n, (bytes, said, expected)) in cases.iter().enumerate() {
            for size in [1, 2, 3, 7, 1_000, 1 << 20] {
                assert_eq!(&decoded(bytes, *said, size), *expected, "case {n} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_ends_early_is_not_lost() {
        assert_eq!(decoded(b"a\xc3", None, 1), "a\u{c3}");
        assert_eq!(decoded(b"", None, 1), "");
        assert_eq!(decoded(b"\xff\xfea", None, 1), "\u{fffd}");
        assert_eq!(decoded("ñ".repeat(600).as_bytes(), None, 1_023), "ñ".repeat(600));
    }
}
