//! What must hold of the projection: replays, crashes and disorder change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::{
    ChannelName, Content, InboundMessage, MessageId, MessageState, Outbound, Priority, ProviderMessageId,
    Recipient, ReportedStatus, Sender, Status, StatusReport, Tag, Timestamp,
};
use palomar_records::{Direction, MessageFilter, MessageStatus, RecordFact, Records, RecordsError, What};

const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn channel() -> ChannelName {
    "demo".parse().expect("a name")
}

fn id(n: u128) -> MessageId {
    MessageId(uuid::Uuid::from_u128(n))
}

fn provider_id(n: u128) -> ProviderMessageId {
    ProviderMessageId(format!("wamid.{n}").into())
}

fn outbound(n: u128) -> Outbound {
    Outbound {
        id: id(n),
        channel: channel(),
        to: Recipient::parse(&format!("+346001{:05}", 10_000 + n % 80_000), None).expect("a number"),
        content: Content::text(format!("Hola {n}%")),
        priority: Priority::Normal,
        scheduled_at: None,
        expires_at: None,
        campaign_id: n.is_multiple_of(2).then(|| "verano".to_owned()),
        reply_to: None,
        fallback: None,
        on_uncertain: None,
        metadata: serde_json::Map::new(),
        accepted_at: START,
    }
}

fn report(n: u128, status: ReportedStatus, tag: bool) -> What {
    What::Reported(Box::new(StatusReport {
        provider_id: provider_id(n),
        status: Status::Known(status),
        at: at(50),
        tag: tag.then(|| Tag { message: id(n), attempt: 1 }),
        recipient: None,
        errors: Vec::new(),
        pricing: None,
        conversation: None,
    }))
}

fn written(n: u128) -> What {
    What::Inbound {
        id: id(n),
        message: Box::new(InboundMessage {
            provider_id: provider_id(n),
            from: Sender {
                phone: Some(palomar_model::Phone::parse("+34600111222", None).expect("a number")),
                name: Some("Lucía".to_owned()),
                ..Sender::default()
            },
            at: at(40),
            kind: "text".to_owned(),
            text: Some("ok".to_owned()),
            context_id: None,
            group_id: None,
            raw: serde_json::json!({}),
        }),
    }
}

/// Numbers facts from `first` on, a second apart.
fn log(first: u64, facts: Vec<(Option<MessageId>, What)>) -> Vec<RecordFact> {
    (first..)
        .zip(facts)
        .map(|(cursor, (message, what))| RecordFact {
            cursor,
            at: at(cursor),
            channel: Some(channel()),
            message,
            what,
        })
        .collect()
}

fn sent(n: u128) -> Vec<(Option<MessageId>, What)> {
    vec![
        (Some(id(n)), What::Accepted { message: Box::new(outbound(n)), scheduled: false }),
        (Some(id(n)), What::Started { attempt: 1 }),
        (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None }),
        (Some(id(n)), What::Done),
    ]
}

fn open(dir: &tempfile::TempDir) -> Records {
    Records::open(dir.path(), START).expect("records")
}

async fn totals(records: &Records) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for counter in records.counters(0).await.expect("counters") {
        *totals.entry(counter.kind).or_insert(0) += counter.count;
    }
    totals
}

fn counts(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

async fn sound(records: &Records) {
    let check = records.check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_message_from_acceptance_to_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = sent(1);
    facts.push((None, report(1, ReportedStatus::Read, false)));
    let applied = records.apply(0, log(1, facts), 5, START).await.expect("applied");
    assert_eq!((applied.applied, applied.cursor), (5, 5));

    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!(message.status, MessageStatus::Outbound(MessageState::Read));
    assert_eq!(message.provider_message_id.as_deref(), Some("wamid.1"));
    assert_eq!(
        (message.sent_at, message.delivered_at, message.read_at),
        (Some(at(3)), Some(at(5)), Some(at(5)))
    );
    assert_eq!(message.content, serde_json::json!({"text": "Hola 1%"}));
    let kinds: Vec<_> =
        records.timeline(id(1)).await.expect("read").into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["accepted", "started", "sent", "read"]);
    assert_eq!(
        totals(&records).await,
        counts(&[("accepted", 1), ("sent", 1), ("delivered", 1), ("read", 1)])
    );
    sound(&records).await;
}

#[tokio::test]
async fn a_replay_changes_nothing_and_a_gap_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = log(1, sent(1));
    records.apply(0, facts.clone(), 4, START).await.expect("applied");
    let before = (totals(&records).await, records.message(id(1)).await.expect("read"));

    let again = records.apply(0, facts.clone(), 4, START).await.expect("replayed");
    assert_eq!((again.applied, again.cursor), (0, 4));
    assert_eq!((totals(&records).await, records.message(id(1)).await.expect("read")), before);

    // A batch that overlaps what is known brings only its end.
    facts.extend(log(5, vec![(None, report(1, ReportedStatus::Delivered, false))]));
    assert_eq!(records.apply(2, facts, 5, START).await.expect("applied").applied, 1);
    let gap = records.apply(9, Vec::new(), 10, START).await;
    assert!(matches!(gap, Err(RecordsError::CursorMoved { stored: 5, expected: 9, .. })), "{gap:?}");
    sound(&records).await;
}

#[tokio::test]
async fn every_order_of_reports_and_their_send_ends_alike() {
    let news = |n| {
        [
            (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None }),
            (None, report(n, ReportedStatus::Sent, false)),
            (None, report(n, ReportedStatus::Delivered, false)),
            (None, report(n, ReportedStatus::Read, false)),
        ]
    };
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut cursor = 0;
    let mut n = 0;
    for order in permutations(4) {
        n += 1;
        let mut facts = sent(n);
        facts.truncate(2);
        let parts = news(n);
        facts.extend(order.iter().map(|place| parts[*place].clone()));
        // Each fact in a transaction of its own: what is kept for later must be kept in the tables.
        for fact in log(cursor + 1, facts) {
            let through = fact.cursor;
            records.apply(cursor, vec![fact], through, START).await.expect("applied");
            cursor = through;
        }
        let message = records.message(id(n)).await.expect("read").expect("there");
        assert_eq!(message.status, MessageStatus::Outbound(MessageState::Read), "{order:?}");
        // Each report is in the timeline, found before its message was known or not.
        assert_eq!(records.timeline(id(n)).await.expect("read").len(), 6, "{order:?}");
    }
    let all = u64::try_from(n).expect("a few");
    let expected = counts(&[("accepted", all), ("sent", all), ("delivered", all), ("read", all)]);
    assert_eq!(totals(&records).await, expected);
    sound(&records).await;
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..n).map(|place| {
                let mut longer = order.clone();
                longer.insert(place, n - 1);
                longer
            })
        })
        .collect()
}

#[tokio::test]
async fn our_tag_finds_the_message_before_its_provider_id_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = sent(1);
    facts.truncate(2);
    facts.push((Some(id(1)), What::Uncertain));
    facts.push((None, report(1, ReportedStatus::Delivered, true)));
    // Without its tag: known by now.
    facts.push((None, report(1, ReportedStatus::Read, false)));
    records.apply(0, log(1, facts), 5, START).await.expect("applied");
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!(message.status, MessageStatus::Outbound(MessageState::Read));
    assert_eq!(message.provider_message_id.as_deref(), Some("wamid.1"));
    let found = records.by_provider_id(channel(), provider_id(1)).await.expect("read");
    assert_eq!(found, Some(id(1)));
}

#[tokio::test]
async fn a_failure_of_an_earlier_attempt_is_no_news() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = sent(1);
    facts.truncate(2);
    facts.push((Some(id(1)), What::Uncertain));
    facts.push((Some(id(1)), What::Retried));
    facts.push((Some(id(1)), What::Started { attempt: 2 }));
    facts.push((None, report(1, ReportedStatus::Failed, true)));
    records.apply(0, log(1, facts), 6, START).await.expect("applied");
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!(message.status, MessageStatus::Outbound(MessageState::Sending));
}

#[tokio::test]
async fn attempts_go_on_where_a_message_is_queued_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = sent(1);
    facts.push((None, report(1, ReportedStatus::Failed, true)));
    facts.push((Some(id(1)), What::QueuedAnew { earlier_attempts: 1 }));
    // The new job counts from 1 again.
    facts.push((Some(id(1)), What::Started { attempt: 1 }));
    let tagged = |attempt, status| match report(2, status, true) {
        What::Reported(mut report) => {
            report.tag = Some(Tag { message: id(1), attempt });
            (None, What::Reported(report))
        }
        other => (None, other),
    };
    // Of the first send, which is no news any more, and of the second.
    facts.push(tagged(1, ReportedStatus::Failed));
    let applied = records.apply(0, log(1, facts), 8, START).await.expect("applied");
    assert_eq!(applied.steps, []);
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!((message.status, message.attempts), (MessageStatus::Outbound(MessageState::Sending), 2));
    let timeline = records.timeline(id(1)).await.expect("read");
    let started = timeline.iter().filter(|entry| entry.kind == "started");
    assert_eq!(started.map(|entry| entry.detail["attempt"].clone()).collect::<Vec<_>>(), [1, 2]);

    let facts = log(9, vec![tagged(2, ReportedStatus::Delivered), tagged(2, ReportedStatus::Read)]);
    let applied = records.apply(8, facts, 10, START).await.expect("applied");
    let stages: Vec<_> = applied.steps.iter().map(|step| (step.stage, step.took.as_secs())).collect();
    assert_eq!(stages, [("sent_to_delivered", 6), ("delivered_to_read", 1)]);
    sound(&records).await;
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_accepted() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let whole = Outbound {
        priority: Priority::High,
        scheduled_at: Some(at(7)),
        expires_at: Some(at(70)),
        reply_to: Some(provider_id(9)),
        fallback: Some(Box::new(palomar_model::Template {
            name: "t".into(),
            language: "es".into(),
            components: Vec::new(),
        })),
        on_uncertain: Some(palomar_model::OnUncertain::Drop),
        metadata: serde_json::Map::from_iter([("lead".to_owned(), 42.into())]),
        accepted_at: at(1),
        ..outbound(2)
    };
    let accepted = What::Accepted { message: Box::new(whole.clone()), scheduled: true };
    let mut facts = vec![(Some(id(2)), accepted)];
    facts.extend(sent(1));
    facts.push((None, written(3)));
    records.apply(0, log(1, facts), 6, START).await.expect("applied");
    let stored = records.stored(vec![id(2), id(1), id(3), id(4)]).await.expect("read");
    let stored: BTreeMap<_, _> = stored.into_iter().map(|(id, stored)| (id.0.as_u128(), stored)).collect();
    assert_eq!(stored.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let found = stored[&2].as_ref().expect("an outbound one");
    assert!(found.message == whole, "{found:?}");
    assert_eq!((found.state, found.attempts), (MessageState::Scheduled, 0));
    let found = stored[&1].as_ref().expect("an outbound one");
    assert!(found.message == Outbound { accepted_at: at(2), ..outbound(1) }, "{found:?}");
    assert_eq!((found.state, found.attempts), (MessageState::Sent, 1));
    assert_eq!(stored[&3], None);
}

#[tokio::test]
async fn what_people_write_takes_effect_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let facts = log(1, vec![(None, written(1)), (None, written(1)), (None, written(2)), (None, written(1))]);
    records.apply(0, facts, 4, START).await.expect("applied");
    // Two honest "ok" are two messages.
    assert_eq!(totals(&records).await, counts(&[("received", 2)]));
    let inbound = MessageFilter { direction: Some(Direction::Inbound), ..MessageFilter::default() };
    let page = records.messages(inbound, None, 10).await.expect("read");
    assert_eq!(page.items.len(), 2);
    assert!(page.items.iter().all(|message| message.contact == "+34600111222"));
    let window = records.window_until(channel(), "34600111222".to_owned()).await.expect("read");
    assert_eq!(window, Some(at(40).after(Duration::from_secs(86_400))));
    sound(&records).await;
}

#[tokio::test]
async fn a_crash_between_batches_neither_skips_nor_repeats() {
    let dir = tempfile::tempdir().expect("a directory");
    let facts = log(1, (1..=40).flat_map(sent).collect());
    // A process that dies after each batch, once with its batch committed, once without its reader knowing.
    for (n, batch) in facts.chunks(7).enumerate() {
        let records = open(&dir);
        let after = records.cursor().await.expect("read");
        let through = batch.last().map_or(after, |fact| fact.cursor);
        records.apply(after, batch.to_vec(), through, START).await.expect("applied");
        if n % 2 == 1 {
            drop(records);
            let records = open(&dir);
            records.apply(after, batch.to_vec(), through, START).await.expect("replayed");
        }
    }
    let records = open(&dir);
    assert_eq!(records.cursor().await.expect("read"), 160);
    assert_eq!(totals(&records).await, counts(&[("accepted", 40), ("sent", 40)]));
    assert_eq!(records.info().await.expect("read").messages, counts(&[("sent", 40)]));
    sound(&records).await;
}

#[tokio::test]
async fn a_counter_that_drifted_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    records.apply(0, log(1, sent(1)), 4, START).await.expect("applied");
    let db = rusqlite::Connection::open(records.path()).expect("opened");
    db.execute("UPDATE counters SET count = count + 1 WHERE kind = 'sent'", []).expect("changed");
    let problems = records.check().await.expect("checked").problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("counter sent of demo"), "{problems:?}");
}

#[tokio::test]
async fn lists_are_filtered_and_pages_do_not_move() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let facts = log(1, (1..=9).flat_map(sent).collect());
    records.apply(0, facts, 36, START).await.expect("applied");
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = records.messages(MessageFilter::default(), cursor.as_deref(), 4).await.expect("read");
        seen.extend(page.items.iter().map(|message| message.id));
        // New messages come while somebody reads on.
        let stand = records.cursor().await.expect("read");
        let n = 100 + u128::from(stand);
        records.apply(stand, log(stand + 1, sent(n)), stand + 4, START).await.expect("applied");
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=9).rev().map(id).collect::<Vec<_>>());

    let count = async |filter| records.messages(filter, None, 50).await.expect("read").items.len();
    let by_campaign = MessageFilter { campaign: Some("verano".to_owned()), ..MessageFilter::default() };
    assert_eq!(count(by_campaign).await, 7);
    let by_text = |text: &str| MessageFilter { text: Some(text.to_owned()), ..MessageFilter::default() };
    assert_eq!(count(by_text("hola 3%")).await, 1);
    assert_eq!(count(by_text("H%3")).await, 0);
    let to = outbound(3).to;
    assert_eq!(count(MessageFilter { to: Some(to), ..MessageFilter::default() }).await, 1);
    let status = vec![MessageStatus::Received];
    assert_eq!(count(MessageFilter { status, ..MessageFilter::default() }).await, 0);
    let bad = records.messages(MessageFilter::default(), Some("bad"), 4).await;
    assert!(matches!(bad, Err(RecordsError::BadCursor)));
}

#[tokio::test]
async fn trimming_keeps_messages_counters_and_eight_days() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = open(&dir);
    let mut facts = sent(1);
    facts.push((None, report(9, ReportedStatus::Delivered, false)));
    records.apply(0, log(1, facts), 5, START).await.expect("applied");
    let day = Duration::from_secs(86_400);
    assert_eq!(records.trim(Duration::ZERO, at(0).after(day * 8)).await.expect("trimmed"), 0);
    assert_eq!(records.trim(Duration::ZERO, at(6).after(day * 8)).await.expect("trimmed"), 7);
    assert!(records.timeline(id(1)).await.expect("read").is_empty());
    assert!(records.message(id(1)).await.expect("read").is_some());
    sound(&records).await;
}
