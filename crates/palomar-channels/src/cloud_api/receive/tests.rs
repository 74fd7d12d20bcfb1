//! The recorded and the malformed bodies.

use palomar_model::{
    Change, Fact, InboundContent, InboundMessage, MessageState, ReportedStatus, Status, StatusReport,
};

use super::*;
use crate::testing::{Table, files, fixture};

/// Five minutes past the time zero of the fixtures.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_767_225_900);

fn parsed(path: &str) -> Parsed {
    parse(&std::fs::read(fixture(path)).expect(path), NOW)
}

fn messages(parsed: &Parsed) -> Vec<&InboundMessage> {
    let message = |received: &'_ Received| matches!(received.event, ChannelEvent::Message(_));
    parsed
        .events
        .iter()
        .filter(|received| message(received))
        .filter_map(|received| match &received.event {
            ChannelEvent::Message(message) => Some(&**message),
            _ => None,
        })
        .collect()
}

fn statuses(parsed: &Parsed) -> Vec<&StatusReport> {
    parsed
        .events
        .iter()
        .filter_map(|received| match &received.event {
            ChannelEvent::Status(report) => Some(&**report),
            _ => None,
        })
        .collect()
}

#[test]
fn every_recorded_body_is_read_without_a_problem() {
    for name in ["cloud-api/inbound", "cloud-api/status", "cloud-api/account", "cloud-api/batch"] {
        for (file, body) in files(name) {
            let parsed = parse(&body, NOW);
            assert_eq!(parsed.problems, [], "{file}");
            assert!(!parsed.events.is_empty(), "{file}");
            let other = |received: &Received| matches!(received.event, ChannelEvent::Other { .. });
            assert_eq!(parsed.events.iter().any(other), file == "unknown_field.json", "{file}");
        }
    }
    assert_eq!(messages(&parsed("cloud-api/batch/messages_200_entries.json")).len(), 200);
    assert_eq!(statuses(&parsed("cloud-api/batch/statuses_1000_one_change.json")).len(), 1000);
}

#[test]
fn who_wrote_what() {
    let bsuid = Some("ES.918273645546372819");
    for (file, phone, wa_id, id, name, text) in [
        (
            "text",
            Some("+34600111222"),
            Some("34600111222"),
            None,
            Some("Lucía Prueba"),
            "Hola, quería información del piso de Santa Ponsa 🏡",
        ),
        (
            "text_brazil_wa_id_without_9",
            Some("+5511987654321"),
            Some("551187654321"),
            None,
            Some("João Teste"),
            "Oi",
        ),
        (
            "text_mexico_wa_id_with_1",
            Some("+525512345678"),
            Some("5215512345678"),
            None,
            Some("Ana Prueba"),
            "Hola",
        ),
        (
            "text_argentina_wa_id_with_9",
            Some("+5491123456789"),
            Some("5491123456789"),
            None,
            Some("Juan Prueba"),
            "Hola",
        ),
        (
            "text_bsuid_with_phone",
            Some("+34600111222"),
            Some("34600111222"),
            bsuid,
            Some("Lucía Prueba"),
            "Hola de nuevo",
        ),
        ("text_username_no_phone", None, None, bsuid, Some("Lucía Prueba"), "Hola, soy nueva por aquí"),
        ("text_parent_bsuid", None, None, bsuid, Some("Lucía Prueba"), "Hola"),
        (
            "text_no_contacts_array",
            Some("+34600111222"),
            Some("34600111222"),
            None,
            None,
            "Sin bloque contacts",
        ),
        ("text_optout_stop", Some("+34600111222"), Some("34600111222"), None, Some("Lucía Prueba"), "STOP"),
    ] {
        let parsed = parsed(&format!("cloud-api/inbound/{file}.json"));
        let [message] = messages(&parsed)[..] else { panic!("{file}: {parsed:?}") };
        let from = &message.from;
        assert_eq!(from.phone.as_ref().map(palomar_model::Phone::e164), phone, "{file}");
        assert_eq!(from.wa_id.as_deref(), wa_id, "{file}");
        assert_eq!(from.bsuid.as_ref().map(palomar_model::Bsuid::expose), id, "{file}");
        assert_eq!(from.name.as_deref(), name, "{file}");
        assert_eq!((message.kind.as_str(), message.text.as_deref()), ("text", Some(text)), "{file}");
        assert_eq!(message.at, Timestamp::from_seconds(1_767_225_600), "{file}");
        assert_eq!(parsed.events[0].line.as_deref(), Some("100200300400500"), "{file}");
    }
}

/// What each recorded and each malformed body becomes is written down, and stays so.
#[test]
fn what_each_body_becomes_is_documented() {
    let mut table = Table::new("Cloud API");
    for folder in
        ["cloud-api/inbound", "cloud-api/status", "cloud-api/account", "cloud-api/batch", "malformed"]
    {
        table.section(folder);
        for (file, body) in files(folder) {
            table.row(&file, &parse(&body, NOW));
        }
    }
    table.compare("docs/intake/cloud-api.md");
}

/// Every content of a message was read, but for those that nobody knows yet; nothing is lost of any.
#[test]
fn what_is_not_known_is_kept_as_it_came() {
    for (file, body) in files("cloud-api/inbound") {
        let parsed = parse(&body, NOW);
        for message in messages(&parsed) {
            let unknown = ["future_type.json", "interactive_unknown_subtype.json"].contains(&file.as_str());
            assert_eq!(message.content == InboundContent::Unknown, unknown, "{file}: {message:?}");
            let kept: Value = serde_json::from_slice(&body).expect("json");
            assert!(kept.to_string().contains(&message.raw.to_string()), "{file}");
        }
    }
}

#[test]
fn what_else_comes_with_a_message() {
    let reply = parsed("cloud-api/inbound/text_reply_context.json");
    assert!(messages(&reply)[0].context_id.as_ref().is_some_and(|id| id.0.starts_with("wamid.")));
    assert!(messages(&parsed("cloud-api/inbound/text_group.json"))[0].group_id.is_some());
    let millis = parsed("cloud-api/inbound/text_timestamp_millis.json");
    assert_eq!(messages(&millis)[0].at, Timestamp::from_millis(1_767_225_600_123));
    let lines = parsed("cloud-api/inbound/two_changes_two_phone_numbers.json");
    let lines: Vec<_> = lines.events.iter().map(|received| received.line.as_deref()).collect();
    assert_eq!(lines, [Some("100200300400500"), Some("100200300400600")]);
    for file in ["two_entries", "two_messages_one_change"] {
        assert_eq!(messages(&parsed(&format!("cloud-api/inbound/{file}.json"))).len(), 2, "{file}");
    }
    let errors = parsed("cloud-api/inbound/value_level_errors_130429.json");
    let [Received { event: ChannelEvent::ChannelError { error }, .. }] = &errors.events[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(error.code.as_deref(), Some("130429"));
    let ad = parsed("cloud-api/inbound/text_referral_ctwa_image.json");
    let ad = messages(&ad)[0].referral.as_deref().expect("a referral");
    assert_eq!(ad.click_id.as_deref(), Some("Afexample_ctwa_clid_0001"));
    assert!(ad.media_url.is_some() && ad.welcome_text.is_some() && ad.headline.is_some());
    let asked = parsed("cloud-api/inbound/text_referred_product.json");
    let product = messages(&asked)[0].product.as_deref().expect("a product");
    assert_eq!(product.product_id.as_deref(), Some("sku-villa-42"));
}

/// Reactions, edits and deletions are changes of the message that they name.
#[test]
fn changes_of_earlier_messages() {
    for (file, kind, emoji, by_person) in [
        ("inbound/reaction", "reaction", Some("👍"), true),
        ("inbound/reaction_removed_empty_emoji", "reaction", None, true),
        ("inbound/reaction_removed_no_emoji", "reaction", None, true),
        ("inbound/edit_text", "edit", None, true),
        ("inbound/revoke", "deletion", None, true),
        ("account/smb_message_echo_revoke", "deletion", None, false),
    ] {
        let parsed = parsed(&format!("cloud-api/{file}.json"));
        let [Received { event: ChannelEvent::Change(change), .. }] = &parsed.events[..] else {
            panic!("{file}: {parsed:?}")
        };
        assert_eq!((change.change.kind(), change.by.person().is_some()), (kind, by_person), "{file}");
        assert!(change.of.0.starts_with("wamid.") && change.provider_id != Some(change.of.clone()), "{file}");
        match &change.change {
            Change::Reaction { emoji: found } => assert_eq!(found.as_deref(), emoji, "{file}"),
            Change::Edit { content } => assert_eq!(content.text().as_deref(), Some("Texto corregido")),
            _ => {}
        }
    }
}

#[test]
fn reports() {
    let known = Status::Known;
    for (file, status, codes) in [
        ("sent", known(ReportedStatus::Sent), &[][..]),
        ("delivered_to_bsuid_no_phone", known(ReportedStatus::Delivered), &[]),
        ("read_without_prior_delivered", known(ReportedStatus::Read), &[]),
        ("played_voice", known(ReportedStatus::Played), &[]),
        ("failed_131026", known(ReportedStatus::Failed), &["131026"]),
        ("failed_999999", known(ReportedStatus::Failed), &["999999"]),
        ("failed_no_errors_array", known(ReportedStatus::Failed), &[]),
        ("failed_two_errors", known(ReportedStatus::Failed), &["131026", "131000"]),
        ("failed_details_string", known(ReportedStatus::Failed), &["131000"]),
        ("deleted_legacy", Status::Other("deleted".to_owned()), &[]),
        ("future_status", Status::Other("teleported".to_owned()), &[]),
    ] {
        let parsed = parsed(&format!("cloud-api/status/{file}.json"));
        let [report] = statuses(&parsed)[..] else { panic!("{file}: {parsed:?}") };
        let found: Vec<_> = report.errors.iter().filter_map(|error| error.code.as_deref()).collect();
        assert_eq!((&report.status, &found[..]), (&status, codes), "{file}");
    }
    let details = parsed("cloud-api/status/failed_details_string.json");
    let detail = statuses(&details)[0].errors[0].detail.as_deref();
    assert_eq!(detail, Some("plain string instead of an object"));
    let priced = parsed("cloud-api/status/sent_legacy_cbp.json");
    assert!(statuses(&priced)[0].pricing.is_some() && statuses(&priced)[0].conversation.is_some());
    let both = parsed("cloud-api/status/message_and_status_same_post.json");
    assert_eq!((messages(&both).len(), statuses(&both).len()), (1, 1));
    let batch = parsed("cloud-api/status/batch_out_of_order.json");
    let end = statuses(&batch).iter().fold(MessageState::Sending, |state, report| match report.status {
        Status::Known(status) => state.after(&Fact::Reported(status)),
        Status::Other(_) => state,
    });
    assert_eq!(end, MessageState::Read);
}

#[test]
fn our_tag_comes_back_and_others_do_not() {
    let ours = "palomar:01890a5d-ac96-774b-bcce-b302099a8057:2";
    let body = std::fs::read_to_string(fixture("cloud-api/status/sent_with_biz_opaque_callback_data.json"));
    let body = body.expect("a file");
    let parsed = parse(body.replace("job:01JGXYZ0000000000000000001;attempt=2", ours).as_bytes(), NOW);
    assert_eq!(statuses(&parsed)[0].tag.map(|tag| tag.to_string()).as_deref(), Some(ours));
    assert_eq!(statuses(&parse(body.as_bytes(), NOW))[0].tag, None);
}

/// File → events, and problems as `kept` or not.
#[test]
fn malformed_bodies() {
    let expected = |file: &str| -> (usize, &[bool]) {
        match file {
            "duplicate_keys.json" | "empty_entry.json" | "changes_empty.json" | "changes_missing.json" => {
                (0, &[])
            }
            "huge_text_256k.json" | "lone_surrogate_escape.json" | "utf8_bom.json" => (1, &[]),
            "media_id_number.json" | "numbers_where_strings.json" => (1, &[]),
            "messages_array_mixed_junk_then_good.json" => (1, &[false, false, false]),
            "one_bad_change_one_good.json" => (1, &[true, false]),
            "metadata_missing.json" | "message_without_id.json" => (1, &[true]),
            file if file.starts_with("text_") || file.starts_with("timestamp_") => (1, &[true]),
            _ => (0, &[false]),
        }
    };
    for (file, body) in files("malformed") {
        let parsed = parse(&body, NOW);
        let kept: Vec<_> = parsed.problems.iter().map(|problem| problem.kept).collect();
        assert_eq!((parsed.events.len(), &kept[..]), expected(&file), "{file}: {parsed:?}");
        for received in &parsed.events {
            if let ChannelEvent::Message(message) = &received.event {
                assert!(message.at <= NOW, "{file}");
            }
        }
    }
    assert_eq!(parse(&vec![b' '; MAX_BODY + 1], NOW).problems.len(), 1);
}

/// What is kept of a message is enough to read it again, but for what stood beside it.
#[test]
fn a_message_is_read_again_from_what_is_kept_of_it() {
    let mut again = 0;
    for (file, body) in files("cloud-api/inbound") {
        for received in parse(&body, NOW).events {
            let ChannelEvent::Message(message) = received.event else { continue };
            let kept = Kept { field: None, raw: &message.raw, received_at: NOW };
            let read =
                reread(&kept, "100200300400500").events.into_iter().find_map(|received| {
                    match received.event {
                        ChannelEvent::Message(message) => Some(message),
                        _ => None,
                    }
                });
            let read = read.unwrap_or_else(|| panic!("{file} is not read again"));
            assert_eq!((read.provider_id, read.content), (message.provider_id, message.content), "{file}");
            again += 1;
        }
    }
    assert!(again > 20, "{again}");
}
