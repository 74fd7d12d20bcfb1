//! How the jobs of a commit look on disk: batches, one a row, with what the jobs are apart from what they carry.
//!
//! ```text
//! key      number of the first job
//! heads    sealed count (4 bytes) · record · record · …
//! record   length (4) · number − first (2) · sealed job head
//! job head what was accepted · place (4), length (4) and checksum (4) of its payload
//! payloads one after the other, compressed together where that makes them smaller
//! ```
//!
//! One row for many jobs costs little to write, and its pages become free again without being written once all of its
//! jobs are gone. A start reads heads only. Each record and each payload carries a checksum of its own: what is read is
//! what was written, and damage to one head leaves the others readable, even where it hit the length by which the next
//! one is found. Payloads that were compressed together are lost together: their jobs become dead letters that say so.

use std::borrow::Cow;

use super::codec::{self, Damaged, HEAD, Table};
use crate::machine::{NewRow, Spec};

/// A batch is closed when it is so large.
const ROOMY: usize = 32 << 10;
const COUNT: usize = 4;
const BATCH_HEAD: usize = HEAD + COUNT;
const RECORD_HEAD: usize = 6;
/// Place, length and checksum of a payload.
const PAYLOAD_REF: usize = 12;

/// The two columns of a batch that is written.
#[derive(Default)]
pub(super) struct Written {
    pub(super) heads: Vec<u8>,
    pub(super) payloads: Vec<u8>,
    plain: Vec<u8>,
    count: u32,
    packer: codec::Packer,
}

/// The head of a job, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) seq: u64,
    /// What was accepted.
    spec: &'a [u8],
    payload: PayloadRef,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PayloadRef {
    at: u32,
    len: u32,
    sum: u32,
}

impl Record<'_> {
    pub(super) fn spec(&self) -> Result<Spec, Damaged> {
        codec::spec_of(self.spec).ok_or(self.damaged("its head can't be read"))
    }

    /// The payload, out of the unpacked payloads of the batch.
    pub(super) fn payload<'p>(&self, payloads: &'p [u8]) -> Result<&'p [u8], Damaged> {
        let PayloadRef { at, len, sum } = self.payload;
        let payload = payloads.get(at as usize..).and_then(|rest| rest.get(..len as usize));
        let payload = payload.ok_or(self.damaged("its payload can't be read"))?;
        if codec::checksum(Table::Payload, self.seq, payload) == sum {
            Ok(payload)
        } else {
            Err(self.damaged("the checksum of its payload does not match"))
        }
    }

    const fn damaged(&self, why: &'static str) -> Damaged {
        Damaged { table: Table::Job, key: self.seq, why }
    }
}

impl Written {
    fn begin(&mut self) {
        self.heads.clear();
        self.heads.resize(BATCH_HEAD, 0);
        self.plain.clear();
        self.count = 0;
    }

    fn is_roomy(&self) -> bool {
        self.heads.len() + self.plain.len() >= ROOMY
    }

    /// Appends a job whose number is `at` beyond the first's.
    fn push(&mut self, seq: u64, at: u16, payload: &[u8], spec: impl FnOnce(&mut Vec<u8>)) {
        let head = self.heads.len();
        let sealed = head + RECORD_HEAD;
        self.heads.resize(sealed + HEAD, 0);
        spec(&mut self.heads);
        self.heads.extend_from_slice(&(self.plain.len() as u32).to_le_bytes());
        self.heads.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        let sum = codec::checksum(Table::Payload, seq, payload);
        self.heads.extend_from_slice(&sum.to_le_bytes());
        self.plain.extend_from_slice(payload);
        codec::seal(&mut self.heads[sealed..], Table::Job, seq);
        let len = (self.heads.len() - sealed) as u32;
        self.heads[head..head + 4].copy_from_slice(&len.to_le_bytes());
        self.heads[head + 4..sealed].copy_from_slice(&at.to_le_bytes());
        self.count += 1;
    }

    fn close(&mut self, first: u64) {
        self.heads[HEAD..BATCH_HEAD].copy_from_slice(&self.count.to_le_bytes());
        codec::seal(&mut self.heads[..BATCH_HEAD], Table::Batch, first);
        self.packer.pack(&self.plain, &mut self.payloads);
    }
}

/// Calls `each` with the batches of jobs that stand in the order of their numbers: first number, how many, columns.
pub(super) fn write<E>(
    rows: &[NewRow],
    written: &mut Written,
    mut each: impl FnMut(u64, u32, &Written) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = rows;
    while let Some(first) = rest.first().map(|row| row.seq) {
        written.begin();
        for row in rest {
            let Ok(at) = u16::try_from(row.seq - first) else { break };
            if written.is_roomy() {
                break;
            }
            written.push(row.seq, at, &row.payload, |heads| codec::write_spec(heads, &row.spec));
        }
        written.close(first);
        each(first, written.count, written)?;
        rest = &rest[written.count as usize..];
    }
    Ok(())
}

/// The payloads of a batch, unpacked.
pub(super) fn unpack(payloads: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    codec::unpack(payloads, ROOMY + codec::MAX_PAYLOAD)
}

/// Writes a batch of some of the records of another, which keeps its key.
pub(super) fn rewrite(
    first: u64,
    kept: &[Record<'_>],
    payloads: &[u8],
    written: &mut Written,
) -> Result<(), Damaged> {
    written.begin();
    for record in kept {
        let payload = record.payload(payloads)?;
        // It was within reach of the first one before.
        let at = (record.seq - first) as u16;
        written.push(record.seq, at, payload, |heads| heads.extend_from_slice(record.spec));
    }
    written.close(first);
    Ok(())
}

/// How many records a batch holds, by its heads.
fn count(first: u64, heads: &[u8]) -> Result<u32, Damaged> {
    let damaged = Damaged { table: Table::Batch, key: first, why: "it is too short" };
    let body = codec::open(heads.get(..BATCH_HEAD).ok_or(damaged.clone())?, Table::Batch, first)?;
    Ok(u32::from_le_bytes(body.try_into().map_err(|_| damaged)?))
}

/// The record of one job, if the batch holds it.
pub(super) fn find(first: u64, heads: &[u8], seq: u64) -> Result<Option<Record<'_>>, Damaged> {
    let mut at = BATCH_HEAD;
    while let Some((number, end)) = frame(first, heads, at).filter(|(number, _)| *number <= seq) {
        if number == seq
            && let Ok(record) = open(heads, at, seq, end)
        {
            return Ok(Some(record));
        }
        at = end;
    }
    // It is not there, or a head on the way is damaged: what stands behind it is found another way.
    let (records, damaged) = read(first, heads);
    match records.into_iter().find(|record| record.seq == seq) {
        None if !damaged.is_empty() => {
            Err(Damaged { table: Table::Job, key: seq, why: "its batch is damaged" })
        }
        found => Ok(found),
    }
}

/// All records of a batch, in the order of their numbers, and what is damaged among them.
pub(super) fn read(first: u64, heads: &[u8]) -> (Vec<Record<'_>>, Vec<Damaged>) {
    let (mut records, mut damaged): (Vec<Record<'_>>, Vec<Damaged>) = (Vec::new(), Vec::new());
    let mut named = 0;
    let mut at = BATCH_HEAD;
    while at < heads.len() {
        let least = records.last().map_or(first, |record| record.seq + 1);
        let here = frame(first, heads, at).filter(|(seq, _)| *seq >= least);
        match here.map(|(seq, end)| (open(heads, at, seq, end), end)) {
            Some((Ok(record), end)) => {
                records.push(record);
                at = end;
            }
            // The frame stands if another one follows it: then it is this one job that is damaged.
            Some((Err(error), end)) if follows(first, heads, end) => {
                damaged.push(error);
                named += 1;
                at = end;
            }
            _ => at = next_record(first, heads, at + 1, least),
        }
    }
    match count(first, heads) {
        Ok(count) if records.len() + named != count as usize => {
            damaged.push(Damaged { table: Table::Batch, key: first, why: "some of its jobs can't be read" });
        }
        Ok(_) => {}
        Err(error) => damaged.push(error),
    }
    (records, damaged)
}

/// The number and the end of the record at a place, as far as its head tells.
fn frame(first: u64, heads: &[u8], at: usize) -> Option<(u64, usize)> {
    let head = heads.get(at..at + RECORD_HEAD)?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let seq = first + u64::from(u16::from_le_bytes([head[4], head[5]]));
    let end = at + RECORD_HEAD + len;
    (end <= heads.len()).then_some((seq, end))
}

fn open(heads: &[u8], at: usize, seq: u64, end: usize) -> Result<Record<'_>, Damaged> {
    let body = codec::open(&heads[at + RECORD_HEAD..end], Table::Job, seq)?;
    let damaged = Damaged { table: Table::Job, key: seq, why: "it is too short" };
    let (spec, payload) = body.split_last_chunk::<PAYLOAD_REF>().ok_or(damaged)?;
    let number =
        |at: usize| u32::from_le_bytes([payload[at], payload[at + 1], payload[at + 2], payload[at + 3]]);
    let payload = PayloadRef { at: number(0), len: number(4), sum: number(8) };
    Ok(Record { seq, spec, payload })
}

fn follows(first: u64, heads: &[u8], at: usize) -> bool {
    at == heads.len() || frame(first, heads, at).is_some_and(|(seq, end)| open(heads, at, seq, end).is_ok())
}

/// The next place at which a whole record begins, or the end.
fn next_record(first: u64, heads: &[u8], from: usize, least: u64) -> usize {
    let whole = |at: &usize| {
        let frame = frame(first, heads, *at).filter(|(seq, _)| *seq >= least);
        frame.is_some_and(|(seq, end)| open(heads, *at, seq, end).is_ok())
    };
    (from..heads.len()).find(whole).unwrap_or(heads.len())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use palomar_model::{MessageId, Priority, Timestamp};

    fn rows(first: u64, sizes: &[usize]) -> Vec<NewRow> {
        let row = |(n, size): (usize, &usize)| NewRow {
            seq: first + n as u64,
            spec: Spec {
                id: MessageId(uuid::Uuid::from_u128(n as u128)),
                queue: 1,
                priority: Priority::Normal,
                group: None,
                key: n as u64,
                run_at: None,
                expires_at: None,
                on_uncertain: crate::OnUncertain::Hold,
                spends_budget: false,
                enqueued_at: Timestamp::from_seconds(9),
                dedupe: Vec::new(),
            },
            // Noise, so that it stays as large as it is.
            payload: (0..*size).map(|i| (((i + n) * 2_654_435_761) >> 11) as u8).collect::<Vec<u8>>().into(),
        };
        sizes.iter().enumerate().map(row).collect()
    }

    fn batches(rows: &[NewRow]) -> Vec<(u64, u32, Vec<u8>, Vec<u8>)> {
        let (mut all, mut written) = (Vec::new(), Written::default());
        let done: Result<(), Infallible> = write(rows, &mut written, |first, count, written| {
            let payloads = unpack(&written.payloads).expect("unpacks").into_owned();
            all.push((first, count, written.heads.clone(), payloads));
            Ok(())
        });
        assert!(done.is_ok());
        all
    }

    /// The job of a record, if it is one of `rows`.
    fn is_right(record: &Record<'_>, payloads: &[u8], rows: &[NewRow]) -> bool {
        let job = &rows[(record.seq - rows[0].seq) as usize];
        record.spec().as_ref() == Ok(&job.spec) && record.payload(payloads) == Ok(&job.payload[..])
    }

    #[test]
    fn every_job_is_in_one_batch_and_found_there() {
        for sizes in [vec![], vec![10], vec![300; 500], vec![0, 100_000, 5, 40_000, 7, 7], vec![0; 3_000]] {
            let rows = rows(1_000, &sizes);
            let mut seen = 0;
            for (first, count, heads, payloads) in &batches(&rows) {
                let (records, damaged) = read(*first, heads);
                assert_eq!((records.len() as u32, damaged), (*count, vec![]));
                let last = records.last().expect("a record").payload.len as usize;
                assert!(heads.len() + payloads.len() - last < ROOMY + 200);
                for record in records {
                    assert!(is_right(&record, payloads, &rows));
                    assert_eq!(find(*first, heads, record.seq), Ok(Some(record)));
                    seen += 1;
                }
                assert_eq!(find(*first, heads, first + u64::from(*count)), Ok(None));
            }
            assert_eq!(seen, rows.len());
        }
    }

    #[test]
    fn damage_to_one_job_leaves_the_others() {
        let rows = rows(7, &[40; 12]);
        let (first, count, heads, payloads) = batches(&rows).remove(0);
        for bit in 0..heads.len() * 8 {
            let mut flipped = heads.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (records, damaged) = read(first, &flipped);
            assert!(!damaged.is_empty(), "bit {bit} is found");
            assert!(records.len() as u32 >= count - 1, "bit {bit}: {} of {count} are left", records.len());
            for record in records {
                assert!(is_right(&record, &payloads, &rows), "bit {bit}");
                assert_eq!(find(first, &flipped, record.seq), Ok(Some(record)));
            }
        }
        let (records, _) = read(first, &heads);
        for bit in 0..payloads.len() * 8 {
            let mut flipped = payloads.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let right = records.iter().filter(|record| record.payload(&flipped).is_ok());
            let right: Vec<_> = right.inspect(|record| assert!(is_right(record, &flipped, &rows))).collect();
            assert_eq!(right.len() as u32, count - 1, "bit {bit}");
        }
        for len in 0..heads.len() {
            let (_, damaged) = read(first, &heads[..len]);
            assert!(!damaged.is_empty(), "cut to {len}");
        }
        assert_eq!(read(first + 1, &heads).0, [], "a row at another's place");
    }

    #[test]
    fn what_is_kept_of_a_batch_is_as_it_was() {
        let rows = rows(50, &[100; 20]);
        let (first, _, heads, payloads) = batches(&rows).remove(0);
        let (records, _) = read(first, &heads);
        let kept: Vec<_> = records.into_iter().filter(|record| record.seq % 7 == 0).collect();
        let mut smaller = Written::default();
        rewrite(first, &kept, &payloads, &mut smaller).expect("whole");
        let payloads = unpack(&smaller.payloads).expect("unpacks");
        assert_eq!(payloads.len(), kept.len() * 100);
        let (again, damaged) = read(first, &smaller.heads);
        assert_eq!(damaged, []);
        assert_eq!(again.len(), kept.len());
        assert!(again.iter().all(|record| record.seq % 7 == 0 && is_right(record, &payloads, &rows)));
        assert_eq!(find(first, &smaller.heads, 51), Ok(None));
    }
}
