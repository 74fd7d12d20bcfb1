//! The recorded signatures and handshakes, and forgeries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::testing::{Dice, files};

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("vectors")
}

#[test]
fn signatures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/signatures/");
    let path = format!("{folder}meta_x_hub_signature_256.json");
    for vector in vectors(&std::fs::read_to_string(path).expect("the vectors")) {
        let secret = Secret::from(vector["app_secret"].as_str().expect("a secret"));
        let body = match (&vector["body_base64"], &vector["body_file"]) {
            (Value::String(base64), _) => data_encoding::BASE64.decode(base64.as_bytes()).expect("base64"),
            (_, Value::String(file)) => std::fs::read(format!("{folder}{file}")).expect("a file"),
            _ => panic!("{vector}"),
        };
        // The one vector that leaves the choice is upper-case hex, which Meta does not send.
        let valid = vector["valid"].as_bool().unwrap_or(false);
        assert_eq!(is_signed(&secret, &body, vector["header_value"].as_str()), valid, "{}", vector["name"]);
        assert!(is_signed(&secret, &body, Some(&sign(&secret, &body))));
        assert!(!is_signed(&secret, &body, None));
        assert!(!is_signed(&Secret::default(), &body, Some(&sign(&Secret::default(), &body))));
    }
}

#[test]
fn handshakes() {
    let text = include_str!("../../../../../tests/fixtures/signatures/meta_verify_get.json");
    for vector in vectors(text) {
        let token = Secret::from(vector["verify_token"].as_str().expect("a token"));
        let answer = handshake(&token, vector["query"].as_str().expect("a query"));
        let (status, body) = match answer {
            Ok(Verified::Handshake(challenge)) => (200, Some(challenge)),
            Ok(Verified::Delivery) => panic!("{vector}"),
            Err(error) => (error.status(), None),
        };
        assert_eq!(
            (u64::from(status), body.as_deref()),
            (vector["status"].as_u64().expect("a status"), vector["body"].as_str()),
            "{vector}"
        );
    }
    let none = Secret::default();
    let query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token=";
    assert_eq!(handshake(&none, query), Err(WebhookError::Forbidden), "no token configured");
}

/// A request that Meta did not sign, made of one that it did: what is wrong with it, its body and its header.
fn forgery(dice: &mut Dice, secret: &Secret, corpus: &[Vec<u8>]) -> (&'static str, Vec<u8>, String) {
    const OTHERS: [&str; 12] = [
        "sha1=",
        "sha512=",
        "SHA256=",
        "Sha256=",
        "md5=",
        "",
        "sha256:",
        "sha256==",
        "sha-256=",
        " sha256=",
        "sha256= ",
        "hmac-sha256=",
    ];
    let body = corpus[dice.below(corpus.len())].clone();
    let honest = sign(secret, &body);
    let digits = honest["sha256=".len()..].to_owned();
    let wrong = |dice: &mut Dice| {
        let mut digest = HEXLOWER.decode(digits.as_bytes()).expect("hex");
        let (first, bit) = (dice.below(32), dice.below(8));
        digest[first] ^= 1 << bit;
        digest.iter_mut().skip(first + 1).take(dice.below(32)).for_each(|byte| *byte ^= bit as u8);
        format!("sha256={}", HEXLOWER.encode(&digest))
    };
    match dice.below(9) {
        0 => ("wrong", body, wrong(dice)),
        1 => ("truncated", body, honest[..dice.below(honest.len())].to_owned()),
        2 => ("longer", body, format!("{honest}{}", &digits[..=dice.below(63)])),
        3 if dice.below(2) == 0 => ("upper case", body, format!("sha256={}", digits.to_ascii_uppercase())),
        3 => {
            let letter = digits.find(|c: char| c.is_ascii_lowercase()).expect("a letter among 64 digits");
            let mut header = honest;
            header["sha256=".len() + letter..][..1].make_ascii_uppercase();
            ("one upper-case digit", body, header)
        }
        // As HTTP joins a header that is given twice.
        4 => {
            let other = if dice.below(3) == 0 { honest.clone() } else { wrong(dice) };
            let pair = if dice.below(2) == 0 { [honest, other] } else { [other, honest] };
            ("two headers", body, pair.join([",", ", ", " ", "\n"][dice.below(4)]))
        }
        5 => {
            let value: Value = serde_json::from_slice(&body).expect("the corpus is JSON");
            let again = [value.to_string(), format!("{value:#}")].map(String::into_bytes);
            let again = again.into_iter().find(|again| *again != body).expect("two spellings differ");
            ("re-serialised body", again, honest)
        }
        6 => ("other algorithm", body, format!("{}{digits}", OTHERS[dice.below(OTHERS.len())])),
        7 => {
            let others = [
                "app-secret-",
                "app-secret-11",
                "app-secret-2",
                "APP-SECRET-1",
                "app-secret-1\n",
                "",
                "verify-1",
            ];
            let header = sign(&Secret::from(others[dice.below(others.len())]), &body);
            ("other secret", body, header)
        }
        _ => {
            let mut other = body;
            let at = dice.below(other.len());
            other[at] ^= 1 << dice.below(8);
            ("other body", other, honest)
        }
    }
}

/// Trial 49.
#[test]
fn no_forgery_is_accepted() {
    let mut dice = Dice::from_env();
    let secret = Secret::from("app-secret-1");
    let corpus: Vec<Vec<u8>> = files("cloud-api/inbound").into_iter().map(|(_, body)| body).collect();
    for body in &corpus {
        assert!(is_signed(&secret, body, Some(&sign(&secret, body))), "what Meta signed is accepted");
    }
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..100_000 {
        let (what, body, header) = forgery(&mut dice, &secret, &corpus);
        assert!(!is_signed(&secret, &body, Some(&header)), "{what}: {header}");
        *tried.entry(what).or_default() += 1;
    }
    assert!(tried.len() == 10 && tried.values().all(|times| *times > 1_000), "{tried:?}");
}
