//! What tests of all providers share: the recorded payloads, chance to damage them with, and the page that says what
//! they become.

mod table;

use std::path::{Path, PathBuf};

pub(crate) use table::Table;

/// A recorded payload, or a folder of them.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// The files of a folder with their names, in the same order everywhere.
pub(crate) fn files(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(fixture(name))
        .expect(name)
        .map(|file| {
            let file = file.expect("a file");
            (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).expect("bytes"))
        })
        .collect();
    files.sort();
    files
}

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    /// `SEED` from the environment, else always the same; shown where a test fails.
    #[expect(clippy::print_stdout, reason = "the seed repeats a failure")]
    pub(crate) fn from_env() -> Dice {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(42);
        println!("SEED={seed}");
        Dice(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }

    /// Cuts, puts in, repeats or changes one to four stretches.
    pub(crate) fn damage(&mut self, body: &mut Vec<u8>) {
        const PIECES: [&[u8]; 12] = [
            b"null",
            b"[]",
            b"{}",
            b"\"\"",
            b"-1",
            b"1e999",
            b"\\ud83d",
            b"\\u0000",
            b"99999999999999999999",
            b"\xff",
            b"[[[[[[[[",
            b",",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(body.len());
            match self.below(5) {
                0 => body.truncate(at),
                1 => {
                    let until = (at + self.below(24)).min(body.len());
                    body.drain(at..until);
                }
                2 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    let until = (at + self.below(12)).min(body.len());
                    body.splice(at..until, piece.iter().copied());
                }
                3 => {
                    let from = self.below(body.len());
                    let copied = body[from..(from + self.below(64)).min(body.len())].to_vec();
                    body.splice(at..at, copied);
                }
                _ => {
                    if let Some(byte) = body.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
    }
}
