//! What must hold of the projection: replays, crashes and disorder change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::{MessageState, Outbound, Priority, ReportedStatus, Tag};
use palomar_records::{Direction, MessageFilter, MessageStatus, RecordsError, What};

use crate::facts::{LOG, START, at, channel, id, log, outbound, provider_id, report, sent, written};
use crate::house::{House, counts, on_both, sound, totals};

on_both!(
    a_message_from_acceptance_to_read,
    a_replay_changes_nothing_and_a_gap_is_refused,
    every_order_of_reports_and_their_send_ends_alike,
    our_tag_finds_the_message_before_its_provider_id_is_known,
    a_failure_of_an_earlier_attempt_is_no_news,
    an_attempt_without_an_answer_stays_in_doubt,
    attempts_go_on_where_a_message_is_queued_anew,
    a_message_comes_back_as_it_was_accepted,
    what_people_write_takes_effect_once,
    a_crash_between_batches_neither_skips_nor_repeats,
    a_counter_that_drifted_is_found,
    ids_that_an_engine_can_not_keep_are_found_again,
    trimming_keeps_messages_counters_and_eight_days
);

async fn a_message_from_acceptance_to_read(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.push((None, report(1, ReportedStatus::Read, false)));
    let applied = records.apply(LOG, 0, log(1, facts), 5, START).await.expect("applied");
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

async fn a_replay_changes_nothing_and_a_gap_is_refused(house: House) {
    let records = house.open().await;
    let mut facts = log(1, sent(1));
    records.apply(LOG, 0, facts.clone(), 4, START).await.expect("applied");
    let before = (totals(&records).await, records.message(id(1)).await.expect("read"));

    let again = records.apply(LOG, 0, facts.clone(), 4, START).await.expect("replayed");
    assert_eq!((again.applied, again.cursor), (0, 4));
    assert_eq!((totals(&records).await, records.message(id(1)).await.expect("read")), before);

    // A batch that overlaps what is known brings only its end.
    facts.extend(log(5, vec![(None, report(1, ReportedStatus::Delivered, false))]));
    assert_eq!(records.apply(LOG, 2, facts, 5, START).await.expect("applied").applied, 1);
    let gap = records.apply(LOG, 9, Vec::new(), 10, START).await;
    assert!(matches!(gap, Err(RecordsError::CursorMoved { stored: 5, expected: 9, .. })), "{gap:?}");
    sound(&records).await;
}

async fn every_order_of_reports_and_their_send_ends_alike(house: House) {
    let news = |n| {
        [
            (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None }),
            (None, report(n, ReportedStatus::Sent, false)),
            (None, report(n, ReportedStatus::Delivered, false)),
            (None, report(n, ReportedStatus::Read, false)),
        ]
    };
    let records = house.open().await;
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
            records.apply(LOG, cursor, vec![fact], through, START).await.expect("applied");
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

async fn our_tag_finds_the_message_before_its_provider_id_is_known(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.truncate(2);
    facts.push((Some(id(1)), What::Uncertain));
    facts.push((None, report(1, ReportedStatus::Delivered, true)));
    // Without its tag: known by now.
    facts.push((None, report(1, ReportedStatus::Read, false)));
    records.apply(LOG, 0, log(1, facts), 5, START).await.expect("applied");
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!(message.status, MessageStatus::Outbound(MessageState::Read));
    assert_eq!(message.provider_message_id.as_deref(), Some("wamid.1"));
    let found = records.by_provider_id(channel(), provider_id(1)).await.expect("read");
    assert_eq!(found, Some(id(1)));
}

async fn a_failure_of_an_earlier_attempt_is_no_news(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.truncate(2);
    facts.push((Some(id(1)), What::Uncertain));
    facts.push((Some(id(1)), What::Retried));
    facts.push((Some(id(1)), What::Started { attempt: 2 }));
    facts.push((None, report(1, ReportedStatus::Failed, true)));
    records.apply(LOG, 0, log(1, facts), 6, START).await.expect("applied");
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!(message.status, MessageStatus::Outbound(MessageState::Sending));
}

async fn an_attempt_without_an_answer_stays_in_doubt(house: House) {
    let records = house.open().await;
    let own = |n, what| (Some(id(n)), what);
    let dead = |reason: &str| What::Dead { reason: reason.to_owned() };
    let uncertain = |n| {
        let mut facts = sent(n);
        facts.truncate(2);
        facts.push(own(n, What::Uncertain));
        facts
    };
    let again = |n| [own(n, What::Retried), own(n, What::Started { attempt: 2 })];
    let took = |n| own(n, What::Sent { provider_id: provider_id(n), alias: None });
    let failed = |n, tag| (None, report(n, ReportedStatus::Failed, tag));
    // What came after an attempt that had no answer, and whether it is in doubt then.
    let cases = [
        (vec![own(1, dead("uncertain"))], true),
        (vec![own(2, dead("a person settled it as failed"))], false),
        // The next attempt is refused for good; or called off before it begins.
        ([again(3).to_vec(), vec![own(3, dead("not on WhatsApp"))]].concat(), true),
        (vec![own(4, What::Retried), own(4, What::Cancelled)], true),
        // The provider says that the first failed; or the second.
        ([again(5).to_vec(), vec![failed(5, true), own(5, dead("not on WhatsApp"))]].concat(), false),
        ([again(6).to_vec(), vec![took(6), failed(6, false)]].concat(), true),
        (vec![failed(7, true)], false),
        // It was found, and failed afterwards.
        (vec![took(8), failed(8, false)], false),
    ];
    let mut cursor = 0;
    for ((news, expected), n) in cases.into_iter().zip(1..) {
        // Each fact in a transaction of its own: what is in doubt must be in the tables.
        for fact in log(cursor + 1, [uncertain(n), news].concat()) {
            let through = fact.cursor;
            records.apply(LOG, cursor, vec![fact], through, START).await.expect("applied");
            cursor = through;
        }
        let ends = records.message_ends(vec![id(n)]).await.expect("read");
        assert_eq!(ends[0].doubted, expected, "{ends:?}");
    }
}

async fn attempts_go_on_where_a_message_is_queued_anew(house: House) {
    let records = house.open().await;
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
    let applied = records.apply(LOG, 0, log(1, facts), 8, START).await.expect("applied");
    assert_eq!(applied.steps, []);
    let message = records.message(id(1)).await.expect("read").expect("there");
    assert_eq!((message.status, message.attempts), (MessageStatus::Outbound(MessageState::Sending), 2));
    let timeline = records.timeline(id(1)).await.expect("read");
    let started = timeline.iter().filter(|entry| entry.kind == "started");
    assert_eq!(started.map(|entry| entry.detail["attempt"].clone()).collect::<Vec<_>>(), [1, 2]);

    let facts = log(9, vec![tagged(2, ReportedStatus::Delivered), tagged(2, ReportedStatus::Read)]);
    let applied = records.apply(LOG, 8, facts, 10, START).await.expect("applied");
    let stages: Vec<_> = applied.steps.iter().map(|step| (step.stage, step.took.as_secs())).collect();
    assert_eq!(stages, [("sent_to_delivered", 6), ("delivered_to_read", 1)]);
    sound(&records).await;
}

async fn a_message_comes_back_as_it_was_accepted(house: House) {
    let records = house.open().await;
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
        campaign_place: Some(palomar_model::CampaignPlace {
            campaign: 1_767_225_600_000_000,
            step: 1,
            variant: 2,
        }),
        hours: Some(Box::new(palomar_model::HoursThere {
            hours: serde_json::from_str(r#"{"from":"09:00","until":"20:00"}"#).expect("hours"),
            zones: vec!["Europe/Madrid".parse().expect("a zone")],
        })),
        accepted_at: at(1),
        ..outbound(2)
    };
    let accepted = What::Accepted { message: Box::new(whole.clone()), scheduled: true };
    let mut facts = vec![(Some(id(2)), accepted)];
    facts.extend(sent(1));
    facts.push((None, written(3)));
    records.apply(LOG, 0, log(1, facts), 6, START).await.expect("applied");
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

async fn what_people_write_takes_effect_once(house: House) {
    let records = house.open().await;
    let facts = log(1, vec![(None, written(1)), (None, written(1)), (None, written(2)), (None, written(1))]);
    records.apply(LOG, 0, facts, 4, START).await.expect("applied");
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

async fn a_crash_between_batches_neither_skips_nor_repeats(house: House) {
    let facts = log(1, (1..=40).flat_map(sent).collect());
    // A process that dies after each batch, once with its batch committed, once without its reader knowing.
    for (n, batch) in facts.chunks(7).enumerate() {
        let records = house.open().await;
        let after = records.cursor(LOG).await.expect("read");
        let through = batch.last().map_or(after, |fact| fact.cursor);
        records.apply(LOG, after, batch.to_vec(), through, START).await.expect("applied");
        if n % 2 == 1 {
            drop(records);
            let records = house.open().await;
            records.apply(LOG, after, batch.to_vec(), through, START).await.expect("replayed");
        }
    }
    let records = house.open().await;
    assert_eq!(records.cursor(LOG).await.expect("read"), 160);
    assert_eq!(totals(&records).await, counts(&[("accepted", 40), ("sent", 40)]));
    assert_eq!(records.info().await.expect("read").messages, counts(&[("sent", 40)]));
    sound(&records).await;
}

async fn a_counter_that_drifted_is_found(house: House) {
    let records = house.open().await;
    records.apply(LOG, 0, log(1, sent(1)), 4, START).await.expect("applied");
    house.tamper("UPDATE counters SET count = count + 1 WHERE kind = 'sent'").await;
    let problems = records.check().await.expect("checked").problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("counter sent of demo"), "{problems:?}");
}

async fn trimming_keeps_messages_counters_and_eight_days(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.push((None, report(9, ReportedStatus::Delivered, false)));
    records.apply(LOG, 0, log(1, facts), 5, START).await.expect("applied");
    let day = Duration::from_secs(86_400);
    assert_eq!(records.trim(Duration::ZERO, at(0).after(day * 8)).await.expect("trimmed"), 0);
    assert_eq!(records.trim(Duration::ZERO, at(6).after(day * 8)).await.expect("trimmed"), 7);
    assert!(records.timeline(id(1)).await.expect("read").is_empty());
    assert!(records.message(id(1)).await.expect("read").is_some());
    sound(&records).await;
}

async fn ids_that_an_engine_can_not_keep_are_found_again(house: House) {
    let records = house.open().await;
    let odd = ["wamid\0", &"x".repeat(5_000)].map(|text| palomar_model::ProviderMessageId(text.into()));
    let mut cursor = 0;
    for (n, provider_id) in (1..).zip(odd) {
        let mut facts = sent(n);
        facts[2].1 = What::Sent { provider_id: provider_id.clone(), alias: Some("w\0".repeat(2_000)) };
        records.apply(LOG, cursor, log(cursor + 1, facts), cursor + 4, START).await.expect("applied");
        cursor += 4;
        assert_eq!(records.by_provider_id(channel(), provider_id).await.expect("read"), Some(id(n)));
    }
    sound(&records).await;
}
