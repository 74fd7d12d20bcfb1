//! The recorded requests, and what a message becomes.

use palomar_model::{IdGenerator, Timestamp};
use serde_json::json;

use super::*;
use crate::testing::{files, fixture};
use crate::twilio::{form as forms, validate};

const TAG_TEXT: &str = "palomar:01890a5d-ac96-774b-bcce-b302099a8057:2";
const HX: &str = "HX00000000000000000000000000000001";

pub(crate) fn message(to: &str, kind: &str, content: &Value) -> Outbound {
    let id = IdGenerator::new(1).message_id(Timestamp::EPOCH);
    let stored = json!({"v": 1, "id": id, "channel": "line", "to": to, "type": kind, "content": content,
        "acceptedAt": "2026-01-01T00:00:00Z"});
    Outbound::decode(stored.to_string().as_bytes()).expect("a message")
}

fn number() -> From {
    From { number: Some("+15550100200".to_owned()), service: None }
}

fn service() -> From {
    From { number: None, service: Some("MG00000000000000000000000000000001".to_owned()) }
}

fn sorted(form: &[u8]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    pairs.sort();
    pairs
}

/// What the form says; reports go to `callback`.
fn made(message: &Outbound, from: &From, callback: Option<String>) -> Vec<(String, String)> {
    assert_eq!(validate::validate(&message.content), []);
    sorted(forms::encode(&form(message, from, callback).expect("a form")).as_bytes())
}

#[test]
fn golden_requests() {
    let link = "https://cdn.example.test/a.jpg";
    let place =
        json!({"latitude": 39.5696, "longitude": 2.6502, "name": "Oficina", "address": "Pl. Mayor 1, Palma"});
    let values = json!([{"type": "text", "text": "Lucía"}, {"type": "text", "text": "10:00"}]);
    let template =
        json!({"name": HX, "language": "es", "components": [{"type": "body", "parameters": values}]});
    let callback = "https://engine.example.test/webhooks/twilio/status?job=01JG".to_owned();
    for (name, kind, content, from, callback) in [
        ("text", "text", json!({"text": "Hola Lucía"}), number(), Some(callback)),
        ("media", "image", json!({"link": link, "caption": "Fachada"}), number(), None),
        ("location", "location", place, number(), None),
        ("content_template", "template", template, service(), None),
    ] {
        let golden = std::fs::read(fixture(&format!("twilio/send/{name}.form"))).expect(name);
        let message = message("+34600111222", kind, &content);
        assert_eq!(made(&message, &from, callback), sorted(&golden), "{name}");
    }
    // `scheduled` alone is not ours: what is due later waits in our own queue.
    assert_eq!(files("twilio/send").len(), 5);
}

#[test]
fn who_and_what() {
    let both = From { service: service().service, ..number() };
    let to_bsuid = message("ES.918273645546372819", "text", &json!({"text": "Hola & adiós"}));
    let form = made(&to_bsuid, &both, None);
    for pair in [
        ("To", "whatsapp:ES.918273645546372819"),
        ("From", "whatsapp:+15550100200"),
        ("MessagingServiceSid", "MG00000000000000000000000000000001"),
        ("Body", "Hola & adiós"),
    ] {
        assert!(
            form.iter().any(|(name, value)| (name.as_str(), value.as_str()) == pair),
            "{pair:?} in {form:?}"
        );
    }
    let place = json!({"latitude": -34.5, "longitude": 0.25, "name": "Casa"});
    let form = made(&message("+34600111222", "location", &place), &number(), None);
    assert!(form.contains(&("PersistentAction".to_owned(), "geo:-34.5,0.25|Casa".to_owned())), "{form:?}");
}

#[test]
fn variables_are_numbered_through_or_named() {
    let parameter = |kind: &str, rest: Value| {
        let mut parameter = rest;
        parameter["type"] = json!(kind);
        parameter
    };
    let content = json!({"name": HX, "language": "es", "components": [
        {"type": "header", "parameters": [parameter("image", json!({"image": {"link": "https://a.test/b.jpg"}}))]},
        {"type": "body", "parameters": [
            parameter("text", json!({"text": "Lucía"})),
            parameter("text", json!({"text": "120 €", "parameterName": "importe"})),
            parameter("currency", json!({"currency": {"fallbackValue": "1 €", "code": "EUR", "amount1000": 1000}})),
        ]},
        {"type": "button", "subType": "quick_reply", "index": 0, "parameters": [
            parameter("payload", json!({"payload": "SI"})),
        ]},
    ]});
    let form = made(&message("+34600111222", "template", &content), &number(), None);
    let variables = form.iter().find(|(name, _)| name == "ContentVariables").expect("variables");
    let variables: Value = serde_json::from_str(&variables.1).expect("JSON");
    let expected =
        json!({"1": "https://a.test/b.jpg", "2": "Lucía", "importe": "120 €", "4": "1 €", "5": "SI"});
    assert_eq!(variables, expected);
    let bare = message("+34600111222", "template", &json!({"name": HX, "language": "es"}));
    assert!(!made(&bare, &number(), None).iter().any(|(name, _)| name == "ContentVariables"));
}

#[test]
fn what_twilio_has_not_is_refused_when_sent_too() {
    for (kind, content) in [
        ("poll", json!({"question": "?", "options": ["a", "b"]})),
        ("reaction", json!({"messageId": "SM1", "emoji": "✅"})),
        ("image", json!({"id": "1037543291000001"})),
        ("location", json!({"latitude": 1.0, "longitude": 2.0})),
    ] {
        let refused = form(&message("+34600111222", kind, &content), &number(), None);
        assert_eq!(refused.expect_err(kind).class, ErrorClass::Content, "{kind}");
    }
}

#[test]
fn the_tag_travels_in_the_callback() {
    let tag: Tag = TAG_TEXT.parse().expect("a tag");
    for (webhook, expected) in [
        ("https://a.test/webhooks/line", ("https://a.test/webhooks/line?", "#rc=5&rp=all")),
        ("https://a.test/webhooks/line?key=1#rc=1", ("https://a.test/webhooks/line?key=1&", "#rc=1")),
    ] {
        let url = callback(&reqwest::Url::parse(webhook).expect("a URL"), tag);
        let inner = url.strip_prefix(expected.0).and_then(|rest| rest.strip_suffix(expected.1));
        let query = inner.unwrap_or_else(|| panic!("{url}"));
        assert_eq!(forms::of_query(query, TAG).as_deref(), Some(TAG_TEXT));
    }
}
