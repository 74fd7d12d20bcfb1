//! 50 000 damaged bodies and signatures; `PALOMAR_TEST_SEED` chooses which.

use palomar_model::Secret;

use super::parse;
use super::tests::{NOW, files};
use crate::cloud_api::sign;

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }

    fn damage(&mut self, body: &mut Vec<u8>) {
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

/// Whatever is done to a body or to its signature: no panic, and no signature that fits by chance.
#[test]
#[expect(clippy::print_stdout, reason = "the seed repeats a failure")]
fn damaged_bodies_and_headers() {
    let seed = std::env::var("PALOMAR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(42);
    println!("PALOMAR_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let secret = Secret::from("app-secret-1");
    let corpus: Vec<_> = ["cloud-api/inbound", "cloud-api/status", "cloud-api/account", "malformed"]
        .into_iter()
        .flat_map(files)
        .map(|(_, body)| body)
        .filter(|body| body.len() < 8192)
        .collect();
    let mut read = 0;
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        let header = sign::sign(&secret, &body).into_bytes();
        let mut damaged = header.clone();
        dice.damage(&mut damaged);
        let text = String::from_utf8_lossy(&damaged);
        let same = damaged.eq_ignore_ascii_case(&header) && damaged.starts_with(b"sha256=");
        assert_eq!(sign::is_signed(&secret, &body, Some(&text)), same, "seed {seed}: {text}");
        dice.damage(&mut body);
        read += usize::from(!parse(&body, NOW).events.is_empty());
    }
    assert!(read > 1000, "seed {seed}: the damage leaves too little to read ({read})");
}
