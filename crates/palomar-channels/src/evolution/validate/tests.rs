//! What is refused, and where.

use palomar_model::Recipient;
use serde_json::{Value, json};

use super::*;

fn pointers(to: &str, kind: &str, content: Value, menus: Menus) -> Vec<String> {
    let content = Content::from_parts(kind, content).expect("a content");
    let to = Recipient::parse(to, None).expect("a recipient");
    validate(&to, &content, menus).into_iter().map(|error| error.pointer).collect()
}

const LUCIA: &str = "+34600111222";

#[test]
fn what_is_refused_and_where() {
    let row = json!([{"id": "r", "title": "R"}]);
    let button = |n: usize| json!({"id": format!("b{n}"), "title": format!("B{n}")});
    let name = json!({"formattedName": "Marta", "firstName": "Marta"});
    let full = json!({"name": name, "phones": [{"phone": "+34 1"}, {"phone": "+34 2"}], "birthday": "2000-01-01",
        "addresses": [{"city": "Palma"}], "org": {"company": "X", "title": "Y"},
        "emails": [{"email": "a@b.c"}], "urls": [{"url": "https://a.test"}, {"url": "https://b.test"}]});
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("text", json!({"text": "Hola"}), &[]),
        ("text", json!({"text": "x".repeat(TEXT + 1)}), &["/content/text"]),
        ("image", json!({"link": "https://a.test/a.jpg"}), &[]),
        ("image", json!({"id": "1"}), &["/content/id"]),
        ("sticker", json!({"id": "1"}), &["/content/id"]),
        ("audio", json!({"link": "https://a.test/a.ogg", "voice": true}), &[]),
        ("location", json!({"latitude": 1.0, "longitude": 2.0}), &["/content/name", "/content/address"]),
        (
            "location",
            json!({"latitude": 1.0, "longitude": 2.0, "name": "N", "address": " "}),
            &["/content/address"],
        ),
        ("contacts", json!({"contacts": [{"name": name, "phones": [{"phone": "+34 1"}]}]}), &[]),
        ("contacts", json!({"contacts": [{"name": name}]}), &["/content/contacts/0/phones"]),
        (
            "contacts",
            json!({"contacts": [full]}),
            &[
                "/content/contacts/0/phones/1",
                "/content/contacts/0/urls/1",
                "/content/contacts/0/addresses",
                "/content/contacts/0/birthday",
                "/content/contacts/0/org/title",
            ],
        ),
        ("reaction", json!({"messageId": "x", "emoji": "👨‍👩‍👧‍👦"}), &[]),
        ("reaction", json!({"messageId": "x"}), &[]),
        ("reaction", json!({"messageId": "x", "emoji": "ok"}), &["/content/emoji"]),
        ("poll", json!({"question": "?", "options": ["a", "b"], "selectableCount": 0}), &[]),
        (
            "poll",
            json!({"question": "?", "options": ["1","2","3","4","5","6","7","8","9","10","11"]}),
            &["/content/options"],
        ),
        ("template", json!({"name": "t", "language": "es"}), &["/type"]),
        (
            "interactive",
            json!({"type": "button", "body": "b", "action": {"buttons": [button(1), button(2), button(3)]}}),
            &[],
        ),
        (
            "interactive",
            json!({"type": "button", "body": "b", "action": {"buttons": [button(1), button(2), button(3), button(4)]}}),
            &["/content/action/buttons"],
        ),
        (
            "interactive",
            json!({"type": "button", "body": "b", "header": {"type": "video", "video": {"link": "https://a.test/v.mp4"}}, "action": {"buttons": [button(1)]}}),
            &["/content/header"],
        ),
        (
            "interactive",
            json!({"type": "button", "body": "b", "header": {"type": "image", "image": {"id": "1"}}, "action": {"buttons": [button(1)]}}),
            &["/content/header/image/id"],
        ),
        (
            "interactive",
            json!({"type": "list", "body": "b", "footer": "f", "action": {"button": "Ver", "sections": [{"title": "S", "rows": row}]}}),
            &[],
        ),
        (
            "interactive",
            json!({"type": "list", "body": "b", "action": {"button": "Ver", "sections": [{"rows": row}]}}),
            &["/content/footer", "/content/action/sections/0/title"],
        ),
        (
            "interactive",
            json!({"type": "cta_url", "body": "b", "action": {"displayText": "d", "url": "https://a.test"}}),
            &[],
        ),
        (
            "interactive",
            json!({"type": "flow", "body": "b", "action": {"flowId": "1", "flowCta": "go"}}),
            &["/content/type"],
        ),
    ];
    for (kind, content, expected) in cases {
        let shown = content.to_string();
        assert_eq!(pointers(LUCIA, kind, content, Menus::Native), expected, "{kind} {shown}");
    }
    assert_eq!(pointers("ES.918273645546372819", "text", json!({"text": "x"}), Menus::Native), ["/to"]);
}

/// In words, a list needs neither footer nor headings; a picture has no place.
#[test]
fn menus_in_words_need_less() {
    let list = json!({"type": "list", "body": "b", "action": {"button": "Ver", "sections": [{"rows": [{"id": "r", "title": "R"}]}]}});
    assert!(pointers(LUCIA, "interactive", list, Menus::Text).is_empty());
    let picture = json!({"type": "button", "body": "b", "header": {"type": "image", "image": {"link": "https://a.test/a.png"}},
        "action": {"buttons": [{"id": "a", "title": "A"}]}});
    assert_eq!(pointers(LUCIA, "interactive", picture, Menus::Text), ["/content/header"]);
}
