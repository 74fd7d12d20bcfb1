//! Several nodes on the same records: whoever brings a batch, it takes effect once.

use std::time::Duration;

use palomar_model::{MessageState, ReportedStatus};
use palomar_records::{Follower, MessageStatus, Partition, RecordFact, Records, What};

use crate::facts::{LOG, START, id, log, report, sent};
use crate::house::{House, counts, exported, on_both, sound, totals};

on_both!(of_two_projectors_exactly_one_applies, partitions_do_not_lose_what_they_tell_each_other);

async fn of_two_projectors_exactly_one_applies(house: House) {
    let (one, other) = (house.open().await, house.open().await);
    let facts = log(1, (1..=60).flat_map(sent).collect());
    let mut won = [0, 0];
    for batch in facts.chunks(8) {
        let after = batch[0].cursor - 1;
        let through = after + 8;
        let (first, second) = tokio::join!(
            one.apply(LOG, after, batch.to_vec(), through, START),
            other.apply(LOG, after, batch.to_vec(), through, START)
        );
        let (first, second) = (first.expect("applied"), second.expect("applied"));
        assert_eq!((first.cursor, second.cursor), (through, through));
        assert_eq!((first.applied.min(second.applied), first.applied.max(second.applied)), (0, 8));
        won[usize::from(second.applied > 0)] += 1;
    }
    assert_eq!(won[0] + won[1], 30);
    assert_eq!(totals(&one).await, counts(&[("accepted", 60), ("sent", 60)]));
    sound(&other).await;
}

/// A projector: reads on from where the rows stand, whoever moved them, until the end of its partition.
async fn follow(records: Records, partition: Partition, facts: Vec<RecordFact>, size: usize) {
    loop {
        let after = records.cursor(partition).await.expect("read");
        let begin = usize::try_from(after).expect("a few");
        let batch: Vec<_> = facts.iter().skip(begin).take(size).cloned().collect();
        let Some(last) = batch.last().map(|fact| fact.cursor) else { return };
        records.apply(partition, after, batch, last, START).await.expect("applied");
    }
}

async fn partitions_do_not_lose_what_they_tell_each_other(house: House) {
    const MESSAGES: u128 = 80;
    let nodes = [house.open().await, house.open().await];
    // What we did in one partition, what providers report in the other: before, between and after.
    let ours = log(1, (1..=MESSAGES).flat_map(sent).collect());
    let statuses = [ReportedStatus::Delivered, ReportedStatus::Read];
    let theirs = (1..=MESSAGES).flat_map(|n| statuses.map(|status| (None, report(n, status, n % 3 == 0))));
    let theirs = log(1, theirs.collect());
    let mut projectors = Vec::new();
    for (n, records) in nodes.iter().enumerate() {
        projectors.push(tokio::spawn(follow(records.clone(), Partition(0), ours.clone(), 7 + n)));
        projectors.push(tokio::spawn(follow(records.clone(), Partition(1), theirs.clone(), 3 + n)));
    }
    for projector in projectors {
        projector.await.expect("no panic");
    }
    let records = &nodes[0];
    for n in 1..=MESSAGES {
        let message = records.message(id(n)).await.expect("read").expect("there");
        assert_eq!(message.status, MessageStatus::Outbound(MessageState::Read), "{n}");
    }
    let all = u64::try_from(MESSAGES).expect("a few");
    let each = ["accepted", "sent", "delivered", "read"].map(|kind| (kind, all));
    assert_eq!(totals(records).await, counts(&each));
    // Nothing waits for a message that is known, and the journal has each fact once, numbered without a gap.
    let lines = exported(records).await;
    assert!(!lines.iter().any(|line| line.contains("early_statuses")));
    let journal = records.journal(0, 10_000).await.expect("read");
    let numbers: Vec<_> = journal.iter().map(|entry| entry.cursor).collect();
    assert_eq!(numbers, (1..=6 * all).collect::<Vec<_>>());
    let info = records.info().await.expect("read");
    assert_eq!(info.cursors, [(0, 4 * all), (1, 2 * all)].into());
    assert_eq!(house.place().info().await.expect("read").expect("this schema").messages, info.messages);
    sound(records).await;
}

/// Facts that say nothing new still move the cursor.
#[tokio::test]
async fn an_empty_batch_moves_the_cursor() {
    let house = House::on_sqlite();
    let records = house.open().await;
    let other = What::Other { kind: "breaker".to_owned(), detail: serde_json::json!({}) };
    records.apply(LOG, 0, log(1, vec![(None, other)]), 9, START).await.expect("applied");
    assert_eq!(records.cursor(LOG).await.expect("read"), 9);
}

/// One node follows the log; another takes over when it lets go, or when it has been silent for too long.
#[tokio::test]
async fn one_node_follows_and_another_takes_over() {
    let house = House::on_postgres().await;
    let (one, other) = (house.open().await, house.open().await);
    let follower = async |records: &Records, node: &str, hold: u64| {
        records.follow(node, Duration::from_secs(hold)).await.expect("asked").0
    };
    assert_eq!(follower(&one, "a", 3600).await, Follower::This);
    assert_eq!(follower(&other, "b", 3600).await, Follower::Another);
    assert_eq!(follower(&one, "a", 3600).await, Follower::This, "kept");
    other.unfollow("b").await.expect("nothing to let go of");
    assert_eq!(follower(&other, "b", 3600).await, Follower::Another);
    one.unfollow("a").await.expect("let go");
    // It takes it for no time at all, as one that dies does.
    assert_eq!(follower(&other, "b", 0).await, Follower::This);
    assert_eq!(follower(&one, "a", 3600).await, Follower::This);
    one.apply(LOG, 0, log(1, sent(1)), 4, START).await.expect("applied");
    let (_, cursors) = other.follow("b", Duration::ZERO).await.expect("asked");
    assert_eq!(cursors, [(LOG, 4)], "who does not follow knows how far it is");
}

#[tokio::test]
async fn records_in_sqlite_are_followed_by_whoever_has_their_directory() {
    let house = House::on_sqlite();
    let records = house.open().await;
    for node in ["a", "b"] {
        let followed = records.follow(node, Duration::from_secs(3600)).await.expect("asked");
        assert_eq!(followed, (Follower::This, Vec::new()));
    }
}
