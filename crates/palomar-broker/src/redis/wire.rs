//! Values as they travel between this process and the library: the part of MessagePack that Redis' own reader knows.
//!
//! Bytes go as its `str` (the reader in Redis knows no `bin`), numbers as the smallest integer that holds them. Numbers
//! are exact up to [`FOREVER`]: Lua has but floating point.

use std::time::Duration;

use palomar_model::Timestamp;

/// The last time, in microseconds; all that is later is as good as it, and comes back as [`Timestamp::MAX`].
pub(super) const FOREVER: i64 = (1 << 53) - 1;

/// What came is not what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer of the queue library can't be read")]
pub(super) struct Malformed;

/// A point in time, as microseconds that Lua can count with.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.micros().clamp(0, FOREVER)
}

/// A span, as microseconds that Lua can count with.
pub(super) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(FOREVER).min(FOREVER)
}

/// The point in time that is meant by microseconds.
pub(super) fn time(micros: i64) -> Timestamp {
    if micros >= FOREVER { Timestamp::MAX } else { Timestamp::from_micros(micros) }
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn marked(&mut self, marker: u8, rest: &[u8]) -> &mut Writer {
        self.bytes.push(marker);
        self.bytes.extend_from_slice(rest);
        self
    }

    /// Begins an array of so many values.
    pub(super) fn array(&mut self, len: usize) -> &mut Writer {
        match len {
            0..=15 => self.marked(0x90 | len as u8, &[]),
            16..=0xffff => self.marked(0xdc, &(len as u16).to_be_bytes()),
            _ => self.marked(0xdd, &u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()),
        }
    }

    /// Begins a map of so many keys and values.
    pub(super) fn map(&mut self, len: usize) -> &mut Writer {
        match len {
            0..=15 => self.marked(0x80 | len as u8, &[]),
            16..=0xffff => self.marked(0xde, &(len as u16).to_be_bytes()),
            _ => self.marked(0xdf, &u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()),
        }
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) -> &mut Writer {
        let value = value.into();
        match value {
            0..=127 => self.marked(value as u8, &[]),
            128..=255 => self.marked(0xcc, &[value as u8]),
            256..=0xffff => self.marked(0xcd, &(value as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.marked(0xce, &(value as u32).to_be_bytes()),
            _ => self.marked(0xd3, &value.to_be_bytes()),
        }
    }

    /// A count, cut to what Lua can count to.
    pub(super) fn count(&mut self, value: impl TryInto<i64>) -> &mut Writer {
        self.int(value.try_into().unwrap_or(FOREVER).min(FOREVER))
    }

    pub(super) fn bytes(&mut self, value: impl AsRef<[u8]>) -> &mut Writer {
        let value = value.as_ref();
        match value.len() {
            len @ 0..=31 => self.marked(0xa0 | len as u8, value),
            len @ 32..=0xff => self.marked(0xd9, &[len as u8]).raw(value),
            len @ 0x100..=0xffff => self.marked(0xda, &(len as u16).to_be_bytes()).raw(value),
            len => self.marked(0xdb, &u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()).raw(value),
        }
    }

    /// What was written elsewhere.
    pub(super) fn raw(&mut self, values: &[u8]) -> &mut Writer {
        self.bytes.extend_from_slice(values);
        self
    }

    pub(super) fn bool(&mut self, value: bool) -> &mut Writer {
        self.marked(if value { 0xc3 } else { 0xc2 }, &[])
    }

    /// What is not there is false.
    pub(super) fn none(&mut self) -> &mut Writer {
        self.bool(false)
    }

    /// Bytes, or false.
    pub(super) fn maybe_bytes(&mut self, value: Option<impl AsRef<[u8]>>) -> &mut Writer {
        match value {
            Some(value) => self.bytes(value),
            None => self.none(),
        }
    }

    /// A number, or false.
    pub(super) fn maybe_int(&mut self, value: Option<i64>) -> &mut Writer {
        match value {
            Some(value) => self.int(value),
            None => self.none(),
        }
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn marker(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, len: usize) -> Result<u64, Malformed> {
        Ok(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn size(&mut self, len: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number(len)?).map_err(|_| Malformed)
    }

    /// How many values the array has that begins here.
    pub(super) fn array(&mut self) -> Result<usize, Malformed> {
        match self.marker()? {
            marker @ 0x90..=0x9f => Ok(usize::from(marker & 0x0f)),
            0xdc => self.size(2),
            0xdd => self.size(4),
            _ => Err(Malformed),
        }
    }

    /// An array of exactly so many values begins here.
    pub(super) fn array_of(&mut self, len: usize) -> Result<(), Malformed> {
        if self.array()? == len { Ok(()) } else { Err(Malformed) }
    }

    pub(super) fn int(&mut self) -> Result<i64, Malformed> {
        let number = match self.marker()? {
            marker @ 0..=0x7f => u64::from(marker),
            marker @ 0xe0..=0xff => return Ok(i64::from(marker as i8)),
            0xcc => self.number(1)?,
            0xcd => self.number(2)?,
            0xce => self.number(4)?,
            0xcf => self.number(8)?,
            0xd0 => return Ok(i64::from(self.number(1)? as u8 as i8)),
            0xd1 => return Ok(i64::from(self.number(2)? as u16 as i16)),
            0xd2 => return Ok(i64::from(self.number(4)? as u32 as i32)),
            0xd3 => return Ok(self.number(8)? as i64),
            _ => return Err(Malformed),
        };
        i64::try_from(number).map_err(|_| Malformed)
    }

    /// A number that is not negative.
    pub(super) fn count<T: TryFrom<i64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.int()?).map_err(|_| Malformed)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Malformed> {
        self.int().map(time)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = match self.marker()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.size(1)?,
            0xda => self.size(2)?,
            0xdb => self.size(4)?,
            _ => return Err(Malformed),
        };
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn id(&mut self) -> Result<u128, Malformed> {
        self.bytes()?.try_into().map(u128::from_be_bytes).map_err(|_| Malformed)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.marker()? {
            0xc2 | 0xc0 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// What `read` reads, or none where there is false.
    pub(super) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if matches!(self.bytes.first(), Some(0xc2 | 0xc0)) {
            self.marker()?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// The values of an array, each as `read` reads it.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let len = self.array()?;
        // Every value takes a byte at least.
        let mut values = Vec::with_capacity(len.min(self.bytes.len()));
        for _ in 0..len {
            values.push(read(self)?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers =
            [0, 1, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, FOREVER, -1, -40];
        let mut writer = Writer::default();
        for number in numbers {
            writer.int(number);
        }
        for len in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            writer.array(len).bytes(vec![7; len]);
        }
        writer.bool(true).none().maybe_int(Some(5)).maybe_bytes(None::<&[u8]>);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        for number in numbers {
            assert_eq!(reader.int(), Ok(number));
        }
        for len in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            assert_eq!(reader.array(), Ok(len));
            assert_eq!(reader.bytes().map(<[u8]>::len), Ok(len));
        }
        assert_eq!((reader.bool(), reader.maybe(Reader::int)), (Ok(true), Ok(None)));
        assert_eq!((reader.maybe(Reader::int), reader.maybe(Reader::bytes)), (Ok(Some(5)), Ok(None)));
        assert_eq!(reader.int(), Err(Malformed), "nothing is left");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for seed in 0..2_000_u32 {
            let mixed = |i| (seed.wrapping_mul(2_654_435_761).rotate_left(i) >> (i % 7)) as u8;
            let bytes: Vec<u8> = (0..40).map(mixed).collect();
            for from in 0..bytes.len() {
                let mut reader = Reader::new(&bytes[from..]);
                while let Ok(values) = reader.list(|reader| reader.maybe(Reader::text)) {
                    assert!(values.len() <= bytes.len(), "no more than there are bytes");
                }
            }
        }
    }

    #[test]
    fn times_that_lua_can_t_count_are_the_last_one() {
        assert_eq!(time(micros(Timestamp::MAX)), Timestamp::MAX);
        let now = Timestamp::from_seconds(1_800_000_000);
        assert_eq!(time(micros(now)), now);
        assert_eq!((micros(Timestamp::from_seconds(-5)), span(Duration::MAX)), (0, FOREVER));
    }
}
