//! A random walk over all operations, side by side with the reference: every answer is compared.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palomar_model::{Clock, ManualClock, MessageId, Priority, Timestamp};

use super::model::{Model, comparable};
use crate::broker::Broker;
use crate::types::{
    BreakerConfig, Budget, Control, Cursor, Dedupe, Evidence, JobFilter, JobId, JobState, Key, LeaseRef,
    LeaseRequest, Limits, NewJob, OnUncertain, Outcome, Pair, Partition, QueueName, Resolution, Settle,
    Signal, Verdict, Window,
};

/// A small generator of numbers (SplitMix64): the same walk for the same seed, for ever.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// Takes `steps` random steps on a new broker and on the reference machine, and compares every answer.
///
/// The broker must be empty and have the default [`crate::MachineConfig`]; `clock` is its clock.
///
/// # Panics
/// At the first answer that differs, with seed and step.
pub async fn side_by_side(broker: &Arc<dyn Broker>, clock: &Arc<ManualClock>, seed: u64, steps: u64) {
    let mut walk = Walk::new(Arc::clone(broker), Arc::clone(clock), seed);
    for _ in 0..steps {
        walk.step().await;
    }
    walk.compare_all().await;
}

/// A walk under way.
pub(crate) struct Walk {
    pub(crate) broker: Arc<dyn Broker>,
    clock: Arc<ManualClock>,
    model: Model,
    rng: Rng,
    seed: u64,
    steps: u64,
    jobs: u128,
    /// Leases that were given; some have ended.
    leases: Vec<LeaseRef>,
}

const QUEUES: [(&str, &str); 4] = [("outbound", "a"), ("outbound", "b"), ("outbound", "c"), ("hooks", "h")];

impl Walk {
    pub(crate) fn new(broker: Arc<dyn Broker>, clock: Arc<ManualClock>, seed: u64) -> Walk {
        Walk {
            broker,
            clock,
            model: Model::new(),
            rng: Rng(seed),
            seed,
            steps: 0,
            jobs: 0,
            leases: Vec::new(),
        }
    }

    /// Compares two answers.
    #[track_caller]
    fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, broker: &T, model: &T) {
        let (seed, step) = (self.seed, self.steps);
        assert_eq!(
            broker, model,
            "{what}: the broker (left) differs from the reference, at step {step} of SEED={seed}"
        );
    }

    /// One random step.
    pub(crate) async fn step(&mut self) {
        self.steps += 1;
        let now = self.clock.now();
        self.model.machine.tick(now);
        match self.rng.below(100) {
            0..24 => self.enqueue(now).await,
            24..44 => self.lease(now).await,
            44..50 => self.start(now).await,
            50..53 => self.renew(now).await,
            53..73 => self.settle(now).await,
            73..77 => self.evidence(now).await,
            77..87 => self.control(now).await,
            87..94 => self.look().await,
            _ => self.pass().await,
        }
        self.model.keep(self.clock.now());
    }

    fn queue(&mut self) -> QueueName {
        let (pool, name) = self.rng.of(&QUEUES);
        QueueName::new(pool, name).expect("a queue's name")
    }

    fn known_id(&mut self) -> JobId {
        let back = u128::from(self.rng.below(60)).min(self.jobs);
        MessageId(uuid::Uuid::from_u128((self.jobs - back).max(1)))
    }

    fn lease_ref(&mut self) -> LeaseRef {
        if self.leases.is_empty() || self.rng.one_in(20) {
            let id = self.known_id();
            return LeaseRef { id, token: self.rng.below(5) as u32 };
        }
        let place = self.rng.below(self.leases.len() as u64) as usize;
        self.leases[place]
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.rng.below(most * 1_000))
    }

    fn new_job(&mut self, now: Timestamp) -> NewJob {
        let repeated = self.rng.one_in(20);
        if !repeated {
            self.jobs += 1;
        }
        let id = if repeated { self.known_id() } else { MessageId(uuid::Uuid::from_u128(self.jobs)) };
        let size = if self.rng.one_in(30) { 3_000 } else { self.rng.below(50) as usize };
        let payload = Bytes::from(vec![b'a' + (self.rng.below(26)) as u8; size]);
        let key = self.rng.of(&[None, Some("x"), Some("y"), Some("z")]).map(Key::of);
        let run_at = self.rng.one_in(5).then(|| now.after(self.seconds(200)));
        let expires_at = self.rng.one_in(6).then(|| now.after(self.seconds(300)));
        let identities = if self.rng.one_in(4) { 1 + self.rng.below(2) } else { 0 };
        let identity = |n| Dedupe {
            id: u128::from(n * 100 + self.rng.below(30)),
            fingerprint: self.rng.below(3),
            ttl: self.seconds(400),
        };
        let dedupe = (0..identities).map(identity).collect();
        NewJob {
            id,
            queue: self.queue(),
            priority: self.rng.of(&Priority::ALL),
            group: self.rng.of(&[None, Some("g"), Some("h")]).map(Into::into),
            key,
            run_at,
            expires_at,
            on_uncertain: self.rng.of(&[OnUncertain::Hold, OnUncertain::Retry, OnUncertain::Drop]),
            spends_budget: !self.rng.one_in(3),
            dedupe,
            payload,
        }
    }

    async fn enqueue(&mut self, now: Timestamp) {
        let jobs: Vec<NewJob> = (0..=self.rng.below(4)).map(|_| self.new_job(now)).collect();
        let expected = self.model.machine.enqueue(jobs.clone(), now);
        let answer = self.broker.enqueue(jobs).await.expect("enqueue");
        self.same("enqueue", &answer, &expected);
    }

    async fn lease(&mut self, now: Timestamp) {
        let (pool, max) = (self.rng.of(&["outbound", "outbound", "hooks"]), 1 + self.rng.below(4) as usize);
        let (start, lease) = (self.rng.one_in(2), Duration::from_secs(10 + self.rng.below(110)));
        let request = LeaseRequest { pool: pool.into(), max, lease, start, wait: Duration::ZERO };
        let given = self.model.machine.lease(pool, max, lease, start, now);
        // What was accepted before is known to the model; leases accept nothing.
        let expected: Vec<_> = given.into_iter().map(|leasing| self.model.leased(leasing)).collect();
        let answer = self.broker.lease(request).await.expect("lease");
        self.same("lease", &answer, &expected);
        self.leases.extend(answer.iter().map(|job| job.lease));
        let old = self.leases.len().saturating_sub(40);
        self.leases.drain(..old);
    }

    async fn start(&mut self, now: Timestamp) {
        let leases: Vec<LeaseRef> = (0..=self.rng.below(2)).map(|_| self.lease_ref()).collect();
        let expected: Vec<_> = leases.iter().map(|lease| self.model.machine.start(*lease, now)).collect();
        let answer = self.broker.start(leases).await.expect("start");
        self.same("start", &answer, &expected);
    }

    async fn renew(&mut self, now: Timestamp) {
        let (lease, by) = (self.lease_ref(), self.seconds(120));
        let expected = vec![self.model.machine.renew(lease, by, now)];
        let answer = self.broker.renew(vec![lease], by).await.expect("renew");
        self.same("renew", &answer, &expected);
    }

    fn outcome(&mut self, now: Timestamp) -> Outcome {
        match self.rng.below(10) {
            0..4 => Outcome::Done,
            4 | 5 => Outcome::Retry { at: now.after(self.seconds(30)), counts: self.rng.one_in(2) },
            6 => Outcome::Dead { reason: self.rng.of(&["131026", "time-out"]).into() },
            7 => Outcome::Uncertain,
            8 => Outcome::Release,
            _ => Outcome::Panicked,
        }
    }

    fn signal(&mut self) -> Signal {
        match self.rng.below(16) {
            0..7 => Signal::Success,
            7..11 => Signal::Failure,
            11 => Signal::Throttled { after: self.rng.one_in(2).then(|| self.seconds(20)) },
            12 if self.rng.one_in(8) => Signal::Pause { reason: "auth".into() },
            _ => Signal::None,
        }
    }

    fn events(&mut self) -> Vec<Bytes> {
        let count = self.rng.below(3);
        (0..count).map(|n| format!("event {} of step {}", n, self.steps).into()).collect()
    }

    async fn settle(&mut self, now: Timestamp) {
        let settles: Vec<Settle> = (0..=self.rng.below(3))
            .map(|_| Settle {
                lease: self.lease_ref(),
                outcome: self.outcome(now),
                signal: self.signal(),
                events: self.events(),
            })
            .collect();
        let expected: Vec<_> =
            settles.iter().map(|settle| self.model.machine.settle(settle.clone(), now)).collect();
        let answer = self.broker.settle(settles).await.expect("settle");
        self.same("settle", &answer, &expected);
    }

    async fn evidence(&mut self, now: Timestamp) {
        let verdict =
            self.rng.of(&[Verdict::Taken, Verdict::Taken, Verdict::Failed { reason: "131047".into() }]);
        let LeaseRef { id, token } = self.lease_ref();
        let evidence = Evidence { id, attempt: token, verdict, events: self.events() };
        let expected = vec![self.model.machine.evidence(evidence.clone(), now)];
        let answer = self.broker.evidence(vec![evidence]).await.expect("evidence");
        self.same("evidence", &answer, &expected);
    }

    fn limits(&mut self) -> Limits {
        let window = |max, seconds| Window { max, window: Duration::from_secs(seconds) };
        Limits {
            windows: self.rng.of(&[
                vec![],
                vec![window(3, 10)],
                vec![window(5, 10), window(20, 120)],
                vec![window(30, 1)],
            ]),
            pair: self.rng.of(&[None, Some(Pair { interval: Duration::from_secs(6), burst: 2 })]),
            concurrency: self.rng.of(&[2, 5, 50]),
            budget: self.budget(),
            breaker: BreakerConfig { failures: self.rng.of(&[0, 2, 10]), open_for: Duration::from_secs(20) },
            ..Limits::default()
        }
    }

    /// One of two that queues share, or none; whoever configures it last says what it allows.
    fn budget(&mut self) -> Option<Budget> {
        let (name, seconds) = self.rng.of(&[("x", 60), ("y", 900)]);
        let max = 1 + self.rng.below(2) as u32;
        let budget = Budget { name: name.into(), max, window: Duration::from_secs(seconds) };
        self.rng.one_in(2).then_some(budget)
    }

    fn filter(&mut self) -> JobFilter {
        let now = self.clock.now();
        JobFilter {
            id: self.rng.one_in(8).then(|| self.known_id()),
            before: self.rng.one_in(4).then(|| now.before(self.seconds(100))),
            ended_before: self.rng.one_in(8).then(|| now.before(self.seconds(100))),
            queue: self.rng.one_in(2).then(|| self.queue()),
            group: self.rng.one_in(2).then(|| "g".into()),
            states: if self.rng.one_in(3) { vec![self.rng.of(&JobState::ALL)] } else { Vec::new() },
            reason: self.rng.one_in(4).then(|| "1310".into()),
            ..JobFilter::default()
        }
    }

    async fn control(&mut self, now: Timestamp) {
        let control = match self.rng.below(24) {
            0 | 1 => Control::Configure { queue: self.queue(), limits: self.limits() },
            2 => Control::Pause { queue: self.queue(), reason: "lunch".into() },
            3..8 => Control::Resume { queue: self.queue() },
            8 | 9 => Control::PauseGroup { queue: self.queue(), group: self.rng.of(&["g", "h"]).into() },
            10..12 => Control::ResumeGroup { queue: self.queue(), group: self.rng.of(&["g", "h"]).into() },
            12 | 13 => Control::Cancel { id: self.known_id() },
            14 if self.rng.one_in(3) => Control::CancelAll(self.filter()),
            14 | 15 => Control::Promote { id: self.known_id() },
            16 | 17 => Control::RetryDead { id: self.known_id() },
            18 => Control::RetryAll(self.filter()),
            19 => Control::Purge(self.filter()),
            20 => Control::Clean { filter: self.filter(), keep: self.rng.below(4) as usize },
            21 => Control::Remove { queue: self.queue() },
            _ => Control::Resolve {
                id: self.known_id(),
                resolution: self.rng.of(&[Resolution::Sent, Resolution::Failed, Resolution::Retry]),
            },
        };
        let expected = self.model.control(control.clone(), now);
        let answer = self.broker.control(control.clone()).await.expect("control");
        self.same(&format!("{control:?}"), &answer, &expected);
    }

    async fn look(&mut self) {
        let id = self.known_id();
        let expected = self.model.machine.view(id).map(|view| self.model.shown(view));
        self.same("job", &self.broker.job(id).await.expect("job"), &expected);
        let expected = self.model.machine.explain(id);
        self.same("explain", &self.broker.explain(id).await.expect("explain"), &expected);
        let (filter, after) = (self.filter(), self.rng.below(50));
        let expected = self.model.jobs(&filter, after, 20);
        self.same("jobs", &self.broker.jobs(filter, after, 20).await.expect("jobs"), &expected);
    }

    async fn pass(&mut self) {
        let by = if self.rng.one_in(12) { self.seconds(2_000) } else { self.seconds(15) };
        // Both do what is due before the clock moves, what the last step left due at once included: a broker does that by
        // itself, as soon as it comes to it.
        for by in [Duration::ZERO, by] {
            self.clock.advance(by);
            let now = self.clock.now();
            self.model.machine.tick(now);
            let answer = comparable(self.broker.stats().await.expect("stats"));
            self.same("stats", &answer, &self.model.stats());
        }
    }

    /// Compares all that can be seen: every job, all numbers, the whole log.
    pub(crate) async fn compare_all(&mut self) {
        let now = self.clock.now();
        self.model.machine.tick(now);
        let answer = comparable(self.broker.stats().await.expect("stats"));
        self.same("stats", &answer, &self.model.stats());
        let expected = self.model.jobs(&JobFilter::default(), 0, 10_000);
        let answer = self.broker.jobs(JobFilter::default(), 0, 10_000).await.expect("jobs");
        self.same("how many jobs", &answer.len(), &expected.len());
        for (job, expected) in answer.iter().zip(&expected) {
            self.same("a job", job, expected);
        }
        self.model.keep(now);
        let (mut cursor, mut read) = (Cursor(0), Vec::new());
        loop {
            let page =
                self.broker.events(Partition::WHOLE, cursor, 1_000, Duration::ZERO).await.expect("events");
            let Some(last) = page.last() else { break };
            cursor = last.cursor;
            read.extend(page.into_iter().map(|entry| (entry.job, entry.fact)));
        }
        self.same("how many facts", &read.len(), &self.model.facts.len());
        for (read, expected) in read.iter().zip(&self.model.facts) {
            self.same("a fact", read, expected);
        }
    }

    /// Another broker goes on from what the first one stored.
    #[cfg(test)]
    pub(crate) fn restart(&mut self, broker: Arc<dyn Broker>, how: super::Restart) {
        self.broker = broker;
        self.model.restart(how, self.clock.now());
    }
}
