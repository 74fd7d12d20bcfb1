//! The table against its source, every recorded answer, and answers that are damaged.

use reqwest::header::HeaderMap;

use super::*;
use crate::http::Answer;
use crate::testing::{Dice, files};
use crate::twilio::send;

const SOURCE: &str = include_str!("../../../../../tests/fixtures/error-codes/twilio.csv");

#[test]
fn every_documented_code_has_its_class() {
    let mut rows = 0;
    for line in SOURCE.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let &[code, word, scope, ..] = &columns[..] else { panic!("{line}") };
        // The rule for codes in no table, and what never comes to a sender.
        if code == "unknown" || word == "n/a" {
            continue;
        }
        let documented = documented(code.parse().expect("a number")).unwrap_or_else(|| panic!("{code}"));
        let expected = match word {
            "retry" => "transient",
            "throttle" => "throttled",
            "template_needed" => "needs_template",
            word => word,
        };
        assert_eq!(documented.class.as_str(), expected, "{code}");
        if let ErrorClass::Throttled { scope: held, .. } = documented.class {
            let expected = if scope == "account" { Scope::Account } else { Scope::Channel };
            assert_eq!(held, expected, "{code}");
        }
        assert_eq!(class_of_status(Some(code)), documented.class, "{code}");
        rows += 1;
    }
    assert_eq!(rows, CODES.len(), "every row was read");
    for unknown in [1, 11_200, 21_210, 99_999, u32::MAX] {
        assert_eq!(documented(unknown), None, "{unknown}");
        assert_eq!(class_of_status(Some(&unknown.to_string())), ErrorClass::Content);
    }
}

/// File of `twilio/response` → what it means, with the HTTP status in front of its name.
#[test]
fn recorded_answers() {
    let expected = |file: &str| match file {
        "200_fetch_delivered.json" => "sent SM00000000000000000000000000000032 delivered",
        "200_fetch_undelivered.json" => "recipient 63024",
        "201_accepted_messaging_service.json" => "sent SM00000000000000000000000000000032 accepted",
        "201_media.json" => "sent MM00000000000000000000000000000033 queued",
        "201_queued.json" => "sent SM00000000000000000000000000000032 queued",
        "201_scheduled.json" => "sent SM00000000000000000000000000000032 scheduled",
        "400_21211.json" => "recipient 21211",
        "400_21610.json" => "recipient 21610",
        "400_21617.json" => "content 21617",
        "400_21619.json" => "content 21619",
        "400_21620.json" => "content 21620",
        "400_21655.json" => "content 21655",
        "400_21656.json" => "content 21656",
        "400_21910.json" => "content 21910",
        "400_63007.json" => "account 63007",
        "401_20003.json" => "auth 20003",
        "403_30002.json" => "account 30002",
        "404_20404.json" => "content 20404",
        "429_14107.json" => "throttled 14107",
        "429_20429.json" => "throttled 20429",
        "500_20500.json" => "transient 20500",
        "503_20503.json" => "transient 20503",
        "503_plain_text.txt" => "unknown ",
        other => panic!("{other} is not in the table"),
    };
    for (file, body) in files("twilio/response") {
        let status = file[..3].parse().expect("a status");
        let answer = Answer { status, headers: HeaderMap::new(), body: body.into(), complete: true };
        let found = match send::outcome(&answer) {
            Ok(sent) => format!("sent {} {}", sent.provider_id.0, sent.status.unwrap_or_default()),
            Err(failure) => {
                assert!(!failure.title.contains('<') && !failure.title.is_empty(), "{file}: {failure}");
                format!("{} {}", failure.class.as_str(), failure.code.unwrap_or_default())
            }
        };
        assert_eq!(found, expected(&file), "{file}");
    }
}

#[test]
fn answers_that_are_in_no_table() {
    let throttled = |after, scope| ErrorClass::Throttled { after, scope };
    let wait = Some(Duration::from_secs(7));
    for (status, body, asked, class) in [
        (400, r#"{"code":21299,"message":"new"}"#, None, ErrorClass::Content),
        (400, r#"{"code":"21211","message":7}"#, None, ErrorClass::Recipient),
        (403, r#"{"code":1,"message":"new"}"#, None, ErrorClass::Auth),
        (429, r#"{"code":1}"#, wait, throttled(wait, Scope::Channel)),
        (429, r#"{"code":20429}"#, wait, throttled(wait, Scope::Account)),
        (429, r#"{"code":63038}"#, None, throttled(Some(Duration::from_secs(3600)), Scope::Account)),
        (500, r#"{"code":1}"#, None, ErrorClass::Transient),
        (500, r#"{"message":"no code"}"#, None, ErrorClass::Unknown),
        (502, "<html>", None, ErrorClass::Unknown),
        (201, r#"{"code":21211,"sid":"SM1"}"#, None, ErrorClass::Unknown),
        (401, "", None, ErrorClass::Auth),
        (404, "", None, ErrorClass::Account),
        (302, "", None, ErrorClass::Account),
        (422, "", None, ErrorClass::Content),
    ] {
        assert_eq!(classify(status, body.as_bytes(), asked).class, class, "{status} {body}");
    }
    let failure =
        classify(400, br#"{"code":21211,"message":"'To' whatsapp:+34600111222 is no number"}"#, None);
    assert_eq!(failure.title, "'To' whatsapp:+•••1222 is no number");
    assert_eq!(
        classify(400, br#"{"code":21610}"#, None).title,
        "Recipient unsubscribed (STOP): record opt-out"
    );
}

/// Whatever a provider answers: no panic, and nothing but its own error document or an id says what became of it.
#[test]
fn damaged_answers() {
    let mut dice = Dice::from_env();
    let corpus: Vec<Vec<u8>> = files("twilio/response").into_iter().map(|(_, body)| body).collect();
    let statuses = [200, 201, 204, 301, 400, 401, 404, 408, 429, 500, 502, 503, 504, 599];
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        dice.damage(&mut body);
        let status = statuses[dice.below(statuses.len())];
        let is_document = error_document(&body).is_some();
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = Answer { status, headers: HeaderMap::new(), body: body.into(), complete: true };
        match send::outcome(&answer) {
            Ok(taken) => {
                assert!((200..300).contains(&status) && !taken.provider_id.0.is_empty(), "{status} {shown}");
                sent += 1;
            }
            Err(failure) if failure.class == ErrorClass::Unknown => {
                assert!(!is_document && ((200..300).contains(&status) || status >= 500), "{status} {shown}");
            }
            Err(_) => refused += usize::from(is_document),
        }
    }
    assert!(sent > 100 && refused > 1_000, "the damage leaves too little: {sent} sent, {refused} refused");
}
