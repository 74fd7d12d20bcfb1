//! A naive model of a broker, written from GUARANTEES: jobs in a vector, linear scans, all starts in plain lists.
//!
//! It does not say which job a lease gives, but whether it may give this one, and whether it may give none.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::{Priority, Timestamp};

use crate::types::{Budget, JobId, JobState, Limits, OnUncertain, QueueName, Verdict, Window};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Until it is due.
    Scheduled(Timestamp),
    /// Queued; not before this time.
    Waits(Timestamp),
    /// Until the lease ends.
    Leased(Timestamp),
    Started(Timestamp),
    /// Uncertain; later jobs of the key wait until then.
    Doubted(Timestamp),
    /// Uncertain; until the policy is applied.
    Aside(Timestamp),
    Held,
    Dead,
    Done,
    Cancelled,
    Expired,
}

impl At {
    pub(super) fn state(self) -> JobState {
        match self {
            At::Scheduled(_) => JobState::Scheduled,
            At::Waits(_) | At::Leased(_) => JobState::Queued,
            At::Started(_) => JobState::Started,
            At::Doubted(_) | At::Aside(_) | At::Held => JobState::Uncertain,
            At::Dead => JobState::Dead,
            At::Done => JobState::Done,
            At::Cancelled => JobState::Cancelled,
            At::Expired => JobState::Expired,
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, At::Dead | At::Done | At::Cancelled | At::Expired)
    }

    pub(super) fn waits(self) -> bool {
        matches!(self, At::Scheduled(_) | At::Waits(_))
    }

    /// Whether later jobs of the key wait for it.
    pub(super) fn holds_order(self) -> bool {
        matches!(self, At::Waits(_) | At::Leased(_) | At::Started(_) | At::Doubted(_))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) seq: u64,
    pub(super) queued: Timestamp,
    pub(super) queue: usize,
    pub(super) group: Option<&'static str>,
    pub(super) key: u64,
    pub(super) priority: Priority,
    pub(super) expires: Option<Timestamp>,
    pub(super) policy: OnUncertain,
    pub(super) spends: bool,
    pub(super) at: At,
    pub(super) token: u32,
    pub(super) tries: u32,
    pub(super) strikes: u32,
    /// Its place in the order of its key.
    pub(super) place: u64,
    /// When it became final; and counted, for what becomes final at once.
    pub(super) ended_at: Timestamp,
    pub(super) ended: u64,
    /// Attempts that started.
    pub(super) starts: Vec<u32>,
    /// The attempt that is proved to be taken, where that settled it.
    pub(super) proved: Option<u32>,
    pub(super) vouched: Option<Verdict>,
    pub(super) duplicated: bool,
    /// Answers "known not taken" and persons' orders to try again.
    pub(super) allowed_again: usize,
    pub(super) policy_again: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed(u32),
    Open(Timestamp),
    Probe(JobId),
}

/// A window that is in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) window: Window,
    /// Starts of the queue before it came into force.
    pub(super) before: usize,
    /// Starts that it remembers.
    pub(super) starts: Vec<Timestamp>,
    /// When the slice in use was begun, and how many were leased in it.
    pub(super) slice: (Timestamp, u64),
}

/// How many starts a window allows at a share of its rate.
fn allowed(window: Window, rate: u32) -> u64 {
    (u64::from(window.max) * u64::from(rate) / 1000).max(1)
}

/// What a slice of a short window holds, and how long it lasts.
fn slice_of(window: Window, rate: u32) -> Option<(u64, Duration)> {
    let allowed = allowed(window, rate);
    let most = allowed.div_ceil(20);
    let micros = window.window.as_micros() as u64 * 9 / 10 * most / allowed;
    (window.window <= Duration::from_secs(2) && allowed > 1).then_some((most, Duration::from_micros(micros)))
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) limits: Limits,
    pub(super) paused: bool,
    pub(super) paused_groups: Vec<&'static str>,
    pub(super) breaker: Breaker,
    pub(super) throttled_until: Timestamp,
    /// When the share of the rate was cut last, from what and to what, in thousandths.
    pub(super) cut: Option<(Timestamp, i64, i64)>,
    pub(super) windows: Vec<InForce>,
    /// Every start: when, and of which key.
    pub(super) starts: Vec<(Timestamp, u64)>,
    /// Starts that count for the pace of their key, with the interval of their time.
    pub(super) paced: Vec<(Timestamp, u64, Duration)>,
    /// The place of the last start of each key.
    pub(super) last_place: BTreeMap<u64, u64>,
    pub(super) accepted: u64,
    pub(super) finished: [u64; 8],
    pub(super) duplicates: u64,
    pub(super) stale: u64,
    pub(super) ran_out: [u64; 2],
}

/// The model.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) now: Timestamp,
    pub(super) jobs: Vec<Job>,
    pub(super) queues: Vec<Option<Queue>>,
    pub(super) budgets: BTreeMap<String, (Budget, Vec<(Timestamp, u64)>)>,
    pub(super) requests: BTreeMap<u128, (JobId, u64, Timestamp)>,
    pub(super) hits: u64,
    pub(super) keep: (usize, usize),
    pub(super) next_seq: u64,
    pub(super) counter: u64,
}

impl Model {
    pub(super) fn new(keep_finished: usize, keep_dead: usize) -> Model {
        Model {
            now: Timestamp::EPOCH,
            jobs: Vec::new(),
            queues: Vec::new(),
            budgets: BTreeMap::new(),
            requests: BTreeMap::new(),
            hits: 0,
            keep: (keep_finished, keep_dead),
            next_seq: 1,
            counter: 0,
        }
    }

    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn find(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    pub(super) fn queue(&self, queue: usize) -> &Queue {
        self.queues[queue].as_ref().expect("a queue that is")
    }

    pub(super) fn queue_mut(&mut self, queue: usize) -> &mut Queue {
        self.queues[queue].as_mut().expect("a queue that is")
    }

    pub(super) fn in_state(&self, queue: usize, fits: impl Fn(At) -> bool) -> u64 {
        self.jobs.iter().filter(|job| job.queue == queue && fits(job.at)).count() as u64
    }

    /// Whether a job is the first of its key.
    fn is_first(&self, ix: usize) -> bool {
        let job = &self.jobs[ix];
        job.key == 0
            || !self.jobs.iter().any(|other| {
                other.queue == job.queue
                    && other.key == job.key
                    && other.at.holds_order()
                    && other.place < job.place
            })
    }

    /// When a queue goes on after its last cut.
    pub(super) fn goes_on(&self, queue: usize) -> Option<Timestamp> {
        let queue = self.queue(queue);
        queue.cut.map(|(at, ..)| at.max(queue.throttled_until))
    }

    /// The share of the rate that refusals leave: a cubic, which is flat six seconds after it goes on.
    pub(super) fn rate(&self, queue: usize) -> u32 {
        let (Some((_, from, to)), Some(on)) = (self.queue(queue).cut, self.goes_on(queue)) else {
            return 1000;
        };
        let after = i64::try_from(self.now.since(on).as_secs()).unwrap_or(i64::MAX).min(60) - 6;
        let half = 5.max((from - to) / 2);
        (to + half * (216 + after * after * after) / 216).min(1000) as u32
    }

    fn span(&self, queue: usize, window: Duration) -> Duration {
        window + window / 1000 * u32::from(self.queue(queue).limits.margin_permille)
    }

    /// Why a job may not start now, beside its own state; `leased` where it holds a lease.
    pub(super) fn held_by(&self, ix: usize, leased: bool) -> Option<&'static str> {
        let job = &self.jobs[ix];
        let queue = self.queue(job.queue);
        let now = self.now;
        if queue.paused {
            return Some("paused");
        }
        if self.group_paused(ix) {
            return Some("group paused");
        }
        match queue.breaker {
            Breaker::Open(until) if until > now => return Some("breaker open"),
            Breaker::Probe(probe) if probe != job.id || !leased => return Some("probing"),
            _ => {}
        }
        if queue.throttled_until > now {
            return Some("throttled");
        }
        let unstarted = self.in_state(job.queue, |at| matches!(at, At::Leased(_)));
        let started = self.in_state(job.queue, |at| matches!(at, At::Started(_)));
        if !leased && unstarted + started >= u64::from(queue.limits.concurrency) {
            return Some("concurrency");
        }
        let reserved = if leased { 0 } else { unstarted };
        for window in &queue.windows {
            let from = now.before(self.span(job.queue, window.window.window));
            let used = window.starts.iter().filter(|at| **at > from).count() as u64;
            let rate = self.rate(job.queue);
            if used + reserved + 1 > allowed(window.window, rate) {
                return Some("window");
            }
            let (begun, taken) = window.slice;
            if let Some((most, lasts)) = slice_of(window.window, rate).filter(|_| !leased)
                && taken >= most
                && begun.after(lasts) > now
            {
                return Some("slice");
            }
        }
        if job.key == 0 {
            return None;
        }
        if let Some(pair) = queue.limits.pair {
            let mut arrival = i64::MIN;
            for (at, _, interval) in queue.paced.iter().filter(|(_, key, _)| *key == job.key) {
                arrival = arrival.max(at.micros()) + interval.as_micros() as i64;
            }
            if arrival.saturating_sub(pair.interval.as_micros() as i64 * i64::from(pair.burst - 1))
                > now.micros()
            {
                return Some("pair");
            }
        }
        if let Some(budget) = queue.limits.budget.as_ref().filter(|_| job.spends) {
            let keys = self.keys_of(&budget.name);
            if !keys.contains(&job.key) && keys.len() >= self.budgets[&*budget.name].0.max as usize {
                return Some("budget");
            }
        }
        None
    }

    /// Distinct keys that count in a budget now.
    pub(super) fn keys_of(&self, budget: &str) -> std::collections::BTreeSet<u64> {
        let (config, starts) = &self.budgets[budget];
        let from = self.now.before(config.window + config.window / 1000);
        starts.iter().filter(|(at, _)| *at > from).map(|(_, key)| *key).collect()
    }

    /// Why a lease may not give a job.
    pub(super) fn not_eligible(&self, ix: usize) -> Option<&'static str> {
        match self.jobs[ix].at {
            At::Waits(from) if from <= self.now => {}
            At::Waits(_) => return Some("its next attempt is later"),
            _ => return Some("it does not wait"),
        }
        if !self.is_first(ix) {
            return Some("not the first of its key");
        }
        self.held_by(ix, false)
    }

    /// A job is leased: it takes a turn in the slices.
    pub(super) fn take_slice(&mut self, queue: usize) {
        let (now, rate) = (self.now, self.rate(queue));
        for window in &mut self.queue_mut(queue).windows {
            let Some((_, lasts)) = slice_of(window.window, rate) else { continue };
            let (begun, taken) = window.slice;
            let due = begun.after(lasts);
            let cold = (now.after(window.window.window / 5), 1);
            window.slice = match taken {
                0 => cold,
                _ if now >= due.after(Duration::from_secs(10)) => cold,
                _ if now < due => (begun, taken + 1),
                _ if now < due.after(lasts * 2) => (due, 1),
                _ => (now, 1),
            };
        }
    }

    /// An attempt starts: what must hold then.
    pub(super) fn started(&mut self, ix: usize, token: u32, until: Timestamp) {
        let now = self.now;
        assert!(self.is_first(ix), "I10: not the first of its key");
        let job = &mut self.jobs[ix];
        assert!(job.starts.last().is_none_or(|last| *last < token), "I3: an attempt starts once");
        job.starts.push(token);
        job.tries += 1;
        job.token = token;
        job.at = At::Started(until);
        let allowed = 1 + job.allowed_again + job.policy_again;
        assert!(job.starts.len() <= allowed, "I4: {} calls, {allowed} allowed", job.starts.len());
        assert!(
            job.policy == OnUncertain::Retry || job.policy_again == 0,
            "I4: by itself only under its policy"
        );
        let (queue_ix, key, place, spends) = (job.queue, job.key, job.place, job.spends);
        let margin = self.queue(queue_ix).limits.margin_permille;
        let queue = self.queue_mut(queue_ix);
        queue.starts.push((now, key));
        for window in &mut queue.windows {
            let span = window.window.window + window.window.window / 1000 * u32::from(margin);
            window.starts.retain(|at| at.after(span) > now);
            window.starts.push(now);
            let from = now.before(window.window.window);
            let count = queue.starts[window.before..].iter().rev().take_while(|(at, _)| *at > from).count();
            assert!(count <= window.window.max as usize, "I11: {count} starts in {:?}", window.window);
        }
        if key == 0 {
            return;
        }
        let last = queue.last_place.insert(key, place);
        assert!(last.is_none_or(|last| last <= place), "I10: start order is not queue order");
        if let Some(pair) = queue.limits.pair {
            queue.paced.push((now, key, pair.interval));
        }
        if let Some(budget) = queue.limits.budget.clone().filter(|_| spends) {
            self.budgets.get_mut(&*budget.name).expect("a budget in force").1.push((now, key));
        }
    }
}
