//! How long things took: a histogram of durations that adds up over time, channels and nodes.
//!
//! Always: a percentile is within [`RELATIVE_ERROR`] of the value that stands at its rank; count, sum, least and most are
//! exact. Bins follow from the value's bits alone, so that every machine has the same.

use std::time::Duration;

use super::{Damaged, varint};

/// Values below this have a bin each; above, each doubling has so many.
const FINE: u64 = 1 << FINE_BITS;
const FINE_BITS: u32 = 5;

/// How far a percentile may be from the value at its rank, as a share of that: half a bin.
pub const RELATIVE_ERROR: f64 = 1.0 / 64.0;

/// Durations, counted by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bins that have any, by their number, in order.
    bins: Vec<(u32, u64)>,
    sum: u128,
    least: u64,
    most: u64,
}

/// The bin of a value in microseconds.
const fn bin(micros: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "below 32, and five bits of what is left")]
    if micros < FINE {
        micros as u32
    } else {
        let shift = 63 - FINE_BITS - micros.leading_zeros();
        ((shift + 1) << FINE_BITS) + ((micros >> shift) as u32 & (FINE as u32 - 1))
    }
}

/// The value in the middle of a bin.
const fn middle(bin: u32) -> u64 {
    let row = bin >> FINE_BITS;
    if row == 0 {
        return bin as u64;
    }
    let shift = row - 1;
    let low = (FINE + (bin as u64 & (FINE - 1))) << shift;
    low + ((1_u64 << shift) >> 1)
}

/// The last bin that a value can have.
const LAST: u32 = bin(u64::MAX);

impl Histogram {
    /// Adds a duration.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        (self.least, self.most) = if self.bins.is_empty() {
            (micros, micros)
        } else {
            (self.least.min(micros), self.most.max(micros))
        };
        self.sum += u128::from(micros);
        self.raise(bin(micros), 1);
    }

    fn raise(&mut self, bin: u32, by: u64) {
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(place) => self.bins[place].1 += by,
            Err(place) => self.bins.insert(place, (bin, by)),
        }
    }

    /// Adds all that another has.
    pub fn merge(&mut self, other: &Histogram) {
        if other.bins.is_empty() {
            return;
        }
        if self.bins.is_empty() {
            self.clone_from(other);
            return;
        }
        (self.least, self.most) = (self.least.min(other.least), self.most.max(other.most));
        self.sum += other.sum;
        other.bins.iter().for_each(|(bin, count)| self.raise(*bin, *count));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|(_, count)| count).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The mean; none of none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum.checked_div(u128::from(self.count()))?;
        Some(Duration::from_micros(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The least and the most.
    #[must_use]
    pub fn range(&self) -> Option<(Duration, Duration)> {
        (!self.is_empty()).then(|| (Duration::from_micros(self.least), Duration::from_micros(self.most)))
    }

    /// What so many of a thousand are not above: 500 is the median.
    #[must_use]
    pub fn quantile(&self, of_thousand: u32) -> Option<Duration> {
        let wanted = u128::from(self.count()) * u128::from(of_thousand.min(1000));
        let rank = u64::try_from(wanted.div_ceil(1000)).unwrap_or(u64::MAX).max(1);
        let mut seen = 0;
        let found = self.bins.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(middle(found.0).clamp(self.least, self.most)))
    }

    /// The bytes that it is kept as; none of an empty one.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let Some((first, _)) = self.bins.first() else { return };
        varint::put(bytes, self.bins.len() as u64);
        varint::put(bytes, self.least);
        varint::put(bytes, self.most - self.least);
        // Sums of years of milliseconds fit; what does not would be cut, not wrapped.
        varint::put(bytes, u64::try_from(self.sum).unwrap_or(u64::MAX));
        let mut before = *first;
        varint::put(bytes, u64::from(before));
        for (bin, count) in &self.bins {
            varint::put(bytes, u64::from(bin - before));
            varint::put(bytes, *count);
            before = *bin;
        }
    }

    /// Takes one off the front of bytes.
    ///
    /// # Errors
    /// Where they are not what [`Histogram::encode`] wrote.
    pub fn decode(bytes: &mut &[u8]) -> Result<Histogram, Damaged> {
        let many = varint::take(bytes)?;
        let least = varint::take(bytes)?;
        let most = least.checked_add(varint::take(bytes)?).ok_or(Damaged)?;
        let sum = u128::from(varint::take(bytes)?);
        let mut bin = varint::take(bytes)?;
        if many == 0 || many > u64::from(LAST) + 1 {
            return Err(Damaged);
        }
        let mut bins = Vec::with_capacity(usize::try_from(many).unwrap_or(0).min(bytes.len()));
        for place in 0..many {
            let gap = varint::take(bytes)?;
            bin = bin.checked_add(gap).filter(|bin| *bin <= u64::from(LAST)).ok_or(Damaged)?;
            if (gap == 0) != (place == 0) {
                return Err(Damaged);
            }
            bins.push((u32::try_from(bin).map_err(|_| Damaged)?, varint::take(bytes)?));
        }
        Ok(Histogram { bins, sum, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator with a seed, so that a failure can be repeated.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// Values of all sizes, up to some days.
        fn duration(&mut self) -> u64 {
            let size = self.roll() % 40;
            self.roll() % (1 << size)
        }
    }

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|micros| histogram.add(Duration::from_micros(*micros)));
        histogram
    }

    #[test]
    fn percentiles_are_within_the_stated_error() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for round in 0..300 {
            let mut values: Vec<_> = (0..=dice.roll() % 700).map(|_| dice.duration()).collect();
            let histogram = of(&values);
            values.sort_unstable();
            assert_eq!(histogram.count(), values.len() as u64);
            for of_thousand in [0, 1, 250, 500, 900, 950, 990, 1000] {
                let rank = (values.len() * of_thousand as usize).div_ceil(1000).max(1);
                let (exact, told) = (values[rank - 1], histogram.quantile(of_thousand).expect("some"));
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let (exact, told) = (exact as f64, told.as_micros() as f64);
                assert!((told - exact).abs() <= exact * RELATIVE_ERROR, "{round}: {told} for {exact}");
            }
        }
        assert_eq!(Histogram::default().quantile(500), None);
    }

    #[test]
    fn in_whatever_parts_it_is_the_same() {
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for _ in 0..200 {
            let values: Vec<_> = (0..dice.roll() % 300).map(|_| dice.duration()).collect();
            let [cut, other] =
                [(); 2].map(|()| usize::try_from(dice.roll()).unwrap_or(0) % (values.len() + 1));
            let (a, b, c) = (cut.min(other), cut.max(other), values.len());
            let parts = [of(&values[..a]), of(&values[a..b]), of(&values[b..c])];
            let [one, two, three] = &parts;
            let mut left = one.clone();
            left.merge(two);
            left.merge(three);
            let mut right = three.clone();
            right.merge(two);
            let mut right_all = one.clone();
            right_all.merge(&right);
            assert_eq!((&left, &right_all), (&of(&values), &of(&values)));
            let mut bytes = Vec::new();
            left.encode(&mut bytes);
            if left.is_empty() {
                assert!(bytes.is_empty());
                continue;
            }
            let mut rest = bytes.as_slice();
            assert_eq!(Histogram::decode(&mut rest), Ok(left));
            assert!(rest.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(Histogram::decode(&mut &bytes[..cut]), Err(Damaged));
            }
        }
    }

    #[test]
    fn bins_meet_without_gaps() {
        let mut last = 0;
        for micros in (0..4_096).chain((13..64).flat_map(|n| [(1_u64 << n) - 1, 1 << n])) {
            assert!((last..=last + 64).contains(&bin(micros)), "{micros}");
            last = bin(micros);
            assert_eq!(bin(middle(last)), last, "{micros}");
        }
        assert_eq!(bin(u64::MAX), LAST);
    }
}
