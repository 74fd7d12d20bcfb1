//! The JSON of contents, and what is refused at every provider.

use serde_json::json;

use super::*;

#[test]
fn shapes_that_are_read() {
    for (kind, content) in [
        ("text", json!({"text": "Hola!"})),
        ("text", json!({"body": "Hola!", "previewUrl": true})),
        ("image", json!({"link": "https://cdn.example.test/a.jpg", "caption": "Fachada"})),
        ("video", json!({"id": "1037543291000002"})),
        ("audio", json!({"id": "1037543291000004", "voice": true})),
        ("document", json!({"mediaUrl": "https://cdn.example.test/c.pdf", "filename": "contrato.pdf"})),
        ("sticker", json!({"id": "1"})),
        ("location", json!({"latitude": 39.5696, "longitude": 2.6502, "name": "Oficina"})),
        (
            "contacts",
            json!({"contacts": [{"name": {"formattedName": "Marta", "firstName": "Marta"}, "phones": [{"phone": "+34600222333", "type": "WORK"}]}]}),
        ),
        (
            "interactive",
            json!({"type": "button", "body": "?", "action": {"buttons": [{"id": "1", "title": "Sí"}]}}),
        ),
        ("interactive", json!({"type": "location_request_message", "body": {"text": "¿Dónde?"}})),
        (
            "interactive",
            json!({"type": "product_list", "header": {"type": "text", "text": "h"}, "body": "b", "action": {"catalog_id": "1"}}),
        ),
        ("template", json!({"name": "hello", "language": {"code": "en_US"}})),
        (
            "template",
            json!({"name": "t", "language": "es", "components": [{"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "x"}]}]}),
        ),
        ("reaction", json!({"messageId": "wamid.X", "emoji": "👍"})),
        ("poll", json!({"question": "¿Cuándo?", "options": ["hoy", "mañana"]})),
    ] {
        let read =
            Content::from_parts(kind, content.clone()).unwrap_or_else(|error| panic!("{content}: {error}"));
        assert_eq!(read.kind().as_str(), kind);
        assert_eq!(read.validate_common(), [], "{content}");
        let written = serde_json::to_value(&read).expect("json");
        assert_eq!(written["type"], kind);
        assert!(serde_json::from_value::<Content>(written).expect("json") == read, "{content}");
    }
}

#[test]
fn shapes_that_are_refused() {
    for (kind, content, pointer) in [
        ("carrier_pigeon", json!({}), "/type"),
        ("text", json!({"text": "x", "colour": "red"}), "/content"),
        ("text", json!({"text": 7}), "/content"),
        ("text", json!("Hola"), "/content"),
        ("image", json!({"link": "https://a.test", "captoin": "typo"}), "/content"),
        ("interactive", json!({"type": "slider", "body": "x", "action": {}}), "/content"),
    ] {
        let refused = Content::from_parts(kind, content.clone()).expect_err("refused");
        assert_eq!(refused.pointer, pointer, "{content}");
    }
}

#[test]
fn values_that_are_refused_everywhere() {
    for (kind, content, pointer) in [
        ("text", json!({"text": " \n"}), "/content/text"),
        ("text", json!({"text": "a\u{0}b"}), "/content/text"),
        ("image", json!({}), "/content"),
        ("image", json!({"link": "https://a.test/x", "id": "1"}), "/content"),
        ("image", json!({"link": "ftp://a.test/x"}), "/content/link"),
        ("image", json!({"link": "https://"}), "/content/link"),
        ("image", json!({"link": "https://a.test/\r\nX: y"}), "/content/link"),
        ("image", json!({"id": "1", "filename": "a.jpg"}), "/content/filename"),
        ("audio", json!({"id": "1", "caption": "x"}), "/content/caption"),
        ("video", json!({"id": "1", "voice": true}), "/content/voice"),
        ("location", json!({"latitude": 91.0, "longitude": 0.0}), "/content/latitude"),
        ("location", json!({"latitude": 0.0, "longitude": -180.5}), "/content/longitude"),
        ("contacts", json!({"contacts": []}), "/content/contacts"),
        ("contacts", json!({"contacts": [{"name": {"formattedName": "A"}}]}), "/content/contacts/0/name"),
        (
            "contacts",
            json!({"contacts": [{"name": {"formattedName": "A", "firstName": "A"}, "birthday": "1.5.90"}]}),
            "/content/contacts/0/birthday",
        ),
        (
            "interactive",
            json!({"type": "button", "body": "", "action": {"buttons": [{"id": "1", "title": "x"}]}}),
            "/content/body",
        ),
        (
            "interactive",
            json!({"type": "button", "body": "x", "action": {"buttons": []}}),
            "/content/action/buttons",
        ),
        (
            "interactive",
            json!({"type": "list", "body": "x", "action": {"button": "b", "sections": []}}),
            "/content/action/sections",
        ),
        (
            "interactive",
            json!({"type": "cta_url", "body": "x", "action": {"displayText": "b", "url": "javascript:x"}}),
            "/content/action/url",
        ),
        ("interactive", json!({"type": "flow", "body": "x", "action": {"flowCta": "b"}}), "/content/action"),
        ("template", json!({"name": "", "language": "es"}), "/content/name"),
        (
            "template",
            json!({"name": "t", "language": "es", "components": [{"type": "button"}]}),
            "/content/components/0",
        ),
        (
            "template",
            json!({"name": "t", "language": "es", "components": [{"type": "body", "parameters": [{"type": "text", "text": ""}]}]}),
            "/content/components/0/parameters/0/text",
        ),
        ("reaction", json!({"messageId": ""}), "/content/messageId"),
        ("poll", json!({"question": "?", "options": ["a"]}), "/content/options"),
        ("poll", json!({"question": "?", "options": ["a", "a"]}), "/content/options/1"),
        (
            "poll",
            json!({"question": "?", "options": ["a", "b"], "selectableCount": 3}),
            "/content/selectableCount",
        ),
    ] {
        let content =
            Content::from_parts(kind, content.clone()).unwrap_or_else(|error| panic!("{content}: {error}"));
        let pointers: Vec<_> = content.validate_common().into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, [pointer], "{kind}");
    }
}

#[test]
fn a_refusal_names_the_field_and_not_the_value() {
    let detail = |content| Content::from_parts("text", content).expect_err("refused").detail;
    let unknown = detail(json!({"text": "mi secreto", "txet": 1}));
    assert!(unknown.contains("`txet`") && !unknown.contains("secreto"), "{unknown}");
    let wrong = detail(json!("mi \"secreto\""));
    assert!(wrong.contains("string") && !wrong.contains("secreto"), "{wrong}");
}

#[test]
fn debug_output_hides_the_words() {
    assert_eq!(format!("{:?}", Content::text("mi secreto")), "Content(text)");
}
