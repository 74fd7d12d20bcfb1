//! What may happen to a piece on its way. A function of faults and chance.

use std::time::Duration;

use crate::rng::Rng;
use crate::span::Latency;

/// What happens to pieces. A share of 0 is never, of 1 always.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Each piece waits for so long.
    pub delay: Latency,
    /// A piece has so many bytes at most; as they come where it is 0.
    pub most_bytes: usize,
    /// Share of pieces at which the connection is closed in order, in the middle of whatever it says.
    pub drop: f64,
    /// Share of pieces at which it is reset.
    pub reset: f64,
    /// Share of pieces from which on nothing passes any more, while neither end is told.
    pub half_open: f64,
}

impl Faults {
    /// Only a few bytes at a time.
    #[must_use]
    pub fn dribble(most_bytes: usize) -> Faults {
        Faults { most_bytes, ..Faults::default() }
    }

    /// Only waiting.
    #[must_use]
    pub fn delay(delay: Latency) -> Faults {
        Faults { delay, ..Faults::default() }
    }

    /// What becomes of the next piece, and after how long. It draws as often whatever the faults are, so that other
    /// faults leave the rest of a sequence as it is.
    pub(super) fn fate(&self, rng: &mut Rng) -> (Duration, Fate) {
        let delay = self.delay.draw(&mut rng.fork());
        let [drop, reset, half_open] = [self.drop, self.reset, self.half_open].map(|share| rng.chance(share));
        let fate = if half_open {
            Fate::HalfOpen
        } else if reset {
            Fate::Reset
        } else if drop {
            Fate::Drop
        } else {
            Fate::Pass
        };
        (delay, fate)
    }
}

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Drop,
    Reset,
    HalfOpen,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(faults: Faults, seed: u64) -> Vec<(Duration, Fate)> {
        let mut rng = Rng::new(seed);
        (0..1_000).map(|_| faults.fate(&mut rng)).collect()
    }

    #[test]
    fn a_seed_is_a_sequence() {
        let delay = Latency::between(Duration::from_millis(1), Duration::from_millis(9));
        let faults = Faults { drop: 0.1, reset: 0.2, half_open: 0.1, ..Faults::delay(delay) };
        assert_eq!(fates(faults, 7), fates(faults, 7));
        assert_ne!(fates(faults, 7), fates(faults, 8));
        let count = |fate| fates(faults, 7).iter().filter(|(_, drawn)| *drawn == fate).count();
        for (fate, about) in [(Fate::Pass, 648), (Fate::Drop, 72), (Fate::Reset, 180), (Fate::HalfOpen, 100)]
        {
            assert!(count(fate).abs_diff(about) < 50, "{fate:?}: {}", count(fate));
        }
        let within = Duration::from_millis(1)..=Duration::from_millis(9);
        assert!(fates(faults, 7).iter().all(|(delay, _)| within.contains(delay)));
        // Another delay changes nothing of what happens.
        let only = |faults| fates(faults, 7).into_iter().map(|(_, fate)| fate).collect::<Vec<_>>();
        assert_eq!(only(faults), only(Faults { delay: Latency::NONE, ..faults }));
    }

    #[test]
    fn never_and_always() {
        assert!(fates(Faults::default(), 1).iter().all(|fate| *fate == (Duration::ZERO, Fate::Pass)));
        let always = Faults { reset: 1.0, ..Faults::default() };
        assert!(fates(always, 1).iter().all(|(_, fate)| *fate == Fate::Reset));
    }
}
