//! The event log over restarts and folds, for readers of any speed.

use std::time::Duration;

use super::super::{EmbeddedBroker, EmbeddedConfig, store_info};
use super::{Fixture, accept, job, lease, settle};
use crate::broker::Broker;
use crate::types::{Control, Cursor, Fact, JobFilter, LogEntry, Outcome, Partition};

/// All facts after a cursor, in pages.
async fn read(broker: &EmbeddedBroker, mut after: Cursor) -> Vec<LogEntry> {
    let mut all = Vec::new();
    loop {
        let page = broker.events(Partition::WHOLE, after, 7, Duration::ZERO).await.expect("events");
        let Some(last) = page.last() else { return all };
        assert!(page.iter().all(|entry| entry.cursor > after), "only what comes after the cursor");
        after = last.cursor;
        all.extend(page);
    }
}

/// A few jobs' whole lives; they are forgotten afterwards.
async fn live(broker: &EmbeddedBroker, round: u128) {
    accept(broker, (round * 10..round * 10 + 5).map(job)).await;
    let taken = lease(broker, 5, true).await;
    settle(broker, &taken, Outcome::Done).await;
    broker.log(vec![format!("round {round}").into()]).await.expect("log");
    let clean = Control::Clean { filter: JobFilter::default(), keep: 0 };
    broker.control(clean).await.expect("control").expect("allowed");
}

#[tokio::test]
async fn readers_lose_and_repeat_nothing_over_folds_and_restarts() {
    let fixture = Fixture::new();
    let readers = vec!["quick".to_owned(), "slow".to_owned()];
    let config = || EmbeddedConfig { readers: readers.clone(), ..fixture.config() };
    let (mut slow, mut quick) = (Cursor(0), Cursor(0));
    let (mut seen_slow, mut seen_quick) = (Vec::new(), Vec::new());
    for round in 0..30_u128 {
        // Closing folds: each round is a fold and a restart.
        let broker = fixture.open_with(config());
        live(&broker, round).await;
        let facts = read(&broker, quick).await;
        quick = facts.last().expect("there is more in each round").cursor;
        seen_quick.extend(facts);
        broker.acknowledge("quick", Partition::WHOLE, quick).await.expect("acknowledge");
        if round % 7 == 6 {
            let facts = read(&broker, slow).await;
            slow = facts.last().expect("there is more").cursor;
            seen_slow.extend(facts);
            broker.acknowledge("slow", Partition::WHOLE, slow).await.expect("acknowledge");
        } else {
            broker.acknowledge("slow", Partition::WHOLE, slow).await.expect("acknowledge");
        }
        broker.close().await.expect("closes");
        let kept = store_info(fixture.dir.path()).expect("info").log_rows;
        assert!(kept <= 8 * 6, "{kept} rows of the log are kept: it is trimmed behind the slowest reader");
    }
    assert_eq!(seen_slow, seen_quick[..seen_slow.len()]);
    assert_eq!(seen_quick.len(), 30 * (5 * 3 + 1), "accepted, started, done, and one event a round");
    let complete = |entry: &LogEntry| entry.job.is_some() == !matches!(entry.fact, Fact::Event(_));
    assert!(seen_slow.iter().all(complete), "facts know their jobs, long after these are forgotten");
    let payload = |entry: &LogEntry| match &entry.fact {
        Fact::Enqueued { payload, .. } => {
            *payload == format!("payload {}", entry.job.expect("a job").0.as_u128())
        }
        _ => true,
    };
    assert!(seen_slow.iter().all(payload), "and their payloads");
}

#[tokio::test]
async fn the_log_is_gone_when_all_have_read_it() {
    let fixture = Fixture::new();
    let config = || EmbeddedConfig { readers: vec!["only".into()], ..fixture.config() };
    let broker = fixture.open_with(config());
    for round in 0..10 {
        live(&broker, round).await;
    }
    broker.close().await.expect("closes");
    let before = store_info(fixture.dir.path()).expect("info");
    assert!(before.log_rows >= 40 && before.job_rows == 50, "all is kept for the reader: {before:?}");
    let broker = fixture.open_with(config());
    broker.acknowledge("only", Partition::WHOLE, Cursor(before.log_end)).await.expect("acknowledge");
    broker.close().await.expect("closes");
    let after = store_info(fixture.dir.path()).expect("info");
    assert_eq!((after.log_rows, after.job_rows), (0, 0), "{after:?}");
    let broker = fixture.open_with(config());
    assert_eq!(broker.stats().await.expect("stats").log_ends, [Cursor(after.log_end)], "numbers go on");
    live(&broker, 99).await;
    assert!(read(&broker, Cursor(0)).await[0].cursor > Cursor(after.log_end));
}

#[tokio::test]
async fn a_fold_in_full_flow_changes_nothing_for_readers() {
    // Enough changes for folds while requests go on.
    let fixture = Fixture::new();
    let broker = fixture.open_with(EmbeddedConfig { readers: vec!["slow".into()], ..fixture.config() });
    let mut expected = Vec::new();
    for round in 0..16_u128 {
        let ids = round * 10_000..round * 10_000 + 10_000;
        accept(&broker, ids.clone().map(job)).await;
        expected.extend(ids.map(|n| job(n).id));
        if round % 4 == 3 {
            let cancel = Control::CancelAll(JobFilter::default());
            broker.control(cancel).await.expect("control").expect("allowed");
        }
    }
    let (mut after, mut accepted, mut cancelled) = (Cursor(0), Vec::new(), 0);
    loop {
        let page = broker.events(Partition::WHOLE, after, 50_000, Duration::ZERO).await.expect("events");
        let Some(last) = page.last() else { break };
        after = last.cursor;
        for entry in page {
            match entry.fact {
                Fact::Enqueued { .. } => accepted.push(entry.job.expect("a job")),
                Fact::Cancelled => cancelled += 1,
                other => panic!("not expected: {other:?}"),
            }
        }
    }
    assert!(accepted == expected, "each job was accepted once, in order");
    assert_eq!(cancelled, expected.len());
}
