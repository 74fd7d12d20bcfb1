//! The recorded tokens, and forgeries.

use serde_json::Value;

use super::*;
use crate::testing::Dice;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_660);

#[test]
fn recorded_tokens() {
    let text = include_str!("../../../../../tests/fixtures/signatures/evolution_webhook_jwt.json");
    let vectors: Vec<Value> = serde_json::from_str(text).expect("vectors");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let secret = Secret::from(vector["jwt_key"].as_str().expect("a key"));
        let now = Timestamp::from_seconds(vector["now"].as_i64().expect("a time"));
        let valid = vector["valid"].as_bool().expect("a verdict");
        assert_eq!(is_token(&secret, vector["authorization"].as_str(), now), valid, "{}", vector["name"]);
    }
}

#[test]
fn a_secret_that_is_not_configured_proves_nothing() {
    let none = Secret::default();
    assert!(!is_secret(&none, Some("")) && !is_secret(&none, None));
    assert!(!is_token(&none, Some(&token(&none, NOW)), NOW));
    let secret = Secret::from("shared-secret");
    assert!(is_secret(&secret, Some("shared-secret")) && is_token(&secret, Some(&token(&secret, NOW)), NOW));
    for header in [
        None,
        Some(""),
        Some("shared-secre"),
        Some("shared-secret2"),
        Some("SHARED-SECRET"),
        Some("shared-secret, shared-secret"),
    ] {
        assert!(!is_secret(&secret, header), "{header:?}");
    }
}

fn signed(secret: &Secret, head: &str, claims: &str) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", encode(head), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("a key");
    format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(&mac.chain_update(&signed).finalize().into_bytes()))
}

#[test]
fn what_a_token_must_say() {
    let secret = Secret::from("shared-secret");
    let head = r#"{"alg":"HS256","typ":"JWT"}"#;
    let good = r#"{"iat":1767225600,"exp":1767226200,"app":"evolution","action":"webhook"}"#;
    for (head, claims, now, valid) in [
        (head, good, 1_767_225_600, true),
        (head, good, 1_767_226_199, true),
        (head, good, 1_767_226_200, false),
        (head, good, 1_767_225_540, true),
        (head, good, 1_767_225_539, false),
        (r#"{"alg":"none"}"#, good, 1_767_225_600, false),
        (r#"{"alg":"RS256"}"#, good, 1_767_225_600, false),
        ("{}", good, 1_767_225_600, false),
        (head, r#"{"iat":1767225600,"app":"evolution","action":"webhook"}"#, 1_767_225_600, false),
        (
            head,
            r#"{"iat":1767225600,"exp":1767226200,"app":"evolution","action":"login"}"#,
            1_767_225_600,
            false,
        ),
        (
            head,
            r#"{"iat":1767225600,"exp":1767226200,"app":"other","action":"webhook"}"#,
            1_767_225_600,
            false,
        ),
        (
            head,
            r#"{"iat":1767225600,"exp":9223372036854775807,"app":"evolution","action":"webhook"}"#,
            1_767_225_600,
            true,
        ),
        (head, "null", 1_767_225_600, false),
    ] {
        let token = signed(&secret, head, claims);
        assert_eq!(
            is_token(&secret, Some(&token), Timestamp::from_seconds(now)),
            valid,
            "{head} {claims} {now}"
        );
    }
}

/// Trial 49.
#[test]
fn no_forgery_is_accepted() {
    let mut dice = Dice::from_env();
    let secret = Secret::from("shared-secret");
    let honest = token(&secret, NOW);
    let others = ["shared-secret2", "shared-secre", "SHARED-SECRET", "shared-secret\n", "0"];
    for _ in 0..100_000 {
        let forged = match dice.below(4) {
            0 => token(&Secret::from(others[dice.below(others.len())]), NOW),
            1 => honest[..dice.below(honest.len())].to_owned(),
            2 => format!("{honest}, {honest}"),
            _ => {
                let mut bytes = honest.clone().into_bytes();
                dice.damage(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        assert_eq!(is_token(&secret, Some(&forged), NOW), forged == honest, "{forged}");
        assert!(!is_secret(&secret, Some(&forged)), "{forged}");
    }
}

#[test]
fn instances() {
    assert_eq!(
        instance(br#"{"event":"x","data":{"instance":"y"},"instance":"main-line"}"#).as_deref(),
        Some("main-line")
    );
    for body in [&b"{}"[..], b"", b"[]", br#"{"instance":7}"#, b"\xff"] {
        assert_eq!(instance(body), None);
    }
}
