//! What the jobs of several callers have in common on their way: enqueued one after the other in a call, they are one
//! operation of the library, and its answer is taken apart again.
//!
//! What always holds: nothing is put before what was asked before it, and each caller is answered for its own jobs only.

use std::collections::HashMap;

use bytes::Bytes;

use super::record;
use super::request::{Body, Operation};
use super::wire::{Malformed, Reader, Writer, span};
use crate::types::{Dedupe, NewJob, QueueName};

/// A job on its way.
#[derive(Debug)]
pub(super) struct Brought {
    queue: QueueName,
    /// What its request is known by, packed; empty where there is nothing.
    known_by: Vec<u8>,
    record: Vec<u8>,
}

impl Brought {
    pub(super) fn new(job: &NewJob) -> Brought {
        let mut known_by = Writer::default();
        if !job.dedupe.is_empty() {
            known_by.array(3 * job.dedupe.len());
        }
        for Dedupe { id, fingerprint, ttl } in &job.dedupe {
            known_by.bytes(id.to_be_bytes()).bytes(fingerprint.to_be_bytes()).int(span(*ttl));
        }
        Brought { queue: job.queue.clone(), known_by: known_by.into_bytes(), record: record::write(job) }
    }

    /// Its record, which travels beside the operation.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }
}

/// Operations that travel as one: those that enqueue jobs, one after the other; any other by itself.
pub(super) fn runs<'a>(operations: &'a [&'a Operation]) -> impl Iterator<Item = &'a [&'a Operation]> {
    let brings_jobs = |operation: &Operation| matches!(operation.body, Body::Jobs(_));
    operations.chunk_by(move |one, next| brings_jobs(one) && brings_jobs(next))
}

/// The jobs that operations enqueue.
pub(super) fn jobs_of<'a>(operations: &'a [&'a Operation]) -> impl Iterator<Item = &'a Brought> {
    operations.iter().flat_map(|operation| operation.body.jobs())
}

/// Writes the operation that enqueues jobs.
pub(super) fn enqueue<'a>(writer: &mut Writer, jobs: impl Iterator<Item = &'a Brought>) {
    let jobs: Vec<&Brought> = jobs.collect();
    let mut names: Vec<&QueueName> = Vec::new();
    let mut places: HashMap<&QueueName, usize> = HashMap::new();
    let of_name: Vec<usize> = jobs
        .iter()
        .map(|job| {
            *places.entry(&job.queue).or_insert_with(|| {
                names.push(&job.queue);
                names.len()
            })
        })
        .collect();
    writer.array(4).bytes("enqueue").array(names.len());
    for name in names {
        writer.bytes(name.as_str());
    }
    writer.array(of_name.len());
    for place in of_name {
        writer.count(place);
    }
    let any = jobs.iter().any(|job| !job.known_by.is_empty());
    writer.array(if any { jobs.len() } else { 0 });
    for job in jobs.iter().filter(|_| any) {
        if job.known_by.is_empty() {
            writer.array(0);
        } else {
            writer.raw(&job.known_by);
        }
    }
}

/// What the library says of jobs that were not accepted, for each of those who asked: so many jobs are each one's.
pub(super) fn apart(said: &Bytes, counts: &[usize]) -> Result<Vec<Bytes>, Malformed> {
    let mut reader = Reader::new(said);
    let mut left = reader.array()? / 3;
    let mut next = None;
    let mut first = 0;
    let mut parts = Vec::with_capacity(counts.len());
    for count in counts {
        let mut others = Vec::new();
        loop {
            if next.is_none() && left > 0 {
                left -= 1;
                next = Some((reader.count::<usize>()?, reader.int()?, reader.id()?));
            }
            let Some(other) = next.filter(|(place, ..)| *place <= first + count) else { break };
            others.push(other);
            next = None;
        }
        let mut part = Writer::default();
        part.array(3 * others.len());
        for (place, what, of) in others {
            let place = place.checked_sub(first).ok_or(Malformed)?;
            part.count(place).int(what).bytes(of.to_be_bytes());
        }
        parts.push(Bytes::from(part.into_bytes()));
        first += count;
    }
    if next.is_some() || left > 0 { Err(Malformed) } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(others: &[(usize, i64, u128)]) -> Bytes {
        let mut writer = Writer::default();
        writer.array(3 * others.len());
        for &(place, what, of) in others {
            writer.count(place).int(what).bytes(of.to_be_bytes());
        }
        writer.into_bytes().into()
    }

    #[test]
    fn each_is_answered_for_its_own() {
        let all = said(&[(1, 1, 7), (3, 2, 8), (4, 1, 9), (6, 1, 10)]);
        let expected = [said(&[(1, 1, 7)]), said(&[]), said(&[(2, 2, 8), (3, 1, 9)]), said(&[(2, 1, 10)])];
        assert_eq!(apart(&all, &[1, 0, 3, 2]), Ok(expected.to_vec()));
        assert_eq!(apart(&said(&[]), &[2, 5]), Ok(vec![said(&[]), said(&[])]));
        assert_eq!(apart(&said(&[(4, 1, 7)]), &[1, 2]), Err(Malformed), "there is no fourth");
    }
}
