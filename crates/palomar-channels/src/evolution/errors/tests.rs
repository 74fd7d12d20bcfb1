//! The table against its source, every recorded answer, and answers that are damaged.

use reqwest::header::HeaderMap;

use super::*;
use crate::evolution::send;
use crate::http::Answer;
use crate::testing::{Dice, files};

const SOURCE: &str = include_str!("../../../../../tests/fixtures/error-codes/evolution.csv");

fn document(status: u16, words: &str) -> Vec<u8> {
    serde_json::json!({"status": status, "error": "x", "response": {"message": [words]}})
        .to_string()
        .into_bytes()
}

/// What the source says with the words as Evolution spells them. Two rows are read more strictly than it: where the
/// message may have been taken, it is not sent again.
#[test]
fn every_documented_row_has_its_class() {
    let rows = csv::Reader::from_reader(SOURCE.as_bytes()).into_records();
    let mut seen = 0;
    for row in rows.map(|row| row.expect("a row")) {
        let (status, words, class) = (row[0].parse().expect("a status"), &row[1], &row[2]);
        let body = match words {
            "exists:false in response.message[0]" => {
                br#"{"status":400,"error":"Bad Request","response":{"message":[{"jid":"34600999000@s.whatsapp.net","exists":false,"number":"34600999000"}]}}"#.to_vec()
            }
            "any other text" => document(status, "Error: something new"),
            "(proxy)" => b"<html>502 Bad Gateway</html>".to_vec(),
            words => document(status, words),
        };
        let expected = match (status, words, class) {
            (502, ..) | (_, "Error: Timed Out", _) => "unknown",
            (_, _, "retry") => "transient",
            (_, _, class) => class,
        };
        let failure = classify(status, &body, None);
        assert_eq!(failure.class.as_str(), expected, "{row:?}: {failure}");
        seen += 1;
    }
    assert_eq!(seen, 16);
    assert_eq!(ROWS.len(), TABLE.lines().count() - 1, "every row of ours was read");
}

#[test]
fn recorded_answers() {
    for (name, class, code) in [
        ("400_connection_closed", "transient", "connection_closed"),
        ("400_media", "content", "media"),
        ("400_number_not_on_whatsapp", "recipient", "not_on_whatsapp"),
        ("400_reaction_not_emoji", "content", "reaction"),
        ("400_timed_out", "unknown", "timed_out"),
        ("400_validation", "content", "invalid_body"),
        ("400_validation_flat", "content", "invalid_body"),
        ("401_unauthorized", "auth", "unauthorized"),
        ("403_name_in_use", "content", "name_in_use"),
        ("404_instance", "account", "no_instance"),
        ("404_route", "content", "no_route"),
        ("500_internal", "transient", "internal"),
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/evolution/response");
        let body = std::fs::read(format!("{folder}/{name}.json")).expect(name);
        let failure = classify(name[..3].parse().expect("a status"), &body, None);
        assert_eq!(
            (failure.class.as_str(), failure.code.as_deref()),
            (class, Some(code)),
            "{name}: {failure}"
        );
        assert!(!failure.to_string().contains("34600999000"), "{name} tells a number: {failure}");
    }
}

#[test]
fn answers_that_are_not_evolutions() {
    let throttled = |after| ErrorClass::Throttled { after, scope: Scope::Channel };
    let minute = Some(Duration::from_secs(60));
    for (status, body, retry_after, class) in [
        (429, "", minute, throttled(minute)),
        (429, r#"{"status":429,"error":"x","response":{"message":"slow"}}"#, None, throttled(None)),
        (418, r#"{"status":418,"error":"x","response":{"message":"new"}}"#, None, ErrorClass::Content),
        (503, r#"{"status":503,"error":"x","response":{"message":"new"}}"#, None, ErrorClass::Transient),
        (500, r#"{"error":"overloaded"}"#, None, ErrorClass::Unknown),
        (500, "{}", None, ErrorClass::Unknown),
        (503, "Service Unavailable", minute, ErrorClass::Unknown),
        (504, "", None, ErrorClass::Unknown),
        (401, "", None, ErrorClass::Auth),
        (302, "", None, ErrorClass::Account),
        (404, "<html>", None, ErrorClass::Account),
        (413, "", None, ErrorClass::Content),
        (100, "", None, ErrorClass::Unknown),
    ] {
        assert_eq!(classify(status, body.as_bytes(), retry_after).class, class, "{status} {body}");
    }
    let long = classify(400, &document(400, &"é".repeat(10_000)), None);
    assert_eq!(long.detail.map(|detail| detail.chars().count()), Some(MOST_WORDS));
}

/// Whatever is answered: no panic, and nothing but Evolution's own document or an id says what became of a message.
#[test]
fn damaged_answers() {
    let mut dice = Dice::from_env();
    let corpus: Vec<Vec<u8>> = files("evolution/response").into_iter().map(|(_, body)| body).collect();
    let statuses = [200, 201, 204, 301, 400, 401, 404, 408, 429, 500, 502, 503, 504, 599];
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        if dice.below(4) > 0 {
            dice.damage(&mut body);
        }
        let status = statuses[dice.below(statuses.len())];
        let words = words(&body);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = Answer { status, headers: HeaderMap::new(), body: body.into(), complete: true };
        match send::outcome(&answer) {
            Ok(taken) => {
                assert!((200..300).contains(&status) && !taken.provider_id.0.is_empty(), "{status} {shown}");
                sent += 1;
            }
            Err(failure) => {
                let open = failure.class == ErrorClass::Unknown;
                let timed_out =
                    status == 400 && words.as_deref().is_some_and(|words| words.contains("Timed Out"));
                let nothing = (200..300).contains(&status) || (status >= 500 && words.is_none());
                if open != nothing {
                    assert!(open && timed_out, "{status} {shown}: {failure}");
                }
                refused += usize::from(words.is_some());
            }
        }
    }
    assert!(sent > 100 && refused > 1_000, "the damage leaves too little: {sent} sent, {refused} refused");
}
