//! What the library answers: values of the contract, read where they are asked for.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use palomar_model::{MessageId, Priority};
use uuid::Uuid;

use super::record::{self, Record};
use super::wire::{Malformed, Reader};
use crate::types::{
    Control, ControlError, Controlled, Enqueued, EvidenceEffect, JobId, JobState, JobView, LeaseError,
    LeaseRef, LeasedJob, QueueName, Started,
};

/// Names of queues by number. A number is never used twice: what is known stays right.
#[derive(Debug, Default)]
pub(super) struct Names(RwLock<HashMap<u32, QueueName>>);

impl Names {
    pub(super) fn get(&self, queue: u32) -> Option<QueueName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&queue).cloned()
    }

    pub(super) fn learn(&self, queue: u32, name: &str) -> Result<(), Malformed> {
        if self.get(queue).is_none() {
            let name = name.parse().map_err(|_| Malformed)?;
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(queue, name);
        }
        Ok(())
    }

    fn of(&self, queue: u32) -> Result<QueueName, Malformed> {
        self.get(queue).ok_or(Malformed)
    }
}

/// The answer to one operation: what it says, and the records that come with it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Bytes,
    pub(super) records: Vec<Bytes>,
}

impl Answer {
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.said)
    }
}

pub(super) fn job_id(id: u128) -> JobId {
    MessageId(Uuid::from_u128(id))
}

/// What became of so many jobs.
pub(super) fn enqueued(answer: &Answer, jobs: usize) -> Result<Vec<Enqueued>, Malformed> {
    let mut all = vec![Enqueued::Accepted; jobs];
    let mut reader = answer.reader();
    for _ in 0..reader.array()? / 3 {
        let place = reader.count::<usize>()?.checked_sub(1).ok_or(Malformed)?;
        let (what, of) = (reader.int()?, job_id(reader.id()?));
        *all.get_mut(place).ok_or(Malformed)? = match what {
            1 => Enqueued::Duplicate { of },
            2 => Enqueued::Conflict { of },
            _ => return Err(Malformed),
        };
    }
    Ok(all)
}

/// How many records belong to the answer of a lease.
pub(super) fn leased_count(said: &[u8]) -> Result<usize, Malformed> {
    Ok(Reader::new(said).array()? / 4)
}

/// The jobs of a lease. One whose record can't be read is named with its lease, for it to be set aside.
pub(super) fn leased(
    answer: &Answer,
    started: bool,
    names: &Names,
) -> Result<(Vec<LeasedJob>, Vec<LeaseRef>), Malformed> {
    let mut reader = answer.reader();
    let (mut jobs, mut damaged) = (Vec::with_capacity(answer.records.len()), Vec::new());
    if reader.array()? != 4 * answer.records.len() {
        return Err(Malformed);
    }
    for record in &answer.records {
        let (queue, token, tries) = (reader.count()?, reader.count()?, reader.count()?);
        let until = reader.time()?;
        match record::read(record) {
            Ok(Record { id, priority, group, enqueued_at, payload, .. }) => jobs.push(LeasedJob {
                lease: LeaseRef { id, token },
                queue: names.of(queue)?,
                group,
                priority,
                attempt: token,
                tries,
                started,
                enqueued_at,
                until,
                payload,
            }),
            Err(Malformed) => {
                let id = record.get(16..32).and_then(|id| id.try_into().ok()).ok_or(Malformed)?;
                damaged.push(LeaseRef { id: job_id(u128::from_be_bytes(id)), token });
            }
        }
    }
    Ok((jobs, damaged))
}

fn lease_result(code: i64) -> Result<Result<(), LeaseError>, Malformed> {
    match code {
        0 => Ok(Ok(())),
        1 => Ok(Err(LeaseError::Stale)),
        2 => Ok(Err(LeaseError::TooLate)),
        3 => Ok(Err(LeaseError::TakenBack)),
        _ => Err(Malformed),
    }
}

pub(super) fn lease_results(answer: &Answer) -> Result<Vec<Result<(), LeaseError>>, Malformed> {
    answer.reader().list(|reader| lease_result(reader.int()?))
}

pub(super) fn started(
    answer: &Answer,
    leases: &[LeaseRef],
) -> Result<Vec<Result<Started, LeaseError>>, Malformed> {
    let results = lease_results(answer)?;
    if results.len() != leases.len() {
        return Err(Malformed);
    }
    let started = |(result, lease): (Result<(), LeaseError>, &LeaseRef)| {
        result.map(|()| Started { attempt: lease.token })
    };
    Ok(results.into_iter().zip(leases).map(started).collect())
}

pub(super) fn effects(answer: &Answer) -> Result<Vec<EvidenceEffect>, Malformed> {
    answer.reader().list(|reader| match reader.int()? {
        0 => Ok(EvidenceEffect::Nothing),
        1 => Ok(EvidenceEffect::Resolved),
        2 => Ok(EvidenceEffect::DuplicateSend),
        _ => Err(Malformed),
    })
}

pub(super) fn number(answer: &Answer) -> Result<u64, Malformed> {
    answer.reader().count()
}

pub(super) fn yes(answer: &Answer) -> Result<bool, Malformed> {
    answer.reader().bool()
}

pub(super) fn yeses(answer: &Answer) -> Result<Vec<bool>, Malformed> {
    answer.reader().list(Reader::bool)
}

fn state(reader: &mut Reader<'_>) -> Result<JobState, Malformed> {
    JobState::ALL.get(reader.count::<usize>()?).copied().ok_or(Malformed)
}

/// What became of an order about one queue or job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    Answered(Result<Controlled, ControlError>),
    /// Done so far; jobs are let pass from a place on (see `lua/chains.lua`).
    Partly(Controlled, Vec<u8>),
    /// The queue holds too many final jobs to forget them in one call.
    TooMany,
}

pub(super) fn ordered(answer: &Answer, control: &Control) -> Result<Ordered, Malformed> {
    let mut reader = answer.reader();
    reader.array()?;
    let error = match reader.int()? {
        0 => {
            let done = Controlled { changed: reader.count()?, in_flight: reader.count()? };
            return Ok(match reader.maybe(Reader::bytes)? {
                Some(next) => Ordered::Partly(done, next.to_vec()),
                None => Ordered::Answered(Ok(done)),
            });
        }
        1 => ControlError::NoQueue(queue_of(control).ok_or(Malformed)?.clone()),
        2 => ControlError::NoJob(job_of(control).ok_or(Malformed)?),
        3 => ControlError::WrongState(state(&mut reader)?),
        4 => ControlError::NotEmpty(reader.count()?),
        5 => return Ok(Ordered::TooMany),
        _ => return Err(Malformed),
    };
    Ok(Ordered::Answered(Err(error)))
}

fn queue_of(control: &Control) -> Option<&QueueName> {
    match control {
        Control::Configure { queue, .. }
        | Control::Pause { queue, .. }
        | Control::Resume { queue }
        | Control::Lift { queue, .. }
        | Control::PauseGroup { queue, .. }
        | Control::ResumeGroup { queue, .. }
        | Control::Remove { queue } => Some(queue),
        _ => None,
    }
}

fn job_of(control: &Control) -> Option<JobId> {
    match control {
        Control::Cancel { id }
        | Control::Promote { id }
        | Control::RetryDead { id }
        | Control::Resolve { id, .. } => Some(*id),
        _ => None,
    }
}

/// Where to go on letting jobs pass, unless it is the end.
pub(super) fn passed(answer: &Answer) -> Result<Option<Vec<u8>>, Malformed> {
    answer.reader().maybe(|reader| reader.bytes().map(<[u8]>::to_vec))
}

/// What a part of a sweep found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) changed: u64,
    /// How many fitted, by queue.
    pub(super) fitted: Vec<(u32, u64)>,
    /// Where to go on, unless it is the end.
    pub(super) next: Option<u64>,
    /// The newest job when it began.
    pub(super) last: u64,
}

pub(super) fn swept(answer: &Answer) -> Result<Swept, Malformed> {
    let mut reader = answer.reader();
    reader.array_of(4)?;
    let changed = reader.count()?;
    let mut fitted = Vec::new();
    for _ in 0..reader.array()? / 2 {
        fitted.push((reader.count()?, reader.count()?));
    }
    Ok(Swept { changed, fitted, next: reader.maybe(Reader::count)?, last: reader.count()? })
}

/// How many jobs were cleaned, and where to go on.
pub(super) fn cleaned(answer: &Answer) -> Result<(u64, Option<u32>), Malformed> {
    let mut reader = answer.reader();
    reader.array_of(2)?;
    Ok((reader.count()?, reader.maybe(Reader::count)?))
}

fn view(reader: &mut Reader<'_>, names: &Names) -> Result<JobView, Malformed> {
    reader.array_of(11)?;
    Ok(JobView {
        id: job_id(reader.id()?),
        seq: reader.count()?,
        queue: names.of(reader.count()?)?,
        group: record::group_of(reader.bytes()?)?,
        priority: *Priority::ALL.get(reader.count::<usize>()?).ok_or(Malformed)?,
        state: state(reader)?,
        attempts: reader.count()?,
        token: reader.count()?,
        when: Some(reader.time()?),
        enqueued_at: reader.time()?,
        reason: reader.maybe(Reader::text)?.map(Into::into),
    })
}

pub(super) fn job(answer: &Answer, names: &Names) -> Result<Option<(JobView, Bytes)>, Malformed> {
    let Some(view) = answer.reader().maybe(|reader| view(reader, names))? else { return Ok(None) };
    let record = record::read(answer.records.first().ok_or(Malformed)?)?;
    Ok(Some((view, record.payload)))
}

/// A page of jobs, and where to go on, unless it is the end.
pub(super) fn jobs(answer: &Answer, names: &Names) -> Result<(Vec<JobView>, Option<u64>), Malformed> {
    let mut reader = answer.reader();
    reader.array_of(2)?;
    Ok((reader.list(|reader| view(reader, names))?, reader.maybe(Reader::count)?))
}
