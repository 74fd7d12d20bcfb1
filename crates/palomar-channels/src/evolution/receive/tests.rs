//! What each recorded webhook becomes; the shapes that older versions send; damage.

use palomar_model::{
    Author, Change, ChannelNews, ConnectionState, InboundContent, InboundMessage, MessageChange,
    ReportedStatus, Status, StatusReport,
};
use serde_json::json;

use super::*;
use crate::testing::{Dice, Table, files, fixture};

/// Five minutes past the time zero of the fixtures.
const NOW: Timestamp = Timestamp::from_seconds(1_767_225_900);

/// What each recorded body becomes is written down, and stays so; none is without an event, none has a problem.
#[test]
fn what_each_body_becomes_is_documented() {
    let mut table = Table::new("Evolution");
    table.section("evolution/webhook");
    for (file, body) in files("evolution/webhook") {
        let parsed = parse(&body, NOW);
        assert_eq!(parsed.problems, [], "{file}");
        assert!(!parsed.events.is_empty(), "{file}");
        let line = (file != "error_event.json").then_some("main-line");
        assert!(parsed.events.iter().all(|received| received.line.as_deref() == line), "{file}");
        table.row(&file, &parsed);
    }
    table.compare("docs/intake/evolution.md");
}

fn parsed(file: &str) -> Parsed {
    parse(&std::fs::read(fixture(&format!("evolution/webhook/{file}.json"))).expect(file), NOW)
}

fn message(file: &str) -> InboundMessage {
    match &parsed(file).events[..] {
        [Received { event: ChannelEvent::Message(message), .. }] => (**message).clone(),
        other => panic!("{file}: {other:?}"),
    }
}

fn change(file: &str) -> MessageChange {
    match &parsed(file).events[..] {
        [Received { event: ChannelEvent::Change(change), .. }] => (**change).clone(),
        other => panic!("{file}: {other:?}"),
    }
}

fn report(file: &str) -> StatusReport {
    match &parsed(file).events[..] {
        [Received { event: ChannelEvent::Status(report), .. }] => (**report).clone(),
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn who_wrote_what_when() {
    for (file, id, group) in [
        ("messages_upsert_text", "3EB0A1B2C3D4E5F60718", None),
        ("messages_upsert_text_lid", "3EB0A1B2C3D4E5F60719", None),
        ("messages_upsert_group", "3EB0A1B2C3D4E5F60720", Some("120363000000000001@g.us")),
    ] {
        let message = message(file);
        assert_eq!((&*message.provider_id.0, message.group_id.as_deref()), (id, group), "{file}");
        let from = &message.from;
        assert_eq!(from.phone.as_ref().map(palomar_model::Phone::e164), Some("+34600111222"), "{file}");
        assert_eq!(
            (from.wa_id.as_deref(), from.name.as_deref()),
            (Some("34600111222"), Some("Lucía Prueba"))
        );
        assert_eq!(message.at, Timestamp::from_seconds(1_767_225_600), "{file}");
    }
    assert_eq!(message("messages_upsert_text_lid").from.lid.as_deref(), Some("123456789012345"));
    let reply = message("messages_upsert_text_reply");
    assert_eq!(reply.context_id.as_ref().map(|id| &*id.0), Some("3EB0FFFF000011112222"));
    assert_eq!(reply.context_from.as_deref(), Some("15550100200"));
}

#[test]
fn what_they_say() {
    for (file, kind, text) in [
        ("messages_upsert_text", "text", Some("Hola, quería información 🏡")),
        ("messages_upsert_image", "image", Some("Fachada")),
        ("messages_upsert_view_once", "image", None),
        ("messages_upsert_video", "video", Some("Visita")),
        ("messages_upsert_audio_ptt", "audio", None),
        ("messages_upsert_document", "document", Some("Firmado")),
        ("messages_upsert_sticker", "sticker", None),
        ("messages_upsert_location", "location", Some("Catedral, Palma (39.5696, 2.6502)")),
        ("messages_upsert_contact", "contacts", Some("Marta Ejemplo, +34 600 222 333")),
        ("messages_upsert_contacts_array", "contacts", Some("A, +34600000001\nB")),
        ("messages_upsert_button_reply", "template_button", Some("10:00")),
        ("messages_upsert_buttons_response", "button_reply", Some("10:00")),
        ("messages_upsert_interactive_response", "button_reply", Some("10:00")),
        ("messages_upsert_list_response", "list_reply", Some("Palma centro")),
        ("messages_upsert_poll_creation", "poll", Some("¿Día?")),
        ("messages_upsert_unknown_type", "unknown", None),
        ("event_uppercase_name", "text", Some("nombre de evento en mayúsculas")),
        ("messages_upsert_v1_array_data", "text", Some("forma antigua: data es una lista")),
    ] {
        let message = message(file);
        assert_eq!((message.content.kind(), message.text.as_deref()), (kind, text), "{file}");
    }
    let media = |file: &str| message(file).content.media().cloned().expect("media");
    assert!(media("messages_upsert_audio_ptt").voice && media("messages_upsert_view_once").view_once);
    let image = media("messages_upsert_image");
    assert_eq!(
        (image.id.as_deref(), image.size, &image.url),
        (Some("3EB0A1B2C3D4E5F60718"), Some(34567), &None)
    );
    assert_eq!(media("messages_upsert_image_base64").inline_at.as_deref(), Some("/message/base64"));
    let kept = media("messages_upsert_image_s3").url;
    assert_eq!(kept.as_deref(), Some("https://s3.example.test/evolution/abc.jpg?sig=1"));
    for (file, id) in
        [("messages_upsert_interactive_response", "slot-10h"), ("messages_upsert_list_response", "row-3")]
    {
        let (InboundContent::ButtonReply(choice) | InboundContent::ListReply(choice)) = message(file).content
        else {
            panic!("{file}")
        };
        assert_eq!(choice.id.as_deref(), Some(id));
    }
}

#[test]
fn what_was_done_to_earlier_messages() {
    let theirs = "3EB0A1B2C3D4E5F60718";
    for (file, of, kind, text) in [
        ("messages_upsert_reaction", "BAE5F00000000001", "reaction", None),
        ("messages_upsert_reaction_removed", "BAE5F00000000001", "reaction", None),
        ("messages_upsert_poll_vote", "BAE5F00000000002", "vote", None),
        ("messages_upsert_edit_as_protocol_message", theirs, "edit", Some("Texto corregido")),
        ("messages_edited", theirs, "edit", Some("Texto corregido")),
        (
            "messages_edited_extended_text_numeric_type",
            theirs,
            "edit",
            Some("Texto corregido con https://example.test"),
        ),
        ("messages_edited_image_caption", theirs, "edit", Some("Pie de foto corregido")),
        ("messages_edited_key_in_sender_view", theirs, "edit", Some("Texto corregido por el contacto")),
        ("messages_edited_revoke_not_an_edit", theirs, "deletion", None),
        ("messages_delete", theirs, "deletion", None),
    ] {
        let found = change(file);
        assert_eq!((&*found.of.0, found.change.kind()), (of, kind), "{file}");
        let said = match &found.change {
            Change::Edit { content } => content.text(),
            _ => None,
        };
        assert_eq!(said.as_deref(), text, "{file}");
        let named = matches!(found.by, Author::Person(_));
        assert_eq!(named, file.starts_with("messages_upsert"), "{file}");
    }
    assert_eq!(change("messages_upsert_reaction_removed").change, Change::Reaction { emoji: None });
    let votes = parsed("messages_update_poll_votes");
    let [_, Received { event: ChannelEvent::Change(votes), .. }] = &votes.events[..] else {
        panic!("{votes:?}")
    };
    let Change::Votes { options } = &votes.change else { panic!("{votes:?}") };
    assert_eq!(options[0].voters, ["34600111222"]);
}

#[test]
fn what_the_business_wrote_elsewhere() {
    let parsed = parsed("messages_upsert_from_me_phone");
    let [Received { event: ChannelEvent::Echo(echo), .. }] = &parsed.events[..] else { panic!("{parsed:?}") };
    let text = echo.message.text.as_deref();
    assert_eq!((echo.to.wa_id.as_deref(), text), (Some("34600111222"), Some("Respondo desde el móvil")));
    assert_eq!(echo.to.name, None, "the name that comes is our own");
}

#[test]
fn what_becomes_of_the_phone() {
    for (file, expected) in [
        ("connection_update_open", ConnectionState::Open),
        ("connection_update_connecting", ConnectionState::Connecting),
        ("connection_update_close_401_logged_out", ConnectionState::LoggedOut),
        ("connection_update_close_403_banned", ConnectionState::Banned),
        ("connection_update_refused_qr_limit", ConnectionState::QrRefused),
        ("status_instance_closed", ConnectionState::LoggedOut),
        ("qrcode_limit_reached", ConnectionState::QrRefused),
    ] {
        let parsed = parsed(file);
        let [Received { event: ChannelEvent::Channel { what, .. }, .. }] = &parsed.events[..] else {
            panic!("{file}: {parsed:?}")
        };
        assert!(
            matches!(&**what, ChannelNews::Connection { state, .. } if *state == expected),
            "{file}: {what:?}"
        );
    }
    let close = |reason: u32| {
        let body = json!({"event": "connection.update", "instance": "i", "data": {"state": "close", "statusReason": reason}});
        match &parse(body.to_string().as_bytes(), NOW).events[0].event {
            ChannelEvent::Channel { what, .. } => match &**what {
                ChannelNews::Connection { state, .. } => *state,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    // Of all reasons that are documented, these alone are final.
    let text =
        std::fs::read_to_string(fixture("error-codes/evolution_status_reason.csv")).expect("the table");
    for line in text.lines().skip(1) {
        let mut columns = line.split(',');
        let reason: u32 = columns.next().and_then(|reason| reason.parse().ok()).expect("a number");
        let stops = columns.nth(1).is_some_and(|what| what.starts_with("stop"));
        assert_eq!(close(reason) != ConnectionState::Closed, stops, "{line}");
    }
    let qr = parsed("qrcode_updated_pairing_code");
    let [Received { event: ChannelEvent::Channel { what, .. }, .. }] = &qr.events[..] else {
        panic!("{qr:?}")
    };
    assert!(matches!(&**what, ChannelNews::Qr(qr) if qr.pairing_code.as_deref() == Some("WZYEH1YY")));
}

/// Without a number beside it, a hidden one is the only name there is; and none is made up.
#[test]
fn a_hidden_number_stays_hidden() {
    let upsert = |key: Value| {
        let body = json!({"event": "messages.upsert", "instance": "i", "data": {"key": key, "messageType": "conversation",
            "message": {"conversation": "Hola"}, "messageTimestamp": 1_767_225_600}});
        parse(body.to_string().as_bytes(), NOW)
    };
    let hidden = upsert(json!({"id": "X", "fromMe": false, "remoteJid": "123456789012345@lid"}));
    let [Received { event: ChannelEvent::Message(message), .. }] = &hidden.events[..] else {
        panic!("{hidden:?}")
    };
    let from = &message.from;
    assert_eq!((&from.phone, &from.wa_id, from.lid.as_deref()), (&None, &None, Some("123456789012345")));
    for nobody in [json!({"id": "X", "remoteJid": "120363000000000001@g.us"}), json!({"id": "X"})] {
        let parsed = upsert(nobody);
        assert_eq!((parsed.events.len(), parsed.problems.len()), (0, 1), "{parsed:?}");
    }
}

#[test]
fn reports() {
    let read = report("messages_update_read");
    assert_eq!((&*read.provider_id.0, read.recipient.as_deref()), ("BAE5F00000000001", Some("34600111222")));
    assert_eq!((read.at, read.errors.len()), (NOW, 0));
    assert_eq!(report("messages_update_error").errors.len(), 1);
    let update =
        |data: Value| parse(json!({"event": "messages.update", "data": data}).to_string().as_bytes(), NOW);
    for (number, word) in
        [(0, "failed"), (1, "PENDING"), (2, "sent"), (3, "delivered"), (4, "read"), (5, "played")]
    {
        let parsed = update(json!({"key": {"id": "X", "fromMe": true}, "update": {"status": number}}));
        let ChannelEvent::Status(report) = &parsed.events[0].event else { panic!("{parsed:?}") };
        assert_eq!(report.status.as_str(), word);
    }
    let theirs = update(json!({"keyId": "X", "fromMe": false, "status": "READ"}));
    assert!(matches!(&theirs.events[0].event, ChannelEvent::Other { .. }), "{theirs:?}");
    let deleted = report("messages_update_deleted").status;
    assert_eq!(deleted, Status::Other("DELETED".to_owned()), "it may be any number that is not known");
    let member = update(
        json!({"keyId": "X", "participant": "34600111222@s.whatsapp.net", "remoteJid": "1@g.us", "status": "READ"}),
    );
    let ChannelEvent::Status(report) = &member.events[0].event else { panic!("{member:?}") };
    assert_eq!(
        (report.participant.as_deref(), &report.status),
        (Some("34600111222"), &Status::Known(ReportedStatus::Read))
    );
    assert_eq!(update(json!({"key": {"id": "X"}, "update": {"status": 9}})).problems.len(), 1);
    // One bad item hides none beside it.
    let mixed = update(json!([null, {"keyId": "X", "status": "READ"}, {"status": "READ"}, 3]));
    assert_eq!((mixed.events.len(), mixed.problems.len()), (1, 3), "{mixed:?}");
}

#[test]
fn times_that_make_no_sense() {
    for (at, expected) in [
        (json!(1_767_225_600), 1_767_225_600),
        (json!("1767225600"), 1_767_225_600),
        (json!({"low": 1_767_225_600, "high": 0, "unsigned": true}), 1_767_225_600),
        (json!(1_767_225_600_000_i64), 1_767_225_600),
        (json!(-5), 1_767_225_900),
        (json!(1e300), 1_767_225_900),
        (json!(253_402_300_799_i64), 1_767_225_900),
        (json!({"low": -1, "high": i64::MAX}), 1_767_225_900),
        (json!(null), 1_767_225_900),
    ] {
        let body = json!({"event": "messages.upsert", "data": {"key": {"id": "X", "remoteJid": "34600111222@s.whatsapp.net"},
            "messageType": "conversation", "message": {"conversation": "Hola"}, "messageTimestamp": at}});
        let parsed = parse(body.to_string().as_bytes(), NOW);
        let [Received { event: ChannelEvent::Message(message), .. }] = &parsed.events[..] else {
            panic!("{parsed:?}")
        };
        assert_eq!(message.at, Timestamp::from_seconds(expected), "{at}");
        assert_eq!(parsed.problems.len(), usize::from(expected == 1_767_225_900), "{at}");
        assert!(parsed.problems.iter().all(|problem| problem.kept));
    }
}

#[test]
fn what_is_no_webhook_is_a_problem_and_nothing_worse() {
    for (file, body) in files("malformed") {
        let parsed = parse(&body, NOW);
        assert_eq!((parsed.events.len(), parsed.problems.len()), (0, 1), "{file}: {parsed:?}");
    }
    assert_eq!(parse(&vec![b' '; MAX_BODY + 1], NOW).problems.len(), 1);
    let broken = br#"{"event":"messages.upsert","data":{"key":{"id":"X","remoteJid":"34600111222@s.whatsapp.net"},"messageType":"conversation","message":{"conversation":"a\ud83dz\u0000"},"messageTimestamp":1767225600}}"#;
    let parsed = parse(broken, NOW);
    let [Received { event: ChannelEvent::Message(message), .. }] = &parsed.events[..] else {
        panic!("{parsed:?}")
    };
    assert_eq!(message.text.as_deref(), Some("a\u{fffd}z"));
}

/// Whatever is done to a body: no panic, and no person who is nobody. `SEED` chooses the damage.
#[test]
fn damaged_bodies() {
    let mut dice = Dice::from_env();
    let corpus: Vec<_> = files("evolution/webhook").into_iter().map(|(_, body)| body).collect();
    let mut read = 0;
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        dice.damage(&mut body);
        let parsed = parse(&body, NOW);
        assert!(
            !parsed.events.is_empty() || !parsed.problems.is_empty(),
            "{}",
            String::from_utf8_lossy(&body)
        );
        for received in &parsed.events {
            if let ChannelEvent::Message(message) = &received.event {
                assert!(message.from.is_known() && !message.provider_id.0.is_empty());
            }
        }
        read += usize::from(!parsed.events.is_empty());
    }
    assert!(read > 1000, "the damage leaves too little to read ({read})");
}

/// What is kept of a message is enough to read it again, but for what stood beside it.
#[test]
fn a_message_is_read_again_from_what_is_kept_of_it() {
    let mut again = 0;
    for (file, body) in files("evolution/webhook") {
        for received in parse(&body, NOW).events {
            let ChannelEvent::Message(message) = received.event else { continue };
            let kept = Kept { field: None, raw: &message.raw, received_at: NOW };
            let read =
                reread(&kept, "main-line").events.into_iter().find_map(|received| match received.event {
                    ChannelEvent::Message(message) => Some(message),
                    _ => None,
                });
            let read = read.unwrap_or_else(|| panic!("{file} is not read again"));
            assert_eq!((read.provider_id, read.content), (message.provider_id, message.content), "{file}");
            again += 1;
        }
    }
    assert!(again > 20, "{again}");
}
