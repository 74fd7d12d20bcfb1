//! The journal as it is followed: whoever reads on after a number misses nothing, whatever is written meanwhile.

use palomar_model::ReportedStatus;
use palomar_records::{ConversationPatch, Partition, What};

use crate::facts::{LOG, START, channel, id, log, provider_id, report, sent, written};
use crate::house::{House, on_both};

on_both!(
    entries_come_with_what_they_are_about,
    what_people_say_is_in_it,
    what_is_sent_again_is_told_from_what_is_known_already,
);

async fn entries_come_with_what_they_are_about(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.push((None, report(1, ReportedStatus::Read, false)));
    facts.push((None, written(2)));
    let facts = log(1, facts);
    let last = facts.last().expect("some").cursor;
    records.apply(LOG, 0, facts, last, START).await.expect("applied");
    let feed = records.feed(0, 100).await.expect("read");
    let numbers: Vec<_> = feed.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=feed.end).collect::<Vec<_>>());
    let told: Vec<_> =
        feed.entries.iter().map(|entry| (entry.kind.as_str(), entry.counted.join(" "))).collect();
    let told: Vec<_> = told.iter().map(|(kind, counted)| (*kind, counted.as_str())).collect();
    assert!(told.contains(&("accepted", "accepted")), "{told:?}");
    assert!(told.contains(&("read", "delivered read")), "{told:?}");
    assert!(told.contains(&("received", "received")), "{told:?}");
    for entry in &feed.entries {
        let message = entry.message.as_ref().expect("each is about a message");
        assert_eq!(Some(message.id), entry.message_id);
        let conversation = entry.conversation.as_ref().expect("in a conversation");
        assert_eq!(conversation.id.channel, channel());
        assert!(records.conversation(conversation.id.clone()).await.expect("read").is_some());
    }
    let received = feed.entries.last().expect("some");
    assert_eq!(
        (received.message_id, received.conversation.as_ref().map(|now| now.unread)),
        (Some(id(2)), Some(1))
    );
    // In pieces it is the same.
    let mut pieces = Vec::new();
    while let Some(piece) = Some(records.feed(pieces.len() as u64, 2).await.expect("read")) {
        if piece.entries.is_empty() {
            break;
        }
        pieces.extend(piece.entries);
    }
    assert_eq!(pieces, feed.entries);
    assert_eq!(records.feed_end().await.expect("read"), feed.end);
}

async fn what_people_say_is_in_it(house: House) {
    let records = house.open().await;
    records.apply(LOG, 0, log(1, vec![(None, written(2))]), 1, START).await.expect("applied");
    let before = records.feed(0, 10).await.expect("read");
    let conversation = before.entries[0].conversation.clone().expect("one").id;
    let patch = ConversationPatch {
        assignee: Some(Some("ana".to_owned())),
        labels: Some(vec!["lead".to_owned()]),
        read: true,
    };
    records.update_conversation(conversation.clone(), patch, START).await.expect("kept");
    let after = records.feed(before.end, 10).await.expect("read");
    let [entry] = &after.entries[..] else { panic!("{after:?}") };
    assert_eq!((entry.kind.as_str(), entry.seq), ("conversation_updated", before.end + 1));
    let expected = serde_json::json!({"id": conversation.to_string(), "unread": 0, "assignee": "ana",
        "labels": ["lead"], "windowUntil": entry.detail["windowUntil"]});
    assert_eq!((&entry.detail, &entry.channel), (&expected, &Some(channel())));
    // The log goes on behind it.
    records.apply(LOG, 1, log(2, vec![(None, written(3))]), 2, START).await.expect("applied");
    let more = records.feed(after.end, 10).await.expect("read");
    assert_eq!(more.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [after.end + 1]);
    crate::house::sound(&records).await;
}

async fn what_is_sent_again_is_told_from_what_is_known_already(house: House) {
    let records = house.open().await;
    let message = Some(id(1));
    let taken = |n: u128| (message, What::Sent { provider_id: provider_id(n), alias: None });
    let mut facts = sent(1);
    facts.truncate(2);
    // Its report is quicker than its own answer.
    facts.push((None, report(1, ReportedStatus::Sent, true)));
    facts.extend([taken(1), (None, report(1, ReportedStatus::Failed, false)), (message, What::Retried)]);
    facts.extend([(message, What::Started { attempt: 2 }), taken(9), (message, What::Done)]);
    let facts = log(1, facts);
    let last = facts.last().expect("some").cursor;
    records.apply(LOG, 0, facts, last, START).await.expect("applied");
    let feed = records.feed(0, 100).await.expect("read");
    let told = feed.entries.iter().filter(|entry| entry.kind == "sent");
    let told: Vec<_> = told.map(|entry| (entry.counted.join(" "), entry.detail["again"] == true)).collect();
    let expected = [("sent", false), ("", false), ("", true)];
    assert_eq!(told, expected.map(|(counted, again)| (counted.to_owned(), again)));
}

/// Four writers of two partitions and of conversations, and readers on two nodes who look all the time: each reader gets
/// every number once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn readers_miss_nothing_that_nodes_write_at_once() {
    const MESSAGES: u128 = 60;
    let house = House::on_postgres().await;
    let nodes = [house.open().await, house.open().await];
    let total = 60 * 4 + 60 + 20;
    let mut tasks = Vec::new();
    for records in &nodes {
        let records = records.clone();
        tasks.push(tokio::spawn(async move {
            let mut numbers = Vec::new();
            while numbers.len() < total {
                let feed = records.feed(numbers.last().copied().unwrap_or(0), 7).await.expect("read");
                numbers.extend(feed.entries.iter().map(|entry| entry.seq));
                tokio::task::yield_now().await;
            }
            assert_eq!(numbers, (1..=total as u64).collect::<Vec<_>>());
        }));
    }
    let facts: Vec<_> = (1..=MESSAGES).flat_map(sent).collect();
    let ours = nodes[0].clone();
    tasks.push(tokio::spawn(async move {
        for fact in log(1, facts) {
            let (after, through) = (fact.cursor - 1, fact.cursor);
            ours.apply(Partition(0), after, vec![fact], through, START).await.expect("applied");
        }
    }));
    let theirs = nodes[1].clone();
    tasks.push(tokio::spawn(async move {
        let other =
            |n: u128| (None, What::Other { kind: format!("other_{n}"), detail: serde_json::json!({}) });
        for fact in log(1, (1..=MESSAGES).map(other).collect()) {
            let (after, through) = (fact.cursor - 1, fact.cursor);
            theirs.apply(Partition(1), after, vec![fact], through, START).await.expect("applied");
        }
    }));
    let people = nodes[1].clone();
    tasks.push(tokio::spawn(async move {
        let conversation = loop {
            let feed = people.feed(0, 100).await.expect("read");
            if let Some(conversation) = feed.entries.iter().find_map(|entry| entry.conversation.clone()) {
                break conversation.id;
            }
            tokio::task::yield_now().await;
        };
        for n in 0..20 {
            let labels = Some(vec![format!("{n}")]);
            let patch = ConversationPatch { labels, ..ConversationPatch::default() };
            people.update_conversation(conversation.clone(), patch, START).await.expect("kept");
        }
    }));
    for task in tasks {
        task.await.expect("no panic");
    }
}
