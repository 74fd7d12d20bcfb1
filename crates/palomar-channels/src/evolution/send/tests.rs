//! Every golden request that our vocabulary can make, made from our JSON; and the recorded answers.

use palomar_model::{IdGenerator, Priority, Secret, Timestamp};
use reqwest::header::HeaderMap;

use super::*;
use crate::testing::fixture;

fn golden(name: &str) -> Value {
    let body = std::fs::read(fixture(&format!("evolution/send/{name}.json"))).expect(name);
    serde_json::from_slice(&body).expect("json")
}

fn config() -> EvolutionConfig {
    EvolutionConfig {
        base_url: "http://localhost".to_owned(),
        instance: "main-line".to_owned(),
        api_key: Secret::from("key"),
        webhook_secret: Secret::default(),
        typing_ms: 0,
        interactive: Menus::Native,
    }
}

pub(in crate::evolution) fn message(to: &str, kind: &str, content: Value) -> Outbound {
    Outbound {
        id: IdGenerator::new(1).message_id(Timestamp::EPOCH),
        channel: "main".parse().expect("a name"),
        to: Recipient::parse(to, None).expect("a recipient"),
        content: Content::from_parts(kind, content).expect("a content"),
        priority: Priority::Normal,
        scheduled_at: None,
        expires_at: None,
        campaign_id: None,
        campaign_place: None,
        hours: None,
        reply_to: None,
        fallback: None,
        on_uncertain: None,
        metadata: Map::new(),
        accepted_at: Timestamp::from_seconds(1_767_225_600),
    }
}

const LUCIA: &str = "+34600111222";

#[test]
fn golden_requests() {
    let buttons = json!([{"id": "slot-10h", "title": "10:00"}, {"id": "slot-12h", "title": "12:00"}]);
    let rows = json!([{"id": "row-2", "title": "Alcudia", "description": "Villas"}]);
    let card = json!({"name": {"formattedName": "Marta Ejemplo", "firstName": "Marta"}, "org": {"company": "Inmobiliaria Ficticia"},
        "phones": [{"phone": "+34 600 222 333", "waId": "34600222333"}]});
    for (file, op, typing_ms, kind, content) in [
        ("send_text", "sendText", 1200, "text", json!({"text": "Hola Lucía"})),
        (
            "send_media_image_url",
            "sendMedia",
            0,
            "image",
            json!({"link": "https://cdn.example.test/a.jpg", "caption": "Fachada"}),
        ),
        (
            "send_whatsapp_audio",
            "sendWhatsAppAudio",
            1000,
            "audio",
            json!({"link": "https://cdn.example.test/n.ogg", "voice": true}),
        ),
        ("send_sticker", "sendSticker", 0, "sticker", json!({"link": "https://cdn.example.test/s.webp"})),
        (
            "send_location",
            "sendLocation",
            0,
            "location",
            json!({"latitude": 39.5696, "longitude": 2.6502, "name": "Oficina", "address": "Pl. Mayor 1"}),
        ),
        ("send_contact", "sendContact", 0, "contacts", json!({"contacts": [card]})),
        (
            "send_reaction",
            "sendReaction",
            1200,
            "reaction",
            json!({"messageId": "3EB0A1B2C3D4E5F60718", "emoji": "✅"}),
        ),
        ("send_poll", "sendPoll", 0, "poll", json!({"question": "¿Día?", "options": ["Lunes", "Martes"]})),
        (
            "send_buttons",
            "sendButtons",
            0,
            "interactive",
            json!({"type": "button", "header": {"type": "text", "text": "Visita"},
            "body": "¿Qué hora?", "footer": "Responde", "action": {"buttons": buttons}}),
        ),
        (
            "send_list",
            "sendList",
            0,
            "interactive",
            json!({"type": "list", "header": {"type": "text", "text": "Zonas"},
            "body": "Elige una zona", "footer": "Mallorca", "action": {"button": "Ver", "sections": [{"title": "Costa", "rows": rows}]}}),
        ),
    ] {
        let message = message(LUCIA, kind, content);
        let made = call(&message, &EvolutionConfig { typing_ms, ..config() }).expect(file);
        assert_eq!((made.op, &made.body), (op, &golden(file)), "{file}");
    }
}

#[test]
fn an_answer_quotes() {
    let mut message = message(LUCIA, "text", json!({"text": "Claro"}));
    message.reply_to = Some(ProviderMessageId("3EB0A1B2C3D4E5F60718".into()));
    let body = call(&message, &config()).expect("a call").body;
    let expected = golden("send_text_quoted");
    // The quoted words are optional, and not known here.
    assert_eq!((&body["text"], &body["quoted"]["key"]), (&expected["text"], &expected["quoted"]["key"]));
    assert_eq!(body["number"], "34600111222");
}

#[test]
fn files_are_named_by_their_address() {
    for (link, name, mime) in [
        ("https://cdn.test/x/Contrato.PDF?sig=1", Some("Contrato.PDF"), Some("application/pdf")),
        ("https://cdn.test/x/abc.bin", Some("abc.bin"), None),
        ("https://cdn.test/x/abc", None, None),
        ("https://cdn.test", None, None),
        ("https://cdn.test/a%2Fb.pdf", None, None),
    ] {
        let message = message(LUCIA, "document", json!({"link": link}));
        let body = call(&message, &config()).expect("a call").body;
        assert_eq!((body["fileName"].as_str(), body["mimetype"].as_str()), (name, mime), "{link}");
        assert_eq!(body["media"], link);
    }
    let named = message(LUCIA, "document", json!({"link": "https://cdn.test/1", "filename": "contrato.pdf"}));
    let body = call(&named, &config()).expect("a call").body;
    assert_eq!((&body["fileName"], &body["mimetype"]), (&json!("contrato.pdf"), &json!("application/pdf")));
    let sound = message(LUCIA, "audio", json!({"link": "https://cdn.test/n.mp3"}));
    let made = call(&sound, &config()).expect("a call");
    assert_eq!((made.op, &made.body["mediatype"]), ("sendMedia", &json!("audio")));
}

#[test]
fn what_it_does_not_have_is_refused() {
    for (to, kind, content, class) in [
        (LUCIA, "template", json!({"name": "t", "language": "es"}), ErrorClass::Content),
        (LUCIA, "image", json!({"id": "123"}), ErrorClass::Content),
        (LUCIA, "interactive", json!({"type": "request_contact_info"}), ErrorClass::Content),
        ("ES.918273645546372819", "text", json!({"text": "x"}), ErrorClass::Recipient),
    ] {
        let refused = call(&message(to, kind, content), &config()).expect_err("refused");
        assert_eq!(refused.class, class, "{kind} to {to}");
    }
}

#[test]
fn menus_in_words() {
    let list = json!({"type": "list", "header": {"type": "text", "text": "Zonas"}, "body": "Elige", "footer": "Mallorca",
        "action": {"button": "Ver", "sections": [
            {"title": "Costa", "rows": [{"id": "a", "title": "Alcudia", "description": "Villas"}]},
            {"title": "Palma", "rows": [{"id": "b", "title": "Centro"}]}]}});
    let link = json!({"type": "cta_url", "body": "Mira", "action": {"displayText": "Ver piso", "url": "https://example.test/1"}});
    let config = EvolutionConfig { interactive: Menus::Text, ..config() };
    for (content, text) in [
        (list, "*Zonas*\n\nElige\n\n*Costa*\n1. Alcudia (Villas)\n\n*Palma*\n2. Centro\n\n_Mallorca_"),
        (link, "Mira\n\nVer piso: https://example.test/1"),
    ] {
        let made = call(&message(LUCIA, "interactive", content), &config).expect("a call");
        assert_eq!((made.op, made.body["text"].as_str()), ("sendText", Some(text)));
    }
}

#[test]
fn without_a_header_the_body_is_the_title() {
    let content = json!({"type": "button", "body": "¿Qué hora?", "action": {"buttons": [{"id": "a", "title": "10:00"}]}});
    let body = call(&message(LUCIA, "interactive", content), &config()).expect("a call").body;
    assert_eq!((body["title"].as_str(), body.get("description")), (Some("¿Qué hora?"), None));
}

#[test]
fn answers() {
    let outcome_of = |status: u16, body: &[u8]| {
        outcome(&Answer { status, headers: HeaderMap::new(), body: body.to_vec().into(), complete: true })
    };
    for file in ["201_send_text", "201_send_media", "201_send_reaction"] {
        let body = std::fs::read(fixture(&format!("evolution/response/{file}.json"))).expect(file);
        let sent = outcome_of(201, &body).expect(file);
        assert_eq!(&*sent.provider_id.0, "BAE5F00000000001", "{file}");
        assert_eq!(
            (sent.alias.as_deref(), sent.status.as_deref()),
            (Some("34600111222"), Some("PENDING")),
            "{file}"
        );
    }
    let hidden = outcome_of(201, br#"{"key":{"id":"X","remoteJid":"123456789012345@lid"}}"#).expect("sent");
    assert_eq!(hidden.alias.as_deref(), Some("123456789012345@lid"));
    for body in [
        &br#"{"error":true,"message":"[object Object]"}"#[..],
        b"",
        b"{}",
        br#"{"key":{"id":""}}"#,
        br#"{"key":"#,
    ] {
        assert_eq!(outcome_of(200, body).expect_err("nothing is known").class, ErrorClass::Unknown);
    }
}
