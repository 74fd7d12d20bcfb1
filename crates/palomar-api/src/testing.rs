//! What tests of this crate share: a seeded source of hostile input.

/// SplitMix64: small, fast, the same everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// `SEED`, else a fixed one: runs repeat, and another seed is one variable away.
    pub(crate) fn seed_from_env() -> u64 {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        seed.unwrap_or(0x5eed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    /// `sample` with one to four bytes or stretches put in, left out, repeated or changed.
    pub(crate) fn mutate(&mut self, sample: &[u8]) -> Vec<u8> {
        const SPICE: &[&[u8]] = &[
            b"\"",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b";",
            b":",
            b"\n",
            b"\r\n",
            b"\\",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"null",
            b"1e999",
            b"-0",
            b"\\ud800",
            b"\t",
            b"",
            b"true",
            b"18446744073709551616",
        ];
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, SPICE[self.below(SPICE.len())].iter().copied())),
                2 => drop(bytes.splice(at..end, SPICE[self.below(SPICE.len())].iter().copied())),
                3 if at < bytes.len() => bytes[at] = self.next().to_le_bytes()[0],
                _ => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    }

    /// `bytes` cut into pieces of random length, as a network would.
    pub(crate) fn pieces<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(40)).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}
