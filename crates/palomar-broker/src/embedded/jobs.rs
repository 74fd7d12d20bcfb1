//! Accepted jobs in `queue.db`: batches of them, and where each stands if that differs from a fresh one.
//!
//! | table | key | what |
//! |---|---|---|
//! | `batch` | number of the first job | what was accepted, see [`super::batch`] |
//! | `standing` | number of the job | where it stood at the last fold; nothing: it is no more |
//!
//! What always holds:
//! - a job whose batch holds it, and that has no standing, is as it was accepted;
//! - a batch goes when its last job has gone, with their standings; one that is hollow (three quarters of its jobs are
//!   gone) is written anew without those, by a later fold where many get so at once;
//! - a [`Census`] of both tables is stored with each fold: a row that is lost without a trace is missed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::batch::{self, Record, Written};
use super::codec::{self, Table};
use super::store::StoreError;
use crate::machine::{NewRow, Standing};

#[cfg(test)]
mod tests;

/// Batches with fewer records are not written anew: there is little to win.
const WORTH_REWRITING: u32 = 8;
/// Jobs that a fold reads at least to write hollow batches anew, and how many more for each that has gone. Where jobs go
/// at random, 4 are read for each 3 that have gone: what is put off is made up for.
const READ_AT_LEAST: usize = 1_000;
const READ_PER_GONE: usize = 2;

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS batch (first INTEGER PRIMARY KEY, heads BLOB NOT NULL, payloads BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS standing (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);";

/// How many keys a table has, and their sum, mixed: two sets of keys that differ hardly ever have the same census.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Census {
    rows: u64,
    sum: u64,
}

impl Census {
    pub(super) fn add(&mut self, key: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(mixed(key));
    }

    fn remove(&mut self, key: u64) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mixed(key));
    }
}

/// The finaliser of SplitMix64.
fn mixed(key: u64) -> u64 {
    let z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The census of both tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) batches: Census,
    pub(super) standings: Census,
}

/// One batch, as memory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: u64,
    /// Jobs of it that are wanted.
    pub(super) wanted: u32,
    /// Jobs that its row holds.
    pub(super) stored: u32,
}

impl Batch {
    fn is_hollow(&self) -> bool {
        self.wanted > 0 && self.stored >= WORTH_REWRITING && self.wanted * 4 <= self.stored
    }
}

/// Which batch holds which job: 16 bytes a batch, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Index {
    batches: Vec<Batch>,
    /// Those of them that are gone.
    gone: usize,
}

impl Index {
    pub(super) fn push(&mut self, batch: Batch) {
        debug_assert!(self.batches.last().is_none_or(|last| last.first < batch.first));
        self.batches.push(batch);
    }

    /// The place of the batch that a job is in, or was.
    fn place(&self, seq: u64) -> Option<usize> {
        self.batches.partition_point(|batch| batch.first <= seq).checked_sub(1)
    }

    pub(super) fn find(&self, seq: u64) -> Option<u64> {
        let batch = self.batches[self.place(seq)?];
        (batch.wanted > 0).then_some(batch.first)
    }

    /// The last number that can be in a batch.
    fn last_of(&self, place: usize) -> u64 {
        self.batches.get(place + 1).map_or(i64::MAX as u64, |next| next.first - 1)
    }

    fn set(&mut self, place: usize, batch: Batch) {
        self.gone += usize::from(batch.wanted == 0);
        self.batches[place] = batch;
    }

    /// Forgets batches that are gone, once they are the most.
    fn tidy(&mut self) {
        if self.gone > 64 && self.gone * 2 > self.batches.len() {
            self.batches.retain(|batch| batch.wanted > 0);
            self.batches.shrink_to(self.batches.len() * 2);
            self.gone = 0;
        }
    }
}

/// The jobs of the store.
#[derive(Default)]
pub(super) struct Jobs {
    index: Index,
    counted: Counted,
    /// Hollow batches that are still to be written anew, by their first numbers.
    hollow: VecDeque<u64>,
    /// Written since the last commit: theirs once it is through.
    fresh: Vec<Batch>,
    written: Written,
}

/// What a fold does to the tables; memory follows once it is through.
#[derive(Debug, Default)]
pub(super) struct Folding {
    pub(super) counted: Counted,
    /// As they are now, by their place.
    batches: BTreeMap<usize, Batch>,
    hollow: VecDeque<u64>,
}

impl Jobs {
    pub(super) fn new(index: Index, counted: Counted) -> Jobs {
        let hollow =
            index.batches.iter().filter(|batch| batch.is_hollow()).map(|batch| batch.first).collect();
        Jobs { index, counted, hollow, fresh: Vec::new(), written: Written::default() }
    }

    /// The batch that holds a job.
    pub(super) fn batch_of(&self, seq: u64) -> Option<u64> {
        self.index.find(seq)
    }

    /// Writes jobs that were accepted, within a transaction.
    pub(super) fn insert(&mut self, db: &Connection, rows: &[NewRow]) -> Result<(), StoreError> {
        self.fresh.clear();
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert =
            db.prepare_cached("INSERT INTO batch (first, heads, payloads) VALUES (?1, ?2, ?3)")?;
        let fresh = &mut self.fresh;
        batch::write(rows, &mut self.written, |first, count, written| {
            insert.execute(params![first as i64, written.heads, written.payloads])?;
            fresh.push(Batch { first, wanted: count, stored: count });
            Ok(())
        })
    }

    /// What was inserted is committed.
    pub(super) fn committed(&mut self) {
        for batch in self.fresh.drain(..) {
            self.counted.batches.add(batch.first);
            self.index.push(batch);
        }
    }

    /// Writes where jobs stand, and drops those that are no more (in the order of their numbers), within a transaction.
    pub(super) fn fold(
        &mut self,
        db: &Connection,
        standings: &[(u64, Standing)],
        gone: &[u64],
    ) -> Result<Folding, StoreError> {
        let hollow = self.hollow.clone();
        let mut folding = Folding { counted: self.counted, batches: BTreeMap::new(), hollow };
        for (seq, standing) in standings {
            let row = codec::row_of(standing, Table::Standing, *seq);
            write_standing(db, &mut folding.counted.standings, *seq, &row)?;
        }
        let place = |seq: &u64| self.index.place(*seq);
        for gone in gone.chunk_by(|a, b| place(a) == place(b)) {
            if let Some(place) = gone.first().and_then(place) {
                self.drop_jobs(db, place, gone, &mut folding)?;
            }
        }
        self.rewrite_hollow(db, READ_AT_LEAST + gone.len() * READ_PER_GONE, &mut folding)?;
        Ok(folding)
    }

    /// The fold is committed.
    pub(super) fn folded(&mut self, folding: Folding) {
        self.counted = folding.counted;
        self.hollow = folding.hollow;
        for (place, batch) in folding.batches {
            self.index.set(place, batch);
        }
        self.index.tidy();
    }

    /// Drops jobs of one batch.
    fn drop_jobs(
        &self,
        db: &Connection,
        place: usize,
        gone: &[u64],
        folding: &mut Folding,
    ) -> Result<(), StoreError> {
        let mut batch = self.index.batches[place];
        let was_hollow = batch.is_hollow();
        batch.wanted = batch.wanted.saturating_sub(gone.len() as u32);
        let counted = &mut folding.counted;
        if batch.wanted == 0 {
            db.prepare_cached("DELETE FROM batch WHERE first = ?1")?.execute([batch.first as i64])?;
            counted.batches.remove(batch.first);
            drop_standings(db, &mut counted.standings, batch.first, self.index.last_of(place))?;
        } else {
            for &seq in gone {
                write_standing(db, &mut counted.standings, seq, &codec::row_of(&(), Table::Standing, seq))?;
            }
            if batch.is_hollow() && !was_hollow {
                folding.hollow.push_back(batch.first);
            }
        }
        folding.batches.insert(place, batch);
        Ok(())
    }

    /// Writes hollow batches anew, until about `most` jobs were read.
    fn rewrite_hollow(
        &mut self,
        db: &Connection,
        most: usize,
        folding: &mut Folding,
    ) -> Result<(), StoreError> {
        let mut read = 0;
        while read < most
            && let Some(first) = folding.hollow.pop_front()
        {
            let place = self.index.place(first).filter(|place| self.index.batches[*place].first == first);
            let Some(place) = place else { continue };
            let mut batch = folding.batches.get(&place).copied().unwrap_or(self.index.batches[place]);
            // It may have gone since.
            if batch.is_hollow() {
                read += batch.stored as usize;
                let last = self.index.last_of(place);
                let census = &mut folding.counted.standings;
                batch.stored = rewrite(db, &batch, last, census, &mut self.written)?;
                folding.batches.insert(place, batch);
            }
        }
        Ok(())
    }
}

fn write_standing(db: &Connection, census: &mut Census, seq: u64, row: &[u8]) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO standing (seq, body) VALUES (?1, ?2)")?;
    if insert.execute(params![seq as i64, row])? == 1 {
        census.add(seq);
    } else {
        let mut update = db.prepare_cached("UPDATE standing SET body = ?2 WHERE seq = ?1")?;
        update.execute(params![seq as i64, row])?;
    }
    Ok(())
}

fn drop_standings(db: &Connection, census: &mut Census, first: u64, last: u64) -> Result<(), StoreError> {
    let mut delete = db.prepare_cached("DELETE FROM standing WHERE seq BETWEEN ?1 AND ?2 RETURNING seq")?;
    let mut dropped = delete.query([first as i64, last as i64])?;
    while let Some(row) = dropped.next()? {
        census.remove(row.get::<_, i64>(0)? as u64);
    }
    Ok(())
}

/// Writes a batch anew without the jobs that are no more; answers how many it holds now.
fn rewrite(
    db: &Connection,
    batch: &Batch,
    last: u64,
    census: &mut Census,
    smaller: &mut Written,
) -> Result<u32, StoreError> {
    let Some(Row { heads, payloads }) = read_batch(db, batch.first)? else { return Ok(batch.stored) };
    let (records, damaged) = batch::read(batch.first, &heads);
    let gone = gone_of(db, batch.first, last)?;
    let kept: Vec<_> =
        records.into_iter().filter(|record| gone.binary_search(&record.seq).is_err()).collect();
    let written = payloads.is_ok_and(|plain| batch::rewrite(batch.first, &kept, &plain, smaller).is_ok());
    if !written || !damaged.is_empty() {
        // It stays as it is, to be looked at.
        return Ok(batch.stored);
    }
    let mut update = db.prepare_cached("UPDATE batch SET heads = ?2, payloads = ?3 WHERE first = ?1")?;
    update.execute(params![batch.first as i64, smaller.heads, smaller.payloads])?;
    for seq in gone {
        drop_standings(db, census, seq, seq)?;
    }
    Ok(kept.len() as u32)
}

/// Jobs of a range that are no more though their batch still holds them, in the order of their numbers.
fn gone_of(db: &Connection, first: u64, last: u64) -> Result<Vec<u64>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT seq, body FROM standing WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let mut rows = select.query([first as i64, last as i64])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = row.get::<_, i64>(0)? as u64;
        if matches!(read_standing(row.get_ref(1)?.as_blob().unwrap_or_default(), seq), Ok(None)) {
            gone.push(seq);
        }
    }
    Ok(gone)
}

/// Where a job stands, by its row; none where it is no more.
pub(super) fn read_standing(row: &[u8], seq: u64) -> Result<Option<Standing>, codec::Damaged> {
    if codec::open(row, Table::Standing, seq)?.is_empty() {
        return Ok(None);
    }
    codec::value_of(row, Table::Standing, seq).map(Some)
}

/// A batch that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) heads: Vec<u8>,
    /// Unpacked, unless that failed.
    pub(super) payloads: Result<Vec<u8>, &'static str>,
}

impl Row {
    /// The payload of one of its records.
    pub(super) fn payload(&self, record: &Record<'_>) -> Result<Bytes, codec::Damaged> {
        let damaged = |why| codec::Damaged { table: Table::Payload, key: record.seq, why };
        let payloads = self.payloads.as_ref().map_err(|why| damaged(*why))?;
        record.payload(payloads).map(Bytes::copy_from_slice)
    }
}

fn read_batch(db: &Connection, first: u64) -> Result<Option<Row>, rusqlite::Error> {
    let mut select = db.prepare_cached("SELECT heads, payloads FROM batch WHERE first = ?1")?;
    let row = select.query_row([first as i64], |row| {
        let payloads = batch::unpack(row.get_ref(1)?.as_blob()?).map(std::borrow::Cow::into_owned);
        Ok(Row { heads: row.get(0)?, payloads })
    });
    row.optional()
}

/// The batch that was read last, for those who read one job after the other.
#[derive(Debug, Default)]
pub(super) struct LastBatch {
    read: Option<(u64, Row)>,
}

impl LastBatch {
    /// The row of a batch. It may be the row as it was before it was written anew: then it holds more jobs.
    pub(super) fn row(&mut self, db: &Connection, first: u64) -> Result<Option<&Row>, rusqlite::Error> {
        if self.read.as_ref().is_none_or(|(read, _)| *read != first) {
            self.read = read_batch(db, first)?.map(|row| (first, row));
        }
        Ok(self.read.as_ref().map(|(_, row)| row))
    }
}
