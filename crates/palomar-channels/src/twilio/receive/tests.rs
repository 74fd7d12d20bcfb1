//! What each recorded form becomes.

use palomar_model::{Choice, ErrorClass, Fact, MessageState};

use super::*;
use crate::testing::{Table, files, fixture};

/// Five minutes past the time zero of the fixtures.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_767_225_900);
const TAG_TEXT: &str = "palomar:01890a5d-ac96-774b-bcce-b302099a8057:2";

pub(super) fn read(body: &[u8], query: &str) -> Parsed {
    let content_type = Some(form::CONTENT_TYPE);
    parse(&Delivery { query, content_type, body, received_at: NOW })
}

fn recorded(path: &str) -> Parsed {
    read(&std::fs::read(fixture(path)).expect(path), "")
}

fn message(file: &str) -> InboundMessage {
    let parsed = recorded(&format!("twilio/inbound/{file}.form"));
    match parsed.events.into_iter().next() {
        Some(Received { event: ChannelEvent::Message(message), line, .. }) => {
            assert_eq!(line.as_deref(), Some("+15550100200"), "{file}");
            *message
        }
        other => panic!("{file}: {other:?}"),
    }
}

/// File → kind and words; a problem for what is no message.
#[test]
fn every_recorded_message() {
    let expected = |file: &str| -> Result<(&str, &str), &str> {
        Ok(match file {
            "audio_voice.form" => ("audio", ""),
            "bsuid_only.form" | "bsuid_with_phone.form" | "messaging_service.form" => ("text", "Hola"),
            "button_quick_reply.form" => ("button", "Confirmar"),
            "document.form" => ("document", "contrato ñandú.pdf"),
            "empty_body_values.form" => ("text", ""),
            "image_caption.form" => ("image", "Fachada"),
            "invalid_percent_encoding.form" => ("text", "%ZZ\u{fffd}"),
            "list_reply.form" => ("interactive", "Palma centro"),
            "location.form" => ("location", "Catedral, Pl. de la Seu, Palma (39.5696, 2.6502)"),
            "location_pin_only.form" => ("location", "-34.6037, -58.3816"),
            "media_url_internal_address.form" | "media_url_lookalike_host.form" => ("image", "Fachada"),
            "media_url_not_http.form" | "media_url_other_host.form" => ("image", "Fachada"),
            "missing_message_sid.form" => return Err("/MessageSid"),
            "nummedia_more_than_urls.form" => ("image", ""),
            "nummedia_not_numeric.form" | "unknown_extra_param.form" => ("text", "Hola"),
            "plus_is_space.form" => ("text", "uno dos+tres"),
            "referral_ctwa.form" => ("text", "Vengo del anuncio"),
            "sticker.form" => ("sticker", ""),
            "stop.form" => ("text", "STOP"),
            "text.form" => ("text", "Hola, quería información 🏡"),
            "text_forwarded.form" => ("text", "Mira esto"),
            "text_frequently_forwarded.form" => ("text", "cadena"),
            "text_nul_bytes.form" => ("text", "hola mundo"),
            "text_reply.form" => ("text", "Sí, esa"),
            "vcard.form" => ("contacts", ""),
            "video.form" => ("video", ""),
            other => panic!("{other} is not in the table"),
        })
    };
    for (file, body) in files("twilio/inbound") {
        let parsed = read(&body, "");
        match (expected(&file), &parsed.events[..]) {
            (Ok((kind, text)), [Received { event: ChannelEvent::Message(message), .. }]) => {
                assert_eq!(
                    (message.kind.as_str(), message.text.as_deref().unwrap_or("")),
                    (kind, text),
                    "{file}"
                );
                assert_eq!(message.at, NOW);
                assert!(message.from.is_known() && message.provider_id.0.starts_with("SM"), "{file}");
                assert!(!message.raw.to_string().contains("\\u0000"), "{file}");
                let doubted = file.starts_with("nummedia_");
                assert_eq!(
                    parsed.problems.iter().map(|problem| problem.kept).collect::<Vec<_>>(),
                    vec![true; usize::from(doubted)],
                    "{file}"
                );
            }
            (Err(pointer), []) => {
                assert_eq!(parsed.problems[0].pointer, pointer, "{file}");
                assert!(!parsed.problems[0].kept);
            }
            (_, events) => panic!("{file}: {events:?}"),
        }
    }
}

#[test]
fn who_wrote() {
    let bsuid = Some("ES.918273645546372819");
    for (file, phone, wa_id, id, name) in [
        ("text", Some("+34600111222"), Some("34600111222"), None, Some("Lucía Prueba")),
        ("bsuid_only", None, None, bsuid, Some("Lucía Prueba")),
        ("bsuid_with_phone", Some("+34600111222"), Some("34600111222"), bsuid, Some("Lucía Prueba")),
        ("plus_is_space", Some("+34600111222"), Some("34600111222"), None, Some("A B")),
        ("invalid_percent_encoding", Some("+34600111222"), None, None, None),
    ] {
        let from = message(file).from;
        assert_eq!(from.phone.as_ref().map(Phone::e164), phone, "{file}");
        assert_eq!(from.wa_id.as_deref(), wa_id, "{file}");
        assert_eq!(from.bsuid.as_ref().map(Bsuid::expose), id, "{file}");
        assert_eq!(from.name.as_deref(), name, "{file}");
    }
    let nobody = read(b"MessageSid=SM1&Body=x&From=whatsapp%3A", "");
    assert_eq!((nobody.events.len(), nobody.problems[0].pointer.as_str()), (0, "/From"));
}

#[test]
fn what_else_comes_with_a_message() {
    let quoted = message("text_reply").context_id.expect("a context");
    assert_eq!(&*quoted.0, "MM0000000000000000000000000000004d");
    for (file, name, value) in [
        ("referral_ctwa", "ReferralCtwaClid", "Afexample_ctwa_clid_0001"),
        ("button_quick_reply", "ButtonPayload", "CONFIRM_VISIT_42"),
        ("list_reply", "ListId", "row-3"),
        ("location", "Latitude", "39.5696"),
        ("unknown_extra_param", "SomethingTwilioAddsLater", "1"),
        ("text_forwarded", "Forwarded", "true"),
        ("text_nul_bytes", "Body", "hola mundo"),
        ("empty_body_values", "Address", ""),
    ] {
        assert_eq!(message(file).raw[name], value, "{file}");
    }
    assert_eq!(message("text_reply").context_from.as_deref(), Some("+15550100200"));
    assert_eq!(message("text_forwarded").forwarded, Forwarded::Once);
    assert_eq!(message("text_frequently_forwarded").forwarded, Forwarded::Often);
    let ad = message("referral_ctwa").referral.expect("a referral");
    assert_eq!(ad.click_id.as_deref(), Some("Afexample_ctwa_clid_0001"));
    assert!(ad.media_url.is_some() && ad.headline.is_some() && ad.source_url.is_some());
    assert_eq!(message("text").referral, None);
    let bare = |form: &[u8]| match read(form, "").events.remove(0).event {
        ChannelEvent::Message(message) => message.kind,
        other => panic!("{other:?}"),
    };
    for (form, kind) in [
        (&b"Latitude=1&Longitude=2"[..], "location"),
        (b"ButtonPayload=x", "button"),
        (b"ListId=x", "interactive"),
        (b"MediaUrl0=https%3A%2F%2Fa.test&MediaContentType0=audio%2Fogg", "audio"),
        (b"MediaUrl0=https%3A%2F%2Fa.test", "document"),
        (b"Body=x", "text"),
    ] {
        let whole = [b"MessageSid=SM1&From=whatsapp%3A%2B34600111222&", form].concat();
        assert_eq!(bare(&whole), kind);
    }
}

#[test]
fn what_a_message_holds() {
    let InboundContent::Image(picture) = message("image_caption").content else { panic!("no picture") };
    assert_eq!(
        (picture.mime_type.as_deref(), picture.caption.as_deref()),
        (Some("image/jpeg"), Some("Fachada"))
    );
    assert!(picture.url.is_some_and(|url| url.starts_with("https://api.twilio.com/")));
    let InboundContent::Contacts(card) = message("vcard").content else { panic!("no card") };
    assert_eq!(card.file.and_then(|file| file.mime_type).as_deref(), Some("text/vcard"));
    let tapped = |id: &str, title: &str, description: Option<&str>| Choice {
        id: Some(id.to_owned()),
        title: Some(title.to_owned()),
        description: description.map(str::to_owned),
    };
    assert_eq!(
        message("button_quick_reply").content,
        InboundContent::TemplateButton(tapped("CONFIRM_VISIT_42", "Confirmar", None))
    );
    let row = tapped("row-3", "Palma centro", Some("Áticos y pisos"));
    assert_eq!(message("list_reply").content, InboundContent::ListReply(row));

    let of = |form: &str| {
        let whole = format!("MessageSid=SM1&From=whatsapp%3A%2B34600111222&{form}");
        let parsed = read(whole.as_bytes(), "");
        match parsed.events.into_iter().next().map(|received| received.event) {
            Some(ChannelEvent::Message(message)) => (*message, parsed.problems.len()),
            other => panic!("{form}: {other:?}"),
        }
    };
    let (two, _) = of("MediaUrl0=https%3A%2F%2Fa.test%2F0&MediaUrl1=https%3A%2F%2Fa.test%2F1");
    assert_eq!(two.content.media().and_then(|media| media.url.as_deref()), Some("https://a.test/0"));
    assert_eq!(two.more_media[0].url.as_deref(), Some("https://a.test/1"));
    for (form, doubts) in [
        ("MessageType=image&Body=x", 1),
        ("MessageType=location&Latitude=91&Longitude=0&Body=x", 1),
        ("MessageType=location&Latitude=NaN&Longitude=0&Body=x", 1),
        ("MessageType=button&Body=x", 1),
        ("MessageType=interactive&Body=x", 0),
        ("MessageType=later&Body=x", 0),
    ] {
        let (message, found) = of(form);
        assert_eq!((&message.content, found), (&InboundContent::Unknown, doubts), "{form}");
        assert_eq!(message.text.as_deref(), Some("x"), "{form}");
    }
}

/// What each recorded form becomes is written down, and stays so.
#[test]
fn what_each_form_becomes_is_documented() {
    let mut table = Table::new("Twilio");
    for folder in ["twilio/inbound", "twilio/status"] {
        table.section(folder);
        for (file, body) in files(folder) {
            table.row(&file, &read(&body, ""));
        }
    }
    table.compare("docs/intake/twilio.md");
}

/// File → the word of its status, the code of its failure, and what that code means for the message.
#[test]
fn every_recorded_report() {
    let expected = |file: &str| -> (&str, Option<&str>, Option<ErrorClass>) {
        let recipient = Some(ErrorClass::Recipient);
        match file {
            "accepted_messaging_service.form" => ("accepted", None, None),
            "canceled.form" => ("canceled", None, None),
            "delivered.form" => ("delivered", None, None),
            "failed_63003.form" => ("failed", Some("63003"), recipient),
            "failed_channel_status_message.form" => ("failed", Some("63024"), recipient),
            "partially_delivered.form" => ("partially_delivered", None, None),
            "queued.form" => ("queued", None, None),
            "read.form" => ("read", None, None),
            "scheduled.form" => ("scheduled", None, None),
            "sending.form" => ("sending", None, None),
            "sent.form" => ("sent", None, None),
            "undelivered_21610.form" => ("failed", Some("21610"), recipient),
            "undelivered_30008.form" => ("failed", Some("30008"), Some(ErrorClass::Transient)),
            "undelivered_63013.form" => ("failed", Some("63013"), Some(ErrorClass::Content)),
            "undelivered_63016.form" => ("failed", Some("63016"), Some(ErrorClass::NeedsTemplate)),
            "undelivered_63018.form" => {
                let scope = palomar_model::Scope::Channel;
                ("failed", Some("63018"), Some(ErrorClass::Throttled { after: None, scope }))
            }
            "undelivered_63024.form" => ("failed", Some("63024"), recipient),
            "undelivered_63032.form" => ("failed", Some("63032"), recipient),
            "undelivered_63041.form" => ("failed", Some("63041"), Some(ErrorClass::Content)),
            "undelivered_63049.form" => ("failed", Some("63049"), recipient),
            "undelivered_99999.form" => ("failed", Some("99999"), Some(ErrorClass::Content)),
            "unknown_status.form" => ("teleported", None, None),
            other => panic!("{other} is not in the table"),
        }
    };
    let query = format!("tag={}", TAG_TEXT.replace(':', "%3A"));
    for (file, body) in files("twilio/status") {
        let parsed = read(&body, &query);
        if file == "no_message_sid.form" {
            assert!(parsed.events.is_empty() && !parsed.problems[0].kept, "{parsed:?}");
            continue;
        }
        let [Received { event: ChannelEvent::Status(report), line, .. }] = &parsed.events[..] else {
            panic!("{file}: {parsed:?}")
        };
        let (word, code, class) = expected(&file);
        let error = report.errors.first();
        assert_eq!(report.status.as_str(), word, "{file}");
        assert_eq!(error.and_then(|error| error.code.as_deref()), code, "{file}");
        assert_eq!(error.map(|error| errors::class_of_status(error.code.as_deref())), class, "{file}");
        assert!(error.is_none_or(|error| !error.title.is_empty()), "{file}");
        assert_eq!(report.tag.map(|tag| tag.to_string()).as_deref(), Some(TAG_TEXT), "{file}");
        assert_eq!(report.recipient.as_deref(), Some("34600111222"), "{file}");
        assert_eq!(line.as_deref(), Some("+15550100200"), "{file}");
        let moves = matches!(word, "sent" | "delivered" | "read" | "failed");
        assert_eq!(matches!(report.status, Status::Known(_)), moves, "{file}");
    }
    let parsed = recorded("twilio/status/failed_channel_status_message.form");
    let ChannelEvent::Status(report) = &parsed.events[0].event else { panic!("{parsed:?}") };
    assert_eq!(report.tag, None);
    let detail = report.errors[0].detail.as_deref();
    assert_eq!(detail, Some("Message Undeliverable. (WhatsApp's code 131026)"));
}

/// All orders in which reports can come end in the same state.
#[test]
fn reports_in_any_order() {
    let facts: Vec<Fact> = ["queued", "sent", "delivered", "read"]
        .into_iter()
        .filter_map(|file| match &recorded(&format!("twilio/status/{file}.form")).events[0].event {
            ChannelEvent::Status(report) => match report.status {
                Status::Known(status) => Some(Fact::Reported(status)),
                Status::Other(_) => None,
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(facts.len(), 3);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let end = order.iter().fold(MessageState::Sending, |state, place| state.after(&facts[*place]));
        assert_eq!(end, MessageState::Read, "{order:?}");
    }
}

#[test]
fn other_ways_to_call() {
    let form = b"MessageSid=SM1&From=whatsapp%3A%2B34600111222&Body=Hola";
    let query = std::str::from_utf8(form).expect("text");
    let by_get = parse(&Delivery { query, content_type: None, body: b"", received_at: NOW });
    assert_eq!(by_get, read(form, ""));
    let json = |body: &[u8]| {
        let hash = "bodySHA256=00";
        parse(&Delivery { query: hash, content_type: Some("application/json"), body, received_at: NOW })
    };
    let kept = json(br#"[{"type":"com.twilio.messaging","x":1},{"y":2}]"#);
    assert_eq!(kept.events.len(), 2);
    assert!(
        matches!(&kept.events[0].event, ChannelEvent::Other { field, .. } if field == "com.twilio.messaging")
    );
    for body in [&b"{"[..], &[b'['; 5000]] {
        assert_eq!((json(body).events.len(), json(body).problems.len()), (0, 1));
    }
    let plain =
        parse(&Delivery { query: "", content_type: Some("text/plain"), body: form, received_at: NOW });
    assert_eq!((plain.events.len(), plain.problems.len()), (0, 1));
}

/// What is kept of a message is enough to read it again, but for what stood beside it.
#[test]
fn a_message_is_read_again_from_what_is_kept_of_it() {
    let mut again = 0;
    for (file, body) in files("twilio/inbound") {
        for received in read(&body, "").events {
            let ChannelEvent::Message(message) = received.event else { continue };
            let kept = Kept { field: None, raw: &message.raw, received_at: NOW };
            let read = reread(&kept).events.into_iter().find_map(|received| match received.event {
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
