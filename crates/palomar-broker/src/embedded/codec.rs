//! How rows look on disk: a version, a checksum, a body.
//!
//! Every stored value is `version (1 byte) · CRC-32 (4 bytes, little-endian) · body`. The checksum covers the table,
//! the row's key, the version and the body, so that a flipped bit, a row at another's place and a cut row are all
//! found when the row is read. Readers of retired versions stay.

use std::borrow::Cow;
use std::cell::RefCell;

use palomar_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::{Change, Spec};

const VERSION: u8 = 1;
pub(super) const HEAD: usize = 5;
/// Less than this is not worth compressing.
const COMPRESS_FROM: usize = 512;
const COMPRESSION_LEVEL: i32 = 1;
/// No payload is larger than this when it is unpacked.
pub(super) const MAX_PAYLOAD: usize = 4 * 1024 * 1024;

/// The tables whose rows are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Batch,
    Job,
    Payload,
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
            Table::Payload => "payload",
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

/// The checksum of what belongs to a key of a table, in the form of today.
pub(super) fn checksum(table: Table, key: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table as u8, VERSION]);
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
    let sum = checksum(table, key, &row[HEAD..]);
    row[0] = VERSION;
    row[1..HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The body of a row, if it is what was written.
pub(super) fn open(row: &[u8], table: Table, key: u64) -> Result<&[u8], Damaged> {
    let damaged = |why| Damaged { table, key, why };
    let (head, body) = row.split_at_checked(HEAD).ok_or(damaged("it is too short"))?;
    if head[0] != VERSION {
        return Err(damaged("its version is not known"));
    }
    let stored = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if stored == checksum(table, key, body) { Ok(body) } else { Err(damaged("its checksum does not match")) }
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

/// Appends what was accepted.
pub(super) fn write_spec(buffer: &mut Vec<u8>, spec: &Spec) {
    append(buffer, spec);
}

/// What was accepted.
pub(super) fn spec_of(bytes: &[u8]) -> Option<Spec> {
    postcard::from_bytes(bytes).ok()
}

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// Packs bytes: plain, or compressed where that makes them smaller.
#[derive(Default)]
pub(super) struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    /// Writes the packed form of `plain` to `packed`.
    pub(super) fn pack(&mut self, plain: &[u8], packed: &mut Vec<u8>) {
        packed.clear();
        if plain.len() >= COMPRESS_FROM && self.compress(plain, packed).is_some() {
            return;
        }
        packed.clear();
        packed.push(PLAIN);
        packed.extend_from_slice(plain);
    }

    fn compress(&mut self, plain: &[u8], packed: &mut Vec<u8>) -> Option<()> {
        let compressor = match &mut self.0 {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok()?),
        };
        // No more room than the plain form takes: what does not fit into it is not smaller.
        packed.resize(plain.len(), PACKED);
        let len = compressor.compress_to_buffer(plain, &mut packed[1..]).ok()?;
        packed.truncate(1 + len);
        Some(())
    }
}

/// What unpacks: it is large, so that a thread makes one and keeps it.
#[derive(Default)]
struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

thread_local! {
    static UNPACKER: RefCell<Unpacker> = RefCell::default();
}

impl Unpacker {
    fn unpack(&mut self, packed: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
        let wrong = |_| "it can't be unpacked";
        let unpacker = match &mut self.0 {
            Some(unpacker) => unpacker,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(wrong)?),
        };
        unpacker.decompress(packed, size).map_err(wrong)
    }
}

/// Bytes from their packed form; more than `most` are refused.
pub(super) fn unpack(packed: &[u8], most: usize) -> Result<Cow<'_, [u8]>, &'static str> {
    match packed.split_first() {
        Some((&PLAIN, plain)) => Ok(Cow::Borrowed(plain)),
        Some((&PACKED, packed)) => {
            // The frame says how large it is unpacked: no more is reserved for it.
            let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
            let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= most);
            let size = size.ok_or("its size is not known")?;
            UNPACKER.with_borrow_mut(|unpacker| unpacker.unpack(packed, size)).map(Cow::Owned)
        }
        _ => Err("its form is not known"),
    }
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
            dedupe: vec![(1, 2, std::time::Duration::from_secs(3)), (4, 5, std::time::Duration::MAX)],
        }
    }

    #[test]
    fn bytes_survive_being_packed() {
        let noise: Vec<u8> = (0..5_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let mut packer = Packer::default();
        let mut packed = Vec::new();
        for plain in [vec![], b"hola".to_vec(), noise, b"abc".repeat(5_000)] {
            packer.pack(&plain, &mut packed);
            assert!(packed.len() <= plain.len() + 1);
            assert_eq!(unpack(&packed, plain.len()).as_deref(), Ok(&plain[..]));
        }
        assert!(packed.len() < 200, "{} bytes", packed.len());
        assert!(unpack(&packed, 10_000).is_err(), "larger than is allowed");
        for wrong in [&b""[..], &[PACKED], &[PACKED, 1, 2, 3], &[9, 1]] {
            assert!(unpack(wrong, 10_000).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_cut_and_misplaced_row_is_found() {
        let row = row_of(&spec(), Table::Job, 42);
        let read = |row: &[u8], seq| value_of::<Spec>(row, Table::Job, seq);
        assert_eq!(read(&row, 42), Ok(spec()));
        assert!(read(&row, 43).is_err(), "a row at another's place");
        for bit in 0..row.len() * 8 {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, 42).is_err(), "bit {bit}");
        }
        for len in 0..row.len() {
            assert!(read(&row[..len], 42).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn logs_survive_the_way_to_disk_and_back() {
        let at = Timestamp::from_seconds(100);
        let changes = vec![
            Change::Enqueued { from: 1, count: 2 },
            Change::Started { seq: 1, token: 1 },
            Change::Event { seq: Some(1), body: bytes::Bytes::from_static(b"{}") },
        ];
        let mut row = Vec::new();
        write_log(&mut row, 7, at, &changes);
        assert_eq!(read_log(&row, 7), Ok((at, changes)));
    }
}
