//! What the naive model answers to each operation.

use std::time::Duration;

use palomar_model::Timestamp;

use super::super::Leasing;
use super::model::{At, Breaker, Job, Model};
use crate::types::{
    Enqueued, Evidence, EvidenceEffect, LeaseError, LeaseRef, Limits, NewJob, Outcome, QueueName, Settle,
    Signal, Started, Verdict,
};

/// A group's name that lives as long as the trials.
pub(super) fn group_name(name: &str) -> &'static str {
    super::random::GROUPS.iter().find(|known| **known == name).expect("a group of the trials")
}

impl Model {
    pub(super) fn named(&self, name: &QueueName) -> Option<usize> {
        self.queues.iter().position(|queue| queue.as_ref().is_some_and(|queue| queue.name == *name))
    }

    pub(super) fn enqueue(&mut self, jobs: &[NewJob], now: Timestamp) -> Vec<Enqueued> {
        self.advance(now);
        jobs.iter().map(|job| self.enqueue_one(job)).collect()
    }

    fn enqueue_one(&mut self, new: &NewJob) -> Enqueued {
        for dedupe in &new.dedupe {
            let known = self.requests.get(&dedupe.id).filter(|(_, _, until)| *until > self.now);
            if let Some(&(of, fingerprint, _)) = known {
                self.hits += 1;
                let same = fingerprint == dedupe.fingerprint;
                return if same { Enqueued::Duplicate { of } } else { Enqueued::Conflict { of } };
            }
        }
        if self.find(new.id).is_some() {
            self.hits += 1;
            return Enqueued::Duplicate { of: new.id };
        }
        if self.named(&new.queue).is_none() {
            self.configure(new.queue.clone(), Limits::default());
        }
        let queue = self.named(&new.queue).expect("it was just made");
        for dedupe in &new.dedupe {
            self.requests.insert(dedupe.id, (new.id, dedupe.fingerprint, self.now.after(dedupe.ttl)));
        }
        self.queue_mut(queue).accepted += 1;
        let at = new.run_at.filter(|at| *at > self.now).map_or(At::Waits(self.now), At::Scheduled);
        let (seq, place) = (self.next_seq, self.count());
        self.next_seq += 1;
        self.jobs.push(Job {
            id: new.id,
            seq,
            queued: self.now,
            queue,
            group: new.group.as_deref().map(group_name),
            key: new.key.map_or(0, crate::types::Key::bits),
            priority: new.priority,
            expires: new.expires_at,
            policy: new.on_uncertain,
            spends: new.spends_budget,
            at,
            token: 0,
            tries: 0,
            strikes: 0,
            place,
            ended_at: self.now,
            ended: 0,
            starts: Vec::new(),
            proved: None,
            vouched: None,
            duplicated: false,
            allowed_again: 0,
            policy_again: 0,
        });
        Enqueued::Accepted
    }

    /// Takes in what a lease gave, and asserts that it was right to give it, and nothing more.
    pub(super) fn leased(
        &mut self,
        pool: &str,
        max: usize,
        lease: Duration,
        start: bool,
        given: &[Leasing],
        now: Timestamp,
    ) {
        self.advance(now);
        assert!(given.len() <= max, "no more than asked for");
        for leasing in given {
            let ix = self.find(leasing.lease.id).expect("a job that is known");
            assert_eq!(self.not_eligible(ix), None, "{leasing:?} may not go");
            let limits = &self.queue(self.jobs[ix].queue).limits;
            let least = if start { limits.deadline + limits.lease_margin } else { Duration::ZERO };
            let until = self.now.after(lease.max(least));
            let job = &self.jobs[ix];
            assert_eq!(leasing.lease.token, job.token + 1, "one higher at every lease");
            assert_eq!((leasing.until, leasing.started, leasing.seq), (until, start, job.seq));
            assert_eq!((leasing.priority, leasing.group.as_deref()), (job.priority, job.group));
            assert_eq!(leasing.tries, job.tries + 1, "tries count this one");
            self.probe_if_open(ix);
            self.take_slice(self.jobs[ix].queue);
            if start {
                self.started(ix, leasing.lease.token, until);
            } else {
                self.jobs[ix].token += 1;
                self.jobs[ix].at = At::Leased(until);
            }
        }
        if given.len() < max {
            for ix in 0..self.jobs.len() {
                let of_pool = self.queue(self.jobs[ix].queue).name.pool() == pool;
                assert!(
                    !of_pool || self.not_eligible(ix).is_some(),
                    "{:?} could go and did not",
                    self.jobs[ix]
                );
            }
        }
    }

    fn probe_if_open(&mut self, ix: usize) {
        let id = self.jobs[ix].id;
        let queue = self.queue_mut(self.jobs[ix].queue);
        if let Breaker::Open(_) = queue.breaker {
            queue.breaker = Breaker::Probe(id);
        }
    }

    fn held(&mut self, lease: LeaseRef) -> Result<usize, LeaseError> {
        let ix = self.find(lease.id).ok_or(LeaseError::Stale)?;
        let holds =
            self.jobs[ix].token == lease.token && matches!(self.jobs[ix].at, At::Leased(_) | At::Started(_));
        if !holds {
            let queue = self.jobs[ix].queue;
            self.queue_mut(queue).stale += 1;
            return Err(LeaseError::Stale);
        }
        Ok(ix)
    }

    pub(super) fn start(&mut self, lease: LeaseRef, now: Timestamp) -> Result<Started, LeaseError> {
        self.advance(now);
        let ix = self.held(lease)?;
        let At::Leased(until) = self.jobs[ix].at else {
            return Ok(Started { attempt: lease.token });
        };
        let limits = &self.queue(self.jobs[ix].queue).limits;
        if until.since(self.now) < limits.deadline + limits.lease_margin {
            return Err(LeaseError::TooLate);
        }
        if self.jobs[ix].expires.is_some_and(|at| at <= self.now) {
            self.end(ix, At::Expired);
            return Err(LeaseError::TakenBack);
        }
        if self.held_by(ix, true).is_some() {
            self.probe_over(ix);
            self.jobs[ix].at = At::Waits(self.now);
            return Err(LeaseError::TakenBack);
        }
        self.probe_if_open(ix);
        self.started(ix, lease.token, until);
        Ok(Started { attempt: lease.token })
    }

    pub(super) fn renew(&mut self, lease: LeaseRef, by: Duration, now: Timestamp) -> Result<(), LeaseError> {
        self.advance(now);
        let ix = self.held(lease)?;
        let until = self.now.after(by);
        let started = matches!(self.jobs[ix].at, At::Started(_));
        self.jobs[ix].at = if started { At::Started(until) } else { At::Leased(until) };
        Ok(())
    }

    pub(super) fn settle(&mut self, settle: &Settle, now: Timestamp) -> Result<(), LeaseError> {
        self.advance(now);
        let ix = self.held(settle.lease)?;
        self.signal(ix, &settle.signal);
        self.probe_over(ix);
        let started = matches!(self.jobs[ix].at, At::Started(_));
        if self.jobs[ix].vouched == Some(Verdict::Taken) {
            self.end(ix, At::Done);
            return Ok(());
        }
        let not_taken =
            matches!(settle.outcome, Outcome::Retry { .. } | Outcome::Release | Outcome::Panicked);
        self.jobs[ix].allowed_again += usize::from(started && not_taken);
        match settle.outcome {
            Outcome::Done => self.end(ix, At::Done),
            Outcome::Dead { .. } => self.end(ix, At::Dead),
            Outcome::Uncertain if started => self.doubt(ix),
            Outcome::Uncertain => self.jobs[ix].at = At::Waits(self.now),
            Outcome::Retry { at, counts } => {
                let job = &mut self.jobs[ix];
                job.tries -= u32::from(started && !counts);
                job.strikes = 0;
                job.vouched = None;
                job.at = At::Waits(at.max(self.now));
            }
            Outcome::Release => {
                let job = &mut self.jobs[ix];
                job.tries -= u32::from(started);
                job.strikes = if started { 0 } else { job.strikes };
                job.vouched = None;
                job.at = At::Waits(self.now);
            }
            Outcome::Panicked if self.jobs[ix].strikes + 1 >= 3 => self.end(ix, At::Dead),
            Outcome::Panicked => {
                self.jobs[ix].strikes += 1;
                self.jobs[ix].vouched = None;
                self.jobs[ix].at = At::Waits(self.now);
            }
        }
        Ok(())
    }

    fn signal(&mut self, ix: usize, signal: &Signal) {
        let (now, id, queue_ix) = (self.now, self.jobs[ix].id, self.jobs[ix].queue);
        let (rate, on) = (i64::from(self.rate(queue_ix)), self.goes_on(queue_ix));
        let queue = self.queue_mut(queue_ix);
        let config = queue.limits.breaker;
        let open = Breaker::Open(now.after(config.open_for));
        match (signal, queue.breaker) {
            (Signal::Success, Breaker::Closed(_)) => queue.breaker = Breaker::Closed(0),
            (Signal::Success, Breaker::Probe(probe)) if probe == id => queue.breaker = Breaker::Closed(0),
            (Signal::Failure, Breaker::Probe(probe)) if probe == id => queue.breaker = open,
            (Signal::Failure, Breaker::Closed(failures)) if config.failures > 0 => {
                queue.breaker =
                    if failures + 1 >= config.failures { open } else { Breaker::Closed(failures + 1) };
            }
            (Signal::Throttled { after }, _) => {
                let wait = queue.limits.throttle_wait;
                let stands = queue.throttled_until > now;
                if !stands && queue.cut.is_none_or(|(at, ..)| now.since(at) >= wait) {
                    let again = on.is_some_and(|on| now.since(on).as_secs() < 6);
                    queue.cut = Some((now, rate, 50.max(if again { rate / 2 } else { rate * 9 / 10 })));
                }
                queue.throttled_until = queue.throttled_until.max(now.after(after.unwrap_or(wait)));
            }
            (Signal::Pause { .. }, _) => queue.paused = true,
            _ => {}
        }
    }

    pub(super) fn evidence(&mut self, evidence: &Evidence, now: Timestamp) -> EvidenceEffect {
        self.advance(now);
        let Some(ix) = self.find(evidence.id) else {
            return EvidenceEffect::Nothing;
        };
        let job = &mut self.jobs[ix];
        let newest = job.proved.or(job.starts.last().copied()).unwrap_or(0);
        if evidence.attempt == 0 || evidence.attempt > newest {
            return EvidenceEffect::Nothing;
        }
        let of_newest = evidence.attempt == newest;
        let taken = evidence.verdict == Verdict::Taken;
        match job.at {
            At::Started(_) if of_newest => job.vouched = Some(evidence.verdict.clone()),
            At::Started(_) | At::Done if taken && !of_newest => {
                if matches!(job.at, At::Started(_)) {
                    job.vouched = Some(Verdict::Taken);
                }
                let queue = job.queue;
                if !std::mem::replace(&mut job.duplicated, true) {
                    self.queue_mut(queue).duplicates += 1;
                    return EvidenceEffect::DuplicateSend;
                }
            }
            At::Started(_) | At::Done | At::Cancelled | At::Expired => {}
            _ if taken => {
                job.proved = Some(evidence.attempt);
                self.end(ix, At::Done);
                return EvidenceEffect::Resolved;
            }
            At::Doubted(_) | At::Aside(_) | At::Held if of_newest => {
                self.end(ix, At::Dead);
                return EvidenceEffect::Resolved;
            }
            _ => {}
        }
        EvidenceEffect::Nothing
    }
}
