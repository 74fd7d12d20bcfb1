//! How the jobs of a commit look on disk: batches of sealed records, one batch a row.
//!
//! ```text
//! batch  = sealed head · record · record · …          key of the row: the number of the first job
//! head   = how many records                           (4 bytes, little-endian)
//! record = length (4) · number − first (2) · sealed job
//! ```
//!
//! One row for many jobs costs little to write, and its pages become free again without being written once all of its
//! jobs are gone. Each record carries a checksum of its own: damage to one job leaves the others readable, even where
//! it hit the length by which the next one is found.

use super::codec::{self, Damaged, HEAD, Table};
use crate::machine::NewRow;

/// A batch is closed when it is so large.
const ROOMY: usize = 32 << 10;
/// Bytes of the head of a batch.
pub(super) const BATCH_HEAD: usize = HEAD + 4;
const RECORD_HEAD: usize = 6;

/// A record that is what was written: the number of a job, and its opened row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
    /// As it lies in the batch, head and seal included.
    raw: &'a [u8],
}

/// Calls `each` with the batches of jobs that stand in the order of their numbers: first number, how many, row.
pub(super) fn write<E>(
    rows: &[NewRow],
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(u64, u32, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = rows;
    while let Some(first) = rest.first().map(|row| row.seq) {
        begin(buffer);
        let mut count = 0;
        for row in rest {
            let Ok(at) = u16::try_from(row.seq - first) else { break };
            if buffer.len() >= ROOMY {
                break;
            }
            let head = buffer.len();
            buffer.extend_from_slice(&[0; 4]);
            buffer.extend_from_slice(&at.to_le_bytes());
            codec::write_job(buffer, row.seq, &row.spec, &row.payload);
            let len = (buffer.len() - head - RECORD_HEAD) as u32;
            buffer[head..head + 4].copy_from_slice(&len.to_le_bytes());
            count += 1;
        }
        close(buffer, first, count);
        each(first, count, buffer)?;
        rest = &rest[count as usize..];
    }
    Ok(())
}

/// A batch of some of the records of another, which keeps its key.
pub(super) fn rewrite(buffer: &mut Vec<u8>, first: u64, kept: &[Record<'_>]) {
    begin(buffer);
    for record in kept {
        buffer.extend_from_slice(record.raw);
    }
    close(buffer, first, kept.len() as u32);
}

fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(BATCH_HEAD, 0);
}

fn close(buffer: &mut [u8], first: u64, count: u32) {
    buffer[HEAD..BATCH_HEAD].copy_from_slice(&count.to_le_bytes());
    codec::seal(&mut buffer[..BATCH_HEAD], Table::Batch, first);
}

/// How many records a batch holds, by its head.
pub(super) fn count(first: u64, batch: &[u8]) -> Result<u32, Damaged> {
    let head = batch.get(..BATCH_HEAD).unwrap_or(batch);
    let body = codec::open(head, Table::Batch, first)?;
    let count =
        body.try_into().map_err(|_| Damaged { table: Table::Batch, key: first, why: "it is too short" })?;
    Ok(u32::from_le_bytes(count))
}

/// The record of one job, if the batch holds it.
pub(super) fn find(first: u64, batch: &[u8], seq: u64) -> Result<Option<Record<'_>>, Damaged> {
    let mut at = BATCH_HEAD;
    while let Some((number, end)) = frame(first, batch, at).filter(|(number, _)| *number <= seq) {
        if number == seq
            && let Ok(record) = open(batch, at, seq, end)
        {
            return Ok(Some(record));
        }
        at = end;
    }
    // It is not there, or a head on the way is damaged: what stands behind it is found another way.
    let (records, damaged) = read(first, batch);
    match records.into_iter().find(|record| record.seq == seq) {
        None if !damaged.is_empty() => {
            Err(Damaged { table: Table::Job, key: seq, why: "its batch is damaged" })
        }
        found => Ok(found),
    }
}

/// All records of a batch, in the order of their numbers, and what is damaged in it.
pub(super) fn read(first: u64, batch: &[u8]) -> (Vec<Record<'_>>, Vec<Damaged>) {
    let (mut records, mut damaged): (Vec<Record<'_>>, Vec<Damaged>) = (Vec::new(), Vec::new());
    let mut named = 0;
    let mut at = BATCH_HEAD.min(batch.len());
    while at < batch.len() {
        let least = records.last().map_or(first, |record| record.seq + 1);
        let here = frame(first, batch, at).filter(|(seq, _)| *seq >= least);
        match here.map(|(seq, end)| (open(batch, at, seq, end), end)) {
            Some((Ok(record), end)) => {
                records.push(record);
                at = end;
            }
            // The frame stands if another one follows it: then it is this one job that is damaged.
            Some((Err(error), end)) if follows(first, batch, end) => {
                damaged.push(error);
                named += 1;
                at = end;
            }
            _ => at = next_record(first, batch, at + 1, least),
        }
    }
    match count(first, batch) {
        Ok(count) if records.len() + named < count as usize => {
            damaged.push(Damaged { table: Table::Batch, key: first, why: "some of its jobs can't be read" });
        }
        Ok(_) => {}
        Err(error) => damaged.push(error),
    }
    (records, damaged)
}

/// The number and the end of the record at a place, as far as its head tells.
fn frame(first: u64, batch: &[u8], at: usize) -> Option<(u64, usize)> {
    let head = batch.get(at..at + RECORD_HEAD)?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let seq = first + u64::from(u16::from_le_bytes([head[4], head[5]]));
    let end = at + RECORD_HEAD + len;
    (end <= batch.len()).then_some((seq, end))
}

fn open(batch: &[u8], at: usize, seq: u64, end: usize) -> Result<Record<'_>, Damaged> {
    let body = codec::open(&batch[at + RECORD_HEAD..end], Table::Job, seq)?;
    Ok(Record { seq, body, raw: &batch[at..end] })
}

fn follows(first: u64, batch: &[u8], at: usize) -> bool {
    at == batch.len() || frame(first, batch, at).is_some_and(|(seq, end)| open(batch, at, seq, end).is_ok())
}

/// The next place at which a whole record begins, or the batch's end.
fn next_record(first: u64, batch: &[u8], from: usize, least: u64) -> usize {
    // None begins beyond the size at which a batch is closed.
    let places = from..batch.len().min(BATCH_HEAD + ROOMY);
    let whole = |at: &usize| {
        frame(first, batch, *at).is_some_and(|(seq, end)| {
            seq >= least
                && codec::may_be_sealed(&batch[at + RECORD_HEAD..end])
                && open(batch, *at, seq, end).is_ok()
        })
    };
    places.into_iter().find(whole).unwrap_or(batch.len())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::machine::Spec;
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
                dedupe: None,
            },
            // Noise, so that it stays as large as it is.
            payload: (0..*size).map(|i| (((i + n) * 2_654_435_761) >> 11) as u8).collect::<Vec<u8>>().into(),
        };
        sizes.iter().enumerate().map(row).collect()
    }

    fn batches(rows: &[NewRow]) -> Vec<(u64, u32, Vec<u8>)> {
        let (mut all, mut buffer) = (Vec::new(), Vec::new());
        let written: Result<(), Infallible> = write(rows, &mut buffer, |first, count, row| {
            all.push((first, count, row.to_vec()));
            Ok(())
        });
        assert!(written.is_ok());
        all
    }

    #[test]
    fn every_job_is_in_one_batch_and_found_there() {
        for sizes in [vec![], vec![10], vec![300; 500], vec![0, 100_000, 5, 40_000, 7, 7], vec![0; 3_000]] {
            let rows = rows(1_000, &sizes);
            let batches = batches(&rows);
            let mut seen = 0;
            for (first, count, row) in &batches {
                assert_eq!(super::count(*first, row), Ok(*count));
                let (records, damaged) = read(*first, row);
                assert_eq!((records.len() as u32, damaged), (*count, vec![]));
                assert!(row.len() - records.last().expect("a record").raw.len() < BATCH_HEAD + ROOMY);
                for record in records {
                    let job = &rows[(record.seq - 1_000) as usize];
                    assert_eq!(
                        codec::read_job(record.body, record.seq),
                        Ok((job.spec.clone(), job.payload.clone()))
                    );
                    assert_eq!(find(*first, row, record.seq), Ok(Some(record)));
                    seen += 1;
                }
                assert_eq!(find(*first, row, first + u64::from(*count)), Ok(None));
            }
            assert_eq!(seen, rows.len());
        }
    }

    #[test]
    fn damage_to_one_job_leaves_the_others() {
        let rows = rows(7, &[40; 12]);
        let (first, count, row) = batches(&rows).remove(0);
        for bit in 0..row.len() * 8 {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (records, damaged) = read(first, &flipped);
            assert!(!damaged.is_empty(), "bit {bit} is found");
            assert!(records.len() as u32 >= count - 1, "bit {bit}: {} of {count} are left", records.len());
            for record in records {
                let job = &rows[(record.seq - 7) as usize];
                assert_eq!(
                    codec::read_job(record.body, record.seq),
                    Ok((job.spec.clone(), job.payload.clone()))
                );
                assert_eq!(
                    find(first, &flipped, record.seq).map(|found| found.map(|it| it.body)),
                    Ok(Some(record.body))
                );
            }
        }
        for len in 0..row.len() {
            let (_, damaged) = read(first, &row[..len]);
            assert!(!damaged.is_empty(), "cut to {len}");
        }
        assert_eq!(read(first + 1, &row).0, [], "a row at another's place");
    }

    #[test]
    fn what_is_kept_of_a_batch_is_as_it_was() {
        let rows = rows(50, &[100; 20]);
        let (first, _, row) = batches(&rows).remove(0);
        let (records, _) = read(first, &row);
        let kept: Vec<_> = records.into_iter().filter(|record| record.seq % 7 == 0).collect();
        let mut smaller = Vec::new();
        rewrite(&mut smaller, first, &kept);
        let (again, damaged) = read(first, &smaller);
        assert_eq!(damaged, []);
        assert_eq!(
            again.iter().map(|it| (it.seq, it.body)).collect::<Vec<_>>(),
            kept.iter().map(|it| (it.seq, it.body)).collect::<Vec<_>>()
        );
        assert_eq!(find(first, &smaller, 51), Ok(None));
    }
}
