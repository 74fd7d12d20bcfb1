//! What is stored is read back, also what earlier versions stored; and what people read of it.

use serde_json::json;

use super::*;
use crate::{ChannelEvent, ContactName, NewRecipients, Received};

fn message(content: InboundContent) -> InboundMessage {
    let id = ProviderMessageId("wamid.1".into());
    let from = Sender { wa_id: Some("34600111222".to_owned()), ..Sender::default() };
    InboundMessage::new(id, from, Timestamp::from_seconds(1_767_225_600), "x", content, json!({"a": 1}))
}

#[test]
fn what_earlier_versions_stored_is_read() {
    let stored = json!({
        "line": "100", "event": {
            "event": "message", "providerId": "wamid.1", "from": {"waId": "34600111222"},
            "at": "2026-01-01T00:00:00Z", "kind": "text", "text": "Hola", "raw": {},
        },
    });
    let Received { event: ChannelEvent::Message(message), account: None, .. } =
        serde_json::from_value(stored).expect("what was stored")
    else {
        panic!("another event")
    };
    assert_eq!((message.text.as_deref(), &message.content), (Some("Hola"), &InboundContent::Unknown));
    assert_eq!(message.forwarded, Forwarded::No);
    let report =
        json!({"event": "status", "providerId": "x", "status": "read", "at": "2026-01-01T00:00:00Z"});
    let ChannelEvent::Status(report) = serde_json::from_value(report).expect("what was stored") else {
        panic!("another event")
    };
    assert_eq!(report.identity(), "status:read:x");
}

#[test]
fn a_type_of_a_later_version_is_unknown() {
    let content: InboundContent =
        serde_json::from_value(json!({"type": "hologram", "depth": 3})).expect("read");
    assert_eq!(content, InboundContent::Unknown);
}

#[test]
fn every_content_comes_back_and_is_readable() {
    let media = InboundMedia {
        id: Some("m1".to_owned()),
        caption: Some("pie".to_owned()),
        ..InboundMedia::default()
    };
    let choice = Choice { id: Some("c1".to_owned()), title: Some("Sí".to_owned()), description: None };
    let cathedral = InboundLocation {
        latitude: 39.5696,
        longitude: 2.6502,
        name: Some("Catedral".to_owned()),
        address: Some("Palma".to_owned()),
        ..InboundLocation::default()
    };
    let pin = InboundLocation { latitude: -34.5, longitude: -58.0, ..InboundLocation::default() };
    let mut card = SharedContact::from_vcard("TEL:+34 600");
    card.card.name = ContactName { formatted_name: "Marta".to_owned(), ..ContactName::default() };
    let item = OrderItem {
        product_id: Some("sku-1".to_owned()),
        quantity: Some("2".to_owned()),
        ..OrderItem::default()
    };
    let system =
        SystemMessage { kind: SystemKind::NumberChanged, body: None, new_wa_id: None, new_bsuid: None };
    for (content, text) in [
        (InboundContent::Text(InboundWords { text: "Hola".to_owned() }), Some("Hola")),
        (InboundContent::Image(media.clone()), Some("pie")),
        (InboundContent::Video(media.clone()), Some("pie")),
        (InboundContent::Audio(InboundMedia { voice: true, ..InboundMedia::default() }), None),
        (InboundContent::Document(media.clone()), Some("pie")),
        (InboundContent::Sticker(InboundMedia::default()), None),
        (InboundContent::Location(cathedral), Some("Catedral, Palma (39.5696, 2.6502)")),
        (InboundContent::Location(pin), Some("-34.5, -58")),
        (
            InboundContent::Contacts(SharedContacts { contacts: vec![card], file: None }),
            Some("Marta, +34 600"),
        ),
        (InboundContent::ButtonReply(choice.clone()), Some("Sí")),
        (InboundContent::ListReply(Choice { title: None, ..choice.clone() }), Some("c1")),
        (InboundContent::TemplateButton(choice), Some("Sí")),
        (InboundContent::FlowReply(FlowReply { response: json!({"a": 1}), ..FlowReply::default() }), None),
        (InboundContent::CallPermission(CallPermission::default()), None),
        (InboundContent::Order(Order { items: vec![item], ..Order::default() }), Some("2 × sku-1")),
        (InboundContent::Product(Product::default()), None),
        (
            InboundContent::Poll(InboundPoll { question: "¿Cuándo?".to_owned(), ..InboundPoll::default() }),
            Some("¿Cuándo?"),
        ),
        (InboundContent::System(system), None),
        (InboundContent::Welcome, None),
        (InboundContent::Unsupported(Unsupported::default()), None),
        (InboundContent::Unknown, None),
    ] {
        let message = message(content);
        assert_eq!(message.text.as_deref(), text, "{message:?}");
        let json = serde_json::to_value(&message).expect("json");
        assert_eq!(json.pointer("/content/type").and_then(Value::as_str), Some(message.content.kind()));
        assert_eq!(serde_json::from_value::<InboundMessage>(json).expect("read"), message);
    }
}

#[test]
fn changes_come_back_and_have_an_identity_of_their_own() {
    let change = MessageChange {
        provider_id: Some(ProviderMessageId("same".into())),
        of: ProviderMessageId("same".into()),
        by: Author::Business,
        chat: None,
        at: Timestamp::from_seconds(1),
        change: Change::Deletion,
        raw: Value::Null,
    };
    assert_eq!(change.identity().as_deref(), Some("deletion:same"));
    for event in [
        ChannelEvent::Change(Box::new(change.clone())),
        ChannelEvent::Change(Box::new(MessageChange {
            change: Change::Reaction { emoji: None },
            by: Author::Person(Sender::default()),
            provider_id: None,
            ..change
        })),
        ChannelEvent::Echo(Box::new(Echo {
            to: Sender::default(),
            message: message(InboundContent::Welcome),
        })),
    ] {
        let json = serde_json::to_string(&event).expect("json");
        assert_eq!(serde_json::from_str::<ChannelEvent>(&json).expect("read"), event);
    }
}

#[test]
fn nothing_personal_is_shown() {
    let words = InboundContent::Text(InboundWords { text: "secreto".to_owned() });
    let change = Change::Edit { content: Box::new(words.clone()) };
    let shown = format!("{:?} {change:?}", message(words));
    assert!(!shown.contains("secreto") && !shown.contains("34600111222"), "{shown}");
}

#[test]
fn how_many_new_recipients() {
    for (text, number) in [
        ("TIER_250", Some(NewRecipients::AtMost(250))),
        ("TIER_10K", Some(NewRecipients::AtMost(10_000))),
        ("2000", Some(NewRecipients::AtMost(2_000))),
        ("TIER_UNLIMITED", Some(NewRecipients::Unlimited)),
        ("-1", Some(NewRecipients::Unlimited)),
        ("TIER_", None),
        ("99999999999999999999K", None),
    ] {
        assert_eq!(NewRecipients::parse(text), number, "{text}");
    }
}
