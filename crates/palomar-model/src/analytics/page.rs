//! Counts of one series over a stretch of time, slot by slot, in a few bytes a slot.
//!
//! ```text
//! for each slot that has any: gap to the slot before, how many metrics, and for each: gap to the metric before, count
//! ```
//!
//! Always: the bytes follow from the counts alone, however they were added.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Damaged, Histogram, varint};
use crate::Timestamp;

const MINUTE: i64 = 60_000_000;

/// How finely counts are kept, and how many slots of it make a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Minutes, an hour a page.
    Minute,
    /// Quarters of an hour, a day (UTC) a page. Every zone's days and hours begin with one.
    Quarter,
    /// Days (UTC), one a page: what is summed beforehand.
    Day,
    /// Quarters of an hour, an hour a page: for what takes more room.
    QuarterHourly,
}

impl Tier {
    /// What it is stored as.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// How long a slot is, in microseconds.
    #[must_use]
    pub const fn slot_micros(self) -> i64 {
        match self {
            Tier::Minute => MINUTE,
            Tier::Quarter | Tier::QuarterHourly => 15 * MINUTE,
            Tier::Day => 1440 * MINUTE,
        }
    }

    /// How many slots a page has.
    #[must_use]
    pub const fn slots(self) -> i64 {
        match self {
            Tier::Minute => 60,
            Tier::Quarter => 96,
            Tier::Day => 1,
            Tier::QuarterHourly => 4,
        }
    }

    /// How long a slot is.
    #[must_use]
    pub const fn slot(self) -> Duration {
        Duration::from_micros(self.slot_micros().unsigned_abs())
    }

    /// The page and the slot in it that a moment is in.
    #[must_use]
    pub const fn place(self, at: Timestamp) -> (i64, u16) {
        let slot = at.micros().div_euclid(self.slot_micros());
        #[expect(clippy::cast_possible_truncation, reason = "below 96")]
        (slot.div_euclid(self.slots()), slot.rem_euclid(self.slots()) as u16)
    }

    /// The first moment of a slot.
    #[must_use]
    pub const fn start(self, page: i64, slot: u16) -> Timestamp {
        let number = page.saturating_mul(self.slots()).saturating_add(slot as i64);
        Timestamp::from_micros(number.saturating_mul(self.slot_micros()))
    }

    /// The pages that have anything from one moment up to another.
    #[must_use]
    pub const fn pages(self, from: Timestamp, to: Timestamp) -> (i64, i64) {
        (self.place(from).0, self.place(Timestamp::from_micros(to.micros().saturating_sub(1))).0)
    }
}

/// Counts by slot and metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order of slot and metric.
    counts: Vec<(u16, u64, u64)>,
}

impl Page {
    /// Raises a count.
    pub fn add(&mut self, slot: u16, metric: u64, by: u64) {
        match self.counts.binary_search_by_key(&(slot, metric), |(slot, metric, _)| (*slot, *metric)) {
            Ok(place) => self.counts[place].2 += by,
            Err(_) if by == 0 => {}
            Err(place) => self.counts.insert(place, (slot, metric, by)),
        }
    }

    /// Adds all that another has.
    pub fn merge(&mut self, other: &Page) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            other.counts.iter().for_each(|(slot, metric, by)| self.add(*slot, *metric, *by));
        }
    }

    /// Its counts: slot, metric, how many.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64, u64)> {
        self.counts.iter().copied()
    }

    /// The bytes that it is kept as.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.counts.len() * 3);
        let mut before = 0;
        for of_slot in self.counts.chunk_by(|one, other| one.0 == other.0) {
            let slot = of_slot.first().map_or(0, |(slot, _, _)| u64::from(*slot));
            varint::put(&mut bytes, slot - before);
            varint::put(&mut bytes, of_slot.len() as u64);
            before = slot;
            let mut metric_before = 0;
            for (_, metric, count) in of_slot {
                varint::put(&mut bytes, metric - metric_before);
                varint::put(&mut bytes, *count);
                metric_before = *metric;
            }
        }
        bytes
    }

    /// Reads what [`Page::encode`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Page, Damaged> {
        let mut page = Page::default();
        Page::each(bytes, |slot, metric, count| page.counts.push((slot, metric, count)))?;
        if page.counts.is_sorted_by(|one, other| (one.0, one.1) < (other.0, other.1)) {
            Ok(page)
        } else {
            Err(Damaged)
        }
    }

    /// Passes each count of an encoded page on: slot, metric, how many.
    ///
    /// # Errors
    /// Where it is no such page; what came before was passed on.
    pub fn each(mut bytes: &[u8], mut to: impl FnMut(u16, u64, u64)) -> Result<(), Damaged> {
        let mut slot = 0_u64;
        while !bytes.is_empty() {
            slot = slot.checked_add(varint::take(&mut bytes)?).ok_or(Damaged)?;
            let at = u16::try_from(slot).map_err(|_| Damaged)?;
            let mut metric = 0_u64;
            for _ in 0..varint::take(&mut bytes)? {
                metric = metric.checked_add(varint::take(&mut bytes)?).ok_or(Damaged)?;
                to(at, metric, varint::take(&mut bytes)?);
            }
        }
        Ok(())
    }
}

/// Histograms of one series and stage over a stretch of time, slot by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimesPage(BTreeMap<u16, Histogram>);

impl TimesPage {
    /// The histogram of a slot.
    pub fn slot(&mut self, slot: u16) -> &mut Histogram {
        self.0.entry(slot).or_default()
    }

    /// Adds all that another has.
    pub fn merge(&mut self, other: &TimesPage) {
        other.iter().for_each(|(slot, histogram)| self.slot(slot).merge(histogram));
    }

    /// Its histograms, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Histogram)> {
        self.0
            .iter()
            .map(|(slot, histogram)| (*slot, histogram))
            .filter(|(_, histogram)| !histogram.is_empty())
    }

    /// The bytes that it is kept as.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (slot, histogram) in self.iter() {
            varint::put(&mut bytes, slot.into());
            histogram.encode(&mut bytes);
        }
        bytes
    }

    /// Reads what [`TimesPage::encode`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn decode(mut bytes: &[u8]) -> Result<TimesPage, Damaged> {
        let mut page = TimesPage::default();
        while !bytes.is_empty() {
            let slot = u16::try_from(varint::take(&mut bytes)?).map_err(|_| Damaged)?;
            let histogram = Histogram::decode(&mut bytes)?;
            if page.0.insert(slot, histogram).is_some() {
                return Err(Damaged);
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        let (mut one, mut other) = (TimesPage::default(), TimesPage::default());
        one.slot(3).add(Duration::from_millis(20));
        other.slot(0).add(Duration::from_secs(7));
        other.slot(3).add(Duration::from_millis(2));
        one.merge(&other);
        assert_eq!(TimesPage::decode(&one.encode()), Ok(one.clone()));
        assert_eq!(
            one.iter().map(|(slot, times)| (slot, times.count())).collect::<Vec<_>>(),
            [(0, 1), (3, 2)]
        );
        let mut twice = one.encode();
        twice.extend(one.encode());
        assert_eq!(TimesPage::decode(&twice), Err(Damaged));
        assert_eq!(TimesPage::default().encode(), Vec::<u8>::new());
    }

    #[test]
    fn in_whatever_order_it_is_the_same() {
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        for _ in 0..200 {
            let mut counted: Vec<_> = (0..roll(400))
                .map(|_| {
                    let metric = if roll(9) == 0 { 64 + roll(1 << 40) } else { roll(17) };
                    (u16::try_from(roll(96)).expect("small"), metric, roll(300))
                })
                .collect();
            let mut whole = Page::default();
            counted.iter().for_each(|(slot, metric, by)| whole.add(*slot, *metric, *by));
            counted.reverse();
            let cut = usize::try_from(roll(counted.len() as u64 + 1)).expect("small");
            let mut parts = [Page::default(), Page::default()];
            for (place, (slot, metric, by)) in counted.iter().enumerate() {
                parts[usize::from(place < cut)].add(*slot, *metric, *by);
            }
            let [mut one, other] = parts;
            one.merge(&other);
            assert_eq!(one, whole);
            assert_eq!(Page::decode(&one.encode()), Ok(whole));
        }
        assert_eq!(Page::default().encode(), Vec::<u8>::new());
        assert_eq!(Page::decode(&[0]), Err(Damaged));
        assert_eq!(Page::decode(&[0, 2, 1, 1, 0, 1]), Err(Damaged), "the same metric twice");
    }

    #[test]
    fn every_moment_has_a_place() {
        let before = Timestamp::from_micros(-1);
        assert_eq!(Tier::Quarter.place(before), (-1, 95));
        assert_eq!(Tier::Quarter.place(Timestamp::EPOCH), (0, 0));
        let at: Timestamp = "2026-07-01T09:31:59Z".parse().expect("a time");
        for tier in [Tier::Minute, Tier::Quarter, Tier::Day, Tier::QuarterHourly] {
            let (page, slot) = tier.place(at);
            let start = tier.start(page, slot);
            assert!(start <= at && at < start.after(tier.slot()), "{tier:?}");
            assert_eq!(tier.pages(start, start.after(tier.slot())), (page, page));
        }
        assert_eq!(Tier::Quarter.start(20_635, 38).to_string(), "2026-07-01T09:30:00Z");
    }
}
