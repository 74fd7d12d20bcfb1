//! The table against its source, every recorded answer, and answers that are damaged.

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::*;
use crate::cloud_api::send;
use crate::http::Answer;
use crate::testing::{Dice, files};

const SOURCE: &str = include_str!("../../../../../tests/fixtures/error-codes/cloud_api.csv");

#[test]
fn every_documented_code_has_its_class() {
    let mut rows = 0;
    for line in SOURCE.lines().skip(1) {
        let mut columns = line.split(',');
        let (code, word) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        if code == "unknown" {
            continue;
        }
        let (first, last) = code.split_once('-').unwrap_or((code, code));
        let scope = columns.next().unwrap_or_default();
        for code in [first, last] {
            let documented = documented(code.parse().expect("a number")).unwrap_or_else(|| panic!("{code}"));
            let expected = match word {
                "retry" => "transient",
                "throttle" => "throttled",
                "template_needed" => "needs_template",
                word => word,
            };
            assert_eq!(documented.class.as_str(), expected, "{code}");
            if let ErrorClass::Throttled { scope: held, .. } = documented.class {
                let expected = match scope {
                    "pair" => Scope::Pair,
                    "template" => Scope::Template,
                    "waba" => Scope::Account,
                    "app" => Scope::App,
                    "phone_number" | "channel" => Scope::Channel,
                    other => panic!("{code}: a throttle of {other}"),
                };
                assert_eq!(held, expected, "{code}");
            }
        }
        rows += 1;
    }
    assert_eq!(rows, CODES.len(), "every row was read");
    for unknown in [5, 199, 300, 999_999, u32::MAX] {
        assert_eq!(documented(unknown), None, "{unknown}");
    }
    assert_eq!(documented(250).map(|documented| documented.class), Some(ErrorClass::Auth));
}

#[test]
fn scopes_and_waits() {
    let throttled = |code| documented(code).map(|documented| documented.class);
    let hour = Some(Duration::from_secs(3600));
    for (code, after, scope) in [
        (131_056, None, Scope::Pair),
        (130_429, None, Scope::Channel),
        (131_048, hour, Scope::Channel),
        (132_069, hour, Scope::Template),
        (80_007, Some(Duration::from_secs(300)), Scope::Account),
    ] {
        assert_eq!(throttled(code), Some(ErrorClass::Throttled { after, scope }), "{code}");
    }
}

/// The files' names begin with a plausible status; their code decides.
#[test]
fn recorded_answers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/cloud-api/response");
    for (name, class) in [
        ("400_100_invalid_parameter.json", "content"),
        ("400_100_subcode_33_phone_deleted.json", "account"),
        ("400_131008.json", "content"),
        ("400_131009.json", "content"),
        ("400_131021.json", "recipient"),
        ("400_131030_sandbox.json", "recipient"),
        ("400_131031_locked.json", "account"),
        ("400_131045.json", "account"),
        ("400_131047.json", "needs_template"),
        ("400_131056.json", "throttled"),
        ("400_131057_maintenance.json", "transient"),
        ("400_132000.json", "content"),
        ("400_132012.json", "content"),
        ("400_132015.json", "content"),
        ("400_133010.json", "account"),
        ("400_4.json", "throttled"),
        ("400_80007.json", "throttled"),
        ("401_190_expired.json", "auth"),
        ("403_10_permission.json", "auth"),
        ("403_200_permission.json", "auth"),
        ("404_132001.json", "content"),
        ("429_130429.json", "throttled"),
        ("500_131000.json", "transient"),
        ("500_1_api_unknown.json", "transient"),
        ("500_2_transient.json", "transient"),
        ("502_html_body.html", "unknown"),
        ("503_131016.json", "transient"),
    ] {
        let body = std::fs::read(format!("{folder}/{name}")).expect(name);
        let status = name[..3].parse().expect("a status");
        for status in [status, 400, 429, 500] {
            let failure = classify(status, &body, None);
            if name.ends_with(".json") || status == 502 {
                assert_eq!(failure.class.as_str(), class, "{name} with {status}: {failure}");
            }
            assert!(!failure.title.contains("(#") && !failure.title.contains('<'), "{name}: {failure}");
        }
    }
}

#[test]
fn answers_that_are_in_no_table() {
    let throttled = |after| ErrorClass::Throttled { after, scope: Scope::Channel };
    let minute = Some(Duration::from_secs(60));
    for (status, body, retry_after, class) in [
        (400, r#"{"error":{"message":"new","code":999999}}"#, None, ErrorClass::Content),
        (
            400,
            r#"{"error":{"message":"new","code":999999,"is_transient":true}}"#,
            None,
            ErrorClass::Transient,
        ),
        (500, r#"{"error":{"message":"new","code":999999}}"#, None, ErrorClass::Transient),
        (429, r#"{"error":{"message":"new","code":999999}}"#, minute, throttled(minute)),
        (400, r#"{"error":{"code":"131026","error_data":"as text"}}"#, None, ErrorClass::Recipient),
        (429, "", minute, throttled(minute)),
        (429, "<html>", None, throttled(None)),
        (500, "{}", None, ErrorClass::Unknown),
        (500, r#"{"error":"overloaded"}"#, None, ErrorClass::Unknown),
        (503, "Service Unavailable", minute, ErrorClass::Unknown),
        (504, "", None, ErrorClass::Unknown),
        (401, "", None, ErrorClass::Auth),
        (302, "", None, ErrorClass::Account),
        (413, "", None, ErrorClass::Content),
        (100, "", None, ErrorClass::Unknown),
    ] {
        assert_eq!(classify(status, body.as_bytes(), retry_after).class, class, "{status} {body}");
    }
    let failure = classify(400, br#"{"error":{"code":131026,"error_data":"as text"}}"#, None);
    assert_eq!((failure.code.as_deref(), failure.detail.as_deref()), (Some("131026"), Some("as text")));
    assert!(!failure.title.is_empty());
}

/// Whatever a provider answers: no panic, and nothing but its own error document or an id says what became of it.
#[test]
fn damaged_answers() {
    let mut dice = Dice::from_env();
    let corpus: Vec<Vec<u8>> = files("cloud-api/response").into_iter().map(|(_, body)| body).collect();
    let statuses = [200, 201, 204, 301, 400, 401, 404, 408, 429, 500, 502, 503, 504, 599];
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        dice.damage(&mut body);
        let mut headers = HeaderMap::new();
        if dice.below(4) == 0 {
            let texts = ["7", "-1", "1e9", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT", ""];
            headers.insert(RETRY_AFTER, HeaderValue::from_static(texts[dice.below(texts.len())]));
        }
        let status = statuses[dice.below(statuses.len())];
        let is_document = error_document(&body).is_some();
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = Answer { status, headers, body: body.into(), complete: true };
        match send::outcome(&answer) {
            Ok(taken) => {
                assert!((200..300).contains(&status) && !taken.provider_id.0.is_empty(), "{status} {shown}");
                sent += 1;
            }
            Err(failure) => {
                let open = failure.class == ErrorClass::Unknown;
                let expected = !is_document && ((200..300).contains(&status) || status >= 500);
                assert_eq!(open, expected, "{status} {shown}: {failure}");
                refused += usize::from(is_document);
            }
        }
    }
    assert!(sent > 100 && refused > 1_000, "the damage leaves too little: {sent} sent, {refused} refused");
}
