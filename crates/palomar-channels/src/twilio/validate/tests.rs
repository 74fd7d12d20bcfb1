//! Content that Twilio can't carry, with the pointers that say where, and settings that can't work.

use palomar_model::Secret;
use serde_json::{Value, json};

use super::*;

const HX: &str = "HX00000000000000000000000000000001";

fn pointers(kind: &str, content: &Value) -> Vec<String> {
    let content = Content::from_parts(kind, content.clone()).expect("the type's shape");
    validate(&content).into_iter().map(|error| error.pointer).collect()
}

#[test]
fn what_can_be_carried_and_what_not() {
    let long = "ñ".repeat(1601);
    let fits = "ñ".repeat(1600);
    let link = "https://cdn.example.test/a";
    let template = |parameters: Value| json!({"name": HX, "language": "es", "components": [{"type": "body", "parameters": parameters}]});
    let at = |n: usize| format!("/content/components/0/parameters/{n}");
    let cases = [
        ("text", json!({"text": fits}), vec![]),
        ("text", json!({"text": long}), vec!["/content/text".to_owned()]),
        ("text", json!({"text": " "}), vec!["/content/text".to_owned()]),
        ("image", json!({"link": link, "caption": fits}), vec![]),
        ("image", json!({"link": link, "caption": long}), vec!["/content/caption".to_owned()]),
        ("video", json!({"id": "1"}), vec!["/content/id".to_owned()]),
        ("audio", json!({"link": link, "voice": true}), vec![]),
        ("audio", json!({"link": link, "caption": "x"}), vec!["/content/caption".to_owned()]),
        ("document", json!({"link": link}), vec![]),
        ("document", json!({"link": link, "filename": "a.pdf"}), vec!["/content/filename".to_owned()]),
        ("sticker", json!({"link": "ftp://a"}), vec!["/content/link".to_owned()]),
        ("location", json!({"latitude": 1.0, "longitude": 2.0, "address": "Aquí"}), vec![]),
        ("location", json!({"latitude": 1.0, "longitude": 2.0}), vec!["/content/name".to_owned()]),
        (
            "location",
            json!({"latitude": 91.0, "longitude": 2.0, "name": "a|b"}),
            vec!["/content/latitude".to_owned(), "/content/name".to_owned()],
        ),
        (
            "contacts",
            json!({"contacts": [{"name": {"formattedName": "Ana", "firstName": "Ana"}}]}),
            vec!["/type".to_owned()],
        ),
        (
            "interactive",
            json!({"type": "location_request_message", "body": "¿Dónde?"}),
            vec!["/type".to_owned()],
        ),
        ("reaction", json!({"messageId": "SM1", "emoji": "✅"}), vec!["/type".to_owned()]),
        ("poll", json!({"question": "?", "options": ["a", "b"]}), vec!["/type".to_owned()]),
        ("template", json!({"name": HX, "language": "es"}), vec![]),
        ("template", json!({"name": "hello_world", "language": "es"}), vec!["/content/name".to_owned()]),
        (
            "template",
            template(json!([{"type": "text", "text": "a\nb"}, {"type": "text", "text": "a    b"}])),
            vec![at(0), at(1)],
        ),
        (
            "template",
            template(json!([{"type": "location", "location": {"latitude": 1.0, "longitude": 1.0}}])),
            vec![at(0)],
        ),
        ("template", template(json!([{"type": "image", "image": {"id": "1"}}])), vec![at(0)]),
        (
            "template",
            template(json!([
                {"type": "text", "text": "a", "parameterName": "x"}, {"type": "text", "text": "b", "parameterName": "x"},
            ])),
            vec![format!("{}/parameterName", at(1))],
        ),
    ];
    for (kind, content, expected) in cases {
        assert_eq!(pointers(kind, &content), expected, "{kind} {content}");
    }
}

#[test]
fn settings_that_cannot_work() {
    let sid = |prefix: &str| format!("{prefix}00000000000000000000000000000001");
    let good = || TwilioConfig::new(sid("AC"), Secret::from("t"), "whatsapp:+15550100200");
    let errors = |config: &TwilioConfig, webhook: Option<&str>| {
        settings(config, webhook).into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(errors(&good(), Some("https://a.test/webhooks/my_line")), none);
    assert_eq!(errors(&good(), None), none);
    for (config, webhook, pointer) in [
        (TwilioConfig { account_sid: "AC1".to_owned(), ..good() }, None, "/settings/accountSid"),
        (
            TwilioConfig { account_sid: format!("AC{}", "/".repeat(32)), ..good() },
            None,
            "/settings/accountSid",
        ),
        (TwilioConfig { auth_token: Secret::default(), ..good() }, None, "/credentials/authToken"),
        (TwilioConfig { number: None, ..good() }, None, "/settings/number"),
        (TwilioConfig { number: Some("15550100200".to_owned()), ..good() }, None, "/settings/number"),
        (
            TwilioConfig { messaging_service_sid: Some("x".to_owned()), ..good() },
            None,
            "/settings/messagingServiceSid",
        ),
        (TwilioConfig { api_key_sid: Some(sid("SK")), ..good() }, None, "/credentials/apiKeySecret"),
        (good(), Some("https://my_host.test/x"), "/settings/webhookUrl"),
        (good(), Some("/x"), "/settings/webhookUrl"),
    ] {
        assert_eq!(errors(&config, webhook), [pointer], "{config:?}");
    }
    let service = TwilioConfig { number: None, messaging_service_sid: Some(sid("MG")), ..good() };
    assert_eq!(errors(&service, None), none);
}
