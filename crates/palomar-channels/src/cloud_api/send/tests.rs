//! Every golden request, made from our JSON.

use palomar_model::{MessageId, Timestamp};
use reqwest::header::HeaderMap;

use super::*;

const TAG: &str = "palomar:01890a5d-ac96-774b-bcce-b302099a8057:1";
const WAMID: &str = "wamid.HBgLMzQ2MDAxMTEyMjIVAgASGBQzQTAwMTEyMjMzNDQ1NTY2NzdBQQA=";

fn fixture(path: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/cloud-api");
    std::fs::read(format!("{folder}/{path}")).expect(path)
}

fn golden(name: &str) -> Value {
    let mut body: Value = serde_json::from_slice(&fixture(&format!("send/{name}.json"))).expect("json");
    if let Some(tag) = body.get_mut("biz_opaque_callback_data") {
        *tag = TAG.into();
    }
    body
}

fn message(to: &str, kind: &str, content: &Value) -> Outbound {
    let tag: Tag = TAG.parse().expect("a tag");
    let MessageId(id) = tag.message;
    let whole = json!({"id": id, "channel": "demo", "to": to, "type": kind, "content": content, "acceptedAt": Timestamp::EPOCH});
    serde_json::from_value(whole).expect("a message")
}

/// Ours, as the API takes it, for every file under `send/` that is a message.
fn ours() -> Vec<(&'static str, &'static str, Value)> {
    let link = "https://cdn.example.test/";
    vec![
        ("audio_id", "audio", json!({"id": "1037543291000003"})),
        ("audio_voice", "audio", json!({"id": "1037543291000004", "voice": true})),
        (
            "contacts",
            "contacts",
            json!({"contacts": [{"name": {"formattedName": "Marta Ejemplo", "firstName": "Marta", "lastName": "Ejemplo"}, "phones": [{"phone": "+34600222333", "type": "WORK", "waId": "34600222333"}]}]}),
        ),
        (
            "document_link",
            "document",
            json!({"link": format!("{link}c.pdf"), "filename": "contrato.pdf", "caption": "Contrato"}),
        ),
        ("image_id", "image", json!({"id": "1037543291000001", "caption": "Fachada"})),
        ("image_link", "image", json!({"link": format!("{link}a.jpg"), "caption": "Fachada"})),
        (
            "interactive_buttons",
            "interactive",
            json!({"type": "button", "header": {"type": "text", "text": "Visita"}, "body": "¿Qué hora prefieres?", "footer": "Responde cuando puedas", "action": {"buttons": [{"id": "slot-10h", "title": "10:00"}, {"id": "slot-12h", "title": "12:00"}]}}),
        ),
        (
            "interactive_cta_url",
            "interactive",
            json!({"type": "cta_url", "header": {"type": "image", "image": {"link": format!("{link}banner.png")}}, "body": "Reserva tu visita", "footer": "Plazas limitadas", "action": {"displayText": "Reservar", "url": "https://example.test/reservar?c=42"}}),
        ),
        (
            "interactive_flow",
            "interactive",
            json!({"type": "flow", "body": "Completa el formulario", "action": {"flowId": "990011", "flowCta": "Abrir", "flowToken": "visit-42-token", "flowAction": "navigate", "flowActionPayload": {"screen": "WELCOME", "data": {"nombre": "Lucía"}}}}),
        ),
        (
            "interactive_list",
            "interactive",
            json!({"type": "list", "header": {"type": "text", "text": "Zonas"}, "body": "Elige una zona", "footer": "Mallorca", "action": {"button": "Ver zonas", "sections": [{"title": "Costa", "rows": [{"id": "row-1", "title": "Santa Ponsa", "description": "Villas"}, {"id": "row-2", "title": "Alcudia"}]}, {"title": "Ciudad", "rows": [{"id": "row-3", "title": "Palma centro"}]}]}}),
        ),
        (
            "interactive_location_request",
            "interactive",
            json!({"type": "location_request_message", "body": "¿Dónde estás?"}),
        ),
        (
            "location",
            "location",
            json!({"latitude": 39.5696, "longitude": 2.6502, "name": "Oficina", "address": "Pl. Mayor 1, Palma"}),
        ),
        ("reaction", "reaction", json!({"messageId": WAMID, "emoji": "✅"})),
        ("reaction_remove", "reaction", json!({"messageId": WAMID})),
        ("sticker_id", "sticker", json!({"id": "1037543291000005"})),
        (
            "template_named",
            "template",
            json!({"name": "aviso_pago", "language": "es_ES", "components": [{"type": "body", "parameters": [{"type": "text", "parameterName": "nombre", "text": "Lucía"}, {"type": "text", "parameterName": "importe", "text": "120 €"}]}]}),
        ),
        ("template_no_params", "template", json!({"name": "hello_world", "language": "en_US"})),
        (
            "template_positional",
            "template",
            json!({"name": "visita_confirmada", "language": "es", "components": [
            {"type": "header", "parameters": [{"type": "image", "image": {"link": format!("{link}a.jpg")}}]},
            {"type": "body", "parameters": [{"type": "text", "text": "Lucía"}, {"type": "currency", "currency": {"fallbackValue": "1.000 €", "code": "EUR", "amount1000": 1_000_000}}, {"type": "date_time", "dateTime": {"fallbackValue": "15 de enero de 2026"}}]},
            {"type": "button", "subType": "quick_reply", "index": 0, "parameters": [{"type": "payload", "payload": "CONFIRM_VISIT_42"}]},
            {"type": "button", "subType": "url", "index": 1, "parameters": [{"type": "text", "text": "visita/42"}]}]}),
        ),
        ("text", "text", json!({"text": "Hola Lucía"})),
        (
            "text_preview_tracked",
            "text",
            json!({"text": "Mira https://example.test/villa", "previewUrl": true}),
        ),
        ("text_reply", "text", json!({"text": "Claro"})),
        ("text_to_bsuid", "text", json!({"text": "Hola"})),
        ("video_id", "video", json!({"id": "1037543291000002", "caption": "Visita"})),
    ]
}

#[test]
fn golden_requests() {
    let tag = TAG.parse().expect("a tag");
    for (name, kind, content) in ours() {
        let golden = golden(name);
        let to = golden.get("to").or(golden.get("recipient")).and_then(Value::as_str).expect("a recipient");
        let mut message = message(to, kind, &content);
        message.reply_to = golden.get("context").map(|_| ProviderMessageId(WAMID.into()));
        assert_eq!(crate::cloud_api::validate::validate(&message.to, &message.content), [], "{name}");
        let mut made = body(&message, tag).expect(name);
        if golden.get("biz_opaque_callback_data").is_none() {
            let tag = made.as_object_mut().and_then(|made| made.remove("biz_opaque_callback_data"));
            assert_eq!(tag, Some(TAG.into()), "{name}");
        }
        assert_eq!(made, golden, "{name}");
    }
    assert_eq!(mark_as_read(&ProviderMessageId(WAMID.into()), false), golden("mark_as_read"));
    assert_eq!(mark_as_read(&ProviderMessageId(WAMID.into()), true), golden("typing_indicator"));
}

#[test]
fn a_reaction_quotes_nothing_and_a_poll_is_refused() {
    let tag = TAG.parse().expect("a tag");
    let mut reaction = message("+34600111222", "reaction", &json!({"messageId": WAMID, "emoji": "✅"}));
    reaction.reply_to = Some(ProviderMessageId(WAMID.into()));
    assert_eq!(body(&reaction, tag).expect("a body").get("context"), None);
    let poll = message("+34600111222", "poll", &json!({"question": "?", "options": ["a", "b"]}));
    assert_eq!(body(&poll, tag).expect_err("refused").class, ErrorClass::Content);
}

#[test]
fn answers() {
    let answer = |status, body: &[u8]| Answer {
        status,
        headers: HeaderMap::new(),
        body: body.to_vec().into(),
        complete: true,
    };
    for (name, alias, status) in [
        ("200_text", Some("34600111222"), None),
        ("200_brazil_wa_id_differs", Some("551187654321"), None),
        ("200_bsuid", None, None),
        ("200_template_accepted", Some("34600111222"), Some("accepted")),
        ("200_template_held", Some("34600111222"), Some("held_for_quality_assessment")),
        ("200_template_paused", Some("34600111222"), Some("paused")),
    ] {
        let sent = outcome(&answer(200, &fixture(&format!("response/{name}.json")))).expect(name);
        assert_eq!((sent.alias.as_deref(), sent.status.as_deref()), (alias, status), "{name}");
        assert!(sent.provider_id.0.starts_with("wamid."), "{name}");
    }
    for (status, body, class) in [
        (200, fixture("response/200_empty_messages.json"), ErrorClass::Unknown),
        (200, b"".to_vec(), ErrorClass::Unknown),
        (200, b"<html>".to_vec(), ErrorClass::Unknown),
        (200, br#"{"messages":[{"id":""}]}"#.to_vec(), ErrorClass::Unknown),
        (200, br#"{"messages":[{"id":7}]}"#.to_vec(), ErrorClass::Unknown),
        (200, br#"{"error":{"code":131026}}"#.to_vec(), ErrorClass::Recipient),
        (502, fixture("response/502_html_body.html"), ErrorClass::Unknown),
        (400, fixture("response/400_131047.json"), ErrorClass::NeedsTemplate),
    ] {
        assert_eq!(outcome(&answer(status, &body)).expect_err("no success").class, class, "{status}");
    }
}
