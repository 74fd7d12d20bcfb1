//! Each kind of entry is these events, and says no more than it may.

use std::fmt::Write as _;

use palomar_records::FeedEntry;
use serde_json::{Value, json};

use super::*;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/EVENTS.md");

fn entry(kind: &str, counted: &str, detail: Value) -> FeedEntry {
    FeedEntry {
        seq: 7,
        at: Timestamp::from_seconds(1_767_225_600),
        kind: kind.to_owned(),
        channel: Some("demo".parse().expect("a name")),
        message_id: None,
        detail,
        counted: counted.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        message: None,
        conversation: None,
    }
}

fn report() -> Value {
    json!({ "providerMessageId": "wamid.1", "status": "read", "pricing": null })
}

#[test]
fn entries_are_these_events() {
    let none = || json!({});
    for (name, kind, counted, detail, expected) in [
        ("a message is accepted", "accepted", "accepted", none(), &[Accepted][..]),
        ("one that is known is accepted again", "accepted", "", none(), &[]),
        ("its time came", "due", "", none(), &[Queued]),
        ("an attempt starts", "started", "", json!({"attempt": 1}), &[Sending]),
        ("it is known not to have been taken", "requeued", "", none(), &[Queued]),
        ("the provider took it", "sent", "sent", json!({"providerMessageId": "wamid.1"}), &[Sent]),
        (
            "it was taken once more",
            "sent",
            "",
            json!({"providerMessageId": "wamid.2", "again": true}),
            &[Sent],
        ),
        (
            "reports came before the send's answer",
            "sent",
            "sent delivered read",
            none(),
            &[Sent, Delivered, Read],
        ),
        ("something is wrong", "alert_firing", "", json!({"id": "alert_1"}), &[AlertFiring]),
        ("it is over", "alert_resolved", "", json!({"id": "alert_1"}), &[AlertResolved]),
        ("the queue is done with it", "done", "", none(), &[]),
        ("a person says that it was sent", "done", "sent", none(), &[Sent]),
        ("a report is news", "delivered", "delivered", report(), &[Delivered]),
        (
            "a report implies what was not reported",
            "read",
            "sent delivered read",
            report(),
            &[Sent, Delivered, Read],
        ),
        ("its report was quicker", "sent", "", json!({"providerMessageId": "wamid.1"}), &[]),
        ("a report is no news", "sent", "", report(), &[]),
        ("a report comes late", "delivered", "", report(), &[]),
        ("a report says what we do not know", "warning", "", report(), &[]),
        ("a report of failure", "failed", "failed", report(), &[Failed]),
        ("an attempt failed", "attempt_failed", "", json!({"class": "transient"}), &[AttemptFailed]),
        ("a dead letter", "failed", "failed", json!({"reason": "recipient"}), &[Failed]),
        ("what failed is tried again, and is sent", "sent", "recovered sent", none(), &[Sent]),
        ("not known", "uncertain", "uncertain", none(), &[Uncertain]),
        ("called off", "cancelled", "cancelled", none(), &[Cancelled]),
        ("too late", "expired", "expired", none(), &[Expired]),
        ("ordered again", "retried", "recovered", none(), &[Queued]),
        ("twice", "duplicate", "", none(), &[Duplicate]),
        ("somebody wrote", "received", "received", none(), &[Received]),
        ("the business wrote", "echoed", "echoed", none(), &[Echoed]),
        ("an emoji", "reaction", "", none(), &[Reaction]),
        ("edited", "edit", "", none(), &[Edited]),
        ("deleted", "deletion", "", none(), &[Deleted]),
        ("a vote", "vote", "", none(), &[Vote]),
        ("a poll as it stands", "votes", "", none(), &[Vote]),
        ("an opt-out", "opted_out", "opted_out", none(), &[OptedOut]),
        ("an opt-in", "opted_in", "opted_in", none(), &[OptedIn]),
        ("a preference", "preference", "", none(), &[Preference]),
        (
            "people care for it",
            "conversation_updated",
            "",
            json!({"id": "demo.x", "unread": 0}),
            &[ConversationUpdated],
        ),
        ("paused", "queue_paused", "", json!({"queue": "outbound/demo"}), &[ChannelState]),
        ("a breaker", "breaker_opened", "", none(), &[ChannelState]),
        ("news of a template", "template_news", "", json!({"status": "APPROVED"}), &[ChannelNews]),
        ("what we do not know", "channel_event", "", none(), &[ChannelNews]),
        ("an error", "channel_error", "", none(), &[ChannelError]),
        ("a webhook", "webhook_failed", "", json!({"id": "1", "error": "secret"}), &[WebhookFailed]),
        ("news of a person", "person", "", none(), &[]),
        ("nothing that we know", "unreadable_event", "", none(), &[]),
    ] {
        let events = events_of(&entry(kind, counted, detail));
        let told: Vec<_> = events.iter().map(|event| event.kind).collect();
        assert_eq!(told, expected, "{name}");
        let parts: Vec<_> = events.iter().map(|event| event.id.part).collect();
        assert_eq!(parts, (0..).take(expected.len()).collect::<Vec<_>>(), "{name}");
        for event in events {
            let json: Value = serde_json::from_str(&event.json).expect("JSON");
            assert_eq!(json["type"], event.kind.as_str(), "{name}");
            assert_eq!(json["id"], event.id.to_string(), "{name}");
            assert_eq!(json["channel"], "demo", "{name}");
            assert!(!event.json.contains("secret"), "{name}");
        }
    }
}

#[test]
fn what_says_too_much_says_less() {
    let long = |length: usize| entry("channel_event", "", json!({ "raw": "x".repeat(length) }));
    let [short] = &events_of(&long(1_000))[..] else { panic!("one event") };
    assert!(short.json.len() > 1_000);
    let [cut] = &events_of(&long(MAX_EVENT))[..] else { panic!("one event") };
    let json: Value = serde_json::from_str(&cut.json).expect("JSON");
    assert_eq!(json["data"], json!({ "truncated": true }));
}

/// The table of `docs/EVENTS.md`. Where a change is meant: `PALOMAR_BLESS=1 cargo test -p palomar-app`.
#[test]
fn the_document_has_all_types() {
    let mut table = String::from("| type | when | `data` |\n|---|---|---|\n");
    for kind in EventType::ALL {
        let (word, when, data) = kind.parts();
        let _ = writeln!(table, "| `{word}` | {when} | {data} |");
    }
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let (begin, end) = ("<!-- types: begin -->\n", "<!-- types: end -->");
    let (before, rest) = document.split_once(begin).expect("where the table begins");
    let (found, after) = rest.split_once(end).expect("where it ends");
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        std::fs::write(DOCUMENT, format!("{before}{begin}{table}{end}{after}")).expect("written");
        return;
    }
    assert!(found == table, "docs/EVENTS.md is not what the program says; see the test's comment");
}
