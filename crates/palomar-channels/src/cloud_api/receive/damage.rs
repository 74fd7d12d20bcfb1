//! 50 000 damaged bodies and signatures; `SEED` chooses which.

use palomar_model::Secret;

use super::parse;
use super::tests::NOW;
use crate::cloud_api::sign;
use crate::testing::{Dice, files};

/// Whatever is done to a body or to its signature: no panic, and no signature that fits by chance.
#[test]
fn damaged_bodies_and_headers() {
    let mut dice = Dice::from_env();
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
        assert_eq!(sign::is_signed(&secret, &body, Some(&text)), damaged == header, "{text}");
        dice.damage(&mut body);
        read += usize::from(!parse(&body, NOW).events.is_empty());
    }
    assert!(read > 1000, "the damage leaves too little to read ({read})");
}
