//! Data directories that can't be used, damaged rows, and how a broker ends.

use std::time::Duration;

use rusqlite::Connection;

use super::super::{EmbeddedBroker, EmbeddedConfig, StoreError, check, store_info};
use super::{Fixture, accept, job, lease, number, settle};
use crate::broker::{Broker, BrokerError};
use crate::types::{Cursor, JobState, LeaseRequest, Outcome, Partition};

#[tokio::test]
async fn a_directory_has_one_process_at_a_time() {
    let fixture = Fixture::new();
    let broker = fixture.open();
    let second = EmbeddedBroker::open(fixture.config(), fixture.clock.clone());
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
    assert!(matches!(check(fixture.dir.path()), Err(StoreError::Locked(_))));
    assert!(store_info(fixture.dir.path()).is_ok(), "numbers are told all the same");
    broker.close().await.expect("closes");
    fixture.open();
}

#[test]
fn what_is_no_directory_is_said_to_be_so() {
    let fixture = Fixture::new();
    let file = fixture.dir.path().join("file");
    std::fs::write(&file, "not a directory").expect("writes");
    let error =
        EmbeddedBroker::open(EmbeddedConfig::in_dir(&file), fixture.clock.clone()).expect_err("no directory");
    assert!(
        matches!(error, StoreError::Directory { .. }) && error.to_string().contains("writable"),
        "{error}"
    );
    let nowhere = fixture.dir.path().join("nowhere");
    assert!(matches!(check(&nowhere), Err(StoreError::Directory { .. })));
    assert!(matches!(store_info(&nowhere), Err(StoreError::Directory { .. })));
    assert!(!nowhere.exists(), "looking creates nothing");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let fixture = Fixture::new();
    fixture.open().close().await.expect("closes");
    let db = Connection::open(fixture.dir.path().join("queue.db")).expect("opens");
    db.pragma_update(None, "user_version", 3).expect("sets");
    drop(db);
    let error = EmbeddedBroker::open(fixture.config(), fixture.clock.clone()).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(matches!(check(fixture.dir.path()), Err(StoreError::Newer { .. })));
}

#[tokio::test]
async fn what_is_no_database_is_said_to_be_so() {
    let fixture = Fixture::new();
    std::fs::write(fixture.dir.path().join("queue.db"), "x".repeat(10_000)).expect("writes");
    let error = EmbeddedBroker::open(fixture.config(), fixture.clock.clone()).expect_err("not a database");
    assert!(error.to_string().contains("not a database"), "{error}");
}

/// Spoils the payload of one job in its batch.
fn spoil(n: u128) -> String {
    let payload = String::from_utf8(job(n).payload.to_vec()).expect("text");
    let spoilt = "?".repeat(payload.len());
    format!("UPDATE batch SET payloads = CAST(replace(payloads, '{payload}', '{spoilt}') AS BLOB)")
}

/// Spoils what else is known of one job: its id is a part of it.
fn spoil_head(n: u128) -> String {
    let id = job(n).id.0.simple().to_string().to_uppercase();
    format!("UPDATE batch SET heads = unhex(replace(hex(heads), '{id}', '{}'))", "F".repeat(id.len()))
}

/// Changes a row behind the broker's back.
fn damage(fixture: &Fixture, sql: &str) {
    let db = Connection::open(fixture.dir.path().join("queue.db")).expect("opens");
    assert!(db.execute(sql, []).expect("changes") > 0, "{sql}");
}

#[tokio::test]
async fn damaged_rows_are_named_and_set_aside() {
    for (what, sql, rest) in [
        ("job", spoil_head(3).as_str(), vec![2, 4, 5]),
        ("standing", "UPDATE standing SET body = zeroblob(20) WHERE seq = 2", vec![3, 4, 5]),
        ("standing", "DELETE FROM standing WHERE seq = 1", vec![]),
        ("batch", "DELETE FROM batch", vec![]),
        ("queue", "UPDATE queue SET body = zeroblob(50)", vec![]),
    ] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        accept(&broker, (1..=5).map(job)).await;
        let taken = lease(&broker, 2, true).await;
        settle(&broker, &taken[..1], Outcome::Done).await;
        settle(&broker, &taken[1..], Outcome::Release).await;
        broker.close().await.expect("closes");
        assert!(check(fixture.dir.path()).expect("checks").is_sound());
        damage(&fixture, sql);
        let report = check(fixture.dir.path()).expect("checks");
        assert!(report.damaged.iter().any(|row| row.contains(what)), "{what}: {report:?}");
        let broker = fixture.open();
        assert!(
            broker.opened().damaged.iter().any(|row| row.contains(what)),
            "{what}: {:?}",
            broker.opened()
        );
        let started: Vec<_> = lease(&broker, 9, true).await.iter().map(number).collect();
        assert_eq!(started, rest, "{what}: the rest is served, and nothing twice");
    }
}

#[tokio::test]
async fn a_lost_part_of_the_log_pauses_all_sending() {
    for sql in ["UPDATE log SET body = zeroblob(30) WHERE first = 6", "DELETE FROM log WHERE first = 6"] {
        let fixture = Fixture::new();
        let broker = fixture.open();
        accept(&broker, (1..=5).map(job)).await;
        // The row that says that the first was started.
        lease(&broker, 1, true).await;
        broker.log(vec!["later".into()]).await.expect("log");
        let killed = fixture.killed();
        damage(&killed, sql);
        let report = check(killed.dir.path()).expect("checks");
        assert!(!report.is_sound() && report.damaged[0].contains("row 6 of table log"), "{report:?}");
        let broker = killed.open();
        assert_eq!(lease(&broker, 9, true).await, [], "it may have been sent");
        let stats = broker.stats().await.expect("stats").queues.remove(0);
        assert!(stats.paused.is_some_and(|reason| reason.contains("damaged")));
    }
}

#[tokio::test]
async fn a_row_that_rots_while_it_is_served_is_a_dead_letter() {
    let fixture = Fixture::new();
    let broker = fixture.open_with(EmbeddedConfig { payload_memory: 0, ..fixture.config() });
    accept(&broker, (1..=3).map(job)).await;
    damage(&fixture, &spoil(2));
    let started: Vec<_> = lease(&broker, 9, true).await.iter().map(number).collect();
    assert_eq!(started, [1, 3]);
    assert_eq!(broker.job(job(2).id).await.expect("job"), None, "no payload is made up");
    let stats = broker.stats().await.expect("stats").queues.remove(0);
    assert_eq!(stats.counts[JobState::Dead as usize], 1);
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_answered_but_the_failure() {
    let fixture = Fixture::new();
    let broker = fixture.open();
    accept(&broker, [job(1)]).await;
    let mut parked = broker.lease(LeaseRequest {
        pool: "hooks".into(),
        max: 1,
        lease: Duration::from_secs(60),
        start: true,
        wait: Duration::from_secs(3600),
    });
    assert!(futures_util::FutureExt::now_or_never(&mut parked).is_none());
    // Writing becomes impossible: the table is gone.
    damage_schema(&fixture, "DROP TABLE log");
    let failed = |error: &BrokerError| matches!(error, BrokerError::Failed(_));
    assert!(broker.enqueue(vec![job(2)]).await.is_err_and(|error| failed(&error)));
    assert!(parked.await.is_err_and(|error| failed(&error)), "whoever waits is told");
    assert!(broker.enqueue(vec![job(3)]).await.is_err_and(|error| failed(&error)));
    assert!(broker.stats().await.is_err_and(|error| failed(&error)));
    assert!(broker.job(job(1).id).await.is_err_and(|error| failed(&error)));
    assert!(
        broker.acknowledge("reader", Partition::WHOLE, Cursor(1)).await.is_err_and(|error| failed(&error))
    );
    assert!(
        broker
            .events(Partition::WHOLE, Cursor(99), 1, Duration::from_secs(3600))
            .await
            .is_err_and(|error| failed(&error))
    );
    assert!(broker.close().await.is_err_and(|error| failed(&error)));
    assert!(broker.failure().is_some());
    let db = Connection::open(fixture.dir.path().join("queue.db")).expect("opens");
    let rows: i64 = db.query_row("SELECT count(*) FROM batch", [], |row| row.get(0)).expect("counts");
    assert_eq!(rows, 1, "nothing of what failed is there");
}

fn damage_schema(fixture: &Fixture, sql: &str) {
    let db = Connection::open(fixture.dir.path().join("queue.db")).expect("opens");
    db.execute_batch(sql).expect("changes");
}

#[tokio::test]
async fn a_closed_broker_has_stopped() {
    let fixture = Fixture::new();
    let broker = fixture.open();
    broker.close().await.expect("closes");
    assert_eq!(broker.enqueue(vec![job(1)]).await, Err(BrokerError::Stopped));
    assert_eq!(broker.stats().await, Err(BrokerError::Stopped));
    assert_eq!(broker.close().await, Err(BrokerError::Stopped));
}
