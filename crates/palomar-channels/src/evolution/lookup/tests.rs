//! Which of the messages that Evolution keeps is ours.

use super::*;
use crate::evolution::send::tests::message;

fn record(id: &str, second: i64, content: &Value) -> Value {
    let key = json!({"id": id, "fromMe": true, "remoteJid": "34600111222@s.whatsapp.net"});
    json!({"id": "cm1", "key": key, "message": content, "messageTimestamp": second})
}

fn found(message: &Outbound, records: &[Value]) -> Vec<String> {
    let answer =
        json!({"messages": {"total": records.len(), "pages": 1, "currentPage": 1, "records": records}});
    let as_list = find(message, &json!(records));
    let found = find(message, &answer);
    assert_eq!(as_list, found, "older versions answer a plain list");
    match found {
        Lookup::Alike(sent) => sent.into_iter().map(|sent| sent.provider_id.0.to_string()).collect(),
        Lookup::Unknowable => Vec::new(),
        other => panic!("{other:?}"),
    }
}

const NOW: i64 = 1_767_225_600;

#[test]
fn contents_are_told_apart() {
    let place = json!({"latitude": 39.5696, "longitude": 2.6502, "name": "O", "address": "P"});
    let card = json!({"contacts": [{"name": {"formattedName": "Marta", "firstName": "M"}, "phones": [{"phone": "+34 1"}]}]});
    for (kind, content, kept, other) in [
        ("text", json!({"text": "Hola"}), json!({"conversation": "Hola"}), json!({"conversation": "Hola!"})),
        (
            "text",
            json!({"text": "Hola"}),
            json!({"extendedTextMessage": {"text": "Hola"}}),
            json!({"imageMessage": {"caption": "Hola"}}),
        ),
        (
            "image",
            json!({"link": "https://a.test/a.jpg", "caption": "Fachada"}),
            json!({"imageMessage": {"caption": "Fachada"}}),
            json!({"videoMessage": {"caption": "Fachada"}}),
        ),
        (
            "document",
            json!({"link": "https://a.test/a.pdf", "caption": "Firmado"}),
            json!({"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "Firmado"}}}}),
            json!({"documentMessage": {"caption": "Otro"}}),
        ),
        (
            "location",
            place,
            json!({"locationMessage": {"degreesLatitude": 39.569_600_1, "degreesLongitude": 2.6502}}),
            json!({"locationMessage": {"degreesLatitude": 39.57, "degreesLongitude": 2.6502}}),
        ),
        (
            "poll",
            json!({"question": "¿Día?", "options": ["a", "b"]}),
            json!({"pollCreationMessageV3": {"name": "¿Día?"}}),
            json!({"pollCreationMessage": {"name": "¿Mes?"}}),
        ),
        (
            "reaction",
            json!({"messageId": "X", "emoji": "👍"}),
            json!({"reactionMessage": {"key": {"id": "X"}, "text": "👍"}}),
            json!({"reactionMessage": {"key": {"id": "X"}, "text": ""}}),
        ),
        (
            "contacts",
            card,
            json!({"contactMessage": {"displayName": "Marta"}}),
            json!({"contactMessage": {"displayName": "Ana"}}),
        ),
    ] {
        let message = message("+34600111222", kind, content);
        let records = [record("THEIRS", NOW + 1, &other), record("OURS", NOW + 2, &kept)];
        assert_eq!(found(&message, &records), ["OURS"], "{kind}");
        assert!(found(&message, &records[..1]).is_empty(), "{kind}");
    }
    let nameless = message("+34600111222", "audio", json!({"link": "https://a.test/a.ogg"}));
    assert!(found(&nameless, &[record("X", NOW, &json!({"audioMessage": {}}))]).is_empty());
}

#[test]
fn only_those_that_are_ours_and_late_enough() {
    let message = message("+34600111222", "text", json!({"text": "ok"}));
    let ok = json!({"conversation": "ok"});
    let (early, late) = (record("EARLY", NOW - 61, &ok), record("LATE", NOW - 59, &ok));
    assert_eq!(found(&message, &[early, late.clone()]), ["LATE"]);
    assert_eq!(found(&message, &[late.clone(), record("TOO", NOW, &ok)]), ["LATE", "TOO"]);
    let mut theirs = record("THEIRS", NOW, &ok);
    theirs["key"]["fromMe"] = json!(false);
    assert_eq!(found(&message, &[theirs, late]), ["LATE"]);
    let mut as_text = record("X", NOW, &ok);
    as_text["messageTimestamp"] = json!("1767225600");
    assert_eq!(found(&message, &[as_text]), ["X"]);
    for answer in [json!(null), json!({}), json!({"messages": 3}), json!([1, null, {"key": 1}])] {
        assert_eq!(find(&message, &answer), Lookup::Unknowable);
    }
}
