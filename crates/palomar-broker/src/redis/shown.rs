//! What the library answers to those who look: queues in numbers, what holds a job.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;

use super::answer::{Answer, job_id};
use super::record;
use super::wire::{Malformed, Reader, time};
use crate::machine::{Sight, WindowSight};
use crate::types::{
    BreakerConfig, BreakerState, Budget, Explanation, Hold, JobId, JobState, Limits, Pair, QueueStats, Window,
};

fn duration(reader: &mut Reader<'_>) -> Result<Duration, Malformed> {
    Ok(Duration::from_micros(reader.count()?))
}

fn limits(packed: &[u8]) -> Result<Limits, Malformed> {
    let mut reader = Reader::new(packed);
    let reader = &mut reader;
    reader.array_of(12)?;
    Ok(Limits {
        windows: reader.list(|reader| {
            reader.array_of(2)?;
            Ok(Window { max: reader.count()?, window: duration(reader)? })
        })?,
        margin_permille: reader.count()?,
        pair: reader.maybe(|reader| {
            reader.array_of(2)?;
            Ok(Pair { interval: duration(reader)?, burst: reader.count()? })
        })?,
        concurrency: reader.count()?,
        budget: reader.maybe(|reader| {
            reader.array_of(3)?;
            Ok(Budget { name: reader.text()?.into(), max: reader.count()?, window: duration(reader)? })
        })?,
        breaker: BreakerConfig { failures: reader.count()?, open_for: duration(reader)? },
        deadline: duration(reader)?,
        lease_margin: duration(reader)?,
        order_wait: duration(reader)?,
        uncertain_wait: duration(reader)?,
        throttle_wait: duration(reader)?,
    })
}

fn breaker(kind: i64, value: i64) -> Result<BreakerState, Malformed> {
    match kind {
        0 | 1 => Ok(BreakerState::Closed),
        2 => Ok(BreakerState::Open { until: time(value) }),
        3 => Ok(BreakerState::HalfOpen),
        _ => Err(Malformed),
    }
}

fn numbers<const N: usize>(reader: &mut Reader<'_>) -> Result<[u64; N], Malformed> {
    reader.list(Reader::count)?.try_into().map_err(|_| Malformed)
}

/// A part of the numbers.
#[derive(Debug)]
pub(super) struct StatsPart {
    pub(super) queues: Vec<QueueStats>,
    /// Where to go on, unless it is the end.
    pub(super) next: Option<u32>,
    pub(super) dedupe_ids: u64,
    pub(super) dedupe_hits: u64,
}

pub(super) fn stats(answer: &Answer) -> Result<StatsPart, Malformed> {
    let mut reader = answer.reader();
    reader.array_of(4)?;
    Ok(StatsPart {
        queues: reader.list(queue_stats)?,
        next: reader.maybe(Reader::count)?,
        dedupe_ids: reader.count()?,
        dedupe_hits: reader.count()?,
    })
}

/// The state of each phase, in the order of the phases.
const STATES: [JobState; 15] = {
    use JobState::{Cancelled, Dead, Done, Expired, Queued, Scheduled, Started, Uncertain};
    [
        Scheduled, Queued, Queued, Queued, Queued, Queued, Queued, Started, Uncertain, Uncertain, Uncertain,
        Dead, Done, Cancelled, Expired,
    ]
};
const LEASED: usize = 6;

fn queue_stats(reader: &mut Reader<'_>) -> Result<QueueStats, Malformed> {
    reader.array_of(21)?;
    let queue = reader.text()?.parse().map_err(|_| Malformed)?;
    let limits = limits(reader.bytes()?)?;
    let paused = reader.maybe(Reader::text)?.map(Into::into);
    let paused_groups = reader.list(|reader| record::group_of(reader.bytes()?))?;
    let breaker = breaker(reader.int()?, reader.int()?)?;
    let rate_permille = reader.count()?;
    let phases: [u64; 15] = numbers(reader)?;
    let mut counts = [0; 8];
    for (state, count) in STATES.iter().zip(phases) {
        counts[*state as usize] += count;
    }
    let waiting = numbers(reader)?;
    let [accepted, starts, done, dead, cancelled, expired, duplicate_sends] = numbers(reader)?;
    let mut finished = [0; 8];
    finished[JobState::Done as usize] = done;
    finished[JobState::Dead as usize] = dead;
    finished[JobState::Cancelled as usize] = cancelled;
    finished[JobState::Expired as usize] = expired;
    let (stale, expired_leases) = (reader.count()?, [reader.count()?, reader.count()?]);
    let oldest_waiting = reader.maybe(Reader::time)?;
    let next_start = Some(reader.int()?).filter(|at| *at != 0).map(time);
    let budget_used = reader.maybe(Reader::count)?;
    let [dead, cancelled, expired] = numbers(reader)?;
    let mut taken_back = [0; 8];
    taken_back[JobState::Dead as usize] = dead;
    taken_back[JobState::Cancelled as usize] = cancelled;
    taken_back[JobState::Expired as usize] = expired;
    let (breaker_opens, resolved) = (reader.count()?, numbers(reader)?);
    let rate_held = rate_held(reader)?;
    let oldest_ready = reader.list(|reader| reader.maybe(Reader::time))?.try_into().map_err(|_| Malformed)?;
    Ok(QueueStats {
        queue,
        limits,
        paused,
        paused_groups: paused_groups.into_iter().flatten().collect(),
        breaker,
        rate_permille,
        counts,
        leased: phases[LEASED],
        waiting,
        accepted,
        starts,
        finished,
        duplicate_sends,
        stale,
        expired_leases,
        taken_back,
        breaker_opens,
        resolved,
        rate_held,
        oldest_waiting,
        oldest_ready,
        next_start,
        budget_used,
    })
}

/// How long each window held the rate, and the other side, which is no window.
fn rate_held(reader: &mut Reader<'_>) -> Result<Vec<(Option<Window>, Duration)>, Malformed> {
    let mut held = Vec::new();
    for _ in 0..reader.array()? / 3 {
        let (max, window, time) = (reader.count()?, duration(reader)?, duration(reader)?);
        held.push(((max > 0).then_some(Window { max, window }), time));
    }
    Ok(held)
}

/// What there is to say about what holds a job.
#[derive(Debug)]
struct Held {
    now: Timestamp,
    phase: usize,
    when: Timestamp,
    ahead: u64,
    behind: Option<JobId>,
    group_paused: bool,
    paced: Option<Timestamp>,
    spent: Option<Timestamp>,
    queue: Sight,
}

fn sight(reader: &mut Reader<'_>) -> Result<Sight, Malformed> {
    reader.array_of(12)?;
    let name = reader.text()?.parse().map_err(|_| Malformed)?;
    let paused = reader.maybe(Reader::text)?.map(Into::into);
    let breaker = breaker(reader.int()?, reader.int()?)?;
    let throttled_until = reader.time()?;
    let cut = (reader.int()?, reader.count()?, reader.count()?);
    let (leased, started) = (reader.count()?, reader.count()?);
    let limits = limits(reader.bytes()?)?;
    let mut configured = limits.windows.clone().into_iter();
    let windows = reader.list(|reader| {
        reader.array_of(3)?;
        let slice = (reader.int()?, reader.count()?);
        let starts = reader.list(|reader| {
            reader.array_of(3)?;
            Ok((reader.int()?, reader.int()?, reader.count()?))
        })?;
        Ok(WindowSight { window: configured.next().ok_or(Malformed)?, starts, slice })
    })?;
    let cut = Some(cut).filter(|(at, ..)| *at != 0).map(|(at, from, to)| (time(at), from, to));
    Ok(Sight { name, limits, paused, breaker, throttled_until, cut, leased, started, windows })
}

/// What holds a job and when it will go, as the machine says it.
pub(super) fn explanation(answer: &Answer) -> Result<Option<Explanation>, Malformed> {
    let held = answer.reader().maybe(|reader| {
        reader.array_of(9)?;
        Ok(Held {
            now: reader.time()?,
            phase: reader.count()?,
            when: reader.time()?,
            ahead: reader.count()?,
            behind: reader.maybe(Reader::id)?.map(job_id),
            group_paused: reader.bool()?,
            paced: reader.maybe(Reader::time)?,
            spent: reader.maybe(Reader::time)?,
            queue: sight(reader)?,
        })
    })?;
    held.map(Held::explained).transpose()
}

impl Held {
    fn explained(self) -> Result<Explanation, Malformed> {
        let now = self.now;
        let state = *STATES.get(self.phase).ok_or(Malformed)?;
        let (mut holds, ahead, until) = (Vec::new(), self.ahead, self.when);
        let expected_at = match self.phase {
            0 => {
                holds.push(Hold::Scheduled { at: until });
                self.queue.when_open(now, until, 0, &mut holds)
            }
            3 => {
                holds.push(Hold::Backoff { at: until });
                self.queue.when_open(now, until, 0, &mut holds)
            }
            4 => {
                holds.push(Hold::Pair { until });
                self.queue.when_open(now, until, 0, &mut holds)
            }
            1 | 5 => self.waiting(&mut holds)?,
            2 => {
                if self.group_paused {
                    holds.push(Hold::GroupPaused);
                }
                holds.push(Hold::Order { behind: self.behind.ok_or(Malformed)? });
                None
            }
            LEASED => {
                holds.push(Hold::Leased { until });
                Some(now)
            }
            7 => {
                holds.push(Hold::Leased { until });
                None
            }
            8 | 9 => {
                holds.push(Hold::Uncertain { until: Some(until) });
                None
            }
            10 => {
                holds.push(Hold::Uncertain { until: None });
                None
            }
            _ => None,
        };
        Ok(Explanation { state, holds, expected_at, ahead })
    }

    /// One that is ready, or parked for its budget.
    fn waiting(self, holds: &mut Vec<Hold>) -> Result<Option<Timestamp>, Malformed> {
        let ready = self.phase == 1;
        if ready && self.group_paused {
            holds.push(Hold::GroupPaused);
            return Ok(None);
        }
        let mut from = self.now;
        if let Some(until) = self.paced {
            holds.push(Hold::Pair { until });
            from = until;
        } else if let Some(until) = self.spent {
            let budget = self.queue.limits.budget.as_ref().ok_or(Malformed)?;
            holds.push(Hold::Budget { name: Arc::clone(&budget.name), until });
            from = until;
        }
        let at = self.queue.when_open(self.now, from, self.ahead, holds);
        if self.ahead > 0 {
            holds.push(Hold::Turn { ahead: self.ahead });
        }
        Ok(at)
    }
}
