//! How rows look on disk: a version, a checksum, a body.
//!
//! Every stored value is `version (1 byte) · CRC-32 (4 bytes, little-endian) · body`. The checksum covers the table,
//! the row's key, the version and the body, so that a flipped bit, a row at another's place and a cut row are all
//! found when the row is read. Readers of retired versions stay.

use bytes::Bytes;
use palomar_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::{Change, Spec};

const VERSION: u8 = 1;
pub(super) const HEAD: usize = 5;
/// Payloads above this are compressed where that makes them smaller.
const COMPRESS_ABOVE: usize = 1024;
const COMPRESSION_LEVEL: i32 = 1;
/// No payload is larger than this when it is unpacked.
pub(super) const MAX_PAYLOAD: usize = 4 * 1024 * 1024;

/// The tables whose rows are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Batch,
    Job,
    Standing,
    Log,
    Queue,
    Budget,
    Request,
    Meta,
}

impl Table {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Table::Batch => "batch",
            Table::Job => "job",
            Table::Standing => "standing",
            Table::Log => "log",
            Table::Queue => "queue",
            Table::Budget => "budget",
            Table::Request => "request",
            Table::Meta => "meta",
        }
    }
}

/// A row that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {key} of table {} is damaged: {why}", table.name())]
pub(super) struct Damaged {
    pub(super) table: Table,
    pub(super) key: u64,
    pub(super) why: &'static str,
}

fn checksum(table: Table, key: u64, version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table as u8, version]);
    hasher.update(&key.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Begins a row in an empty buffer; the body is appended, then [`seal`] closes it.
fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEAD, 0);
}

/// Writes version and checksum before a body.
pub(super) fn seal(row: &mut [u8], table: Table, key: u64) {
    let sum = checksum(table, key, VERSION, &row[HEAD..]);
    row[0] = VERSION;
    row[1..HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// Whether bytes may be a sealed row, at a glance.
pub(super) fn may_be_sealed(row: &[u8]) -> bool {
    row.len() >= HEAD && row[0] == VERSION
}

/// The body of a row, if it is what was written.
pub(super) fn open(row: &[u8], table: Table, key: u64) -> Result<&[u8], Damaged> {
    let damaged = |why| Damaged { table, key, why };
    let (head, body) = row.split_at_checked(HEAD).ok_or(damaged("it is too short"))?;
    if head[0] != VERSION {
        return Err(damaged("its version is not known"));
    }
    let stored = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if stored == checksum(table, key, head[0], body) {
        Ok(body)
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// A sealed row of a value.
pub(super) fn row_of<T: Serialize>(value: &T, table: Table, key: u64) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(64);
    begin(&mut buffer);
    append(&mut buffer, value);
    seal(&mut buffer, table, key);
    buffer
}

/// Appends a value in its stored form.
fn append<T: Serialize>(buffer: &mut Vec<u8>, value: &T) {
    struct Sink<'a>(&'a mut Vec<u8>);
    impl Extend<u8> for Sink<'_> {
        fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
            self.0.extend(bytes);
        }
    }
    // Our own types, into memory: postcard fails only for sequences without a length, which they do not have.
    if postcard::to_extend(value, Sink(buffer)).is_err() {
        unreachable!("a stored type has a form that can't be stored");
    }
}

/// The value of a sealed row.
pub(super) fn value_of<T: DeserializeOwned>(row: &[u8], table: Table, key: u64) -> Result<T, Damaged> {
    let body = open(row, table, key)?;
    postcard::from_bytes(body).map_err(|_| Damaged { table, key, why: "its body can't be read" })
}

/// Appends the row of an accepted job to `buffer`.
pub(super) fn write_job(buffer: &mut Vec<u8>, seq: u64, spec: &Spec, payload: &[u8]) {
    let start = buffer.len();
    buffer.resize(start + HEAD, 0);
    append(buffer, spec);
    let packed = (payload.len() > COMPRESS_ABOVE)
        .then(|| zstd::bulk::compress(payload, COMPRESSION_LEVEL).ok())
        .flatten()
        .filter(|packed| packed.len() < payload.len());
    match packed {
        Some(packed) => {
            buffer.push(1);
            buffer.extend_from_slice(&packed);
        }
        None => {
            buffer.push(0);
            buffer.extend_from_slice(payload);
        }
    }
    seal(&mut buffer[start..], Table::Job, seq);
}

/// An accepted job without its payload, from its opened row.
pub(super) fn read_spec(body: &[u8], seq: u64) -> Result<Spec, Damaged> {
    split_job(body, seq).map(|(spec, _)| spec)
}

/// An accepted job and its payload, from its opened row.
pub(super) fn read_job(body: &[u8], seq: u64) -> Result<(Spec, Bytes), Damaged> {
    let damaged = |why| Damaged { table: Table::Job, key: seq, why };
    let (spec, rest) = split_job(body, seq)?;
    let payload = match rest.split_first() {
        Some((0, payload)) => Bytes::copy_from_slice(payload),
        Some((1, packed)) => {
            // The frame says how large the payload is: no more is reserved for it.
            let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
            let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_PAYLOAD);
            let size = size.ok_or(damaged("its payload's size is not known"))?;
            let payload =
                zstd::bulk::decompress(packed, size).map_err(|_| damaged("its payload can't be unpacked"))?;
            Bytes::from(payload)
        }
        _ => return Err(damaged("its payload's form is not known")),
    };
    Ok((spec, payload))
}

fn split_job(body: &[u8], seq: u64) -> Result<(Spec, &[u8]), Damaged> {
    postcard::take_from_bytes(body).map_err(|_| Damaged {
        table: Table::Job,
        key: seq,
        why: "its head can't be read",
    })
}

/// Writes the log row of one commit into `buffer`.
pub(super) fn write_log(buffer: &mut Vec<u8>, first: u64, at: Timestamp, changes: &[Change]) {
    begin(buffer);
    buffer.extend_from_slice(&at.micros().to_le_bytes());
    append(buffer, &changes);
    seal(buffer, Table::Log, first);
}

/// What a log row says.
pub(super) fn read_log(row: &[u8], first: u64) -> Result<(Timestamp, Vec<Change>), Damaged> {
    let damaged = |why| Damaged { table: Table::Log, key: first, why };
    let body = open(row, Table::Log, first)?;
    let (at, changes) = body.split_first_chunk::<8>().ok_or(damaged("it is too short"))?;
    let changes = postcard::from_bytes(changes).map_err(|_| damaged("its changes can't be read"))?;
    Ok((Timestamp::from_micros(i64::from_le_bytes(*at)), changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use palomar_model::{MessageId, Priority};

    fn spec() -> Spec {
        Spec {
            id: MessageId(uuid::Uuid::from_u128(77)),
            queue: 3,
            priority: Priority::High,
            group: Some("campaign-1".into()),
            key: 99,
            run_at: None,
            expires_at: Some(Timestamp::from_seconds(5)),
            on_uncertain: crate::OnUncertain::Retry,
            spends_budget: true,
            enqueued_at: Timestamp::from_seconds(1),
            dedupe: Some((1, 2, std::time::Duration::from_secs(3))),
        }
    }

    #[test]
    fn jobs_survive_the_way_to_disk_and_back() {
        for payload in [vec![], b"hola".to_vec(), b"abc".repeat(5_000)] {
            let mut row = Vec::new();
            write_job(&mut row, 42, &spec(), &payload);
            assert!(row.len() < payload.len().max(200) + 100);
            let body = open(&row, Table::Job, 42).expect("is whole");
            assert_eq!(read_job(body, 42), Ok((spec(), Bytes::from(payload))));
        }
    }

    #[test]
    fn every_flipped_bit_cut_and_misplaced_row_is_found() {
        let mut row = Vec::new();
        write_job(&mut row, 42, &spec(), b"a payload of some length");
        let open = |row: &[u8], seq| super::open(row, Table::Job, seq).map(<[u8]>::len);
        assert!(open(&row, 42).is_ok());
        assert!(open(&row, 43).is_err(), "a row at another's place");
        for bit in 0..row.len() * 8 {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, 42).is_err(), "bit {bit}");
        }
        for len in 0..row.len() {
            assert!(open(&row[..len], 42).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn logs_survive_the_way_to_disk_and_back() {
        let at = Timestamp::from_seconds(100);
        let changes = vec![
            Change::Enqueued { from: 1, count: 2 },
            Change::Started { seq: 1, token: 1 },
            Change::Event { seq: Some(1), body: Bytes::from_static(b"{}") },
        ];
        let mut row = Vec::new();
        write_log(&mut row, 7, at, &changes);
        assert_eq!(read_log(&row, 7), Ok((at, changes)));
    }
}
