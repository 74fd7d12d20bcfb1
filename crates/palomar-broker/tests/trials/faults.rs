//! Trial 4: the n-th call to the disk fails, for every n. Never a false answer, and a restart finds what was answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{
    Broker, BrokerError, EmbeddedBroker, JobFilter, JobState, Outcome, Settle, Signal, check,
};
use palomar_model::{ManualClock, Timestamp};

use crate::process::{self, job, need_strace, open, run, take, tell, told};

const ROUNDS: u128 = 12;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)))
}

/// A fixed script, one request after the other; it tells what was answered, and ends at the first failure.
pub(crate) fn child() {
    run(async {
        let broker = match EmbeddedBroker::open(process::config(&process::dir()), clock()) {
            Ok(broker) => broker,
            Err(_) => return tell("failed to open"),
        };
        match script(&broker).await {
            Ok(()) | Err(BrokerError::Full) => tell(&format!("jobs {}", standing(&broker).await)),
            Err(_) => {
                assert!(broker.enqueue(vec![job(999, "x")]).await.is_err(), "a failure is final");
                tell("failed");
            }
        }
    });
}

async fn script(broker: &EmbeddedBroker) -> Result<(), BrokerError> {
    for round in 0..ROUNDS {
        let ids = round * 5 + 1..=round * 5 + 5;
        let accepted = broker.enqueue(ids.clone().map(|n| job(n, format!("payload {n}"))).collect()).await;
        match accepted {
            Ok(_) => ids.for_each(|n| tell(&format!("accepted {n}"))),
            // What was accepted goes on.
            Err(BrokerError::Full) => {}
            Err(error) => return Err(error),
        }
        for job in broker.lease(take(3, Duration::ZERO)).await? {
            let n = job.lease.id.0.as_u128();
            tell(&format!("started {n}"));
            let settle =
                Settle { lease: job.lease, outcome: Outcome::Done, signal: Signal::None, events: Vec::new() };
            broker.settle(vec![settle]).await?[0].expect("settles");
            tell(&format!("done {n}"));
        }
    }
    Ok(())
}

/// All jobs in one text.
async fn standing(broker: &EmbeddedBroker) -> String {
    match broker.jobs(JobFilter::default(), 0, 10_000).await {
        Ok(jobs) => {
            jobs.iter().map(|job| format!("{}:{}:{};", job.seq, job.state.as_str(), job.token)).collect()
        }
        Err(_) => "none".into(),
    }
}

/// Runs the script with a fault, and compares what it told with what a restart finds. Answers whether it failed.
fn trial(fault: &[&str]) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    // The reserve stands before, so that the calls of the script are few.
    run(async { open(&store, clock()).close().await.expect("closes") });
    let mut wrapper = vec!["timeout", "120", "strace", "-f", "-o", "/dev/null"];
    wrapper.extend(fault);
    let output =
        process::command(&wrapper, "faults", &store, 0).stderr(Stdio::null()).output().expect("runs");
    let lines: Vec<String> = output.stdout.split(|byte| *byte == b'\n').filter_map(told).collect();
    let what = format!("{fault:?}: {lines:?}");
    let mut known: BTreeMap<u128, Vec<JobState>> = BTreeMap::new();
    for line in &lines {
        let Some((told, n)) = line.split_once(' ') else { continue };
        let Ok(n) = n.parse() else { continue };
        let states = match told {
            // What was not acknowledged may have happened.
            "accepted" => vec![JobState::Queued, JobState::Uncertain],
            "started" => vec![JobState::Uncertain, JobState::Done],
            _ => vec![JobState::Done],
        };
        known.insert(n, states);
    }
    assert!(check(&store).expect("checks").is_sound(), "{what}");
    run(async {
        judge(&store, &known, lines.iter().find_map(|line| line.strip_prefix("jobs ")), &what).await;
    });
    !lines.iter().any(|line| line.starts_with("jobs "))
}

async fn judge(store: &Path, known: &BTreeMap<u128, Vec<JobState>>, memory: Option<&str>, what: &str) {
    let broker = open(store, clock());
    for (n, states) in known {
        let (view, payload) =
            broker.job(process::id(*n)).await.expect("job").unwrap_or_else(|| panic!("{n} lost: {what}"));
        assert!(states.contains(&view.state), "job {n} is {:?}: {what}", view.state);
        assert_eq!(payload, format!("payload {n}"), "{what}");
    }
    if let Some(memory) = memory.filter(|memory| *memory != "none") {
        assert_eq!(standing(&broker).await, memory, "memory and disk: {what}");
    }
}

#[test]
fn no_failing_call_makes_a_false_answer() {
    need_strace();
    assert!(!trial(&["-e", "trace=none"]), "the script runs to its end where nothing fails");
    let mut failed = 0;
    let mut trials = 0;
    for (calls, error, every) in [
        ("fdatasync,fsync", "EIO", 2),
        ("pwrite64", "EIO", 9),
        ("pwrite64", "ENOSPC", 9),
        ("ftruncate", "EIO", 2),
    ] {
        for n in (1..=if every == 2 { 40 } else { 190 }).step_by(every) {
            trials += 1;
            let (trace, fault) = (format!("trace={calls}"), format!("inject={calls}:error={error}:when={n}"));
            failed += usize::from(trial(&["-e", &trace, "-e", &fault]));
        }
    }
    assert!(failed > 10, "the faults reached the store: {failed} of {trials} ended the process");
    println!("faults: {trials} faults, {failed} ended the process, no false answer");
}
