//! PostgreSQL behind connections that only this end believes in: what a firewall leaves that forgot them, or a server
//! whose machine lost its power.

use std::net::SocketAddr;
use std::time::Duration;

use palomar_records::{PostgresUrl, Records, RecordsError, RecordsPlace};
use palomar_sim::proxy::{Faults, Proxy};

use crate::facts::{LOG, START, id, log, sent};
use crate::house::sound;
use crate::postgres;

/// Records behind a proxy.
struct Behind {
    proxy: Proxy,
    records: Records,
    _dir: tempfile::TempDir,
}

const CONNECTIONS: usize = 6;
const MESSAGES: u128 = 3;

impl Behind {
    async fn open(seed: u64) -> Behind {
        let port = postgres::shared_port();
        let address = postgres::database(port).await;
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), seed).await.expect("a port");
        let through = address.replace(&format!(":{port}/"), &format!(":{}/", proxy.address().port()));
        let dir = tempfile::tempdir().expect("a directory");
        let place = RecordsPlace::in_dir(dir.path());
        let place = place.in_postgres(PostgresUrl::parse(&through).expect("an address"), CONNECTIONS);
        let records = place.open(START).await.expect("opened");
        let facts = log(1, (1..=MESSAGES).flat_map(sent).collect());
        let last = facts.last().expect("some").cursor;
        records.apply(LOG, 0, facts, last, START).await.expect("applied");
        Behind { proxy, records, _dir: dir }
    }

    /// Takes all connections that reads may take.
    async fn warm(&self) {
        let many = (0..32).map(|_| {
            let records = self.records.clone();
            tokio::spawn(async move { records.timeline(id(1)).await })
        });
        for read in many.collect::<Vec<_>>() {
            // Some may have found no connection free.
            let _ = read.await.expect("no panic");
        }
        assert!(self.proxy.open() > 1, "several connections");
    }
}

/// Connections die without a word, and the server can be reached by new ones: one caller finds out, for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_died_without_a_word_cost_one_call_its_time() {
    let behind = Behind::open(1).await;
    behind.warm().await;
    behind.proxy.half_open();
    let error = behind.records.message(id(1)).await.expect_err("its connection is dead");
    assert!(matches!(error, RecordsError::Late(_)), "{error}");
    // The others that were kept are as dead, and are not tried one by one.
    for n in 1..=MESSAGES {
        assert!(behind.records.message(id(n)).await.expect("a new connection").is_some());
    }
    let stands = behind.records.cursor(LOG).await.expect("read");
    behind.records.apply(LOG, stands, log(stands + 1, sent(9)), stands + 4, START).await.expect("applied");
    sound(&behind.records).await;
}

/// Nothing passes any more, in old connections and in new ones: callers are told so, and it goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_holds_up_nobody() {
    let behind = Behind::open(2).await;
    behind.warm().await;
    let stands = behind.records.cursor(LOG).await.expect("read");
    behind.proxy.set(Faults { half_open: 1.0, ..Faults::default() });
    behind.proxy.half_open();
    let facts = || log(stands + 1, sent(9));
    for _ in 0..3 {
        let away = |error: RecordsError| {
            assert!(
                matches!(&error, RecordsError::Away { why, .. } if why.contains("does not answer")),
                "{error}"
            );
        };
        away(behind.records.message(id(1)).await.expect_err("nothing passes"));
        away(
            behind.records.apply(LOG, stands, facts(), stands + 4, START).await.expect_err("nothing passes"),
        );
    }
    behind.proxy.set(Faults::default());
    let applied = async {
        loop {
            match behind.records.apply(LOG, stands, facts(), stands + 4, START).await {
                Ok(applied) => return applied,
                Err(RecordsError::Away { .. } | RecordsError::Late(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let applied = tokio::time::timeout(Duration::from_secs(120), applied).await.expect("it comes back");
    assert_eq!(applied.cursor, stands + 4);
    assert!(behind.records.message(id(9)).await.expect("read").is_some());
    sound(&behind.records).await;
}

/// Commits whose answers are lost: whatever became of them, what is told again takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_lose_and_double_nothing() {
    let behind = Behind::open(3).await;
    let mut stands = behind.records.cursor(LOG).await.expect("read");
    let mut failures = 0;
    for n in 100..130 {
        let (facts, end) = (log(stands + 1, sent(n)), stands + 4);
        // Each of a call's pieces may be the one that is cut off.
        behind.proxy.set(Faults { reset: 0.05, drop: 0.05, ..Faults::default() });
        while stands < end {
            match behind.records.apply(LOG, stands, facts.clone(), end, START).await {
                Ok(applied) => stands = applied.cursor,
                Err(RecordsError::Away { .. } | RecordsError::Late(_)) => {
                    failures += 1;
                    behind.proxy.set(Faults::default());
                    stands = behind.records.cursor(LOG).await.unwrap_or(stands);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    behind.proxy.set(Faults::default());
    assert!(failures > 0, "nothing was cut off");
    for n in 100..130 {
        assert!(behind.records.message(id(n)).await.expect("read").is_some());
    }
    sound(&behind.records).await;
}
