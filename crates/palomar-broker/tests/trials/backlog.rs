//! Trial 35, small: a large backlog, a kill, and all of it is there again, in order.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Broker, EmbeddedBroker, JobFilter, JobState};
use palomar_model::Clock;

use crate::process::{self, WallClock, job, numbers, open, run, take, tell, told};

const BACKLOG: u128 = 200_000;
const BATCH: u128 = 10_000;

fn payload(n: u128) -> String {
    format!("{n:0>200}")
}

/// Accepts the backlog and waits for its end.
pub(crate) fn child() {
    run(async {
        let broker =
            EmbeddedBroker::open(process::config(&process::dir()), Arc::new(WallClock)).expect("opens");
        for batch in 0..BACKLOG / BATCH {
            let ids = batch * BATCH + 1..=(batch + 1) * BATCH;
            broker.enqueue(ids.map(|n| job(n, payload(n))).collect()).await.expect("enqueue");
        }
        tell("READY");
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_large_backlog_survives_a_kill_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = process::command(&[], "backlog", dir.path(), 0);
    let mut child = child.stdout(Stdio::piped()).spawn().expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).split(b'\n');
    let ready = lines.map_while(Result::ok).any(|line| told(&line).as_deref() == Some("READY"));
    assert!(ready, "the backlog was accepted");
    child.kill().expect("kills");
    child.wait().expect("ends");
    let begun = WallClock.now();
    let broker = open(dir.path(), Arc::new(WallClock));
    let opened = WallClock.now();
    assert_eq!((broker.opened().jobs as u128, broker.opened().damaged.len()), (BACKLOG, 0));
    run(async {
        let first = broker.lease(take(50, Duration::ZERO)).await.expect("lease");
        println!(
            "backlog: {BACKLOG} jobs, open after {:?}, first lease {:?} later",
            opened.since(begun),
            WallClock.now().since(opened)
        );
        assert_eq!(numbers(&first), (1..=50).collect::<Vec<_>>());
        assert!(first.iter().zip(1..).all(|(job, n)| job.payload == payload(n)));
        let mut after = 0;
        loop {
            let page = broker
                .jobs(JobFilter::default(), u64::try_from(after).expect("small"), 10_000)
                .await
                .expect("jobs");
            if page.is_empty() {
                break;
            }
            for job in page {
                after += 1;
                assert_eq!(
                    (job.id, u128::from(job.seq)),
                    (process::id(after), after),
                    "in the order of arrival"
                );
                assert_eq!(job.state, if after <= 50 { JobState::Started } else { JobState::Queued });
            }
        }
        assert_eq!(after, BACKLOG);
        let last = broker.job(process::id(BACKLOG)).await.expect("job").expect("known");
        assert_eq!(last.1, payload(BACKLOG));
    });
}
