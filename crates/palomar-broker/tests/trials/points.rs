//! Trial 10: killed between the provider's call and its record, at each of four points, again and again. Nothing is
//! lost, nothing is sent twice, and what is uncertain afterwards is exactly what GUARANTEES §5 says.
//!
//! The process under test runs the worker runtime on the embedded broker, and kills itself when a job reaches the
//! point. Its provider is a file that it only appends to: a line that was written is a call that was taken, whatever
//! becomes of the process. `KILLS` is how often it dies at each point.

mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::worker::{Handled, Worker, WorkerConfig};
use palomar_broker::{
    Broker, Control, EmbeddedBroker, Evidence, EvidenceEffect, JobFilter, JobState, JobView, LeasedJob,
    Limits, NewJob, OnUncertain, Outcome, Resolution, Verdict, check,
};
use palomar_model::{Clock, ManualClock};

use crate::process::{self, WallClock, id, job, line, open, run, seed, tell, told};
use watched::{Fate, Point, Watched, list};

/// Started and not settled at most.
const IN_FLIGHT: usize = 4;
/// A process dies when a job reaches its point for this time at the latest; so it never runs out of jobs before.
const MOST_PASSES: u64 = 6;
/// New jobs for each process.
const JOBS: u128 = 40;
/// Longer than the trial takes: policies are applied when it lets that time pass.
const UNCERTAIN_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Each policy has its share of the jobs.
fn policy(n: u128) -> OnUncertain {
    [OnUncertain::Hold, OnUncertain::Retry, OnUncertain::Drop][(n % 3) as usize]
}

/// A call that the provider took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    n: u128,
    attempt: u32,
}

/// What the provider took, in order.
fn calls(dir: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(dir.join("provider")).unwrap_or_default();
    let call = |line: &str| {
        let (n, attempt) = line.trim_end().split_once(' ').expect("a job and an attempt");
        Call { n: n.parse().expect("a number"), attempt: attempt.parse().expect("a number") }
    };
    text.lines().map(call).collect()
}

/// Opens the store, tells what it found, delivers the provider's statuses, and works until it dies or all is final.
pub(crate) fn child() {
    run(async {
        let dir = process::dir();
        let clock = Arc::new(ManualClock::at(WallClock.now()));
        let inner = open(&dir.join("store"), clock.clone());
        let limits =
            Limits { concurrency: IN_FLIGHT as u32, uncertain_wait: UNCERTAIN_WAIT, ..Limits::default() };
        inner.control(Control::Configure { queue: line(), limits }).await.expect("control").expect("valid");
        tell(&format!("found {}", list(uncertain(&inner).await)));
        tell(&format!("resolved {}", list(statuses_come(&inner, &calls(&dir)).await)));
        let fate = Arc::new(Fate::new(point_of_death()));
        let provider = File::options().create(true).append(true).open(dir.join("provider"));
        let provider = Arc::new(provider.expect("the provider's ledger"));
        if point_of_death().is_some() {
            let jobs = (1..=JOBS).map(|n| process::number() * 1_000 + n);
            let new = |n| NewJob { on_uncertain: policy(n), ..job(n, "Hola") };
            inner.enqueue(jobs.clone().map(new).collect()).await.expect("enqueue");
            tell(&format!("accepted {}", list(jobs)));
        } else {
            the_wait_is_over(&inner, &clock).await;
        }
        let broker = Arc::new(Watched::new(inner, Arc::clone(&fate)));
        let handler = move |job: LeasedJob| {
            let (fate, provider) = (Arc::clone(&fate), Arc::clone(&provider));
            async move { send(&fate, &provider, &job).await }
        };
        let worker = Worker::spawn(broker.clone(), WorkerConfig::new("outbound", IN_FLIGHT), handler);
        until_final(&*broker).await;
        assert_eq!(worker.stop(Duration::from_secs(60)).await, 0, "none had to be given up");
        for job in standing(&broker.inner).await {
            tell(&format!("{} {}", job.state.as_str(), job.id.0.as_u128()));
        }
        broker.inner.close().await.expect("closes");
    });
}

/// Where this process is to die, and after how many passes; `None` where it is to go on until all is final.
fn point_of_death() -> Option<(Point, u64)> {
    let said = std::env::var("PALOMAR_TRIAL_POINT").ok()?;
    let (name, nth) = said.split_once(' ').expect("a point and a number");
    let point = Point::ALL.into_iter().find(|point| point.name() == name).expect("a point");
    Some((point, nth.parse().expect("a number")))
}

/// One attempt: one call.
async fn send(fate: &Fate, mut provider: &File, job: &LeasedJob) -> Handled {
    let n = job.lease.id.0.as_u128();
    fate.reach(Point::BeforeCall, n).await;
    // One write, and of 32 bytes, so that none lies across two pages, where a kill can cut it: it has happened or it has not.
    let call = format!("{:<31}\n", format!("{n} {}", job.attempt));
    assert_eq!(call.len(), 32, "{call}");
    provider.write_all(call.as_bytes()).expect("the provider takes it");
    fate.reach(Point::AfterCall, n).await;
    Handled::new(Outcome::Done)
}

async fn standing(broker: &EmbeddedBroker) -> Vec<JobView> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = broker.jobs(JobFilter::default(), after, 10_000).await.expect("jobs");
        let Some(last) = page.last() else { return all };
        after = last.seq;
        all.extend(page);
    }
}

async fn uncertain(broker: &EmbeddedBroker) -> Vec<u128> {
    let doubtful = JobFilter { states: vec![JobState::Uncertain], ..JobFilter::default() };
    let jobs = broker.jobs(doubtful, 0, 10_000).await.expect("jobs");
    jobs.iter().map(|job| job.id.0.as_u128()).collect()
}

/// The provider reports on every call that it took, by tag; what that resolved.
async fn statuses_come(broker: &EmbeddedBroker, calls: &[Call]) -> Vec<u128> {
    let mut resolved = Vec::new();
    for calls in calls.chunks(1_000) {
        let status = |call: &Call| Evidence {
            id: id(call.n),
            attempt: call.attempt,
            verdict: Verdict::Taken,
            events: Vec::new(),
        };
        let effects = broker.evidence(calls.iter().map(status).collect()).await.expect("evidence");
        for (call, effect) in calls.iter().zip(effects) {
            assert_ne!(effect, EvidenceEffect::DuplicateSend, "{call:?}");
            resolved.extend((effect == EvidenceEffect::Resolved).then_some(call.n));
        }
    }
    resolved
}

/// The wait for evidence ends: policies are applied, and a person who has seen the provider's ledger orders the rest.
async fn the_wait_is_over(broker: &EmbeddedBroker, clock: &ManualClock) {
    clock.advance(UNCERTAIN_WAIT + Duration::from_secs(1));
    broker.stats().await.expect("stats");
    let held = uncertain(broker).await;
    tell(&format!("held {}", list(held.clone())));
    for n in held {
        let again = Control::Resolve { id: id(n), resolution: Resolution::Retry };
        broker.control(again).await.expect("control").expect("an uncertain job can be tried again");
    }
}

async fn until_final(broker: &dyn Broker) {
    loop {
        let stats = broker.stats().await.expect("stats");
        let open = [JobState::Scheduled, JobState::Queued, JobState::Started, JobState::Uncertain];
        if open.iter().all(|state| stats.queues[0].counts[*state as usize] == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a process told before its end: words, and the jobs that each was said of.
struct Told {
    said: BTreeMap<String, BTreeSet<u128>>,
    status: ExitStatus,
}

impl Told {
    fn of(&self, word: &str) -> BTreeSet<u128> {
        self.said.get(word).cloned().unwrap_or_default()
    }
}

/// Runs a process to its end; one that does not end fails.
fn live(dir: &Path, number: u128, death: Option<(Point, u64)>) -> Told {
    let mut command = process::command(&["timeout", "120"], "points", dir, number);
    if let Some((point, nth)) = death {
        command.env("PALOMAR_TRIAL_POINT", format!("{} {nth}", point.name()));
    }
    let output = command.stderr(Stdio::inherit()).output().expect("runs");
    let mut said: BTreeMap<String, BTreeSet<u128>> = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter_map(told) {
        let (word, jobs) = line.split_once(' ').expect("a word and jobs");
        let jobs = jobs.split_whitespace().map(|n| n.parse::<u128>().expect("a number"));
        said.entry(word.to_owned()).or_default().extend(jobs);
    }
    Told { said, status: output.status }
}

/// What must be so, by what was told and what the provider took.
#[derive(Default)]
struct Ledger {
    accepted: BTreeSet<u128>,
    /// Not known, by §5.
    doubtful: BTreeSet<u128>,
    /// Per point: jobs that a death there left uncertain, and how many of them the provider had taken.
    counts: [(usize, usize); 4],
}

impl Ledger {
    /// A process has opened the store: what is uncertain is what must be, and the statuses resolve what was taken.
    fn after_a_start(&mut self, told: &Told, taken: &BTreeSet<u128>) {
        assert_eq!(told.of("found"), self.doubtful, "uncertain is what started and was not settled");
        let known: BTreeSet<u128> = self.doubtful.intersection(taken).copied().collect();
        assert_eq!(told.of("resolved"), known, "a status resolves what it is about, and nothing else");
        self.doubtful.retain(|n| !known.contains(n));
    }

    /// A process has died at its point.
    fn after_a_death(&mut self, told: &Told, point: Point, taken: &BTreeSet<u128>) {
        assert_eq!(told.status.signal(), Some(9), "{point:?}: it ended otherwise: {}", told.status);
        self.accepted.extend(told.of("accepted"));
        let (settled, dead) = (told.of("settled"), told.of("died"));
        assert!(!dead.is_empty(), "{point:?}: a job was there");
        for n in dead {
            let (was_taken, was_settled) = match point {
                Point::BeforeCall => (false, false),
                Point::AfterCall | Point::BeforeSettle => (true, false),
                Point::AfterSettle => (true, true),
            };
            assert_eq!(
                (taken.contains(&n), settled.contains(&n)),
                (was_taken, was_settled),
                "{point:?}: {n}"
            );
        }
        let open: BTreeSet<u128> = told.of("started").difference(&settled).copied().collect();
        assert!(open.len() <= IN_FLIGHT, "{} were in flight", open.len());
        let count = &mut self.counts[point as usize];
        count.0 += open.len();
        count.1 += open.intersection(taken).count();
        self.doubtful.extend(open);
    }

    /// All is final.
    fn at_the_end(&self, told: &Told, calls: &[Call]) {
        assert!(told.status.success(), "the last process ends by itself: {}", told.status);
        let mut times: BTreeMap<u128, usize> = BTreeMap::new();
        for call in calls {
            *times.entry(call.n).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "sent twice: {twice:?}");
        // What is left was never taken: each policy does what it says.
        let of = |wanted| self.doubtful.iter().copied().filter(move |n| policy(*n) == wanted);
        assert_eq!(told.of("held"), of(OnUncertain::Hold).collect(), "a person is asked for these alone");
        let given_up: BTreeSet<u128> = of(OnUncertain::Drop).collect();
        assert_eq!(told.of("dead"), given_up, "given up is what may not be tried again");
        let sent: BTreeSet<u128> = times.keys().copied().collect();
        assert_eq!(told.of("done"), sent, "done is what the provider took");
        let known: BTreeSet<u128> = sent.union(&given_up).copied().collect();
        assert_eq!(known, self.accepted, "none is lost");
        assert!(sent.is_disjoint(&given_up), "what is given up was never taken");
    }
}

#[test]
fn killed_at_every_point_it_knows_what_it_knows() {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(25);
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = seed("points");
    let mut ledger = Ledger::default();
    let taken = || calls(dir.path()).iter().map(|call| call.n).collect::<BTreeSet<u128>>();
    for number in 1..=kills * 4 {
        let point = Point::ALL[(number % 4) as usize];
        let before = taken();
        let told = live(dir.path(), number, Some((point, 1 + rng.below(MOST_PASSES))));
        ledger.after_a_start(&told, &before);
        ledger.after_a_death(&told, point, &taken());
    }
    let before = taken();
    let told = live(dir.path(), 0, None);
    ledger.after_a_start(&told, &before);
    let report = check(&dir.path().join("store")).expect("checks");
    assert!(report.is_sound(), "{report:?}");
    ledger.at_the_end(&told, &calls(dir.path()));
    for (point, (open, taken)) in Point::ALL.iter().zip(ledger.counts) {
        println!("points: {kills} kills {}: {open} uncertain, {taken} of them taken", point.name());
    }
    println!("points: {} accepted, 0 lost, 0 twice", ledger.accepted.len());
}
