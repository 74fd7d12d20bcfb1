//! PostgreSQL is ended at any moment while facts are applied: nothing is lost, nothing is counted twice.

use std::time::Duration;

use palomar_records::{RecordFact, Records, RecordsError};
use tokio::sync::watch;

use crate::facts::{LOG, START, id, log, report, sent};
use crate::house::{House, counts, sound, totals};
use crate::postgres::Postgres;

/// So often it is ended.
const KILLS: u64 = 20;
const MESSAGES: u128 = 2_400;
const BATCH: usize = 40;

/// What a projector does: applies what follows, and after an error asks the rows where they stand. Says where it is;
/// how many errors it saw.
async fn project(records: Records, facts: Vec<RecordFact>, position: watch::Sender<u64>) -> usize {
    let mut errors = 0;
    loop {
        let after = *position.borrow();
        let begin = usize::try_from(after).expect("a few");
        let batch: Vec<_> = facts.iter().skip(begin).take(BATCH).cloned().collect();
        let Some(through) = batch.last().map(|fact| fact.cursor) else { return errors };
        match records.apply(LOG, after, batch, through, START).await {
            Ok(applied) => drop(position.send_replace(applied.cursor)),
            Err(error) => {
                errors += 1;
                assert!(matches!(error, RecordsError::Away { .. } | RecordsError::Late(_)), "{error}");
                position.send_replace(stands(&records).await);
            }
        }
    }
}

/// Where the rows stand, as soon as the server says so.
async fn stands(records: &Records) -> u64 {
    loop {
        match records.cursor(LOG).await {
            Ok(stands) => return stands,
            Err(error) => {
                let away =
                    matches!(error, RecordsError::Away { .. } | RecordsError::Late(_) | RecordsError::Busy);
                assert!(away, "{error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_twenty_times_it_loses_nothing_and_counts_nothing_twice() {
    let server = Postgres::start();
    let house = House::at(server.database().await);
    let records = house.open().await;
    let each = |n| sent(n).into_iter().chain([(None, report(n, palomar_model::ReportedStatus::Read, false))]);
    let facts = log(1, (1..=MESSAGES).flat_map(each).collect());
    let end = facts.len() as u64;
    let (sender, mut position) = watch::channel(0);
    let projector = tokio::spawn(project(records.clone(), facts, sender));
    for kill in 1..=KILLS {
        // In the middle of the flow: so far it must have come since the last time.
        position.wait_for(|stands| *stands >= end * kill / (KILLS + 2)).await.expect("it goes on");
        server.command(if kill % 2 == 0 { "immediate" } else { "kill" });
        server.command("start");
        stands(&records).await;
        sound(&records).await;
    }
    let errors = projector.await.expect("no panic");
    assert!(errors > 0, "it was never ended in the middle of anything");
    let all = u64::try_from(MESSAGES).expect("a few");
    let expected = ["accepted", "sent", "delivered", "read"].map(|kind| (kind, all));
    assert_eq!(totals(&records).await, counts(&expected));
    assert_eq!(records.info().await.expect("read").messages, counts(&[("read", all)]));
    assert_eq!(records.timeline(id(1)).await.expect("read").len(), 4);
    sound(&records).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_nobody_up() {
    let server = Postgres::start();
    let house = House::at(server.database().await);
    let records = house.open().await;
    records.apply(LOG, 0, log(1, sent(1)), 4, START).await.expect("applied");
    server.command("freeze");
    // Far more than there are connections: all are told that the server is silent, none waits for the end of its time.
    let reads: Vec<_> = (0..50).map(|_| records.message(id(1))).collect();
    for read in futures_util::future::join_all(reads).await {
        let error = read.expect_err("nobody answers");
        let told = matches!(error, RecordsError::Away { .. } | RecordsError::Busy);
        assert!(told, "{error}");
    }
    let error = records.ping().await.expect_err("nobody answers").to_string();
    assert!(error.contains("can't be reached: it does not answer"), "{error}");
    server.command("thaw");
    stands(&records).await;
    assert!(records.message(id(1)).await.expect("read").is_some());
    records.apply(LOG, 4, log(5, sent(2)), 8, START).await.expect("applied");
    sound(&records).await;
}
