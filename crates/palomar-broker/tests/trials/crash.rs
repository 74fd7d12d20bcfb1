//! Trial 1: kill -9 in full flow, again and again. Nothing that was acknowledged is lost, nothing is sent twice.
//!
//! The process under test enqueues, sends and settles; what it was answered and what it sends goes down a pipe before
//! anything else happens, and the trial, which is not killed, keeps it: its ledger is the provider's and the clients'.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{
    Broker, Control, EmbeddedBroker, Enqueued, JobFilter, JobState, Key, Limits, NewJob, Outcome, Settle,
    Signal, check,
};
use palomar_model::{Clock, ManualClock};

use crate::process::{self, Rng, WallClock, config, id, job, line, open, run, seed, take, tell, told};

const CYCLES: u128 = 25;
/// Started and not settled at most.
const IN_FLIGHT: usize = 32;

/// Enqueues, sends and settles until it is killed.
pub(crate) fn child() {
    run(async {
        let broker =
            Arc::new(EmbeddedBroker::open(config(&process::dir()), Arc::new(WallClock)).expect("opens"));
        let limits = Limits { concurrency: IN_FLIGHT as u32, ..Limits::default() };
        broker.control(Control::Configure { queue: line(), limits }).await.expect("control").expect("valid");
        tell("READY");
        let cycle = process::number() * 1_000_000;
        for producer in 0..3 {
            tokio::spawn(produce(Arc::clone(&broker), cycle + producer * 100_000));
        }
        for worker in 0..4 {
            tokio::spawn(work(Arc::clone(&broker), Rng(cycle as u64 + worker)));
        }
        std::future::pending::<()>().await;
    });
}

fn keyed(n: u128) -> NewJob {
    let key = n.is_multiple_of(3).then(|| Key::of(&format!("key {}", n % 400)));
    NewJob { key, ..job(n, format!("payload {n}")) }
}

async fn produce(broker: Arc<EmbeddedBroker>, from: u128) {
    let mut next = from;
    for round in 0_u128.. {
        let count = if round % 4 == 3 { 20 } else { 1 };
        let ids: Vec<u128> = (next..next + count).collect();
        next += count;
        let answers = broker.enqueue(ids.iter().copied().map(keyed).collect()).await.expect("enqueue");
        assert!(answers.iter().all(|answer| *answer == Enqueued::Accepted));
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        tell(&format!("accepted {}", ids.join(" ")));
    }
}

async fn work(broker: Arc<EmbeddedBroker>, mut rng: Rng) {
    loop {
        let taken = broker.lease(take(8, Duration::from_secs(5))).await.expect("lease");
        for job in taken {
            let (n, refused) = (job.lease.id.0.as_u128(), rng.below(10) == 0);
            assert_eq!(job.payload, format!("payload {n}"), "the right payload");
            tell(&format!("{} {n}", if refused { "refused" } else { "sent" }));
            let outcome =
                if refused { Outcome::Retry { at: WallClock.now(), counts: true } } else { Outcome::Done };
            let settle = Settle {
                lease: job.lease,
                outcome,
                signal: Signal::None,
                events: vec![format!("{n}").into()],
            };
            let answers = broker.settle(vec![settle]).await.expect("settle");
            assert!(answers[0].is_ok(), "{answers:?}");
            if !refused {
                tell(&format!("settled {n}"));
            }
        }
    }
}

/// What was seen from outside.
#[derive(Default)]
struct Ledger {
    accepted: BTreeSet<u128>,
    /// Calls that the provider took, in order.
    sent: Vec<u128>,
    settled: BTreeSet<u128>,
}

impl Ledger {
    fn note(&mut self, line: &str) {
        let Some((what, ids)) = line.split_once(' ') else { return };
        let ids = ids.split(' ').map(|id| id.parse::<u128>().expect("a number"));
        match what {
            "accepted" => self.accepted.extend(ids),
            "sent" => self.sent.extend(ids),
            "settled" => self.settled.extend(ids),
            _ => {}
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_sent_twice_over_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = seed("crash");
    let mut ledger = Ledger::default();
    for cycle in 1..=CYCLES {
        let mut child = process::command(&[], "crash", dir.path(), cycle);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).split(b'\n');
        for line in lines.by_ref().map_while(Result::ok) {
            if told(&line).as_deref() == Some("READY") {
                break;
            }
        }
        let after = Duration::from_millis(rng.below(if cycle % 5 == 0 { 1_000 } else { 60 }));
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        // The kill falls wherever the process is by then: that is the trial.
        std::thread::sleep(after);
        child.kill().expect("kills");
        child.wait().expect("ends");
        // A line that the kill cut in two has no end, so it is the last one and was not answered for.
        for line in reader.join().expect("reads") {
            if let Some(line) = told(&line) {
                ledger.note(&line);
            }
        }
    }
    judge(dir.path(), &ledger);
}

fn judge(dir: &std::path::Path, ledger: &Ledger) {
    let report = check(dir).expect("checks");
    assert!(report.is_sound(), "{report:?}");
    // Well after every order wait, and before anything expires.
    let clock = Arc::new(ManualClock::at(WallClock.now().after(Duration::from_secs(600))));
    let (mut sent, drained) = (ledger.sent.clone(), run(drain(dir, clock)));
    sent.extend(&drained.sent);
    let mut calls: HashMap<u128, usize> = HashMap::new();
    for n in &sent {
        *calls.entry(*n).or_default() += 1;
    }
    let lost: Vec<_> = ledger.accepted.iter().filter(|n| !drained.states.contains_key(n)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let twice: Vec<_> = calls.iter().filter(|(_, calls)| **calls > 1).collect();
    assert!(twice.is_empty(), "sent twice: {twice:?}");
    let uncertain: Vec<u128> = drained.of(JobState::Uncertain);
    let bound = IN_FLIGHT * CYCLES as usize;
    assert!(uncertain.len() <= bound, "{} uncertain of {bound} that were in flight", uncertain.len());
    assert!(uncertain.iter().all(|n| !ledger.settled.contains(n)), "what was settled is known");
    for n in drained.of(JobState::Done) {
        assert!(calls.contains_key(&n), "job {n} is done, and was never sent");
    }
    for (n, state) in &drained.states {
        assert!(matches!(state, JobState::Done | JobState::Uncertain), "job {n} is {state:?} at the end");
    }
    // I10: the calls of a key are in the order of arrival.
    let mut last: HashMap<u128, u64> = HashMap::new();
    for n in sent.iter().filter(|n| *n % 3 == 0) {
        let place = drained.places[n];
        let before = last.insert(n % 400, place);
        assert!(before.is_none_or(|before| before < place), "job {n} overtook another one of its key");
    }
    println!(
        "crash: {CYCLES} kills, {} acknowledged, {} known, {} sent, {} uncertain",
        ledger.accepted.len(),
        drained.states.len(),
        sent.len(),
        uncertain.len()
    );
}

/// What the store held, after the rest was sent.
struct Drained {
    states: BTreeMap<u128, JobState>,
    places: HashMap<u128, u64>,
    sent: Vec<u128>,
}

impl Drained {
    fn of(&self, state: JobState) -> Vec<u128> {
        self.states.iter().filter(|(_, other)| **other == state).map(|(n, _)| *n).collect()
    }
}

async fn drain(dir: &std::path::Path, clock: Arc<ManualClock>) -> Drained {
    let broker = open(dir, clock.clone());
    clock.advance(Duration::from_secs(61));
    let mut sent = Vec::new();
    loop {
        let taken = broker.lease(take(32, Duration::ZERO)).await.expect("lease");
        if taken.is_empty() {
            break;
        }
        sent.extend(process::numbers(&taken));
        let done = |job: &palomar_broker::LeasedJob| Settle {
            lease: job.lease,
            outcome: Outcome::Done,
            signal: Signal::None,
            events: Vec::new(),
        };
        broker.settle(taken.iter().map(done).collect()).await.expect("settle");
    }
    let (mut states, mut places, mut after) = (BTreeMap::new(), HashMap::new(), 0);
    loop {
        let page = broker.jobs(JobFilter::default(), after, 10_000).await.expect("jobs");
        let Some(last) = page.last() else { break };
        after = last.seq;
        for job in page {
            assert_eq!(id(job.id.0.as_u128()), job.id);
            states.insert(job.id.0.as_u128(), job.state);
            places.insert(job.id.0.as_u128(), job.seq);
        }
    }
    Drained { states, places, sent }
}
