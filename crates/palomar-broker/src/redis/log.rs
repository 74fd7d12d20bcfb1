//! Reading the event log: entries of a partition's stream, taken apart here (see `lua/facts.lua`).
//!
//! An entry is found by the number of its first fact. What was accepted is told from the jobs' records, which stay until
//! every reader is past them; one that is gone is not told.

use std::collections::HashMap;

use bytes::Bytes;
use palomar_model::{MessageId, Timestamp};
use redis::Value;
use uuid::Uuid;

use super::answer::Names;
use super::link::Link;
use super::record;
use super::wire::{Malformed, time};
use crate::broker::BrokerError;
use crate::types::{Cursor, Fact, JobId, LogEntry};

/// Entries that are read at once at most.
const MOST_ENTRIES: usize = 512;

/// A fact as it is stored.
#[derive(Debug, PartialEq, Eq)]
enum Stored {
    /// The job of this number was accepted.
    Accepted {
        seq: u64,
    },
    OfJob {
        job: JobId,
        queue: u32,
        fact: Fact,
    },
    OfQueue {
        queue: u32,
        fact: Fact,
    },
    OfNone {
        fact: Fact,
    },
}

/// Takes bytes off the front.
struct Bites<'a>(&'a [u8]);

impl<'a> Bites<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u64, Malformed> {
        Ok(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn small(&mut self) -> Result<u32, Malformed> {
        Ok(self.number(4)? as u32)
    }

    fn time(&mut self) -> Result<Timestamp, Malformed> {
        Ok(time(self.number(8)? as i64))
    }

    fn body(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.small()? as usize;
        self.take(len)
    }

    fn text(&mut self) -> Result<std::sync::Arc<str>, Malformed> {
        Ok(std::str::from_utf8(self.body()?).map_err(|_| Malformed)?.into())
    }

    fn id(&mut self) -> Result<JobId, Malformed> {
        Ok(MessageId(Uuid::from_slice(self.take(16)?).map_err(|_| Malformed)?))
    }
}

/// The facts of an entry, one after the other, and when they happened.
fn facts_of(entry: &[u8]) -> Result<(Timestamp, Vec<Stored>), Malformed> {
    let mut bites = Bites(entry);
    let at = bites.time()?;
    bites.number(8)?;
    let mut facts = Vec::new();
    while !bites.0.is_empty() {
        one_fact(&mut bites, &mut facts)?;
    }
    Ok((at, facts))
}

fn one_fact(bites: &mut Bites<'_>, facts: &mut Vec<Stored>) -> Result<(), Malformed> {
    let code = bites.number(1)?;
    if code == 1 {
        let (from, count) = (bites.number(6)?, u64::from(bites.small()?));
        facts.extend((from..from + count).map(|seq| Stored::Accepted { seq }));
        return Ok(());
    }
    if code == 17 {
        facts.push(Stored::OfNone { fact: Fact::Event(Bytes::copy_from_slice(bites.body()?)) });
        return Ok(());
    }
    if (12..=15).contains(&code) {
        let queue = bites.small()?;
        let fact = match code {
            12 => Fact::Paused { reason: bites.text()? },
            13 => Fact::Resumed,
            14 => Fact::BreakerOpened { until: bites.time()? },
            _ => Fact::BreakerClosed,
        };
        facts.push(Stored::OfQueue { queue, fact });
        return Ok(());
    }
    let (job, queue) = (bites.id()?, bites.small()?);
    let fact = match code {
        2 => Fact::Due,
        3 => Fact::Started { attempt: bites.small()? },
        4 => Fact::Requeued { at: bites.time()? },
        5 => Fact::Done,
        6 => Fact::Dead { reason: bites.text()? },
        7 => Fact::Uncertain,
        8 => Fact::Retried,
        9 => Fact::Cancelled,
        10 => Fact::Expired,
        11 => Fact::DuplicateSend,
        16 => Fact::Event(Bytes::copy_from_slice(bites.body()?)),
        _ => return Err(Malformed),
    };
    facts.push(Stored::OfJob { job, queue, fact });
    Ok(())
}

/// An entry of the stream: the number of its first fact, and its body.
type Entry = (u64, Vec<u8>);

/// Which entries are asked for, by the number of their first facts.
#[derive(Clone, Copy)]
enum Range {
    /// The newest up to a number.
    Newest { upto: u64 },
    /// So many from a number on.
    Oldest { from: u64, count: usize },
}

/// What a log is read from.
trait Stream: Sync {
    fn entries(&self, range: Range) -> impl Future<Output = Result<Vec<Entry>, BrokerError>> + Send;
}

/// Facts numbered above `after`, at most `limit`, without a gap. The stream may grow between two questions.
async fn numbered(after: u64, limit: usize, stream: &impl Stream) -> Result<Vec<Numbered>, BrokerError> {
    let mut found: Vec<Numbered> = Vec::new();
    // The entry that holds the next fact may begin before it. Where there is none yet, one that begins with it may come
    // before the next question: that begins with it, too.
    let mut part = stream.entries(Range::Newest { upto: after + 1 }).await?;
    let mut from = after + 1;
    loop {
        for (first, entry) in part {
            from = from.max(first + 1);
            let (at, facts) = facts_of(&entry).map_err(|_| damaged())?;
            let new = (first..).zip(facts).filter(|(number, _)| *number > after);
            found.extend(new.take(limit - found.len()).map(|(number, fact)| (number, at, fact)));
        }
        if found.len() >= limit {
            return Ok(found);
        }
        part = stream.entries(Range::Oldest { from, count: (limit - found.len()).min(MOST_ENTRIES) }).await?;
        if part.is_empty() {
            return Ok(found);
        }
    }
}

/// Who reads the log of a partition.
pub(super) struct Log<'a> {
    pub(super) link: &'a Link,
    pub(super) base: &'a str,
    pub(super) names: &'a Names,
}

/// A fact with its number and time.
type Numbered = (u64, Timestamp, Stored);

impl Stream for Log<'_> {
    async fn entries(&self, range: Range) -> Result<Vec<Entry>, BrokerError> {
        let (name, from, to, count) = match range {
            Range::Newest { upto } => ("XREVRANGE", upto, "-", 1),
            Range::Oldest { from, count } => ("XRANGE", from, "+", count),
        };
        let mut command = redis::cmd(name);
        command.arg(format!("{}:log", self.base)).arg(from).arg(to).arg("COUNT").arg(count);
        let Value::Array(entries) = self.link.call(&command, None).await? else { return Err(damaged()) };
        entries.into_iter().map(|entry| entry_of(entry).ok_or_else(damaged)).collect()
    }
}

impl Log<'_> {
    /// Facts numbered above `after`, at most `limit`, and how far was read: some may be of jobs whose records are gone.
    pub(super) async fn read(&self, after: u64, limit: usize) -> Result<(Vec<LogEntry>, u64), BrokerError> {
        let found = numbered(after, limit, self).await?;
        let through = found.last().map_or(after, |(number, ..)| *number);
        Ok((self.tell(found).await?, through))
    }

    /// Facts as readers see them.
    async fn tell(&self, found: Vec<Numbered>) -> Result<Vec<LogEntry>, BrokerError> {
        let accepted: Vec<u64> = found
            .iter()
            .filter_map(|(.., fact)| match fact {
                Stored::Accepted { seq } => Some(*seq),
                _ => None,
            })
            .collect();
        let mut records = self.records(&accepted).await?;
        let queues = found.iter().filter_map(|(.., fact)| match fact {
            Stored::OfJob { queue, .. } | Stored::OfQueue { queue, .. } => Some(*queue),
            _ => None,
        });
        let unknown: Vec<u32> = queues
            .chain(records.values().map(|record| record.queue))
            .filter(|queue| self.names.get(*queue).is_none())
            .collect();
        self.learn(unknown).await?;
        let told = found.into_iter().filter_map(|(number, at, fact)| {
            let cursor = Cursor(number);
            let (job, queue, fact) = match fact {
                Stored::Accepted { seq } => {
                    let record = records.remove(&seq)?;
                    let fact = Fact::Enqueued { scheduled: record.scheduled, payload: record.payload };
                    (Some(record.id), Some(record.queue), fact)
                }
                Stored::OfJob { job, queue, fact } => (Some(job), Some(queue), fact),
                Stored::OfQueue { queue, fact } => (None, Some(queue), fact),
                Stored::OfNone { fact } => (None, None, fact),
            };
            Some(LogEntry { cursor, at, job, queue: queue.and_then(|queue| self.names.get(queue)), fact })
        });
        Ok(told.collect())
    }

    /// The records of jobs, as far as they are there and whole.
    async fn records(&self, seqs: &[u64]) -> Result<HashMap<u64, record::Record>, BrokerError> {
        let mut records = HashMap::with_capacity(seqs.len());
        for seqs in seqs.chunks(1000) {
            let mut command = redis::cmd("HMGET");
            command.arg(format!("{}:job", self.base));
            for seq in seqs {
                command.arg(&seq.to_be_bytes()[2..]);
            }
            let Value::Array(values) = self.link.call(&command, None).await? else { return Err(damaged()) };
            for (seq, value) in seqs.iter().zip(values) {
                if let Value::BulkString(bytes) = value
                    && let Ok(record) = record::read(&bytes.into())
                {
                    records.insert(*seq, record);
                }
            }
        }
        Ok(records)
    }

    async fn learn(&self, mut queues: Vec<u32>) -> Result<(), BrokerError> {
        queues.sort_unstable();
        queues.dedup();
        if queues.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}:names", self.base));
        for queue in &queues {
            command.arg(&queue.to_be_bytes()[..]);
        }
        let Value::Array(names) = self.link.call(&command, None).await? else { return Err(damaged()) };
        for (queue, name) in queues.into_iter().zip(names) {
            if let Value::BulkString(name) = name {
                let name = String::from_utf8(name).map_err(|_| damaged())?;
                self.names.learn(queue, &name).map_err(|_| damaged())?;
            }
        }
        Ok(())
    }
}

fn damaged() -> BrokerError {
    BrokerError::Failed("the event log in Redis can't be read".into())
}

/// An entry as Redis answers it: its id, and its one field.
fn entry_of(entry: Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let (Value::BulkString(id), Value::Array(fields)) = (parts.next()?, parts.next()?) else { return None };
    let first = std::str::from_utf8(&id).ok()?.split('-').next()?.parse().ok()?;
    match fields.into_iter().nth(1)? {
        Value::BulkString(body) => Some((first, body)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// An entry of so many facts.
    fn entry(first: u64, facts: u8) -> Entry {
        let mut body = vec![0; 16];
        for fact in 0..facts {
            body.extend_from_slice(&[17, 0, 0, 0, 1, fact]);
        }
        (first, body)
    }

    /// A stream that grows before each question.
    struct Grows {
        stream: Vec<Entry>,
        growth: Vec<usize>,
        /// Questions, and entries that are there.
        asked: Mutex<(usize, usize)>,
    }

    impl Stream for Grows {
        async fn entries(&self, range: Range) -> Result<Vec<Entry>, BrokerError> {
            let mut asked = self.asked.lock().expect("no panic");
            let (questions, there) = *asked;
            // It grows to its end some time.
            let grows = self.growth[questions % self.growth.len()].max(usize::from(questions > 500));
            *asked = (questions + 1, (there + grows).min(self.stream.len()));
            let there = &self.stream[..asked.1];
            Ok(match range {
                Range::Newest { upto } => {
                    there.iter().rev().find(|(first, _)| *first <= upto).cloned().into_iter().collect()
                }
                Range::Oldest { from, count } => {
                    there.iter().filter(|(first, _)| *first >= from).take(count).cloned().collect()
                }
            })
        }
    }

    proptest! {
        /// Whoever reads on from what was read last meets every fact once and in order, however much comes in between
        /// any two questions.
        #[test]
        fn a_log_that_grows_while_it_is_read_is_read_without_a_gap(
            entries in prop::collection::vec(1_u8..5, 1..40),
            growth in prop::collection::vec(0_usize..4, 1..20),
            limit in 1_usize..12,
        ) {
            let mut stream: Vec<Entry> = Vec::new();
            for facts in &entries {
                let next = stream.last().map_or(1, |(first, body)| first + (body.len() as u64 - 16) / 6);
                stream.push(entry(next, *facts));
            }
            let total: u64 = entries.iter().map(|facts| u64::from(*facts)).sum();
            let grows = Grows { stream, growth, asked: Mutex::default() };
            let mut after = 0;
            while after < total {
                let read = futures_util::FutureExt::now_or_never(numbered(after, limit, &grows)).expect("nothing waits");
                let read = read.expect("whole");
                prop_assert!(read.len() <= limit);
                for (number, ..) in read {
                    prop_assert_eq!(number, after + 1);
                    after = number;
                }
            }
        }
    }

    #[test]
    fn entries_are_taken_apart() {
        let mut entry = 5_000_000_i64.to_be_bytes().to_vec();
        entry.extend_from_slice(&7_u64.to_be_bytes());
        entry.extend_from_slice(&[1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2]);
        entry.push(6);
        entry.extend_from_slice(&77_u128.to_be_bytes());
        entry.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 2]);
        entry.extend_from_slice(b"no");
        let (at, facts) = facts_of(&entry).expect("an entry");
        let dead = Stored::OfJob {
            job: MessageId(Uuid::from_u128(77)),
            queue: 3,
            fact: Fact::Dead { reason: "no".into() },
        };
        assert_eq!(at, Timestamp::from_seconds(5));
        assert_eq!(facts, [Stored::Accepted { seq: 9 }, Stored::Accepted { seq: 10 }, dead]);
        for len in (17..entry.len()).filter(|len| *len != 27) {
            assert_eq!(facts_of(&entry[..len]), Err(Malformed), "cut to {len}");
        }
    }
}
